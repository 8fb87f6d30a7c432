"""Model files described without running them, against the engine that runs them."""

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecnn import memory, zoo
from edgecnn.analysis import analyze
from edgecnn.artifacts import describe
from edgecnn.artifacts.litert_arena import (
    TENSOR_ALIGNMENT,
    Block,
    Operator,
    arena_bytes,
    blocks,
    place,
)
from edgecnn.errors import BundleError, EdgeCnnError
from edgecnn.export.folding import fold
from edgecnn.export.formats.onnx import write as write_onnx
from edgecnn.export.formats.openvino import write as write_openvino
from edgecnn.export.formats.tflite import write as write_tflite
from edgecnn.export.heads import with_probabilities
from edgecnn.export.lowering import lower
from edgecnn.export.quantise import quantise
from edgecnn.export.quantised import Quantised
from edgecnn.export.statistics import Range
from edgecnn.graph import Graph
from edgecnn.preprocessing import Preprocessing
from edgecnn.targets.engines import probe

SMALL = {
    "lenet5": None,
    "alexnet": None,
    "resnet18": 64,
    "mobilenet_v2": 64,
    "mobilenet_v3_small": 64,
    "densenet121": 64,
    "googlenet": 64,
    "efficientnet_b0": 64,
}
FILES = {"tflite": "model.tflite", "onnx": "model.onnx", "openvino": "model.xml"}
WRITERS = {"tflite": write_tflite, "onnx": write_onnx, "openvino": write_openvino}

Deploy = Callable[[str, str], tuple[Graph, Quantised | None]]


@pytest.fixture(scope="module")
def deploy() -> Deploy:
    """The graph of a small architecture, made once."""
    folded: dict[str, Graph] = {}

    def made(name: str, precision: str) -> tuple[Graph, Quantised | None]:
        if name not in folded:
            side = SMALL[name]
            folded[name] = network(name, (side, side, 3) if side else None, classes=10)
        return quantised_as(precision, folded[name])

    return made


def network(name: str, input_shape: tuple[int, int, int] | None, classes: int | None) -> Graph:
    """An architecture's graph as deployed, in float."""
    model = zoo.build(name, input_shape, classes)
    # OpenVINO leaves out a bias that is zero.
    model.set_weights([value + 0.01 for value in model.get_weights()])
    return fold(with_probabilities(lower(model)), Preprocessing(*model.input_shape[1:]))


def quantised_as(precision: str, graph: Graph) -> tuple[Graph, Quantised | None]:
    """The graph and the integers of that precision; scales do not matter to memory."""
    if precision == "fp32":
        return graph, None
    quantised = quantise(graph, {op.name: Range(-1.0, 1.0) for op in graph})
    return quantised.graph, quantised


def laid_out(model: Path) -> int:
    """From the first to the last byte of the arena that LiteRT made, read from addresses."""
    interpreter = Interpreter(
        model_path=str(model),
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    (taken,) = interpreter.get_input_details()
    interpreter.set_tensor(taken["index"], np.zeros(taken["shape"], taken["dtype"]))
    interpreter.invoke()
    written = {int(i) for op in interpreter._get_ops_details() for i in op["outputs"]}
    spans = []
    for tensor in interpreter.get_tensor_details():
        index, scratch = tensor["index"], not tensor["name"]
        if index in written or index == taken["index"] or scratch:
            values = interpreter.tensor(index)()
            # A reduction's normalised shape, 16 bytes, lies on the heap.
            if not scratch or values.nbytes >= 64:
                spans.append((values.ctypes.data, values.ctypes.data + values.nbytes))
    return max(end for _, end in spans) - min(start for start, _ in spans)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
@pytest.mark.parametrize("name", SMALL)
def test_the_arena_is_what_litert_lays_out(
    name: str, precision: str, deploy: Deploy, tmp_path: Path
) -> None:
    graph, quantised = deploy(name, precision)
    write_tflite(graph, quantised, tmp_path)
    found = describe(tmp_path / "model.tflite")
    assert found.dtype == precision
    assert found.arena_bytes == pytest.approx(laid_out(tmp_path / "model.tflite"), rel=0.001)
    assert found.arena_bytes >= max(memory.live_bytes(found.blocks, len(found.steps)))


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.names())
def test_the_arena_of_every_network_at_full_size(name: str, tmp_path: Path) -> None:
    graph = network(name, None, None)
    for precision in ("int8", "fp32"):
        write_tflite(*quantised_as(precision, graph), tmp_path)
        found = describe(tmp_path / "model.tflite")
        assert found.arena_bytes == pytest.approx(laid_out(tmp_path / "model.tflite"), rel=0.05)


def test_half_precision_is_seen(deploy: Deploy, tmp_path: Path) -> None:
    graph, _ = deploy("lenet5", "fp32")
    write_tflite(graph, None, tmp_path, half=True)
    found = describe(tmp_path / "model.tflite")
    assert found.dtype == "fp16"
    # Biases and kernels at two bytes; shapes and axes are a few integers.
    assert 2 * 61_706 <= found.weights_bytes < 2 * 61_706 + 200
    assert {step.type for step in found.steps} >= {"input", "CONV_2D", "SOFTMAX"}


@pytest.mark.parametrize("precision", ["int8", "fp32"])
@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize("name", ["lenet5", "mobilenet_v2", "resnet18"])
def test_every_format_holds_the_same_network(
    name: str, format: str, precision: str, deploy: Deploy, tmp_path: Path
) -> None:
    graph, quantised = deploy(name, precision)
    WRITERS[format](graph, quantised, tmp_path)
    found = analyze(tmp_path / FILES[format])
    weighted = [op for op in graph if graph.macs(op)]
    assert found.dtype == precision
    assert found.macs == sum(graph.macs(op) for op in graph)
    assert found.parameters == sum(op.parameters for op in weighted)
    windows = [op.attributes["strides"] for op in weighted if op.op != "dense"]
    # OpenVINO orders branches its own way, and a dense layer may stand as a convolution.
    assert Counter(windows) <= Counter(layer.strides for layer in found.layers if layer.strides)
    expected = memory.lifetimes(graph, precision)
    peak = max(memory.live_bytes(expected, len(graph.operators)))
    picture = memory.tensor_bytes(graph.input, precision)
    # TFLite keeps the picture for good and makes a signed or real copy of it.
    assert peak / 2 <= found.liveness_peak_bytes <= peak + 5 * picture


def test_a_probes_files(tmp_path: Path) -> None:
    for name in FILES.values():
        found = analyze(probe.bundle("colours").path / name)
        assert (found.parameters, found.macs) == (96, 20_745)
        assert found.training_bytes is None
    with pytest.raises(EdgeCnnError, match="int8"):
        analyze(probe.bundle("colours").path / "model.onnx", dtype="fp32")


@pytest.mark.parametrize("name", FILES.values())
def test_a_file_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    damaged = tmp_path / name
    for content in (b"\x18\x00\x00\x00TFL3\xff\xff\xff\xff", b"<html></html>", b"\x00\x01"):
        damaged.write_bytes(content)
        with pytest.raises(BundleError, match=name):
            describe(damaged)


lifetimes = st.lists(
    st.tuples(st.integers(0, 5_000), st.integers(0, 9), st.one_of(st.none(), st.integers(0, 5))),
    min_size=1,
    max_size=12,
).map(
    lambda rows: [
        Block(i, size, first, None if length is None else first + length)
        for i, (size, first, length) in enumerate(rows)
    ]
)


@settings(deadline=None)
@given(lifetimes)
def test_no_two_living_blocks_share_a_byte(found: list[Block]) -> None:
    offsets = place(found)
    for a, b in itertools.combinations([block for block in found if block.bytes], 2):
        assert a.overlaps(b) == b.overlaps(a)
        if a.overlaps(b):
            start_a, start_b = offsets[a.tensor], offsets[b.tensor]
            assert start_a + a.bytes <= start_b or start_b + b.bytes <= start_a
    assert all(offset % TENSOR_ALIGNMENT == 0 for offset in offsets.values())


@settings(deadline=None)
@given(lifetimes)
def test_liveness_peak_arena_and_sum_are_in_order(found: list[Block]) -> None:
    steps = range(16)
    peak = max(
        sum(b.bytes for b in found if b.first <= step and (b.last is None or step <= b.last))
        for step in steps
    )
    whole = sum(b.bytes for b in found)
    assert peak <= arena_bytes(found) <= whole + TENSOR_ALIGNMENT * len(found)


def test_a_sum_is_written_over_an_input_that_nobody_else_reads() -> None:
    sizes = dict.fromkeys(range(5), 100)
    # 0 -> 1, 0 -> 2, 1 + 2 -> 3, 3 -> 4
    operators = [
        Operator((0,), (1,)),
        Operator((0,), (2,)),
        Operator((1, 2), (3,), in_place=(0, 1)),
        Operator((3,), (4,)),
    ]
    held = {block.tensor: block for block in blocks(operators, sizes, [0], [4])}
    assert set(held) == {0, 1, 2, 4}
    assert held[1].last == 3
    assert held[2].last == 2
    assert held[0].last is held[4].last is None
    # Read once more, tensor 1 stays as it is, and 2 is taken.
    operators[3] = Operator((3, 1), (4,))
    held = {block.tensor: block for block in blocks(operators, sizes, [0], [4])}
    assert set(held) == {0, 1, 2, 4}
    assert (held[1].last, held[2].last) == (3, 3)
