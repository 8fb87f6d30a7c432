"""Labelled pictures for training and evaluation, from one grammar.

    DIR                      a subfolder for each class, or train/ val/ test/ with such subfolders,
                             or a labels.csv
    digits                   scikit-learn's handwritten digits
    mnist, fashion_mnist,    downloaded by Keras,
      cifar10                or NAME:PATH for an .npz file or a folder of IDX or CIFAR files
    tfds:NAME                tensorflow-datasets (extra `tfds`)

Importing this package imports no TensorFlow; opening a download or `tfds:` does.
"""

from pathlib import Path
from typing import Any

from edgecnn.data import arrays, folder, tfds
from edgecnn.data.checks import check_classes, find_warnings
from edgecnn.data.dataset import Dataset, Split
from edgecnn.data.source import WHOLE, Source
from edgecnn.data.splitting import Shares, divide
from edgecnn.errors import DataError, UnknownName
from edgecnn.labels import checked

DEFAULT_SPLIT = "75/15/10"
WORDS = ("digits", *arrays.LABELS, "tfds:NAME")


def open_source(
    source: str | Path, *, split: str = DEFAULT_SPLIT, split_seed: int = 0, skip_bad: bool = False
) -> Dataset:
    """Labelled pictures in three splits.

    `split` gives the shares of train, val and test in what the source does not divide itself;
    the division depends on `split_seed` and the pictures alone, so that `open_source("digits")`
    always has the same test pictures. Files that are no pictures raise `DataError`, or are left
    out if `skip_bad`; so do data that nothing can be trained on. Doubts are in `warnings`.
    """
    shares = Shares.parse(split)
    found = _read(str(source), skip_bad=skip_bad)
    checked(found.labels)
    splits = _complete(found, shares, split_seed)
    own_test = "test" in found.splits
    check_classes(found.labels, splits, with_test=own_test or shares.test > 0)
    details: dict[str, Any] = {
        "counts": {name: len(part) for name, part in splits.items()},
        "split": split,
        "split_seed": split_seed,
        "own_splits": [name for name in found.splits if name != WHOLE],
        "skipped": [path.name for path in found.skipped],
    }
    warnings = find_warnings(found.labels, splits)
    if found.skipped:
        names = ", ".join(path.name for path in found.skipped)
        warnings.insert(0, f"Left out {len(found.skipped)} files that are no pictures: {names}.")
    return Dataset(
        source=str(source),
        labels=found.labels,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        warnings=tuple(warnings),
        details=details,
    )


def _read(source: str, *, skip_bad: bool) -> Source:
    """The labelled pictures as they are found, neither divided nor checked."""
    word, colon, rest = source.partition(":")
    if colon and not rest:
        raise DataError(f"'{source}' names nothing after the colon.")
    if word in arrays.LABELS:
        return arrays.read_known(word, Path(rest).expanduser() if colon else None)
    if source == "digits":
        return arrays.read_digits()
    if word == "tfds" and colon:
        return tfds.read(rest)
    path = Path(source).expanduser()
    if not path.exists():
        if "/" in source or "\\" in source:
            raise DataError(f"{path} does not exist: name a folder of pictures.")
        raise UnknownName("data source", source, WORDS, "Or name a folder of pictures.")
    return folder.read_folder(path, skip_bad=skip_bad)


def _complete(found: Source, shares: Shares, seed: int) -> dict[str, Split]:
    """The three splits, where the source has fewer of its own."""
    splits = dict(found.splits)
    if WHOLE in splits:
        parts = divide(splits.pop(WHOLE), shares, seed)
        return dict(zip(("train", "val", "test"), parts, strict=True))
    if "test" not in splits:
        rest = shares if "val" not in splits else Shares(1 - shares.test, 0.0, shares.test)
        train, val, splits["test"] = divide(splits["train"], rest, seed)
        splits["train"] = train
        splits.setdefault("val", val)
    elif "val" not in splits:
        splits["train"], splits["val"], _ = divide(splits["train"], shares.without_test(), seed)
    return {name: splits[name] for name in ("train", "val", "test")}


__all__ = ["DEFAULT_SPLIT", "Dataset", "Split", "open_source"]
