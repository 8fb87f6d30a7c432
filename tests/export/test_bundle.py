"""A bundle that anything was done to is refused before an engine opens it."""

import json
import shutil
from importlib import metadata
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from edgecnn import zoo
from edgecnn.atomic import atomic_folder
from edgecnn.bundle import MANIFEST, Bundle
from edgecnn.errors import BundleError
from edgecnn.export import sbom
from edgecnn.export.pipeline import export
from edgecnn.export.progress import ExportProgress
from edgecnn.targets.engines import probe


@pytest.fixture
def copy(lenet5_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lenet5_bundle, tmp_path / "bundle"))


def edit(bundle: Path, **changes: object) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | changes))


def test_it_holds_what_design_promises(lenet5_bundle: Path) -> None:
    manifest = json.loads((lenet5_bundle / "manifest.json").read_text())
    assert manifest["input"] == {
        "height": 32,
        "width": 32,
        "channels": 1,
        "dtype": "uint8",
        "layout": "NHWC",
        "color": "GRAY",
    }
    assert manifest["weights"]["kind"] == "trained"
    assert manifest["calibration"]["origin"].startswith("training pictures of digits")
    assert set(manifest["artifacts"]) == {"tflite", "onnx", "openvino"}
    assert manifest["ram_analysis"]["parameters"] == 61_706
    assert (lenet5_bundle / "labels.txt").read_text().split() == [str(i) for i in range(10)]


def test_it_can_be_moved(copy: Path, tmp_path: Path) -> None:
    moved = copy.rename(tmp_path / "elsewhere")
    assert Bundle.load(moved).architecture == "lenet5"


@pytest.mark.parametrize(
    "name", ["model.tflite", "model.onnx", "model.xml", "model.bin", "labels.txt"]
)
def test_one_changed_byte_is_noticed(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"{name} was changed since export"):
        Bundle.load(copy)


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "model.bin").unlink()
    with pytest.raises(BundleError, match=r"model\.bin is missing"):
        Bundle.load(copy)


def test_a_file_outside_the_folder_is_refused(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    edit(copy, labels={"path": "../secret", "bytes": 1, "sha256": "0" * 64})
    with pytest.raises(BundleError, match="outside the bundle"):
        Bundle.load(copy)


def test_another_schema_is_refused(copy: Path) -> None:
    edit(copy, schema=99)
    with pytest.raises(BundleError, match="schema 99"):
        Bundle.load(copy)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": 1}'])
def test_a_broken_manifest_is_one_clear_line(copy: Path, text: str) -> None:
    (copy / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json|schema"):
        Bundle.load(copy)


class InterruptAt(ExportProgress):
    """Presses Ctrl-C when a step begins."""

    def __init__(self, step: str) -> None:
        self._step = step

    def step(self, name: str, total: int | None = None) -> None:
        if name == self._step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("step", ["calibrate", "write onnx", "verify openvino"])
def test_an_interrupted_export_leaves_nothing_or_the_old_bundle(
    lenet5_run: Path, tmp_path: Path, step: str
) -> None:
    out = tmp_path / "bundle"
    with pytest.raises(KeyboardInterrupt):
        export(lenet5_run, out=out, progress=InterruptAt(step))
    assert list(tmp_path.iterdir()) == []
    first = export(lenet5_run, formats=["tflite"], out=out)
    with pytest.raises(KeyboardInterrupt):
        export(lenet5_run, out=out, progress=InterruptAt(step))
    assert Bundle.load(out).manifest == first.manifest
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_with_other_files_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with (
        pytest.raises(BundleError, match="choose another --out"),
        atomic_folder(tmp_path, replaces=MANIFEST),
    ):
        pass
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_the_bill_of_materials_is_cyclonedx_and_names_every_file(lenet5_bundle: Path) -> None:
    bundle = Bundle.load(lenet5_bundle)
    text = (lenet5_bundle / "sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    hashes = {
        one["name"]: one["hashes"][0]["content"] for one in bill["components"] if "hashes" in one
    }
    files = {file.path: file.sha256 for file in bundle.files if file.path != "sbom.cdx.json"}
    assert hashes.items() >= files.items()
    assert hashes["calibration pictures: calibration"] == bundle.manifest["calibration"]["sha256"]
    assert hashes[f"weights: {bundle.weights.source}"] == bundle.weights.sha256
    versions = {one["name"]: one.get("version") for one in bill["components"]}
    assert versions["onnxruntime"] == metadata.version("onnxruntime")
    assert bill["metadata"]["component"]["name"] == "lenet5"
    # The manifest describes it, so that whatever signs the manifest covers it.
    (lenet5_bundle / "sbom.cdx.json").write_text(text.replace("lenet5", "lenet6", 1))
    try:
        with pytest.raises(BundleError, match=r"sbom\.cdx\.json was changed"):
            Bundle.load(lenet5_bundle)
    finally:
        (lenet5_bundle / "sbom.cdx.json").write_text(text)


def test_the_licence_of_weights_is_what_their_package_says(tmp_path: Path) -> None:
    package = zoo.get("efficientnet_lite0").pretrained
    assert package is not None
    assert package.licence == "Apache-2.0"
    written = metadata.distribution(package.where).read_text("LICENSE")
    assert written is not None
    assert written.startswith("Apache Software License 2.0")
    manifest = json.loads((probe.bundle("peak").path / "manifest.json").read_text())
    manifest |= {"head": "softmax", "fingerprint": "0"}
    for source, licence in (
        (str(package), {"id": "Apache-2.0"}),
        ("a run", {"name": "not known to edgecnn"}),
    ):
        manifest["weights"]["source"] = source
        sbom.write(tmp_path, manifest)
        bill = json.loads((tmp_path / sbom.SBOM).read_text())
        (weights,) = (one for one in bill["components"] if one["bom-ref"] == "weights")
        assert weights["licenses"] == [{"license": licence}]
