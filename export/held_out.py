"""What every artifact is held to: pictures that calibration did not see, and Keras's answers."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import DataError
from edgecnn.export.accuracy import Accuracy, Probabilities, Truths
from edgecnn.export.progress import ExportProgress
from edgecnn.export.request import Request
from edgecnn.export.verify import check_lowering, check_preprocessing, reference
from edgecnn.pictures import prepare, truths


@dataclass(frozen=True)
class HeldOut:
    """Held-out pictures of a request, and what is known of them."""

    images: NDArray[np.uint8]
    """(count, height, width, channels)"""
    expected: Probabilities
    """What Keras says."""
    truths: Truths | None
    """What they show, where their labels say it in the network's words."""

    @classmethod
    def of(cls, request: Request, progress: ExportProgress) -> Self:
        """Ask Keras, and hold the folded graph and the preprocessing to it.

        Raises `ExportError` where either is wrong.
        """
        images = prepare(request.pictures.held_out, request.network.preprocessing)
        expected = reference(request.network, images, request.added)
        check_lowering(request.graph, expected, images)
        known = _truths(request, progress)
        if known is not None:
            _check_preprocessing(request, expected, known)
        return cls(images, expected, known)


def _truths(request: Request, progress: ExportProgress) -> Truths | None:
    pictures = request.pictures.held_out
    if any(picture.label is None for picture in pictures):
        return None
    try:
        return truths(pictures, request.labels, request.head)
    except DataError as error:
        progress.note(f"Verified by agreement alone: {error}")
        return None


def _check_preprocessing(request: Request, expected: Probabilities, known: Truths) -> None:
    checkpoint = request.network.checkpoint
    if checkpoint is None or "test" not in checkpoint.details:
        return
    own = checkpoint.calibration
    if not all(picture.path.is_relative_to(own) for picture in request.pictures.held_out):
        return  # pictures of another kind may well be harder
    trained = float(checkpoint.details["test"]["top1"])
    top1 = Accuracy.of(expected, known, head=request.head).top1
    check_preprocessing(top1, len(known), trained)
