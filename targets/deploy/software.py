"""What is installed on a board: this very edgecnn as a wheel, and wheels carried for it."""

import base64
import hashlib
import importlib.util
import re
import zipfile
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Literal, Self

from edgecnn import __version__
from edgecnn.bundle import FORMATS
from edgecnn.errors import DeployError

PACKAGES = ("edgecnn", "edgecnn.calibration", "edgecnn.export", "edgecnn.targets")
"""Those whose folders may lie apart, as in an editable installation."""
WHEEL = f"edgecnn-{__version__}-py3-none-any.whl"
DIST_INFO = f"edgecnn-{__version__}.dist-info"
LONG_AGO = (1980, 1, 1, 0, 0, 0)
TAG = "Wheel-Version: 1.0\nGenerator: edgecnn\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
SYSTEM = "system"
OpenCv = Literal["usual", "headless", "own"]
OPENCV: dict[OpenCv, str] = {
    "usual": r"\g<0>",
    "headless": r"\1opencv-python-headless\2",
    "own": "",
}
"""What becomes of the requirement: it stays, asks for one without windows, or goes, since the
system's own is used."""
REQUIREMENT = re.compile(r"^(Requires-Dist: )opencv-python(?:-headless)?(\b.*\n)", re.MULTILINE)
BOARD_EXTRAS = ("mqtt", "onnx", "openvino", "picamera", "report", "web")
"""Optional parts that a board can use."""


@dataclass(frozen=True)
class Software:
    """What to install on a board, and how."""

    wheel: Path
    """This edgecnn."""
    carried: tuple[Path, ...] = ()
    """Wheels of everything else, for a board without internet."""
    extras: tuple[str, ...] = ()
    system_site_packages: bool = False
    """Let the venv see the board's own packages, such as picamera2."""

    @property
    def wheels(self) -> tuple[Path, ...]:
        """All that is copied."""
        return self.wheel, *self.carried

    @property
    def formats(self) -> tuple[str, ...] | None:
        """What this installation can run; None: that depends on the board's own packages."""
        if self.system_site_packages:
            return None
        return "tflite", *(extra for extra in self.extras if extra in FORMATS)

    @property
    def venv(self) -> str:
        """A name for its folder: version, hash of this edgecnn, and what was installed with it."""
        code = hashlib.sha256(self.wheel.read_bytes()).hexdigest()[:12]
        system = (SYSTEM,) if self.system_site_packages else ()
        return "-".join((__version__, code, *self.extras, *system))

    def like(self, venv: str | None) -> Self:
        """With all that an installation of that name has: an update takes nothing away."""
        parts = set(venv.split("-")[2:]) if venv else set()
        return replace(
            self,
            extras=tuple(sorted({*self.extras, *parts} - {SYSTEM})),
            system_site_packages=self.system_site_packages or SYSTEM in parts,
        )


def carried_wheels(folder: Path) -> tuple[Path, ...]:
    """The wheels in a folder, but for edgecnn's own; raises `DeployError` if there are none."""
    found = sorted(p for p in folder.glob("*.whl") if not p.name.startswith("edgecnn-"))
    if not found:
        raise DeployError(f"{folder} holds no wheels: `pip download` puts them there.")
    return tuple(found)


def write_wheel(folder: Path, opencv: OpenCv = "usual") -> Path:
    """This installation of edgecnn as a wheel, the same bytes for the same code and OpenCV.

    Made from the files that run here, since they may be an editable installation or newer than
    any release.
    """
    files: dict[str, bytes] = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        for place in map(Path, spec.submodule_search_locations):
            for path in place.rglob("*"):
                inner = path.relative_to(place)
                if path.is_file() and "__pycache__" not in inner.parts:
                    files["/".join((*package.split("."), *inner.parts))] = path.read_bytes()
    described = metadata.distribution("edgecnn")
    for name in ("METADATA", "entry_points.txt", "licenses/LICENSE"):
        text = described.read_text(name) or ""
        if name == "METADATA":
            text = REQUIREMENT.sub(OPENCV[opencv], text)
        files[f"{DIST_INFO}/{name}"] = text.encode()
    files[f"{DIST_INFO}/WHEEL"] = TAG.encode()
    record = f"{DIST_INFO}/RECORD"
    lines = [f"{name},sha256={_hash(data)},{len(data)}\n" for name, data in sorted(files.items())]
    files[record] = "".join([*lines, f"{record},,\n"]).encode()
    folder.mkdir(exist_ok=True)
    path = folder / WHEEL
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in sorted(files.items()):
            wheel.writestr(zipfile.ZipInfo(name, LONG_AGO), data, zipfile.ZIP_DEFLATED)
    return path


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
