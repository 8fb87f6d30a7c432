"""The RAM analysis: the source text's example, published peaks, and properties."""

import itertools
import json
from typing import Any

import keras
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecnn import memory
from edgecnn.analysis import RamAnalysis, analyze
from edgecnn.cli.analyze import ways_to_lower
from edgecnn.graph import Graph, Operator
from edgecnn.memory import Lifetime


def test_the_example_of_the_source_text() -> None:
    """200 5×5 filters, stride 1, same padding, on a 150×100 RGB picture, in float32."""
    image = keras.Input((100, 150, 3))
    model = keras.Model(image, keras.layers.Conv2D(200, 5, padding="same", name="c")(image))
    one = analyze(model, dtype="fp32")
    layer = one.layers[-1]
    assert one.parameters == layer.parameters == 15_200
    assert layer.macs == 225_000_000
    assert layer.output_bytes == 12_000_000  # 96 million bits
    batch = analyze(model, dtype="fp32", batch=100)
    assert batch.layers[-1].output_bytes == 1_200_000_000
    assert batch.training_bytes is not None
    assert batch.training_bytes >= 1_200_000_000


@pytest.mark.parametrize(
    ("name", "peak"), [("resnet34", 1_003_520), ("efficientnet_lite0", 1_505_280)]
)
def test_the_liveness_peak_is_what_litert_was_seen_to_need(name: str, peak: int) -> None:
    """resnet34: the stem's 112·112·64 and its pooled 56·56·64, both int8."""
    found = analyze(name)
    assert found.liveness_peak_bytes == peak
    assert analyze(name, dtype="fp32").liveness_peak_bytes == 4 * peak


def test_two_layers_are_too_few_where_a_skip_keeps_a_tensor_alive() -> None:
    image = keras.Input((32, 32, 8))
    x = keras.layers.Conv2D(8, 3, padding="same")(image)
    y = keras.layers.Conv2D(8, 3, padding="same")(x)
    y = keras.layers.Conv2D(8, 3, padding="same")(y)
    model = keras.Model(image, keras.layers.Add()([x, y]))
    found = analyze(model)
    tensor = 32 * 32 * 8
    assert found.two_layer_bytes == 2 * tensor
    assert found.liveness_peak_bytes == 3 * tensor


def test_weights_are_counted_as_deployed() -> None:
    found = analyze("lenet5")
    biases = 6 + 16 + 120 + 84 + 10
    assert found.weights_bytes == (61_706 - biases) + 8 * biases


blocks = st.lists(
    st.builds(
        lambda size, first, length: (size, first, first + length),
        st.integers(1, 5_000),
        st.integers(0, 12),
        st.integers(0, 6),
    ),
    min_size=1,
    max_size=14,
).map(lambda rows: [Lifetime(f"t{i}", *row) for i, row in enumerate(rows)])


@given(blocks)
def test_a_plan_never_puts_two_living_tensors_in_one_place(found: list[Lifetime]) -> None:
    offsets = memory.plan(found)
    for a, b in itertools.combinations(found, 2):
        if a.overlaps(b):
            apart = (
                offsets[a.name] + a.bytes <= offsets[b.name]
                or offsets[b.name] + b.bytes <= offsets[a.name]
            )
            assert apart, (a, b, offsets)
    assert all(offset % memory.ALIGNMENT == 0 for offset in offsets.values())


@given(blocks)
def test_peak_arena_and_sum_are_in_order(found: list[Lifetime]) -> None:
    peak = max(memory.live_bytes(found, 20))
    whole = sum(b.bytes for b in found)
    assert peak <= memory.arena_bytes(found, alignment=1) <= whole
    assert peak <= memory.arena_bytes(found) <= whole + memory.ALIGNMENT * len(found)


@st.composite
def graphs(draw: Any) -> Graph:
    operators = [Operator("image", "input", [], (1, 4, 4, 3))]
    for index in range(draw(st.integers(1, 10))):
        inputs = draw(
            st.lists(st.sampled_from([op.name for op in operators]), min_size=1, max_size=3)
        )
        shape: tuple[int, ...] = (1, 4, 4, draw(st.integers(1, 9)))
        kind = "reshape" if draw(st.booleans()) and len(inputs) == 1 else "add"
        if kind == "reshape":
            shape = next(op.shape for op in operators if op.name == inputs[0])
        operators.append(Operator(f"op{index}", kind, inputs, shape))
    return Graph(operators, operators[-1].name)


@settings(max_examples=200)
@given(graphs())
def test_liveness_equals_brute_force(graph: Graph) -> None:
    """A buffer is alive at a step if it exists and anything from this step on still reads it."""
    buffer: dict[str, str] = {}
    for op in graph:
        buffer[op.name] = buffer[op.inputs[0]] if op.op == "reshape" else op.name
    size = {op.name: memory.tensor_bytes(op, "int8") for op in graph}
    expected = []
    for step in range(len(graph.operators)):
        alive = set()
        for earlier in graph.operators[: step + 1]:
            later = graph.operators[step:]
            read = any(buffer[earlier.name] in {buffer[n] for n in op.inputs} for op in later)
            if read or buffer[earlier.name] == buffer[graph.operators[step].name]:
                alive.add(buffer[earlier.name])
            if buffer[earlier.name] == buffer[graph.output]:
                alive.add(buffer[earlier.name])
        expected.append(sum(size[name] for name in alive))
    found = memory.live_bytes(memory.lifetimes(graph, "int8"), len(graph.operators))
    assert found == expected


def test_windows_are_told_of_convolutions_only() -> None:
    image = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, (5, 3), strides=(2, 1), padding="same", name="wide")(image)
    x = keras.layers.DepthwiseConv2D(3, strides=2, name="deep")(x)
    x = keras.layers.Dense(4, name="dense")(keras.layers.GlobalAveragePooling2D(name="mean")(x))
    found = analyze(keras.Model(image, x))
    windows = {layer.name: (layer.kernel, layer.strides) for layer in found.layers}
    assert windows["wide"] == ((5, 3), (2, 1))
    assert windows["deep"] == ((3, 3), (2, 2))
    assert windows["mean"] == windows["dense"] == (None, None)
    assert RamAnalysis.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_what_is_alive_at_the_peak_adds_up_to_it() -> None:
    for name in ("resnet34", "mobilenet_v3_small"):
        found = analyze(name)
        assert sum(held.bytes for held in found.peak_tensors) == found.liveness_peak_bytes
        assert found.peak_layer.name in {held.name for held in found.peak_tensors}


def test_the_ways_to_lower_the_peak_are_about_right() -> None:
    """The hints are arithmetic; the analysis of what they propose is the truth."""
    (smaller,) = ways_to_lower(analyze("resnet34"))
    assert "168x168 would need about 0.564 MB" in smaller
    truth = analyze("resnet34", input_shape=(168, 168, 3)).liveness_peak_bytes
    assert truth == pytest.approx(564_480, rel=0.02)
    wide = analyze("resnet34", dtype="fp32", batch=2)
    assert len(ways_to_lower(wide)) == 3


def test_no_weights_come_later() -> None:
    """Keras keeps a list of variables without values, and fills it with the next layer it sees."""
    analyze("alexnet")
    before = psutil.Process().memory_info().rss
    keras.layers.Lambda(lambda x: 2 * x)(keras.Input((1,)))  # Keras runs it to learn its shape
    assert psutil.Process().memory_info().rss - before < 50e6, "AlexNet has 244 MB of weights"
