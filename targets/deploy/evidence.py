"""Pictures that neither network has learned from, and which of the two is right on each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from edgecnn import estimate, inbox, labels_csv
from edgecnn.bundle import Bundle
from edgecnn.checkpoint import Checkpoint, origin_of
from edgecnn.data import open_source
from edgecnn.data.places import Places
from edgecnn.errors import DataError, RuntimeUnavailable
from edgecnn.inbox import Kept
from edgecnn.labels_csv import LABELS_CSV, NONE_OF_MINE
from edgecnn.paired import Paired
from edgecnn.pictures import SEVERAL, labelled_pictures, moment_digest
from edgecnn.preprocessing import Frame
from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.deploy.judging import Bounds, Settled
from edgecnn.targets.engines import runtimes

HELD_OUT, STREAM = "held-out pictures", "stream frames"


@dataclass(frozen=True)
class Evidence:
    """What a candidate has to be better on."""

    data: tuple[str, ...] = ()
    """Labelled pictures, as `train` takes them: those that it was trained on are left out."""
    inboxes: tuple[Path, ...] = ()
    """Frames of boards: of those of the random stream, the labelled ones."""
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True)
class Answered:
    """Which network was right, on which pictures."""

    sets: dict[str, Paired]
    settled: Settled
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """A labelled picture."""

    digest: bytes
    moment: bytes
    label: str
    frame: Callable[[], Frame]


def ask(present: Path, candidate: Path, evidence: Evidence) -> Answered:
    """Have two bundles look at the evidence here, in the same engine.

    Raises `DataError` where there is none, or where it is not known what the candidate was trained
    on, and what `load` raises.
    """
    old, new = both(present, candidate)
    learned, notes = _learned(new.bundle)
    answers = _Answers(old, new)
    sets: dict[str, Paired] = {}
    pictures = [one for source in evidence.data for one in _pictures(source)]
    fresh = {one.digest: one for one in pictures if not _seen(one, learned)}
    if left_out := len({one.digest for one in pictures}) - len(fresh):
        notes.append(f"{left_out:,} pictures of --data were trained on, and are left out")
    if fresh:
        shown = list(fresh.values())
        before, after = answers.right(shown)
        sets[HELD_OUT] = Paired.of(before, after, [one.label for one in shown])
    settled = Settled()
    stream: list[tuple[Shown, float]] = []
    for folder in evidence.inboxes:
        labelled = {one.digest: one for one in _pictures(str(folder))}
        frames = inbox.read(folder)
        usable, waiting = _of_stream(folder, frames, labelled, learned)
        stream += usable
        if waiting:
            notes.append(
                f"{waiting:,} labelled frames of {folder} wait for those before them, which have "
                "no label or a disputed one: `edgecnn label` shows them in their order under Random"
            )
        settled = _settled(frames, labelled, answers, settled)
    if stream:
        shown = [one for one, _ in stream]
        before, after = answers.right(shown)
        inclusion = [probability for _, probability in stream]
        sets[STREAM] = Paired.of(before, after, [one.label for one in shown], inclusion)
    if not sets:
        raise DataError(
            "There is nothing to judge by: of the pictures given all were trained on, and no frame "
            "of the random stream that was not has a label."
        )
    return Answered(sets, settled, tuple(notes))


def both(present: Path, candidate: Path) -> tuple[Classifier, Classifier]:
    """Two bundles in the first engine that runs here and that both have a model for."""
    formats = [set(Bundle.load(path).artifacts) for path in (present, candidate)]
    reasons = []
    for name in runtimes.RUNTIMES:
        if runtimes.get(name).format not in formats[0] & formats[1]:
            continue
        try:
            return load(present, name), load(candidate, name)
        except RuntimeUnavailable as error:
            reasons.append(str(error))
    raise RuntimeUnavailable(
        f"No engine here runs both bundles, to compare them. {' '.join(reasons)}"
    )


class _Answers:
    """What each network is right on; each picture is looked at once."""

    def __init__(self, old: Classifier, new: Classifier) -> None:
        self._old, self._new = old, new
        self._known: dict[bytes, tuple[bool, bool]] = {}

    def right(self, pictures: Sequence[Shown]) -> tuple[list[bool], list[bool]]:
        """Of each picture, whether the old network is right and whether the new one is."""
        for one in pictures:
            if one.digest not in self._known:
                self._known[one.digest] = self._look(one)
        both = [self._known[one.digest] for one in pictures]
        return [old for old, _ in both], [new for _, new in both]

    def _look(self, shown: Shown) -> tuple[bool, bool]:
        frame, truth = shown.frame(), {one for one in shown.label.split(SEVERAL) if one}
        old, new = (set(one(frame).labels) == truth for one in (self._old, self._new))
        return old, new


def _learned(bundle: Bundle) -> tuple[frozenset[bytes], list[str]]:
    """What a candidate was trained on, with the networks that it went on from."""
    if "training" not in bundle.manifest:
        return frozenset(), [
            "what the new bundle was trained on is not known, since no run of edgecnn led to it: "
            "the pictures must be ones that it has not seen"
        ]
    try:
        run = Checkpoint.load(origin_of(bundle))
    except DataError as error:
        raise DataError(f"What {bundle.path} was trained on is not known: {error}") from None
    if run.weights().sha256 != bundle.weights.sha256:
        raise DataError(f"{run.path} is not the run that {bundle.path} was exported from.")
    return Places.load(run.path).learned, []


def _seen(one: Shown, learned: frozenset[bytes]) -> bool:
    return one.digest in learned or one.moment in learned


def _pictures(source: str) -> Iterator[Shown]:
    """All of a folder; of a data set its test split, or all of it where it has none of its own."""
    path = Path(source).expanduser()
    if path.exists() and not (path / "train").is_dir():
        for picture in labelled_pictures(path, empty_labels=True):
            digest = bytes.fromhex(picture.sha256)
            at = picture.moment
            key = digest if at is None else moment_digest(at)
            yield Shown(digest, key, picture.label or "", picture.read)
        return
    data = open_source(source)
    split = data.test
    for index, (digest, moment) in enumerate(zip(split.digests, split.moments, strict=True)):
        label = data.labels[split.targets[index]]
        yield Shown(digest, moment, label, partial(split.frames.__getitem__, index))


def _of_stream(
    folder: Path,
    frames: Sequence[Kept],
    labelled: dict[bytes, Shown],
    learned: frozenset[bytes],
) -> tuple[list[tuple[Shown, float]], int]:
    """The frames of a random stream that may be used, each with its inclusion.

    And how many more are labelled, behind one that is not: see `estimate.known_in_order`.
    """
    said: dict[str, set[str]] = {}
    for row in labels_csv.rows(folder / LABELS_CSV):
        said.setdefault(row.file, set()).add(row.label)
    known: list[tuple[str, tuple[Shown, float] | None]] = []
    for kept in frames:
        digest = bytes.fromhex(kept.sha256)
        moment = moment_digest(labels_csv.moment_of(kept.board or "", kept.moment))
        if not kept.random or {digest, moment} & learned:
            continue
        shown = labelled.get(digest)
        if shown is not None:
            known.append((kept.sha256, (shown, kept.inclusion or 1.0)))
        elif said.get(kept.file) != {NONE_OF_MINE}:
            # Not labelled, or disputed, as hard ones are: without them the others would flatter.
            known.append((kept.sha256, None))
    usable = estimate.known_in_order(known)
    return usable, sum(one is not None for _, one in known) - len(usable)


def _settled(
    frames: Sequence[Kept], labelled: dict[bytes, Shown], answers: _Answers, before: Settled
) -> Settled:
    kept = [bytes.fromhex(one.sha256) for one in frames if one.why == "shadow"]
    old, new = answers.right([labelled[digest] for digest in kept if digest in labelled])
    return Settled(before.frames + len(old), before.old + sum(old), before.new + sum(new))
