"""What every board is to get: a bundle and the software that runs it, packed."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgecnn.bundle import Bundle
from edgecnn.targets.deploy.software import Software, carried_wheels, write_wheel


@dataclass(frozen=True)
class Order:
    """A bundle, and what is to be installed to run it."""

    bundle: Bundle
    software: Software
    folder: Path
    """For temporary files."""
    python: str = "python3"
    """The board's Python, to make the venv with."""
    runtime: str = "auto"
    """What the check on the board runs in."""


@contextmanager
def packed(
    bundle_dir: Path | str,
    *,
    wheels: Path | None = None,
    extras: Sequence[str] = (),
    system_site_packages: bool = False,
    python: str = "python3",
    runtime: str = "auto",
) -> Iterator[Order]:
    """A bundle with this edgecnn, ready to be sent; temporary files go when the block is left.

    `wheels` is a folder of wheels for boards without internet, `extras` are optional parts of
    edgecnn. Raises `BundleError` for a bundle that is not whole, `DeployError` for a folder without
    wheels.
    """
    bundle = Bundle.load(bundle_dir)
    with tempfile.TemporaryDirectory() as folder:
        software = Software(
            write_wheel(Path(folder)),
            carried_wheels(wheels) if wheels else (),
            tuple(sorted(set(extras))),
            system_site_packages,
        )
        yield Order(bundle, software, Path(folder), python, runtime)
