"""Pictures from files: one, or a folder's in the order of their paths."""

from collections.abc import Iterable
from pathlib import Path

from edgecnn.errors import DataError, SourceError
from edgecnn.pictures import read_picture
from edgecnn.targets.captured import Captured


class Pictures:
    """A `FrameSource` over picture files; none is skipped."""

    live = False
    fps: float | None = None

    def __init__(self, uri: str, files: Iterable[Path]) -> None:
        self.uri = uri
        self._files = iter(list(files))
        self._index = 0

    def read(self) -> Captured | None:
        """The next picture; raises `SourceError` for a file that is none."""
        file = next(self._files, None)
        if file is None:
            return None
        try:
            picture = read_picture(file)
        except DataError as error:
            raise SourceError(str(error)) from None
        captured = Captured.now(picture, self._index)
        self._index += 1
        return captured

    def close(self) -> None:
        """Nothing is held."""
