"""What ONNX Runtime's TensorRT provider is told, and what building an engine takes.

The options are those of ONNX Runtime's documentation of its TensorRT execution provider. Nothing
here was tried on an NVIDIA GPU.
"""

import ctypes
import ctypes.util
import hashlib
import mmap
import re
from dataclasses import dataclass
from pathlib import Path

from edgecnn import cache
from edgecnn.errors import RuntimeUnavailable
from edgecnn.targets.board.machine import Machine
from edgecnn.targets.board.readings.nvidia import Gpu

WORKSPACE_BYTES = 256 * 2**20
"""Scratch that a kernel may take: enough for these networks, where the default takes all."""

BUILDER_BYTES = 1024 * 2**20
"""CUDA's context, the kernel libraries of cuDNN, cuBLAS and TensorRT, and the builder's own."""

COPIES = 4
"""Of the model, in float32: the file, the parser's, the builder's and the timed kernels'."""

ADD_SWAP = (
    "sudo fallocate -l 4G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && "
    "sudo swapon /swapfile"
)


@dataclass(frozen=True)
class Engine:
    """A TensorRT engine for one model on one GPU: how it is built, and where it is kept."""

    model: Path
    gpu: Gpu
    folder: Path

    @classmethod
    def of(cls, model: Path, gpu: Gpu, version: str) -> "Engine":
        """Kept under the user's cache, apart for each model, TensorRT version and GPU."""
        with model.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        words = re.sub(r"[^A-Za-z0-9.]+", "-", f"{sha256[:16]}-{version}-{gpu.name}").strip("-")
        return cls(model, gpu, cache.folder() / "tensorrt" / words)

    @property
    def is_built(self) -> bool:
        """Whether the cache has it."""
        return any(self.folder.glob("*.engine"))

    def options(self) -> dict[str, str]:
        """For the provider. Explicit QDQ needs no calibration table, and allows none."""
        return {
            "trt_fp16_enable": "True",
            "trt_int8_enable": str(self.gpu.int8 and has_qdq(self.model)),
            "trt_max_workspace_size": str(WORKSPACE_BYTES),
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(self.folder),
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": str(self.folder),
        }

    def check(self, machine: Machine) -> None:
        """Before the session is made; raises `RuntimeUnavailable` where it would come to grief.

        Building is killed by the kernel when memory runs out, with the process it happens in.
        """
        if has_qdq(self.model) and not self.gpu.int8:
            raise RuntimeUnavailable(
                f"{self.gpu.name} has no int8, so TensorRT cannot take this int8 model: export "
                "with --fp16 for it, or run this one on the CPU with --runtime litert."
            )
        if self.is_built:
            return
        needed = build_bytes(self.model.stat().st_size, quantised=has_qdq(self.model))
        available, swap = machine.available_bytes, machine.free_swap_bytes
        if available is not None and available + (swap or 0) < needed:
            raise RuntimeUnavailable(
                f"Building a TensorRT engine takes about {needed / 1e9:.1f} GB (an estimate), and "
                f"{available / 1e9:.1f} GB of memory and {(swap or 0) / 1e9:.1f} GB of swap are "
                f"free. Add swap ({ADD_SWAP}), stop the desktop, or take --runtime "
                "onnxruntime-cuda or litert."
            )


def build_bytes(model_bytes: int, *, quantised: bool) -> int:
    """Memory that building an engine may take at its peak: an estimate on the safe side."""
    as_float = model_bytes * (4 if quantised else 1)
    return BUILDER_BYTES + WORKSPACE_BYTES + COPIES * as_float


def has_qdq(model: Path) -> bool:
    """Whether an ONNX file is quantised; its operators' names stand in it as plain bytes."""
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(b"QuantizeLinear") >= 0


def version() -> str | None:
    """`TensorRT 8.5.2` as the library says, which is 8502, from release 10 on 100502."""
    name = ctypes.util.find_library("nvinfer")
    if name is None:
        return None
    try:
        number = int(ctypes.CDLL(name).getInferLibVersion())
    except (OSError, AttributeError):
        # It is there and does not load: ONNX Runtime's provider will say more.
        return None
    return as_words(number)


def as_words(number: int) -> str:
    """NVIDIA's version number in words."""
    thousand = 10_000 if number >= 100_000 else 1000
    major, rest = divmod(number, thousand)
    minor, patch = divmod(rest, 100)
    return f"TensorRT {major}.{minor}.{patch}"
