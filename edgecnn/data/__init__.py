"""Labelled pictures for training and evaluation, from one grammar.

    DIR                      a subfolder for each class, or train/ val/ test/ with such subfolders,
                             or a labels.csv
    digits                   scikit-learn's handwritten digits
    mnist, fashion_mnist,    downloaded by Keras,
      cifar10                or NAME:PATH for an .npz file or a folder of IDX or CIFAR files
    tfds:NAME                tensorflow-datasets (extra `tfds`)

Importing this package imports no TensorFlow; opening a download or `tfds:` does.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgecnn import inbox
from edgecnn.data import arrays, folder, tfds
from edgecnn.data.checks import check_classes, find_warnings
from edgecnn.data.dataset import Dataset, Split
from edgecnn.data.joining import Part, joined
from edgecnn.data.places import Places
from edgecnn.data.source import WHOLE, Source
from edgecnn.data.splitting import Shares, divide
from edgecnn.errors import DataError, UnknownName
from edgecnn.labels import checked

DEFAULT_SPLIT = "75/15/10"
WORDS = ("digits", *arrays.LABELS, "tfds:NAME")


def open_source(
    source: str | Path | Sequence[str | Path],
    *,
    split: str = DEFAULT_SPLIT,
    split_seed: int = 0,
    skip_bad: bool = False,
    labels: Sequence[str] = (),
    places: Places | None = None,
) -> Dataset:
    """Labelled pictures in three splits.

    `split` gives the shares of train, val and test in what the source does not divide itself;
    the division depends on `split_seed` and the pictures alone, so that `open_source("digits")`
    always has the same test pictures. Several sources are divided each by itself and joined; a
    picture that `places` knows keeps its split, and `labels` come first among the classes. Of a
    board's random stream half is tested on. Files that are no pictures raise `DataError`, or
    are left out if `skip_bad`; so do data that nothing can be trained on. Doubts are in `warnings`.
    """
    shares = Shares.parse(split)
    sources = (source,) if isinstance(source, str | Path) else tuple(source)
    found = {str(one): _read(str(one), skip_bad=skip_bad) for one in sources}
    parts = [Part(one, it.labels, _complete(it, shares, split_seed)) for one, it in found.items()]
    names = _all_labels(labels, parts)
    checked(names)
    known = places.splits() if places else {}
    if len(parts) > 1 or known or labels or any(inbox.is_inbox(Path(one)) for one in found):
        splits, tested, doubts = joined(parts, names, known)
    else:
        splits, tested, doubts = parts[0].splits, (), ()
    own_splits = list(
        dict.fromkeys(name for it in found.values() for name in it.splits if name != WHOLE)
    )
    skipped = [path for it in found.values() for path in it.skipped]
    check_classes(names, splits, with_test="test" in own_splits or shares.test > 0)
    details: dict[str, Any] = {
        "counts": {name: len(part) for name, part in splits.items()},
        "split": split,
        "split_seed": split_seed,
        "own_splits": own_splits,
        "skipped": [path.name for path in skipped],
    }
    warnings = [*doubts, *find_warnings(names, splits)]
    if skipped:
        left_out = ", ".join(path.name for path in skipped)
        warnings.insert(0, f"Left out {len(skipped)} files that are no pictures: {left_out}.")
    return Dataset(
        source=" + ".join(found),
        labels=names,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        warnings=tuple(warnings),
        details=details,
        tested=tested,
    )


def _all_labels(first: Sequence[str], parts: Sequence[Part]) -> tuple[str, ...]:
    """Those of one source in its order; else `first`, then the others by name."""
    if not first and len(parts) == 1:
        return tuple(parts[0].labels)
    others = {label for part in parts for label in part.labels} - set(first)
    return (*first, *sorted(others))


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
