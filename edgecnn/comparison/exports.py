"""Two exports: size of each format, and agreement with the float network."""

from typing import Any

from edgecnn.comparison.figure import Figure, Limits, Unit, judge
from edgecnn.errors import DataError


def figures(
    old: dict[str, Any], new: dict[str, Any], limits: Limits
) -> tuple[list[Figure], list[str]]:
    """Bytes and agreement of every format both hold; `DataError` if there is none."""
    before, after = old["artifacts"], new["artifacts"]
    notes = [f"{name} is only in one of the files." for name in before.keys() ^ after.keys()]
    found = []
    for name in (name for name in before if name in after):
        a, b = before[name], after[name]
        growth = b["bytes"] / a["bytes"] - 1
        drop = 100 * (a["agreement_top1"] - b["agreement_top1"])
        found += [
            _figure(name, "files", "bytes", a["bytes"], b["bytes"], growth, limits.memory),
            _figure(
                name,
                "agreement",
                "fraction",
                a["agreement_top1"],
                b["agreement_top1"],
                drop,
                limits.drop,
            ),
        ]
    if not found:
        raise DataError("The exports have no format in common.")
    return found, sorted(notes)


def _figure(
    subject: str, name: str, unit: Unit, old: float, new: float, change: float, allowed: float
) -> Figure:
    return Figure(
        subject=subject,
        name=name,
        unit=unit,
        old=old,
        new=new,
        change=change,
        interval=None,
        allowed=allowed,
        verdict=judge(change, None, allowed),
    )
