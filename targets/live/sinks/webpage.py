"""The answers as a web page."""

import logging
import time
from collections.abc import Callable

from edgecnn.errors import require
from edgecnn.targets.board.target import Target
from edgecnn.targets.captured import Captured
from edgecnn.targets.classifier import Classifier
from edgecnn.targets.explanation import Explanation, overlay
from edgecnn.targets.live.pulse import Pulse
from edgecnn.targets.live.web.jpeg import encode
from edgecnn.targets.prediction import Prediction

log = logging.getLogger(__name__)
TEMPERATURE_S = 5.0


class WebPage:
    """Serves picture, labels, figures and metrics at `HOST:PORT`.

    Beyond loopback a token is asked for: EDGECNN_WEB_TOKEN, else a new one that is logged with
    the address.
    """

    def __init__(
        self, address: str, classifier: Classifier, board: Target, pulse: Pulse | None = None
    ) -> None:
        for module, package in (("aiohttp", "aiohttp"), ("prometheus_client", "prometheus-client")):
            require(module, what="--web", package=package, extra="web")
        from edgecnn.targets.live.web.access import Access
        from edgecnn.targets.live.web.jpeg import Encoder
        from edgecnn.targets.live.web.metrics import Metrics
        from edgecnn.targets.live.web.server import Server
        from edgecnn.targets.live.web.status import Status

        described = classifier.bundle.name, classifier.runtime, _now_and_then(board)
        self._status, self._metrics = Status(*described), Metrics(*described)
        self._server = Server(Access.parse(address), self._status, self._metrics, pulse or Pulse())
        self._classifier = classifier
        self._explanation: Explanation | None = None
        self._encoder = Encoder(lambda: self.viewers > 0, self._server.publish_picture)
        log.warning("edgecnn: web page at %s", self._server.url)

    @property
    def url(self) -> str:
        """Where the page is, with its token."""
        return self._server.url

    @property
    def viewers(self) -> int:
        """How many are watching the picture."""
        return self._server.pictures.readers

    @property
    def explains(self) -> bool:
        """Whether somebody wants to see where the network looked."""
        return self._server.explanations.readers > 0

    def write(self, prediction: Prediction, captured: Captured) -> None:
        """Show one answer."""
        self._status.note(prediction)
        self._metrics.note(prediction)
        self._encoder.offer(captured.image, prediction.region)
        if self.explains:
            self._explain(prediction)
        else:
            self._explanation = None

    def _explain(self, prediction: Prediction) -> None:
        """Ask once more with a part covered: a frame is explained over as many as it has parts."""
        if self._explanation is None:
            names = self._classifier.head.names(self._classifier.bundle.labels)
            answer = names.index(prediction.label)
            self._explanation = Explanation(self._classifier.image, answer, self._classifier.head)
        if self._explanation.step(self._classifier.infer):
            found = overlay(self._explanation.image, self._explanation.map)
            self._server.publish_explanation(encode(found, None))
            self._explanation = None

    def close(self) -> None:
        """Stop serving."""
        self._encoder.close()
        self._server.close()


def _now_and_then(board: Target) -> Callable[[], float | None]:
    """The board's temperature, read no more than every five seconds."""
    newest: float | None = None
    read_at = -TEMPERATURE_S

    def temperature() -> float | None:
        nonlocal newest, read_at
        if time.monotonic() - read_at >= TEMPERATURE_S:
            newest, read_at = board.telemetry().temperature_c, time.monotonic()
        return newest

    return temperature
