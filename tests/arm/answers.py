"""What engines say of a bundle's golden pictures, on whatever machine this runs:

    python answers.py BUNDLE INTEGERS.tflite OUT.npz RUNTIME...

`INTEGERS.tflite` is the network up to its last integers. It runs as LiteRT does by default and,
on x86, in the reference kernels, which define what the integers should be.
"""

import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.bundle import Bundle
from edgecnn.golden import Golden
from edgecnn.targets.engines import runtimes

try:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
except ImportError:
    from tflite_runtime.interpreter import Interpreter, OpResolverType


def integers(model: str, images: NDArray[np.uint8], resolver: OpResolverType) -> NDArray[np.int8]:
    """The last integers `(count, classes)` of each picture."""
    interpreter = Interpreter(model, num_threads=1, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for image in images:
        interpreter.set_tensor(taken["index"], image[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(given["index"])[0])
    return np.stack(rows)


def main(folder: str, model: str, out: str, *names: str) -> None:
    """Write every answer."""
    bundle = Bundle.load(Path(folder))
    assert bundle.golden is not None
    images = Golden.load(bundle.golden).images
    found: dict[str, Any] = {"integers": integers(model, images, OpResolverType.AUTO)}
    if platform.machine() == "x86_64":
        found["reference"] = integers(model, images, OpResolverType.BUILTIN_REF)
    for name in names:
        engine = runtimes.get(name)
        session = engine.open(bundle.model_file(engine.format), threads=1)
        found[name] = np.stack([session.infer(image[None]) for image in images])
    np.savez(out, **found)


main(*sys.argv[1:])
