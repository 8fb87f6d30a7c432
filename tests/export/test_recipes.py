"""Each choice of a recipe does what it is there for, on networks made to need it."""

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.export import formats
from edgecnn.export.folding import fold, with_whole_zero_point
from edgecnn.export.formats.onnx import write as write_onnx
from edgecnn.export.formats.onnx.writer import to_onnx
from edgecnn.export.formats.tflite.writer import to_tflite
from edgecnn.export.ladder import rank_layers
from edgecnn.export.quantise import quantise
from edgecnn.export.quantised import Quantised, Scale
from edgecnn.export.recipe import Quantiser, Recipe
from edgecnn.export.statistics import GraphRun, observe
from edgecnn.graph import Graph, Operator

Array = np.ndarray
PLAIN = Recipe(method="minmax", rounding="nearest", bias_correction="none")
SIDE = 8


def picture(channels: int = 3, side: int = SIDE, **attributes: float) -> Operator:
    attributes = {"scale": 1 / 255, "zero_point": 0} | attributes
    return Operator("image", "input", [], (1, side, side, channels), attributes)


def conv(name: str, source: Operator, kernel: Any, bias: Any = 0.0, fused: Any = None) -> Operator:
    """A convolution without padding, over kernels (kh, kw, in, out)."""
    kernel = np.asarray(kernel, np.float32)
    kh, kw, _, out = kernel.shape
    _, height, width, _ = source.shape
    attributes = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}
    weights = {"kernel": kernel, "bias": np.broadcast_to(np.float32(bias), out).copy()}
    shape = (1, height - kh + 1, width - kw + 1, out)
    return Operator(name, "conv", [source.name], shape, attributes, weights, fused)


def result(name: str, op: str, *sources: Operator, **attributes: Any) -> Operator:
    """An operator whose result has the shape of its first input."""
    return Operator(name, op, [source.name for source in sources], sources[0].shape, attributes)


def dense(name: str, source: Operator, kernel: Any, bias: Any = 0.0) -> Operator:
    kernel = np.asarray(kernel, np.float32)
    bias = np.broadcast_to(np.float32(bias), kernel.shape[1:]).copy()
    weights = {"kernel": kernel, "bias": bias}
    return Operator(name, "dense", [source.name], (1, kernel.shape[1]), {}, weights)


def network(*operators: Operator) -> Graph:
    """A graph that ends in all values of its last operator."""
    last = operators[-1]
    end = Operator("answers", "reshape", [last.name], (1, last.elements))
    return Graph([*operators, end], end.name)


def pictures(count: int = 6, channels: int = 3, side: int = SIDE) -> Array:
    """Bright and dark, with neighbours that are alike."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(40, 230, (count, side // 4, side // 4, channels))
    fine = coarse.repeat(4, axis=1).repeat(4, axis=2) + rng.integers(
        -25, 26, (count, side, side, 1)
    )
    return fine.clip(0, 255).astype(np.uint8)


def mean_error(graph: Graph, quantised: Quantised, layer: str, images: Array) -> float:
    """How far the mean of a layer's channels is from the float network's, the worst of them."""
    exact, found = (
        np.mean([tensors[layer] for _, tensors in run.over(images)], axis=0)
        for run in (GraphRun(graph, [layer]), GraphRun(quantised.graph, [layer], quantised))
    )
    return float(np.abs((found - exact).mean(axis=(0, 2, 3))).max())


def error(graph: Graph, quantised: Quantised, images: Array) -> float:
    """Root of the mean squared error of the answers, about its mean."""
    exact, run = GraphRun(graph, ()), GraphRun(quantised.graph, (), quantised)
    off = np.stack([run(image[None])[0] - exact(image[None])[0] for image in images])
    return float(np.sqrt(np.square(off - off.mean(axis=0)).mean()))


def ran(model: bytes, images: Array, kernels: str = "AUTO") -> Array:
    """What TFLite says; in a process of its own, since XNNPACK ends it rather than refuse."""
    script = (
        "import sys, numpy as np\n"
        "from ai_edge_litert.interpreter import Interpreter, OpResolverType\n"
        "model, images, out, kernels = sys.argv[1:]\n"
        "interpreter = Interpreter(model, num_threads=1,\n"
        "    experimental_op_resolver_type=OpResolverType[kernels])\n"
        "interpreter.allocate_tensors()\n"
        "found = []\n"
        "for image in np.load(images):\n"
        "    interpreter.set_tensor(interpreter.get_input_details()[0]['index'], image[None])\n"
        "    interpreter.invoke()\n"
        "    details = interpreter.get_output_details()[0]\n"
        "    found.append(interpreter.get_tensor(details['index'])[0])\n"
        "np.save(out, np.stack(found))\n"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(model)
        np.save(folder / "images.npy", images)
        files = [folder / "model.tflite", folder / "images.npy", folder / "answers.npy"]
        command = [sys.executable, "-c", script, *map(str, files), kernels]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"ended with {done.returncode}: {done.stderr[-300:]}"
        found: Array = np.load(files[2])
        return found


def in_float(graph: Graph, images: Array) -> Array:
    return GraphRun(graph, ()).answers(images)


def quantised_answers(quantised: Quantised, images: Array) -> Array:
    return GraphRun(quantised.graph, (), quantised).answers(images)


# Biases


@pytest.fixture(scope="module")
def rounded_away() -> Graph:
    """Beside each large weight many of 0.4 steps, which rounding to the nearest makes 0."""
    image = picture()
    first = conv("first", image, np.random.default_rng(0).uniform(0, 1, (1, 1, 3, 8)), fused="relu")
    kernel = np.full((3, 3, 8, 4), 0.4 / 127)
    kernel[1, 1, range(4), range(4)] = 1.0
    return network(image, first, conv("second", first, kernel, [0.1, -0.2, 0.3, 0.0]))


def test_a_corrected_bias_makes_up_for_rounded_weights(rounded_away: Graph) -> None:
    images = pictures()
    quantiser = Quantiser(rounded_away, images)
    none = mean_error(rounded_away, quantiser.quantise(PLAIN), "second", images)
    fast = quantiser.quantise(replace(PLAIN, bias_correction="fast"))
    assert none > 0.02
    assert mean_error(rounded_away, fast, "second", images) < none / 8


@pytest.fixture(scope="module")
def vanishing() -> Graph:
    """One large channel, and others of less than half of its step: int8 makes 0 of them."""
    image = picture()
    kernel = np.zeros((1, 1, 3, 4))
    kernel[0, 0, 0] = [100, 0.15, 0.12, 0.1]
    first = conv("first", image, kernel, fused="relu")
    second = np.zeros((1, 1, 4, 2))
    second[0, 0, 1:, 0], second[0, 0, 1:, 1] = 1.0, -1.0
    return network(image, first, conv("second", first, second))


def test_the_full_correction_also_makes_up_for_rounded_activations(vanishing: Graph) -> None:
    images = pictures()
    quantiser = Quantiser(vanishing, images)
    found = {
        kind: mean_error(
            vanishing,
            quantiser.quantise(replace(PLAIN, bias_correction=kind)),
            "second",
            images,
        )
        for kind in ("none", "fast", "full")
    }
    assert found["fast"] > 0.1, "the weights are not to blame here"
    assert found["full"] < found["fast"] / 8


def test_the_full_correction_holds_over_many_layers() -> None:
    """Each is corrected once, by what the corrected layers before it feed it, and no more."""
    rng, images = np.random.default_rng(1), pictures()
    last = conv("first", picture(), rng.normal(size=(1, 1, 3, 6)))
    operators = [picture(), last]
    for i in range(40):
        turned, _ = np.linalg.qr(rng.normal(size=(6, 6)))
        last = conv(f"c{i}", last, turned[None, None], 0.1)
        operators.append(last)
    graph = network(*operators)
    quantiser = Quantiser(graph, images)
    fast, full = (
        mean_error(graph, quantiser.quantise(replace(PLAIN, bias_correction=kind)), "c39", images)
        for kind in ("fast", "full")
    )
    assert full < fast / 2


def test_what_goes_on_beside_a_layer_waits_for_the_correction() -> None:
    """Two ways from one tensor to a sum: neither is all that the rest reads."""
    rng, images = np.random.default_rng(2), pictures()
    image = picture()
    stem = conv("stem", image, rng.uniform(0, 0.5, (1, 1, 3, 8)), fused="relu")
    side = conv("side", stem, rng.normal(0, 0.3, (1, 1, 8, 8)), fused="relu")
    met = result("met", "add", side, stem)
    last = conv("last", met, rng.normal(0, 0.3, (1, 1, 8, 4)))
    graph = network(image, stem, side, met, last)
    quantiser = Quantiser(graph, images)
    none, full = (
        mean_error(graph, quantiser.quantise(replace(PLAIN, bias_correction=kind)), "last", images)
        for kind in ("none", "full")
    )
    assert full < none / 2


def test_a_zero_point_between_two_integers_costs_nothing() -> None:
    images = pictures()
    image = picture(scale=1 / 127.5, zero_point=127.5)
    graph = network(image, conv("c", image, np.full((3, 3, 3, 2), 0.1), [0.0, 0.05]))
    whole = with_whole_zero_point(graph)
    assert whole.input.attributes["zero_point"] == 128
    np.testing.assert_allclose(in_float(whole, images), in_float(graph, images), atol=1e-5)


# Ranges


OUTLIER, BULK = 254.0, 60.0


def chosen(outliers: int, method: Any) -> Scale:
    """The scale for a tensor of a million values up to 60, but so many at 254 on either side."""
    side, count = 250, 16
    values = np.random.default_rng(0).normal(0, BULK / 4, count * side * side).clip(-BULK, BULK)
    values[:outliers], values[-outliers:] = OUTLIER, -OUTLIER
    # A value is two bytes: that of the first channel, and a 256th of the second's.
    steps = ((values / 2 + 127) * 256).round().astype(np.uint16)
    images = np.stack([steps >> 8, steps & 255], axis=-1).astype(np.uint8)
    images = images.reshape(count, side, side, 2)
    image = picture(2, side, scale=1.0)
    graph = network(image, conv("c", image, [[[[2.0], [2.0 / 256]]]], -254.0))
    return Quantiser(graph, images).quantise(replace(PLAIN, method=method)).scales["c"]


@pytest.mark.parametrize(
    ("method", "least", "most"),
    [
        ("minmax", OUTLIER, OUTLIER),
        ("percentile", 0.9 * BULK, BULK),  # all but one value in ten thousand
        ("entropy", BULK, 100),
        ("mse", 180, 220),  # 20 · (254 - x)² more clipped than x² / 255² / 3 a million times
    ],
)
def test_each_method_weighs_outliers_in_its_own_way(method: str, least: float, most: float) -> None:
    few = chosen(10, method)
    assert least - few.scale <= few.high <= most + few.scale
    assert least - few.scale <= -few.low <= most + few.scale
    many = chosen(1000, method)
    assert min(many.high, -many.low) > 0.95 * OUTLIER, "two in a thousand are no outliers"


def test_what_the_answer_is_pooled_from_is_not_clipped() -> None:
    """One class of one picture has a peak: clipped, that picture would lose its confidence."""
    images = np.full((16, 64, 64, 2), 10, np.uint8)
    images[0, :2, :2, 0] = OUTLIER
    image = picture(2, 64, scale=1.0)
    maps = conv("maps", image, np.eye(2)[None, None], fused="relu")
    pooled = Operator("pooled", "global_avg_pool", ["maps"], (1, 2), {"keepdims": False})
    end = result("p", "softmax", pooled)
    scales = Quantiser(Graph([image, maps, pooled, end], "p"), images).quantise(Recipe()).scales
    assert scales["maps"].high >= OUTLIER - scales["maps"].scale
    beyond = Operator("beyond", "conv", ["maps"], maps.shape, maps.attributes, maps.weights)
    pooled = replace(pooled, inputs=["beyond"])
    graph = Graph([image, maps, beyond, pooled, end], "p")
    assert Quantiser(graph, images).quantise(Recipe()).scales["maps"].high < 0.97 * OUTLIER


def logits() -> Graph:
    """Two classes; the first's logit is the mean of the first channel over 100."""
    image = picture(2, scale=1.0)
    pooled = Operator("pooled", "global_avg_pool", ["image"], (1, 2), {"keepdims": False})
    end = dense("logits", pooled, [[0.01, -0.01], [0, 0]])
    return Graph([image, pooled, end, result("p", "softmax", end)], "p")


def test_logits_behind_a_reshape_are_held_in_float_all_the_same() -> None:
    """As MobileNet ends: a 1×1 convolution of what was pooled, reshaped to a vector."""
    image = picture(2, scale=1.0)
    pooled = Operator("pooled", "global_avg_pool", ["image"], (1, 1, 1, 2), {"keepdims": True})
    last = replace(conv("logits", pooled, np.eye(2)[None, None]), fused=None)
    flat = Operator("flat", "reshape", ["logits"], (1, 2))
    graph = fold(Graph([image, pooled, last, flat, result("p", "softmax", flat)], "p"))
    assert [op.op for op in graph] == ["input", "global_avg_pool", "dense", "softmax"]
    quantised = quantise(graph, observe(graph, np.full((1, SIDE, SIDE, 2), 9, np.uint8)).ranges)
    nodes = to_onnx(quantised.graph, quantised).graph.node
    assert nodes[-1].op_type == "Softmax"
    assert nodes[-2].op_type != "DequantizeLinear"


@pytest.mark.parametrize(("representative", "brighter"), [(True, 1.09), (False, 1.45)])
def test_a_picture_more_typical_than_any_seen_keeps_its_confidence(
    representative: bool, brighter: float
) -> None:
    graph = logits()
    seen = np.full((1, SIDE, SIDE, 2), (100, 255), np.uint8)
    bright = np.full((1, SIDE, SIDE, 2), (round(100 * brighter), 255), np.uint8)
    quantiser = Quantiser(graph, seen, representative=representative)
    quantised = quantiser.quantise(PLAIN)
    wanted = in_float(graph, np.stack([seen[0], bright[0]]))
    found = ran(to_tflite(quantised.graph, quantised), np.stack([seen[0], bright[0]]))
    gained = wanted[1, 0] - wanted[0, 0]
    np.testing.assert_allclose(found[:, 0], wanted[:, 0], atol=0.2 * gained)


def test_a_sigmoid_at_the_end_tells_small_probabilities_apart() -> None:
    image = picture(1, scale=1.0)
    pooled = Operator("pooled", "global_avg_pool", ["image"], (1, 1), {"keepdims": False})
    end = dense("logits", pooled, [[-0.05, -0.04, 0.01]])
    last = result("p", "activation", end, kind="sigmoid")
    for graph in (Graph([image, pooled, end, last], "p"), network(image, pooled, end, last)):
        images = np.arange(60, 251, 10, dtype=np.uint8)[:, None, None, None]
        images = images * np.ones((1, SIDE, SIDE, 1), np.uint8)
        quantised = quantise(graph, observe(graph, images).ranges)
        found = ran(to_tflite(quantised.graph, quantised), images)
        np.testing.assert_allclose(found, in_float(graph, images), rtol=0.12)


def test_a_variance_on_its_way_to_a_root_is_not_rounded() -> None:
    """Between operators in float, eight bits would make zeros of what is small."""
    image = picture(1)
    square = result("square", "activation", image, kind="square")
    total = result("sum", "add", square, square)
    graph = network(image, square, total, result("root", "activation", total, kind="sqrt"))
    images = np.arange(256, dtype=np.uint8).reshape(4, SIDE, SIDE, 1)
    quantised = quantise(graph, observe(graph, images).ranges)
    found = ran(to_tflite(quantised.graph, quantised), images)
    np.testing.assert_allclose(found, in_float(graph, images), atol=1e-5)


@pytest.mark.parametrize("kind", ["concat", "maximum"])
def test_a_relu_beside_negatives_stays_in_integers(kind: str, tmp_path: Path) -> None:
    """The range of its own tensor is the ReLU; at the wider scale ONNX Runtime went to float."""
    image = picture()
    rng = np.random.default_rng(0)
    clamped = conv("clamped", image, rng.normal(size=(1, 1, 3, 4)), fused="relu")
    free = conv("free", image, rng.normal(size=(1, 1, 3, 4)))
    met = result("met", kind, clamped, free, axis=3)
    if kind == "concat":
        met.shape = (1, SIDE, SIDE, 8)
    graph = network(image, clamped, free, met)
    write_onnx(*quantised_for(graph), tmp_path)
    assert not [
        name for name in formats.get("onnx").audit(tmp_path).float_op_names if "clamped" in name
    ]


def quantised_for(graph: Graph) -> tuple[Graph, Quantised]:
    quantised = quantise(graph, observe(graph, pictures()).ranges)
    return quantised.graph, quantised


# Weights


@pytest.mark.parametrize("rounding", ["nearest", "adaptive"])
@pytest.mark.parametrize("bits", [7, 8])
def test_weights_use_the_bits_they_may_and_no_more(bits: Any, rounding: Any) -> None:
    """All are near the largest, where making up for others' rounding would go beyond."""
    image, rng = picture(), np.random.default_rng(0)
    kernel = rng.uniform(0.95, 1, (3, 3, 3, 8)) * rng.choice([-1, 1], (3, 3, 3, 8))
    graph = network(image, conv("c", image, kernel))
    recipe = replace(PLAIN, weight_bits=bits, rounding=rounding)
    ints = Quantiser(graph, pictures()).quantise(recipe).weights["c"]
    assert np.abs(ints.kernel.astype(int)).max() == 2 ** (bits - 1) - 1
    assert np.abs(ints.real_kernel() - kernel).max() <= 6 * ints.scales.max()


def test_adaptive_rounding_loses_less_where_neighbours_are_alike() -> None:
    image = picture()
    kernel = np.random.default_rng(0).normal(0, 0.1, (5, 5, 3, 8))
    graph = network(image, conv("c", image, kernel))
    images = pictures()
    quantiser = Quantiser(graph, images)

    def lost(rounding: Any) -> float:
        """With the weights rounded and nothing else."""
        ints = quantiser.quantise(replace(PLAIN, rounding=rounding)).weights["c"]
        weights = {**graph["c"].weights, "kernel": ints.real_kernel()}
        other = graph.copy()
        other["c"].weights = weights
        off = (in_float(other, images) - in_float(graph, images)).reshape(-1, 8)
        return float(off.std(axis=0).mean())

    assert lost("adaptive") < 0.6 * lost("nearest")


@pytest.fixture(scope="module")
def uneven() -> Graph:
    """A channel five hundred times the others, taken back by the next layer."""
    rng = np.random.default_rng(0)
    size = np.array([500, 1, 1, 1, 1, 1, 1, 1], np.float64)
    image = picture()
    first = conv("first", image, rng.uniform(0, 1, (1, 1, 3, 8)) * size, fused="relu")
    second = conv("second", first, rng.normal(size=(1, 1, 8, 6)) / size[:, None], fused="relu")
    return network(image, first, second, conv("third", second, rng.normal(size=(1, 1, 6, 4))))


def test_equalised_channels_lose_less(uneven: Graph) -> None:
    images = pictures()
    quantiser = Quantiser(uneven, images)
    plain = error(uneven, quantiser.quantise(PLAIN), images)
    assert error(uneven, quantiser.quantise(replace(PLAIN, equalise=True)), images) < plain / 4


def test_the_layer_that_is_to_blame_is_the_first_to_compute_in_float(uneven: Graph) -> None:
    images = pictures()
    quantiser = Quantiser(uneven, images)
    ranked = rank_layers(quantiser, PLAIN)
    assert set(ranked) == {"first", "second", "third"}
    alone = {
        layer: error(uneven, quantiser.quantise(replace(PLAIN, float_layers=(layer,))), images)
        for layer in ranked
    }
    assert ranked[0] == min(alone, key=alone.__getitem__)
    every = quantiser.quantise(replace(PLAIN, float_layers=tuple(ranked)))
    assert not every.weights


def test_symmetric_activations_are_nearly_as_good(rounded_away: Graph) -> None:
    images = pictures()
    quantiser = Quantiser(rounded_away, images)
    recipe = Recipe(symmetric=True)
    quantised = quantiser.quantise(recipe)
    points = {scale.zero_point for name, scale in quantised.scales.items() if name != "image"}
    assert points == {128}
    plain = error(rounded_away, quantiser.quantise(Recipe()), images)
    assert error(rounded_away, quantised, images) < 4 * plain


# What engines refuse


def added(ratio: float) -> Graph:
    """A sum of two tensors, the second so many times as wide as the first."""
    image = picture(1)
    parts = [conv(f"c{size:g}", image, np.full((1, 1, 1, 2), size)) for size in (1.0, ratio)]
    return network(image, *parts, result("sum", "add", *parts))


def cancelled(ratio: float) -> Graph:
    """A sum so many times as narrow as what it is made of: XNNPACK ends the process."""
    image = picture(1)
    sizes = (1.0, -1.0 - 1 / ratio)
    parts = [conv(f"c{i}", image, np.full((1, 1, 1, 2), size)) for i, size in enumerate(sizes)]
    return network(image, *parts, result("sum", "add", *parts))


def averaged(ratio: float) -> Graph:
    """A mean so many times as narrow as what it is taken of."""
    image = picture(2)
    kernel = np.array([[[[1.0], [-1.0]]]])
    wide = conv("wide", image, kernel, 1 / ratio)
    pooled = Operator("mean", "global_avg_pool", ["wide"], (1, 1), {"keepdims": False})
    return network(image, wide, pooled)


def multiplied(ratio: float) -> Graph:
    """A product so many times as narrow as the product of the widths of what it is made of."""
    image = picture(2)
    one = conv("one", image, [[[[1.0], [0.0]]]])
    other = conv("other", image, [[[[0.0], [1.0]]]])
    small = conv("small", one, [[[[1 / ratio]]]])
    return network(image, one, other, small, result("product", "multiply", small, other))


def clamped(ratio: float) -> Graph:
    """A tensor clamped at 6 that is never more than a trifle."""
    image = picture(1)
    return network(image, conv("c", image, np.full((1, 1, 1, 2), 1 / ratio), fused="relu6"))


@pytest.mark.parametrize("kernels", ["AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"])
@pytest.mark.parametrize("make", [added, cancelled, averaged, multiplied, clamped])
def test_extreme_ratios_run_in_tflite(make: Any, kernels: str) -> None:
    images = pictures(2, channels=make(1.0).input.shape[-1])
    if make is averaged:  # both channels alike on average, but not pixel by pixel
        images[..., 1] = images[:, ::-1, :, 0]
    for ratio in (1e4, 1e6, 1e9):
        graph = make(ratio)
        quantised = quantise(graph, observe(graph, images).ranges)
        wanted = in_float(graph, images)
        found = ran(to_tflite(quantised.graph, quantised), images, kernels)
        widest = 1e-2 * max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(found, wanted, atol=widest)


@pytest.mark.parametrize(("brightest", "method"), [(255, "percentile"), (20, "mse")])
def test_a_few_far_larger_values_do_not_take_the_steps_of_all_others(
    brightest: int, method: str
) -> None:
    """Four pixels of one picture in sixteen; the others are faint."""
    rng, side = np.random.default_rng(2), 48
    image = picture(1, side)
    layers = [image, conv("first", image, np.arange(1, 5)[None, None, None] / 4, fused="relu")]
    for name in ("second", "third"):
        kernel = 0.9 * rng.normal(size=(1, 1, 4, 4))
        layers.append(conv(name, layers[-1], kernel, -0.01, "relu"))
    mean = Operator("mean", "global_avg_pool", ["third"], (1, 4), {"keepdims": False})
    logits = dense("logits", mean, 400 * np.random.default_rng(1).normal(size=(4, 3)))
    graph = Graph([*layers, mean, logits, result("p", "softmax", logits)], "p")
    values = np.random.default_rng(0).integers(0, 20, (64, side, side, 1))
    images = (values * np.linspace(0.2, 1, 64)[:, None, None, None]).astype(np.uint8)
    images[::16, :2, :2] = brightest
    quantiser, faint = Quantiser(graph, images), images[1:16]
    # Corrections in sequence make good most of what the usual ranges lose in so small a network.
    chosen = Recipe(bias_correction="fast")
    assert quantiser.settled(chosen).method == method
    usual, found = (
        np.abs(quantised_answers(quantiser.quantise(recipe), faint) - in_float(graph, faint)).mean()
        for recipe in (replace(chosen, method="mse"), chosen)
    )
    assert found < 0.6 * usual if method == "percentile" else found == usual
