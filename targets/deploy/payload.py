"""Files on their way to a board, each known by its hash."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecnn.bundle import MANIFEST, SIGNATURE, Bundle, describe_file, file_sha256
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
    return Payload("wheels", "wheels", tuple(map(_item, wheels)))


def pack_bundle(bundle: Bundle, formats: Sequence[str] | None, folder: Path) -> Payload:
    """A bundle with those of its formats that a board can run; None: all.

    A manifest that names no others is written below `folder`; a signed one stays as it is, and so
    does what it covers. Raises `DeployError` if nothing that can run is left.
    """
    signature = bundle.path / SIGNATURE
    is_signed = signature.is_file()
    kept = [name for name in bundle.artifacts if formats is None or name in formats]
    if not kept:
        held = ", ".join(bundle.artifacts)
        raise DeployError(
            f"{bundle.path} holds {held}, and a board's installation runs TFLite: export with "
            "--format tflite, or install more there with --with onnx or --with openvino."
        )
    manifest, left_out = bundle.path / MANIFEST, set[str]()
    if not is_signed and kept != list(bundle.artifacts):
        manifest = Path(tempfile.mkdtemp(dir=folder)) / MANIFEST
        fewer = {name: bundle.manifest["artifacts"][name] for name in kept}
        changed = bundle.manifest | {"artifacts": fewer}
        manifest.write_text(json.dumps(changed, indent=1), encoding="utf-8")
        left_out = {
            file.path
            for name, artifact in bundle.artifacts.items()
            if name not in kept
            for file in artifact.files
        }
    items = [
        Item(bundle.path / file.path, file.path, file.bytes, file.sha256)
        for file in bundle.files
        if file.path not in left_out
    ]
    more = [manifest, signature] if is_signed else [manifest]
    items += map(_item, more)
    name = f"{bundle.name}-{file_sha256(manifest)[:12]}"
    return Payload(name, f"bundles/{name}", tuple(items))


def _item(path: Path) -> Item:
    described = describe_file(path.parent, path.name)
    return Item(path, path.name, described.bytes, described.sha256)
