"""Lists of labels as people and spreadsheets write them."""

import shutil
from pathlib import Path

import pytest

from edgecnn import labels_csv
from edgecnn.data import open_source
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
    assert list(found.values()) == ["car|person", "", ""]
    with pytest.raises(DataError, match="line 3: the column 'label' is empty"):
        labels_csv.read(tmp_path / "labels.csv")
