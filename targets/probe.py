"""A tiny network in every format, shipped with the package.

It tells which of red, green and blue prevails: 16×16 RGB in, a 3×3 int8 convolution, a global
average pool, a dense layer and a softmax. Running it proves that an engine works on this
machine, and shows what the engine itself needs in memory, on boards that have no tool to make a
model. `tests/targets/make_probe.py` writes the files.
"""

from importlib import resources
from pathlib import Path

from edgecnn.bundle import MODEL_FILES
from edgecnn.errors import RuntimeUnavailable
from edgecnn.targets import runtimes

LABELS = ("red", "green", "blue")
SIDE = 16


def model_file(format: str) -> Path:
    """The probe's file in that format, one of `edgecnn.bundle.FORMATS`."""
    return Path(str(resources.files("edgecnn.targets"))) / "probe" / MODEL_FILES[format][0]


def why_not(runtime: str) -> str | None:
    """Why that runtime cannot be used here, or None once it has classified a red picture."""
    if reason := runtimes.missing(runtime):
        return reason
    import numpy as np

    engine = runtimes.get(runtime)
    picture = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    picture[..., 0] = 255
    try:
        answer = engine.open(model_file(engine.format), threads=1).infer(picture)
    except RuntimeUnavailable as error:
        return str(error)
    if LABELS[int(answer.argmax())] != "red":
        return f"{engine.engine()} answers wrongly on this processor: {answer.tolist()} for red"
    return None
