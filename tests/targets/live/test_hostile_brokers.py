"""MQTT brokers that are none, or mean no good: the run goes on, and says so in a line."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import psutil
import pytest

from edgecnn.errors import EdgeCnnError
from edgecnn.targets.captured import Captured
from edgecnn.targets.live import fleet
from edgecnn.targets.live.fleet import Fleet
from edgecnn.targets.live.sinks import mqtt
from edgecnn.targets.live.sinks.mqtt import Mqtt
from edgecnn.targets.prediction import Latency, Prediction, Top

pytest.importorskip("paho.mqtt.client", reason="--mqtt needs the extra 'mqtt'")

Behaviour = Callable[[socket.socket], object]
FRAME = Captured.now(np.zeros((2, 2, 3), np.uint8), 0)
CONNACK = b"\x20\x02\x00\x00"
SUBACK = b"\x90\x06\x00\x01\x01\x01\x01\x01"
MB = 1 << 20


def sends(*parts: bytes) -> Behaviour:
    """Sends these and closes."""

    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        for part in parts:
            connection.sendall(part)

    return behave


def goes_on(first: bytes, then: bytes, every_s: float = 0.0) -> Behaviour:
    """Sends the one, and the other for ever."""

    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(first)
        while True:
            connection.sendall(then)
            time.sleep(every_s)

    return behave


def never_answers(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(CONNACK)
    while connection.recv(4096):
        pass


def never_reads(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.recv(64)
    connection.sendall(CONNACK)
    time.sleep(60)


def published(topic: str, payload: bytes, retained: bool = True) -> bytes:
    """A message as a broker hands it on, QoS 0."""
    body = len(topic).to_bytes(2, "big") + topic.encode() + payload
    length = bytearray()
    left = len(body)
    while True:
        left, digit = divmod(left, 128)
        length.append(digit | (128 if left else 0))
        if not left:
            return bytes([0x30 | retained, *length]) + body


PEERS: dict[str, tuple[Behaviour, str]] = {
    "no MQTT": (sends(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "is gone"),
    "noise": (sends(np.random.default_rng(0).bytes(4096)), "is gone"),
    "closes at once": (sends(), "is gone"),
    "closes in the middle": (sends(b"\x20\x02\x00"), "is gone"),
    "closes when connected": (sends(CONNACK), "is gone"),
    "refuses": (sends(b"\x20\x02\x00\x05"), "refuses the connection: Not authorized"),
    "a large packet": (
        goes_on(CONNACK + b"\x31\xff\xff\xff\x7f", bytes(MB)),
        "is gone: it sent a packet of 268435455 bytes",
    ),
    "a length without end": (sends(CONNACK + b"\x30" + b"\xff" * 64), "is gone"),
    "a large packet, byte by byte": (
        goes_on(CONNACK + b"\x31\xff\xff\x03", b"a", 0.01),
        "is gone: it sent a packet of 65535 bytes",
    ),
    "messages nobody asked for": (
        sends(CONNACK, *[published("a/b", b"c" * 50)] * 1000),
        "is gone",
    ),
    "a large message nobody asked for": (
        sends(CONNACK + published("a/b", b"c" * 1000)),
        "is gone: it sent a packet of 1005 bytes",
    ),
    "acknowledges what was never sent": (
        sends(CONNACK, *[b"\x40\x02\x77\x77\x62\x02\x00\x09"] * 1000),
        "is gone",
    ),
    "never acknowledges": (never_answers, "has acknowledged nothing for 0.2 s"),
    "never reads": (never_reads, "has acknowledged nothing for 0.2 s"),
}


@pytest.fixture
def serve() -> Iterator[Callable[[Behaviour], int]]:
    """Starts a broker that does so to everyone; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def one(behave: Behaviour, connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                behave(connection)

        def answer(behave: Behaviour) -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    threading.Thread(target=one, args=(behave, connection), daemon=True).start()

        def start(behave: Behaviour) -> int:
            threading.Thread(target=answer, args=(behave,), daemon=True).start()
            return int(listening.getsockname()[1])

        yield start
        listening.shutdown(socket.SHUT_RDWR)


def answer(number: int) -> Prediction:
    return Prediction(number, 0.0, (Top("red", 0, 1.0),), Latency(0, 0, 0, 0, 0, 0))


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


@pytest.mark.parametrize(("behave", "said"), PEERS.values(), ids=PEERS.keys())
def test_the_run_goes_on_and_it_is_said_once(
    serve: Callable[[Behaviour], int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    behave: Behaviour,
    said: str,
) -> None:
    monkeypatch.setattr(mqtt, "PATIENCE_S", 0.2)
    before, longest = resident(), 0.0
    sink = Mqtt(f"mqtt://127.0.0.1:{serve(behave)}/robot/eye")
    until = time.monotonic() + 1.4  # paho connects again after one second
    number = 0
    while time.monotonic() < until:
        started = time.perf_counter()
        sink.write(answer(number := number + 1), FRAME)
        longest = max(longest, time.perf_counter() - started)
        sink.tell("health", {"frames": number})
        time.sleep(0.005)
    kept = len(sink._client._out_messages)
    started = time.monotonic()
    sink.close()
    assert time.monotonic() - started < 2
    assert longest < 0.5
    assert kept <= 3  # answer, health and status
    assert resident() - before < 30 * MB
    lines = [record.message for record in caplog.records]
    assert sum(said in line for line in lines) == 1, lines
    assert len(lines) <= 2, lines


def test_what_was_not_acknowledged_is_said_to_be_well_again(
    serve: Callable[[Behaviour], int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(mqtt, "PATIENCE_S", 0.2)
    well = threading.Event()

    def wakes(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(CONNACK)
        well.wait(10)
        for number in range(1, 20):
            connection.sendall(b"\x40\x02" + number.to_bytes(2, "big"))
        time.sleep(5)

    sink = Mqtt(f"mqtt://127.0.0.1:{serve(wakes)}/robot/eye")
    sink.write(answer(1), FRAME)
    deadline = time.monotonic() + 10
    while "acknowledged nothing" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    well.set()
    while "is back" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    sink.close()


HEALTH = {"bundle": "a-int8", "bundle_version": "0123", "since": 1.0, "silent_s": 0.0}


def told(name: str, retained: bool = True, **more: object) -> bytes:
    health = json.dumps(HEALTH | more).encode()
    return published(f"edgecnn/{name}/health", health, retained)


def test_a_fleet_that_tells_all_the_time_is_listed(serve: Callable[[Behaviour], int]) -> None:
    # Boards that run publish many times in the half second that nothing kept must come in.
    port = serve(goes_on(CONNACK + SUBACK + told("a"), told("b", retained=False), 0.05))
    with Fleet(f"mqtt://127.0.0.1:{port}") as listening:
        assert {member.topic for member in listening.members()} == {"edgecnn/a", "edgecnn/b"}


@pytest.mark.parametrize(
    ("behave", "message"),
    [
        (goes_on(CONNACK + SUBACK, told("a"), 0.01), "does not come to an end"),
        (never_answers, "does not answer"),
        (goes_on(b"", b"\x00", 0.1), "does not answer"),
        (sends(b"SSH-2.0-OpenSSH_9.2\r\n"), "is gone: .* Is it one"),
        (sends(b"\x20\x02\x00\x05"), "refuses the connection"),
    ],
)
def test_a_fleet_whose_broker_is_none(
    serve: Callable[[Behaviour], int],
    monkeypatch: pytest.MonkeyPatch,
    behave: Behaviour,
    message: str,
) -> None:
    monkeypatch.setattr(fleet, "ANSWER_S", 1.0)
    started = time.monotonic()
    with pytest.raises(EdgeCnnError, match=message):
        Fleet(f"mqtt://127.0.0.1:{serve(behave)}")
    assert time.monotonic() - started < 5


def test_what_strangers_tell_a_fleet(
    serve: Callable[[Behaviour], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "MOST", 50)
    strange = [
        published("edgecnn/\x1b[2J/health", json.dumps(HEALTH).encode()),
        published("edgecnn/x/health", b'{"a":' * 100_0),
        told("y", bundle="\x1b[31m"),
        told("z", since=float("nan")),
        published("edgecnn/w/health", b"\xff\xfe"),
        told("right"),
        *(told(f"made-up-{number}") for number in range(500)),
    ]
    port = serve(goes_on(CONNACK + SUBACK + b"".join(strange), b"\xd0\x00", 0.1))
    with Fleet(f"mqtt://127.0.0.1:{port}") as listening:
        topics = [member.topic for member in listening.members()]
    assert "edgecnn/right" in topics
    assert len(topics) == 50
    assert not {"edgecnn/x", "edgecnn/y", "edgecnn/z", "edgecnn/w"} & set(topics)
    assert all(topic.isprintable() for topic in topics)


def test_a_large_message_to_a_fleet_is_not_taken(
    serve: Callable[[Behaviour], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "ANSWER_S", 1.0)
    before = resident()
    huge = b"\x31\xff\xff\xff\x7f" + b"\x00\x08edgecnn/"
    port = serve(goes_on(CONNACK + SUBACK + huge, bytes(MB)))
    with pytest.raises(EdgeCnnError, match="it sent a packet of 268435455 bytes"):
        Fleet(f"mqtt://127.0.0.1:{port}")
    assert resident() - before < 30 * MB
