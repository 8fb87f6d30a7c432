"""Commands that are printed to be copied work as they stand, whatever a folder is called."""

import shlex
import shutil
from pathlib import Path

import pytest

from edgecnn.bundle import Bundle
from edgecnn.checkpoint import Checkpoint
from edgecnn.cli import export, train
from edgecnn.preprocessing import Preprocessing

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
