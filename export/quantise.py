"""From ranges to integers: one decision for all formats.

Where an integer operator cannot change the scale (pools, concatenation, reshapes in TFLite), its
tensors share one, in every format, so that the three artifacts compute the same thing.
"""

from dataclasses import replace

import numpy as np

from edgecnn.errors import ExportError
from edgecnn.export.heads import tail
from edgecnn.export.quantised import NOTHING, IntWeights, Quantised, Scale, largest_weight
from edgecnn.export.statistics import Range
from edgecnn.graph import Graph, Operator
from edgecnn.operators import FUNCTIONS, WEIGHTED, kind_of

LOGIT_HEADROOM = {True: 1.1, False: 1.5}
"""How much wider than seen the range of the logits is, for representative pictures or not.

A picture more typical of its class than any calibration picture has larger logits; clipping them
costs its whole confidence, a coarser step next to nothing. Only TFLite holds logits in 8 bits.
"""

FIXED = {kind: Scale(*function.fixed) for kind, function in FUNCTIONS.items() if function.fixed}

CLAMPED_LEAST = 2.0**-20
"""Least width of a tensor clamped at 6: TFLite's kernels count the steps to there in 32 bits."""


def quantise(
    graph: Graph,
    ranges: dict[str, Range],
    float_operators: frozenset[str] = frozenset(),
    *,
    representative: bool = True,
    weight_bits: int = 8,
    symmetric: bool = False,
) -> Quantised:
    """Give every tensor its scale and every weight its integers.

    `float_operators` names operators that stay in float. `representative` says whether the
    pictures behind the ranges are like those the network will see. `weight_bits` is how many
    bits of a weight are used, always symmetric; `symmetric` makes the activations so too, behind
    the picture, whose bytes are what they are.
    """
    end, logits = tail(graph)
    in_float = float_operators | end | {op.name for op in graph if not kind_of(op).int8}
    in_float |= _between(graph, in_float)
    in_float = _with_followers(graph, in_float)
    image = graph.input
    scales: dict[str, Scale] = {
        image.name: Scale(image.attributes["scale"], image.attributes["zero_point"])
    }
    if logits is not None:
        ranges = {**ranges, logits: ranges[logits].widened(LOGIT_HEADROOM[representative])}
    ranges = _within_engine_limits(graph, ranges, in_float)
    graph, ranges = _with_requantisers(graph, ranges, in_float)
    if symmetric:
        graph, ranges = _with_requantised_picture(graph, ranges)
    shared = _shared_ranges(graph, ranges, in_float)
    consumers = graph.consumers()
    for op in graph.operators[1:]:
        if op.name in in_float and all(c.name in in_float for c in consumers[op.name]):
            continue
        if op.name in end or kind_of(op).type != "real":
            continue
        kept = kind_of(op).scale == "kept"
        if kept and op.name not in in_float and op.inputs[0] in scales:
            scales[op.name] = scales[op.inputs[0]]
        elif op.attributes.get("kind") in FIXED and op.name not in shared and not symmetric:
            scales[op.name] = FIXED[op.attributes["kind"]]
        else:
            found = shared.get(op.name, ranges[op.name])
            if not np.isfinite([found.low, found.high]).all():
                raise ExportError(
                    f"'{op.name}' is not finite for the calibration pictures ({found.low:g} to "
                    f"{found.high:g}): no integers can hold it. --fp32 keeps it as it is."
                )
            scale = Scale.symmetric if symmetric else Scale.of_range
            scales[op.name] = scale(found.low, found.high)
    result = Quantised(graph, scales, float_operators=in_float, symmetric=symmetric)
    for op in graph:
        if op.op in WEIGHTED and result.runs_in_int8(op):
            result.weights[op.name] = int_weights(
                op, scales[op.inputs[0]].scale, scales[op.name].scale, weight_bits
            )
    return result


def _between(graph: Graph, in_float: frozenset[str]) -> frozenset[str]:
    """What only passes on or combines values on their way between operators that run in float.

    Rounding them to 8 bits there would cost digits and two conversions: a variance on its way from
    a mean to a square root, say.
    """
    consumers = graph.consumers()
    passing = {op.name for op in graph.operators[1:] if not _computes_much(op)} - in_float
    before: set[str] = set()
    for op in reversed(graph.operators):
        after = {reader.name for reader in consumers[op.name]}
        if op.name in passing and (after & in_float or after & before):
            before.add(op.name)
    behind: set[str] = set()
    for op in graph:
        if op.name in passing and any(name in in_float or name in behind for name in op.inputs):
            behind.add(op.name)
    return frozenset(behind & before)


def _with_followers(graph: Graph, in_float: frozenset[str]) -> frozenset[str]:
    """With what combines results of operators in float, and what scales by one.

    In integers it would round each of them first, and a divisor's reciprocal may be thousands of
    times larger for one pixel than for the rest: in a normalisation, of what is nearly even.
    """
    found = set(in_float)
    for op in graph:
        combines = op.inputs and not kind_of(op).moves and not _computes_much(op)
        enough = any if op.op == "multiply" else all
        if combines and enough(name in found for name in op.inputs):
            found.add(op.name)
    return frozenset(found)


def _computes_much(op: Operator) -> bool:
    if op.op == "depthwise":
        return op.weights["kernel"].shape[:2] != (1, 1)
    return kind_of(op).weighted or op.op in ("max_pool", "depth_pool")


def _within_engine_limits(
    graph: Graph, ranges: dict[str, Range], in_float: frozenset[str]
) -> dict[str, Range]:
    """Ranges of which none is thousands of times another that it is added to or averaged into.

    Engines hold the ratio of input and output scale in few bits, and XNNPACK aborts the process
    where it does not fit (2^-10 to 2^8 for a sum). Widening what is tiny beside the result costs
    nothing that could be seen in it. Only untrained or broken networks need this.
    """
    ranges = dict(ranges)
    by_name = graph.by_name

    def source(name: str) -> str:
        while kind_of(by_name[name]).scale == "kept":
            name = by_name[name].inputs[0]
        return name

    def width(name: str) -> float:
        return ranges[source(name)].width

    def widen(name: str, least: float) -> None:
        name = source(name)
        if width(name) < max(least, NOTHING):
            ranges[name] = ranges[name].union(Range(0.0, least))

    for op in graph:
        if op.name in in_float:
            continue
        if op.fused == "relu6" or op.attributes.get("kind") == "relu6":
            widen(op.name, CLAMPED_LEAST)
        if op.op in ("add", "subtract", "global_avg_pool"):
            widen(op.name, max(width(name) for name in op.inputs) * 2**-7)
            for name in op.inputs:
                widen(name, width(op.name) * 2**-9)
        elif op.op in WEIGHTED:
            # What comes in, times the largest weight, is at most 2^8 steps of what comes out.
            largest = float(np.abs(op.weights["kernel"]).max()) / 127
            widen(op.name, width(op.inputs[0]) * largest * 2**-7)
        elif op.op == "multiply":
            widen(op.name, float(np.prod([width(name) for name in op.inputs])) * 2**-15)
    return ranges


def _with_requantisers(
    graph: Graph, ranges: dict[str, Range], in_float: frozenset[str]
) -> tuple[Graph, dict[str, Range]]:
    """A change of scale in front of what shares one, for what cannot be made at another.

    That is the picture, whose bytes are what they are; results whose scale TFLite prescribes; and
    what a ReLU made where others are negative: the ReLU is then still the range of its own tensor.
    At the wider scale it would need an operator, and ONNX Runtime would run the convolution before
    it in float.
    """
    by_name = graph.by_name
    operators: list[Operator] = []
    ranges = dict(ranges)
    for op in graph:
        if kind_of(op).scale == "shared" and op.name not in in_float:
            inputs = []
            for name in op.inputs:
                source = by_name[name]
                while kind_of(source).scale == "kept" and source.name not in in_float:
                    source = by_name[source.inputs[0]]
                clamped = source.fused and min(ranges[i].low for i in op.inputs) < 0
                fixed = source.attributes.get("kind") in FIXED and source.name not in in_float
                if clamped or fixed or source.op == "input":
                    rescaled = f"{op.name}/{name}"
                    if rescaled not in ranges:
                        shape = by_name[name].shape
                        operators.append(Operator(rescaled, "requantise", [name], shape))
                        ranges[rescaled] = ranges[name]
                    name = rescaled  # noqa: PLW2901
                inputs.append(name)
            op = replace(op, inputs=inputs)  # noqa: PLW2901
        operators.append(op)
    return Graph(operators, graph.output, graph.name), ranges


def _with_requantised_picture(
    graph: Graph, ranges: dict[str, Range]
) -> tuple[Graph, dict[str, Range]]:
    """The picture once more at a scale of its own, for all that reads it."""
    image = graph.input
    again = Operator(f"{image.name}/symmetric", "requantise", [image.name], image.shape)
    readers = [
        replace(op, inputs=[again.name if name == image.name else name for name in op.inputs])
        for op in graph.operators[1:]
    ]
    ranges = {**ranges, again.name: ranges[image.name]}
    return Graph([image, again, *readers], graph.output, graph.name), ranges


def _shared_ranges(
    graph: Graph, ranges: dict[str, Range], in_float: frozenset[str]
) -> dict[str, Range]:
    """One range for all that meets where a scale is shared, through what keeps the scale."""
    group: dict[str, set[str]] = {op.name: {op.name} for op in graph}

    def join(a: str, b: str) -> None:
        if group[a] is not group[b]:
            group[a] |= group[b]
            for name in group[b]:
                group[name] = group[a]

    joined: set[str] = set()
    for op in graph:
        if op.name in in_float:
            continue
        if kind_of(op).scale == "shared":
            joined.add(op.name)
        if kind_of(op).scale in ("shared", "kept"):
            for name in op.inputs:
                join(op.name, name)
    shared: dict[str, Range] = {}
    for name in joined:
        members = group[name]
        covering = Range(0.0, 0.0)
        for member in members:
            covering = covering.union(ranges[member])
        shared.update(dict.fromkeys(members, covering))
    return shared


def int_weights(op: Operator, input_scale: float, output_scale: float, bits: int = 8) -> IntWeights:
    """Symmetric integers of `bits` bits per output channel, held as int8; int32 biases.

    A channel whose weights are tiny beside its bias gets a larger scale, so that the bias fits
    in 32 bits; so does one whose weights are tiny beside the output: engines hold the ratio of
    the scales in a fixed-point number (XNNPACK aborts the process where that is below 2^-32).
    """
    kernel, bias = op.weights["kernel"], op.weights["bias"].astype(np.float64)
    flat = kernel.reshape(-1, bias.size)  # the last axes are the output channels
    largest = largest_weight(bits)
    scales = np.maximum(flat.max(axis=0), -flat.min(axis=0)).astype(np.float64) / largest
    scales = np.maximum(scales, np.abs(bias) / (input_scale * 2**30))
    scales = np.maximum(scales, output_scale / (input_scale * 2**30))
    scales = np.where(scales > 1e-30, scales, 1.0).astype(np.float32)
    ints = flat / scales
    np.clip(np.round(ints, out=ints), -largest, largest, out=ints)
    int_bias = np.round(bias / (scales.astype(np.float64) * np.float32(input_scale)))
    return IntWeights(ints.astype(np.int8).reshape(kernel.shape), int_bias.astype(np.int32), scales)
