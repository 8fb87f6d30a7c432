import sys
import types
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgecnn.errors import EdgeCnnError
from edgecnn.targets.captured import Captured
from edgecnn.targets.live.sinks import snapshots
from edgecnn.targets.live.sinks.ros2 import Ros2
from edgecnn.targets.live.sinks.snapshots import Snapshots, Unsure
from edgecnn.targets.prediction import Latency, Prediction, Top

FRAME = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)


def prediction(probability: float) -> Prediction:
    tops = (Top("red", 0, probability), Top("blue", 2, (1 - probability) / 2))
    return Prediction(0, 0.0, tops, Latency(0, 0, 0, 0, 0, 0))


def captured(second: float) -> Captured:
    return Captured(FRAME, int(second), second, second)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "EVERY_S", 0.0)


@pytest.mark.usefixtures("unhurried")
def test_snapshots_of_uncertain_frames_are_bounded(tmp_path: Path) -> None:
    folder = tmp_path / "unsure"
    other = tmp_path / "unsure" / "mine.png"
    sink = Unsure(Snapshots(folder, limit=3), below=0.5)
    other.write_bytes(b"not ours")
    for second in range(6):
        sink.write(prediction(0.9), captured(second))
    assert list(folder.glob("edgecnn-*")) == []
    for second in range(6):
        sink.write(prediction(0.3), captured(second))
    kept = sorted(folder.glob("edgecnn-*"))
    assert [p.name for p in kept] == [
        f"edgecnn-19700101T00000{second}.000000.png" for second in (3, 4, 5)
    ]
    np.testing.assert_array_equal(cv2.imread(str(kept[0])), FRAME)
    # A later run counts what an earlier one left.
    Unsure(Snapshots(folder, limit=2), below=0.5).write(prediction(0.1), captured(9))
    assert len(list(folder.glob("edgecnn-*"))) == 2
    assert other.exists()


def test_snapshots_come_no_more_than_once_a_second(tmp_path: Path) -> None:
    sink = Unsure(Snapshots(tmp_path, limit=100), below=0.5)
    for n in range(50):
        sink.write(prediction(0.1), captured(n))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.usefixtures("unhurried")
def test_a_disk_that_fails_is_said_once_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(self: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    sink = Snapshots(tmp_path, limit=10)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        sink.write(prediction(0.1), captured(1))
        sink.write(prediction(0.1), captured(2))
    assert caplog.text.count("No space left on device") == 1
    sink.write(prediction(0.1), captured(3))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EdgeCnnError, match="--snapshots"):
        Snapshots(tmp_path / "file" / "x", limit=1)


def test_ros2_that_is_not_there() -> None:
    if "rclpy" in sys.modules:
        pytest.skip("ROS 2 is installed here")
    with pytest.raises(EdgeCnnError, match="apt install ros-"):
        Ros2("what")


def test_ros2_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against stand-ins: what would be sent, not that ROS 2 takes it."""
    sent: list[Any] = []
    calls: list[str] = []

    class Message:
        def __init__(self) -> None:
            self.header = types.SimpleNamespace(stamp=None, frame_id="")
            self.results: list[Any] = []

    node = types.SimpleNamespace(
        create_publisher=lambda *_: types.SimpleNamespace(publish=sent.append),
        destroy_node=lambda: calls.append("destroyed"),
    )
    stand_ins: dict[str, dict[str, Any]] = {
        "rclpy": {
            "init": lambda **options: calls.append(options["signal_handler_options"]),
            "create_node": lambda _: node,
            "shutdown": lambda: calls.append("shut down"),
        },
        "rclpy.signals": {"SignalHandlerOptions": types.SimpleNamespace(NO="no handlers")},
        "vision_msgs": {},
        "vision_msgs.msg": {"Classification": Message, "ObjectHypothesis": types.SimpleNamespace},
        "builtin_interfaces": {},
        "builtin_interfaces.msg": {"Time": types.SimpleNamespace},
    }
    for name, contents in stand_ins.items():
        module = types.ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    sink = Ros2("what")
    sink.write(prediction(0.5), captured(12.25))
    sink.close()
    (message,) = sent
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (12, 250_000_000)
    assert [(r.class_id, r.score) for r in message.results] == [("red", 0.5), ("blue", 0.25)]
    assert calls == ["no handlers", "destroyed", "shut down"]
