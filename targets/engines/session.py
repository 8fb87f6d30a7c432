"""What a runtime is: a file under `engines/runtimes/` that offers one of these."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import RuntimeUnavailable

if TYPE_CHECKING:  # what only profiles ask for is imported then
    from edgecnn.targets.engines.layer_times import LayerTime
    from edgecnn.targets.engines.memory_model import NetworkMemory


class Session(Protocol):
    """A model loaded into an engine, ready to run."""

    engine: str
    """Name and version of the engine, `ai-edge-litert 2.3.0`."""
    threads: int
    input_shape: tuple[int, ...]
    """`(1, height, width, channels)`."""
    classes: int
    """How many values it gives for a picture: see `edgecnn.head`."""
    features: int
    """How many features it gives beside them: mostly none."""

    def infer(
        self, image: NDArray[np.uint8], features: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Probabilities `(outputs,)` of one picture, uint8 `(1, height, width, channels)`.

        Colour is RGB (one channel: grey). The result is the caller's to keep. `features`,
        `(features,)`, is filled with those of the picture; only for a model that gives any. Raises
        `RuntimeUnavailable` if the engine fails.
        """
        ...


class Runtime(Protocol):
    """An inference engine: how to know whether it is here, and how to open a model in it."""

    name: str
    """As in `runtimes.RUNTIMES` or `runtimes.ACCELERATED`."""
    format: str
    """Which of a bundle's formats it runs."""

    def engine(self) -> str:
        """Name and version of the installed engine; raises `RuntimeUnavailable` with the reason."""
        ...

    def open(self, model: Path, threads: int) -> Session:
        """Load a model file. Raises `RuntimeUnavailable` if this engine cannot."""
        ...

    def time_layers(
        self, model: Path, threads: int, image: NDArray[np.uint8]
    ) -> "tuple[LayerTime, ...]":
        """The time of each operator, from the engine's own profiler.

        Raises `RuntimeUnavailable` where the engine shows none.
        """
        ...

    def executed(self, model: Path) -> dict[str, int] | None:
        """How many operators with weights run in `int8`, `fp16`, `bf16` or `fp32` here.

        From the engine's own execution graph: it may compute wider than the file says. None
        where the engine does not tell. Raises `RuntimeUnavailable`.
        """
        ...

    def weights_bytes(self, network: "NetworkMemory") -> int:
        """Memory the weights take at the process's peak: the file's pages and repacked copies."""
        ...

    def scratch_bytes(self, network: "NetworkMemory") -> int:
        """Memory the operators take beside the planned arena."""
        ...


def check_contract(
    model: Path,
    inputs: list[tuple[str, tuple[int, ...]]],
    outputs: list[tuple[str, tuple[int, ...]]],
) -> tuple[tuple[int, ...], int, int]:
    """Hold an opened model to the pixel contract; returns its input shape, classes and features.

    `inputs` and `outputs` are `(dtype, shape)`, a free dimension being -1. The contract: one
    uint8 `(1, height, width, 1 or 3)` in, one float32 `(1, classes)` out, and behind it, if the
    manifest says so (see `edgecnn.targets.engines.loading`), one `(1, features)`. Raises
    `RuntimeUnavailable` for anything else.
    """
    if len(inputs) == 1 and 1 <= len(outputs) <= 2:
        (in_type, in_shape), *_ = inputs
        if (
            in_type == "uint8"
            and len(in_shape) == 4
            and in_shape[0] == 1
            and min(in_shape) > 0
            and in_shape[3] in (1, 3)
            and all(
                kind == "float32" and len(shape) == 2 and shape[0] == 1 and shape[1] > 0
                for kind, shape in outputs
            )
        ):
            classes, *features = (shape[1] for _, shape in outputs)
            return in_shape, classes, sum(features)

    def show(tensors: list[tuple[str, tuple[int, ...]]]) -> str:
        return ", ".join(f"{dtype} {list(shape)}" for dtype, shape in tensors) or "nothing"

    raise RuntimeUnavailable(
        f"{model} takes {show(inputs)} and gives {show(outputs)}; edgecnn runs models that take "
        "uint8 [1, height, width, 1 or 3] and give float32 [1, classes]: `edgecnn export` "
        "writes such a file."
    )
