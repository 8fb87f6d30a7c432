"""Symmetric exports keep to what NVIDIA documents for int8 in TensorRT; see test_nvidia.py."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

import edgecnn
from edgecnn import zoo
from edgecnn.bundle import Bundle
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.calibration.default import default_calibration
from edgecnn.export.quantised import Scale

Cli = Callable[..., subprocess.CompletedProcess[str]]

CLASSES = 7


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.floats(0, 1))
def test_zero_is_exact_and_every_value_is_half_a_step_away(
    low: float, width: float, part: float
) -> None:
    high = low + width
    scale = Scale.symmetric(low, high)
    assert scale.zero_point == 128
    value = low + part * width
    steps = np.clip(round(value / scale.scale), -127, 127)
    assert abs(steps * scale.scale - value) <= scale.scale * 0.5001 + 1e-6 * abs(value)


def quantisers(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, np.ndarray]]:
    """Each (de)quantiser with its zero points."""
    constants = {c.name: c for c in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            yield node, numpy_helper.to_array(constants[node.input[2]])


def check_for_tensorrt(path: Path) -> None:
    model = onnx.load(path)
    constants = {c.name: c for c in model.graph.initializer}
    found = list(quantisers(model))
    assert len(found) > 6
    for node, zero_points in found:
        assert zero_points.dtype == np.int8, node.name
        assert not zero_points.any(), node.name
    made_by = {node.output[0]: node for node in model.graph.node}
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    assert layers
    for node in layers:
        activation, kernel = (made_by[name] for name in node.input[:2])
        assert activation.op_type == kernel.op_type == "DequantizeLinear"
        assert constants[kernel.input[0]].data_type == onnx.TensorProto.INT8
        per_channel = len(numpy_helper.to_array(constants[kernel.input[1]]))
        bias = constants[node.input[2]]
        assert bias.data_type == onnx.TensorProto.FLOAT, "a bias behind a quantiser is refused"
        assert list(bias.dims) == [per_channel]
    readers = [node.op_type for node in model.graph.node if "image" in node.input]
    assert readers == ["Cast"], "bytes are an input there and nothing else"


def test_it_is_as_good_as_float_on_digits(lenet5_run: Path, tmp_path: Path) -> None:
    bundle = edgecnn.export(lenet5_run, ["onnx"], symmetric=True, out=tmp_path / "bundle")
    check_for_tensorrt(bundle.path / "model.onnx")
    assert bundle.manifest["quantisation"]["activations"] == "symmetric int8 per tensor"
    found = bundle.manifest["artifacts"]["onnx"]["verification"]
    assert found["agreement_top1"] >= 0.98
    assert found["top1_drop"] <= 1


@pytest.mark.parametrize(
    "name", ["efficientnet_b0", "googlenet", "cspresnet50", "mobilenet_v1", "alexnet"]
)
def test_it_stays_int8_in_tensorrt(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Sigmoids, concatenations, residuals, depthwise convolutions, a chain of dense layers."""
    pictures = default_calibration()
    few = CalibrationSet("few", pictures.pictures[::16], pictures.held_out[::16], pictures.origin)
    entry = zoo.get(name)
    side = max(entry.minimum_side, 64)
    preprocessing = entry.preprocessing_for((side, side, 3))
    bundle = edgecnn.export(
        zoo.build(name, preprocessing.shape[1:], CLASSES),
        ["onnx"],
        calibration=few,
        symmetric=True,
        preprocessing=preprocessing,
        labels=[f"class {index}" for index in range(CLASSES)],
        out=tmp_path / "bundle",
    )
    path = bundle.path / "model.onnx"
    check_for_tensorrt(path)
    built = request.getfixturevalue("nvidia_build")(path)  # skips where the builder is not
    assert not built["errors"]
    weights = sum(
        len(tensor.raw_data)
        for tensor in onnx.load(path).graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1
    )
    assert built["bytes"]["int8"] >= weights
    # Scales and biases.
    assert built["bytes"]["float"] < 0.1 * built["bytes"]["int8"]


def test_an_ordinary_export_is_not_for_tensorrt(lenet5_bundle: Path) -> None:
    model = onnx.load(lenet5_bundle / "model.onnx")
    assert any(zero_points.dtype != np.int8 for _, zero_points in quantisers(model))


@pytest.mark.parametrize("wish", [("--int8", "--format", "tflite"), ("--fp16",)])
def test_all_else_is_refused_with_the_way_out(edgecnn_cli: Cli, wish: tuple[str, ...]) -> None:
    done = edgecnn_cli("export", "lenet5", "--symmetric", *wish)
    assert done.returncode == 2
    assert "--format onnx" in done.stderr


def test_the_command_line_takes_onnx_by_itself(
    edgecnn_cli: Cli, work: Path, lenet5_run: Path
) -> None:
    done = edgecnn_cli("export", lenet5_run, "--int8", "--symmetric")
    assert done.returncode == 0, done.stderr
    assert "TensorRT" in done.stderr
    bundle = Bundle.load(work / "exports" / "lenet5-int8-symmetric")
    assert list(bundle.artifacts) == ["onnx"]
