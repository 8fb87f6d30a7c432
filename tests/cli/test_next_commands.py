"""Commands that are printed to be copied work as they stand, whatever a folder is called."""

import ast
import re
import shlex
import shutil
from pathlib import Path

import pytest

from edgecnn.bundle import Bundle
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.checkpoint import Checkpoint
from edgecnn.cli import COMMANDS, export, train
from edgecnn.errors import DataError, SignatureError
from edgecnn.preprocessing import Preprocessing
from edgecnn.signature import check_key
from edgecnn.targets.deploy.ssh import why_not_connected

ROOT = Path(__file__).parents[2]
COMMAND = re.compile(
    r"`(edgecnn|ssh|ssh-[a-z-]+|pip|sudo|openssl)\b[^`]*\{\}"
    rf"|(?<!-m )edgecnn ({'|'.join(COMMANDS)}) [^.]*\{{\}}"
)
NAMES = ["my pictures (2)", "it's $HOME & more", "[red]brackets[/red]"]


@pytest.mark.parametrize("name", NAMES)
def test_the_command_after_an_export(
    name: str, lenet5_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = Path(shutil.copytree(lenet5_bundle, tmp_path / name / "a rather long name for it"))
    export.show(Bundle.load(bundle))
    last = capsys.readouterr().out.splitlines()[-1]
    shown, _, command = last.partition("  ← ")
    assert shown == str(bundle)
    assert shlex.split(command) == ["edgecnn", "run", str(bundle), "--source", "0"]


@pytest.mark.parametrize("name", NAMES)
def test_the_command_after_training(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = {"top1": 0.5, "count": 2, "per_class": {"cat": 0.5, "dog": 0.5}}
    details = {"test": figures, "best_epoch": 1, "epochs": 1, "seconds": 1.0}
    train._print_summary(
        Checkpoint(tmp_path / name, "lenet5", Preprocessing(8, 8), ("cat", "dog"), "now", details)
    )
    command = capsys.readouterr().out.splitlines()[-1].removeprefix("next: ")
    assert shlex.split(command) == ["edgecnn", "export", str(tmp_path / name), "--int8"]


@pytest.mark.parametrize("name", NAMES)
def test_commands_in_errors(name: str, tmp_path: Path) -> None:
    def command(said: object) -> list[str]:
        return shlex.split(str(said).split("`")[1])

    with pytest.raises(SignatureError) as no_key:
        check_key(tmp_path / name)
    assert command(no_key.value) == ["ssh-keygen", "-t", "ed25519", "-f", str(tmp_path / name)]
    host = f"pi@{name}"
    refused = why_not_connected(host, "Permission denied (publickey).")
    assert command(refused) == ["ssh-copy-id", host]
    assert command(why_not_connected(host, "Host key verification failed.")) == ["ssh", host]
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / name / "broken.jpg").write_bytes(b"x")
    with pytest.raises(DataError) as broken:
        CalibrationSet.load(tmp_path / name)
    words = ["edgecnn", "calibrate", str(tmp_path / name), "--out", "SET", "--skip-bad"]
    assert command(broken.value) == words


def test_no_command_is_written_with_words_that_a_shell_would_take_apart() -> None:
    """Words from outside go through `edgecnn.shell.typed`."""
    wrong = []
    for package in ("edgecnn", "export", "targets", "calibration"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    text = "".join(
                        str(part.value) if isinstance(part, ast.Constant) else "{}"
                        for part in node.values
                    )
                    if COMMAND.search(text):
                        wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {text}")
    assert wrong == []
