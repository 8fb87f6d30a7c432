"""Standard streams that are closed, full or unread, and words that are no words."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edgecnn.cli import cli
from edgecnn.errors import EdgeCnnError
from edgecnn.targets.engines import probe

BUNDLE = str(probe.bundle("colours").path)
CAMERA = ("--source", "synthetic:64x48@100", "--frames", "5", "--runtime", "litert")


def shell(redirected: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """The command line with streams as a shell leads them."""
    command = ["sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-m", "edgecnn"]
    return subprocess.run([*command, *words], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_as_good_as_none(closed: str, tmp_path: Path) -> None:
    # Their numbers must not be those of files that are opened: a log would be written into them.
    lines = tmp_path / "seen.jsonl"
    done = shell(closed, "run", BUNDLE, *CAMERA, "--jsonl", str(lines))
    assert done.returncode == 0, done.stderr
    assert lines.read_text().count("\n") == 5
    assert all(line.startswith("{") for line in lines.read_text().splitlines())


def test_a_closed_output_of_a_list() -> None:
    assert shell(">&-", "zoo").returncode == 0


@pytest.mark.parametrize("words", [("zoo",), ("zoo", "--json"), ("--version",)])
def test_a_full_disk_under_the_output_is_one_line(words: tuple[str, ...]) -> None:
    done = shell("> /dev/full", *words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr


def test_a_full_disk_costs_a_camera_its_lines_only(tmp_path: Path) -> None:
    done = shell("> /dev/full", "run", BUNDLE, *CAMERA)
    assert done.returncode == 0
    assert done.stderr.count("standard output cannot be written: No space left") == 1
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), np.zeros((48, 64, 3), np.uint8))
    done = shell("> /dev/full", "run", BUNDLE, "--source", str(picture), "--runtime", "litert")
    assert done.returncode == 2
    assert done.stderr == "edgecnn: Cannot write standard output: No space left on device.\n"


def test_an_error_that_cannot_be_told_is_in_the_exit_code() -> None:
    assert shell("2> /dev/full", "run", BUNDLE, "--source", "nothing.mp4").returncode == 2


@pytest.mark.parametrize("number", ["nan", "inf", "-nan"])
@pytest.mark.parametrize(
    "option", ["--timeout", "--max-fps", "--max-outage", "--output-limit", "--snapshots-below"]
)
def test_what_is_no_number(option: str, number: str) -> None:
    done = CliRunner().invoke(cli, ["run", BUNDLE, option, number])
    assert done.exit_code == 2
    assert f"Invalid value for '{option}'" in done.output


@pytest.mark.parametrize("option", ["--source", "--web", "--mqtt", "--jsonl", "--record"])
def test_a_variable_that_is_empty_is_not_taken_for_an_option_left_out(option: str) -> None:
    words = ["run", BUNDLE, "--runtime", "litert", "--source", "synthetic:64x48@100"]
    done = CliRunner().invoke(cli, [*words, "--frames", "1", option, ""])
    assert done.exit_code != 0
    assert isinstance(done.exception, EdgeCnnError), done.output
