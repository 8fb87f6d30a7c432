"""The bundle: the folder that `export` writes and everything else reads.

Read with numpy and the standard library alone, since a board has no more.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from edgecnn.errors import BundleError, UnknownName
from edgecnn.head import SOFTMAX, Head
from edgecnn.labels import read_labels
from edgecnn.preprocessing import Preprocessing

SCHEMA = 1
MANIFEST = "manifest.json"
FORMATS = ("tflite", "onnx", "openvino")
PRECISIONS = ("int8", "fp16", "fp32")
MODEL_FILES = {
    "tflite": ("model.tflite",),
    "onnx": ("model.onnx",),
    "openvino": ("model.xml", "model.bin"),
}


@dataclass(frozen=True)
class Weights:
    """Where the weights came from; stands on every report."""

    kind: str
    """`trained`, `pretrained` or `random`."""
    source: str
    sha256: str

    @property
    def meaningful(self) -> bool:
        """Whether the network's answers mean anything."""
        return self.kind != "random"


@dataclass(frozen=True)
class File:
    """A file of an artifact, by its path inside the bundle."""

    path: str
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if not (
            isinstance(self.path, str) and type(self.bytes) is int and isinstance(self.sha256, str)
        ):
            raise TypeError(f"a file has a path, a number of bytes and a hash, not {self}")


@dataclass(frozen=True)
class Artifact:
    """One format's files and what is known about them."""

    format: str
    files: tuple[File, ...]
    details: dict[str, Any]
    """Quantisation, tool versions and verification figures, as in the manifest."""

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(file.bytes for file in self.files)

    @property
    def sha256(self) -> str:
        """One hash for all files."""
        return hashlib.sha256("".join(file.sha256 for file in self.files).encode()).hexdigest()


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest was read and whose files were checked."""

    path: Path
    manifest: dict[str, Any]
    architecture: str
    precision: str
    weights: Weights
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    artifacts: dict[str, Artifact]
    head: Head = SOFTMAX
    """What the network's outputs mean."""
    golden: Path | None = None
    """Pictures with the answers they got at export; see `edgecnn.golden`."""
    answers: Path | None = None
    """What held-out pictures taught about the answers; see `edgecnn.reliability`."""

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a bundle and verify every file's hash before any engine opens it.

        Raises `BundleError` for a folder that is no bundle, a newer schema, a file outside the
        folder, a missing file or a changed byte.
        """
        path = Path(path)
        manifest = _read_manifest(path)
        try:
            artifacts = {
                name: Artifact(
                    name,
                    tuple(File(f["path"], f["bytes"], f["sha256"]) for f in data["files"]),
                    {k: v for k, v in data.items() if k != "files"},
                )
                for name, data in manifest["artifacts"].items()
            }
            preprocessing = Preprocessing.from_json(manifest["preprocessing"])
            weights = Weights(**manifest["weights"])
            labels_file = File(**manifest["labels"])
            architecture, precision = manifest["architecture"], manifest["precision"]
            others = {
                name: File(**manifest[name]) for name in ("golden", "answers") if name in manifest
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise BundleError(
                f"{path / MANIFEST} is incomplete: {error!r}. Export again."
            ) from None
        files = [labels_file, *(file for a in artifacts.values() for file in a.files)]
        for file in (*files, *others.values()):
            _check_file(path, file)
        labels = read_labels(path / labels_file.path)
        return cls(
            path=path,
            manifest=manifest,
            architecture=architecture,
            precision=precision,
            weights=weights,
            preprocessing=preprocessing,
            labels=labels,
            artifacts=artifacts,
            head=_read_head(path, manifest, len(labels)),
            **{name: path / file.path for name, file in others.items()},
        )

    @property
    def name(self) -> str:
        """Architecture and precision, `resnet34-int8`."""
        return f"{self.architecture}-{self.precision}"

    @property
    def version(self) -> str:
        """The beginning of its manifest's hash, which covers every file's."""
        return file_sha256(self.path / MANIFEST)[:12]

    def model_file(self, format: str) -> Path:
        """The file an engine opens for that format."""
        if format not in self.artifacts:
            raise UnknownName("format", format, self.artifacts, f"{self.path} has no other.")
        return self.path / self.artifacts[format].files[0].path


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def describe_file(folder: Path, name: str) -> File:
    """Size and hash of a file inside a folder, as the manifest lists it."""
    path = folder / name
    return File(name, path.stat().st_size, file_sha256(path))


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: Any = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            f"{path} is no bundle (it has no {MANIFEST}): `edgecnn export` makes one."
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{path / MANIFEST} is not readable JSON: {error}") from None
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != SCHEMA:
        raise BundleError(
            f"{path} has bundle schema {schema}, this edgecnn reads {SCHEMA}: "
            "export again, or install the edgecnn that wrote it."
        )
    return dict(manifest)


def _read_head(path: Path, manifest: dict[str, Any], labels: int) -> Head:
    try:
        head = Head.from_json(manifest)
        head.check(labels)
    except (BundleError, TypeError) as error:
        raise BundleError(f"{path / MANIFEST}: {error} Export again.") from None
    return head


def _check_file(folder: Path, file: File) -> None:
    path = folder / file.path
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
        there = path.is_file()
        changed = (
            inside
            and there
            and (path.stat().st_size != file.bytes or file_sha256(path) != file.sha256)
        )
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a zero byte
        raise BundleError(
            f"{folder / MANIFEST} names a file that cannot be read: {error}"
        ) from None
    if not inside:
        raise BundleError(f"{folder / MANIFEST} names {file.path}, which is outside the bundle.")
    if not there:
        raise BundleError(f"{path} is missing: copy the whole bundle folder, or export again.")
    if changed:
        raise BundleError(f"{path} was changed since export: copy it again, or export again.")
