"""A bundle loaded into an engine: frames in, predictions out."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecnn.arguments import at_least
from edgecnn.bundle import Bundle
from edgecnn.opencv import opencv, opencv_ahead
from edgecnn.preprocessing import Frame, FramePreparer
from edgecnn.targets.answer import AnswerOptions, answerer
from edgecnn.targets.board.target import detect
from edgecnn.targets.captured import Captured
from edgecnn.targets.engines import runtimes
from edgecnn.targets.engines.loading import check_ends, load_session
from edgecnn.targets.engines.session import Session
from edgecnn.targets.prediction import Latency, Prediction
from edgecnn.targets.region import Region

if TYPE_CHECKING:
    from edgecnn.signature import TrustedKeys


class Classifier:
    """A network ready to look at frames. One thread at a time: it reuses its buffers."""

    def __init__(
        self,
        bundle: Bundle,
        runtime: str,
        session: Session,
        top: int = 5,
        region: Region | None = None,
        threshold: float | None = None,
        answers: AnswerOptions | None = None,
    ) -> None:
        check_ends(bundle, session)
        self.bundle = bundle
        self.runtime = runtime
        self.session = session
        self.head = bundle.head.with_threshold(threshold)
        self.region = region
        self.format = runtimes.get(runtime).format
        """Which of the bundle's artifacts it runs."""
        self.image = np.empty(bundle.preprocessing.shape, np.uint8)
        """The network's input of the newest frame; valid until the next one."""
        self.features = np.empty(bundle.features, np.float32) if bundle.features else None
        """Those of the newest frame, where the model gives any; valid until the next one."""
        self.prepare = FramePreparer(bundle.preprocessing)
        self._say = answerer(
            bundle, self.format, self.head, min(top, len(bundle.labels)), answers or AnswerOptions()
        )
        opencv()  # imported now, not while the first frame waits

    def __call__(self, frame: Frame) -> Prediction:
        """What is on a frame, uint8 BGR `(height, width, 3)` or grey `(height, width)`.

        The frame is taken as captured at this moment.
        """
        return self.predict(Captured.now(frame, 0))

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The engine's own probabilities `(outputs,)` of a picture already prepared.

        uint8 `(1, H, W, channels)`.
        """
        return self.session.infer(image)

    def predict(self, captured: Captured, asked_at: float | None = None) -> Prediction:
        """What is on a captured frame.

        `asked_at`, on `time.perf_counter`, is when the frame was asked for: what passed since
        then is the time of capture.
        """
        start = time.perf_counter()
        frame = captured.image
        if self.region:
            frame = frame[self.region.rows_and_columns(frame)]
        self.image = image = self.prepare(frame)
        prepared = time.perf_counter()
        outputs = self.session.infer(image, self.features)
        inferred = time.perf_counter()
        said = self._say(outputs, self.features)
        end = time.perf_counter()
        asked_at = start if asked_at is None else asked_at
        return Prediction(
            frame=captured.index,
            captured_at=captured.captured_at,
            top=said.top,
            latency_ms=Latency(
                capture=(start - asked_at) * 1e3,
                preprocess=(prepared - start) * 1e3,
                inference=(inferred - prepared) * 1e3,
                postprocess=(end - inferred) * 1e3,
                total=(end - asked_at) * 1e3,
                age=(end - captured.clock) * 1e3,
            ),
            dropped=captured.dropped,
            held=said.held,
            probabilities=said.probabilities,
            outputs=outputs,
            possible=said.possible,
            familiarity=said.familiarity,
            region=self.region,
        )


def load(
    bundle_dir: Path | str,
    runtime: str = "auto",
    threads: int | None = None,
    *,
    target: str = "auto",
    region: Region | None = None,
    threshold: float | None = None,
    answers: AnswerOptions | None = None,
    self_check: bool = True,
    trusted: "TrustedKeys | None" = None,
) -> Classifier:
    """Open a bundle in an engine.

    `runtime` is a name of `runtimes.RUNTIMES` or `runtimes.ACCELERATED` (or of the format it
    runs), or `auto`: the fastest on this board, see `edgecnn.targets.engines.choice`, which tries
    them the first time. `threads` is by default what was fastest too, or what the target has big
    cores for. `region` is the part of a frame to look at, the whole by default; `threshold` takes
    the place of the bundle's own, where its head has any; `answers` is what is asked of answers
    beside the label. With `self_check` the bundle's golden pictures must get the answers they got
    at export; with `trusted`, one of those keys must have signed it. Raises `BundleError`,
    `SignatureError`, `RuntimeUnavailable`, `UnknownName` or, for `threads` below 1, `EdgeCnnError`.
    """
    runtime = runtimes.canonical(runtime, "auto")
    if threads is not None:
        at_least("threads", threads, 1)
    opencv_ahead()  # while files are hashed, which leaves the interpreter to others
    bundle = Bundle.load(bundle_dir, trusted=trusted)
    board = detect(name=target)
    fastest = None
    if runtime == "auto":
        from edgecnn.targets.engines.choice import choose

        fastest = choose(bundle, board, threads, self_check=self_check)
    threads = threads or (fastest.threads if fastest else board.threads)
    name, session = load_session(
        bundle, board, runtime, threads, fastest=fastest, self_check=self_check
    )
    return Classifier(bundle, name, session, region=region, threshold=threshold, answers=answers)
