"""Four top-level folders, one package."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINKED = ("calibration", "export", "targets")


def test_the_links_lead_to_the_folders_beside_the_package() -> None:
    assert {name: (ROOT / "edgecnn" / name).readlink() for name in LINKED} == {
        name: Path("..") / name for name in LINKED
    }


def test_a_second_checkout_is_one_version(tmp_path: Path) -> None:
    """What is imported there is all from there, whatever is installed."""
    for name in ("edgecnn", *LINKED):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True)
    code = (
        "import edgecnn.export, edgecnn.targets, edgecnn.calibration\n"
        "for found in (edgecnn, edgecnn.export, edgecnn.targets, edgecnn.calibration):\n"
        f"    assert found.__file__.startswith({str(tmp_path)!r}), found.__file__\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_it_imports_from_another_folder_and_no_bare_module_appears(tmp_path: Path) -> None:
    code = (
        "import sys, edgecnn.export, edgecnn.targets, edgecnn.calibration\n"
        f"assert not set({LINKED}) & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True)
