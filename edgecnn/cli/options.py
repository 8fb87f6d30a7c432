"""Options and values that several commands share."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from edgecnn.targets.board.target import TARGETS
from edgecnn.targets.engines.runtimes import ACCELERATED, ALIASES, RUNTIMES

target_option: Callable[[Any], Any] = click.option(
    "--target",
    type=click.Choice(("auto", *TARGETS)),
    default="auto",
    show_default=True,
    help="Kind of board; auto looks.",
)


class BoardOrHost(click.Choice[str]):
    """A kind of board, or `USER@HOST`: a board to be reached over SSH."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As click does, but for hosts."""
        return value if "@" in value else super().convert(value, param, ctx)


board_or_host_option: Callable[[Any], Any] = click.option(
    "--target",
    type=BoardOrHost(("auto", *TARGETS)),
    default="auto",
    show_default=True,
    metavar="KIND|USER@HOST",
    help=f"Kind of board ({', '.join(TARGETS)}); auto looks. USER@HOST: do it there, over SSH.",
)


ray_option: Callable[[Any], Any] = click.option(
    "--ray",
    metavar="ADDRESS",
    help="Let a Ray cluster do it: its address, auto for the one that runs here, or local.",
)

reference_option: Callable[[Any], Any] = click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="Keras file of the float network, where it is no longer where export found it.",
)


class Number(click.FloatRange):
    """A number in a range; click takes nan and inf to be in every one."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """As click does, but for what is no number."""
        found = float(super().convert(value, param, ctx))
        if not math.isfinite(found):
            self.fail(f"{value} is no number.", param, ctx)
        return found


class RuntimeName(click.Choice[str]):
    """A runtime's name, or the format that it runs, as in `runtimes.ALIASES`."""

    def __init__(self, *others: str) -> None:
        super().__init__((*others, *RUNTIMES, *ACCELERATED))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As click does, with the runtime's own name."""
        return super().convert(ALIASES.get(value, value), param, ctx)


THREADS = click.IntRange(1, 1024)
"""Engines take any number, and crash where the system has not so many."""

runtime_option: Callable[[Any], Any] = click.option(
    "--runtime",
    type=RuntimeName("auto"),
    default="auto",
    show_default=True,
    help="Engine; auto takes the fastest, which it tries out on the first start.",
)


self_check_option: Callable[[Any], Any] = click.option(
    "--no-self-check",
    "self_check",
    flag_value=False,
    default=True,
    help="Start without the golden pictures of the bundle.",
)


key_option: Callable[[Any], Any] = click.option(
    "--key",
    "keys",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PUB",
    help="Public key to trust, or a file of several; may be given several times.  [default: "
    "/etc/edgecnn/trusted_keys and ~/.config/edgecnn/trusted_keys]",
)


def parse_size(
    ctx: click.Context,  # noqa: ARG001
    param: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> tuple[int, int] | None:
    """`640x480` as `(640, 480)`; a click callback."""
    if value is None:
        return None
    if not (match := re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", value)):
        raise click.BadParameter(f"'{value}' is not a size such as 640x480.")
    return int(match[1]), int(match[2])
