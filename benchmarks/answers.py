"""Every engine's answers on pictures: what the benchmarks of what answers are worth begin with."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecnn.bundle import Bundle
from edgecnn.export.evaluate import load
from edgecnn.targets.engines import runtimes

THREADS = 2


@dataclass(frozen=True)
class Answered:
    """What an artifact gave, picture by picture."""

    runtime: str
    format: str
    values: np.ndarray
    """The engine's own probabilities, (count, outputs)."""
    features: np.ndarray | None
    """(count, features), where it gives any."""


def labelled(source: str, bundle: Bundle) -> tuple[np.ndarray, Any]:
    """What `edgecnn evaluate` would take: uint8 pictures (count, H, W, C), and what they show."""
    pictures = load(source, bundle)
    return np.concatenate([*pictures.chunks()]), pictures.truths


def answers(bundle: Bundle, images: np.ndarray) -> Iterator[Answered]:
    """Of uint8 pictures (count, H, W, C), by each engine that is here."""
    for name in runtimes.RUNTIMES:
        runtime = runtimes.get(name)
        if runtime.format not in bundle.artifacts:
            continue
        session = runtime.open(bundle.model_file(runtime.format), THREADS)
        features: Any = np.empty((len(images), session.features), np.float32)
        values = np.stack(
            [
                session.infer(image[None], features[n] if session.features else None)
                for n, image in enumerate(images)
            ]
        )
        yield Answered(name, runtime.format, values, features if session.features else None)
