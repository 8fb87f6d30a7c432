import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edgecnn.targets.board.target import detect
from edgecnn.targets.captured import Captured
from edgecnn.targets.classifier import load
from edgecnn.targets.live import systemd
from edgecnn.targets.live.loop import answers
from edgecnn.targets.live.pulse import Pulse
from edgecnn.targets.live.sinks.health import Health
from edgecnn.targets.live.systemd import Notifier
from edgecnn.targets.live.watchdog import Watchdog


class Systemd:
    """The other end of the notification socket."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(20)

    def hear(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self._socket.recv(4096).decode().splitlines())

    def hear_until(self, name: str) -> dict[str, str]:
        while name not in (heard := self.hear()):
            pass
        return heard

    def drain(self) -> int:
        self._socket.setblocking(False)
        count = 0
        try:
            while self._socket.recv(4096):
                count += 1
        except BlockingIOError:
            self._socket.settimeout(20)
        return count

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["file", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Systemd]:
    name = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", name if request.param == "file" else "@" + name)
    manager = Systemd(name if request.param == "file" else "\0" + name)
    yield manager
    manager.close()


class Engine:
    """An engine that can be made to hang."""

    engine, threads, classes, features = "stub 1.0", 1, 3, 0
    input_shape: tuple[int, ...] = (1, 16, 16, 3)

    def __init__(self) -> None:
        self.go = threading.Event()

    def infer(self, image: np.ndarray, features: np.ndarray | None = None) -> np.ndarray:
        assert self.go.wait(20)
        return np.zeros(3, np.float32)


class Camera:
    """A live source that gives a frame when it is told to."""

    uri, live = "camera", True
    fps: float | None = None

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)

    def read(self) -> Captured | None:
        assert self.go.acquire(timeout=20)
        return Captured.now(np.zeros((16, 16, 3), np.uint8), 0)

    def close(self) -> None:
        pass


def test_the_watchdog_is_told_until_the_loop_stands_still(
    manager: Systemd, caplog: pytest.LogCaptureFixture
) -> None:
    pulse, notifier = Pulse(), Notifier()
    with Watchdog(pulse, notifier, hung_s=0.2):
        assert manager.hear() == {"READY": "1", "WATCHDOG": "1"}
        assert manager.hear() == {"WATCHDOG": "1"}
        pulse.does("stub 1.0")
        assert manager.hear_until("STATUS") == {"STATUS": "stub 1.0 has not answered for 0.2 s"}
        assert "it hangs" in caplog.text
        time.sleep(0.5)
        assert manager.drain() == 0  # nobody says that all is well
        assert caplog.text.count("it hangs") == 1
        pulse.waits()
        assert manager.hear() == {"WATCHDOG": "1"}
    assert manager.hear_until("STOPPING")
    notifier.close()


def test_a_loop_stands_still_in_its_engine_and_its_outputs_but_not_before_its_camera(
    colour_bundle: Path, wait_for: Callable[..., None]
) -> None:
    classifier = load(colour_bundle, threads=1)
    classifier.session = engine = Engine()
    camera, pulse, shown = Camera(), Pulse(), threading.Event()

    def loop() -> None:
        for _ in answers(camera, classifier, frames=1, pulse=pulse):
            assert shown.wait(20)

    running = threading.Thread(target=loop)
    running.start()
    time.sleep(0.3)
    assert pulse.stuck(0.1) is None
    camera.go.release()
    wait_for(lambda: pulse.stuck(0.1) == "stub 1.0", "the engine to be missed")
    engine.go.set()
    wait_for(lambda: pulse.stuck(0.1) == "an output", "the output to be missed")
    shown.set()
    running.join()
    assert pulse.stuck(0.0) is None


def test_a_board_that_is_slow_to_read_delays_no_answer(
    colour_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, board = load(colour_bundle, threads=1), detect()
    reading, read, told = threading.Event(), threading.Event(), threading.Event()
    telemetry = board.telemetry()

    def slowly(self: object) -> object:
        reading.set()
        assert read.wait(20)
        return telemetry

    monkeypatch.setattr(type(board), "telemetry", slowly)
    health = Health(lambda *_: told.set(), classifier, board)
    assert reading.wait(20)
    captured = Captured.now(np.zeros((16, 16, 3), np.uint8), 0)
    prediction = classifier.predict(captured)
    writing = threading.Thread(target=health.write, args=(prediction, captured))
    writing.start()
    writing.join(5)
    assert not writing.is_alive(), "the loop waits for the board's sensors"
    assert not told.is_set()
    read.set()
    health.close()
    assert told.is_set()


def test_a_manager_that_is_gone_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notifier = Notifier()
    for _ in range(3):
        notifier.tell(WATCHDOG="1")
    assert caplog.text.count("cannot be told") == 1
    manager = Systemd(str(tmp_path / "gone"))
    notifier.tell(WATCHDOG="1")
    assert manager.hear() == {"WATCHDOG": "1"}
    manager.close()
    notifier.close()


def test_the_command_tells_systemd(manager: Systemd, colour_bundle: Path) -> None:
    command = [sys.executable, "-m", "edgecnn", "run", str(colour_bundle), "--source"]
    with subprocess.Popen([*command, "synthetic:64x48@20", "--frames", "40"]) as running:
        assert manager.hear()["READY"] == "1"
        assert manager.hear_until("STOPPING")
        assert running.wait(20) == 0


def test_without_systemd_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    notifier.tell(READY="1")
    notifier.close()


def test_the_unit_runs_this_very_command(colour_bundle: Path, tmp_path: Path) -> None:
    words = [str(colour_bundle), "--source", "gst:a ! b", "--jsonl", "100%$HOME.jsonl"]
    done = subprocess.run(
        [sys.executable, "-m", "edgecnn", "run", *words, "--print-systemd"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    lines = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    expanded = lines["ExecStart"].replace("%%", "%").replace("$$", "$")
    assert shlex.split(expanded) == [sys.executable, "-m", "edgecnn", "run", *words]
    assert lines["WorkingDirectory"] == str(tmp_path)
    assert lines["Type"] == "notify"
    assert lines["WatchdogSec"] == str(systemd.WATCHDOG_S)
    if verify := shutil.which("systemd-analyze"):
        unit = tmp_path / "edgecnn.service"
        unit.write_text(done.stdout)
        checked = subprocess.run([verify, "verify", str(unit)], capture_output=True, text=True)
        assert "edgecnn.service" not in checked.stderr, checked.stderr
