"""What counts as a picture in folders as people, phones and file managers leave them."""

import logging
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn import pictures
from edgecnn.calibration import calibrate
from edgecnn.calibration.calibration_set import CalibrationSet
from edgecnn.data import open_source
from edgecnn.errors import DataError, EdgeCnnError
from edgecnn.picture_files import SUFFIXES, is_picture
from edgecnn.targets.live.sources import open_frames

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
LITTER = (
    *(".ipynb_checkpoints", "__MACOSX", ".git", ".thumbnails", "@eaDir", ".AppleDouble"),
    *("cat/.ipynb_checkpoints", "cat/@eaDir", "$RECYCLE.BIN", "cat/deep/__MACOSX"),
)


@pytest.fixture
def classes(samples: Path, tmp_path: Path) -> Path:
    """Twelve real pictures each of two classes."""
    folder = tmp_path / "my pictures (2)"
    for name, kind in (("cat", "cifar10_"), ("dog", "mnist_")):
        (folder / name).mkdir(parents=True)
        for path in sorted((samples / "small").glob(f"{kind}*"))[:12]:
            shutil.copy(path, folder / name)
    return folder


def read(source: str) -> int:
    stream, count = open_frames(source), 0
    while stream.read() is not None:
        count += 1
    stream.close()
    return count


def test_litter_is_no_class_and_no_picture(classes: Path, tmp_path: Path) -> None:
    photograph = next(classes.glob("cat/*"))
    for name in LITTER:
        (classes / name).mkdir(parents=True)
        shutil.copy(photograph, classes / name / "copy.png")
    (classes / "cat" / f"._{photograph.name}").write_bytes(b"\0\x05\x16\x07" + bytes(100))
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini"):
        (classes / "dog" / name).write_bytes(b"litter")

    data = open_source(classes)
    assert data.labels == ("cat", "dog")
    assert len(data.train) + len(data.val) + len(data.test) == 24
    assert {p.label for p in pictures.labelled_pictures(classes)} == {"cat", "dog"}
    assert len(CalibrationSet.load(classes).pictures) == 20
    made = calibrate(classes, tmp_path / "set", count=100)
    assert len(made.pictures) + len(made.held_out) == 24
    assert read(str(classes)) == 24
    assert read(f"{classes}/**/*.png") == read(f"{classes}/*/*.png") == 24
    assert read(f"{classes}/.git/*.png") == 1, "what is named is wanted"


def test_a_folder_inside_a_hidden_one_is_read(classes: Path, tmp_path: Path) -> None:
    hidden = Path(shutil.copytree(classes, tmp_path / ".cache" / "@eaDir"))
    assert len(pictures.list_pictures(hidden)) == 24
    assert open_source(hidden).labels == ("cat", "dog")


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_suffix_is_read_as_the_picture_it_is(
    suffix: str, samples: Path, tmp_path: Path
) -> None:
    if not is_picture(Path(f"a{suffix}")):
        pytest.skip(f"this OpenCV was built without {suffix}")
    photograph = cv2.imread(str(next((samples / "photographs").glob("*.jpg"))))
    assert photograph is not None
    if suffix == ".pgm":
        photograph = cv2.cvtColor(photograph, cv2.COLOR_BGR2GRAY)
    assert cv2.imwrite(str(tmp_path / f"a{suffix.upper()}"), photograph)
    (found,) = pictures.list_pictures(tmp_path)
    read = pictures.read_picture(found)
    wanted = photograph if photograph.ndim == 3 else cv2.cvtColor(photograph, cv2.COLOR_GRAY2BGR)
    assert np.abs(read.astype(int) - wanted).mean() < 20


def test_of_an_animation_the_first_frame_counts_in_a_folder(tmp_path: Path) -> None:
    film = cv2.Animation()
    colours = ((0, 0, 255), (0, 255, 0), (255, 0, 0))
    film.frames = [np.full((32, 48, 3), colour, np.uint8) for colour in colours]
    film.durations = [100] * 3
    (tmp_path / "films").mkdir()
    assert cv2.imwriteanimation(str(tmp_path / "films" / "film.gif"), film)
    (found,) = pictures.list_pictures(tmp_path / "films")
    assert np.abs(pictures.read_picture(found)[5, 5].astype(int) - colours[0]).max() < 9
    assert read(str(tmp_path / "films")) == 1
    assert read(str(found)) == 3, "named alone it is a film"


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "IMG_1.heif", "IMG_1.jpg"])
def test_a_phone_s_pictures_are_named_with_the_way_out(
    name: str, classes: Path, tmp_path: Path
) -> None:
    (only := tmp_path / "phone" / "cat").mkdir(parents=True)
    (only / name).write_bytes(HEIC)
    shutil.copy(only / name, classes / "dog")
    named = r"IMG_1\.jpg.*JPEG" if name.endswith("jpg") else r"HEI[CF].*convert them to JPEG"
    refused = (
        lambda: open_source(only.parent),
        lambda: open_source(classes),
        lambda: read(str(only)),
        lambda: read(str(only / name)),
        lambda: calibrate(only, tmp_path / "set"),
        lambda: pictures.labelled_pictures(only.parent)[0].read(),
    )
    for act in refused:
        with pytest.raises(EdgeCnnError, match=named):
            act()
    assert len(open_source(classes, skip_bad=True).train.targets) >= 16


def test_pictures_of_a_phone_among_others_are_counted(
    classes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        (classes / "cat" / f"IMG_{number}.HEIC").write_bytes(HEIC)
    for act in (
        lambda: calibrate(classes, tmp_path / "set"),
        lambda: read(str(classes)),
        lambda: read(f"{classes}/*/*"),
        lambda: pictures.labelled_pictures(classes),
    ):
        caplog.clear()
        act()
        (said,) = (r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
        assert "left out: 5 HEIC pictures" in said
        assert "IMG_0.HEIC" in said
        assert "convert them to JPEG" in said


def test_an_opencv_that_reads_no_gif_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Debian's and Raspberry Pi OS's: its build knows nothing of GIF, and decodes none."""
    assert cv2.imwrite(str(tmp_path / "a.gif"), np.zeros((20, 30, 3), np.uint8))
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  JPEG:  YES")
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    with pytest.raises(DataError, match="1 GIF picture, which OpenCV does not read here"):
        pictures.list_pictures(tmp_path)
    with pytest.raises(DataError, match="is GIF, which OpenCV does not read here"):
        pictures.read_picture(tmp_path / "a.gif")


def test_a_picture_that_vanishes_is_one_clear_line(classes: Path) -> None:
    (gone := classes / "cat" / "gone.png").symlink_to(classes / "nowhere.png")
    assert gone not in pictures.list_pictures(classes)
    os.unlink(gone)
    with pytest.raises(DataError, match="No such file"):
        pictures.read_picture(gone)
