"""`edgecnn zoo`: the table and its JSON, without a framework."""

import json
import subprocess
import sys

from click.testing import CliRunner

from edgecnn import zoo
from edgecnn.cli.zoo import command


def test_json_has_every_network_with_every_key() -> None:
    result = CliRunner().invoke(command, ["--json"])
    assert result.exit_code == 0
    entries = json.loads(result.output)
    assert sorted(entry["name"] for entry in entries) == zoo.names()
    by_name = {entry["name"]: entry for entry in entries}
    assert by_name["resnet50"] == {
        "name": "resnet50",
        "family": "ResNet",
        "year": 2015,
        "paper": "arXiv:1512.03385",
        "parameters": 25_610_152,
        "trainable_parameters": 25_557_032,
        "macs": 4_089_184_256,
        "input": {"height": 224, "width": 224, "channels": 3},
        "classes": 1000,
        "peak_activation_bytes": {"int8": 2_408_448, "float32": 9_633_792},
        "pretrained": ["hub: timm/resnet50.tv_in1k"],
    }
    order = [(entry["family"], entry["year"]) for entry in entries]
    assert order == sorted(order)


def test_the_table_has_every_network_on_one_line_of_a_terminal() -> None:
    result = CliRunner().invoke(command)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    first_words = [line.split()[0] for line in lines]
    assert all(name in first_words for name in zoo.names())
    assert any(line.split()[:4] == ["lenet5", "1998", "32×32×1", "61,706"] for line in lines)


def test_it_imports_no_framework() -> None:
    code = (
        "import sys; from edgecnn.cli.zoo import command;"
        "command(['--json'], standalone_mode=False);"
        "found = {'tensorflow', 'keras', 'torch', 'onnx', 'cv2'} & set(sys.modules);"
        "sys.exit(str(found) if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
