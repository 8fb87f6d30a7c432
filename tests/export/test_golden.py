"""Golden vectors: a runner that answers otherwise than at export says so before it runs."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.bundle import Bundle
from edgecnn.errors import RuntimeUnavailable
from edgecnn.golden import Golden
from edgecnn.preprocessing import Frame, FramePreparer
from edgecnn.targets.classifier import load
from edgecnn.targets.engines import runtimes


@pytest.fixture
def bundle(lite0_bundle: Path) -> Bundle:
    return Bundle.load(lite0_bundle)


def test_every_runtime_gives_the_very_answers_of_the_export(bundle: Bundle) -> None:
    assert bundle.golden is not None
    golden = Golden.load(bundle.golden)
    for name in runtimes.RUNTIMES:
        session = runtimes.get(name).open(bundle.model_file(runtimes.get(name).format), threads=2)
        for image, expected in zip(
            golden.images, golden.answers[runtimes.get(name).format], strict=True
        ):
            np.testing.assert_allclose(session.infer(image[None]), expected, atol=1e-5)


def test_other_answers_are_refused(bundle: Bundle) -> None:
    assert bundle.golden is not None
    golden = Golden.load(bundle.golden)
    prepare = FramePreparer(bundle.preprocessing)
    answers = iter(golden.answers["onnx"])
    flat = np.full(1000, 1e-3, np.float32)
    golden.check(bundle, "onnx", "an engine", prepare, lambda image: next(answers))
    with pytest.raises(RuntimeUnavailable, match=r"other answers here than onnx.* at export"):
        golden.check(bundle, "onnx", "an engine", prepare, lambda image: flat)
    with pytest.raises(RuntimeUnavailable, match="other answers"):
        golden.check(bundle, "onnx", "an engine", prepare, lambda image: flat * np.nan)


def test_the_answers_of_a_bundle_say_which_version_gave_them(bundle: Bundle) -> None:
    assert bundle.golden is not None
    golden = Golden.load(bundle.golden)
    with pytest.raises(RuntimeUnavailable, match=r"^onnxruntime 99 gives .* onnxruntime \d.* at"):
        golden.check(
            bundle,
            "onnx",
            "onnxruntime 99",
            FramePreparer(bundle.preprocessing),
            lambda image: np.full(1000, 1e-3, np.float32),
        )


def test_golden_pictures_of_before_are_read(bundle: Bundle, tmp_path: Path) -> None:
    """Without a card, a tolerance of their own and what they belong to."""
    assert bundle.golden is not None
    golden = Golden.load(bundle.golden)
    before: dict[str, Any] = {f"answers_{name}": values for name, values in golden.answers.items()}
    np.savez(tmp_path / "golden.npz", frame=golden.frame, images=golden.images, **before)
    read = Golden.load(tmp_path / "golden.npz")
    assert (read.card, read.origin, read.tolerance) == (None, None, 0.1)
    answers = iter(golden.answers["onnx"])
    read.check(
        bundle, "onnx", "it", FramePreparer(bundle.preprocessing), lambda image: next(answers)
    )


def test_swapped_colours_are_refused(bundle: Bundle) -> None:
    assert bundle.golden is not None
    golden = Golden.load(bundle.golden)
    prepare = FramePreparer(bundle.preprocessing)

    def swapped(frame: Frame) -> Frame:
        return prepare(frame)[..., ::-1]

    with pytest.raises(RuntimeUnavailable, match="prepared differently"):
        golden.check(bundle, "onnx", "an engine", swapped, lambda image: golden.answers["onnx"][0])


def test_a_bundle_whose_answers_changed_does_not_load_unless_asked(
    bundle: Bundle, tmp_path: Path
) -> None:
    """The files and hashes are right; what the engine says is not what it said."""
    import json

    from edgecnn.bundle import describe_file

    copy = Path(shutil.copytree(bundle.path, tmp_path / "bundle"))
    golden = Golden.load(copy / "golden.npz")
    changed = {name: np.roll(values, 1, axis=1) for name, values in golden.answers.items()}
    replace(golden, answers=changed).write(copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["golden"] = vars(describe_file(copy, "golden.npz"))
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RuntimeUnavailable, match="other answers"):
        load(copy, runtime="litert")
    assert load(copy, runtime="litert", self_check=False)
    run = [sys.executable, "-m", "edgecnn", "run", str(copy), "--runtime", "litert"]
    run += ["--source", "synthetic", "--frames", "1"]
    refused = subprocess.run(run, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "--no-self-check" in refused.stderr
    allowed = [*run, "--no-self-check"]
    assert subprocess.run(allowed, capture_output=True).returncode == 0
