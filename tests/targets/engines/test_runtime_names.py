"""An engine may be called by the format it runs, wherever one is named."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import edgecnn
from edgecnn.cli import cli, deploy, profile, run
from edgecnn.errors import UnknownName
from edgecnn.targets.engines import runtimes

NAMES = [("tflite", "litert"), ("onnx", "onnxruntime"), ("openvino", "openvino")]


@pytest.mark.parametrize(("said", "meant"), NAMES)
def test_python_takes_either_name(said: str, meant: str, colour_bundle: Path) -> None:
    assert runtimes.get(said).name == meant
    classifier = edgecnn.load(colour_bundle, said)
    assert classifier.runtime == meant
    (found,) = edgecnn.profile(
        colour_bundle, runtimes=said, threads=1, runs=1, seconds=0, processes=1
    ).runs
    assert found.runtime == meant


@pytest.mark.parametrize(("said", "meant"), NAMES)
def test_the_command_line_takes_either_name(said: str, meant: str) -> None:
    words = ["bundle", "--runtime", said]
    assert run.command.make_context("run", list(words)).params["runtime"] == meant
    assert profile.command.make_context("profile", list(words)).params["runtimes"] == (meant,)


def test_a_word_that_is_neither_is_refused(colour_bundle: Path) -> None:
    with pytest.raises(UnknownName, match="'tflit': did you mean 'litert'"):
        runtimes.get("tflit")
    for command in ("run", "profile"):
        done = CliRunner().invoke(cli, [command, str(colour_bundle), "--runtime", "tflit"])
        assert done.exit_code == 2
        assert "litert" in done.output
    with pytest.raises(click.UsageError):
        deploy.command.main(
            [str(colour_bundle), "a@b", "--run", "--", "--runtime", "tflit"], standalone_mode=False
        )
