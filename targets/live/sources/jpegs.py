"""JPEGs that follow one another in a stream of bytes: MJPEG over HTTP, or a pipe.

What stands between two pictures (HTTP's multipart headers) is skipped, so every dialect of them
will do. A picture is whole when its end marker comes before the next picture's start marker:
decoders fill up half a picture with grey without a word, and a network would classify the grey.
"""

import re
from collections.abc import Callable

import numpy as np

from edgecnn.errors import SourceError
from edgecnn.opencv import opencv
from edgecnn.preprocessing import Frame

START = b"\xff\xd8"
# Within a picture's data 0xFF is followed by 0 or a restart marker, so these two are markers.
START_OR_END = re.compile(rb"\xff[\xd8\xd9]")
SCAN = 0xDA
APPLICATION = range(0xE0, 0xF0)  # the segments a thumbnail can be in
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers behind which a picture's size stands."""
MAX_BYTES = 64 << 20
MAX_PIXELS = 1 << 26
"""A peer that says more would take a board's memory with a few bytes."""


class JpegStream:
    """Cuts pictures out of what `read(count)` gives: up to `count` bytes, none at the end."""

    def __init__(self, name: str, read: Callable[[int], bytes]) -> None:
        self._name = name
        self._read = read
        self._bytes = bytearray()
        self._ended = False

    def next(self) -> bytes | None:
        """The next picture's bytes, empty for one that was cut off; None at the end.

        Raises `SourceError` if what comes is not JPEG.
        """
        if not self._skip_to_start():
            return None
        whole, scan = self._skip_segments()
        if not whole:
            return self._cut_off(scan)
        position = scan
        while not (found := START_OR_END.search(self._bytes, position)):
            position = max(scan, len(self._bytes) - 1)
            if not self._more():
                return self._cut_off(len(self._bytes))
        if self._bytes[found.start() : found.end()] == START:
            return self._cut_off(found.start())
        picture = bytes(self._bytes[: found.end()])
        del self._bytes[: found.end()]
        return picture

    def _skip_to_start(self) -> bool:
        skipped = 0
        while (at := self._bytes.find(START)) < 0:
            skipped += max(0, len(self._bytes) - 1)
            if skipped > MAX_BYTES:
                raise SourceError(f"{self._name} sends something that is not JPEG.")
            del self._bytes[:-1]
            if not self._more():
                return False
        del self._bytes[:at]
        return True

    def _skip_segments(self) -> tuple[bool, int]:
        """Whether the segments before the picture's data are whole, and where that begins.

        If not, where the broken one begins. Segments are skipped by their length: a thumbnail
        in one has markers of its own.
        """
        begin, end = 2, 2
        while True:
            while len(self._bytes) < end + 4:
                if not self._more():
                    return False, len(self._bytes)
            if self._bytes[end : end + 2] == START:
                # Cut off so that the next picture begins just where a segment should.
                return False, end
            if self._bytes[end] != 0xFF:
                return False, begin
            begin, kind = end, self._bytes[end + 1]
            end += 2 + int.from_bytes(self._bytes[end + 2 : end + 4], "big")
            while len(self._bytes) <= end:
                if not self._more():
                    return False, len(self._bytes)
            if kind not in APPLICATION and self._bytes.find(START + b"\xff", begin, end + 1) >= 0:
                return False, begin
            if kind == SCAN:
                return True, end

    def _cut_off(self, length: int) -> bytes:
        del self._bytes[:length]
        return b""

    def _more(self) -> bool:
        if len(self._bytes) > MAX_BYTES:
            raise SourceError(f"{self._name} sends a picture of over {MAX_BYTES >> 20} MB.")
        data = b"" if self._ended else self._read(1 << 16)
        self._ended = not data
        self._bytes += data
        return not self._ended


def decode(picture: bytes) -> Frame | None:
    """A JPEG's pixels, BGR uint8 `(height, width, 3)`, or None if it cannot be decoded.

    One of more than `MAX_PIXELS` is not tried.
    """
    if not picture:
        return None
    cv2 = opencv()
    if _pixels(picture) > MAX_PIXELS:
        return None
    image: Frame | None = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    return image


def _pixels(picture: bytes) -> int:
    """Of a JPEG, from its frame header; 0 where it has none."""
    at = 2
    while at + 9 <= len(picture) and picture[at] == 0xFF and picture[at + 1] != SCAN:
        if picture[at + 1] in FRAMES:
            height, width = picture[at + 5 : at + 7], picture[at + 7 : at + 9]
            return int.from_bytes(height, "big") * int.from_bytes(width, "big")
        at += 2 + int.from_bytes(picture[at + 2 : at + 4], "big")
    return 0
