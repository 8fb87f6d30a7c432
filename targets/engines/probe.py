"""Tiny networks, shipped as bundles, for looking at an engine and not at a model.

`colours` tells which of red, green and blue prevails: running it proves that an engine works on
this machine, and shows what the engine itself takes of memory. `deep` has many small operators:
what it takes more is what an engine keeps for each. `peak` is a convolution that keeps the
processor's multipliers busy. A board has no tools to make a model, so they come with the package;
`tests/targets/engines/make_probes.py` writes them.
"""

from importlib import resources
from pathlib import Path

from edgecnn.bundle import Bundle
from edgecnn.errors import RuntimeUnavailable
from edgecnn.targets.engines import runtimes

LABELS = ("red", "green", "blue")
SIDE = 16


def bundle(name: str) -> Bundle:
    """The probe of that name: `colours`, `deep` or `peak`."""
    return Bundle.load(Path(str(resources.files("edgecnn.targets.engines"))) / "probes" / name)


def why_not(runtime: str) -> str | None:
    """Why that runtime cannot be used here, or None once it has classified a red picture."""
    if reason := runtimes.missing(runtime):
        return reason
    import numpy as np

    engine = runtimes.get(runtime)
    picture = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    picture[..., 0] = 255
    try:
        answer = engine.open(bundle("colours").model_file(engine.format), threads=1).infer(picture)
    except RuntimeUnavailable as error:
        return str(error)
    if LABELS[int(answer.argmax())] != "red":
        return f"{engine.engine()} answers wrongly on this processor: {answer.tolist()} for red"
    return None
