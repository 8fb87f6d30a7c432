"""Names of classes survive the way into a bundle and back, or are refused at once."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecnn.bundle import Bundle
from edgecnn.checkpoint import Checkpoint
from edgecnn.data import open_source
from edgecnn.errors import DataError, EdgeCnnError
from edgecnn.labels import checked, read_labels, write_labels
from edgecnn.preprocessing import Preprocessing

LINE_ENDS = ("\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
BAD: tuple[tuple[Any, str], ...] = (
    *((f"ice{end}cream", "has a line break") for end in LINE_ENDS),
    ("", "is empty"),
    (" \t", "is empty"),
    (" cat", "begins or ends with white space"),
    ("cat\n", "begins or ends with white space"),
    ("caf\udce9", "is no UTF-8 text"),
    ("a\0b", "control character"),
    ("a\x1b[31mb", "control character"),
    ("a\u202eb", "control character"),
    ("\ufeffcat", "begins with a byte order mark"),
    (7, "labels are words"),
    ("dog", "class 0 and of class 1"),
)


@pytest.mark.parametrize(("label", "message"), BAD)
def test_a_label_that_could_not_be_read_back_is_refused(
    label: Any, message: str, tmp_path: Path
) -> None:
    for act in (checked, lambda labels: write_labels(tmp_path / "labels.txt", labels)):
        with pytest.raises(DataError, match=message) as caught:
            act(["dog", label])
        assert str(caught.value).encode()
        assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "labels.txt").exists()


def test_one_word_is_no_list_of_labels() -> None:
    with pytest.raises(DataError, match="not one word"):
        checked("cat")


def test_labels_of_any_language_come_back(tmp_path: Path) -> None:
    labels = (
        "ice cream",
        "猫",
        "naïve café",
        "t-shirt/top",
        '"quoted", too',
        "7",
        "o\ufeffdd",
        "a\tb",
    )
    write_labels(tmp_path / "labels.txt", labels)
    assert read_labels(tmp_path / "labels.txt") == labels
    checkpoint = Checkpoint(tmp_path, "lenet5", Preprocessing(8, 8), labels[::-1], "now", {})
    (tmp_path / "model.keras").write_bytes(b"")
    checkpoint.write()
    assert Checkpoint.load(tmp_path).labels == labels[::-1]


@pytest.mark.parametrize(
    "text",
    ["cat\ndog\n", "\ufeffcat\ndog", "cat\r\ndog\r\n", "cat\rdog\r", " cat \ndog\t\n\n \n"],
    ids=["plain", "mark", "windows", "old mac", "spaces"],
)
def test_labels_are_read_from_any_editor(text: str, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(text.encode())
    assert read_labels(tmp_path / "labels.txt") == ("cat", "dog")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"cat\n\ndog\n", "has no label in line 2"),
        (b"\ncat\n", "has no label in line 1"),
        ("cat\ndog\n".encode("utf-16"), "is not UTF-8 text"),
        ("café\n".encode("latin-1"), "is not UTF-8 text"),
        (None, "No such file"),
    ],
)
def test_a_file_without_labels_says_what_it_lacks(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_labels(tmp_path / "labels.txt")
    with pytest.raises(DataError, match="Is a directory"):
        read_labels(tmp_path)


def test_a_bundle_s_labels_are_lines_and_nothing_else(
    write_odd_bundle: Callable[[str], Path],
) -> None:
    bundle = Bundle.load(write_odd_bundle("red\u2028ish\ngreen\x85\nblue\n"))
    assert bundle.labels == ("red\u2028ish", "green", "blue"), "made by an earlier version"
    with pytest.raises(EdgeCnnError, match="no label in line 2"):
        Bundle.load(write_odd_bundle("red\n\nblue\n"))


@pytest.fixture
def write_odd_bundle(tmp_path: Path) -> Callable[[str], Path]:
    """The probe's bundle with other labels."""
    import json

    from edgecnn.bundle import describe_file
    from edgecnn.targets.engines import probe

    def write(text: str) -> Path:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        shutil.copytree(probe.bundle("colours").path, folder)
        (folder / "labels.txt").write_text(text)
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["labels"] = vars(describe_file(folder, "labels.txt"))
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return write


@pytest.mark.parametrize("name", ["ice\u2028cream", "ice\ncream", " cat", b"caf\xe9"])
def test_a_class_folder_that_cannot_be_a_label_is_refused_before_training(
    name: str | bytes, samples: Path, tmp_path: Path
) -> None:
    import os

    small = sorted((samples / "small").glob("cifar10_*"))
    for folder in (
        os.fsencode(tmp_path / "dog"),
        os.path.join(os.fsencode(tmp_path), os.fsencode(name)),
    ):
        os.makedirs(folder)
        for path in small[:8]:
            shutil.copy(os.fsencode(path), folder)
        small = small[8:]
    with pytest.raises(DataError, match=r"Label [01], '") as caught:
        open_source(tmp_path)
    assert str(caught.value).encode()
