"""The RAM analysis: how much memory a network needs, layer by layer.

In the source text's terms, inference needs as much as two consecutive layers and training all
layers. The first holds for a plain stack only: a skip connection keeps a tensor alive over
several layers, a branch keeps one for each arm. So three figures are given: that rule, the
liveness peak over the real graph, and the arena a memory planner lays out.
"""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from edgecnn import artifacts, memory
from edgecnn.arguments import at_least, one_of
from edgecnn.artifacts.description import TYPES
from edgecnn.bundle import MANIFEST, Bundle
from edgecnn.errors import BundleError, EdgeCnnError
from edgecnn.graph import Graph, Operator
from edgecnn.weightless import weightless

if TYPE_CHECKING:
    import keras

Dtype = Literal["int8", "fp16", "fp32"]


@dataclass(frozen=True)
class Layer:
    """One operator of the network as it is deployed."""

    name: str
    type: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    output_bytes: int
    live_bytes: int
    """All that is alive while this operator runs: its inputs, its output, and what skips it."""
    kernel: tuple[int, int] | None = None
    """Height and width of a convolution's window."""
    strides: tuple[int, int] | None = None
    """Its steps down and across."""
    input_bytes: int | None = None
    """All it reads but its weights; None for a finished model file and in older bundles."""


@dataclass(frozen=True)
class Held:
    """A tensor that takes memory."""

    name: str
    bytes: int


@dataclass(frozen=True)
class RamAnalysis:
    """What a network needs; all figures are arithmetic, nothing was run.

    `parameters` and `macs` are of one picture. `two_layer_bytes`, `liveness_peak_bytes` and
    `arena_bytes` are activations of one inference at the batch size given; `training_bytes` is
    one training step in float32 with Adam: every layer's output kept, weights, gradients and two
    optimizer slots.
    """

    architecture: str
    dtype: Dtype
    batch: int
    parameters: int
    trainable_parameters: int
    macs: int
    weights_bytes: int
    two_layer_bytes: int
    liveness_peak_bytes: int
    arena_bytes: int
    training_bytes: int | None
    """None for a finished model file, which is not trained."""
    layers: tuple[Layer, ...]
    peak_tensors: tuple[Held, ...] = ()
    """What is alive at the liveness peak, the largest first; empty in older bundles."""

    @property
    def peak_layer(self) -> Layer:
        """The layer that sets the liveness peak."""
        return max(self.layers, key=lambda layer: layer.live_bytes)

    def to_json(self) -> dict[str, Any]:
        """As `analyze --json` gives it and the manifest holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read back what `to_json` wrote; raises `BundleError` on anything else."""
        try:
            layers = tuple(Layer(**_tuples(layer)) for layer in data["layers"])
            held = tuple(Held(**tensor) for tensor in data.get("peak_tensors", ()))
            return cls(**{**data, "layers": layers, "peak_tensors": held})
        except (KeyError, TypeError) as error:
            raise BundleError(f"Unreadable RAM analysis: {error!r}. Export again.") from None


def analyze_graph(
    deployed: Graph,
    trained: Graph,
    *,
    architecture: str,
    parameters: int,
    trainable_parameters: int,
    dtype: Dtype = "int8",
    batch: int = 1,
) -> RamAnalysis:
    """The analysis of a folded graph; `trained` is the same network before folding."""
    blocks = memory.lifetimes(deployed, dtype, batch)
    live = memory.live_bytes(blocks, len(deployed.operators))
    layers = tuple(
        Layer(
            name=op.name,
            type=f"{op.op}+{op.fused}" if op.fused else op.attributes.get("kind", op.op),
            output_shape=op.shape[1:],
            parameters=op.parameters,
            macs=deployed.macs(op),
            output_bytes=memory.tensor_bytes(op, dtype, batch),
            live_bytes=alive,
            kernel=_window(op),
            strides=op.attributes["strides"] if op.op in ("conv", "depthwise") else None,
            input_bytes=sum(memory.tensor_bytes(deployed[n], dtype, batch) for n in op.inputs),
        )
        for op, alive in zip(deployed, live, strict=True)
    )
    outputs = [layer.output_bytes for layer in layers]
    kept = sum(op.elements for op in trained if op.op != "reshape") * 4 * batch
    return RamAnalysis(
        architecture=architecture,
        dtype=dtype,
        batch=batch,
        parameters=parameters,
        trainable_parameters=trainable_parameters,
        macs=sum(trained.macs(op) for op in trained),
        weights_bytes=sum(_weight_bytes(op, dtype) for op in deployed),
        two_layer_bytes=max((a + b for a, b in itertools.pairwise(outputs)), default=sum(outputs)),
        liveness_peak_bytes=max(live),
        arena_bytes=memory.arena_bytes(blocks),
        training_bytes=kept + 4 * (parameters + 3 * trainable_parameters),
        layers=layers,
        peak_tensors=_alive_at_peak(blocks, live),
    )


def _alive_at_peak(blocks: Sequence[memory.Lifetime], live: Sequence[int]) -> tuple[Held, ...]:
    step = max(range(len(live)), key=lambda i: live[i])
    alive = [Held(b.name, b.bytes) for b in blocks if b.first <= step <= b.last]
    return tuple(sorted(alive, key=lambda held: -held.bytes))


def analyze_artifact(path: Path) -> RamAnalysis:
    """The analysis of a `.tflite`, an `.onnx` or an OpenVINO `.xml` as an engine runs it.

    Of a `.tflite`, `arena_bytes` is what LiteRT's own planner makes of it, operator scratch
    included (XNNPACK keeps a workspace of its own instead). Raises as
    `edgecnn.artifacts.describe`.
    """
    found = artifacts.describe(path)
    outputs = [step.output_bytes for step in found.steps]
    live = memory.live_bytes(found.blocks, len(found.steps))
    parameters = sum(step.parameters for step in found.steps)
    return RamAnalysis(
        architecture=path.name,
        dtype=found.dtype,
        batch=1,
        parameters=parameters,
        trainable_parameters=0,
        macs=sum(step.macs for step in found.steps),
        weights_bytes=found.weights_bytes,
        two_layer_bytes=max((a + b for a, b in itertools.pairwise(outputs)), default=sum(outputs)),
        liveness_peak_bytes=max(live),
        arena_bytes=found.arena_bytes,
        training_bytes=None,
        layers=tuple(
            Layer(
                name=step.name,
                type=TYPES.get(step.type, step.type),
                output_shape=step.shape[1:],
                parameters=step.parameters,
                macs=step.macs,
                output_bytes=step.output_bytes,
                live_bytes=alive,
                kernel=step.kernel,
                strides=step.strides,
            )
            for step, alive in zip(found.steps, live, strict=True)
        ),
        peak_tensors=_alive_at_peak(found.blocks, live),
    )


def _tuples(layer: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in layer.items()}


def _window(op: Operator) -> tuple[int, int] | None:
    if op.op not in ("conv", "depthwise"):
        return None
    height, width = op.weights["kernel"].shape[:2]
    return int(height), int(width)


def _weight_bytes(op: Operator, dtype: Dtype) -> int:
    """Kernel at the precision asked for; in int8 the bias is int32 and each channel has a scale."""
    if not op.weights:
        return 0
    if "kernel" not in op.weights:  # a constant operand, which stays in float
        return op.parameters * memory.ELEMENT_BYTES["fp16" if dtype == "fp16" else "fp32"]
    kernel, bias = op.weights["kernel"].size, op.weights["bias"].size
    if dtype == "int8":
        return kernel + 8 * bias
    return (kernel + bias) * memory.ELEMENT_BYTES[dtype]


def analyze_model(
    model: "keras.Model", *, architecture: str = "", dtype: Dtype = "int8", batch: int = 1
) -> RamAnalysis:
    """The analysis of a functional Keras model; its weights' values are not read."""
    import math

    from edgecnn.export.folding import fold
    from edgecnn.export.lowering import lower

    trained = lower(model, values=False)
    return analyze_graph(
        fold(trained),
        trained,
        architecture=architecture or model.name,
        parameters=model.count_params(),
        trainable_parameters=sum(math.prod(w.shape) for w in model.trainable_weights),
        dtype=dtype,
        batch=batch,
    )


def analyze(
    what: "str | Path | keras.Model",
    *,
    dtype: Dtype | None = None,
    batch: int = 1,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
) -> RamAnalysis:
    """The analysis of an architecture's name, a checkpoint, a bundle, a model file or a model.

    A bundle or a model file is analysed as it is, without Keras; ask for another `dtype`, `batch`
    or `input_shape` of the architecture or checkpoint instead.
    """
    if dtype is not None:
        one_of("dtype", dtype, get_args(Dtype))
    at_least("batch", batch, 1)
    if not isinstance(what, str | Path):
        return analyze_model(what, dtype=dtype or "int8", batch=batch)
    path = Path(what)
    finished = artifacts.is_artifact(path)
    if finished or (path / MANIFEST).is_file():
        found = analyze_artifact(path) if finished else of_bundle(Bundle.load(path))
        if (dtype or found.dtype) != found.dtype or batch != 1 or input_shape:
            raise EdgeCnnError(
                f"{path} is {found.dtype} and for one picture at a time: for another dtype, batch "
                "or input analyse its architecture."
            )
        return found
    if path.suffix in (".keras", ".h5", ".hdf5") or (path.exists() and not input_shape):
        from edgecnn.export import network as networks

        model, name = networks.model_at(path, input_shape)
        return analyze_model(model, architecture=name, dtype=dtype or "int8", batch=batch)
    from edgecnn import zoo

    with weightless():
        return analyze_model(
            zoo.build(str(what), input_shape, classes),
            architecture=str(what),
            dtype=dtype or "int8",
            batch=batch,
        )


def of_bundle(bundle: Bundle) -> RamAnalysis:
    """The analysis that stands in a bundle's manifest."""
    try:
        return RamAnalysis.from_json(bundle.manifest["ram_analysis"])
    except KeyError:
        raise BundleError(f"{bundle.path} has no RAM analysis: export again.") from None
