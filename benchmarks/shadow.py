"""What `run --shadow` costs the live loop, and whether it keeps within its share of a core.

    edgecnn export efficientnet_lite0 --int8 --weights random
    edgecnn export mobilenet_v2 --int8 --weights random
    python -m benchmarks.shadow exports/efficientnet_lite0-int8 exports/mobilenet_v2-int8 FILM

A camera of 640x480 at 30 frames a second shows the film, as in `benchmarks.collecting`. It is
classified in turns without and with the candidate beside, in an order drawn anew for each round.
Printed is a frame's time from its capture to when the loop is done with it: p50 and p99, and the
median over rounds of their ratio to the turn without, with its 95% interval from drawing rounds at
random; how much of a core the candidate's thread took, by the kernel; and how many frames it saw.
"""

import argparse
import os
import random
import time
from pathlib import Path

import numpy as np
import psutil

from benchmarks.collecting import FIRST, Film, frames_of, ratio
from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.live.loop import LiveOptions, follow
from edgecnn.targets.live.shadow import DEFAULT_SHARE, Shadow
from edgecnn.targets.live.stopping import Stop


def turn(
    classifier: Classifier, source: Film, seconds: float, shadow: Shadow | None
) -> tuple[list[float], int]:
    """The frames' times in milliseconds, and how many of them the candidate saw."""
    times, seen = [], 0
    until = time.monotonic() + seconds
    for prediction, captured in follow(
        source, classifier, LiveOptions(), frames=None, stop=Stop(), shadow=shadow
    ):
        times.append((time.perf_counter() - captured.clock) * 1e3)
        seen = prediction.shadow.frames if prediction.shadow else 0
        if time.monotonic() > until:
            break
    return times[FIRST:], seen


def threads() -> dict[int, float]:
    """Processor seconds of each thread of this process so far."""
    found = psutil.Process().threads()
    return {thread.id: thread.user_time + thread.system_time for thread in found}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("candidate", type=Path)
    parser.add_argument("film", type=Path)
    parser.add_argument("--runtime", default="litert", help="litert, onnxruntime or openvino")
    parser.add_argument("--share", type=float, default=DEFAULT_SHARE, help="of a core")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5, help="of each turn")
    given = parser.parse_args()
    classifier = load(given.bundle, given.runtime, threads=1)
    candidate = load(given.candidate, given.runtime, threads=1)
    frames, order = frames_of(given.film), random.Random(0)
    found: dict[bool, list[list[float]]] = {False: [], True: []}
    shares, looked, passed = [], 0, 0
    for _ in range(given.rounds):
        for beside in order.sample([False, True], 2):
            source, before = Film(frames, paced=True), threads()
            shadow = Shadow(candidate, given.share) if beside else None
            begun = time.perf_counter()
            times, seen = turn(classifier, source, given.seconds, shadow)
            found[beside].append(times)
            if shadow is not None:
                wall, after = time.perf_counter() - begun, threads()
                shadow.close()
                new = after.keys() - before.keys() - {os.getpid()}
                shares.append(sum(after[one] for one in new) / wall)
                looked, passed = looked + seen, passed + len(times) + FIRST
    print(f"shadow: {candidate.bundle.name} beside {classifier.bundle.name}, {given.share:.0%}")
    for percent in (50, 99):
        both = [np.percentile(np.concatenate(found[one]), percent) for one in (False, True)]
        print(
            f"  p{percent}: {both[0]:.2f} ms, with --shadow {both[1]:.2f} ms; "
            f"{ratio(found[False], found[True], percent)}"
        )
    print(
        f"  it took {np.mean(shares):.1%} of a core, {np.max(shares):.1%} at most in a turn, and "
        f"saw {looked} of {passed} frames"
    )


if __name__ == "__main__":
    main()
