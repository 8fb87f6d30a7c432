"""What every board is to get: a bundle and the software that runs it, packed."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgecnn.arguments import one_of, words
from edgecnn.bundle import Bundle
from edgecnn.targets.deploy.software import (
    BOARD_EXTRAS,
    OPENCV,
    OpenCv,
    Software,
    carried_wheels,
    write_wheel,
)


@dataclass(frozen=True)
class Installation:
    """How edgecnn gets onto a board."""

    extras: tuple[str, ...] = ()
    """Optional parts beside the light installation; see `software.BOARD_EXTRAS`."""
    wheels: Path | None = None
    """A folder of wheels to install from alone, for boards without internet."""
    system_site_packages: bool = False
    """Let it see the board's own packages; the extra `picamera` implies it."""
    python: str = "python3"
    """The board's Python, 3.11 or newer."""


@dataclass(frozen=True)
class Shipment:
    """A bundle, and what is to be installed to run it."""

    bundle: Bundle
    software: Mapping[OpenCv, Software]
    """By the OpenCV that it brings."""
    folder: Path
    """For temporary files."""
    python: str
    """The board's Python, to make the venv with."""
    runtime: str
    """What the check on the board runs in."""


@contextmanager
def packed(
    bundle_dir: Path | str, how: Installation | None = None, runtime: str = "auto"
) -> Iterator[Shipment]:
    """A bundle with this edgecnn, ready to be sent; temporary files go when the block is left.

    Raises `BundleError` for a bundle that is not whole, `DeployError` for a folder without wheels.
    """
    bundle, how = Bundle.load(bundle_dir), how or Installation()
    extras = tuple(sorted(set(words(how.extras))))
    for extra in extras:
        one_of("extra", extra, BOARD_EXTRAS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        carried = carried_wheels(how.wheels) if how.wheels else ()
        # picamera2 and libcamera are the system's.
        system = how.system_site_packages or "picamera" in extras
        software = {
            opencv: Software(write_wheel(folder / opencv, opencv), carried, extras, system)
            for opencv in OPENCV
        }
        if any(wheel.name.startswith("opencv_python_headless-") for wheel in carried):
            software["usual"] = software["headless"]
        yield Shipment(bundle, software, folder, how.python, runtime)
