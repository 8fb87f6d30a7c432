"""`edgecnn run` as the soak has it: an engine that fails at random, and a clock that jumps.

    python benchmarks/soak_run.py '{"bundle": ..., "source": ..., "outputs": {...}, "seed": 0}'

Otherwise it is the command's own loop. Started by `benchmarks/soak.py`.
"""

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgecnn.errors import RuntimeUnavailable
from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.engines.session import Session
from edgecnn.targets.live import runner
from edgecnn.targets.live.loop import LiveOptions
from edgecnn.targets.live.outputs import Outputs
from edgecnn.targets.live.runner import run

FAILS = 1 / 300
"""Of the frames, up to three in a row."""
JUMPS_S, FARTHEST_S = 60.0, 86_400.0
"""How often the clock is set, and how far from the right time at most."""


class Unreliable:
    """An engine that fails on some frames, once it has shown itself right."""

    def __init__(self, session: Session, chance: random.Random) -> None:
        self._session, self._chance, self._left = session, chance, 0
        self.engine, self.threads = session.engine, session.threads
        self.input_shape, self.classes = session.input_shape, session.classes
        self.features = session.features

    def infer(self, image: np.ndarray, features: np.ndarray | None = None) -> np.ndarray:
        """As the engine, or `RuntimeUnavailable`."""
        if not self._left and self._chance.random() < FAILS:
            self._left = self._chance.randint(1, 3)
        if self._left:
            self._left -= 1
            raise RuntimeUnavailable("the soak makes it fail")
        return self._session.infer(image, features)


def jumping_clock(chance: random.Random) -> None:
    """Set `time.time` to another time now and then, as a board does that finds its time server."""
    right, offset, next_at = time.time, 0.0, time.monotonic() + JUMPS_S

    def jumping() -> float:
        nonlocal offset, next_at
        if time.monotonic() > next_at:
            next_at = time.monotonic() + chance.expovariate(1 / JUMPS_S)
            offset = chance.uniform(-FARTHEST_S, FARTHEST_S)
        return right() + offset

    time.time = jumping


def main() -> None:
    """Run until SIGTERM."""
    given = json.loads(sys.argv[1])
    chance = random.Random(given["seed"])
    wanted: dict[str, Any] = {
        name: Path(value) if name in ("record", "snapshots") else value
        for name, value in given["outputs"].items()
    }

    def load_unreliable(*words: Any, **options: Any) -> Classifier:
        classifier = load(*words, **options)
        classifier.session = Unreliable(classifier.session, chance)
        return classifier

    vars(runner)["load"] = load_unreliable
    jumping_clock(chance)
    sys.exit(
        run(
            given["bundle"],
            given["source"],
            Outputs(**wanted),
            runtime=given["runtime"],
            threads=1,
            options=LiveOptions(timeout_s=2.0),
        )
    )


if __name__ == "__main__":
    main()
