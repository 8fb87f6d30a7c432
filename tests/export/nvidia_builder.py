"""NVIDIA's own ONNX parser and engine builder, on a machine without a GPU.

`python nvidia_builder.py MODEL.onnx` builds an engine and prints, as JSON, the `errors` on the way
and the `bytes` of the constants in the engine by their type.

The library is TensorRT for RTX, from the wheel of ONNX Runtime's provider for it: it builds
without a GPU, and runs nothing. Its parser is that of TensorRT on a Jetson, in a newer version.
The wheel brings neither headers nor a Python module, so methods are called by their places in the
tables of virtual functions: those of the version that pyproject.toml pins.
"""

import ctypes
import importlib.util
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

PACKAGE = "onnxruntime_ep_nv_tensorrt_rtx"
ERROR = 1
"""The severity of errors; 0 is an internal one."""
PARSE_FILE = 1
CREATE_CONFIG, CREATE_NETWORK, BUILD = 5, 6, 11
DATA, SIZE = 2, 3
Pointer = ctypes.c_void_p
Pointers = ctypes.POINTER(ctypes.c_void_p)


def build(model: Path, folder: Path) -> dict[str, Any]:
    """Build an engine from a model with the libraries in that folder."""
    errors: list[str] = []

    def log(_: int, severity: int, message: bytes) -> None:
        # CUDA's own follow every error: it looks for a driver to report it to.
        if severity <= ERROR and b"Cuda Runtime" not in message:
            errors.append(message.decode())

    callback = ctypes.CFUNCTYPE(None, Pointer, ctypes.c_int, ctypes.c_char_p)(log)
    methods = (Pointer * 8)(*[ctypes.cast(callback, Pointer)] * 8)
    logger = (Pointer * 1)(ctypes.addressof(methods))
    engine, parser = (
        ctypes.CDLL(str(next(folder.glob(f"lib{name}.so.*.*"))), ctypes.RTLD_GLOBAL)
        for name in ("tensorrt_rtx", "tensorrt_onnxparser_rtx")
    )
    engine.createInferBuilder_INTERNAL.restype = Pointer
    parser.createNvOnnxParser_INTERNAL.restype = Pointer
    builder = inside(engine.createInferBuilder_INTERNAL(logger, engine.getInferLibVersion()))
    network = call(builder, CREATE_NETWORK, Pointer, 0)
    version = parser.getNvOnnxParserVersion()
    reader = parser.createNvOnnxParser_INTERNAL(Pointer(network), logger, version)
    constants: Counter[str] = Counter()
    if call(reader, PARSE_FILE, ctypes.c_bool, str(model).encode(), 0):
        config = call(builder, CREATE_CONFIG, Pointer)
        if plan := call(builder, BUILD, Pointer, network, config):
            memory = inside(plan)
            size = call(memory, SIZE, ctypes.c_size_t)
            data = ctypes.string_at(call(memory, DATA, Pointer), size)
            # Its plan of the kernels stands in the engine as text.
            for text in re.findall(rb"const_payload_size=(\d+)[^\n]*? type=(\w+)", data):
                constants[text[1].decode()] += int(text[0])
    return {"errors": errors, "bytes": constants}


def call(this: int, place: int, result: Any, *arguments: Any) -> Any:
    """A virtual method that takes pointers, words and numbers."""
    address = ctypes.cast(ctypes.cast(this, Pointers)[0], Pointers)[place]
    types = [ctypes.c_char_p if isinstance(a, bytes) else Pointer for a in arguments]
    return ctypes.CFUNCTYPE(result, Pointer, *types)(address)(this, *arguments)


def inside(outer: int) -> int:
    """The implementation that an object of the API points to."""
    return int(ctypes.cast(outer, Pointers)[1] or 0)


if __name__ == "__main__":
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    print(json.dumps(build(Path(sys.argv[1]), Path(spec.submodule_search_locations[0]))))
