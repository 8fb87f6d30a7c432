"""The end of a network: what its values mean, read from how they are made.

A network's own answers are left as they are. Only where it ends in plain numbers (logits) is the
function added that makes probabilities of them, and that is said.
"""

import numpy as np

from edgecnn.errors import ExportError
from edgecnn.export.accuracy import Probabilities
from edgecnn.export.bounds import bounds
from edgecnn.graph import Graph, Operator, Shape
from edgecnn.head import Head, Kind
from edgecnn.operators import kind_of

PROBABILITIES = "probabilities"
NARROWEST = 8.0
"""Logits span more, where anything bounds them: a sigmoid would turn these to 0.02 to 0.98."""
ROUNDING = 1e-6


def with_head(
    graph: Graph, asked: Kind | None = None, answers: Probabilities | None = None
) -> tuple[Graph, Head, str | None]:
    """The graph of a classifier, what its outputs mean, and what was assumed if anything was.

    `asked` is what the user says they mean. `answers` (count, ...) are what the network itself
    gave for some pictures, which show that they are probabilities where its layers do not. Raises
    `ExportError` for a network that does not end in one value for each class.
    """
    graph = _flat(graph)
    outputs = graph[graph.output].shape[-1]
    found = _meaning(graph, answers)
    if outputs == 1 and found == "softmax":
        raise ExportError(
            f"{graph.name} ends in a softmax over a single value, which is 1 for every picture: "
            "one unit takes a sigmoid."
        )
    if asked == "binary" and outputs != 1:
        raise ExportError(f"{graph.name} gives {outputs} values: a binary head has one.")
    if asked == "softmax" and outputs == 1:
        raise ExportError(f"{graph.name} gives one value: its head is a sigmoid.")
    if asked in ("sigmoid", "binary") and found == "softmax":
        raise ExportError(f"{graph.name} ends in a softmax, which cannot be read as a sigmoid.")
    if found is None and asked is None:
        _refuse_doubtful(graph, answers)
    wanted: Kind = asked or found or ("softmax" if outputs > 1 else "sigmoid")
    note = None
    if found is None:
        function = "softmax" if wanted == "softmax" else "sigmoid"
        graph = _ended_by(graph, function)
        if asked is None:
            several = " (--head sigmoid if several labels may hold)" if outputs > 1 else ""
            note = (
                f"{graph.name} ends in {outputs} plain value(s), taken as logits: a {function} is "
                f"added, so that the artifacts give probabilities{several}."
            )
    kind: Kind = "binary" if wanted == "sigmoid" and outputs == 1 else wanted
    return graph, Head.of(kind, outputs), note


def _refuse_doubtful(graph: Graph, answers: Probabilities | None) -> None:
    """Raise `ExportError` for an end that may well give neither probabilities nor logits.

    A function too many would keep the order of many values, but make a yes of every single one.
    """
    low, high = bounds(graph, graph.output)
    one_sided = graph[graph.output].elements == 1 and (low >= 0 or high <= 0)
    if one_sided or high - low < NARROWEST:
        raise ExportError(
            f"{graph.name} ends in values from {low:.3g} to {high:.3g}, which are neither "
            "probabilities nor plain numbers: end it in a sigmoid or softmax, in keras.ops.clip(x, "
            "0, 1) if they are probabilities, or say with --head what is to be made of them."
        )
    if answers is not None and answers.min() >= 0 and answers.max() <= 1:
        raise ExportError(
            f"{graph.name} gives values from {answers.min():.3g} to {answers.max():.3g}, and its "
            "layers do not show whether they are probabilities: end it in keras.ops.clip(x, 0, 1) "
            "if they are, or say with --head what is to be made of them."
        )


def with_probabilities(graph: Graph) -> Graph:
    """The graph of a classifier, with its softmax or sigmoid if it ended in logits."""
    return with_head(graph)[0]


def tail(graph: Graph) -> tuple[frozenset[str], str | None]:
    """The operators that make probabilities of logits and carry them there and out, and the
    logits' name.

    They compute in float in every engine. The name is None where the network ends otherwise.
    """
    op, names = graph[graph.output], [graph.output]
    while op.op == "reshape" or (kind_of(op).moves and len(op.inputs) == 1):
        op = graph[op.inputs[0]]
        names.append(op.name)
    if op.op != "softmax" and op.attributes.get("kind") not in ("sigmoid", "hard_sigmoid"):
        return frozenset({graph.output}), None
    consumers, logits = graph.consumers(), graph[op.inputs[0]]
    while logits.op == "reshape" and len(consumers[logits.name]) == 1:
        names.append(logits.name)
        logits = graph[logits.inputs[0]]
    return frozenset(names), logits.name


def _flat(graph: Graph) -> Graph:
    """Values along one axis of any number, 1×1 maps for one, as (1, classes)."""
    last = graph[graph.output]
    lengths = [n for n in last.shape[1:] if n != 1] or [1]
    if len(lengths) > 1:
        raise ExportError(
            f"{graph.name} ends in shape {last.shape[1:]}: a classifier ends in one value for each "
            "class. Detectors and segmenters are not exported; maps of classes take a "
            "GlobalAveragePooling2D."
        )
    if len(last.shape) == 2:
        return graph
    return _followed_by(graph, "reshape", (1, *lengths), {})


def _ended_by(graph: Graph, function: str) -> Graph:
    shape = graph[graph.output].shape
    if function == "softmax":
        return _followed_by(graph, "softmax", shape, {})
    return _followed_by(graph, "activation", shape, {"kind": function})


def _followed_by(graph: Graph, op: str, shape: Shape, attributes: dict[str, object]) -> Graph:
    taken = set(graph.by_name)
    name = PROBABILITIES
    while name in taken:
        name += "_"
    end = Operator(name, op, [graph.output], shape, dict(attributes))
    return Graph([*graph.operators, end], name, graph.name)


def _meaning(graph: Graph, answers: Probabilities | None) -> Kind | None:
    """What the values are by how they are made, or by what they were for some pictures."""
    names, logits = tail(graph)
    if logits is not None and any(graph[name].op == "softmax" for name in names):
        outputs = graph[graph.output].elements
        softmax = next(graph[name] for name in names if graph[name].op == "softmax")
        if softmax.shape[-1] == outputs:
            return "softmax"
    if answers is not None and answers.size > len(answers):
        sums = answers.reshape(len(answers), -1).sum(axis=1)
        if answers.min() >= 0 and np.allclose(sums, 1, atol=1e-3):
            return "softmax"
    if _is_one_of_many(graph, graph.output):
        return "softmax"
    low, high = bounds(graph, graph.output)
    return "sigmoid" if low >= -ROUNDING and high <= 1 + ROUNDING else None


def _is_one_of_many(graph: Graph, name: str) -> bool:
    """Whether a tensor sums to one whatever the picture shows: the mean of several softmaxes."""
    op = graph[name]
    if op.op == "reshape":
        return _is_one_of_many(graph, op.inputs[0])
    if op.op == "affine":
        terms = _terms(graph, op.inputs[0])
        mean = np.allclose(op.weights["scale"] * len(terms), 1) and not op.weights["shift"].any()
        return bool(mean) and all(_is_one_of_many(graph, term) for term in terms)
    return op.op == "softmax" and op.shape[-1] == op.elements


def _terms(graph: Graph, name: str) -> list[str]:
    """What a tensor is the sum of."""
    op = graph[name]
    if op.op != "add" or len(op.inputs) != 2:
        return [name]
    return [term for part in op.inputs for term in _terms(graph, part)]
