"""A window with the live picture."""

import os
import threading

from edgecnn.errors import EdgeCnnError
from edgecnn.opencv import build_has, opencv
from edgecnn.targets.captured import Captured
from edgecnn.targets.live.sinks.overlay import draw
from edgecnn.targets.prediction import Prediction

TITLE = "edgecnn (q ends)"
QUIT = (ord("q"), 27)


class Window:
    """Shows every frame with its answer; `q`, Escape or closing the window sets `stop`."""

    def __init__(self, stop: threading.Event) -> None:
        if not build_has("GUI"):
            raise EdgeCnnError(
                "--show needs an OpenCV with windows, this one is headless: "
                "pip install --force-reinstall opencv-python, or use --record FILE or --jsonl -."
            )
        # Qt aborts the whole process where there is no display, so we have to ask first.
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise EdgeCnnError(
                "--show needs a display and there is none (neither DISPLAY nor WAYLAND_DISPLAY "
                "is set): use --record FILE or --jsonl -, or log in with ssh -X."
            )
        self._stop = stop
        # Qt complains about fonts that the wheel does not bring; it draws none of ours.
        os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")
        self._cv2 = opencv()
        self._cv2.namedWindow(TITLE, self._cv2.WINDOW_AUTOSIZE | self._cv2.WINDOW_GUI_NORMAL)

    def write(self, prediction: Prediction, captured: Captured) -> None:
        """Show one frame."""
        self._cv2.imshow(TITLE, draw(captured.image, prediction))
        key = self._cv2.waitKey(1) & 0xFF
        visible = self._cv2.getWindowProperty(TITLE, self._cv2.WND_PROP_VISIBLE)
        if key in QUIT or visible < 1:
            self._stop.set()

    def close(self) -> None:
        """Close the window."""
        self._cv2.destroyAllWindows()
