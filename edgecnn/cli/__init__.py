"""The command line: a file per command, imported only when it is called."""

import codecs
import contextlib
import errno
import importlib
import io
import os
import sys
from typing import Any

import click

from edgecnn import __version__
from edgecnn.errors import EdgeCnnError
from edgecnn.strict_json import hidden

COMMANDS = {
    "demo": "a network and pictures that come with edgecnn",
    "zoo": "every architecture, with its figures",
    "analyze": "how much RAM a network needs, layer by layer",
    "choose": "which network, input, engine and threads for a board",
    "train": "train a network on pictures",
    "atlas": "every architecture by one recipe: trained, quantised, measured",
    "calibrate": "choose calibration pictures",
    "export": "quantise a network into a bundle for boards",
    "evaluate": "accuracy of a bundle, per runtime",
    "show": "look at a bundle: its pictures, mistakes and layers",
    "sign": "sign a bundle, so that boards can tell who made it",
    "verify": "check that a bundle is whole, and who signed it",
    "run": "classify a camera, video or pictures",
    "explain": "where a network looked in a picture",
    "profile": "latency and memory of a bundle on this board",
    "deploy": "bring a bundle to boards over SSH, prove it there, switch to it",
    "pull": "bring the frames that boards kept to this machine",
    "label": "say what kept frames show, in the browser",
    "history": "which pictures and commands led to a bundle, a run, or what boards run",
    "fleet": "which boards run what, how fast and how hot",
    "compare": "judge a new report against an old one",
    "targets": "the board, engines and cameras found here",
}

VERSIONS = (
    *("ai-edge-litert", "tflite-runtime", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt"),
    *("opencv-python", "opencv-python-headless", "numpy", "keras", "tensorflow", "tensorflow-cpu"),
)
"""Packages that `--version` names where they are installed."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Commands(click.Group):
    """Loads a command's module when the command is called, not to show the help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order of the pipeline."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"edgecnn.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest name where there is no such command."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail(
                f"No such command '{args[0]}'." + (f" Did you mean '{near[0]}'?" if near else "")
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    """`edgecnn 0.1.0`, and beside it what else decides what happens."""
    if not asked:
        return
    from importlib.metadata import PackageNotFoundError, version

    click.echo(f"edgecnn {__version__}")
    for package in VERSIONS:
        try:
            click.echo(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    click.echo(f"Python {sys.version.split()[0]}")
    ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the versions of edgecnn, of the engines and of Keras.",
)
@click.option("--debug", is_flag=True, help="Show the full traceback of an error.")
def cli(debug: bool) -> None:
    """Classic CNNs from Keras to int8 on the board, proven on the way.

    \b
    edgecnn export efficientnet_lite0 --int8
    edgecnn run exports/efficientnet_lite0-int8 --source 0 --show
    edgecnn profile exports/efficientnet_lite0-int8
    """


def main() -> None:
    """Run the command line; errors are one line on stderr and an exit code."""
    # TensorFlow's C++ side greets on stderr; errors still come through.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _open_what_is_closed()
    _write_any_text()
    debug = "--debug" in sys.argv[1:]
    sys.argv = [arg for arg in sys.argv if arg != "--debug"]
    try:
        code: Any = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except EdgeCnnError as error:
        if debug:
            raise
        _say(str(error))
        code = error.exit_code
    except click.exceptions.Abort:
        _say("Interrupted.")
        code = 130
    except KeyboardInterrupt:
        _say("Interrupted.")
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is left to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        if debug:
            raise
        if isinstance(error, OSError) and error.errno in FULL:
            _say(f"{error.filename or 'Where the output goes'}: {error.strerror}.")
            # Python would try once more at its end, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        else:
            _say(
                f"Unexpected {type(error).__name__}: {error}. "
                "This is a bug: run again with --debug and report the traceback."
            )
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def _open_what_is_closed() -> None:
    """A program without standard streams (`>&-`) would give their numbers to files it opens."""
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


def _write_any_text() -> None:
    """Labels and pictures' names have letters that a system's encoding may lack.

    ASCII is that of a system that was never told one, and is taken for UTF-8 as Python itself does
    unless it is forbidden to; JSON needs that.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            unknown = codecs.lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding="utf-8" if unknown else None, errors="replace")


def _say(message: str) -> None:
    """On one line; what a terminal would obey, in a file's name for one, is spelled out."""
    line = " ".join(message.split())
    shown = "".join(ascii(one)[1:-1] if hidden(one) else one for one in line)
    with contextlib.suppress(OSError):  # nobody to tell; the exit code says it
        click.echo(f"edgecnn: {shown}", err=True)
