"""Features: what the last layer with weights reads, pooled, as a second output."""

from dataclasses import replace

from edgecnn.errors import ExportError
from edgecnn.export.heads import tail
from edgecnn.export.quantised import Quantised
from edgecnn.graph import Graph, Operator
from edgecnn.operators import kind_of

FEATURES = "features"


def with_features(graph: Graph) -> Graph:
    """The graph with one more operator at its end, whose result is given beside the output.

    Raises `ExportError` for a network without a single layer that decides.
    """
    source = graph[_last_weighted(graph).inputs[0]]
    name = FEATURES
    while name in graph.by_name:
        name += "_"
    shape = (1, source.shape[-1])
    if source.elements == shape[-1]:
        added = Operator(name, "reshape", [source.name], shape)
    elif len(source.shape) == 4:
        added = Operator(name, "global_avg_pool", [source.name], shape, {"keepdims": False})
    else:
        raise _without_features(graph)
    return replace(graph, operators=[*graph.operators, added], features=name)


def quantised_with_features(quantised: Quantised) -> Quantised:
    """The same integers, of whose results the features are made in float."""
    graph = with_features(quantised.graph)
    assert graph.features is not None
    in_float = quantised.float_operators | {graph.features}
    return replace(quantised, graph=graph, float_operators=in_float)


def count(graph: Graph) -> int:
    """How many features a graph gives."""
    return graph[graph.features].elements if graph.features else 0


def _last_weighted(graph: Graph) -> Operator:
    _, logits = tail(graph)
    op = graph[graph.output if logits is None else logits]
    while not kind_of(op).weighted:
        if len(op.inputs) != 1:
            raise _without_features(graph)
        op = graph[op.inputs[0]]
    return op


def _without_features(graph: Graph) -> ExportError:
    return ExportError(
        f"{graph.name} does not decide in one last layer, whose input would be its features: "
        "export it without --features."
    )
