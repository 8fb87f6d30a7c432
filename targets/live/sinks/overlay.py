"""Labels and figures drawn onto a frame."""

from edgecnn.opencv import opencv
from edgecnn.preprocessing import Frame
from edgecnn.targets.prediction import Prediction

LINES = 3
WHITE = (255, 255, 255)


def draw(image: Frame, prediction: Prediction) -> Frame:
    """A copy of a BGR frame with the best classes, the decision, age and drops on it."""
    cv2 = opencv()
    canvas: Frame = image.copy()
    if canvas.ndim == 2:
        canvas = cv2.cvtColor(canvas, cv2.COLOR_GRAY2BGR)
    if prediction.region:
        rows, columns = prediction.region.rows_and_columns(canvas)
        cv2.rectangle(canvas, (columns.start, rows.start), (columns.stop - 1, rows.stop - 1), WHITE)
    # Text sized to the frame, so that it can be read on 176 and on 3840 columns.
    scale = max(0.35, min(canvas.shape[:2]) / 720)
    thickness = max(1, round(scale * 1.5))
    step = round(32 * scale)
    said = lines(prediction)
    band = canvas[: step * len(said) + step // 2]
    band //= 3  # white text must be readable on a white wall
    for row, line in enumerate(said, start=1):
        # OpenCV 4's fonts know ASCII only.
        text = line.encode("ascii", "replace").decode()
        cv2.putText(
            canvas,
            text,
            (step // 2, row * step),
            cv2.FONT_HERSHEY_SIMPLEX,
            scale,
            WHITE,
            thickness,
            cv2.LINE_AA,
        )
    return canvas


def lines(prediction: Prediction) -> list[str]:
    """What is written: the decision if there is one, the best classes, figures."""
    found = [f"{top.probability:6.1%}  {top.label}" for top in prediction.top[:LINES]]
    if prediction.decision:
        found.insert(0, f"= {prediction.decision.answer}")
    elif prediction.held is not None or prediction.answer != prediction.label:
        # The most probable label need not be one that holds.
        found.insert(0, prediction.answer)
    latency = prediction.latency_ms
    return [
        *found,
        f"{latency.inference:.1f} ms inference, age {latency.age:.0f} ms, "
        f"{prediction.dropped} dropped",
    ]
