"""Frames of an inbox by what they look like: groups of alike ones, to be labelled at once."""

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecnn.calibration.features import look
from edgecnn.errors import DataError
from edgecnn.inbox import Kept
from edgecnn.opencv import opencv
from edgecnn.pictures import SEVERAL, Picture
from edgecnn.targets.classifier import Classifier
from edgecnn.targets.live.collecting.made import made_of
from edgecnn.whole_pictures import broken as find_broken

log = logging.getLogger(__name__)

CACHE = ".index.npz"
TOGETHER = 24
"""Frames in a group: what a person takes in at a glance."""
DIMENSIONS = 32
"""Of what groups are made by; the others are noise, and cost time."""
CHUNK = 64
Vectors = NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Told how many frames of how many were looked at."""


@dataclass(frozen=True)
class Answer:
    """What a network says of a frame."""

    label: str
    probability: float


@dataclass(frozen=True)
class Index:
    """The frames, what is answered for each, and the groups, the least sure first."""

    frames: tuple[Kept, ...]
    answers: tuple[Answer, ...]
    groups: tuple[tuple[int, ...], ...]
    """Places of frames."""
    bundle: str | None = None
    """The newest of several whose answers these are; None: one network answered for all."""


def build(
    folder: Path,
    frames: Sequence[Kept],
    classifier: Classifier | None = None,
    progress: Progress | None = None,
) -> Index:
    """Look at every frame, by a network where one is given, else at its colours.

    What was looked at before is kept beside the frames. Broken pictures are left out, with a word
    on the log. Raises `DataError` where nothing is left.
    """
    by = classifier.bundle.version if classifier else "look"
    vectors, answers = _load(folder / CACHE, by)
    new = [kept for kept in frames if kept.file not in vectors]
    for start in range(0, len(new), CHUNK):
        chunk = new[start : start + CHUNK]
        try:
            found = _looked(folder, chunk, classifier)
        except DataError:
            broken = find_broken([Picture(folder / kept.file) for kept in chunk])
            chunk = [kept for kept in chunk if folder / kept.file not in broken]
            found = _looked(folder, chunk, classifier)
        for kept, vector, answer in zip(chunk, *found, strict=True):
            vectors[kept.file], answers[kept.file] = vector, answer
        if progress:
            progress(min(start + CHUNK, len(new)), len(new))
    frames = [kept for kept in frames if kept.file in vectors]
    if left_out := [kept.file for kept in new if kept.file not in vectors]:
        log.warning(
            "edgecnn: left out: %d frames that are no whole pictures, the first %s.",
            *(len(left_out), folder / left_out[0]),
        )
    if not frames:
        raise DataError(f"{folder} holds no whole picture.")
    if new:
        _save(folder / CACHE, by, vectors, answers)
    said = tuple(answers[kept.file] for kept in frames)
    rows = np.array([vectors[kept.file] for kept in frames], np.float32)
    # By the order in which they were kept: a board without a clock of its own begins anew in time.
    newest = None if classifier else frames[-1].bundle
    return Index(tuple(frames), said, tuple(_groups(rows, said)), newest)


def _looked(
    folder: Path, frames: Sequence[Kept], classifier: Classifier | None
) -> tuple[Sequence[Vectors], list[Answer]]:
    pictures = [Picture(folder / kept.file) for kept in frames]
    if classifier is None:
        said = [Answer(kept.label, kept.probability) for kept in frames]
        return (list(look(pictures)) if pictures else []), said
    rows, answers = [], []
    for picture in pictures:
        prediction = classifier(picture.read())
        rows.append(made_of(classifier, prediction))
        answers.append(Answer(SEVERAL.join(prediction.labels), prediction.probability))
    return rows, answers


def _groups(rows: Vectors, answers: Sequence[Answer]) -> list[tuple[int, ...]]:
    """Frames of one answer that are near each other, at most about `TOGETHER` of them."""
    members: dict[str, list[int]] = defaultdict(list)
    for place, answer in enumerate(answers):
        members[answer.label].append(place)
    found: list[tuple[int, ...]] = []
    for places in members.values():
        found += _near(rows, np.array(places))
    sure = [np.mean([answers[place].probability for place in group]) for group in found]
    return [found[i] for i in np.argsort(sure, kind="stable").tolist()]


def _near(rows: Vectors, places: NDArray[np.int64]) -> list[tuple[int, ...]]:
    count = math.ceil(len(places) / TOGETHER)
    if count < 2:
        return [tuple(places.tolist())]
    cv2, own = opencv(), rows[places]
    cv2.setRNGSeed(0)
    if own.shape[1] > DIMENSIONS and len(own) > DIMENSIONS:
        mean, axes = cv2.PCACompute(own, mean=None, maxComponents=DIMENSIONS)
        own = cv2.PCAProject(own, mean, axes)
    ends = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 10, 1e-3)
    _, of, centres = cv2.kmeans(own, count, None, ends, 1, cv2.KMEANS_PP_CENTERS)
    found = []
    for number, centre in enumerate(centres):
        mine = np.flatnonzero(of[:, 0] == number)
        apart = np.linalg.norm(own[mine] - centre, axis=1)
        mine = places[mine[np.argsort(apart, kind="stable")]]
        # Many that are all the same make one group too many to look at.
        parts = max(1, math.ceil(len(mine) / (2 * TOGETHER)))
        found += [tuple(part.tolist()) for part in np.array_split(mine, parts) if len(part)]
    return found


def _load(path: Path, by: str) -> tuple[dict[str, Vectors], dict[str, Answer]]:
    """What was looked at before, by the same means; nothing where that cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as found:
            if str(found["by"]) != by:
                return {}, {}
            files, rows = found["files"].tolist(), found["rows"].astype(np.float32)
            said = zip(found["labels"].tolist(), found["probabilities"].tolist(), strict=True)
            answers = dict(zip(files, (Answer(*one) for one in said), strict=True))
            return dict(zip(files, rows, strict=True)), answers
    except (OSError, KeyError, ValueError, TypeError):
        return {}, {}  # made anew: it holds nothing that is not in the frames


def _save(path: Path, by: str, vectors: dict[str, Vectors], answers: dict[str, Answer]) -> None:
    part = path.with_name(f"{path.stem}.part.npz")
    np.savez(
        part,
        by=np.array(by),
        files=np.array(list(vectors)),
        rows=np.array(list(vectors.values()), np.float16),
        labels=np.array([answers[file].label for file in vectors]),
        probabilities=np.array([answers[file].probability for file in vectors]),
    )
    part.replace(path)
