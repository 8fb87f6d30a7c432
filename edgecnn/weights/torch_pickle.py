"""Reads torch's legacy checkpoint file (before torch 1.6) without torch.

The file is a stream: three pickles (magic number, protocol, system info), the state dict with
its storages as persistent ids, the list of storage keys, then for every key an int64 count and
the raw little-endian values. A pickle can name any function to call, so the unpickler here
knows four kinds of name and refuses the rest: nothing in the file is ever run.
"""

import pickle
import pickletools
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import WeightsError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
MOST_MEMOS = 1_000_000
"""A state dict remembers some ten things for each tensor."""
STORAGES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A strided view of a storage whose values come later in the stream."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def view(self, values: NDArray[Any]) -> NDArray[Any]:
        reach = sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.shape, *self.strides)) < 0:
            raise ValueError("negative offset, shape or stride")
        if 0 not in self.shape and self.offset + reach >= values.size:
            raise ValueError("a tensor reaches beyond its storage")
        return np.lib.stride_tricks.as_strided(
            values[self.offset :],
            self.shape,
            [step * values.itemsize for step in self.strides],
            writeable=False,
        ).copy()


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _StateDictUnpickler(pickle.Unpickler):
    """An unpickler for which only a state dict's own names exist."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no state dict needs")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _device, count, view = pid
        if kind != "storage" or view is not None or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError("an unknown persistent id")
        return self.storages.setdefault(key, _Storage(key, dtype, count))


def read_torch_legacy(path: Path) -> dict[str, NDArray[Any]]:
    """The state dict of a legacy `.pth` file: tensors by name, in torch's own layout.

    Raises `WeightsError` for anything but such a file, for one that is cut short, and for one
    that asks for anything beyond tensors; nothing in the file is executed.
    """
    try:
        with path.open("rb") as stream:
            return _read(stream)
    except OSError as error:
        raise WeightsError(f"Cannot read {path}: {error.strerror}.") from None
    except Exception as error:  # a crafted pickle can raise anything
        raise WeightsError(
            f"{path} is not a legacy torch state dict that can be read safely "
            f"({error or type(error).__name__}). Save it as .safetensors where torch is "
            "installed: safetensors.torch.save_file(state_dict, 'weights.safetensors')."
        ) from error


def _read(stream: IO[bytes]) -> dict[str, NDArray[Any]]:
    def load() -> Any:
        _refuse_bomb(stream)
        return _StateDictUnpickler(stream).load()

    if load() != MAGIC or load() != PROTOCOL:
        raise ValueError("no legacy header")
    if load().get("little_endian") is not True:
        raise ValueError("its numbers are big-endian")
    _refuse_bomb(stream)
    unpickler = _StateDictUnpickler(stream)
    state = unpickler.load()
    values = {key: _read_values(stream, unpickler.storages[key]) for key in load()}
    if not isinstance(state, dict):
        raise TypeError("no state dict")
    tensors = {}
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            raise TypeError(f"entry {name!r} is no tensor")
        tensors[name] = tensor.view(values[tensor.storage.key])
    return tensors


def _refuse_bomb(stream: IO[bytes]) -> None:
    """Raise for a pickle that wants a memo longer than it can fill."""
    start = stream.tell()
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name.endswith("PUT") and int(argument or 0) > MOST_MEMOS:
            raise ValueError(f"it remembers {argument} things")
    stream.seek(start)


def _read_values(stream: IO[bytes], storage: _Storage) -> NDArray[Any]:
    count = int.from_bytes(stream.read(8), "little", signed=True)
    if count != storage.count:
        raise ValueError(f"storage {storage.key} has {count} values, {storage.count} announced")
    data = stream.read(count * storage.dtype.itemsize)
    if len(data) != count * storage.dtype.itemsize:
        raise EOFError("the file is cut short")
    return np.frombuffer(data, storage.dtype)
