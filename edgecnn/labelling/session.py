"""What the page shows and does, apart from HTTP: which frames next, what is known by now."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from edgecnn import estimate
from edgecnn.errors import DataError
from edgecnn.estimate import Estimate
from edgecnn.labelling.index import TOGETHER, Index
from edgecnn.labelling.labels import Labels
from edgecnn.labels_csv import NONE_OF_MINE
from edgecnn.pictures import SEVERAL

View = Literal["alike", "random", "second", "disputed", "labelled"]
VIEWS: tuple[View, ...] = get_args(View)
"""Alike frames that nobody labelled; the random stream in its order; alike ones that only others
labelled; disputes; what is done already."""
SUGGESTED = 3


class Session:
    """One inbox that is being labelled; its methods may be called from several threads."""

    def __init__(
        self, folder: Path, index: Index, labels: Labels, *, classes: Sequence[str] = (), by: str
    ) -> None:
        """`classes` can be chosen from the start; `by` is who labels, unless they say otherwise."""
        self.folder = folder
        self._index, self._labels, self._by = index, labels, by
        answered = {one for kept in index.frames for one in (kept.label, *kept.probabilities)}
        self._classes = tuple(classes) or tuple(answered - {""})
        self._place = {kept.file: place for place, kept in enumerate(index.frames)}
        self._stream = sorted(
            (place for place, kept in enumerate(index.frames) if kept.random),
            key=lambda place: index.frames[place].sha256,
        )
        self._change = threading.Lock()

    def has(self, file: str) -> bool:
        """Whether a frame is one of the inbox."""
        return file in self._place

    def state(self) -> dict[str, Any]:
        """Classes with how many frames each has, how far it is, and the accuracy if it is known."""
        with self._change:
            labels, frames = self._labels, self._index.frames
            counts, found = labels.counts(), self._accuracy()
            names = sorted({*self._classes, *counts})
            return {
                "classes": [{"label": name, "count": counts[name]} for name in names],
                "none": NONE_OF_MINE,
                "frames": len(frames),
                "labelled": len(labels.files),
                "disputed": len(labels.disputed),
                "random": len(self._stream),
                "random_labelled": sum(frames[p].file in labels.files for p in self._stream),
                "by": self._by,
                "accuracy": None if found is None else vars(found),
            }

    def group(self, view: View, after: int, by: str) -> dict[str, Any]:
        """The next group behind `after` with a frame for this person to label; then from the start.

        Without `frames` where there is none left.
        """
        with self._change:
            groups = list(self._groups(view))
            first = min(max(0, after + 1), len(groups))
            order = [*range(first, len(groups)), *range(first)]
            for number in order:
                if places := [place for place in groups[number] if self._wanted(view, place, by)]:
                    return {
                        "group": number,
                        "frames": [self._shown(place, by) for place in places],
                        "suggestions": self._suggestions(places),
                    }
            return {"group": -1, "frames": [], "suggestions": []}

    def give(self, files: Sequence[str], label: str, by: str, view: View) -> None:
        """Take a person's label of these frames; raises what `Labels.give` raises."""
        with self._change:
            self._labels.give(files, label, by, settles=view == "disputed")

    def undo(self, by: str, view: View) -> dict[str, int]:
        """Take back this person's last labels; of how many frames, and the first one's group."""
        with self._change:
            places = {self._place[file] for file in self._labels.undo(by)}
            groups = enumerate(self._groups(view))
            first = (number for number, group in groups if not places.isdisjoint(group))
            return {"undone": len(places), "group": next(first, 0)}

    def _groups(self, view: View) -> Iterator[Sequence[int]]:
        if view in ("alike", "second"):
            yield from self._index.groups
            return
        if view == "random":
            # In the order in which an estimate may rest on them: see `estimate.known_in_order`.
            places = self._stream
        elif view == "disputed":
            places = sorted(map(self._place.__getitem__, self._labels.disputed))
        else:
            done = sorted(self._labels.files, key=lambda file: self._labels.truth(file) or "")
            places = list(map(self._place.__getitem__, done))
        for start in range(0, len(places), TOGETHER):
            yield places[start : start + TOGETHER]

    def _wanted(self, view: View, place: int, by: str) -> bool:
        said = self._labels.of(self._file(place))
        if view in ("alike", "random"):
            return not said
        return view != "second" or (bool(said) and by not in said)

    def _file(self, place: int) -> str:
        return self._index.frames[place].file

    def _shown(self, place: int, by: str) -> dict[str, Any]:
        kept, answer = self._index.frames[place], self._index.answers[place]
        said = self._labels.of(kept.file)
        return {
            "file": kept.file,
            "label": answer.label,
            "probability": round(answer.probability, 4),
            "why": kept.why,
            "time": kept.time,
            "board": kept.board,
            "mine": said.get(by),
            "others": {who: label for who, label in said.items() if who != by},
        }

    def _suggestions(self, places: Sequence[int]) -> list[str]:
        """What the network and others say of these frames, most probable first."""
        sums: dict[str, float] = {}
        for place in places:
            kept, answer = self._index.frames[place], self._index.answers[place]
            said = {answer.label: answer.probability}
            if answer.label == kept.label:
                said = {**kept.probabilities, **said}
            for label in self._labels.of(kept.file).values():
                said[label] = said.get(label, 0.0) + 1
            for label, weight in said.items():
                sums[label] = sums.get(label, 0.0) + weight
        return sorted((one for one in sums if one), key=lambda one: -sums[one])[:SUGGESTED]

    def _accuracy(self) -> Estimate | None:
        """How often the network is right on frames that show a class; None while nothing tells.

        Of answers that came with the frames, those of the newest network.
        """
        frames = self._index.frames
        known = estimate.known_in_order(
            (frames[place].sha256, self._judged(place))
            for place in self._stream
            if self._index.bundle in (None, frames[place].bundle)
        )
        judged = [(right, inclusion) for right, inclusion in known if right is not None]
        return estimate.share(*zip(*judged, strict=True)) if judged else None

    def _judged(self, place: int) -> tuple[bool | None, float] | None:
        """Whether the answer is right (None: the frame shows no class), with its inclusion."""
        kept, truth = self._index.frames[place], self._labels.truth(self._file(place))
        if truth is None or kept.inclusion is None:
            return None
        if truth == NONE_OF_MINE:
            return None, kept.inclusion
        right = set(truth.split(SEVERAL)) == set(self._index.answers[place].label.split(SEVERAL))
        return right, kept.inclusion


def view_of(word: str) -> View:
    """One of `VIEWS`; raises `DataError` for any other word."""
    for view in VIEWS:
        if view == word:
            return view
    raise DataError(f"{word!a:.40} is no view: known are {', '.join(VIEWS)}.")
