"""What a network that went on from another gained and lost, on the same pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecnn.checkpoint import Checkpoint
from edgecnn.data import Dataset, Split
from edgecnn.data.places import Places
from edgecnn.paired import Change, Paired
from edgecnn.training.learning_curve import (
    FEWEST,
    FEWEST_HELD_OUT,
    Curve,
    Features,
    learning_curve,
)
from edgecnn.training.scores import Scores, score
from edgecnn.training.settings import RANDOM

if TYPE_CHECKING:
    import keras

MOST = 1500
"""So many pictures of a kind the learning curve rests on, at most."""
NAMED = 100
"""So many pictures that only the old network is right on are named."""


def compare_with(
    start: str, scores: Scores, split: Split, dataset: Dataset, places: Places | None
) -> dict[str, Any]:
    """What `checkpoint.json` says of the run that the network went on from.

    `from` is that run; `comparison` is of the pictures of `split`, none of which either network
    was trained on, as far as `places` knows them; `scores` is what the new one made of them. A
    class that the old one did not have counts as wrong for it.
    """
    run = Checkpoint.load(Path(start))
    model = run.load_model()
    before = score(model, split, run.preprocessing)
    named = np.asarray(run.labels)[before.predicted]
    truths = np.asarray(dataset.labels)[split.targets]
    old, new = named == truths, scores.predicted == split.targets
    found = Paired.of(old, new, truths.tolist()).to_json()
    lost = np.flatnonzero(old & ~new)
    found["lost_pictures"] = [
        {
            "file": split.frames.name(index),
            "label": str(truths[index]),
            "answer": dataset.labels[scores.predicted[index]],
            "probability": round(float(scores.probabilities[index].max()), 4),
        }
        for index in lost[:NAMED].tolist()
    ]
    tested = np.asarray(dataset.tested)
    if len(tested) == len(split):
        found["per_source"] = {
            source: Change.of(old[tested == source], new[tested == source]).to_json()
            for source in dict.fromkeys(dataset.tested)
        }
    curve = _curve(model, run, dataset, places)
    added = [label for label in dataset.labels if label not in run.labels]
    came = [
        digest
        for part in (dataset.train, dataset.val, dataset.test)
        for digest in part.digests
        if places is None or digest not in places.of
    ]
    return {
        "from": {
            "run": run.path.name,
            "path": str(run.path),
            "sha256": run.weights().sha256,
            "data_sha256": run.details["data"]["sha256"],
            "new_pictures": len(came),
            "new_classes": added,
            "from_scratch": trained_whole(run),
        },
        "comparison": found,
        **({"learning_curve": curve.to_json()} if curve else {}),
    }


def trained_whole(run: Checkpoint) -> bool:
    """Whether all its weights are of training from scratch: then all go on learning, as before."""
    settings, start = run.details.get("settings", {}), run.details.get("from", {})
    return settings.get("weights") == RANDOM or start.get("from_scratch") is True


def _curve(
    model: "keras.Model", run: Checkpoint, dataset: Dataset, places: Places | None
) -> Curve | None:
    """By the features of the network that was gone on from; None without new pictures."""
    import keras

    known = places.of if places else {}
    classifier = [layer for layer in model.layers if layer.weights][-1]
    body = keras.Model(model.inputs, classifier.input)

    def features(split: Split) -> Features:
        chunks = [
            np.asarray(body.predict_on_batch(run.preprocessing.normalise(chunk)), np.float64)
            for chunk in split.prepared_chunks(run.preprocessing)
        ]
        count = len(split)
        return (np.concatenate(chunks).reshape(count, -1) if count else np.empty((0, 1))), (
            split.targets
        )

    def part(split: Split, *, new: bool, most: int) -> Split:
        of_it = [i for i, one in enumerate(split.digests) if (one not in known) == new]
        order = np.random.default_rng(0).permutation(of_it) if len(of_it) > most else of_it
        return split.take(np.asarray(order[:most], np.int64))

    new = part(dataset.train, new=True, most=MOST)
    held_out = [part(one, new=True, most=MOST) for one in (dataset.val, dataset.test)]
    if len(new) < FEWEST or sum(map(len, held_out)) < FEWEST_HELD_OUT:
        return None
    some = [features(one) for one in held_out if len(one)]
    return learning_curve(
        features(part(dataset.train, new=False, most=MOST)),
        features(new),
        (np.concatenate([x for x, _ in some]), np.concatenate([y for _, y in some])),
        new.moments,
    )
