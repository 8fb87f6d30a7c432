"""ONNX Runtime on NVIDIA GPUs: through TensorRT, or with CUDA alone.

CUDA was tried on an H100 in a PC, with ONNX Runtime 1.31.1; TensorRT on no GPU, for want of its
libraries there, but for what is said without them.
"""

import contextlib
import ctypes
import io
import logging
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import RuntimeUnavailable
from edgecnn.targets.board.machine import Machine
from edgecnn.targets.board.readings.nvidia import Gpu, gpu
from edgecnn.targets.engines.layer_times import LayerTime
from edgecnn.targets.engines.runtimes import tensorrt
from edgecnn.targets.engines.runtimes.cuda_graph import CudaGraphSession
from edgecnn.targets.engines.runtimes.onnxruntime import OnnxRuntime, OnnxRuntimeSession

log = logging.getLogger(__name__)

NAMES = {
    "TensorrtExecutionProvider": "TensorRT",
    "CUDAExecutionProvider": "CUDA",
    "CPUExecutionProvider": "CPU",
}
"""In the order of preference: what one cannot run goes to the next."""
TENSORRT_PROVIDER, CUDA_PROVIDER, CPU_PROVIDER = NAMES
LIBRARIES = {
    TENSORRT_PROVIDER: "libonnxruntime_providers_tensorrt.so",
    CUDA_PROVIDER: "libonnxruntime_providers_cuda.so",
}
WHAT_BRINGS_THEM = {
    TENSORRT_PROVIDER: (
        "JetPack brings it (sudo apt install tensorrt), NVIDIA's repository does on a PC; "
        "or take --runtime onnxruntime-cuda"
    ),
    CUDA_PROVIDER: "JetPack brings it; on a PC: pip install 'onnxruntime-gpu[cuda,cudnn]'",
}
FOLDED = {"session.disable_quant_qdq": "1"}
"""Biases and weights are made float at the start, where each picture would do it anew, on the
CPU: 3.2 ms became 2.3 ms for MobileNetV2 on an H100, to the same bits."""
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
        self._check_libraries()
        settings: dict[str, str] = {}
        if self.provider == CUDA_PROVIDER:
            if tensorrt.has_qdq(model):
                settings = FOLDED
                log.warning(
                    "edgecnn: ONNX Runtime's CUDA provider has no int8 convolutions: it computes "
                    "this int8 model in float32. A bundle exported with --fp16 is faster there."
                )
            try:
                whole = f"{super().engine()} (CUDA graph)"
                return CudaGraphSession(model, threads, whole, settings)
            except RuntimeUnavailable as error:
                log.info("edgecnn: operator by operator: %s", error)
        providers = self._providers(model, card, machine)
        with tempfile.TemporaryDirectory() as folder:
            session = OnnxRuntimeSession(
                model,
                threads,
                engine,
                trace=Path(folder) / "trace",
                providers=providers,
                settings=settings,
            )
            session.infer(np.zeros(session.input_shape, np.uint8))
            placed = session.placed()
        session.engine = f"{super().engine()} ({shown(placed)} operators)"
        self.check_placement(session.providers, placed, quantised=tensorrt.has_qdq(model))
        return session

    def time_layers(
        self,
        model: Path,  # noqa: ARG002
        threads: int,  # noqa: ARG002
        image: NDArray[np.uint8],  # noqa: ARG002
    ) -> tuple[LayerTime, ...]:
        """Not told: what ONNX Runtime traces is how long launching a kernel took."""
        raise RuntimeUnavailable(
            "ONNX Runtime does not tell the time of a GPU's operators: NVIDIA's nsys or "
            "trtexec --dumpProfile do."
        )

    def _check_libraries(self) -> None:
        """Raise `RuntimeUnavailable` with the library that is missing, which ONNX Runtime hides."""
        import onnxruntime as ort

        package = Path(ort.__file__).parent
        _load_wheels(package.parent)
        library = package / "capi" / LIBRARIES[self.provider]
        if not library.exists():
            return  # built into ONNX Runtime itself, or elsewhere
        try:
            # In the same order as ONNX Runtime: the provider's symbols are in the first one.
            ctypes.CDLL(
                str(library.with_name("libonnxruntime_providers_shared.so")), ctypes.RTLD_GLOBAL
            )
            ctypes.CDLL(str(library))
        except OSError as error:
            raise RuntimeUnavailable(
                f"ONNX Runtime cannot load {NAMES[self.provider]}: {error}. "
                f"{WHAT_BRINGS_THEM[self.provider]}."
            ) from None

    def _providers(
        self, model: Path, card: Gpu, machine: Machine
    ) -> list[str | tuple[str, dict[str, str]]]:
        if self.provider == CUDA_PROVIDER:
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


def _load_wheels(packages: Path) -> None:
    """CUDA and cuDNN, where pip installed them, which is where the loader does not look."""
    import onnxruntime as ort

    if not (packages / "nvidia").is_dir() or not hasattr(ort, "preload_dlls"):
        return
    # What it could not load it prints, where the answers go.
    with contextlib.redirect_stdout(io.StringIO()) as said:
        ort.preload_dlls()
    for line in said.getvalue().splitlines():
        log.warning("edgecnn: %s", line)


def _offered(engine: str) -> list[str]:
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise RuntimeUnavailable(f"{engine} does not load here: {error}") from None
    return list(ort.get_available_providers())


TENSORRT = NvidiaRuntime("onnxruntime-tensorrt", TENSORRT_PROVIDER)
CUDA = NvidiaRuntime("onnxruntime-cuda", CUDA_PROVIDER)
