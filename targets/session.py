"""What a runtime is: a file under `targets/runtimes/` that offers one of these."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Session(Protocol):
    """A model loaded into an engine, ready to run."""

    engine: str
    """Name and version of the engine, `ai-edge-litert 2.3.0`."""
    threads: int

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities `(classes,)` for one picture, uint8 `(1, height, width, channels)`, RGB or grey.

        The result is the caller's to keep. Raises `RuntimeUnavailable` if the engine fails.
        """
        ...


class Runtime(Protocol):
    """An inference engine: how to know whether it is here, and how to open a model in it."""

    name: str
    """`litert`, `onnxruntime` or `openvino`."""
    format: str
    """Which of a bundle's formats it runs."""

    def engine(self) -> str:
        """Name and version of the installed engine; raises `RuntimeUnavailable` with the reason."""
        ...

    def open(self, model: Path, threads: int) -> Session:
        """Load a model file. Raises `RuntimeUnavailable` if this engine cannot."""
        ...
