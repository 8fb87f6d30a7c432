"""ONNX Runtime on NVIDIA GPUs: through TensorRT, or with CUDA alone.

Nothing here was tried on an NVIDIA GPU.
"""

import logging
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgecnn.errors import RuntimeUnavailable
from edgecnn.targets.board.machine import Machine
from edgecnn.targets.board.readings.nvidia import Gpu, gpu
from edgecnn.targets.engines.runtimes import tensorrt
from edgecnn.targets.engines.runtimes.onnxruntime import OnnxRuntime, OnnxRuntimeSession

log = logging.getLogger(__name__)

NAMES = {
    "TensorrtExecutionProvider": "TensorRT",
    "CUDAExecutionProvider": "CUDA",
    "CPUExecutionProvider": "CPU",
}
"""In the order of preference: what one cannot run goes to the next."""
TENSORRT_PROVIDER, CUDA_PROVIDER, CPU_PROVIDER = NAMES
WITH_WEIGHTS = frozenset(
    {"Conv", "ConvTranspose", "FusedConv", "Gemm", "MatMul", "QGemm", "QLinearConv"}
)


class NvidiaRuntime(OnnxRuntime):
    """Runs `model.onnx` with one of the GPU's providers in front."""

    def __init__(self, name: str, provider: str) -> None:
        self.name, self.provider = name, provider

    def engine(self) -> str:
        """`onnxruntime-gpu 1.23.0 (TensorRT)`; raises `RuntimeUnavailable` without such a GPU."""
        engine = super().engine()
        if gpu(Machine()) is None:
            raise RuntimeUnavailable(
                "no NVIDIA GPU here: neither a Tegra chip in the device tree nor a card under "
                "/proc/driver/nvidia"
            )
        offered = _offered(engine)
        if self.provider not in offered:
            raise RuntimeUnavailable(
                f"{engine} is built without {NAMES[self.provider]}, it offers "
                f"{_names(offered)}: install the onnxruntime-gpu wheel for your JetPack "
                "(on a PC: pip install onnxruntime-gpu) in place of onnxruntime"
            )
        return f"{engine} ({NAMES[self.provider]})"

    def open(self, model: Path, threads: int) -> OnnxRuntimeSession:
        """Load a model file; the first time, TensorRT builds an engine for minutes.

        Raises `RuntimeUnavailable` where nothing of the model would run on the GPU: an answer
        from the CPU under this name would mislead.
        """
        engine, machine = self.engine(), Machine()
        card = gpu(machine)
        assert card is not None, "engine() has checked it"
        providers = self._providers(model, card, machine)
        with tempfile.TemporaryDirectory() as folder:
            session = OnnxRuntimeSession(
                model, threads, engine, trace=Path(folder) / "trace", providers=providers
            )
            session.infer(np.zeros(session.input_shape, np.uint8))
            placed = session.placed()
        session.engine = f"{super().engine()} ({shown(placed)} operators)"
        self.check_placement(session.providers, placed, quantised=tensorrt.has_qdq(model))
        return session

    def _providers(
        self, model: Path, card: Gpu, machine: Machine
    ) -> list[str | tuple[str, dict[str, str]]]:
        if self.provider == CUDA_PROVIDER:
            if tensorrt.has_qdq(model):
                log.warning(
                    "edgecnn: ONNX Runtime's CUDA provider has no int8 convolutions: it computes "
                    "this int8 model in float32. A bundle exported with --fp16 is faster there."
                )
            return [CUDA_PROVIDER, CPU_PROVIDER]
        built = tensorrt.Engine.of(model, card, tensorrt.version() or "TensorRT")
        built.check(machine)
        if not built.is_built:
            log.warning(
                "edgecnn: building a TensorRT engine in %s, once and for minutes%s.",
                built.folder,
                "" if card.int8 else f", in fp16: {card.name} has no int8",
            )
        built.folder.mkdir(parents=True, exist_ok=True)
        return [(TENSORRT_PROVIDER, built.options()), CUDA_PROVIDER, CPU_PROVIDER]

    def check_placement(
        self, loaded: Sequence[str], placed: Counter[tuple[str, str]], *, quantised: bool
    ) -> None:
        """Raise `RuntimeUnavailable` unless the provider loaded and runs the network.

        `placed` are the operators by provider and kind. TensorRT shows all it takes as one; of a
        quantised network it may take scraps only.
        """
        name = NAMES[self.provider]
        if self.provider not in loaded:
            raise RuntimeUnavailable(
                f"ONNX Runtime could not load {name} and fell back to "
                f"{_names(loaded)}: its libraries are missing or of another version. "
                "Take --runtime onnxruntime for the CPU."
            )
        elsewhere = any(
            kind in WITH_WEIGHTS and provider != self.provider for provider, kind in placed
        )
        if all(provider != self.provider for provider, _ in placed) or (quantised and elsewhere):
            raise RuntimeUnavailable(
                f"{name} does not take this network, its operators went to {shown(placed)}. "
                "TensorRT's int8 wants zero points of 0: export with --symmetric or --fp16 for it, "
                "or take --runtime litert for int8 on the CPU."
            )
        if elsewhere:
            log.warning(
                "edgecnn: %s does not run all of this network: %s operators.", name, shown(placed)
            )


def shown(placed: Counter[tuple[str, str]]) -> str:
    """`TensorRT 1, CPU 3`."""
    counts: Counter[str] = Counter()
    for (provider, _), count in placed.items():
        counts[NAMES.get(provider, provider)] += count
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _names(providers: Sequence[str]) -> str:
    return ", ".join(NAMES.get(name, name) for name in providers)


def _offered(engine: str) -> list[str]:
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise RuntimeUnavailable(f"{engine} does not load here: {error}") from None
    return list(ort.get_available_providers())


TENSORRT = NvidiaRuntime("onnxruntime-tensorrt", TENSORRT_PROVIDER)
CUDA = NvidiaRuntime("onnxruntime-cuda", CUDA_PROVIDER)
