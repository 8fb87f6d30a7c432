"""The real library on a data set it generates here: nothing is downloaded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgecnn.data import open_source
from edgecnn.errors import DataError

tfds: Any = pytest.importorskip("tensorflow_datasets")


@pytest.fixture
def tiny_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class TinyPictures(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> Any:
            features = {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "label": tfds.features.ClassLabel(names=["dark", "light"]),
            }
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager: object) -> dict[str, Any]:
            return {"train": self._generate_examples()}

        def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
            rng = np.random.default_rng(0)
            for number in range(40):
                low = 0 if number % 2 == 0 else 128
                image = rng.integers(low, low + 100, (12 + number, 20, 3), np.uint8)
                yield number, {"image": image, "label": number % 2}

    monkeypatch.setattr(tfds, "builder", lambda _: TinyPictures(data_dir=str(tmp_path / "tfds")))


def test_pictures_keep_their_size_and_class(tiny_pictures: None, tmp_path: Path) -> None:
    dataset = open_source("tfds:tiny_pictures")

    assert dataset.labels == ("dark", "light")
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (30, 6, 4)
    splits = (dataset.train, dataset.val, dataset.test)
    heights = [len(split.frames[i]) for split in splits for i in range(len(split))]
    assert sorted(heights) == list(range(12, 52))
    for index, target in enumerate(dataset.test.targets):
        frame = dataset.test.frames[index]
        assert (frame.mean() > 110) == target
        file = dataset.test.frames.as_picture(index, "x", tmp_path).path
        written = cv2.imread(str(file))
        assert written is not None
        assert np.array_equal(written, frame)


def test_unknown_data_set_is_an_error() -> None:
    with pytest.raises(DataError, match="nonsuch"):
        open_source("tfds:nonsuch")
