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
    lines = [f"{top.probability:6.1%}  {top.label}" for top in prediction.top[:LINES]]
    latency = prediction.latency_ms
    if prediction.decision:
        lines.insert(0, f"= {prediction.decision.answer}")
    elif prediction.held is not None:
        # The most probable label need not be one that holds.
        lines.insert(0, prediction.answer)
    lines.append(
        f"{latency.inference:.1f} ms inference, age {latency.age:.0f} ms, "
        f"{prediction.dropped} dropped"
    )
    band = canvas[: step * len(lines) + step // 2]
    band //= 3  # white text must be readable on a white wall
    for row, line in enumerate(lines, start=1):
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
