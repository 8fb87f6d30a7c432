"""What `import edgecnn` offers, to Python and to type checkers alike."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, assert_type

import edgecnn

if TYPE_CHECKING:  # `make types` fails where one of these is Any or something else

    def _types(model: Path, frame: edgecnn.preprocessing.Frame) -> None:
        assert_type(edgecnn.export(model), edgecnn.Bundle)
        assert_type(edgecnn.load(model), edgecnn.Classifier)
        assert_type(edgecnn.load(model)(frame), edgecnn.Prediction)
        assert_type(edgecnn.classify("0", model), Iterator[edgecnn.Prediction])
        assert_type(edgecnn.evaluate(model, "pictures"), edgecnn.Evaluation)
        assert_type(edgecnn.analyze("lenet5"), edgecnn.RamAnalysis)
        assert_type(edgecnn.calibrate("pictures", "lenet5"), edgecnn.CalibrationSet)
        assert_type(edgecnn.train("lenet5", "digits"), edgecnn.Checkpoint)
        assert_type(edgecnn.profile(model), edgecnn.Profile)
        edgecnn.load(model, thread=2)  # type: ignore[call-arg]


def test_type_checkers_and_python_read_the_same_names() -> None:
    assert edgecnn.__file__ is not None
    tree = ast.parse(Path(edgecnn.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen.pop("export") == "edgecnn.export.pipeline"
    assert seen == edgecnn._HOME


def test_every_public_name_can_be_had() -> None:
    code = (
        "import edgecnn\n"
        "for name in edgecnn.__all__: assert getattr(edgecnn, name) is not None, name\n"
        "import edgecnn.export.pipeline\n"
        "assert callable(edgecnn.export)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
