"""TFLite's own metadata, which MediaPipe, ML Kit and Android Studio read.

A second flatbuffer inside the model (`metadata_schema.fbs` of TensorFlow Lite Support, identifier
M001) says what the picture and the answer are, and names a file of labels; the files it names
follow the model as a ZIP archive. The numbers below are the fields of that schema.
"""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgecnn.export.formats.about import About
from edgecnn.labels import LABELS

NAME = "TFLITE_METADATA"

RGB, GRAYSCALE = 1, 2
VALUE_LABELS = 2
"""An associated file with a line for each value of the last axis."""
FEATURE, IMAGE = 1, 2
NORMALIZATION = 1

Slot = tuple[int, Callable[[flatbuffers.Builder, int], None]]


def entries(about: About, buffers: list[Any]) -> list[Any]:
    """The model's table of metadata: ours as text, and TFLite's own; adds to its buffers."""
    said = {name: text.encode() for name, text in about.properties().items()}
    found = []
    for name, data in (said | {NAME: _described(about)}).items():
        entry, buffer = schema.MetadataT(), schema.BufferT()
        entry.name, entry.buffer = name, len(buffers)
        buffer.data = np.frombuffer(data, np.uint8)
        buffers.append(buffer)
        found.append(entry)
    return found


def with_labels(model: bytes, about: About) -> bytes:
    """A model with the file of labels behind it that its metadata names."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        # Without a date: the same network gives the same bytes.
        archive.writestr(zipfile.ZipInfo(LABELS), "\n".join(about.value_labels) + "\n")
    return model + packed.getvalue()


def _described(about: About) -> bytes:
    """The metadata flatbuffer of a classifier that takes raw pixels."""
    b = flatbuffers.Builder(1024)
    image, given = _picture(b, about), [_answers(b)]
    if about.features:
        given.append(_features(b))
    network = _table(b, 10, _offset(2, _tables(b, [image])), _offset(3, _tables(b, given)))
    said = ", ".join(f"{name} {text}" for name, text in _facts(about).items())
    model = _table(
        b,
        8,
        _offset(0, b.CreateString(about.architecture)),
        _offset(1, b.CreateString(said)),
        _offset(3, _tables(b, [network])),
        _offset(4, b.CreateString("edgecnn")),
        _offset(7, b.CreateString("1.0.0")),
    )
    b.Finish(model, file_identifier=b"M001")
    return bytes(b.Output())


def _facts(about: About) -> dict[str, str]:
    weights = about.weights
    return {"precision": about.precision, "weights": f"{weights.kind} ({weights.source})"}


def _picture(b: flatbuffers.Builder, about: About) -> int:
    preprocessing = about.preprocessing
    color = RGB if preprocessing.channels == 3 else GRAYSCALE
    size = _table(b, 2, _uint32(0, preprocessing.width), _uint32(1, preprocessing.height))
    properties = _table(b, 2, _int8(0, color), _offset(1, size))
    content = _table(b, 2, _uint8(0, IMAGE), _offset(1, properties))
    # The normalisation is in the graph: whoever reads this must leave the pixels as they are.
    plain = _table(
        b,
        2,
        _offset(0, b.CreateNumpyVector(np.zeros(1, np.float32))),
        _offset(1, b.CreateNumpyVector(np.ones(1, np.float32))),
    )
    unit = _table(b, 2, _uint8(0, NORMALIZATION), _offset(1, plain))
    stats = _table(
        b,
        2,
        _offset(0, b.CreateNumpyVector(np.full(1, 255, np.float32))),
        _offset(1, b.CreateNumpyVector(np.zeros(1, np.float32))),
    )
    return _table(
        b,
        7,
        _offset(0, b.CreateString("image")),
        _offset(1, b.CreateString(f"raw uint8 pixels, {preprocessing.resize} to this size")),
        _offset(3, content),
        _offset(4, _tables(b, [unit])),
        _offset(5, stats),
    )


def _answers(b: flatbuffers.Builder) -> int:
    file = _table(
        b,
        5,
        _offset(0, b.CreateString(LABELS)),
        _offset(1, b.CreateString("a class a line")),
        _int8(2, VALUE_LABELS),
    )
    content = _table(b, 2, _uint8(0, FEATURE), _offset(1, _table(b, 0)))
    return _table(
        b,
        7,
        _offset(0, b.CreateString("probability")),
        _offset(1, b.CreateString("of each class")),
        _offset(3, content),
        _offset(6, _tables(b, [file])),
    )


def _features(b: flatbuffers.Builder) -> int:
    content = _table(b, 2, _uint8(0, FEATURE), _offset(1, _table(b, 0)))
    return _table(
        b,
        7,
        _offset(0, b.CreateString("features")),
        _offset(1, b.CreateString("what the last layer reads, pooled")),
        _offset(3, content),
    )


def _table(b: flatbuffers.Builder, fields: int, *slots: Slot) -> int:
    b.StartObject(fields)
    for number, put in slots:
        put(b, number)
    return int(b.EndObject())


def _tables(b: flatbuffers.Builder, offsets: list[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())


def _offset(number: int, offset: int) -> Slot:
    return number, lambda b, n: b.PrependUOffsetTRelativeSlot(n, offset, 0)


def _uint32(number: int, value: int) -> Slot:
    return number, lambda b, n: b.PrependUint32Slot(n, value, 0)


def _int8(number: int, value: int) -> Slot:
    return number, lambda b, n: b.PrependInt8Slot(n, value, 0)


def _uint8(number: int, value: int) -> Slot:
    return number, lambda b, n: b.PrependUint8Slot(n, value, 0)
