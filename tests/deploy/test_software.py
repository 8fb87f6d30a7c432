"""The wheel that is carried to boards."""

import subprocess
import sys
import zipfile
from pathlib import Path

from edgecnn.targets.deploy.shipment import Installation, packed
from edgecnn.targets.deploy.software import DIST_INFO, OPENCV, Software, write_wheel


def test_wheels_that_ask_for_the_opencv_a_board_can_use(tmp_path: Path) -> None:
    usual, headless, own = (write_wheel(tmp_path / opencv, opencv) for opencv in OPENCV)

    def wants(wheel: Path) -> list[str]:
        text = zipfile.ZipFile(wheel).read(f"{DIST_INFO}/METADATA").decode()
        return [line for line in text.splitlines() if line.startswith("Requires-Dist: opencv")]

    assert wants(usual) == ["Requires-Dist: opencv-python>=4.10"]
    assert wants(headless) == ["Requires-Dist: opencv-python-headless>=4.10"]
    assert wants(own) == []
    assert len({Software(wheel).venv for wheel in (usual, headless, own)}) == 3


def test_the_ribbon_camera_s_modules_are_the_system_s(old_bundle: Path) -> None:
    for extras, system in ((("picamera",), True), (("mqtt",), False)):
        with packed(old_bundle, Installation(extras)) as order:
            assert order.software["usual"].system_site_packages is system


def test_the_same_wheel_from_any_installation(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path)
    names = zipfile.ZipFile(wheel).namelist()
    assert {"edgecnn/targets/deploy/on_board.py", "edgecnn/py.typed"} <= set(names)
    assert not [name for name in names if "__pycache__" in name]
    # Unpacked it is a plain installation, where the top-level folders lie inside edgecnn.
    plain, again = tmp_path / "plain", tmp_path / "again"
    zipfile.ZipFile(wheel).extractall(plain)
    again.mkdir()
    code = (
        "import edgecnn, pathlib\n"
        "from edgecnn.targets.deploy.software import write_wheel\n"
        f"assert pathlib.Path(edgecnn.__file__).is_relative_to({str(plain)!r})\n"
        f"write_wheel(pathlib.Path({str(again)!r}))\n"
    )
    run = [sys.executable, "-c", code]
    subprocess.run(run, env={"PYTHONPATH": str(plain)}, cwd=tmp_path, check=True)
    assert (again / wheel.name).read_bytes() == wheel.read_bytes()
    listed = zipfile.ZipFile(wheel).read(f"{DIST_INFO}/licenses/LICENSE")
    assert b"Apache License" in listed
