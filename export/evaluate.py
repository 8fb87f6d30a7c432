"""Accuracy of a bundle: each runtime on labelled pictures, beside the float network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn import data
from edgecnn.arguments import at_least
from edgecnn.bundle import Bundle
from edgecnn.errors import DataError, RuntimeUnavailable
from edgecnn.export.accuracy import Accuracy, Comparison, Drop, Probabilities
from edgecnn.export.float_network import float_answers
from edgecnn.pictures import class_indices, labelled_pictures, prepare
from edgecnn.targets import runtimes
from edgecnn.targets.target import detect


@dataclass(frozen=True)
class Result:
    """One runtime's answers, judged."""

    runtime: str
    accuracy: Accuracy
    comparison: Comparison | None
    drop: Drop | None
    """Both None where the float network is not here to compare with."""

    def to_json(self) -> dict[str, Any]:
        """As in `evaluate --json`."""
        found: dict[str, Any] = {"runtime": self.runtime, **vars(self.accuracy)}
        if self.comparison is not None and self.drop is not None:
            found |= {
                "agreement_top1": self.comparison.agreement_top1,
                "top1_drop": self.drop.top1_drop,
                "top1_drop_interval": list(self.drop.interval),
            }
        return found


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found."""

    data: str
    count: int
    reference: Accuracy | None
    results: dict[str, Result]
    """By format."""
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As `evaluate --json` prints it."""
        return {
            "data": self.data,
            "count": self.count,
            "reference": None if self.reference is None else vars(self.reference),
            "artifacts": {name: result.to_json() for name, result in self.results.items()},
            "notes": list(self.notes),
        }


def evaluate(
    bundle_dir: Path | str,
    source: Path | str,
    *,
    reference: bool | Path | str = True,
    threads: int | None = None,
    on_picture: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Top-1, top-5 and agreement of every format in a bundle whose engine is here.

    `source` is a folder with a subfolder for each class, a CSV file (or a folder with a
    `labels.csv`) of the columns file,label, or a data set that `train` knows, such as `digits`,
    whose test split is used. With `reference` the Keras network the bundle was made from runs
    too, if it can be found, or the one in the file named.

    Raises `DataError` for pictures without labels or with labels the network has not.
    """
    if threads is not None:
        at_least("threads", threads, 1)
    bundle = Bundle.load(bundle_dir)
    images, classes = load(str(source), bundle)
    notes: list[str] = []
    expected = float_answers(bundle, images, notes, reference) if reference else None
    results: dict[str, Result] = {}
    for name in runtimes.RUNTIMES:
        runtime = runtimes.get(name)
        if runtime.format not in bundle.artifacts:
            continue
        try:
            session = runtime.open(bundle.model_file(runtime.format), threads or detect().threads)
        except RuntimeUnavailable as error:
            notes.append(str(error))
            continue
        answers = np.empty((len(images), len(bundle.labels)), np.float32)
        for answer, image in zip(answers, images, strict=True):
            answer[...] = session.infer(image[None])
            on_picture()
        results[runtime.format] = _judged(name, answers, classes, expected)
    if not results:
        raise RuntimeUnavailable(f"No engine here runs {bundle.path}. {' '.join(notes)}")
    return Evaluation(
        str(source),
        len(images),
        None if expected is None else Accuracy.of(expected, classes),
        results,
        tuple(notes),
    )


def _judged(
    runtime: str,
    answers: Probabilities,
    classes: NDArray[np.int64],
    expected: Probabilities | None,
) -> Result:
    accuracy = Accuracy.of(answers, classes)
    if expected is None:
        return Result(runtime, accuracy, None, None)
    comparison = Comparison.of(expected, answers)
    return Result(runtime, accuracy, comparison, Drop.of(expected, answers, classes))


def load(source: str, bundle: Bundle) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Labelled pictures as the bundle's input (count, H, W, C), and their class numbers."""
    path = Path(source)
    if path.exists() and not (path / "test").is_dir():
        pictures = labelled_pictures(path)
        classes = np.array(class_indices(pictures, bundle.labels), np.int64)
        return prepare(pictures, bundle.preprocessing), classes
    dataset = data.open_source(source)
    test = dataset.test
    if len(test) == 0:
        raise DataError(f"{source} has no test pictures.")
    return test.prepared(bundle.preprocessing), _renumbered(
        test.targets, dataset.labels, bundle.labels, source
    )


def _renumbered(
    targets: NDArray[np.int64], theirs: Sequence[str], ours: Sequence[str], source: str
) -> NDArray[np.int64]:
    """Class numbers of a data set as the network counts them."""
    missing = [label for label in theirs if label not in ours]
    if missing:
        raise DataError(
            f"{source} has the class '{missing[0]}', which is none of the network's "
            f"{len(ours)} ({', '.join(ours[:3])}, ...)."
        )
    index = np.array([list(ours).index(label) for label in theirs], np.int64)
    found: NDArray[np.int64] = index[targets]
    return found
