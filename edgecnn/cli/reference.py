"""Every command and option, as a page of the documentation: `python -m edgecnn.cli.reference`."""

import textwrap

import click

from edgecnn.cli import COMMANDS, cli

HEAD = """\
# Commands

*Written by `python -m edgecnn.cli.reference` from the code; a test holds it to that.*
"""


def page() -> str:
    """The page, in Markdown."""
    context = click.Context(cli, info_name="edgecnn")
    parts = [HEAD]
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        parts.extend(_sections(command, click.Context(command, context, name)))
    return "\n".join(parts)


def _sections(command: click.Command, context: click.Context) -> list[str]:
    text, _, examples = (command.help or "").partition("\b")
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    parts = [f"## {context.command_path}\n", f"    {usage}\n", _flowing(text)]
    if shown := textwrap.dedent(examples).strip():
        parts.append(textwrap.indent(shown, "    ") + "\n")
    options = [_row(one, context) for one in command.params if isinstance(one, click.Option)]
    if options:
        parts.append("| option | |\n|---|---|\n" + "\n".join(options) + "\n")
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            parts.extend(_sections(inner, click.Context(inner, context, name)))
    return parts


def _flowing(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n")) + "\n"


def _row(option: click.Option, context: click.Context) -> str:
    record = option.get_help_record(context)
    assert record is not None, f"{option.name} is hidden"
    spelled, said = (" ".join(part.split()).replace("|", "\\|") for part in record)
    # A site would look for what such brackets lead to.
    said = said.replace("<", "&lt;").replace("[", "\\[")
    return f"| `{spelled}` | {said} |"


if __name__ == "__main__":
    print(page(), end="")
