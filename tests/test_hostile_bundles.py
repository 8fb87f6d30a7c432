"""Bundles that somebody made to do harm: one line says what is wrong, and no engine sees them."""

import io
import json
import os
import shutil
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgecnn.bundle import MANIFEST, Bundle, describe_file
from edgecnn.errors import BundleError, RuntimeUnavailable
from edgecnn.golden import Golden
from edgecnn.targets.classifier import load
from edgecnn.targets.engines import probe

Attack = Callable[[Path], None]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(probe.bundle("peak").path, tmp_path / "bundle"))


def text(manifest: str) -> Attack:
    """This manifest instead."""
    return lambda bundle: void((bundle / MANIFEST).write_text(manifest))


def edited(change: Callable[[dict[str, Any]], object]) -> Attack:
    """The manifest after that change."""

    def attack(bundle: Path) -> None:
        manifest = json.loads((bundle / MANIFEST).read_text())
        change(manifest)
        (bundle / MANIFEST).write_text(json.dumps(manifest))

    return attack


def void(_: object) -> None:
    pass


def labels_at(path: object) -> Attack:
    return edited(lambda manifest: manifest["labels"].update(path=path))


def preprocessing(**values: object) -> Attack:
    return edited(lambda manifest: manifest["preprocessing"].update(values))


def labels(content: bytes) -> Attack:
    """These labels, with the hash that belongs to them."""

    def attack(bundle: Path) -> None:
        (bundle / "labels.txt").write_bytes(content)
        described = vars(describe_file(bundle, "labels.txt"))
        edited(lambda manifest: manifest["labels"].update(described))(bundle)

    return attack


def twice(bundle: Path) -> None:
    whole = (bundle / MANIFEST).read_text().rstrip()
    (bundle / MANIFEST).write_text(whole.removesuffix("}") + ',"architecture":"other"}')


def replaced(name: str, make: Callable[[Path], object]) -> Attack:
    def attack(bundle: Path) -> None:
        (bundle / name).unlink()
        make(bundle / name)

    return attack


ATTACKS: dict[str, Attack] = {
    "a key twice": twice,
    "deep lists": text("[" * 200_000),
    "deep objects": text('{"schema":1,"a":' + '{"a":' * 100_000),
    "a long number": text('{"schema":' + "9" * 10_000 + "}"),
    "infinity": text('{"schema":1,"a":Infinity}'),
    "a number past all": text('{"schema":1,"a":1e999}'),
    "too large": text('{"schema":1,"a":"' + "a" * (40 << 20) + '"}'),
    "not UTF-8": lambda bundle: void((bundle / MANIFEST).write_bytes(b'{"schema":1,"\xff":1}')),
    "a newer schema": edited(lambda manifest: manifest.update(schema=2)),
    "a schema that is true": edited(lambda manifest: manifest.update(schema=True)),
    "a pipe as manifest": replaced(MANIFEST, os.mkfifo),
    "a folder as manifest": replaced(MANIFEST, Path.mkdir),
    "a pipe as file": replaced("labels.txt", os.mkfifo),
    "a link outside": replaced("labels.txt", lambda path: path.symlink_to("/etc/hostname")),
    "a link to itself": replaced("labels.txt", lambda path: path.symlink_to("labels.txt")),
    "a device": replaced("labels.txt", lambda path: path.symlink_to("/dev/zero")),
    "an absolute path": labels_at("/etc/passwd"),
    "a path upwards": labels_at("../../labels.txt"),
    "a path with a zero byte": labels_at("a\0b"),
    "a long path": labels_at("a" * 5000),
    "a number as path": labels_at(5),
    "no path": labels_at(None),
    "a path to the folder": labels_at("."),
    "sizes in words": edited(lambda manifest: manifest["labels"].update(bytes="31")),
    "no such size": edited(lambda manifest: manifest["labels"].update(bytes=10**30)),
    "a name upwards": edited(lambda manifest: manifest.update(architecture="../../x")),
    "a name that is a number": edited(lambda manifest: manifest.update(architecture=5)),
    "a name that is a unit file": edited(
        lambda manifest: manifest.update(architecture="a\nExecStartPre=/bin/sh")
    ),
    "a terminal's command": edited(
        lambda manifest: manifest["weights"].update(source="\x1b]0;title\x07")
    ),
    "a command deep inside": edited(lambda manifest: manifest.update(note=[{"a": ["\x1b[2J"]}])),
    "a command in a label": labels(b"\x1b]0;title\x07red\ngreen\nblue\n"),
    "a reversed label": labels("r\u202eed\ngreen\nblue\n".encode()),
    "labels of zeros": labels(b"\0" * 1000),
    "no precision": edited(lambda manifest: manifest.update(precision="int4")),
    "another format": edited(
        lambda manifest: manifest["artifacts"].update({"../x": manifest["artifacts"]["onnx"]})
    ),
    "a list of artifacts": edited(lambda manifest: manifest.update(artifacts=[1])),
    "an artifact of nothing": edited(
        lambda manifest: manifest["artifacts"]["onnx"].update(files=[])
    ),
    "an artifact of text": edited(
        lambda manifest: manifest["artifacts"]["onnx"].update(files="model.onnx")
    ),
    "a huge input": preprocessing(height=200_000, width=200_000),
    "half a pixel": preprocessing(height=16.5),
    "channels that are true": preprocessing(channels=True),
    "a mean in words": preprocessing(mean=["a"]),
    "no mean": preprocessing(mean=None),
    "more than preprocessing": preprocessing(path="/"),
    "no preprocessing": edited(lambda manifest: manifest.update(preprocessing=None)),
    "thresholds in words": edited(
        lambda manifest: manifest.update(head="sigmoid", thresholds=["a", "b", "c"])
    ),
    "a threshold alone": edited(lambda manifest: manifest.update(head="sigmoid", thresholds=5)),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_it_ends_in_one_line(bundle: Path, attack: Attack) -> None:
    attack(bundle)
    started = time.monotonic()
    with pytest.raises(BundleError) as caught:
        Bundle.load(bundle)
    assert time.monotonic() - started < 5
    assert str(caught.value).isprintable(), "a terminal would obey it"
    assert len(str(caught.value)) < 6000


@pytest.mark.parametrize("name", ["model.tflite", "model.onnx", "model.xml", "golden.npz"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "longer"])
def test_a_damaged_file_reaches_no_engine(bundle: Path, name: str, damage: str) -> None:
    data = (bundle / name).read_bytes()
    middle = len(data) // 2
    damaged = {
        "cut": data[:middle],
        "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "longer": data + b"\0",
    }
    (bundle / name).write_bytes(damaged[damage])
    with pytest.raises(BundleError, match="was changed since export"):
        Bundle.load(bundle)


def arrays(bundle: Path, write: Callable[[zipfile.ZipFile], object]) -> Path:
    """A golden.npz of somebody's own."""
    with zipfile.ZipFile(bundle / "golden.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        write(archive)
    return bundle / "golden.npz"


def array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], data: bytes) -> None:
    with archive.open(name, "w", force_zip64=True) as member:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, header)
        member.write(data)


class Harmful:
    """An object whose unpickling does something."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exit, (3,)


def three_large_arrays(archive: zipfile.ZipFile) -> None:
    for index in range(3):
        array(archive, f"{index}.npy", (10**8,), bytes(10**8))


BOMBS: dict[str, Callable[[zipfile.ZipFile], object]] = {
    "large": three_large_arrays,
    "larger than any memory": lambda archive: array(archive, "frame.npy", (10**15,), b""),
    "pickled": lambda archive: archive.writestr("frame.npy", pickled()),
    "a shape of nothing": lambda archive: array(archive, "frame.npy", (0, 0, 3), b""),
    "no arrays": lambda archive: archive.writestr("../../frame.npy", b"x"),
    "empty": lambda archive: None,
}


def pickled() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Harmful()], dtype=object), allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize("write", BOMBS.values(), ids=BOMBS.keys())
def test_arrays_that_are_bombs(bundle: Path, write: Callable[[zipfile.ZipFile], object]) -> None:
    path = arrays(bundle, write)
    with pytest.raises(BundleError, match="cannot be read"):
        Golden.load(path)


def test_a_bomb_is_not_unpacked(bundle: Path) -> None:
    path = arrays(bundle, BOMBS["large"])
    tracemalloc.start()
    with pytest.raises(BundleError, match="it unpacks to 300 MB"):
        Golden.load(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_path_that_engines_cannot_take(bundle: Path) -> None:
    odd = bundle.rename(os.fsdecode(os.fsencode(bundle.parent) + b"/b\xff"))
    with pytest.raises(BundleError, match="is not UTF-8, which engines need: rename it") as caught:
        load(odd)
    assert str(caught.value).isprintable()


def test_a_file_of_a_bundle_is_not_the_bundle(bundle: Path) -> None:
    with pytest.raises(BundleError, match=f"is a file of a bundle: name its folder, {bundle}"):
        load(bundle / "model.onnx")


@pytest.mark.parametrize("place", ["beside", "below", "outside", "absolute"])
def test_weights_that_have_no_hash(bundle: Path, tmp_path: Path, place: str) -> None:
    """ONNX's external data: what the model names, ONNX Runtime reads."""
    outside = tmp_path / "secret.bin"
    location = {
        "beside": "more.bin",
        "below": "below/more.bin",
        "outside": "../secret.bin",
        "absolute": str(outside),
    }[place]
    model = onnx.load(bundle / "model.onnx")
    tensor = max(model.graph.initializer, key=lambda one: one.ByteSize())
    data = onnx.numpy_helper.to_array(tensor).tobytes()
    tensor.CopyFrom(
        onnx.TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
    )
    onnx.external_data_helper.set_external_data(_emptied(tensor), location, 0, len(data))
    tensor.ClearField("raw_data")
    target = bundle / location
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(data)
    onnx.save(model, bundle / "model.onnx")
    described = vars(describe_file(bundle, "model.onnx"))
    edited(lambda manifest: manifest["artifacts"]["onnx"].update(files=[described]))(bundle)
    message = "names '(below/)?more.bin'" if place in ("beside", "below") else "cannot open"
    with pytest.raises((BundleError, RuntimeUnavailable), match=message):
        load(bundle, "onnxruntime")


def _emptied(tensor: onnx.TensorProto) -> onnx.TensorProto:
    tensor.raw_data = b" "  # what the helper wants to see before it makes it external
    return tensor
