"""Pictures from files: one, or a folder's in the order of their names."""

from collections.abc import Iterable
from pathlib import Path

from edgecnn.errors import SourceError
from edgecnn.preprocessing import Frame
from edgecnn.targets.opencv import opencv
from edgecnn.targets.sources.source import Captured

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"))


class Pictures:
    """A `FrameSource` over picture files; none is skipped."""

    live = False
    fps: float | None = None

    def __init__(self, uri: str, files: Iterable[Path]) -> None:
        self.uri = uri
        self._files = iter(list(files))
        self._index = 0

    @classmethod
    def in_folder(cls, folder: Path) -> "Pictures":
        """Every picture directly in a folder; raises `SourceError` if there is none."""
        files = sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES)
        if not files:
            raise SourceError(
                f"{folder} holds no picture ({', '.join(sorted(SUFFIXES))}); its subfolders are "
                "not searched."
            )
        return cls(str(folder), files)

    def read(self) -> Captured | None:
        """The next picture; raises `SourceError` for a file that is none."""
        file = next(self._files, None)
        if file is None:
            return None
        captured = Captured.now(read_picture(file), self._index)
        self._index += 1
        return captured

    def close(self) -> None:
        """Nothing is held."""


def read_picture(file: Path) -> Frame:
    """A picture file as uint8 BGR `(height, width, 3)`, turned as its EXIF says."""
    cv2 = opencv()
    image: Frame | None = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if image is None:
        raise SourceError(f"{file} is not a picture OpenCV can read.")
    return image
