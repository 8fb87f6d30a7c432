"""Many pictures are prepared on all cores, and never all held at once."""

import numpy as np
import pytest

from edgecnn.errors import DataError
from edgecnn.parallel import cores
from edgecnn.preparation import CHUNK, all_prepared, prepared_chunks
from edgecnn.preprocessing import Frame, FramePreparer, Preprocessing
from edgecnn.targets.engines import probe, runtimes
from edgecnn.targets.engines.sessions import MOST, Sessions

SMALL = Preprocessing(8, 8)
RNG = np.random.default_rng(0)
FRAMES = [RNG.integers(0, 256, (12, 10 + i % 3, 3), np.uint8) for i in range(100)]


def test_each_is_what_a_camera_s_frame_becomes() -> None:
    one_by_one = [FramePreparer(SMALL)(frame)[0].copy() for frame in FRAMES]
    np.testing.assert_array_equal(
        np.concatenate([*prepared_chunks(FRAMES.__getitem__, 100, SMALL, size=7)]), one_by_one
    )
    np.testing.assert_array_equal(all_prepared(FRAMES.__getitem__, 100, SMALL), one_by_one)
    assert all_prepared(FRAMES.__getitem__, 0, SMALL).shape == (0, 8, 8, 3)


@pytest.mark.parametrize(("down", "across"), [(2, 2), (3, 3), (4, 4), (6, 6), (4, 2), (8, 8)])
def test_blocks_are_averaged_to_within_a_level_or_so(down: int, across: int) -> None:
    frame = RNG.integers(0, 256, (8 * down, 8 * across, 3), np.uint8)
    mean = frame.reshape(8, down, 8, across, 3).mean(axis=(1, 3))[..., ::-1]
    prepared = FramePreparer(Preprocessing(8, 8, resize="stretch"))(frame)[0]
    rounded = prepared - mean
    assert np.abs(rounded).max() < 1.5
    assert -0.1 < rounded.mean() < 0.5


def test_few_are_read_ahead() -> None:
    read: list[int] = []

    def frame(index: int) -> Frame:
        read.append(index)
        return FRAMES[0]

    chunks = prepared_chunks(frame, 1_000_000, SMALL)
    for _ in range(3):
        next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    assert len(read) <= (3 + 2 * cores()) * CHUNK


def test_what_is_no_picture_is_said_in_its_turn() -> None:
    def frame(index: int) -> Frame:
        if index == 50:
            raise DataError("number 50 is no picture")
        return FRAMES[index]

    chunks = prepared_chunks(frame, 100, SMALL, size=10)
    for _ in range(5):
        next(chunks)
    with pytest.raises(DataError, match="number 50"):
        next(chunks)


@pytest.mark.parametrize("name", runtimes.RUNTIMES)
@pytest.mark.parametrize("threads", [1, 3, 9])
def test_several_sessions_answer_in_order(name: str, threads: int) -> None:
    bundle, runtime = probe.bundle("colours"), runtimes.get(name)
    sessions = Sessions.open(runtime, bundle.model_file(runtime.format), threads)
    assert len(sessions.opened) == min(threads, MOST)
    images = RNG.integers(0, 256, (40, *sessions.first.input_shape[1:]), np.uint8)
    one_by_one = [sessions.first.infer(image[None]).copy() for image in images]
    np.testing.assert_array_equal([*sessions.answers(images)], one_by_one)
