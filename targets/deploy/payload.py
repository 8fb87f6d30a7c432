"""Files on their way to a board, each known by its hash."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecnn.bundle import MANIFEST, Bundle, describe_file, file_sha256
from edgecnn.errors import DeployError


@dataclass(frozen=True)
class Item:
    """A file here, and where it belongs."""

    local: Path
    path: str
    """Inside the payload's folder."""
    bytes: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """As `on_board` takes it."""
        return {"path": self.path, "bytes": self.bytes, "sha256": self.sha256}


@dataclass(frozen=True)
class Payload:
    """Files for one folder on a board."""

    name: str
    """Of what is in it, for people."""
    folder: str
    """Below the root on the board."""
    items: tuple[Item, ...]

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(item.bytes for item in self.items)


def pack_wheels(wheels: Sequence[Path]) -> Payload:
    """Wheels for `pip install --find-links`."""
    items = [Item(p, p.name, p.stat().st_size, file_sha256(p)) for p in wheels]
    return Payload("wheels", "wheels", tuple(items))


def pack_bundle(bundle: Bundle, formats: Sequence[str] | None, folder: Path) -> Payload:
    """A bundle with those of its formats that a board can run; None: all.

    A manifest that names no others is written below `folder`. Raises `DeployError` if nothing
    that can run is left.
    """
    manifest = dict(bundle.manifest)
    kept = [name for name in bundle.artifacts if formats is None or name in formats]
    if not kept:
        held = ", ".join(bundle.artifacts)
        raise DeployError(
            f"{bundle.path} holds {held}, and a board's installation runs TFLite: export with "
            "--format tflite, or install more there with --with onnx or --with openvino."
        )
    folder = Path(tempfile.mkdtemp(dir=folder))
    if kept == list(bundle.artifacts):
        shutil.copy(bundle.path / MANIFEST, folder)
    else:
        manifest["artifacts"] = {name: manifest["artifacts"][name] for name in kept}
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    described = describe_file(folder, MANIFEST)
    listed = [manifest["labels"], *(file for name in kept for file in _files(manifest, name))]
    listed += [manifest[name] for name in ("golden", "answers") if name in manifest]
    items = [Item(bundle.path / f["path"], f["path"], f["bytes"], f["sha256"]) for f in listed]
    items.append(Item(folder / MANIFEST, MANIFEST, described.bytes, described.sha256))
    name = f"{bundle.name}-{described.sha256[:12]}"
    return Payload(name, f"bundles/{name}", tuple(items))


def _files(manifest: dict[str, Any], format: str) -> list[dict[str, Any]]:
    return list(manifest["artifacts"][format]["files"])
