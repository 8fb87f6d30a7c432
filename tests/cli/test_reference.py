"""Every command and option is explained, where people look for it."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from edgecnn.cli import COMMANDS, cli
from edgecnn.cli.reference import page

ROOT = Path(__file__).parents[2]


def loaded(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


def options(command: click.Command) -> Iterator[click.Option]:
    yield from (one for one in command.params if isinstance(one, click.Option))
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from options(inner)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help(name: str) -> None:
    assert loaded(name).help
    assert [one.opts for one in options(loaded(name)) if not one.help] == []


def test_the_page_of_commands_is_what_the_code_says() -> None:
    written = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert written == page(), "python -m edgecnn.cli.reference > docs/commands.md"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_stands_in_the_readme(name: str) -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Commands")[2]
    assert f"| `edgecnn {name} " in table or f"| `edgecnn {name}`" in table
