"""Old against new: did a change make a network slower, bigger or worse?

Two files of one kind, as `--json` of `profile`, `evaluate` or `export` wrote them. A kind of file
is one module with a `figures` function and one line in `KINDS`.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgecnn import strict_json
from edgecnn.comparison import evaluations, exports, profiles
from edgecnn.comparison.figure import Figure, Limits
from edgecnn.errors import UNREADABLE, DataError

KINDS = {
    "profile": (frozenset({"board", "runs"}), profiles.figures),
    "evaluation": (frozenset({"data", "count", "artifacts"}), evaluations.figures),
    "export": (frozenset({"bundle", "precision", "artifacts"}), exports.figures),
}
"""What tells a kind of file, and how two of it are compared."""


@dataclass(frozen=True)
class Comparison:
    """Every figure that both files hold, judged."""

    kind: str
    old: str
    new: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...]
    """What only one of the files holds, and what differs beside the figures."""

    @property
    def regressions(self) -> tuple[Figure, ...]:
        """The figures that got worse by more than is allowed, beyond what noise explains."""
        return tuple(figure for figure in self.figures if figure.verdict == "regression")

    def to_json(self) -> dict[str, Any]:
        """As `edgecnn compare --json` prints it."""
        return asdict(self) | {
            "figures": [figure.to_json() for figure in self.figures],
            "regressions": len(self.regressions),
        }


def compare(old: Path | str, new: Path | str, limits: Limits | None = None) -> Comparison:
    """Judge NEW against OLD, two JSON files of one kind.

    Raises `DataError` for a file that is none of `KINDS`, for two of different kinds, and for
    two that cannot be compared: other board, other pictures.
    """
    limits = limits or Limits()
    before, after = _read(Path(old)), _read(Path(new))
    kind, other = _kind(before, old), _kind(after, new)
    if kind != other:
        raise DataError(f"{old} is of the kind {kind}, {new} of the kind {other}.")
    try:
        figures, notes = KINDS[kind][1](before, after, limits)
    except UNREADABLE as error:
        raise DataError(
            f"{old} or {new} lacks something ({error!r}): write both with this edgecnn."
        ) from None
    return Comparison(kind, str(old), str(new), tuple(figures), tuple(notes))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = strict_json.read(path)
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from None
    except ValueError as error:
        raise DataError(
            f"{path} is not readable JSON: {error}. Write it anew with --json."
        ) from None
    if not isinstance(found, dict):
        raise DataError(f"{path} holds no report of edgecnn: write one with --json.")
    return found


def _kind(report: dict[str, Any], path: Path | str) -> str:
    for kind, (keys, _) in KINDS.items():
        if keys <= report.keys():
            return kind
    raise DataError(
        f"{path} is no report that can be compared: `edgecnn profile`, `evaluate` and `export` "
        "write one with --json."
    )
