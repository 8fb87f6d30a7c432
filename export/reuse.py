"""An earlier export of the very same thing: its artifacts are kept rather than made again.

What an artifact depends on is hashed into the manifest. Where the bundle to be written carries the
same hash, only the formats it lacks are made, from the recipe it was made by.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import edgecnn
from edgecnn.bundle import MANIFEST, Bundle, file_sha256
from edgecnn.errors import BundleError
from edgecnn.export.manifest import versions
from edgecnn.export.network import Network
from edgecnn.export.request import Request


def fingerprint(request: Request) -> str:
    """SHA-256 over all that artifacts depend on.

    The source of edgecnn is part of it: whoever changes the exporter does not get old artifacts.
    """
    network, pictures = request.network, request.pictures
    digest = hashlib.sha256()
    for op in request.graph:
        described = (op.name, op.op, op.inputs, op.shape, sorted(op.attributes.items()), op.fused)
        digest.update(repr(described).encode())
        for name, values in sorted(op.weights.items()):
            digest.update(f"{name} {values.dtype} {values.shape}".encode())
            digest.update(np.ascontiguousarray(values))
    rest = {
        "architecture": network.architecture,
        "weights": [network.weights.kind, network.weights.source],
        "integers": None if request.integers is None else _integers(network),
        "labels": request.labels,
        "head": request.head.to_json(),
        "preprocessing": network.preprocessing.to_json(),
        "pictures": [(picture.sha256, picture.label) for picture in pictures.pictures],
        "held_out": [(picture.sha256, picture.label) for picture in pictures.held_out],
        "representative": pictures.representative,
        "settings": request.options.to_json(),
        "versions": versions(),
        "source": source_sha256(),
    }
    digest.update(json.dumps(rest, sort_keys=True).encode())
    return digest.hexdigest()


def _integers(network: Network) -> str:
    assert network.checkpoint is not None
    assert network.checkpoint.integers is not None
    return file_sha256(network.checkpoint.integers)


def find(out: Path, fingerprint: str) -> Bundle | None:
    """The whole and unchanged bundle at `out` if it was made of the same, else None."""
    if not (out / MANIFEST).is_file():
        return None
    try:
        bundle = Bundle.load(out)
    except BundleError:
        return None  # broken or of another schema: it is replaced, as any other bundle would be
    return bundle if bundle.manifest.get("fingerprint") == fingerprint else None


def missing(formats: Sequence[str], kept: Bundle | None) -> tuple[str, ...]:
    """Those formats that the earlier bundle does not hold."""
    return tuple(name for name in formats if kept is None or name not in kept.artifacts)


def source_sha256() -> str:
    """Of all that edgecnn itself is made of."""
    digest = hashlib.sha256()
    for module in (edgecnn.__file__, __file__):
        for path in sorted(Path(module).parent.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
