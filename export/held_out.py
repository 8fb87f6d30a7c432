"""What every artifact is held to: pictures that calibration did not see, and Keras's answers."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from edgecnn.errors import DataError, ExportError
from edgecnn.export.accuracy import Accuracy, Probabilities, Truths
from edgecnn.export.progress import ExportProgress
from edgecnn.export.request import FEW, Request
from edgecnn.export.verify import (
    LOWERING_TOLERANCE,
    check_lowering,
    check_preprocessing,
    reference,
)
from edgecnn.file_array import Images
from edgecnn.pictures import prepare_in_file, truths


@dataclass(frozen=True)
class HeldOut:
    """Held-out pictures of a request, and what is known of them."""

    images: Images
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
        images = prepare_in_file(request.pictures.held_out, request.network.preprocessing)
        expected = reference(request.network, images, request.added)
        try:
            check_lowering(request.graph, expected, images)
        except ExportError:
            _refuse_company(request, images, expected)
            raise
        known = _truths(request, progress)
        if known is not None:
            _check_preprocessing(request, expected, known)
        return cls(images, expected, known)


def _refuse_company(request: Request, images: Images, expected: Probabilities) -> None:
    """Raise `ExportError` where Keras itself answers otherwise for a picture that is alone."""
    for image, among in zip(images[:FEW], expected, strict=False):
        (alone,) = reference(request.network, image[None], request.added)
        if not np.abs(alone - among).max() <= LOWERING_TOLERANCE:
            raise ExportError(
                f"{request.network.architecture} in Keras gives {alone[:3].tolist()} for a picture "
                f"alone and {among[:3].tolist()} for the same among others: it computes across the "
                "batch (over axis 0, or over all axes), or draws at random. Name the axes of one "
                "picture, axis=(1, 2, 3), and draw in training only."
            )


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
