"""Two evaluations on the same pictures: the drop in accuracy."""

import math
from typing import Any

from edgecnn.binomial import wilson
from edgecnn.comparison.figure import Figure, Limits, judge
from edgecnn.errors import DataError
from edgecnn.spread import Interval


def figures(
    old: dict[str, Any], new: dict[str, Any], limits: Limits
) -> tuple[list[Figure], list[str]]:
    """Top-1 of every format both hold, in percentage points of drop.

    On the same pictures a fixed network always answers alike, so the drop itself is judged; the
    note tells what it says about other pictures. Raises `DataError` for other pictures or no
    format in common.
    """
    if (old["data"], old["count"]) != (new["data"], new["count"]):
        raise DataError(
            f"Evaluations on different pictures cannot be compared: {old['count']} of "
            f"{old['data']}, {new['count']} of {new['data']}."
        )
    before, after = old["artifacts"], new["artifacts"]
    notes = [f"{name} is only in one of the files." for name in before.keys() ^ after.keys()]
    found = []
    for name in (name for name in before if name in after):
        a, b = before[name]["top1"], after[name]["top1"]
        drop = 100 * (a - b)
        verdict = judge(drop, None, limits.drop)
        found.append(Figure(name, "top-1", "fraction", a, b, drop, None, limits.drop, verdict))
        low, high = drop_interval(a, b, old["count"])
        notes.append(
            f"{name}: on other pictures of this kind the drop lies between {low:+.2f} and "
            f"{high:+.2f} points (95%, {old['count']} pictures)."
        )
    if not found:
        raise DataError("The evaluations have no format in common.")
    return found, sorted(notes)


def drop_interval(old: float, new: float, count: int) -> Interval:
    """95% interval of `old` - `new`, two accuracies (0 to 1) over `count`, in points.

    Newcombe's hybrid score interval (Interval Estimation for the Difference Between Independent
    Proportions, 1998, method 10). That both saw the same pictures is not used, so it is wide.
    """
    (low_a, high_a), (low_b, high_b) = wilson(old, count), wilson(new, count)
    drop = old - new
    below = math.hypot(old - low_a, high_b - new)
    above = math.hypot(high_a - old, new - low_b)
    return 100 * (drop - below), 100 * (drop + above)
