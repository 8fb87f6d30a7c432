"""What a bundle looks like: its pictures, its mistakes, its layers, as one HTML page."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.album import FLOAT, Album, Case, Image, small
from edgecnn.bundle import MANIFEST, Bundle
from edgecnn.confusion import Confusion
from edgecnn.errors import UNREADABLE, BundleError
from edgecnn.export.album import cases, in_words, places_of_worst
from edgecnn.golden import Golden
from edgecnn.graph import Array
from edgecnn.opencv import opencv
from edgecnn.pictures import read_picture
from edgecnn.preprocessing import FramePreparer
from edgecnn.quiet import import_keras
from edgecnn.reliability import Reliability
from edgecnn.targets.engines import runtimes
from edgecnn.targets.profiling import report

if TYPE_CHECKING:
    from edgecnn.export.feature_maps import FeatureMaps

CHANNELS, ACROSS = 64, 8
"""Maps of a layer that are shown, and how many of them beside each other."""
LEAST = 48
"""Pixels of a map, so that one of 7×7 can be seen."""


@dataclass
class Show:
    """What there is to see of a bundle."""

    bundle: Bundle
    album: Album | None
    judged: str
    """Which pictures the worst are of, and how many were answered otherwise."""
    worst: tuple[Case, ...]
    confusions: dict[str, Confusion]
    """By format; none where nobody said what pictures show, or any number of labels may hold."""
    confused_of: str
    maps: list["FeatureMaps"] = field(default_factory=list)
    picture: tuple[str, Image] | None = None
    """The name and the input (1, H, W, C) that the maps are of."""
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        bundle_dir: Path | str,
        data: Path | str | None = None,
        *,
        reference: bool | Path | str = True,
        layers: Sequence[str] = (),
        picture: Path | str | None = None,
    ) -> "Show":
        """Look at a bundle, by what it holds itself or by labelled pictures.

        `data` is what `edgecnn.evaluate` takes, and so is `reference`. With `picture` also the
        feature maps of `layers`, or of a few.
        """
        report.check_installed()
        bundle = Bundle.load(bundle_dir)
        found = _held_out(bundle) if data is None else _judged(bundle, str(data), reference)
        if picture is not None:
            from edgecnn.export.feature_maps import feature_maps

            image = FramePreparer(bundle.preprocessing)(read_picture(Path(picture)))
            found.picture = Path(picture).name, image
            found.maps = feature_maps(bundle, image, layers, found.notes, reference)
        return found

    def taken(self) -> list[tuple[str, Confusion]]:
        """What is taken for what, by the names of the formats that agree on it."""
        found: list[tuple[list[str], Confusion]] = []
        for format, confusion in self.confusions.items():
            for formats, known in found:
                if np.array_equal(known.counts, confusion.counts):
                    formats.append(format)
                    break
            else:
                found.append(([format], confusion))
        return [(", ".join(formats), confusion) for formats, confusion in found]

    def page(self) -> str:
        """The page, which holds all its pictures.

        Raises `BundleError` for a manifest that says too little.
        """
        calibration = self.album.calibration if self.album else ()
        picture = self.picture and {
            "name": self.picture[0],
            "image": _address(_colours(self.picture[1])),
        }
        try:
            return report.render_bundle(
                self.bundle.manifest,
                name=self.bundle.name,
                notes=self.notes,
                judged=self.judged,
                cases=[_shown(case) for case in self.worst],
                confusions=self.taken(),
                confused_of=self.confused_of,
                calibration=[_address(image) for image in calibration],
                golden=[_shown(case) for case in _golden(self.bundle)],
                maps=[_sheets(one) for one in self.maps],
                picture=picture,
            )
        except (*UNREADABLE, report.MissingValue) as error:
            raise BundleError(
                f"{self.bundle.path / MANIFEST} says too little to show it ({error}): export again."
            ) from None


def _held_out(bundle: Bundle) -> Show:
    """By what export kept of its own held-out pictures."""
    count = bundle.manifest.get("calibration", {}).get("held_out", 0)
    confusions: dict[str, Confusion] = {}
    names = bundle.head.names(bundle.labels)
    for format in bundle.artifacts:
        known = Reliability.load(bundle, format)
        if known is not None and len(known.answered):
            confusions[format] = Confusion.of(known.classes, known.answered, names)
    album = Album.load(bundle)
    of = f"Of the {count} held-out pictures of the export."
    return Show(bundle, album, of, album.worst if album else (), confusions, of)


def _judged(bundle: Bundle, data: str, reference: bool | Path | str) -> Show:
    """By labelled pictures, in every runtime that is here."""
    from edgecnn.export.accuracy import same
    from edgecnn.export.asking import ask
    from edgecnn.export.evaluate import load

    if reference:
        import_keras()
    pictures = load(data, bundle)
    classes, notes = pictures.truths, list[str]()
    asked = ask(bundle, pictures, notes, reference=reference)
    expected = None if asked.expected is None else asked.expected[:]
    answers = {runtimes.get(name).format: values[:] for name, values in asked.answers.items()}
    head, labels = bundle.head, bundle.labels
    confusions: dict[str, Confusion] = {}
    if head.kind != "sigmoid":
        confusions = {
            format: Confusion.of(classes, head.decide(values), head.names(labels))
            for format, values in answers.items()
        }
    worst = places_of_worst(expected, answers, classes, head)
    found = cases(
        pictures.at(worst.tolist()),
        None if expected is None else expected[worst],
        {format: values[worst] for format, values in answers.items()},
        classes[worst],
        labels,
        head,
    )
    said = [f"Of {len(classes)} pictures of {data}."]
    for format, values in answers.items():
        wrong = int((~same(head.decide(values), classes)).sum())
        line = f"{format} gets {wrong} wrong"
        if expected is not None:
            differ = int((~same(head.decide(values), head.decide(expected))).sum())
            line += f" and answers {differ} otherwise than float"
        said.append(f"{line}.")
    return Show(
        bundle, Album.load(bundle), " ".join(said), tuple(found), confusions, said[0], notes=notes
    )


def _golden(bundle: Bundle) -> list[Case]:
    if bundle.golden is None:
        return []
    golden = Golden.load(bundle.golden)
    return [
        Case(
            image,
            None,
            {
                format: in_words(values[i], bundle.labels, bundle.head)
                for format, values in golden.answers.items()
            },
        )
        for i, image in enumerate(small(golden.images))
    ]


def _shown(case: Case) -> dict[str, Any]:
    """For the template; an answer that is not the expected one stands out."""
    said = case.answers.get(FLOAT)
    expected = case.truth if case.truth is not None else said.label if said else None
    return {
        "image": _address(case.image),
        "truth": case.truth,
        "answers": case.answers,
        "expected": expected,
    }


def _sheets(maps: "FeatureMaps") -> dict[str, Any]:
    pairs = [("float network", maps.expected), ("artifact, through LiteRT", maps.found)]
    there = [(title, values) for title, values in pairs if values is not None]
    channels, height, width = there[0][1].shape
    # Greys of the first, for both: else each would be stretched to look alike.
    ends = np.percentile(there[0][1][:CHANNELS], (1, 99), axis=(1, 2))
    shown = min(channels, CHANNELS)
    return {
        "name": maps.layer,
        "shape": f"{height}×{width}×{channels}",
        "sqnr_db": maps.sqnr_db,
        "count": f"{shown} of {channels} channels" if shown < channels else f"{channels} channels",
        "sheets": [(title, _address(_sheet(values, ends))) for title, values in there],
    }


def _sheet(values: Array, ends: NDArray[np.float64]) -> Image:
    """Maps (channels, height, width) as grey pictures beside each other, uint8 (H, W)."""
    low, high = ends[..., None, None]
    greys = (values[:CHANNELS] - low) / np.maximum(high - low, 1e-9) * 255
    height, width = values.shape[1:]
    factor = max(1, -(-LEAST // max(height, width)))
    tall, wide = height * factor + 2, width * factor + 2
    across = min(ACROSS, len(greys))
    sheet = np.full((-(-len(greys) // across) * tall, across * wide), 255, np.uint8)
    for place, grey in enumerate(greys.clip(0, 255).astype(np.uint8)):
        row, column = divmod(place, across)
        rows = slice(row * tall, row * tall + height * factor)
        columns = slice(column * wide, column * wide + width * factor)
        sheet[rows, columns] = grey.repeat(factor, 0).repeat(factor, 1)
    return sheet


def _colours(image: Image) -> Image:
    """An input (1, H, W, C) as BGR (H, W, 3)."""
    return np.ascontiguousarray(np.broadcast_to(image[0], (*image.shape[1:3], 3))[..., ::-1])


def _address(image: Image) -> str:
    """A picture as an address that holds it."""
    form = ".png" if image.ndim == 2 else ".jpg"
    _, data = opencv().imencode(form, image)
    kind = "png" if form == ".png" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"
