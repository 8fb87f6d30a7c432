import os
import threading
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecnn.errors import SourceError
from edgecnn.targets.live.sources.jpegs import MAX_BYTES, JpegStream, decode
from edgecnn.targets.live.sources.pipe import Pipe


def jpeg(grey: int, side: int = 48) -> bytes:
    noise = np.random.default_rng(grey).integers(0, 60, (side, side, 3), np.uint8)
    return bytes(cv2.imencode(".jpg", noise + np.uint8(grey))[1].tobytes())


def with_thumbnail(picture: bytes) -> bytes:
    """A JPEG inside an APP1 segment, as cameras write it."""
    inner = jpeg(1, 16)
    segment = b"\xff\xe1" + (len(inner) + 2).to_bytes(2, "big") + inner
    return picture[:2] + segment + picture[2:]


PICTURES = [with_thumbnail(jpeg(40)), jpeg(90, 64), jpeg(150)]


def in_pieces(data: bytes, sizes: list[int]) -> Callable[[int], bytes]:
    """Reads `data` in pieces of the given sizes, again and again."""
    position, turn = 0, 0

    def read(count: int) -> bytes:
        nonlocal position, turn
        size = min(count, sizes[turn % len(sizes)])
        turn += 1
        position += size
        return data[position - size : position]

    return read


def everything(read: Callable[[int], bytes]) -> list[bytes]:
    stream = JpegStream("test", read)
    found = []
    while (picture := stream.next()) is not None:
        found.append(picture)
    return found


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4000), min_size=1, max_size=5),
    between=st.sampled_from(
        [b"", b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n", b"\xff\0\xff"]
    ),
)
def test_pictures_are_found_however_the_bytes_arrive(sizes: list[int], between: bytes) -> None:
    data = between.join([b"", *PICTURES, b""])
    assert everything(in_pieces(data, sizes)) == PICTURES


@settings(deadline=None)
@given(cut=st.integers(2, len(PICTURES[1]) - 1), sizes=st.lists(st.integers(1, 4000), min_size=1))
def test_a_picture_cut_off_anywhere_costs_no_other_and_is_never_shown(
    cut: int, sizes: list[int]
) -> None:
    boundary = b"\r\n--frame\r\n\r\n"
    data = boundary.join([PICTURES[0], PICTURES[1][:cut], PICTURES[0], PICTURES[2]])
    whole = [p for p in everything(in_pieces(data, sizes)) if p]
    assert whole == [PICTURES[0], PICTURES[0], PICTURES[2]]


@given(st.binary(max_size=3000))
def test_any_bytes_end(data: bytes) -> None:
    everything(in_pieces(data, [700]))


def test_what_is_not_jpeg_is_refused() -> None:
    with pytest.raises(SourceError, match="not JPEG"):
        everything(lambda count: bytes(count))
    endless = in_pieces(jpeg(3)[:-2] + bytes(MAX_BYTES + 2**20), [1 << 16])
    with pytest.raises(SourceError, match="over 64 MB"):
        everything(endless)


def test_damage_is_no_picture() -> None:
    assert decode(b"") is None
    assert decode(b"\xff\xd8\xff\xd9") is None
    image = decode(PICTURES[1])
    assert image is not None
    assert image.shape == (64, 64, 3)


def test_a_pipe_gives_every_picture_and_skips_the_damaged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    out, into = os.pipe()
    with os.fdopen(into, "wb") as writer:
        writer.write(PICTURES[0] + PICTURES[1][:300] + PICTURES[2])
    source = Pipe(descriptor=out)
    first, second = source.read(), source.read()
    assert first is not None
    assert second is not None
    assert (first.index, second.index) == (0, 2)
    assert second.image.mean() > first.image.mean() + 50
    assert source.read() is None
    assert "picture 1 is cut off" in caplog.text
    os.close(out)


def test_an_empty_pipe_is_an_error() -> None:
    out, into = os.pipe()
    os.close(into)
    with pytest.raises(SourceError, match="held no JPEG"):
        Pipe(descriptor=out).read()
    os.close(out)


def test_stop_ends_a_wait_for_a_silent_pipe() -> None:
    out, into = os.pipe()
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    assert Pipe(stop, descriptor=out).read() is None
    os.close(into)
    os.close(out)
