"""One figure of two reports, and the verdict on it."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from edgecnn.spread import Interval

Verdict = Literal["ok", "better", "regression", "unclear"]
Unit = Literal["ms", "bytes", "mJ", "fraction"]


@dataclass(frozen=True)
class Limits:
    """How much worse is allowed."""

    latency: float = 0.05
    """As a fraction of the old latency, and of the old energy."""
    memory: float = 0.05
    """As a fraction of the old bytes."""
    drop: float = 0.5
    """Percentage points of accuracy."""


@dataclass(frozen=True)
class Figure:
    """One figure, old and new.

    `change` is how much worse it got: a fraction of the old for times and bytes, percentage
    points for accuracies; negative is better. `interval` is where the change lies with 95%
    confidence, None for what has no noise.
    """

    subject: str
    name: str
    unit: Unit
    old: float
    new: float
    change: float
    interval: Interval | None
    allowed: float
    verdict: Verdict
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """As it stands in the comparison's JSON."""
        return asdict(self)


def judge(change: float, interval: Interval | None, allowed: float) -> Verdict:
    """`regression` only where the whole interval lies beyond what is allowed.

    `unclear` where the change does and its interval does not; `better` where the whole interval
    is below nothing.
    """
    low, high = interval or (change, change)
    if low > allowed:
        return "regression"
    if change > allowed:
        return "unclear"
    return "better" if high < 0 else "ok"
