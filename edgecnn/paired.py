"""Two networks on the same pictures: which is right more often, and how sure that is.

Most pictures say nothing about the difference, since both networks answer them alike; what counts
are those that only one is right on. So the interval is a paired one, far narrower than that of two
accuracies which are taken for independent.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from edgecnn import binomial, estimate
from edgecnn.estimate import Bools, Floats


@dataclass(frozen=True)
class Change:
    """What the new network gained and lost."""

    count: int
    """Pictures."""
    old: float
    """The share that the old one is right on."""
    new: float
    gained: int
    """Pictures that only the new one is right on."""
    lost: int
    """And those that only the old one is."""
    points: float
    """`new` - `old`, in percentage points."""
    interval: tuple[float, float]
    """Where it lies with 95% confidence for pictures like these."""
    p_value: float
    """How probable so uneven a number of gained and lost ones is where neither network is better:
    the exact test of McNemar (Note on the sampling error of the difference between correlated
    proportions, 1947)."""

    @classmethod
    def of(cls, old: Bools, new: Bools, inclusion: Floats | None = None) -> Self:
        """From whether each is right on each of the pictures `(count,)`, of which there is one.

        With `inclusion`, how probable each picture was to be kept, the shares are those of all
        that were seen: see `edgecnn.estimate`.
        """
        before, after = np.asarray(old, bool), np.asarray(new, bool)
        weights = np.ones(len(before)) if inclusion is None else np.asarray(inclusion, float)
        found = estimate.difference(before, after, weights)
        p, q = (float(np.average(right, weights=1 / weights)) for right in (before, after))
        gained, lost = int(np.sum(after & ~before)), int(np.sum(before & ~after))
        return cls(
            len(before),
            p,
            q,
            gained,
            lost,
            100 * found.value,
            (100 * found.low, 100 * found.high),
            binomial.sign_test(gained, lost),
        )

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """Read back what `to_json` wrote, whatever else is there."""
        known = {field.name: found[field.name] for field in fields(cls)}
        return cls(**known | {"interval": tuple(found["interval"])})

    @property
    def text(self) -> str:
        """`61.0% -> 83.0%, +22.0 points (+16.1 to +27.6)`."""
        low, high = self.interval
        points = f"{self.points:+.1f} points ({low:+.1f} to {high:+.1f})"
        return f"{self.old:.1%} -> {self.new:.1%}, {points}"

    def to_json(self) -> dict[str, Any]:
        """Shares from 0 to 1; differences in percentage points."""
        return asdict(self) | {"interval": list(self.interval)}


@dataclass(frozen=True)
class Paired:
    """All pictures together, and those of each class."""

    whole: Change
    classes: dict[str, Change]

    @classmethod
    def of(
        cls, old: Bools, new: Bools, truths: Sequence[str], inclusion: Floats | None = None
    ) -> Self:
        """From whether each network is right on each picture, and what the picture shows."""
        before, after, shown = np.asarray(old, bool), np.asarray(new, bool), np.asarray(truths)
        weights = None if inclusion is None else np.asarray(inclusion, float)
        classes = {}
        for label in sorted(set(truths)):
            mine = shown == label
            own = None if weights is None else weights[mine]
            classes[label] = Change.of(before[mine], after[mine], own)
        return cls(Change.of(before, after, weights), classes)

    @property
    def worse(self) -> dict[str, Change]:
        """The classes that lost more pictures than they gained, those that lost most first."""
        found = [item for item in self.classes.items() if item[1].points < 0]
        return dict(sorted(found, key=lambda item: item[1].points))

    def to_json(self) -> dict[str, Any]:
        """`Change.to_json`, and `per_class` one for each class."""
        classes = {label: change.to_json() for label, change in self.classes.items()}
        return self.whole.to_json() | {"per_class": classes}
