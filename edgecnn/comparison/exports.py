"""Two exports: size of each format, and agreement with the float network."""

from typing import Any

from edgecnn.comparison.figure import Figure, Limits, judge
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
        change = b["bytes"] / a["bytes"] - 1
        found.append(
            Figure(
                subject=name,
                name="files",
                unit="bytes",
                old=a["bytes"],
                new=b["bytes"],
                change=change,
                interval=None,
                allowed=limits.memory,
                verdict=judge(change, None, limits.memory),
            )
        )
        drop = 100 * (a["agreement_top1"] - b["agreement_top1"])
        found.append(
            Figure(
                subject=name,
                name="agreement",
                unit="fraction",
                old=a["agreement_top1"],
                new=b["agreement_top1"],
                change=drop,
                interval=None,
                allowed=limits.drop,
                verdict=judge(drop, None, limits.drop),
            )
        )
    if not found:
        raise DataError("The exports have no format in common.")
    return found, sorted(notes)
