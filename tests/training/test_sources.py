import gzip
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn.data import Split, open_source
from edgecnn.errors import DataError, UnknownName
from edgecnn.preprocessing import Preprocessing

GREY = Preprocessing(16, 16, 1)


def picture(seed: int, shape: tuple[int, ...] = (20, 24, 3)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def fill(folder: Path, classes: dict[str, int], start: int = 0) -> None:
    """`classes` maps a name to a number of pictures, each different."""
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        for index in range(count):
            cv2.imwrite(
                str(folder / name / f"{index}.png"), picture(start + index + 1000 * len(name))
            )


def digests(split: Split) -> set[bytes]:
    return set(split.digests)


def test_digits_have_always_the_same_test_pictures() -> None:
    first, again = open_source("digits"), open_source("digits")
    assert first.sha256 == again.sha256
    assert first.labels == tuple("0123456789")
    assert (len(first.train), len(first.val), len(first.test)) == (1349, 269, 179)
    assert first.test.prepared(GREY).shape == (179, 16, 16, 1)


def test_splits_share_no_picture_and_hold_every_class() -> None:
    data = open_source("digits")
    parts = [data.train, data.val, data.test]
    for i, one in enumerate(parts):
        assert set(one.targets) == set(range(10))
        for other in parts[i + 1 :]:
            assert not digests(one) & digests(other)


def test_smaller_test_split_is_part_of_a_larger_one() -> None:
    small, large = open_source("digits"), open_source("digits", split="60/20/20")
    assert digests(small.test) < digests(large.test)


def test_another_split_seed_gives_other_test_pictures() -> None:
    assert digests(open_source("digits").test) != digests(open_source("digits", split_seed=1).test)


def test_prepared_pictures_are_in_order() -> None:
    split = open_source("digits").train
    one_by_one = np.concatenate([split.take([i]).prepared(GREY) for i in (0, 300, 1348)])
    assert np.array_equal(split.prepared(GREY)[[0, 300, 1348]], one_by_one)


def test_folder_is_split_by_class(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 20, "horse": 40})
    data = open_source(tmp_path, split="50/25/25")
    assert data.labels == ("cat", "horse")
    assert np.bincount(data.train.targets).tolist() == [10, 20]
    assert np.bincount(data.val.targets).tolist() == [5, 10]
    assert np.bincount(data.test.targets).tolist() == [5, 10]
    colour = data.test.prepared(Preprocessing(20, 24, 3))
    assert np.array_equal(colour[0], data.test.frames[0][:, :, ::-1])


def test_folder_with_its_own_splits_keeps_them(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"cat": 12, "horse": 12})
    fill(tmp_path / "test", {"cat": 3, "horse": 4}, start=500)
    data = open_source(tmp_path)
    assert len(data.test) == 7
    assert len(data.train) + len(data.val) == 24
    assert data.details["own_splits"] == ["train", "test"]


def test_class_only_in_test_is_an_error(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"cat": 12, "horse": 12})
    fill(tmp_path / "test", {"zebra": 3})
    with pytest.raises(DataError, match="zebra"):
        open_source(tmp_path)


def test_files_that_are_no_pictures_are_listed_or_skipped(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 12, "horse": 12})
    (tmp_path / "cat" / "notes.txt").write_text("not a picture")
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"litter")
    (tmp_path / "horse" / "empty.png").write_bytes(b"")
    (tmp_path / "horse" / "fake.jpg").write_bytes(b"GIF89a, or so")
    with pytest.raises(DataError, match=r"3 files .*cat/notes.txt.*--skip-bad") as caught:
        open_source(tmp_path)
    assert "empty.png" in str(caught.value)
    assert "Thumbs" not in str(caught.value)

    data = open_source(tmp_path, skip_bad=True)
    assert len(data.train) + len(data.val) + len(data.test) == 24
    assert set(data.details["skipped"]) == {"notes.txt", "empty.png", "fake.jpg"}
    assert "Left out 3 files" in data.warnings[0]


def test_truncated_jpeg_is_no_whole_picture(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 12, "horse": 12})
    ok, encoded = cv2.imencode(".jpg", picture(1, (64, 64, 3)))
    assert ok
    (tmp_path / "cat" / "whole.jpg").write_bytes(encoded.tobytes())
    (tmp_path / "cat" / "cut.jpg").write_bytes(encoded.tobytes()[: len(encoded) // 2])
    with pytest.raises(DataError, match=r"1 files .*cut\.jpg"):
        open_source(tmp_path)


def test_one_class_is_an_error(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 12})
    with pytest.raises(DataError, match="one class only"):
        open_source(tmp_path)


def test_class_with_too_few_pictures_is_an_error(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 12, "horse": 2})
    with pytest.raises(DataError, match=r"'horse' has too few pictures: 2 .*at least 3"):
        open_source(tmp_path)


def test_empty_or_wholly_skipped_class_is_an_error(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 12, "horse": 12})
    (tmp_path / "zebra").mkdir()
    with pytest.raises(DataError, match="'zebra' has too few pictures: 0"):
        open_source(tmp_path)
    (tmp_path / "zebra" / "bad.png").write_bytes(b"")
    with pytest.raises(DataError, match="'zebra' has too few pictures: 0"):
        open_source(tmp_path, skip_bad=True)


def test_labels_csv(tmp_path: Path) -> None:
    fill(tmp_path / "pictures", {"a": 12, "b": 12})
    files = sorted(p.relative_to(tmp_path) for p in (tmp_path / "pictures").rglob("*.png"))
    rows = [f"{file},{'left' if file.parent.name == 'a' else 'right'}" for file in files]
    (tmp_path / "list.csv").write_text("\n".join(["file,label", *rows]))
    data = open_source(tmp_path / "list.csv")
    assert data.labels == ("left", "right")
    assert len(data.train) + len(data.val) + len(data.test) == 24
    (tmp_path / "pictures" / "a" / "3.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 files .*pictures/a/3\.png"):
        open_source(tmp_path / "list.csv")


def test_copies_of_one_picture_stand_in_one_split(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 12, "horse": 12})
    for number in range(8):
        cv2.imwrite(str(tmp_path / "cat" / f"copy{number}.png"), picture(7))
    data = open_source(tmp_path)
    holding = [s for s in (data.train, data.val, data.test) if len(s.digests) > len(digests(s))]
    assert len(holding) == 1
    assert not data.warnings or "also in" not in " ".join(data.warnings)


def test_duplicates_across_given_splits_and_classes_are_said(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"cat": 12, "horse": 30})
    fill(tmp_path / "test", {"cat": 3, "horse": 4}, start=500)
    for place in ("train/cat", "test/cat", "train/horse"):
        cv2.imwrite(str(tmp_path / place / "same.png"), picture(9))
    said = " ".join(open_source(tmp_path).warnings)
    assert "1 pictures of test are also in train" in said
    assert "The same picture stands in two classes: 1 in cat and horse" in said


def test_few_and_uneven_pictures_are_said(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 6, "horse": 60})
    few, uneven = open_source(tmp_path).warnings
    assert "Fewer than 10 training pictures: cat (4)" in few
    assert "--balance" in uneven


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(head + array.tobytes()))


def arrays(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return picture(seed, (count, 28, 28)), np.arange(count, dtype=np.uint8) % 10


def test_idx_folder(tmp_path: Path) -> None:
    for prefix, count in (("train", 60), ("t10k", 20)):
        pixels, targets = arrays(count, count)
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte.gz", pixels)
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", targets)
    data = open_source(f"fashion_mnist:{tmp_path}")
    assert data.labels[9] == "ankle boot"
    assert (len(data.train), len(data.val), len(data.test)) == (50, 10, 20)
    assert np.array_equal(data.test.frames[3], arrays(20, 20)[0][3])


def test_idx_file_cut_short_is_an_error(tmp_path: Path) -> None:
    pixels, targets = arrays(30)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", targets)
    whole = bytes([0, 0, 8, 3]) + np.array(pixels.shape, ">u4").tobytes() + pixels.tobytes()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(whole[:-1])
    with pytest.raises(DataError, match="cut short"):
        open_source(f"mnist:{tmp_path}")


def test_npz_file(tmp_path: Path) -> None:
    (x, y), (x_test, y_test) = arrays(60), arrays(20, 1)
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    data = open_source(f"mnist:{tmp_path / 'mnist.npz'}")
    assert (len(data.train), len(data.val), len(data.test)) == (50, 10, 20)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((30, 28, 28), np.float32), np.zeros(30, np.uint8), "not uint8"),
        (np.zeros((30, 28), np.uint8), np.zeros(30, np.uint8), "not uint8"),
        (np.zeros((30, 28, 28), np.uint8), np.zeros(29, np.uint8), "30 pictures"),
        (np.zeros((30, 28, 28), np.uint8), np.full(30, 10, np.uint8), "classes 10 to 10"),
        (np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8), "no pictures"),
    ],
)
def test_arrays_that_are_no_pictures(
    tmp_path: Path, x: NDArray[np.generic], y: NDArray[np.uint8], message: str
) -> None:
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y)
    with pytest.raises(DataError, match=message):
        open_source(f"mnist:{tmp_path / 'a.npz'}")


def cifar_batch(count: int, seed: int) -> dict[bytes, Any]:
    rows = picture(seed, (count, 3072))
    return {b"data": rows, b"labels": [i % 10 for i in range(count)], b"batch_label": b"x"}


def test_cifar_folder(tmp_path: Path) -> None:
    for name, seed in (("data_batch_1", 1), ("data_batch_2", 2), ("test_batch", 3)):
        (tmp_path / name).write_bytes(pickle.dumps(cifar_batch(40, seed), protocol=2))
    data = open_source(f"cifar10:{tmp_path}")
    assert len(data.train) + len(data.val) == 80
    red, green, blue = cifar_batch(40, 3)[b"data"][5].reshape(3, 32, 32)
    assert np.array_equal(data.test.frames[5], np.dstack([blue, green, red]))


class Malice:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_cifar_pickle_cannot_run_code(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    stream = io.BytesIO()
    pickle.Pickler(stream, protocol=2).dump({b"data": Malice(mark), b"labels": []})
    (tmp_path / "data_batch_1").write_bytes(stream.getvalue())
    with pytest.raises(DataError, match="not a CIFAR-10 batch: it asks for"):
        open_source(f"cifar10:{tmp_path}")
    assert not mark.exists()


@pytest.mark.parametrize("split", ["80/20", "a/b/c", "0/50/50", "80/-1/21", "80/0/20", ""])
def test_bad_split(split: str) -> None:
    with pytest.raises(DataError, match="75/15/10"):
        open_source("digits", split=split)


def test_unknown_source_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'digits'"):
        open_source("digitts")
    with pytest.raises(DataError, match="does not exist"):
        open_source(tmp_path / "nowhere")
    with pytest.raises(DataError, match="after the colon"):
        open_source("mnist:")


def test_opening_pictures_imports_no_tensorflow() -> None:
    code = (
        "import sys; from edgecnn.data import open_source; open_source('digits'); "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
