"""The mapping of top-level folders into one package."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAPPED = ("calibration", "export", "targets")


def test_every_package_is_listed() -> None:
    listed = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    )
    found = set()
    for folder in ("edgecnn", *MAPPED):
        for path in (ROOT / folder).rglob("__init__.py"):
            name = ".".join(path.parent.relative_to(ROOT).parts)
            found.add(name if folder == "edgecnn" else f"edgecnn.{name}")
    assert found == listed


def test_nothing_shadows_the_mapping() -> None:
    assert not [name for name in MAPPED if (ROOT / "edgecnn" / name).exists()]


def test_it_imports_from_another_folder_and_no_bare_module_appears(tmp_path: Path) -> None:
    code = (
        "import sys, edgecnn.export, edgecnn.targets, edgecnn.calibration\n"
        f"assert not set({MAPPED}) & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True)


def test_the_public_names_resolve() -> None:
    code = (
        "import edgecnn\n"
        "for name in edgecnn.__all__: assert getattr(edgecnn, name) is not None, name\n"
        "import edgecnn.export.pipeline\n"
        "assert callable(edgecnn.export)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
