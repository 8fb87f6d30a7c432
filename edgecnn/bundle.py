"""The bundle: the folder that `export` writes and everything else reads.

Read with numpy and the standard library alone, since a board has no more.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from edgecnn import strict_json
from edgecnn.errors import BundleError, DataError, UnknownName
from edgecnn.head import SOFTMAX, Head
from edgecnn.labels import read_labels
from edgecnn.parallel import in_order
from edgecnn.preprocessing import Preprocessing

if TYPE_CHECKING:
    from edgecnn.signature import PublicKey, TrustedKeys

SCHEMA = 1
MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.sig"
"""See `edgecnn.signature`."""
FORMATS = ("tflite", "onnx", "openvino")
PRECISIONS = ("int8", "fp16", "fp32")
MODEL_FILES = {
    "tflite": ("model.tflite",),
    "onnx": ("model.onnx",),
    "openvino": ("model.xml", "model.bin"),
}
OTHER_FILES = ("album", "answers", "golden", "layers_plot", "sbom")
"""Keys of the manifest that describe one more file each, where there is one."""
PART = 1 << 20
SHA256 = re.compile(r"[0-9a-f]{64}")


class Weights(NamedTuple):
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


class Artifact(NamedTuple):
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
    features: int = 0
    """How many values of its last layer's input the model gives beside them: mostly none."""
    golden: Path | None = None
    """Pictures with the answers they got at export; see `edgecnn.golden`."""
    answers: Path | None = None
    """What held-out pictures taught about the answers; see `edgecnn.reliability`."""
    album: Path | None = None
    """Small pictures of what export looked at; see `edgecnn.album`."""
    files: tuple[File, ...] = ()
    """All that it is made of but the manifest and its signature."""
    signer: "PublicKey | None" = None
    """Whose signature was found good; None where none was asked for."""

    @classmethod
    def load(cls, path: Path | str, *, trusted: "TrustedKeys | None" = None) -> Self:
        """Read a bundle and verify every file's hash before any engine opens it.

        With `trusted`, one of those keys must have signed it, and it may hold no other file.
        Raises `BundleError` for a folder that is no bundle, a newer schema, a file outside the
        folder, a missing file or a changed byte; `SignatureError` where nobody who is trusted
        signed it.
        """
        path = Path(path)
        data = _read(path)
        signer = trusted.signer(data, path / SIGNATURE) if trusted else None
        manifest = _parsed(path, data)
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
            _check_names(architecture, precision, weights, artifacts)
            others = {key: File(**manifest[key]) for key in OTHER_FILES if key in manifest}
            features = _count(manifest.get("features", 0))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise BundleError(
                f"{path / MANIFEST} is incomplete: {error!r}. Export again."
            ) from None
        files = [labels_file, *(file for a in artifacts.values() for file in a.files)]
        files += others.values()
        for _ in in_order(lambda file: _check_file(path, file), files):
            pass
        if trusted:
            refuse_unlisted(path, files)
        _refuse_unlisted_parts(path, files)
        try:
            labels = read_labels(path / labels_file.path)
        except DataError as error:
            raise BundleError(f"{error} Export again.") from None
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
            features=features,
            golden=_path(path, others.get("golden")),
            answers=_path(path, others.get("answers")),
            album=_path(path, others.get("album")),
            files=tuple(files),
            signer=signer,
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


def _path(folder: Path, file: File | None) -> Path | None:
    return folder / file.path if file else None


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    # In large parts, each without the interpreter's lock, which others may be slow to return.
    part, digest = bytearray(min(path.stat().st_size, PART) or 1), hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        while count := stream.readinto(part):
            digest.update(memoryview(part)[:count])
    return digest.hexdigest()


def describe_file(folder: Path, name: str) -> File:
    """Size and hash of a file inside a folder, as the manifest lists it."""
    path = folder / name
    return File(name, path.stat().st_size, file_sha256(path))


def refuse_unlisted(folder: Path, files: Sequence[File]) -> None:
    """Raise `BundleError` where a bundle holds a file that is none of these, with no hash."""
    for name in _unlisted(folder, files):
        raise BundleError(
            f"{folder} holds {name!a}, which its manifest does not list and no signature covers: "
            "remove it."
        )


def _refuse_unlisted_parts(folder: Path, files: Sequence[File]) -> None:
    """Raise `BundleError` where a file names another that has no hash: ONNX's external data."""
    for name in _unlisted(folder, files):
        last = PurePosixPath(name).name.encode(errors="surrogateescape")
        for file in files:
            if last in (folder / file.path).read_bytes():
                raise BundleError(
                    f"{folder / file.path} names {name!a}, which the manifest does not list: "
                    "remove it, or export again."
                )


def _unlisted(folder: Path, files: Sequence[File]) -> Iterator[str]:
    listed = {MANIFEST, SIGNATURE, *(str(PurePosixPath(file.path)) for file in files)}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if name not in listed and (path.is_symlink() or not path.is_dir()):
            yield name


def _read(path: Path) -> bytes:
    file = path / MANIFEST
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise BundleError(f"{str(path)!a} is not UTF-8, which engines need: rename it.") from None
    try:
        if file.is_file():  # a pipe would be waited for
            with file.open("rb") as stream:
                return stream.read(strict_json.LARGEST + 1)
    except (OSError, ValueError) as error:  # a zero byte in its name is a ValueError
        raise BundleError(f"Cannot read {str(file)!a}: {error}.") from None
    if path.is_file() and (path.parent / MANIFEST).is_file():
        raise BundleError(f"{path} is a file of a bundle: name its folder, {path.parent}.")
    raise BundleError(f"{path} is no bundle (it has no {MANIFEST}): `edgecnn export` makes one.")


def _parsed(path: Path, data: bytes) -> dict[str, Any]:
    try:
        manifest = strict_json.parse(data)
    except ValueError as error:
        raise BundleError(f"{path / MANIFEST} is not readable JSON: {error}") from None
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if type(schema) is not int or schema != SCHEMA:
        raise BundleError(
            f"{path} has bundle schema {schema}, this edgecnn reads {SCHEMA}: "
            "export again, or install the edgecnn that wrote it."
        )
    return dict(manifest)


def _check_names(
    architecture: Any, precision: Any, weights: Weights, artifacts: dict[str, Artifact]
) -> None:
    """Names become parts of paths, topics and units."""
    names = (architecture, weights.kind, weights.source, weights.sha256)
    if not all(isinstance(name, str) and name.isprintable() for name in names):
        raise ValueError("a name is not of printable characters")
    if not architecture or "/" in architecture or architecture.startswith("."):
        raise ValueError(f"{architecture!a} is no architecture's name")
    if precision not in PRECISIONS:
        raise ValueError(f"the precision is one of {', '.join(PRECISIONS)}, not {precision!a}")
    if unknown := artifacts.keys() - set(FORMATS):
        raise ValueError(f"{', '.join(sorted(unknown))} are no formats")
    if empty := [name for name, artifact in artifacts.items() if not artifact.files]:
        raise ValueError(f"{empty[0]} has no files")


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"features are a number of values, not {value!a}")
    return value


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
