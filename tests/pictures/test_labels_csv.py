"""Lists of labels as people and spreadsheets write them."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn import labels_csv
from edgecnn.data import open_source
from edgecnn.data.dataset import FileFrames
from edgecnn.errors import DataError
from edgecnn.pictures import labelled_pictures

HARMLESS = {
    "plain": "file,label\na.png,cat\nb.png,ice cream\n",
    "byte order mark": "\ufefffile,label\na.png,cat\nb.png,ice cream\n",
    "semicolons": "file;label\na.png;cat\nb.png;ice cream\n",
    "mark and semicolons": "\ufefffile;label\r\na.png;cat\r\nb.png;ice cream\r\n",
    "tabs": "file\tlabel\na.png\tcat\nb.png\tice cream\n",
    "spaces": "file, label\n a.png , cat \nb.png, ice cream\n",
    "quotes after spaces": 'file, label\na.png, "cat"\n"b.png", "ice cream"\n',
    "capitals": "File,LABEL\na.png,cat\nb.png,ice cream\n",
    "other columns": "id,label,file\n1,cat,a.png\n2,ice cream,b.png\n",
    "blank lines": "file,label\n\na.png,cat\n,\nb.png,ice cream\n\n",
    "a row twice": "file,label\na.png,cat\nb.png,ice cream\na.png,cat\n",
    "no end of line": "file,label\na.png,cat\nb.png,ice cream",
    "backslashes": "file,label\n.\\a.png,cat\nb.png,ice cream\n",
}
WRONG = {
    "file,label\na.png,cat\nb.png\n": "line 3: the column 'label' is empty",
    "file,label\na.png,cat\nb.png,\n": "line 3: the column 'label' is empty",
    "file,label\n,cat\n": "line 2: the column 'file' is empty",
    "file,label\na.png,cat\nb.png,dog\na.png,dog\n": "line 4: a.png is 'dog' .* in line 2",
    "file,label\na.png,cat\n./a.png,dog\n": "line 3: ./a.png is 'dog' here and 'cat' in line 2",
    "name,class\na.png,cat\n": "needs the columns file,label .*'name,class'",
    "a.png,cat\nb.png,dog\n": "needs the columns file,label",
    "": "needs the columns file,label",
    "file,label\n": "lists no pictures",
    "file,label\na.png,cat\nc.png,dog\n": "1 missing files, the first .*c.png",
    "file,label\na.png,caf\xe9\n": "not UTF-8",
}


@pytest.fixture
def folder(samples: Path, tmp_path: Path) -> Path:
    for name, path in zip("ab", sorted((samples / "small").glob("cifar10_*")), strict=False):
        shutil.copy(path, tmp_path / f"{name}.png")
    return tmp_path


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
def test_what_is_harmless_is_read(text: str, folder: Path) -> None:
    (folder / "labels.csv").write_bytes(text.encode())
    for source in (folder, folder / "labels.csv"):
        found = [(p.path.name, p.label) for p in labelled_pictures(source)]
        assert found == [("a.png", "cat"), ("b.png", "ice cream")]


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_what_is_wrong_is_said_with_its_line(text: str, message: str, folder: Path) -> None:
    (folder / "labels.csv").write_bytes(text.encode("latin-1"))
    for read in (labelled_pictures, open_source):
        with pytest.raises(DataError, match=message) as caught:
            read(folder)
        assert len(str(caught.value).splitlines()) == 1


def test_a_picture_given_for_a_list_is_one_clear_line(folder: Path) -> None:
    with pytest.raises(DataError, match=r"not UTF-8|no CSV"):
        labelled_pictures(folder / "a.png")


def test_what_is_written_is_read(folder: Path) -> None:
    labels_csv.write(folder, [("a.png", 'one, "two"; three'), ("b.png", "dog")])
    assert [p.label for p in labelled_pictures(folder)] == ['one, "two"; three', "dog"]


def test_a_picture_may_have_no_label_where_that_says_something(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).touch()
    (tmp_path / "labels.csv").write_text("file,label\na.png,car|person\nb.png,\nc.png\n")
    found = labels_csv.read(tmp_path / "labels.csv", empty_labels=True)
    assert [one.label for one in found.values()] == ["car|person", "", ""]
    with pytest.raises(DataError, match="line 3: the column 'label' is empty"):
        labels_csv.read(tmp_path / "labels.csv")


def test_what_nobody_can_train_on_is_left_out(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(folder / "a.png", folder / "c.png")
    lines = ("a.png,cat,ann", "b.png,none of mine,ann", "c.png,cat,ann", "a.png,cat,ben")
    (folder / "labels.csv").write_text("file,label,by\n" + "\n".join(lines))
    assert [(p.path.name, p.label) for p in labelled_pictures(folder)] == [
        ("a.png", "cat"),
        ("c.png", "cat"),
    ]
    assert not caplog.text
    (folder / "labels.csv").write_text("file,label,by\na.png,cat,ann\nb.png,x,ann\nb.png,y,ben\n")
    assert [p.path.name for p in labelled_pictures(folder)] == ["a.png"]
    assert "1 pictures on which people disagree" in caplog.text
    (folder / "labels.csv").write_text("file,label\na.png,none of mine\n")
    with pytest.raises(DataError, match="lists no pictures with a class"):
        labelled_pictures(folder)


def test_pictures_of_one_moment_stay_in_one_split(tmp_path: Path) -> None:
    lines = []
    for number in range(120):
        pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 3), np.uint8)
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), pixels)
        # Two boards that count their moments alike.
        lines.append(f"{number}.png,{'ab'[number % 2]},{'xy'[number // 2 % 2]},{number // 4}")
    (tmp_path / "labels.csv").write_text("file,label,board,moment\n" + "\n".join(lines))
    data = open_source(tmp_path)
    seen: dict[str, set[str]] = {}
    for name, split in (("train", data.train), ("val", data.val), ("test", data.test)):
        assert len(split) >= 8
        assert isinstance(split.frames, FileFrames)
        for picture in split.frames.pictures:
            seen.setdefault(str(picture.moment), set()).add(name)
    assert len(seen) == 60
    assert all(len(splits) == 1 for splits in seen.values())
