"""The networks of an evaluation on the nodes of a Ray cluster."""

import pickle
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.bundle import Bundle
from edgecnn.errors import EdgeCnnError
from edgecnn.export.asking import Chunk, Networks
from edgecnn.on_ray import cluster, each


@dataclass(frozen=True)
class Shipped:
    """A bundle and the float network as a node gets them."""

    files: dict[str, bytes]
    float_network: bytes
    threads: int
    identity: dict[str, Any]

    @classmethod
    def of(cls, networks: Networks, threads: int) -> "Shipped":
        """Of those that are open here."""
        folder = networks.bundle.path
        files = [path for path in folder.rglob("*") if path.is_file()]
        return cls(
            {str(path.relative_to(folder)): path.read_bytes() for path in files},
            pickle.dumps(networks.float_network),
            threads,
            networks.identity,
        )

    def open(self, folder: Path) -> Networks:
        """Write the bundle to a folder and open it there.

        Raises `EdgeCnnError` where this node would not compute the very same.
        """
        import edgecnn.layers  # noqa: F401 (registers what the float network may hold)

        for name, data in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        bundle, notes = Bundle.load(folder), list[str]()
        engines = Networks.open(
            bundle, notes, reference=False, threads=self.threads, self_check=True
        ).engines
        found = Networks(bundle, engines, pickle.loads(self.float_network))
        if found.identity != self.identity:
            differ = [name for name, own in found.identity.items() if own != self.identity[name]]
            raise EdgeCnnError(
                f"A node of the cluster is not like this machine in its {', '.join(differ)}: "
                "install the same edgecnn and engines there."
            )
        return found


def answers(
    networks: Networks, chunks: Iterable[Chunk], threads: int, address: str
) -> Iterator[tuple[Chunk, list[NDArray[np.float32]]]]:
    """What they answer to each chunk, as `Networks.answers`; in any order."""
    with cluster(address) as ray:
        yield from each(ray, _answer, Shipped.of(networks, threads), chunks, threads)


_open: dict[str, tuple[Networks, tempfile.TemporaryDirectory[str]]] = {}
"""In a node's process, which answers chunk after chunk."""


def _answer(shipped: Shipped, chunk: Chunk) -> list[NDArray[np.float32]]:
    key = repr(shipped.identity)
    if key not in _open:
        folder = tempfile.TemporaryDirectory(prefix="edgecnn-")
        _open[key] = shipped.open(Path(folder.name)), folder
    return _open[key][0].answers(chunk[1])
