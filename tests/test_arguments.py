"""What Python code may pass is checked as the command line's words are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edgecnn
from edgecnn.errors import EdgeCnnError, UnknownName
from edgecnn.export.request import Options, checked
from edgecnn.targets.deploy.shipment import Installation
from edgecnn.targets.engines import probe

BUNDLE = probe.bundle("colours").path
ASKED: dict[str, Any] = {
    "precision": "int8",
    "method": "auto",
    "weight_bits": 8,
    "symmetric": False,
    "max_drop": None,
    "explain_layers": False,
    "verdict": False,
    "features": False,
}


def settings(**changed: Any) -> Options:
    return Options.of(**ASKED | changed)


def train(**changed: Any) -> Any:
    return edgecnn.train("lenet5", "digits", **changed)


def deploy(**changed: Any) -> Any:
    return edgecnn.deploy(BUNDLE, (), **changed)


@pytest.mark.parametrize(
    ("act", "wrong", "message"),
    [
        (settings, {"precision": "int4"}, "Unknown precision 'int4': did you mean 'int8'"),
        (settings, {"precision": None}, "Unknown precision 'None'"),
        (settings, {"method": "foo"}, "Unknown method 'foo': known: auto, entropy"),
        (settings, {"weight_bits": 6}, "weight_bits must be 7 or 8, not 6"),
        (settings, {"weight_bits": "7"}, "weight_bits must be 7 or 8, not '7'"),
        (settings, {"max_drop": -0.5}, "max_drop must be at least 0, not -0.5"),
        (settings, {"max_drop": float("nan")}, "max_drop must be"),
        (checked, {"formats": "tflit"}, "Unknown format 'tflit': did you mean 'tflite'"),
        (checked, {"formats": ("onnx", "x")}, "Unknown format 'x'"),
        (checked, {"formats": ()}, "at least one format"),
        (train, {"epoch": 3}, "Unknown setting 'epoch': did you mean 'epochs'"),
        (train, {"epochs": 0}, "epochs must be at least 1, not 0"),
        (train, {"epochs": "3"}, "epochs must be a whole number, not '3'"),
        (train, {"epochs": 2.5}, "epochs must be"),
        (train, {"learning_rate": float("nan")}, "learning_rate must be a number"),
        (train, {"learning_rate": None}, "learning_rate must be a number"),
        (train, {"seed": -1}, "seed must be"),
        (train, {"seed": 2**32}, "seed must be 0 to 4294967295"),
        (train, {"label_smoothing": 0.9}, "label_smoothing must be 0 to 0.5, not 0.9"),
        (train, {"augment": "lite"}, "Unknown augment 'lite': did you mean 'light'"),
        (edgecnn.load, {"runtime": "foo"}, "Unknown runtime 'foo'"),
        (edgecnn.load, {"runtime": "atuo"}, "Unknown runtime 'atuo': did you mean 'auto'"),
        (edgecnn.load, {"threads": 0}, "threads must be at least 1, not 0"),
        (edgecnn.load, {"target": "raspberypi"}, "did you mean 'raspberrypi'"),
        (edgecnn.profile, {"runtimes": "liter"}, "Unknown runtime 'liter': did you mean 'litert'"),
        (edgecnn.profile, {"threads": (1, 0)}, "threads must be"),
        (edgecnn.profile, {"threads": -1}, "threads must be"),
        (edgecnn.profile, {"runs": 0}, "runs must be"),
        (edgecnn.profile, {"seconds": -1}, "seconds must be"),
        (edgecnn.profile, {"processes": 0}, "processes must be"),
        (edgecnn.evaluate, {"source": "digits", "threads": 0}, "threads must be"),
        (edgecnn.analyze, {"what": "lenet5", "dtype": "int4"}, "Unknown dtype 'int4'"),
        (edgecnn.analyze, {"what": "lenet5", "batch": 0}, "batch must be"),
        (deploy, {"runtime": "tensorflow"}, "Unknown runtime 'tensorflow'"),
        (
            deploy,
            {"installation": Installation(extras=("mqt",))},
            "Unknown extra 'mqt': did you mean 'mqtt'",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_wrong_argument_is_one_clear_line(
    act: Callable[..., Any], wrong: dict[str, Any], message: str, tmp_path: Path
) -> None:
    given = (BUNDLE,) if act in (edgecnn.load, edgecnn.profile, edgecnn.evaluate) else ()
    with pytest.raises(EdgeCnnError) as caught:
        act(*given, **wrong)
    assert str(caught.value).startswith(message) or message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert isinstance(caught.value, UnknownName) == message.startswith(("Unknown", "did"))


def test_one_word_is_no_row_of_letters() -> None:
    assert checked("tflite") == ("tflite",)
    assert checked(["openvino", "tflite"]) == ("tflite", "openvino")
    (outcome,) = edgecnn.deploy(BUNDLE, "nobody@nowhere.invalid")
    assert outcome.host == "nobody@nowhere.invalid"
