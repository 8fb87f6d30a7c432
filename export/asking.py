"""What several networks answer to many pictures: each runtime that is here, and the float one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.bundle import MANIFEST, Bundle, file_sha256
from edgecnn.errors import RuntimeUnavailable
from edgecnn.export.accuracy import Truths
from edgecnn.export.float_network import found_float
from edgecnn.export.kept_answers import KeptAnswers
from edgecnn.export.manifest import versions
from edgecnn.export.network import Network
from edgecnn.export.reuse import source_sha256
from edgecnn.export.verify import reference as reference_answers
from edgecnn.file_array import FileArray
from edgecnn.preparation import CHUNK, all_prepared, prepared_chunks
from edgecnn.preprocessing import Frame, Preprocessing
from edgecnn.targets.board.target import detect
from edgecnn.targets.engines import runtimes
from edgecnn.targets.engines.loading import check_ends, prove
from edgecnn.targets.engines.sessions import Sessions

Chunk = tuple[int, NDArray[np.uint8]]
"""Its number, and pictures (some, H, W, C)."""
Progress = Callable[[int, int], None]
"""Told how many pictures of how many are answered."""


@dataclass(frozen=True)
class Labelled:
    """Pictures that become a bundle's input when they are asked for, and what they show."""

    source: str
    truths: Truths
    frame: Callable[[int], Frame]
    """Each picture, by its place."""
    preprocessing: Preprocessing

    def chunks(self) -> Iterator[NDArray[np.uint8]]:
        """From the first picture on, uint8 (some, H, W, C)."""
        return prepared_chunks(self.frame, len(self.truths), self.preprocessing)

    def at(self, places: Sequence[int]) -> NDArray[np.uint8]:
        """Those at some places, in their order, (count, H, W, C)."""
        return all_prepared(
            lambda index: self.frame(places[index]), len(places), self.preprocessing
        )


@dataclass(frozen=True)
class Networks:
    """A bundle in every runtime that is here, and the float network it was made from."""

    bundle: Bundle
    engines: tuple[Sessions, ...]
    float_network: Network | None

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        notes: list[str],
        *,
        reference: bool | Path | str,
        threads: int,
        self_check: bool,
    ) -> "Networks":
        """Raises `RuntimeUnavailable` where no runtime is here; what is not is said in `notes`."""
        engines = tuple(_engines(bundle, threads, notes, self_check))
        if not engines:
            raise RuntimeUnavailable(f"No engine here runs {bundle.path}. {' '.join(notes)}")
        return cls(bundle, engines, found_float(bundle, notes, reference) if reference else None)

    def __len__(self) -> int:
        return len(self.engines) + (self.float_network is not None)

    def answers(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """What each gives of uint8 pictures (count, H, W, C): (count, outputs); the float last."""
        found = [np.stack([*engine.answers(images)]) for engine in self.engines]
        if self.float_network is not None:
            added = self.bundle.manifest.get("head_added")
            found.append(reference_answers(self.float_network, images, added))
        return found

    @property
    def identity(self) -> dict[str, Any]:
        """All that the answers depend on beside the pictures."""
        network = self.float_network
        return {
            "bundle": file_sha256(self.bundle.path / MANIFEST),
            "engines": [[e.name, e.first.engine, e.first.threads] for e in self.engines],
            "float": None if network is None else network.weights.sha256,
            "versions": versions(),
            "source": source_sha256(),
        }


@dataclass(frozen=True)
class Asked:
    """What they answered, `(count, outputs)` each, in a file."""

    expected: FileArray | None
    """Of the float network; None where it is not here."""
    answers: dict[str, FileArray]
    """By the runtime's name."""


def ask(
    bundle: Bundle,
    pictures: Labelled,
    notes: list[str],
    *,
    reference: bool | Path | str = True,
    threads: int | None = None,
    self_check: bool = True,
    ray: str | None = None,
    progress: Progress = lambda done, count: None,  # noqa: ARG005
) -> Asked:
    """What the float network gives of pictures, and every runtime that is here.

    With the address of a `ray` cluster its nodes are asked. If this is interrupted, it goes on from
    there when it is called again for the very same. What is not here is said in `notes`; raises
    `RuntimeUnavailable` where no runtime is.
    """
    threads = threads or detect().threads
    networks = Networks.open(
        bundle, notes, reference=reference, threads=threads, self_check=self_check
    )
    count, outputs = len(pictures.truths), bundle.head.outputs(len(bundle.labels))
    of, answered = [pictures.source, networks.identity], 0

    def told(more: int) -> None:
        nonlocal answered
        answered += more
        progress(answered, count)

    def missing() -> Iterator[Chunk]:
        for number, images in enumerate(pictures.chunks()):
            if kept.has(number, images):
                told(len(images))
            else:
                yield number, images

    with KeptAnswers.open(of, len(networks), count, outputs, CHUNK, notes) as kept:
        for (number, images), answers in _answered(networks, missing(), threads, ray):
            kept.keep(number, images, answers)
            told(len(images))
    by_name = dict(zip((engine.name for engine in networks.engines), kept.answers, strict=False))
    return Asked(kept.answers[-1] if networks.float_network is not None else None, by_name)


def _answered(
    networks: Networks, chunks: Iterator[Chunk], threads: int, ray: str | None
) -> Iterator[tuple[Chunk, list[NDArray[np.float32]]]]:
    if ray is not None:
        from edgecnn.export.asking_on_ray import answers

        return answers(networks, chunks, threads, ray)
    return ((chunk, networks.answers(chunk[1])) for chunk in chunks)


def _engines(
    bundle: Bundle, threads: int, notes: list[str], self_check: bool
) -> Iterator[Sessions]:
    """The bundle in each runtime that is here, with a note for each that is not."""
    for name in runtimes.RUNTIMES:
        runtime = runtimes.get(name)
        if runtime.format not in bundle.artifacts:
            continue
        try:
            sessions = Sessions.open(runtime, bundle.model_file(runtime.format), threads)
            check_ends(bundle, sessions.first)
            if self_check:
                prove(bundle, name, sessions.first)
        except RuntimeUnavailable as error:
            notes.append(str(error))
        else:
            yield sessions
