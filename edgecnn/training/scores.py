"""How well the finished network does on pictures it was not trained on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.data import Split
from edgecnn.preprocessing import Preprocessing

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Scores:
    """Probabilities `(count, classes)` of pictures whose class indices `(count,)` are known."""

    probabilities: NDArray[np.float32]
    targets: NDArray[np.int64]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each picture."""
        return np.asarray(np.argmax(self.probabilities, axis=1), np.int64)

    @property
    def top1(self) -> float:
        """Share of pictures whose class is the most probable one."""
        return float(np.mean(self.predicted == self.targets))

    @property
    def top5(self) -> float:
        """Share of pictures whose class is among the five most probable."""
        order = np.argsort(-self.probabilities, axis=1)[:, :5]
        return float(np.mean(np.any(order == self.targets[:, None], axis=1)))

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Counts `(classes, classes)`: the row is the true class, the column the predicted."""
        classes = self.probabilities.shape[1]
        flat = np.bincount(self.targets * classes + self.predicted, minlength=classes**2)
        return flat.reshape(classes, classes)

    @property
    def per_class(self) -> NDArray[np.float64]:
        """Share found of each class; NaN for a class without pictures."""
        confusion = self.confusion
        totals = confusion.sum(axis=1).astype(np.float64)
        found: NDArray[np.float64] = np.full(len(totals), np.nan)
        np.divide(np.diag(confusion), totals, out=found, where=totals > 0)
        return found

    @property
    def worst_mistakes(self) -> NDArray[np.int64]:
        """Indices of wrongly classified pictures, the most certain mistake first."""
        wrong = np.flatnonzero(self.predicted != self.targets)
        certainty = self.probabilities[wrong, self.predicted[wrong]]
        return wrong[np.argsort(-certainty, kind="stable")]

    def to_json(self, labels: tuple[str, ...]) -> dict[str, Any]:
        """As it stands in `checkpoint.json`; shares from 0 to 1, None where there are none."""
        per_class = {
            label: None if np.isnan(share) else round(float(share), 4)
            for label, share in zip(labels, self.per_class, strict=True)
        }
        return {
            "count": len(self.targets),
            "top1": self.top1,
            "top5": self.top5,
            "per_class": per_class,
        }


def score(model: "keras.Model", split: Split, preprocessing: Preprocessing) -> Scores:
    """Classify a split with a network that takes normalised float pictures."""
    probabilities = [
        np.asarray(model.predict_on_batch(preprocessing.normalise(chunk)))
        for chunk in split.prepared_chunks(preprocessing)
    ]
    return Scores(np.concatenate(probabilities), split.targets)
