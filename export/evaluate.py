"""Accuracy of a bundle: each runtime on labelled pictures, beside the float network."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from edgecnn import data
from edgecnn.arguments import at_least
from edgecnn.bundle import Bundle
from edgecnn.errors import DataError
from edgecnn.export.accuracy import Accuracy, Agreement, Drop, Rows, Truths
from edgecnn.export.asking import Labelled, Progress, ask
from edgecnn.export.promises import Promises
from edgecnn.export.thresholds import Thresholds
from edgecnn.file_array import mapped
from edgecnn.head import Head
from edgecnn.pictures import Picture, labelled_pictures, truths
from edgecnn.quiet import import_keras
from edgecnn.reliability import Reliability
from edgecnn.targets.engines import runtimes


@dataclass(frozen=True)
class Result:
    """One runtime's answers, judged."""

    runtime: str
    accuracy: Accuracy
    comparison: Agreement | None
    drop: Drop | None
    """Both None where the float network is not here to compare with."""
    promises: Promises
    thresholds: Thresholds | None = None

    def to_json(self) -> dict[str, Any]:
        """As in `evaluate --json`."""
        found: dict[str, Any] = {"runtime": self.runtime, **self.accuracy.to_json()}
        if self.comparison is not None and self.drop is not None:
            agreement = {
                name: value
                for name, value in self.comparison.to_json().items()
                if name.startswith("agreement")
            }
            found |= {
                **agreement,
                "top1_drop": self.drop.top1_drop,
                "top1_drop_interval": list(self.drop.interval),
            }
        if self.thresholds is not None:
            found["thresholds"] = self.thresholds.to_json()
        return found | {"reliability": self.promises.to_json()}


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found."""

    data: str
    count: int
    reference: Accuracy | None
    results: dict[str, Result]
    """By format."""
    notes: tuple[str, ...]
    head: Head
    """With the thresholds it was judged by."""

    def to_json(self) -> dict[str, Any]:
        """As `evaluate --json` prints it."""
        return {
            "data": self.data,
            "count": self.count,
            **self.head.to_json(),
            "reference": None if self.reference is None else self.reference.to_json(),
            "artifacts": {name: result.to_json() for name, result in self.results.items()},
            "notes": list(self.notes),
        }


def evaluate(
    bundle_dir: Path | str,
    source: Path | str,
    *,
    reference: bool | Path | str = True,
    threads: int | None = None,
    thresholds: bool = False,
    self_check: bool = True,
    ray: str | None = None,
    progress: Progress = lambda done, count: None,  # noqa: ARG005
) -> Evaluation:
    """Accuracy and agreement of every format in a bundle whose engine is here.

    `source` is a folder with a subfolder for each class, a CSV file (or a folder with a
    `labels.csv`) of the columns file,label, or a data set that `train` knows, such as `digits`,
    whose test split is used. `edgecnn.pictures.truths` says what a label means to networks that
    are no softmax, `edgecnn.export.accuracy` what is counted. With `reference` the Keras network
    the bundle was made from runs too, if it can be found, or the one in the file named. With
    `thresholds` it also says what each threshold buys, and what is taken for what. With
    `self_check` an engine must first answer the bundle's golden pictures as at export, else it is
    left out, with a note. `progress` is told how many pictures of how many are answered. If it is
    interrupted, the same call goes on from there, with the same result. With `ray`, the address of
    a Ray cluster (`auto`, `local`), its nodes answer, which must have the same edgecnn and engines;
    pictures are read and prepared here.

    Raises `DataError` for pictures without labels or with labels the network has not,
    `BundleError` for a bundle that its golden pictures do not belong to.
    """
    if threads is not None:
        at_least("threads", threads, 1)
    bundle = Bundle.load(bundle_dir)
    if reference:
        import_keras()  # takes seconds: what is no bundle was said before
    head = bundle.head
    pictures = load(str(source), bundle)
    classes = pictures.truths
    notes: list[str] = []
    if head.kind == "binary" and not classes.any():
        notes.append(f"No picture of {source} has the label '{bundle.labels[-1]}'.")
    asked = ask(
        bundle,
        pictures,
        notes,
        reference=reference,
        threads=threads,
        self_check=self_check,
        ray=ray,
        progress=progress,
    )
    expected = asked.expected
    results: dict[str, Result] = {}
    for name, answers in asked.answers.items():
        format = runtimes.get(name).format
        # Accuracy is of what is said, and that of calibrated probabilities.
        known = Reliability.load(bundle, format)
        said = answers
        if known is not None:
            said = mapped(partial(known.calibrated, head=head), answers)
        promises = Promises.of(known, answers, said, classes, head)
        found = _judged(name, said, classes, expected, head, promises)
        if thresholds:
            of_each = Thresholds.of(said[:], classes, bundle.labels, head)
            found = replace(found, thresholds=of_each)
        results[format] = found
    return Evaluation(
        str(source),
        len(classes),
        None if expected is None else Accuracy.of(expected, classes, head=head),
        results,
        tuple(notes),
        head,
    )


def _judged(
    runtime: str,
    answers: Rows,
    classes: Truths,
    expected: Rows | None,
    head: Head,
    promises: Promises,
) -> Result:
    accuracy = Accuracy.of(answers, classes, head=head)
    if expected is None:
        return Result(runtime, accuracy, None, None, promises)
    comparison = Agreement.of(expected, answers, head=head)
    drop = Drop.of(expected, answers, classes, head=head)
    return Result(runtime, accuracy, comparison, drop, promises)


def load(source: str, bundle: Bundle) -> Labelled:
    """Labelled pictures, or the test split of a data set."""
    path, preprocessing = Path(source), bundle.preprocessing
    if path.exists() and not (path / "test").is_dir():
        pictures = labelled_pictures(path, empty_labels=bundle.head.kind != "softmax")
        shown = truths(pictures, bundle.labels, bundle.head)
        return Labelled(
            str(path.resolve()), shown, lambda index: pictures[index].read(), preprocessing
        )
    dataset = data.open_source(source)
    test = dataset.test
    if len(test) == 0:
        raise DataError(f"{source} has no test pictures.")
    by_class = _as_ours(dataset.labels, bundle, source)
    return Labelled(source, by_class[test.targets], test.frames.__getitem__, preprocessing)


def _as_ours(theirs: Sequence[str], bundle: Bundle, source: str) -> Truths:
    """What each class of a data set is to the network."""
    ours = bundle.labels
    missing = [label for label in theirs if label not in ours]
    # To a network that knows one label, every other class is "not".
    if missing and not (bundle.head.kind == "binary" and len(ours) == 1):
        raise DataError(
            f"{source} has the class '{missing[0]}', which is none of the network's "
            f"{len(ours)} ({', '.join(ours[:3])}, ...)."
        )
    return truths([Picture(Path(source), label) for label in theirs], ours, bundle.head)
