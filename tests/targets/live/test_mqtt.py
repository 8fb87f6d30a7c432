import contextlib
import gc
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgecnn.bundle import Bundle
from edgecnn.errors import EdgeCnnError
from edgecnn.head import Head
from edgecnn.targets.captured import Captured
from edgecnn.targets.live.broker import Broker
from edgecnn.targets.live.sinks.mqtt import Mqtt
from edgecnn.targets.prediction import Latency, Prediction, Top

paho = pytest.importorskip("paho.mqtt.client", reason="--mqtt needs the extra 'mqtt'")
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
needs_broker = pytest.mark.skipif(
    MOSQUITTO is None, reason="no mosquitto here: apt-get install mosquitto"
)
FRAME = Captured.now(np.zeros((2, 2, 3), np.uint8), 0)


def answer(number: int) -> Prediction:
    return Prediction(number, 0.0, (Top("red", 0, 1.0),), Latency(0, 0, 0, 0, 0, 0))


def until(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not in {seconds:g} s")


class Mosquitto:
    """A real broker on loopback that forgets everything when it is killed."""

    def __init__(self, folder: Path, *settings: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", "persistence false", *settings]
        if os.getuid() == 0:
            lines.append("user root")  # else it becomes another user, who may not read our files
        self._config.write_text("\n".join([*lines, ""]))
        self._log = folder / "mosquitto.log"
        self.start()

    def start(self) -> None:
        assert MOSQUITTO is not None
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [MOSQUITTO, "-c", str(self._config)], stdout=log, stderr=log
            )
        until(self.listens, f"mosquitto listens ({self._log.read_text()})")

    def listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Starts a broker with these settings."""
    started = []

    def start(*settings: str) -> Mosquitto:
        started.append(Mosquitto(tmp_path, *settings))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.fixture
def broker(start_broker: Callable[..., Mosquitto]) -> Mosquitto:
    return start_broker("allow_anonymous true")


class Listener:
    """Another client, with the newest message of each topic."""

    def __init__(self, port: int, **login: str) -> None:
        self.newest: dict[str, str] = {}
        self.retained: set[str] = set()
        self._client = client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        if login:
            client.username_pw_set(**login)
        client.on_connect = lambda *_: client.subscribe("#", 1)
        client.on_message = self._hear
        client.connect("127.0.0.1", port)
        client.loop_start()

    def _hear(self, client: Any, userdata: Any, message: Any) -> None:
        self.newest[message.topic] = message.payload.decode()
        if message.retain:
            self.retained.add(message.topic)

    def frame(self) -> int:
        return int(json.loads(self.newest.get("robot/eye", '{"frame": -1}'))["frame"])

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.contextmanager
def listening(port: int, **login: str) -> Iterator[Listener]:
    with contextlib.closing(Listener(port, **login)) as listener:
        yield listener


@needs_broker
def test_the_newest_state_survives_a_broker_that_is_killed(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    with contextlib.closing(Mqtt(f"mqtt://127.0.0.1:{broker.port}/robot/eye")) as sink:
        with listening(broker.port) as listener:
            for number in range(20):
                sink.write(answer(number), FRAME)
            until(lambda: listener.frame() == 19, "frame 19")
            assert listener.newest["robot/eye/status"] == "online"
        broker.kill()
        until(lambda: "is gone" in caplog.text, "the loss is said")
        for number in range(20, 30):
            sink.write(answer(number), FRAME)
        broker.start()
        with listening(broker.port) as listener:
            until(lambda: listener.frame() == 29, "frame 29 after the restart")
        # And again, with nothing new meanwhile: what it forgot is sent again.
        broker.kill()
        broker.start()
        with listening(broker.port) as listener:
            until(lambda: listener.frame() == 29, "frame 29 after the second restart")
            until(lambda: "robot/eye/status" in listener.newest, "the status")
        assert "is back" in caplog.text
    # A new client gets what was retained; a clean end says goodbye.
    with listening(broker.port) as listener:
        until(lambda: listener.newest.get("robot/eye/status") == "offline", "goodbye")
        until(lambda: listener.frame() == 29, "the retained state")
        assert {"robot/eye", "robot/eye/status"} <= listener.retained


@needs_broker
@pytest.mark.parametrize("qos", [0, 2])
def test_other_qualities_of_service(broker: Mosquitto, qos: int) -> None:
    url = f"mqtt://127.0.0.1:{broker.port}/robot/eye?qos={qos}"
    with contextlib.closing(Mqtt(url)) as sink, listening(broker.port) as listener:
        for number in range(5):
            sink.write(answer(number), FRAME)
        until(lambda: listener.frame() == 4, "frame 4")


@needs_broker
def test_a_broker_that_comes_later_is_waited_for(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    broker.kill()
    with contextlib.closing(Mqtt(f"mqtt://127.0.0.1:{broker.port}/robot/eye")) as sink:
        sink.write(answer(1), FRAME)
        until(lambda: "cannot be reached: [Errno 111]" in caplog.text, "said")
        sink.write(answer(2), FRAME)
        broker.start()
        with listening(broker.port) as listener:
            until(lambda: listener.frame() == 2, "frame 2")


@needs_broker
def test_the_last_will_speaks_for_a_dead_robot(broker: Mosquitto, colour_bundle: Path) -> None:
    url = f"mqtt://127.0.0.1:{broker.port}/robot/eye"
    command = [sys.executable, "-m", "edgecnn", "run", str(colour_bundle), "--mqtt", url]
    with (
        listening(broker.port) as listener,
        subprocess.Popen([*command, "--source", "synthetic:64x48@20"]) as robot,
    ):
        until(lambda: listener.frame() > 3, "frames")
        assert listener.newest["robot/eye/status"] == "online"
        robot.kill()
        until(lambda: listener.newest["robot/eye/status"] == "offline", "the last will")


@needs_broker
@pytest.mark.parametrize(
    ("labels", "head", "expected"),
    [
        (("defect",), Head("binary", (0.7,)), {"label": "not defect", "class_index": None}),
        (("red", "green", "blue"), Head("sigmoid", (0.5,) * 3), {"label": "red", "labels": []}),
    ],
)
def test_what_does_not_hold_is_not_published_as_if_it_did(
    broker: Mosquitto,
    write_head: Callable[..., Path],
    tmp_path: Path,
    labels: tuple[str, ...],
    head: Head,
    expected: dict[str, Any],
) -> None:
    bundle = write_head(tmp_path / "bundle", head, *labels)
    jpeg = cv2.imencode(".jpg", np.zeros((32, 32, 3), np.uint8))[1].tobytes()
    url = f"mqtt://127.0.0.1:{broker.port}/robot/eye"
    command = [sys.executable, "-m", "edgecnn", "run", str(bundle), "--runtime", "onnxruntime"]
    with listening(broker.port) as listener:
        # JPEGs on a pipe that stays open: a file may be over before the broker has answered.
        source = ["--source", "-", "--smooth", "majority:3", "--mqtt", url]
        with subprocess.Popen([*command, *source], stdin=subprocess.PIPE) as robot:
            assert robot.stdin is not None
            for _ in range(5):
                robot.stdin.write(jpeg)
                robot.stdin.flush()
            until(lambda: listener.frame() == 4, "the last frame")
            robot.stdin.close()
    line = json.loads(listener.newest["robot/eye"])
    assert {key: line[key] for key in expected} == expected
    assert ("labels" in line) == ("labels" in line["decision"]) == ("labels" in expected)
    assert line["decision"]["label"] == ("nothing" if "labels" in line else "not defect")
    assert line["decision"]["class_index"] is None


@needs_broker
def test_credentials_come_from_the_environment(
    start_broker: Callable[..., Mosquitto],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    passwords = shutil.which("mosquitto_passwd", path="/usr/bin:/usr/local/bin")
    if passwords is None:
        pytest.skip("no mosquitto_passwd here: apt-get install mosquitto")
    file = tmp_path / "passwords"
    subprocess.run([passwords, "-b", "-c", str(file), "robot", "s3cret"], check=True)
    broker = start_broker("allow_anonymous false", f"password_file {file}")
    url = f"mqtt://127.0.0.1:{broker.port}/robot/eye"
    monkeypatch.setenv("EDGECNN_MQTT_USERNAME", "robot")
    monkeypatch.setenv("EDGECNN_MQTT_PASSWORD", "wrong")
    with contextlib.closing(Mqtt(url)):
        until(lambda: "refuses the connection" in caplog.text, "the refusal is said")
    monkeypatch.setenv("EDGECNN_MQTT_PASSWORD", "s3cret")
    with (
        contextlib.closing(Mqtt(url)) as sink,
        listening(broker.port, username="robot", password="s3cret") as listener,
    ):
        sink.write(answer(7), FRAME)
        until(lambda: listener.frame() == 7, "frame 7")
    assert "s3cret" not in caplog.text


@needs_broker
# paho leaves the socket of a refused certificate to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls(
    start_broker: Callable[..., Mosquitto],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here to make a certificate: apt-get install openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", key, "-out", certificate, "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    broker = start_broker("allow_anonymous true", f"certfile {certificate}", f"keyfile {key}")
    url = f"mqtts://127.0.0.1:{broker.port}/robot/eye"
    with contextlib.closing(Mqtt(url)):
        until(lambda: "certificate verify failed" in caplog.text, "an unknown authority is refused")
    monkeypatch.setenv("EDGECNN_MQTT_CA", str(certificate))
    with contextlib.closing(Mqtt(url)) as sink:
        sink.write(answer(3), FRAME)
        until(lambda: sink._online and sink._newest is None, "sent over TLS")
    until(lambda: not any("paho" in t.name for t in threading.enumerate()), "paho's end")
    gc.collect()  # here, where its warning is expected


def test_urls() -> None:
    assert Broker.parse("mqtts://host/a/b?qos=2") == Broker("host", 8883, True, "a/b", 2)
    plain = Broker.parse("mqtt://host:99")
    assert (plain.port, plain.tls, plain.qos) == (99, False, 1)
    assert plain.topic == f"edgecnn/{socket.gethostname()}"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("host", "mqtt://HOST"),
        ("http://host", "mqtt://HOST"),
        ("mqtt://", "mqtt://HOST"),
        ("mqtt://host:port", "mqtt://HOST"),
        ("mqtt://host/a?qos=3", "mqtt://HOST"),
        ("mqtt://host/a?retain=1", "mqtt://HOST"),
        ("mqtt://host/a/%23", "no \\+ or #"),
        ("mqtt://me:secret@host/a", "EDGECNN_MQTT_PASSWORD"),
        ("mqtt://host..name/a", "is no host"),
        (f"mqtt://{'a' * 300}.de/a", "is no host"),
        ("mqtt://host/a%00b", "brokers refuse the topic"),
        ("mqtt://host/a%1b[2J", "brokers refuse the topic"),
        ("mqtt://host/%24SYS/a", "brokers refuse the topic"),
        (f"mqtt://host/{'a' * 70_000}", "brokers refuse the topic"),
    ],
)
def test_urls_that_make_no_sense(url: str, message: str) -> None:
    with pytest.raises(EdgeCnnError, match=message) as caught:
        Broker.parse(url)
    assert "secret" not in str(caught.value)


def fleet(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgecnn", "fleet", *words], capture_output=True, text=True
    )


@needs_broker
def test_the_fleet(broker: Mosquitto, colour_bundle: Path) -> None:
    url = f"mqtt://127.0.0.1:{broker.port}"

    def members() -> dict[str, dict[str, Any]]:
        done = fleet("--mqtt", f"{url}/robots", "--json")
        assert done.returncode == 0, done.stderr
        return {board["topic"]: board for board in json.loads(done.stdout)["boards"]}

    def start(name: str, *options: str) -> subprocess.Popen[bytes]:
        run = [sys.executable, "-m", "edgecnn", "run", str(colour_bundle), "--runtime", "litert"]
        source = ["--source", "synthetic:64x48@20", "--mqtt", f"{url}/robots/{name}"]
        return subprocess.Popen([*run, *source, *options])

    assert members() == {}
    assert "No board" in fleet("--mqtt", f"{url}/robots").stderr
    before = time.time()
    # The second decides rarely, and is seen all the same.
    with start("left") as left, start("right", "--on-change", "--smooth", "majority:99") as right:
        try:
            until(
                lambda: (
                    len(found := members()) == 2
                    and all(board["frames"] > 20 for board in found.values())
                ),
                "both with frames",
            )
            found = members()
            assert set(found) == {"robots/left", "robots/right"}
            for board in found.values():
                assert board["state"] == "online"
                assert board["bundle"] == "colours-int8"
                assert board["bundle_version"] == Bundle.load(colour_bundle).version
                assert 0 < board["latency_p99_ms"] <= board["age_p99_ms"]
                assert before < board["since"] < time.time()
                assert "temperature_c" in board
            left.kill()
            until(lambda: members()["robots/left"]["state"] == "offline", "the last will")
            assert members()["robots/right"]["state"] == "online"
            right.terminate()
            until(lambda: members()["robots/right"]["state"] == "offline", "goodbye")
        finally:
            left.kill()
            right.kill()
    shown = fleet("--mqtt", f"{url}/robots").stdout
    assert "robots/left" in shown
    assert shown.count("offline") == 2


@needs_broker
def test_a_fleet_without_a_broker(broker: Mosquitto) -> None:
    broker.kill()
    done = fleet("--mqtt", f"mqtt://127.0.0.1:{broker.port}")
    assert done.returncode == 2
    assert "cannot be reached" in done.stderr
    assert "Is it running?" in done.stderr


@needs_broker
def test_a_fleet_behind_a_password(start_broker: Callable[..., Mosquitto], tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text("")
    broker = start_broker("allow_anonymous false", f"password_file {tmp_path / 'passwords'}")
    done = fleet("--mqtt", f"mqtt://127.0.0.1:{broker.port}")
    assert done.returncode == 2
    assert "refuses the connection" in done.stderr


@needs_broker
def test_a_board_that_answers_nothing(broker: Mosquitto) -> None:
    url = f"mqtt://127.0.0.1:{broker.port}/robots"
    names = {"bundle": "colours-int8", "bundle_version": "0123"}
    health = names | {"since": 1.0, "silent_s": 30.0}
    with contextlib.closing(Mqtt(f"{url}/eye")) as sink:
        until(lambda: sink._online, "the connection")
        sink.tell("health", health)
        done = fleet("--mqtt", url, "--json")
    (board,) = json.loads(done.stdout)["boards"]
    assert board == {"topic": "robots/eye", "state": "silent", **health}
