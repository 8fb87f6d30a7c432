"""`edgecnn profile --target USER@HOST`."""

import shutil
from pathlib import Path

import click
from click.core import ParameterSource

from edgecnn.cli.deploy_progress import TerminalProgress

OURS = ("bundle", "target", "html", "loadgen")
"""What does not go to the board as it was typed."""


def profile_there(ctx: click.Context) -> None:
    """Profile a bundle on the board that `--target` names, without switching to it.

    It is copied and checked there as `edgecnn deploy` would; the other options go along, and
    what the board prints is printed here. Raises what deploying does.
    """
    from edgecnn.targets.deploy.remote import RemoteBoard
    from edgecnn.targets.deploy.shipment import Installation, packed
    from edgecnn.targets.deploy.ssh import Connection
    from edgecnn.targets.deploy.staging import stage

    bundle, host, html = (ctx.params[name] for name in ("bundle", "target", "html"))
    if ctx.params["loadgen"]:
        ctx.fail("--loadgen needs LoadGen on the board: run it there.")
    with (
        TerminalProgress() as progress,
        packed(bundle, Installation(("report",) if html else ())) as order,
        Connection(host) as connection,
    ):
        board = RemoteBoard(connection)
        staged = stage(board, order, progress)
        page = f"{staged.root}/profile.html"
        words = [*_given(ctx), *(("--html", page) if html else ())]
        progress.step(host, "profiling")
        printed = staged.profile(board, *words, columns=shutil.get_terminal_size().columns)
        if html:
            Path(html).write_text(board.run(["cat", page]), encoding="utf-8")
            progress.step(host, f"{html} written")
    click.echo(printed, nl=False)


def _given(ctx: click.Context) -> list[str]:
    """The options that were typed, for typing them again."""
    words = []
    for option in ctx.command.params:
        name = option.name or ""
        if name in OURS or ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        if isinstance(option, click.Option) and option.is_flag:
            words.append(option.opts[0])
            continue
        for value in ctx.params[name] if option.multiple else (ctx.params[name],):
            words += [option.opts[0], str(value)]
    return words
