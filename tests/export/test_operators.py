"""Every operator of the table in every engine, in float and int8, against numpy.

A case is a small graph that uses the operator. What it must give is computed here in numpy, in
float64, together with how far eight bits may be off: half a step (or a little more) of each tensor
on the way, carried through what is computed from it. TFLite's files run with XNNPACK and without:
boards use both kernels.
"""

import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from edgecnn.export.folding import fold, with_whole_zero_point
from edgecnn.export.formats.onnx.writer import to_onnx
from edgecnn.export.formats.tflite.writer import to_tflite
from edgecnn.export.quantise import quantise
from edgecnn.export.quantised import Quantised
from edgecnn.export.statistics import Range, observe
from edgecnn.graph import Graph, Operator
from edgecnn.operators import FUNCTIONS, OPERATORS, kind_of

Array = np.ndarray
SIDE, CHANNELS = 8, 4
PICTURE = (1, SIDE, SIDE, CHANNELS)

IMAGES = [
    np.random.default_rng(i).permutation(256).reshape(PICTURE).astype(np.uint8) for i in range(2)
]
"""Each holds every byte once."""

ROUNDING = 0.6
"""Steps that an engine may be off where it rounds: half of one, and what its own integers cost."""
SLACK = 0.6
"""Steps of the answer beside that."""


class Net:
    """A graph that is being made."""

    def __init__(self, scale: float = 1 / 64, zero_point: float = 128) -> None:
        shape = (1, SIDE, SIDE, CHANNELS)
        attributes = {"scale": scale, "zero_point": zero_point}
        self.operators = [Operator("image", "input", [], shape, attributes)]
        self.folded = False

    def shape(self, name: str) -> tuple[int, ...]:
        return next(op.shape for op in self.operators if op.name == name)

    def add(
        self,
        op: str,
        inputs: str | Sequence[str],
        shape: Sequence[int] | None = None,
        *,
        weights: dict[str, Any] | None = None,
        fused: str | None = None,
        **attributes: Any,
    ) -> str:
        inputs = [inputs] if isinstance(inputs, str) else list(inputs)
        shape = tuple(shape) if shape is not None else self.shape(inputs[0])
        name = f"{op}{len(self.operators)}"
        arrays = {key: np.asarray(value, np.float32) for key, value in (weights or {}).items()}
        self.operators.append(Operator(name, op, inputs, shape, attributes, arrays, fused))
        return name

    def made(self, low: float, high: float, shape: Sequence[int] | None = None) -> str:
        """Features from low to high: each channel one of the picture's, rising or falling."""
        channels = shape[-1] if shape and len(shape) == 4 else CHANNELS
        turn = len(self.operators)
        image = self.operators[0].attributes
        least = -image["zero_point"] * image["scale"]
        kernel, bias = np.zeros((1, 1, CHANNELS, channels)), np.zeros(channels)
        for i in range(channels):
            slope = (high - low) / (255 * image["scale"])
            first, slope = (low, slope) if (i + turn) % 2 else (high, -slope)
            kernel[0, 0, (i + turn) % CHANNELS, i] = slope
            bias[i] = first - slope * least
        x = self.conv("image", kernel, bias)
        return x if not shape or tuple(shape) == self.shape(x) else self.reshape(x, shape)

    def conv(self, x: str, kernel: Any, bias: Any, *, fused: str | None = None, **more: Any) -> str:
        kernel = np.asarray(kernel, np.float32)
        attributes: dict[str, Any] = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1)}
        attributes |= {"groups": self.shape(x)[-1] // kernel.shape[2]} | more
        kh, kw = kernel.shape[:2]
        shape = (*self.rolled(x, (kh, kw), attributes), kernel.shape[3])
        weights = {"kernel": kernel, "bias": bias}
        return self.add("conv", x, shape, weights=weights, fused=fused, **attributes)

    def depthwise(self, x: str, kernel: Any, bias: Any, **more: Any) -> str:
        attributes: dict[str, Any] = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1)}
        attributes |= more
        shape = (*self.rolled(x, np.shape(kernel)[:2], attributes), np.size(bias))
        return self.add(
            "depthwise", x, shape, weights={"kernel": kernel, "bias": bias}, **attributes
        )

    def pool(self, op: str, x: str, **attributes: Any) -> str:
        attributes = {"size": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0)} | attributes
        shape = (*self.rolled(x, attributes["size"], attributes), self.shape(x)[-1])
        return self.add(op, x, shape, **attributes)

    def rolled(self, x: str, size: Sequence[int], attributes: dict[str, Any]) -> tuple[int, ...]:
        batch, height, width, _ = self.shape(x)
        top, bottom, left, right = attributes["pads"]
        dilation = attributes.get("dilation", (1, 1))
        rows, columns = (
            (n + more - (k - 1) * d - 1) // s + 1
            for n, more, k, d, s in zip(
                (height, width),
                (top + bottom, left + right),
                size,
                dilation,
                attributes["strides"],
                strict=True,
            )
        )
        return batch, rows, columns

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        return self.add("reshape", x, shape)

    def vector(self, x: str) -> str:
        return self.reshape(x, (1, int(np.prod(self.shape(x)))))

    def finished(self, x: str) -> Graph:
        return Graph(self.operators, self.vector(x), "case")


# numpy


def taps(x: Array, size: Sequence[int], op: Operator, outside: float) -> Iterator[Any]:
    """For every place in a window what it sees, (rows, columns, channels)."""
    top, bottom, left, right = op.attributes["pads"]
    (sh, sw), (dh, dw) = op.attributes["strides"], op.attributes.get("dilation", (1, 1))
    padded = np.pad(x[0], ((top, bottom), (left, right), (0, 0)), constant_values=outside)
    rows, columns = op.shape[1:3]
    for i, j in itertools.product(range(size[0]), range(size[1])):
        seen = padded[i * dh :: sh, j * dw :: sw][:rows, :columns]
        yield (i, j), seen


def conv(op: Operator, x: Array) -> Array:
    kernel, bias = op.weights["kernel"].astype(float), op.weights["bias"]
    groups, per = op.attributes["groups"], op.weights["kernel"].shape[2]
    out = kernel.shape[3] // groups
    result = np.zeros(op.shape)
    for (i, j), seen in taps(x, kernel.shape[:2], op, 0.0):
        for g in range(groups):
            mine = slice(g * out, (g + 1) * out)
            result[0, ..., mine] += seen[..., g * per : (g + 1) * per] @ kernel[i, j, :, mine]
    return result + bias


def depthwise(op: Operator, x: Array) -> Array:
    kernel = op.weights["kernel"].astype(float)
    result = np.zeros(op.shape)
    for (i, j), seen in taps(x, kernel.shape[:2], op, 0.0):
        result[0] += (seen[..., None] * kernel[i, j]).reshape(result[0].shape)
    return result + op.weights["bias"]


def max_pool(op: Operator, x: Array) -> Array:
    seen = [part for _, part in taps(x, op.attributes["size"], op, -np.inf)]
    return np.max(seen, axis=0)[None]


def avg_pool(op: Operator, x: Array) -> Array:
    seen = [part for _, part in taps(x, op.attributes["size"], op, np.nan)]
    return np.nanmean(seen, axis=0)[None]


def operands(op: Operator, inputs: Sequence[Array]) -> Sequence[Array]:
    if "operand" not in op.weights:
        return inputs
    constant = op.weights["operand"].astype(float)
    return [constant, *inputs] if op.attributes.get("first") else [*inputs, constant]


def select(op: Operator, condition: Array, *flowing: Array) -> Array:
    rest = iter(flowing)
    then, other = (
        op.weights[part] if part in op.weights else next(rest) for part in ("then", "other")
    )
    return np.where(condition, then, other)


def resize(op: Operator, x: Array) -> Array:
    for axis in (1, 2):
        before, after = x.shape[axis], op.shape[axis]
        places = np.arange(after)
        if op.attributes["align_corners"]:
            at = places * (before - 1) / (after - 1)
        elif op.attributes["half_pixel"]:
            at = (places + 0.5) * before / after - 0.5
        else:
            at = places * before / after
        at = np.clip(at, 0, before - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, before - 1)
        share = (at - low).reshape([-1 if i == axis else 1 for i in range(4)])
        x = np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share
    return x


def depth_to_space(op: Operator, x: Array) -> Array:
    size, (_, height, width, channels) = op.attributes["size"], x.shape
    parts = x.reshape(1, height, width, size, size, channels // size**2)
    return parts.transpose(0, 1, 3, 2, 4, 5).reshape(op.shape)


def space_to_depth(op: Operator, x: Array) -> Array:
    size, (_, height, width, channels) = op.attributes["size"], x.shape
    parts = x.reshape(1, height // size, size, width // size, size, channels)
    return parts.transpose(0, 1, 3, 2, 4, 5).reshape(op.shape)


def lrn(op: Operator, x: Array) -> Array:
    radius, channels = op.attributes["size"] // 2, x.shape[-1]
    squares = np.stack(
        [np.square(x[..., max(i - radius, 0) : i + radius + 1]).sum(-1) for i in range(channels)],
        axis=-1,
    )
    return x / (op.attributes["k"] + op.attributes["alpha"] * squares) ** op.attributes["beta"]


def softmax(op: Operator, x: Array) -> Array:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def strided(op: Operator, x: Array) -> Array:
    bounds = (op.attributes[key] for key in ("begin", "end", "strides"))
    return x[tuple(slice(*parts) for parts in zip(*bounds, strict=True))]


def padded(op: Operator, x: Array) -> Array:
    top, bottom, left, right = op.attributes["pads"]
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))


def erf(x: Array) -> Array:
    import math

    return np.vectorize(math.erf)(x)


VALUES: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x < 0, 0.3 * x, x),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "elu": lambda x: np.where(x < 0, np.expm1(x), x),
    "gelu": lambda x: x / 2 * (1 + erf(x / np.sqrt(2))),
    "erf": erf,
    "softplus": lambda x: np.log1p(np.exp(x)),
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: x**-0.5,
    "square": np.square,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "sin": np.sin,
    "atan": np.arctan,
    "cos": np.cos,
}
COMPARED: dict[str, Callable[[Array, Array], Array]] = {
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "equal": np.equal,
    "not_equal": np.not_equal,
}
BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "power": np.power,
}
MEANING: dict[str, Callable[..., Array]] = {
    "conv": conv,
    "depthwise": depthwise,
    "dense": lambda op, x: x @ op.weights["kernel"].astype(float) + op.weights["bias"],
    "affine": lambda op, x: x * op.weights["scale"] + op.weights["shift"],
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "global_avg_pool": lambda op, x: x.mean((1, 2), keepdims=op.attributes["keepdims"]),
    "global_max_pool": lambda op, x: x.max((1, 2), keepdims=op.attributes["keepdims"]),
    "compare": lambda op, *xs: COMPARED[op.attributes["kind"]](*operands(op, xs)),
    "select": select,
    "matmul": lambda op, a, b: a @ b,
    "reduce": lambda op, x: getattr(np, op.attributes["kind"])(
        x, axis=op.attributes["axes"], keepdims=True
    ),
    "concat": lambda op, *xs: np.concatenate(xs, op.attributes["axis"]),
    "slice": strided,
    "gather": lambda op, x: np.take(x, op.attributes["indices"], op.attributes["axis"]),
    "transpose": lambda op, x: x.transpose(op.attributes["perm"]),
    "pad": padded,
    "reshape": lambda op, x: x.reshape(op.shape),
    "resize": resize,
    "depth_to_space": depth_to_space,
    "space_to_depth": space_to_depth,
    "lrn": lrn,
    "depth_pool": lambda op, x: x.reshape(*op.shape, op.attributes["size"]).max(-1),
    "activation": lambda op, x: VALUES[op.attributes["kind"]](x),
    "softmax": softmax,
    **{
        name: lambda op, *xs, compute=compute: compute(*operands(op, xs))
        for name, compute in BINARY.items()
    },
}


def evaluated(op: Operator, inputs: Sequence[Array]) -> Array:
    result = MEANING[op.op](op, *inputs)
    assert result.shape == op.shape, f"{op.name}: the case has a wrong shape"
    return VALUES[op.fused](result) if op.fused else result


def values(graph: Graph, image: Array) -> dict[str, Array]:
    """Every tensor, in float64."""
    found: dict[str, Array] = {}
    for op in graph:
        if op.op == "input":
            found[op.name] = op.attributes["scale"] * (
                image.astype(float) - op.attributes["zero_point"]
            )
        else:
            found[op.name] = evaluated(op, [found[name] for name in op.inputs])
    return found


# What eight bits may cost


def steps(graph: Graph, found: Sequence[dict[str, Array]], symmetric: bool) -> dict[str, float]:
    """How wide a step of every tensor is at best: of its own range, or of all that share one."""
    low = {op.name: min(0.0, *(float(f[op.name].min()) for f in found)) for op in graph}
    high = {op.name: max(0.0, *(float(f[op.name].max()) for f in found)) for op in graph}
    for op in graph:
        function = FUNCTIONS.get(op.attributes.get("kind", ""))
        if function is not None and function.fixed is not None and not symmetric:
            scale, zero = function.fixed
            low[op.name], high[op.name] = -zero * scale, (255 - zero) * scale
    for _ in range(4):  # through what keeps the scale, either way
        for op in graph:
            if kind_of(op).scale in ("shared", "kept"):
                met = [op.name, *op.inputs]
                low.update(dict.fromkeys(met, min(low[name] for name in met)))
                high.update(dict.fromkeys(met, max(high[name] for name in met)))
    if symmetric:
        return {name: max(-low[name], high[name]) / 127 for name in low}
    return {name: (high[name] - low[name]) / 255 for name in low}


def tolerances(
    graph: Graph, found: dict[str, Array], step: dict[str, float], symmetric: bool
) -> dict[str, Array]:
    """How far eight bits may be off, for every value of every tensor."""
    rng = np.random.default_rng(0)
    off: dict[str, Array] = {}
    for op in graph:
        if op.op == "input":
            off[op.name] = np.full(op.shape, 0.51 * step[op.name] * symmetric)
            continue
        inputs, mine = [found[name] for name in op.inputs], [off[name] for name in op.inputs]
        if kind_of(op).weighted:
            total = carried_by_weights(op, inputs[0], mine[0])
        else:
            signs = [
                [float(s) for s in row] for row in itertools.product((-1, 1), repeat=len(mine))
            ]
            ways: list[Any] = signs if len(signs) <= 4 else [[1.0] * len(mine), [-1.0] * len(mine)]
            ways += [[rng.choice([-1, 1], x.shape) for x in mine] for _ in range(6)]
            total = np.zeros(op.shape)
            exact = found[op.name]
            for way in ways:
                moved = [
                    x if x.dtype == bool else x + sign * far
                    for x, far, sign in zip(inputs, mine, way, strict=True)
                ]
                if exact.dtype != bool:
                    total = np.maximum(total, np.abs(evaluated(op, moved) - exact))
                else:
                    total = np.maximum(total, evaluated(op, moved) != exact)
        if op.op == "select":  # where the condition may be the other way round, so may the result
            turned = [~inputs[0], *inputs[1:]]
            other = np.abs(evaluated(op, turned) - found[op.name])
            total = np.where(
                np.broadcast_to(mine[0] > 0, op.shape), np.maximum(total, other), total
            )
        rounds = kind_of(op).int8 and kind_of(op).scale != "kept" and found[op.name].dtype != bool
        off[op.name] = total + ROUNDING * step[op.name] * rounds
    return off


def carried_by_weights(op: Operator, x: Array, off: Array) -> Array:
    """As of many independent errors: those of what arrives, and of the weights' rounding."""
    kernel = op.weights["kernel"]
    flat = np.abs(kernel).reshape(-1, op.weights["bias"].size)
    largest = flat.max(axis=0) / 127
    most = 0.5 * largest.reshape(kernel.shape[2:] if op.op == "depthwise" else (-1,))
    # What is its channel's only weight is exactly 127 steps.
    alone = (flat > 0).sum(axis=0) <= 1
    most = most * ~alone.reshape(most.shape)
    weights = {"kernel": np.square(kernel), "bias": np.zeros(flat.shape[1])}
    arrived = MEANING[op.op](replace(op, weights=weights), np.square(off))
    spread = {**weights, "kernel": np.broadcast_to(np.square(most), kernel.shape)}
    rounded = MEANING[op.op](replace(op, weights=spread), np.square(x))
    return 1.5 * np.sqrt(arrived + rounded)


# The engines


def tflite(model: bytes, kernels: str, images: Sequence[Array]) -> Array:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    from edgecnn.quiet import quiet_native_stderr

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    with quiet_native_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interpreter = Interpreter(
            model_content=model,
            num_threads=1,
            experimental_op_resolver_type=plain if kernels == "plain" else OpResolverType.AUTO,
        )
        interpreter.allocate_tensors()
    (picture,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for image in images:
        interpreter.set_tensor(picture["index"], image)
        interpreter.invoke()
        found.append(interpreter.get_tensor(answer["index"]))
    return np.stack(found)


def onnxruntime(model: Any, images: Sequence[Array]) -> Array:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.stack([session.run(None, {"image": image})[0] for image in images])


def openvino(model: Any, images: Sequence[Array]) -> Array:
    import openvino as ov
    from openvino._offline_transformations import apply_moc_transformations

    core = ov.Core()
    read = core.read_model(model.SerializeToString())
    apply_moc_transformations(read, cf=False, smart_reshape=False)
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = core.compile_model(read, "CPU", settings)
    return np.stack([compiled(image)[0].copy() for image in images])


def in_float(
    graph: Graph, *, everywhere: bool, images: Sequence[Array] = IMAGES
) -> Iterator[tuple[str, Array]]:
    """What each engine says, one at a time.

    OpenVINO takes ten times as long as the others to open a file, and reads what ONNX Runtime
    does: it is asked for some cases only.
    """
    model = to_tflite(graph)
    yield "TFLite", tflite(model, "default", images)
    yield "TFLite without XNNPACK", tflite(model, "plain", images)
    yield "ONNX Runtime", onnxruntime(to_onnx(graph), images)
    if everywhere:
        yield "OpenVINO", openvino(to_onnx(graph, for_openvino=True), images)
    yield "training", in_training(graph, None, images)


def in_training(graph: Graph, quantised: Quantised | None, images: Sequence[Array]) -> Array:
    """What quantisation-aware training computes, of a batch."""
    from edgecnn.export.qat.network import FloatNetwork, Int8Network

    if quantised is None:
        network = FloatNetwork(graph, graph.output)
    else:
        network = Int8Network(quantised, graph.output)
    return np.asarray(network(np.concatenate(images)))[:, None]


def in_half(graph: Graph) -> Iterator[tuple[str, Array]]:
    yield "TFLite, half", tflite(to_tflite(graph, half=True), "default", IMAGES)
    yield "ONNX Runtime, half", onnxruntime(to_onnx(graph, half=True), IMAGES)


def in_int8(quantised: Quantised, images: Sequence[Array] = IMAGES) -> Iterator[tuple[str, Array]]:
    graph = quantised.graph
    yield "ONNX Runtime", onnxruntime(to_onnx(graph, quantised), images)
    if not quantised.symmetric:
        model = to_tflite(graph, quantised)
        yield "TFLite", tflite(model, "default", images)
        yield "TFLite without XNNPACK", tflite(model, "plain", images)
        yield "OpenVINO", openvino(to_onnx(graph, quantised, for_openvino=True), images)
        yield "training", in_training(graph, quantised, images)


Case = Callable[[Net], str]
CASES: dict[str, dict[str, Case]] = {}
FUNCTION_CASES: dict[str, dict[str, Case]] = {}


def cases(table: dict[str, dict[str, Case]], name: str, **found: Case) -> None:
    table.setdefault(name, {}).update({key.replace("_", " "): case for key, case in found.items()})


RNG = np.random.default_rng(7)
ROWS, DEEP = (1, 64, 4), (1, 2, 4, 8, 4)
VECTOR = (1, 256)
WINDOW_OF_ONE: dict[str, Any] = {"size": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0)}
ANY_RANK: dict[str, tuple[int, ...]] = {
    "vector": VECTOR,
    "rows": ROWS,
    "picture": PICTURE,
    "deep": DEEP,
}


def normal(*shape: int, scale: float = 0.3) -> Array:
    return RNG.normal(0, scale, shape)


def twice(n: Net, x: str) -> str:
    """x + x: behind a sigmoid, which at the end of a network is left in float."""
    return n.add("add", [x, x])


cases(
    CASES,
    "input",
    bytes_as_they_are=lambda n: n.conv("image", normal(3, 3, 4, 5), normal(5)),
    straight_to_the_answer=lambda n: n.add("max_pool", "image", PICTURE, **WINDOW_OF_ONE),
    in_float_as_well=lambda n: n.add("activation", "image", kind="square"),
)
cases(
    CASES,
    "conv",
    plain=lambda n: n.conv(n.made(-1, 3), normal(3, 3, 4, 5), normal(5)),
    one_by_one=lambda n: n.conv(n.made(-1, 3), normal(1, 1, 4, 8), normal(8)),
    padded_unevenly=lambda n: n.conv(
        n.made(-1, 3), normal(4, 3, 4, 5), normal(5), pads=(0, 3, 2, 1), strides=(2, 1)
    ),
    same=lambda n: n.conv(n.made(-1, 3), normal(3, 3, 4, 5), normal(5), pads=(1, 1, 1, 1)),
    dilated=lambda n: n.conv(n.made(-1, 3), normal(3, 2, 4, 5), normal(5), dilation=(2, 3)),
    grouped=lambda n: n.conv(n.made(-1, 3), normal(3, 3, 2, 6), normal(6), pads=(1, 1, 1, 1)),
    relu=lambda n: n.conv(n.made(-1, 3), normal(3, 3, 4, 5), normal(5), fused="relu"),
    relu6=lambda n: n.conv(n.made(-9, 9), normal(1, 1, 4, 5, scale=1), normal(5), fused="relu6"),
    channels_of_very_different_size=lambda n: n.conv(
        n.made(-1, 3), normal(3, 3, 4, 5) * [1, 0.1, 3, 0.01, 1], normal(5)
    ),
)
cases(
    CASES,
    "depthwise",
    plain=lambda n: n.depthwise(n.made(-1, 3), normal(3, 3, 4, 1), normal(4)),
    multiplier=lambda n: n.depthwise(
        n.made(-1, 3), normal(3, 3, 4, 2), normal(8), pads=(1, 1, 1, 1), strides=(2, 2)
    ),
    dilated_and_padded=lambda n: n.depthwise(
        n.made(-1, 3), normal(3, 3, 4, 1), normal(4), pads=(2, 2, 2, 2), dilation=(2, 2)
    ),
    per_channel_on_the_picture=lambda n: n.conv(
        n.depthwise("image", [[[[1.0], [0.5], [2], [-1]]]], [0.1, 0.2, -1, 2]),
        normal(3, 3, 4, 5),
        normal(5),
    ),
    per_channel_behind_features=lambda n: n.depthwise(
        n.made(-1, 3), [[[[1.0], [0.5], [2], [-1]]]], [0.1, 0.2, -1, 2]
    ),
    channels_of_very_different_size=lambda n: n.depthwise(
        n.made(-1, 3), normal(3, 3, 4, 1) * np.reshape([1, 0.1, 3, 0.01], (1, 1, 4, 1)), normal(4)
    ),
)


def dense(n: Net, x: str, units: int, **more: Any) -> str:
    weights = {"kernel": normal(n.shape(x)[-1], units, scale=0.1), "bias": normal(units)}
    return n.add("dense", x, (1, units), weights=weights, **more)


cases(
    CASES,
    "dense",
    plain=lambda n: dense(n, n.made(-1, 3, VECTOR), 10),
    relu=lambda n: dense(n, n.made(-1, 3, VECTOR), 10, fused="relu"),
    relu6=lambda n: dense(n, n.made(-9, 9, VECTOR), 10, fused="relu6"),
    three_in_a_row=lambda n: dense(
        n, dense(n, dense(n, n.made(-1, 3, VECTOR), 16, fused="relu"), 12, fused="relu"), 10
    ),
    behind_a_tanh=lambda n: dense(
        n, n.add("activation", dense(n, n.made(-1, 3, VECTOR), 12), kind="tanh"), 10
    ),
    logits=lambda n: n.add("softmax", dense(n, n.made(-1, 3, VECTOR), 10)),
)


def affine(n: Net, x: str) -> str:
    n.folded = True
    channels = n.shape(x)[-1]
    scale, shift = RNG.uniform(0.5, 2, channels), normal(channels)
    scale[0] *= -1
    return n.add("affine", x, weights={"scale": scale, "shift": shift})


cases(
    CASES,
    "affine",
    behind_a_pool=lambda n: affine(n, n.pool("max_pool", n.made(-1, 3))),
    and_a_relu=lambda n: n.add(
        "activation", affine(n, n.pool("max_pool", n.made(-1, 3))), kind="relu"
    ),
    behind_a_convolution=lambda n: affine(n, n.made(-1, 3)),
    in_front_of_a_convolution=lambda n: n.conv(
        affine(n, n.pool("max_pool", n.made(-1, 3))), normal(3, 3, 4, 5), normal(5)
    ),
    in_front_of_its_padding=lambda n: n.conv(
        affine(n, n.pool("max_pool", n.made(-1, 3))),
        normal(3, 3, 4, 5),
        normal(5),
        pads=(1, 1, 1, 1),
    ),
    on_the_picture=lambda n: n.pool("max_pool", affine(n, "image")),
    twice_in_a_row=lambda n: affine(n, affine(n, n.pool("max_pool", n.made(-1, 3)))),
    on_a_vector=lambda n: affine(n, n.reshape(n.pool("max_pool", n.made(-1, 3)), (1, 64))),
    on_rows=lambda n: affine(n, n.reshape(n.pool("max_pool", n.made(-1, 3)), (1, 16, 4))),
)


def pools(kind: str) -> None:
    cases(
        CASES,
        kind,
        halving=lambda n: n.pool(kind, n.made(-3, 1)),
        same=lambda n: n.pool(kind, n.made(-3, 1), size=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1)),
        same_with_stride=lambda n: n.pool(kind, n.made(-3, -1), size=(3, 3), pads=(0, 1, 0, 1)),
        oblong=lambda n: n.pool(kind, n.made(-3, 1, (1, 8, 8, 3)), size=(2, 3), strides=(1, 2)),
        of_the_picture=lambda n: n.pool(kind, "image"),
    )


for kind in ("max_pool", "avg_pool"):
    pools(kind)
cases(
    CASES,
    "max_pool",
    padded_otherwise=lambda n: n.pool(
        "max_pool", n.made(0, 2), size=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1)
    ),
)


def global_pools(kind: str) -> None:
    cases(
        CASES,
        kind,
        to_a_vector=lambda n: n.add(kind, n.made(-3, 1), (1, 4), keepdims=False),
        to_a_picture=lambda n: n.add(kind, n.made(-3, 1), (1, 1, 1, 4), keepdims=True),
        of_the_picture=lambda n: n.add(kind, "image", (1, 4), keepdims=False),
        of_positives=lambda n: n.add(kind, n.made(0.1, 2, (1, 8, 8, 5)), (1, 5), keepdims=False),
    )


for kind in ("global_avg_pool", "global_max_pool"):
    global_pools(kind)


def gate(n: Net, low: float, high: float, shape: Sequence[int]) -> str:
    """Features with some axes of length 1, each of which is the greatest along it."""
    x = n.made(low, high)
    if tuple(shape) == (1, 1, 1, 4):
        return n.add("global_avg_pool", x, shape, keepdims=True)
    size = tuple(a // b for a, b in zip(PICTURE[1:3], shape[1:3], strict=True))
    if size != (1, 1):
        x = n.pool("max_pool", x, size=size, strides=size)
    if shape[3] == 1:
        x = n.add(
            "slice", x, shape, begin=(0, 0, 0, 1), end=(*n.shape(x)[:3], 2), strides=(1, 1, 1, 1)
        )
    return x


Bounds = tuple[float, float]
BOUNDS: dict[str, tuple[Bounds, Bounds]] = {
    "add": ((-1, 3), (-2, 0.5)),
    "subtract": ((-1, 3), (-2, 0.5)),
    "multiply": ((-1, 3), (-2, 0.5)),
    "divide": ((-1, 3), (0.5, 2)),
    "maximum": ((-1, 3), (-2, 2)),
    "minimum": ((-1, 3), (-2, 2)),
    "power": ((0.5, 2), (-1, 2)),
}


def arithmetic(kind: str, one: Bounds, other: Bounds) -> None:
    for rank, whole in ANY_RANK.items():
        low, high = other
        constant = RNG.uniform(low, high, whole)
        narrow = RNG.uniform(low, high, (*[1] * (len(whole) - 1), whole[-1]))
        base = np.abs(narrow) + 0.5 if kind == "power" else narrow
        cases(
            CASES,
            kind,
            **{
                f"of two, {rank}": lambda n, whole=whole: n.add(
                    kind, [n.made(*one, whole), n.made(*other, whole)]
                )
            },
        )
        if rank in ("vector", "picture"):
            cases(
                CASES,
                kind,
                **{
                    f"constant behind, {rank}": lambda n, c=constant, s=whole: n.add(
                        kind, n.made(*one, s), weights={"operand": c}
                    )
                },
            )
        if rank in ("rows", "picture", "deep"):
            cases(
                CASES,
                kind,
                **{
                    f"constant in front, {rank}": lambda n, c=base, s=whole: n.add(
                        kind, n.made(*other, s), weights={"operand": c}, first=True
                    )
                },
            )
    for label, shape in {
        "a value for each channel": (1, 1, 1, 4),
        "a value for each pixel": (1, 8, 8, 1),
        "a value for each row": (1, 8, 1, 4),
    }.items():
        cases(
            CASES,
            kind,
            **{
                label: lambda n, s=shape: n.add(kind, [n.made(*one), gate(n, *other, s)]),
                f"{label} in front": lambda n, s=shape: n.add(
                    kind, [gate(n, *one, s), n.made(*other)], PICTURE
                ),
            },
        )
    cases(
        CASES,
        kind,
        one_value_and_a_vector=lambda n: n.add(
            kind, [n.made(*one, VECTOR), dense_of_one(n, n.made(*other, VECTOR))]
        ),
        a_row_and_rows=lambda n: n.add(
            kind, [n.made(*one, ROWS), n.reshape(gate(n, *other, (1, 1, 1, 4)), (1, 1, 4))]
        ),
        broadcast_in_five_axes=lambda n: n.add(
            kind,
            [
                n.made(*one, DEEP),
                n.reshape(gate(n, *other, (1, 8, 1, 4)), (1, 2, 4, 1, 4)),
            ],
        ),
        with_itself=lambda n: twice(
            n, n.add(kind, [x := n.made(*(other if kind == "divide" else one)), x])
        ),
    )


for kind, (one, other) in BOUNDS.items():
    arithmetic(kind, one, other)


def dense_of_one(n: Net, x: str) -> str:
    """The second value of a vector."""
    kernel = np.zeros((n.shape(x)[-1], 1))
    kernel[1] = 1
    return n.add("dense", x, (1, 1), weights={"kernel": kernel, "bias": [0.0]})


cases(
    CASES,
    "add",
    relu=lambda n: n.add("add", [n.made(-1, 3), n.made(-2, 1)], fused="relu"),
    relu6=lambda n: n.add("add", [n.made(-1, 5), n.made(-2, 5)], fused="relu6"),
    very_different_ranges=lambda n: n.add("add", [n.made(-0.05, 0.01), n.made(-7, 9)]),
    the_picture_with_features=lambda n: n.add("add", ["image", n.made(-2, 1)]),
    constant_and_relu=lambda n: n.add(
        "add", n.made(-1, 3), weights={"operand": normal(*PICTURE)}, fused="relu"
    ),
)
cases(
    CASES,
    "subtract",
    very_different_ranges=lambda n: n.add("subtract", [n.made(-0.05, 0.01), n.made(-7, 9)]),
    the_picture_from_features=lambda n: n.add("subtract", [n.made(-2, 1), "image"]),
)
cases(
    CASES,
    "multiply",
    very_different_ranges=lambda n: n.add("multiply", [n.made(-0.05, 0.01), n.made(-7, 9)]),
    by_a_sigmoid=lambda n: n.add(
        "multiply", [x := n.made(-4, 4), n.add("activation", x, kind="sigmoid")]
    ),
    the_picture_by_features=lambda n: n.add("multiply", ["image", n.made(-2, 1)]),
)


def extremes(kind: str) -> None:
    cases(
        CASES,
        kind,
        very_different_ranges=lambda n: n.add(kind, [n.made(-0.5, 0.5), n.made(-7, 9)]),
        of_the_picture_and_features=lambda n: n.add(kind, ["image", n.made(-3, 5)]),
        of_a_sigmoid_and_features=lambda n: n.add(
            kind, [n.add("activation", n.made(-4, 4), kind="sigmoid"), n.made(-3, 2)]
        ),
        of_a_tanh_and_features=lambda n: n.add(
            kind, [n.add("activation", n.made(-4, 4), kind="tanh"), n.made(-3, 2)]
        ),
        of_a_relu_and_negatives=lambda n: n.add(
            kind,
            [
                n.conv(n.made(-4, 4), np.eye(4)[None, None], np.zeros(4), fused="relu"),
                n.made(-3, 2),
            ],
        ),
        read_by_a_layer=lambda n: n.conv(
            n.add(kind, [n.made(-0.5, 0.5), n.made(-7, 9)]), normal(1, 1, 4, 5), normal(5)
        ),
        behind_pools=lambda n: n.add(
            kind, [n.pool("max_pool", n.made(-0.5, 0.5)), n.pool("avg_pool", n.made(-7, 9))]
        ),
    )


for kind in ("maximum", "minimum"):
    extremes(kind)


def flag(n: Net, kind: str, *parts: str) -> str:
    """What a comparison says, as 1.5 or -0.5."""
    condition = n.add("compare", parts, PICTURE, kind=kind)
    weights = {"then": np.full((1, 1, 1, 1), 1.5), "other": np.full((1, 1, 1, 1), -0.5)}
    return n.add("select", condition, PICTURE, weights=weights)


cases(
    CASES,
    "compare",
    **{
        kind: lambda n, kind=kind: flag(n, kind, "image", gathered(n, "image", 3, 1, 1, 0, 3))
        for kind in COMPARED
    },
    with_a_constant=lambda n: n.add(
        "select",
        [
            n.add("compare", n.made(-1, 1), weights={"operand": normal(1, 1, 1, 4)}, kind="less"),
            n.made(-1, 1),
            n.made(2, 3),
        ],
    ),
    with_a_constant_in_front=lambda n: n.add(
        "select",
        [
            n.add(
                "compare",
                n.made(-1, 1, ROWS),
                weights={"operand": normal(1, 1, 4)},
                kind="less",
                first=True,
            ),
            n.made(-1, 1, ROWS),
            n.made(2, 3, ROWS),
        ],
    ),
    of_a_pixel_with_its_channels=lambda n: flag(
        n, "greater", n.made(-1, 1), gate(n, -1, 1, (1, 8, 8, 1))
    ),
)


def condition(n: Net, shape: Sequence[int]) -> str:
    operand = np.full([1] * len(shape), 0.1)
    return n.add("compare", n.made(-1, 1, shape), weights={"operand": operand}, kind="greater")


def selects(rank: str, whole: tuple[int, ...]) -> None:
    constant = normal(*whole)
    cases(
        CASES,
        "select",
        **{
            f"of two, {rank}": lambda n: n.add(
                "select", [condition(n, whole), n.made(-1, 1, whole), n.made(2, 5, whole)]
            ),
            f"constant then, {rank}": lambda n: n.add(
                "select", [condition(n, whole), n.made(2, 5, whole)], weights={"then": constant}
            ),
            f"constant other, {rank}": lambda n: n.add(
                "select", [condition(n, whole), n.made(2, 5, whole)], weights={"other": constant}
            ),
        },
    )


for rank, whole in ANY_RANK.items():
    selects(rank, whole)
cases(
    CASES,
    "select",
    by_pixel=lambda n: n.add(
        "select",
        [
            n.add(
                "compare",
                gate(n, -1, 1, (1, 8, 8, 1)),
                weights={"operand": [[[[0.1]]]]},
                kind="less",
            ),
            n.made(-1, 1),
            n.made(2, 5),
        ],
        PICTURE,
    ),
)
cases(
    CASES,
    "matmul",
    matrices=lambda n: n.add(
        "matmul", [n.made(-1, 2, (16, 16)), n.made(-3, 1, (16, 16))], (16, 16)
    ),
    rows=lambda n: n.add("matmul", [n.made(-1, 2, ROWS), n.made(-3, 1, (1, 4, 64))], (1, 64, 64)),
    pictures=lambda n: n.add(
        "matmul", [n.made(-1, 2), n.reshape(n.made(-3, 1), (1, 8, 4, 8))], (1, 8, 8, 8)
    ),
    deep=lambda n: n.add(
        "matmul", [n.made(-1, 2, DEEP), n.made(-3, 1, (1, 2, 4, 4, 8))], (1, 2, 4, 8, 8)
    ),
)
REDUCED: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "channels": (PICTURE, (3,)),
    "rows": (PICTURE, (1,)),
    "all": (PICTURE, (1, 2, 3)),
    "columns and channels": (PICTURE, (2, 3)),
    "vector": (VECTOR, (1,)),
    "of rows": (ROWS, (2,)),
    "deep": (DEEP, (1, 3)),
}
for kind in ("mean", "sum", "max", "min", "prod"):
    for label, (whole, axes) in REDUCED.items():
        left = [1 if axis in axes else length for axis, length in enumerate(whole)]
        many = kind == "prod" and int(np.prod(left)) < 8  # a product of so many says nothing
        if not many and (kind == "mean" or label in ("channels", "columns and channels", "deep")):
            cases(
                CASES,
                "reduce",
                **{
                    f"{kind}, {label}": lambda n, kind=kind, whole=whole, axes=axes, left=left: (
                        n.add("reduce", n.made(-1, 1.5, whole), left, kind=kind, axes=axes)
                    )
                },
            )


def joined(n: Net, axis: int, *parts: str) -> str:
    shape = list(n.shape(parts[0]))
    shape[axis] = sum(n.shape(part)[axis] for part in parts)
    return n.add("concat", parts, shape, axis=axis)


def applied(n: Net, kind: str, x: str) -> str:
    return n.add("activation", x, kind=kind)


for rank, whole in ANY_RANK.items():
    for axis in range(1, len(whole)):
        cases(
            CASES,
            "concat",
            **{
                f"{rank}, axis {axis}": lambda n, whole=whole, axis=axis: joined(
                    n, axis, n.made(-1, 2, whole), n.made(-4, 1, whole)
                )
            },
        )
cases(
    CASES,
    "concat",
    the_picture_with_features=lambda n: joined(n, 3, "image", n.made(-5, 3)),
    the_pooled_picture_with_features=lambda n: joined(
        n, 3, n.pool("max_pool", "image"), n.pool("max_pool", n.made(-5, 3))
    ),
    features_between_pictures=lambda n: joined(n, 1, "image", n.made(-5, 3), "image"),
    a_sigmoid_with_features=lambda n: joined(
        n, 3, applied(n, "sigmoid", n.made(-4, 4)), n.made(-5, 3)
    ),
    a_tanh_with_features=lambda n: joined(n, 3, applied(n, "tanh", n.made(-4, 4)), n.made(-5, 3)),
    a_hard_sigmoid_with_features=lambda n: joined(
        n, 3, applied(n, "hard_sigmoid", n.made(-4, 4)), n.made(-5, 3)
    ),
    a_sigmoid_with_a_tanh=lambda n: joined(
        n, 3, applied(n, "sigmoid", n.made(-4, 4)), applied(n, "tanh", n.made(-4, 4))
    ),
    a_pooled_sigmoid_with_features=lambda n: joined(
        n,
        3,
        n.pool("avg_pool", applied(n, "sigmoid", n.made(-4, 4))),
        n.pool("max_pool", n.made(-5, 3)),
    ),
    a_relu_with_negatives=lambda n: joined(
        n, 3, n.conv(n.made(-4, 4), normal(1, 1, 4, 4), normal(4), fused="relu"), n.made(-3, 2)
    ),
    joined_again=lambda n: joined(
        n, 3, joined(n, 3, n.made(-1, 2), n.made(-4, 1)), n.made(-0.5, 7)
    ),
    very_different_ranges_read_by_a_layer=lambda n: n.conv(
        joined(n, 3, n.made(-0.5, 0.5), n.made(-7, 9)), normal(1, 1, 8, 5), normal(5)
    ),
    what_is_read_elsewhere_too=lambda n: joined(
        n, 3, x := n.made(-1, 2), n.add("add", [x, n.made(-7, 3)])
    ),
)
cases(
    CASES,
    "requantise",
    the_picture_with_features=lambda n: joined(n, 3, "image", n.made(-5, 3)),
    narrow_into_wide=lambda n: joined(n, 2, applied(n, "tanh", n.made(-4, 4)), n.made(-20, 30)),
)


def sliced(n: Net, x: str, *parts: tuple[int, int, int]) -> str:
    begin, end, strides = zip(*parts, strict=True)
    shape = [len(range(*part)) for part in parts]
    return n.add("slice", x, shape, begin=begin, end=end, strides=strides)


cases(
    CASES,
    "slice",
    vector=lambda n: sliced(n, n.made(-1, 2, VECTOR), (0, 1, 1), (3, 250, 7)),
    rows=lambda n: sliced(n, n.made(-1, 2, ROWS), (0, 1, 1), (5, 60, 3), (1, 4, 1)),
    pictures=lambda n: sliced(n, n.made(-1, 2), (0, 1, 1), (1, 8, 2), (2, 7, 1), (0, 4, 1)),
    channels=lambda n: sliced(n, n.made(-1, 2), (0, 1, 1), (0, 8, 1), (0, 8, 1), (1, 4, 2)),
    of_the_picture=lambda n: sliced(n, "image", (0, 1, 1), (2, 6, 1), (2, 6, 1), (0, 4, 1)),
    deep=lambda n: sliced(
        n, n.made(-1, 2, DEEP), (0, 1, 1), (1, 2, 1), (0, 4, 2), (1, 8, 3), (0, 4, 1)
    ),
)


def gathered(n: Net, x: str, axis: int, *places: int) -> str:
    shape = list(n.shape(x))
    shape[axis] = len(places)
    return n.add("gather", x, shape, axis=axis, indices=places)


cases(
    CASES,
    "gather",
    vector=lambda n: gathered(n, n.made(-1, 2, VECTOR), 1, 7, 3, 200, 3),
    rows=lambda n: gathered(n, n.made(-1, 2, ROWS), 1, 63, 0, 5),
    channels=lambda n: gathered(n, n.made(-1, 2), 3, 2, 0, 1, 1, 3),
    backwards=lambda n: gathered(n, n.made(-1, 2), 2, *reversed(range(8))),
    picture_rows=lambda n: gathered(n, n.made(-1, 2), 1, 1, 0, 1, 2),
    of_the_picture=lambda n: gathered(n, "image", 3, 2, 1, 0),
    deep=lambda n: gathered(n, n.made(-1, 2, DEEP), 2, 3, 1, 0),
)


def turned(n: Net, x: str, *perm: int) -> str:
    shape = n.shape(x)
    return n.add("transpose", x, [shape[axis] for axis in perm], perm=perm)


cases(
    CASES,
    "transpose",
    matrix=lambda n: turned(n, n.made(-1, 2, (8, 32)), 1, 0),
    rows=lambda n: turned(n, n.made(-1, 2, ROWS), 0, 2, 1),
    first_axis_too=lambda n: turned(n, n.made(-1, 2, (8, 8, 4)), 2, 0, 1),
    deep=lambda n: turned(n, n.made(-1, 2, DEEP), 0, 3, 1, 4, 2),
    of_the_picture=lambda n: turned(n, "image", 0, 2, 1, 3),
    **{
        f"picture {perm}": lambda n, perm=perm: turned(n, n.made(-1, 2), *perm)
        for perm in [(0, 2, 1, 3), (0, 3, 1, 2), (0, 2, 3, 1), (0, 3, 2, 1), (3, 1, 0, 2)]
    },
)


def surrounded(n: Net, x: str, *pads: int) -> str:
    batch, height, width, channels = n.shape(x)
    shape = (batch, height + pads[0] + pads[1], width + pads[2] + pads[3], channels)
    return n.add("pad", x, shape, pads=pads)


cases(
    CASES,
    "pad",
    of_negatives=lambda n: surrounded(n, n.made(-3, -1), 1, 2, 0, 3),
    of_positives=lambda n: surrounded(n, n.made(1, 2), 1, 0, 0, 0),
    of_the_picture=lambda n: surrounded(n, "image", 1, 1, 1, 1),
)
cases(
    CASES,
    "reshape",
    **{
        f"{a} to {b}": lambda n, one=ANY_RANK[a], other=ANY_RANK[b]: twice(
            n, n.reshape(twice(n, n.made(-1, 2, one)), other)
        )
        for a, b in itertools.permutations(ANY_RANK, 2)
    },
    picture_to_picture=lambda n: n.reshape(n.made(-1, 2), (1, 4, 4, 16)),
    of_the_picture=lambda n: n.conv(
        n.reshape("image", (1, 4, 4, 16)), normal(1, 1, 16, 5), normal(5)
    ),
)


def resized(n: Net, x: str, height: int, width: int, *, half: bool, corners: bool) -> str:
    shape = (1, height, width, n.shape(x)[-1])
    return n.add("resize", x, shape, half_pixel=half, align_corners=corners)


cases(
    CASES,
    "resize",
    **{
        f"{rule}, {height}x{width}": lambda n, h=height, w=width, half=half, corners=corners: (
            resized(n, n.made(-1, 2), h, w, half=half, corners=corners)
        )
        for rule, half, corners in [
            ("half pixel", True, False),
            ("corners", False, True),
            ("asymmetric", False, False),
        ]
        for height, width in [(16, 16), (13, 5)]
    },
    of_the_picture=lambda n: n.conv(
        resized(n, "image", 12, 12, half=True, corners=False), normal(3, 3, 4, 5), normal(5)
    ),
)
cases(
    CASES,
    "depth_to_space",
    by_two=lambda n: n.add("depth_to_space", n.made(-1, 2, (1, 8, 8, 12)), (1, 16, 16, 3), size=2),
    of_the_picture=lambda n: n.add("depth_to_space", "image", (1, 16, 16, 1), size=2),
)
cases(
    CASES,
    "space_to_depth",
    by_two=lambda n: n.add("space_to_depth", n.made(-1, 2), (1, 4, 4, 16), size=2),
    of_the_picture=lambda n: n.add("space_to_depth", "image", (1, 2, 2, 64), size=4),
)
cases(
    CASES,
    "lrn",
    three=lambda n: n.add("lrn", n.made(-3, 4, (1, 8, 8, 6)), size=3, alpha=0.1, beta=0.75, k=1.0),
    five=lambda n: n.add("lrn", n.made(0, 4, (1, 8, 8, 7)), size=5, alpha=0.3, beta=0.5, k=2.0),
)
cases(
    CASES,
    "depth_pool",
    by_two=lambda n: n.add("depth_pool", n.made(-3, 1, (1, 8, 8, 6)), (1, 8, 8, 3), size=2),
    by_three=lambda n: n.add("depth_pool", n.made(-3, -1, (1, 8, 8, 6)), (1, 8, 8, 2), size=3),
)
cases(
    CASES,
    "softmax",
    **{
        rank: lambda n, s=whole: n.add("softmax", n.made(-3, 2, s))
        for rank, whole in ANY_RANK.items()
    },
    in_the_middle=lambda n: twice(n, n.add("softmax", n.made(-3, 2, ROWS))),
)

DOMAINS = {
    "relu6": (-9, 9),
    "hard_sigmoid": (-5, 5),
    "hard_swish": (-5, 5),
    "exp": (-3, 2),
    "log": (0.3, 5),
    "sqrt": (0.2, 5),
    "rsqrt": (0.3, 5),
    "floor": (-8.95, 8.05),  # in fifteenths: none is near an integer, or half-way
    "ceil": (-8.95, 8.05),
    "round": (-8.95, 8.05),
}


def function(n: Net, kind: str, x: str) -> str:
    slope: dict[str, Any] = {"slope": 0.3} if kind == "leaky_relu" else {}
    return n.add("activation", x, kind=kind, **slope)


def of_a_function(kind: str) -> None:
    low, high = DOMAINS.get(kind, (-4, 3))
    for rank, whole in ANY_RANK.items():
        if rank == "rows" or (rank == "deep" and not FUNCTIONS[kind].int8):
            continue
        cases(
            FUNCTION_CASES,
            kind,
            **{rank: lambda n, whole=whole: twice(n, function(n, kind, n.made(low, high, whole)))},
        )
    if low < 0:
        cases(
            FUNCTION_CASES,
            kind,
            of_the_picture=lambda n: twice(n, function(n, kind, "image")),
        )
    if "sigmoid" in kind:
        cases(
            FUNCTION_CASES,
            kind,
            at_the_end=lambda n: function(n, kind, n.made(low, high, VECTOR)),
        )


for kind in FUNCTIONS:
    of_a_function(kind)


@dataclass
class Checked:
    """A case: its graph, and what it must give."""

    graph: Graph
    """As deployed."""
    expected: Array
    ranges: dict[str, Range]
    quantised: Quantised
    limit: Array
    """How far int8 may be off."""
    symmetric: Quantised
    symmetric_limit: Array

    @classmethod
    def of(cls, case: Case, **given: float) -> "Checked":
        net = Net(**given)
        graph = net.finished(case(net))
        found = [values(graph, image) for image in IMAGES]
        deployed = fold(graph) if net.folded else graph
        whole = with_whole_zero_point(deployed)
        ranges = observe(whole, np.concatenate(IMAGES)).ranges if net.folded else bounds(found)
        limits = []
        for symmetric in (False, True):
            step = steps(graph, found, symmetric)
            allowed = [tolerances(graph, f, step, symmetric)[graph.output] for f in found]
            limits.append(np.stack(allowed) + SLACK * step[graph.output])
        return cls(
            deployed,
            np.stack([f[graph.output] for f in found]),
            ranges,
            quantise(whole, ranges),
            limits[0],
            quantise(whole, ranges, symmetric=True),
            limits[1],
        )


def bounds(found: Sequence[dict[str, Array]]) -> dict[str, Range]:
    return {
        name: Range(
            min(float(f[name].min()) for f in found), max(float(f[name].max()) for f in found)
        )
        for name, value in found[0].items()
        if value.dtype != bool
    }


def check(case: Case, *, first: bool, **given: float) -> Checked:
    """Whether every engine computes a case rightly, in float, half and int8."""
    it = Checked.of(case, **given)
    size = max(1.0, float(np.abs(it.expected).max()))
    for engine, answer in in_float(it.graph, everywhere=first):
        np.testing.assert_allclose(answer, it.expected, atol=2e-5 * size, err_msg=engine)
    for engine, answer in in_half(it.graph):
        np.testing.assert_allclose(answer, it.expected, atol=0.01 * size, err_msg=engine)
    for quantised, limit in ((it.quantised, it.limit), (it.symmetric, it.symmetric_limit)):
        for engine, answer in in_int8(quantised):
            off = (answer - it.expected) / limit
            most, mean = np.abs(off).max(), abs(off.mean())
            assert most <= 1, f"int8, {engine}: {most:.2f} of what rounding explains"
            assert mean <= 0.4, f"int8, {engine}: {mean:.2f} of it on average, which is no chance"
    return it


def listed(table: dict[str, dict[str, Case]]) -> list[tuple[str, str]]:
    return [(name, case) for name, found in table.items() for case in found]


@pytest.mark.parametrize(("op", "case"), listed(CASES))
def test_operator(op: str, case: str) -> None:
    raw = {"scale": 1.0, "zero_point": 0}  # of which folding makes what the first affine says
    first = case == next(iter(CASES[op]))
    found = check(CASES[op][case], first=first, **(raw if op == "affine" else {})).quantised
    for tested in found.graph:
        if tested.op == op and kind_of(tested).int8 and tested.name != found.graph.output:
            assert found.runs_in_int8(tested), f"{tested.name} is not tested in int8"


@pytest.mark.parametrize(("kind", "case"), listed(FUNCTION_CASES))
def test_function(kind: str, case: str) -> None:
    first = case == next(iter(FUNCTION_CASES[kind]))
    found = check(FUNCTION_CASES[kind][case], first=first).quantised
    if FUNCTIONS[kind].int8 and case != "at the end":
        (tested,) = (op for op in found.graph if op.attributes.get("kind") == kind)
        assert found.runs_in_int8(tested), f"{tested.name} is not tested in int8"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "case"), listed(CASES | FUNCTION_CASES))
def test_openvino_in_float(name: str, case: str) -> None:
    raw = {"scale": 1.0, "zero_point": 0}
    found = (CASES | FUNCTION_CASES)[name][case]
    it = Checked.of(found, **(raw if name == "affine" else {}))
    answer = openvino(to_onnx(it.graph, for_openvino=True), IMAGES)
    size = max(1.0, float(np.abs(it.expected).max()))
    np.testing.assert_allclose(answer, it.expected, atol=2e-5 * size)


def test_every_line_of_the_tables_has_cases() -> None:
    assert set(CASES) == set(OPERATORS)
    assert set(FUNCTION_CASES) == set(FUNCTIONS)


# Names


NAMES = ["image", "probabilities", "answers", "normalise", "image.bgr", "image_real", "image_2"]
"""What a layer may be called; among them all that export itself calls something."""


@pytest.mark.parametrize("last", ["dense", "probabilities", "image"])
def test_a_layer_may_be_called_anything(last: str) -> None:
    """Writers name what they add with a slash, which no layer's name has."""
    import keras
    from keras import layers

    from edgecnn.export.heads import with_probabilities
    from edgecnn.export.lowering import lower
    from edgecnn.export.network import answers
    from edgecnn.preprocessing import Preprocessing

    keras.utils.set_random_seed(0)
    picture = keras.Input((*PICTURE[1:3], 3), name="x")
    x = picture
    for name in [*NAMES, "c", "c_q", "c_dq", "c_relu", "c_2", "c.product", "c_bias"]:
        if name != last:
            x = layers.Conv2D(3, 1, activation="leaky_relu", name=name)(x)
    x = layers.LayerNormalization(name="c.shift")(layers.Flatten(name="x_relu")(x))
    x = layers.Dense(5, activation="softmax", name=last)(x)
    x = layers.BatchNormalization(name="last")(x)
    model = keras.Model(picture, x)
    preprocessing = Preprocessing(
        SIDE, SIDE, mean=(100.0, 120.0, 140.0), std=(60.0, 50.0, 70.0), bgr=True
    )
    graph = fold(with_probabilities(lower(model)), preprocessing)
    names = [op.name for op in graph]
    assert len(set(names)) == len(names)
    images = [image[..., :3] for image in IMAGES]
    expected = answers(model, preprocessing, np.concatenate(images))[:, None]
    quantised = quantise(graph, observe(graph, np.concatenate(images)).ranges)
    for engine, answer in in_float(graph, everywhere=True, images=images):
        np.testing.assert_allclose(answer, expected, atol=2e-5, err_msg=engine)
    for engine, answer in in_int8(quantised, images=images):
        np.testing.assert_allclose(answer, expected, atol=0.1, err_msg=engine)
