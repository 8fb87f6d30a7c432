"""A whole emulated board whose V4L2 camera sees photographs, falls silent and is unplugged."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

pytestmark = [pytest.mark.arm, pytest.mark.slow]
PHOTOGRAPHS = 5
VIRTUAL_CAMERA = """
Virtual0:
  supported_formats: [{width: 640, height: 480, frame_rates: [30]}]
  frames: {path: /test/photographs/}
"""


@pytest.fixture(scope="module")
def frames(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photographs in the camera's size."""
    folder = tmp_path_factory.mktemp("frames")
    for path in sorted((samples / "photographs").glob("*.jpg"))[:PHOTOGRAPHS]:
        frame = cv2.resize(cv2.imread(str(path)), (640, 480))
        cv2.imwrite(str(folder / f"{path.stem}.png"), frame)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def console(
    machine: Callable[..., list[str | Path]],
    frames: list[Path],
    lite0_bundle: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """What the machine's serial console showed, by step of `machine/look`."""
    folder = tmp_path_factory.mktemp("machine")
    given = folder / "given" / "test"
    given.mkdir(parents=True)
    shutil.copytree(lite0_bundle, given / "bundle")
    (given / "photographs").mkdir()
    for number, path in enumerate(frames):
        picture = cv2.imread(str(path))
        cv2.imwrite(
            str(given / f"photographs/{number}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 98]
        )
    virtual = given.parent / "usr/share/libcamera/pipeline/virtual"
    virtual.mkdir(parents=True)
    (virtual / "virtual.yaml").write_text(VIRTUAL_CAMERA)
    with (given / "frames.raw").open("wb") as raw:
        for path in frames:
            frame = cv2.imread(str(path))
            assert frame is not None
            raw.write(frame.tobytes())
    said = subprocess.run(
        machine("look", given.parent, "wheels13", "camera13", "edgecnn"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert said.returncode == 0, said.stderr
    steps = re.split(r"^== (.*?)\r?\n", said.stdout, flags=re.MULTILINE)
    print(said.stdout)  # pytest shows it if a test fails
    return dict(zip(steps[1::2], steps[2::2], strict=True))


def step(console: dict[str, str], name: str) -> str:
    (found,) = [text for said, text in console.items() if said.startswith(name)]
    return found


def answers(console: dict[str, str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Before the camera was unplugged, and after."""
    (ended,) = [said for said in console if said.startswith("exit")]
    lines = [json.loads(line) for line in console[ended].splitlines()]
    before = int(ended.split()[-1])
    return lines[:before], lines[before:]


def test_the_camera_is_listed(console: dict[str, str]) -> None:
    found = json.loads(step(console, "targets"))
    cameras = {entry["name"]: entry["available"] for entry in found["cameras"]}
    assert cameras["/dev/video0"]
    assert found["detected"]["cpu"] == "Cortex-A76"


@pytest.fixture(scope="module")
def expected(raspberrypi5: Any, lite0_bundle: Path, frames: list[Path]) -> dict[str, float]:
    """The photographs' labels and probabilities, read from files on the same processor.

    OpenCV scales a little differently on x86.
    """
    run = ("run", lite0_bundle, "--source", frames[0].parent, "--runtime", "litert")
    done = raspberrypi5.edgecnn(*run, "--jsonl", "-")
    assert done.returncode == 0, done.stderr
    from_files = [json.loads(line) for line in done.stdout.splitlines()]
    found = {frame["label"]: frame["probability"] for frame in from_files}
    assert len(found) == PHOTOGRAPHS
    return found


def test_every_frame_is_classified_as_the_photograph_it_shows(
    console: dict[str, str], expected: dict[str, float]
) -> None:
    before, after = answers(console)
    for frame in before + after:
        assert frame["probability"] == pytest.approx(expected[frame["label"]], abs=2e-6)
    assert len({frame["label"] for frame in before}) > 1
    assert len(before) >= 8
    assert len(after) >= 8


def test_a_silent_camera_is_reported_and_connected_again(console: dict[str, str]) -> None:
    said = step(console, "fall silent")
    assert "/dev/video0 sent no frame for 5 s" in said
    assert re.search(r"/dev/video0 is back after \d+\.\d s\.", said)


def test_an_unplugged_camera_is_reported_and_connected_again(console: dict[str, str]) -> None:
    assert "/dev/video0 ended its stream. Connecting again." in step(console, "unplug")
    assert "there is no /dev/video0" in step(console, "unplug")
    assert re.search(r"/dev/video0 is back after \d+\.\d s\.", step(console, "plug in"))
    assert "gave up" not in console
    before, after = answers(console)
    assert after[0]["captured_at"] - before[-1]["captured_at"] > 3
    numbers = [frame["frame"] for frame in before + after]
    assert numbers == sorted(set(numbers))


def test_it_ends_when_asked(console: dict[str, str]) -> None:
    (ended,) = [said for said in console if said.startswith("exit")]
    assert ended.startswith("exit 0 ")


def test_picamera2_s_frames_are_classified_too(
    console: dict[str, str], expected: dict[str, float]
) -> None:
    """Through libcamera's virtual camera, whose NV12 has half of the colours' resolution, and the
    range of JPEG, which a real one has not."""
    found = json.loads(step(console, "targets"))
    cameras = {entry["name"]: entry["available"] for entry in found["cameras"]}
    assert cameras["picamera2"]
    seen = [json.loads(line) for line in step(console, "picamera2 exit 0").splitlines()]
    assert len(seen) == 12
    for frame in seen:
        assert frame["probability"] == pytest.approx(expected[frame["label"]], abs=0.1)
    assert len({frame["label"] for frame in seen}) > 1
