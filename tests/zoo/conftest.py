"""The rule by which the networks in tests/data/torch_reference got their weights."""

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray

FOLDER = Path(__file__).parents[1] / "data" / "torch_reference"
Tensors = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Reference:
    """One file: what torch computed."""

    size: int
    dtype: str
    parameters: int
    macs: int
    entries: list[tuple[str, list[int]]]
    logits: NDArray[Any]

    @classmethod
    def load(cls, name: str) -> Self:
        """Read `name`.json."""
        data = json.loads((FOLDER / f"{name}.json").read_text())
        return cls(
            data["input_size"],
            data.get("dtype", "float32"),
            data["parameters"],
            data["macs"],
            data["entries"],
            np.array(data["logits"]),
        )

    def tensors(self) -> Tensors:
        """The state dict, in torch's layout."""
        return {name: _values(name, shape) for name, shape in self.entries}

    def picture(self) -> NDArray[Any]:
        """The network's input, (1, size, size, 3)."""
        values = np.random.RandomState(0).standard_normal((1, self.size, self.size, 3))
        return values.astype(np.float32).astype(self.dtype)


def _values(name: str, shape: list[int]) -> NDArray[np.float32]:
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    last = name.rpartition(".")[2]
    if last == "running_var":
        values = rng.uniform(0.5, 1.5, shape)
    elif last in ("running_mean", "bias"):
        values = 0.1 * rng.standard_normal(shape)
    elif len(shape) == 1:
        values = rng.uniform(0.5, 1.5, shape)
    else:
        values = np.sqrt(2 / np.prod(shape[1:])) * rng.standard_normal(shape)
    return values.astype(np.float32)


@pytest.fixture
def load_reference() -> Callable[[str], Reference]:
    """Reads one file of tests/data/torch_reference."""
    return Reference.load
