"""Passes that turn the graph of a trained network into the one that is deployed.

Each is exact in real arithmetic: normalisation, padding and activations move into the operator
beside them, so that less has to be computed and less has to be quantised.
"""

from collections.abc import Callable

import numpy as np

from edgecnn.export.heads import tail
from edgecnn.export.lowering import without_dead_ends
from edgecnn.graph import Array, Graph, Operator
from edgecnn.operators import FUNCTIONS, WEIGHTED, function_of, kind_of
from edgecnn.preprocessing import Preprocessing


def fold(graph: Graph, preprocessing: Preprocessing | None = None) -> Graph:
    """The graph as deployed: raw pixels in, BatchNorm folded, activations fused.

    `preprocessing` is what normalised the network's input in training; None for a network that
    takes raw pixels.
    """
    graph = graph.copy()
    if preprocessing is not None:
        _normalise_inside(graph, preprocessing)
    _recognise_hard_sigmoid(graph)
    _dense_at_the_end(graph)
    _drop_identities(graph)
    _subtract_before_scaling(graph)
    _recognise_channel_order(graph)
    _channel_order_behind_affines(graph)
    _join_affines(graph)
    _fold_affine_backwards(graph)
    _fold_affine_forwards(graph)
    _fold_channel_order(graph)
    _give_input_its_scale(graph)
    _fold_pads(graph)
    _leave_out_before_points(graph)
    _affine_to_operators(graph)
    _fuse_activations(graph)
    _drop_reshapes(graph)
    return without_dead_ends(graph)


def _replace(graph: Graph, old: str, new: str) -> None:
    """Let everything that read `old` read `new`."""
    for op in graph:
        op.inputs = [new if name == old else name for name in op.inputs]
    if graph.output == old:
        graph.output = new


def _unused(graph: Graph, name: str) -> str:
    """The name, or one like it that no layer of the network has."""
    taken = graph.by_name
    while name in taken:
        name += "_"
    return name


def _remove(graph: Graph, op: Operator) -> None:
    """Take out an operator of one input."""
    graph.operators.remove(op)
    _replace(graph, op.name, op.inputs[0])


def _merge_pairs(graph: Graph, merge: Callable[[Operator, Operator], bool]) -> None:
    """Offer each operator with its producer, where it is the only reader of it.

    `merge(producer, op)` changes the producer and returns True if `op` is now superfluous.
    """
    by_name, consumers = graph.by_name, graph.consumers()
    for op in list(graph.operators):
        if len(op.inputs) != 1:
            continue
        producer = by_name[op.inputs[0]]
        if len(consumers[producer.name]) == 1 and merge(producer, op):
            readers = consumers[producer.name] = consumers.pop(op.name)
            for reader in readers:
                reader.inputs = [producer.name if i == op.name else i for i in reader.inputs]
            if graph.output == op.name:
                graph.output = producer.name
            del by_name[op.name]
    graph.operators[:] = [op for op in graph if op.name in by_name]


def _normalise_inside(graph: Graph, preprocessing: Preprocessing) -> None:
    """Put `(pixel - mean) / std` behind the input, with blue in front where that was asked for."""
    if preprocessing.is_raw:
        return
    image = graph.input
    std = np.broadcast_to(np.array(preprocessing.std), image.shape[-1:])
    mean = np.broadcast_to(np.array(preprocessing.mean), image.shape[-1:])
    weights = {"scale": 1 / std, "shift": -mean / std}
    name = _unused(graph, "normalise")
    normalise = Operator(name, "affine", [image.name], image.shape, {}, weights)
    _replace(graph, image.name, normalise.name)
    graph.operators.insert(1, normalise)
    if preprocessing.bgr:
        attributes = {"axis": 3, "indices": (2, 1, 0)}
        name = _unused(graph, "image.bgr")
        swapped = Operator(name, "gather", [image.name], image.shape, attributes)
        normalise.inputs = [swapped.name]
        graph.operators.insert(1, swapped)


def _dense_at_the_end(graph: Graph) -> None:
    """A 1×1 convolution of a 1×1 map that gives the logits is a dense layer.

    Of that every engine gives the sums in float.
    """
    end, name = tail(graph)
    if name is None:
        return
    logits = graph[name]
    plain = all(graph[i].op in ("reshape", "softmax", "activation") for i in end)
    readers = {reader.name for reader in graph.consumers()[name]}
    if logits.op != "conv" or not plain or not readers <= end or logits.attributes["groups"] != 1:
        return
    before = graph[logits.inputs[0]].shape
    if before[:3] != (1, 1, 1) or logits.weights["kernel"].shape[:2] != (1, 1):
        return
    vector = Operator(f"{name}.vector", "reshape", logits.inputs, (1, before[-1]))
    graph.operators.insert(graph.operators.index(logits), vector)
    logits.op, logits.inputs, logits.attributes = "dense", [vector.name], {}
    logits.weights = {**logits.weights, "kernel": logits.weights["kernel"][0, 0]}
    for op in (logits, *(graph[i] for i in end)):
        op.shape = (1, op.elements)


def _drop_identities(graph: Graph) -> None:
    for op in list(graph.operators):
        identity = op.op == "affine" and bool((op.weights["scale"] == 1).all())
        if identity and not op.weights["shift"].any():
            _remove(graph, op)


def _subtract_before_scaling(graph: Graph) -> None:
    """x·s - m·s is (x - m)·s: normalisations are written the one way and better held the other.

    Rounded to 8 bits, the difference of two large products leaves little of what is small.
    """
    for op in list(graph.operators):
        if op.op != "add" or len(op.inputs) != 2:
            continue
        for first, second in (op.inputs, op.inputs[::-1]):
            scaled, shift = graph[first], None
            taken = graph[second]
            if taken.op == "affine" or "operand" in taken.weights:
                shift, taken = taken, graph[taken.inputs[0]]
            terms = _difference_of_products(graph, scaled, taken)
            if terms is None or (shift is not None and not _only_shifts(shift, op)):
                continue
            x, mean, scale = terms
            place = graph.operators.index(op)
            # A variance has it too.
            difference = next(
                (o for o in graph.operators[:place] if (o.op, o.inputs) == ("subtract", [x, mean])),
                None,
            )
            if difference is None:
                difference = Operator(f"{op.name}.centred", "subtract", [x, mean], scaled.shape)
                graph.operators.insert(place, difference)
            product = Operator(f"{op.name}.scaled", "multiply", [difference.name, scale], op.shape)
            graph.operators.insert(graph.operators.index(op), product)
            if shift is None:
                _replace(graph, op.name, product.name)
            else:
                op.op, op.inputs, op.weights = shift.op, [product.name], shift.weights
                op.attributes = dict(shift.attributes)
            break
    graph.operators = without_dead_ends(graph).operators


def _difference_of_products(
    graph: Graph, scaled: Operator, taken: Operator
) -> tuple[str, str, str] | None:
    """x, m and s of x·s and -m·s."""
    if not (scaled.op == taken.op == "multiply" and len(scaled.inputs) == len(taken.inputs) == 2):
        return None
    for scale in set(scaled.inputs) & set(taken.inputs):
        x, negated = (op.inputs[1 - op.inputs.index(scale)] for op in (scaled, taken))
        before = graph[negated]
        if before.op == "affine" and _is_affine(before, -1.0, 0.0):
            mean = graph[before.inputs[0]]
            if np.broadcast_shapes(graph[x].shape, mean.shape) == scaled.shape:
                return x, mean.name, scale
    return None


def _only_shifts(op: Operator, result: Operator) -> bool:
    if op.op == "affine":
        return bool((op.weights["scale"] == 1).all() and op.shape[-1] == result.shape[-1])
    return op.op == "add"


def _recognise_channel_order(graph: Graph) -> None:
    """Channels of one tensor, taken apart and joined in another order, are one gather."""
    by_name = graph.by_name
    for op in graph:
        last = len(op.shape) - 1
        if op.op != "concat" or op.attributes["axis"] != last:
            continue
        parts = [by_name[name] for name in op.inputs]
        chosen = [_channels_taken(part, by_name) for part in parts]
        sources = {part.inputs[0] for part in parts if part.inputs}
        if len(sources) == 1 and all(places is not None for places in chosen):
            op.op, op.inputs = "gather", [*sources]
            indices = tuple(i for places in chosen for i in places or ())
            op.attributes = {"axis": last, "indices": indices}
    graph.operators = without_dead_ends(graph).operators


def _channels_taken(op: Operator, by_name: dict[str, Operator]) -> tuple[int, ...] | None:
    """Which channels of its input an operator gives and nothing else, or None."""
    last = len(op.shape) - 1
    if op.op == "gather" and op.attributes["axis"] == last:
        return tuple(op.attributes["indices"])
    if op.op == "slice" and op.shape[:-1] == by_name[op.inputs[0]].shape[:-1]:
        bounds = (op.attributes[key][last] for key in ("begin", "end", "strides"))
        return tuple(range(*bounds))
    return None


def _channel_order_behind_affines(graph: Graph) -> None:
    """What is done to each channel can be done before they are put in another order."""
    for op in list(graph.operators):
        if op.op != "affine":
            continue
        order = graph[op.inputs[0]]
        if not _is_order(order) or len(graph.consumers()[order.name]) != 1:
            continue
        places = np.argsort(order.attributes["indices"])
        op.weights = {key: value[places] for key, value in op.weights.items()}
        op.inputs, order.inputs = order.inputs, [op.name]
        _replace(graph, op.name, order.name)
        order.inputs = [op.name]
        graph.operators.remove(order)
        graph.operators.insert(graph.operators.index(op) + 1, order)


def _is_order(op: Operator) -> bool:
    """Whether an operator puts all channels in another order."""
    last = len(op.shape) - 1
    indices = op.attributes.get("indices", ())
    return bool(
        op.op == "gather"
        and op.attributes["axis"] == last
        and sorted(indices) == list(range(len(indices)))
    )


def _fold_channel_order(graph: Graph) -> None:
    """A layer can read its channels from where they are."""
    for op in list(graph.operators):
        if op.op != "gather" or op.attributes["axis"] != len(op.shape) - 1:
            continue
        before = graph[op.inputs[0]].shape[-1]
        readers = graph.consumers()[op.name]
        takes = [
            reader.op in ("conv", "dense") and reader.attributes.get("groups", 1) == 1
            for reader in readers
        ]
        if not readers or not all(takes) or op.name == graph.output:
            continue
        for reader in readers:
            kernel = reader.weights["kernel"]
            found: Array = np.zeros((*kernel.shape[:-2], before, kernel.shape[-1]), kernel.dtype)
            np.add.at(
                np.moveaxis(found, -2, 0),
                list(op.attributes["indices"]),
                np.moveaxis(kernel, -2, 0),
            )
            reader.weights = {**reader.weights, "kernel": found}
        _remove(graph, op)


def _recognise_hard_sigmoid(graph: Graph) -> None:
    """relu6(x + 3) / 6, as keras.applications spells it, is one operator."""
    by_name = graph.by_name
    for op in list(graph.operators):
        if op.op != "affine" or not _is_affine(op, 1 / 6, 0.0):
            continue
        relu6 = by_name[op.inputs[0]]
        if relu6.attributes.get("kind") != "relu6" or relu6.op != "activation":
            continue
        plus = by_name[relu6.inputs[0]]
        if plus.op == "affine" and _is_affine(plus, 1.0, 3.0):
            op.op, op.weights, op.inputs = "activation", {}, list(plus.inputs)
            op.attributes = {"kind": "hard_sigmoid"}
    graph.operators = without_dead_ends(graph).operators


def _is_affine(op: Operator, scale: float, shift: float) -> bool:
    return bool(
        np.allclose(op.weights["scale"], scale, rtol=1e-6)
        and np.allclose(op.weights["shift"], shift, atol=1e-6)
    )


def _join_affines(graph: Graph) -> None:
    def merge(first: Operator, second: Operator) -> bool:
        if not first.op == second.op == "affine":
            return False
        scale, shift = second.weights["scale"], second.weights["shift"]
        first.weights = {
            "scale": first.weights["scale"] * scale,
            "shift": first.weights["shift"] * scale + shift,
        }
        return True

    _merge_pairs(graph, merge)


def _fold_affine_backwards(graph: Graph) -> None:
    """(w·x + b)·scale + shift: BatchNorm behind a convolution or dense layer."""

    def merge(producer: Operator, op: Operator) -> bool:
        if op.op != "affine" or producer.op not in WEIGHTED:
            return False
        scale, shift = op.weights["scale"], op.weights["shift"]
        kernel, bias = producer.weights["kernel"], producer.weights["bias"]
        per_output = scale.reshape(kernel.shape[2:]) if producer.op == "depthwise" else scale
        producer.weights = {
            "kernel": (kernel * per_output).astype(np.float32),
            "bias": (bias * scale + shift).astype(np.float32),
        }
        return True

    _merge_pairs(graph, merge)


def _fold_affine_forwards(graph: Graph) -> None:
    """w·(x·scale + shift) + b: exact where no padding stands between the two."""
    consumers = graph.consumers()
    for op in list(graph.operators):
        if op.op != "affine" or len(consumers[op.name]) != 1:
            continue
        after = consumers[op.name][0]
        if after.op not in ("conv", "dense") or after.attributes.get("groups", 1) != 1:
            continue
        if any(after.attributes.get("pads", ())):
            continue
        if op.inputs[0] == graph.input.name and _is_scalar(op):
            continue  # becomes the input's own scale
        kernel, bias = after.weights["kernel"].astype(np.float64), after.weights["bias"]
        scale, shift = op.weights["scale"], op.weights["shift"]
        after.weights = {
            "kernel": (kernel * scale[:, None]).astype(np.float32),
            "bias": (bias + (kernel * shift[:, None]).reshape(-1, bias.size).sum(0)).astype(
                np.float32
            ),
        }
        _remove(graph, op)


def _is_scalar(op: Operator) -> bool:
    """One scale and one shift for all channels: as the input tensor's own scale it is free."""
    return bool(np.ptp(op.weights["scale"]) == 0 and np.ptp(op.weights["shift"]) == 0)


def _give_input_its_scale(graph: Graph) -> None:
    """real = scale · (pixel - zero_point) at the input tensor itself.

    The zero point may lie between two integers (127.5): see `with_whole_zero_point`.
    """
    image = graph.input
    image.attributes |= {"scale": 1.0, "zero_point": 0}
    readers = graph.consumers()[image.name]
    if len(readers) != 1 or readers[0].op != "affine" or not _is_scalar(readers[0]):
        return
    affine = readers[0]
    scale, shift = float(affine.weights["scale"][0]), float(affine.weights["shift"][0])
    if scale <= 0 or not -0.5 <= -shift / scale <= 255.5:
        return
    zero_point = -shift / scale
    whole = round(zero_point)
    if abs(zero_point - whole) <= 1e-3:
        zero_point = whole
    else:
        after = graph.consumers()[affine.name]
        if len(after) != 1 or after[0].op != "conv":
            return
    image.attributes |= {"scale": scale, "zero_point": zero_point}
    _remove(graph, affine)


def with_whole_zero_point(graph: Graph) -> Graph:
    """The graph with an input whose zero point is an integer, as integers need it.

    A mean between two integers leaves up to half a level, which is added to the bias of the first
    layer: exact except where its window reaches over the picture's edge.
    """
    zero_point = graph.input.attributes["zero_point"]
    whole = int(np.clip(round(zero_point), 0, 255))
    if whole == zero_point:
        return graph
    graph = graph.copy()
    image = graph.input
    (first,) = graph.consumers()[image.name]
    rest = image.attributes["scale"] * (whole - zero_point)
    kernel, bias = first.weights["kernel"], first.weights["bias"]
    moved = bias + rest * kernel.astype(np.float64).sum((0, 1, 2))
    first.weights = {**first.weights, "bias": moved.astype(np.float32)}
    image.attributes["zero_point"] = whole
    return graph


def _fold_pads(graph: Graph) -> None:
    """Zeros around a picture are a convolution's own padding, and a max pool's after a ReLU."""
    consumers = graph.consumers()
    for op in list(graph.operators):
        if op.op != "pad":
            continue
        non_negative = _never_negative(graph, graph[op.inputs[0]])
        readers = consumers[op.name]
        takes = all(
            reader.op in ("conv", "depthwise") or (reader.op == "max_pool" and non_negative)
            for reader in readers
        )
        if op.name == graph.output or not takes:
            continue
        joined = [_joined_pads(reader, op) for reader in readers]
        # Engines want something of the picture in every window; OpenVINO 2026.4 errs without it.
        if all(map(_within_window, readers, joined)):
            for reader, pads in zip(readers, joined, strict=True):
                reader.attributes["pads"] = pads
            _remove(graph, op)


def _leave_out_before_points(graph: Graph) -> None:
    """A 1×1 convolution reads every second pixel behind padding: the others are left out before.

    OpenVINO 2026.4 does so too, and counts the pixels without the padding.
    """
    for op in list(graph.operators):
        strides = op.attributes.get("strides", (1, 1))
        point = op.op == "conv" and op.weights["kernel"].shape[:2] == (1, 1)
        if not point or strides == (1, 1) or graph[op.inputs[0]].op != "pad":
            continue
        before, (_, rows, columns, _) = graph[op.inputs[0]], op.shape
        end = (1, (rows - 1) * strides[0] + 1, (columns - 1) * strides[1] + 1, before.shape[3])
        left = Operator(
            f"{op.name}.read",
            "slice",
            [before.name],
            (1, rows, columns, before.shape[3]),
            {"begin": (0, 0, 0, 0), "end": end, "strides": (1, *strides, 1)},
        )
        graph.operators.insert(graph.operators.index(op), left)
        op.inputs, op.attributes = [left.name], {**op.attributes, "strides": (1, 1)}


def _joined_pads(reader: Operator, pad: Operator) -> tuple[int, ...]:
    pads = zip(reader.attributes["pads"], pad.attributes["pads"], strict=True)
    return tuple(own + outer for own, outer in pads)


def _within_window(op: Operator, pads: tuple[int, ...]) -> bool:
    size = op.attributes["size"] if op.op == "max_pool" else op.weights["kernel"].shape[:2]
    dilation = op.attributes.get("dilation", (1, 1))
    reach = [(n - 1) * spread + 1 for n, spread in zip(size, dilation, strict=True)]
    return bool(max(pads[:2]) < reach[0] and max(pads[2:]) < reach[1])


def _never_negative(graph: Graph, op: Operator) -> bool:
    function = function_of(op)
    if function is not None and function.low is not None and function.low >= 0:
        return True
    if op.op == "avg_pool" or (kind_of(op).moves and op.inputs):
        return all(_never_negative(graph, graph[name]) for name in op.inputs)
    return False


def _affine_to_operators(graph: Graph) -> None:
    """What is left is a 1×1 depthwise convolution: int8 weights per channel lose nothing.

    Off pictures it is a product and a sum.
    """
    operators: list[Operator] = []
    for op in graph:
        if op.op == "affine" and len(op.shape) == 4:
            op.op = "depthwise"
            op.attributes = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1)}
            op.weights = {
                "kernel": op.weights["scale"].reshape(1, 1, -1, 1).astype(np.float32),
                "bias": op.weights["shift"].astype(np.float32),
            }
        elif op.op == "affine":
            operands = {
                key: op.weights[key].reshape((1,) * (len(op.shape) - 1) + (-1,)).astype(np.float32)
                for key in ("scale", "shift")
            }
            product = _unused(graph, f"{op.name}.product")
            operators.append(
                Operator(
                    product, "multiply", op.inputs, op.shape, {}, {"operand": operands["scale"]}
                )
            )
            op.op, op.inputs, op.attributes = "add", [product], {}
            op.weights = {"operand": operands["shift"]}
        operators.append(op)
    graph.operators = operators


def _fuse_activations(graph: Graph) -> None:
    def merge(producer: Operator, op: Operator) -> bool:
        if op.op != "activation" or not FUNCTIONS[kind := op.attributes["kind"]].fusible:
            return False
        if not kind_of(producer).fuses or producer.fused:
            return False
        producer.fused = kind
        return True

    _merge_pairs(graph, merge)


def _drop_reshapes(graph: Graph) -> None:
    """A reshape to the same shape does nothing; pooling to a vector and back is `keepdims`."""
    for op in list(graph.operators):
        if op.op != "reshape":
            continue
        consumers = graph.consumers()
        producer = graph[op.inputs[0]]
        if producer.op == "reshape" and len(consumers[producer.name]) == 1:
            _remove(graph, producer)
            producer = graph[op.inputs[0]]
        pooled = producer.op in ("global_avg_pool", "global_max_pool")
        plain = len(op.shape) in (2, 4) and producer.elements == op.shape[-1]
        if pooled and plain and len(consumers[producer.name]) == 1:
            producer.shape = op.shape
            producer.attributes["keepdims"] = len(op.shape) == 4
        if producer.shape == op.shape:
            _remove(graph, op)
