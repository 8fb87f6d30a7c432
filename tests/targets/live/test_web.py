import contextlib
import json
import queue
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgecnn.errors import EdgeCnnError
from edgecnn.targets.board.machine import Machine
from edgecnn.targets.board.target import detect
from edgecnn.targets.captured import Captured
from edgecnn.targets.classifier import Classifier, load
from edgecnn.targets.prediction import Alarm
from edgecnn.targets.region import Region

pytest.importorskip("aiohttp", reason="--web needs the extra 'web'")
pytest.importorskip("prometheus_client", reason="--web needs the extra 'web'")
from edgecnn.targets.live.sinks.webpage import WebPage
from edgecnn.targets.live.web.access import Access, is_loopback
from edgecnn.targets.live.web.jpeg import MAX_SIDE, Encoder, encode

RED = np.full((48, 64, 3), (0, 0, 255), np.uint8)


@pytest.fixture(scope="module")
def classifier(colour_bundle: Path) -> Classifier:
    return load(colour_bundle, threads=1)


@pytest.fixture
def warm(tmp_path: Path) -> Machine:
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("48500\n")
    return Machine(tmp_path, "x86_64")


@pytest.fixture
def page(classifier: Classifier, warm: Machine) -> Iterator[WebPage]:
    with contextlib.closing(WebPage("127.0.0.1:0", classifier, detect(warm))) as served:
        yield served


def show(page: WebPage, classifier: Classifier, count: int = 1) -> None:
    for index in range(count):
        captured = Captured.now(RED, index)
        page.write(classifier.predict(captured), captured)


def get(url: str, **headers: str) -> tuple[int, str, Any]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers


def test_the_page_and_its_parts(page: WebPage) -> None:
    status, body, headers = get(page.url)
    assert status == 200
    assert "picture.mjpeg" in body
    assert headers["Content-Security-Policy"].startswith("default-src 'self'")
    for part in ("page.css", "page.js"):
        assert part in body
        assert get(page.url + part)[0] == 200
    assert get(page.url + "elsewhere")[0] == 404


def test_health_and_metrics_and_history(page: WebPage, classifier: Classifier) -> None:
    status, body, _ = get(page.url + "healthz")
    assert (status, json.loads(body)["live"]) == (200, False)  # no camera yet is no standstill
    show(page, classifier, 3)
    status, body, _ = get(page.url + "healthz")
    assert (status, json.loads(body)["live"]) == (200, True)
    metrics = get(page.url + "metrics")[1].splitlines()
    assert "edgecnn_frames_total 3.0" in metrics
    assert 'edgecnn_latency_seconds_count{stage="inference"} 3.0' in metrics
    assert "edgecnn_temperature_celsius 48.5" in metrics
    assert len(json.loads(get(page.url + "history")[1])) >= 1


def test_the_status_events(page: WebPage, classifier: Classifier) -> None:
    show(page, classifier, 2)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(page.url + "status", timeout=10) as events:
        line = events.readline().decode()
    status = json.loads(line.removeprefix("data: "))
    assert status["top"][0]["label"] == "red"
    assert (status["frames"], status["live"], status["temperature_c"]) == (2, True, 48.5)


def test_an_alarm_is_on_the_page_and_in_the_metrics(page: WebPage, classifier: Classifier) -> None:
    assert 'edgecnn_alarm{kind="camera"}' not in get(page.url + "metrics")[1]  # none was asked for
    captured = Captured.now(RED, 0)
    dark = Alarm("camera", ("dark",), 1.0)
    page.write(replace(classifier.predict(captured), alarm=dark), captured)
    metrics = get(page.url + "metrics")[1].splitlines()
    assert 'edgecnn_alarm{kind="camera"} 1.0' in metrics
    assert 'edgecnn_alarm{kind="scene"} 0.0' in metrics
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(page.url + "status", timeout=10) as events:
        status = json.loads(events.readline().decode().removeprefix("data: "))
    assert status["alarm"] == "camera: dark"


def test_where_it_looked_is_shown_to_who_asks(page: WebPage, classifier: Classifier) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(page.url + "explained.mjpeg", timeout=10) as stream:
        frames = 0
        while not page.explains or frames < 3:
            show(page, classifier)
            frames += 1
            assert frames < 10_000
        show(page, classifier, 100)  # one part a frame, 81 in all
        jpeg = read_part(stream)
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert min(image.shape[:2]) >= 224


def test_the_picture_reaches_every_viewer(page: WebPage, classifier: Classifier) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with contextlib.ExitStack() as viewers:
        streams = [
            viewers.enter_context(opener.open(page.url + "picture.mjpeg", timeout=10))
            for _ in range(3)
        ]
        deadline = time.monotonic() + 10
        seen: list[bytes] = []
        show(page, classifier)
        while not seen and time.monotonic() < deadline:
            show(page, classifier)
            seen = [read_part(stream) for stream in streams]
        assert page.viewers == 3
    assert len(set(seen)) == 1
    image = cv2.imdecode(np.frombuffer(seen[0], np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == RED.shape
    assert np.abs(image.astype(int) - RED).max() < 10


def read_part(stream: Any) -> bytes:
    head = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n"
    assert stream.read(len(head)) == head
    # Without waiting for another: Chromium shows a picture when it has the next one's headers.
    after = b"\r\n" + head
    part = b""
    while not part.endswith(after):
        byte = stream.read(1)
        assert byte
        part += byte
    return part.removesuffix(after)


def test_nothing_is_encoded_while_nobody_watches(
    page: WebPage, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []

    def count(*_: object) -> bytes:
        encoded.append(1)
        return b""

    monkeypatch.setattr("edgecnn.targets.live.web.jpeg.encode", count)
    show(page, classifier, 5)
    time.sleep(0.2)
    assert not encoded


def test_another_name_for_this_machine_is_refused(page: WebPage) -> None:
    assert get(page.url, Host="evil.example")[0] == 403
    assert get(page.url, Host="localhost:8080")[0] == 200
    assert get(page.url, Host="[::1]")[0] == 200


def test_beyond_loopback_a_token_is_asked_for(
    classifier: Classifier, warm: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGECNN_WEB_TOKEN", "correct horse")
    with contextlib.closing(WebPage("0.0.0.0:0", classifier, detect(warm))) as page:
        url = f"http://127.0.0.1:{page.url.split(':')[2].split('/')[0]}/"
        show(page, classifier)
        for path in ("", "picture.mjpeg", "status", "metrics", "history", "page.js"):
            status, body, _ = get(url + path)
            assert status == 401
            assert "Token, as edgecnn printed it" in body
            assert "correct" not in body
        assert get(url + "?token=wrong")[0] == 401
        assert get(url + "healthz")[0] == 200
        assert get(url + "metrics", Authorization="Bearer correct horse")[0] == 200
        jar = urllib.request.HTTPCookieProcessor()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), jar)
        with opener.open(url + "?token=correct%20horse", timeout=10) as answer:
            assert answer.url == url  # the token is out of the address
            assert b"picture.mjpeg" in answer.read()
        (cookie,) = jar.cookiejar
        assert cookie.has_nonstandard_attr("HttpOnly")


def test_tokens() -> None:
    one, two = Access.parse("0.0.0.0:80"), Access.parse("0.0.0.0:80")
    assert one.token
    assert one.token != two.token
    assert one.token not in repr(one)
    assert not one.admits(None)
    assert not one.admits("")
    assert Access.parse("[::1]:80").url(80) == "http://[::1]:80/"
    assert Access.parse(":80").host == "127.0.0.1"


def test_an_address_on_all_networks_is_said_as_a_phone_can_open_it() -> None:
    said = urllib.parse.urlsplit(Access.parse("0.0.0.0:80").url(80)).hostname
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_network:
        try:
            any_network.connect(("198.51.100.1", 9))
        except OSError:
            assert said == "0.0.0.0"  # there is no network to open it from
        else:
            assert said == any_network.getsockname()[0]


def test_a_short_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECNN_WEB_TOKEN", "short")
    with pytest.raises(EdgeCnnError, match="too short"):
        Access.parse("0.0.0.0:80")


@pytest.mark.parametrize("address", ["8080", "localhost", "127.0.0.1:web", "127.0.0.1:70000", ""])
def test_an_address_that_makes_no_sense(address: str) -> None:
    with pytest.raises(EdgeCnnError, match=r"HOST:PORT"):
        Access.parse(address)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("192.168.1.5", False),
        ("127.0.0.1.evil.example", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_a_port_in_use_is_one_clear_line(classifier: Classifier, warm: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(EdgeCnnError, match="Choose another port"):
            WebPage(address, classifier, detect(warm))


@pytest.mark.parametrize("address", ["a..b:80", f"{'x' * 64}.example:80", "nohost", "h:99999"])
def test_no_address_is_one_clear_line(classifier: Classifier, warm: Machine, address: str) -> None:
    with pytest.raises(EdgeCnnError, match=r"^--web "):
        WebPage(address, classifier, detect(warm))


@pytest.mark.parametrize("shape", [(1, 3000, 3), (3000, 1, 3), (1, 1, 3), (2, 3000)])
def test_frames_of_any_shape_are_shown(shape: tuple[int, ...]) -> None:
    assert encode(np.zeros(shape, np.uint8), None).startswith(b"\xff\xd8")


def test_a_frame_that_cannot_be_shown_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made: queue.Queue[bytes] = queue.Queue()
    answers: Iterator[ValueError | bytes] = iter([ValueError("no"), ValueError("no"), b"jpeg"])

    def encoded(*_: object) -> bytes:
        answer = next(answers)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    monkeypatch.setattr("edgecnn.targets.live.web.jpeg.encode", encoded)
    monkeypatch.setattr("edgecnn.targets.live.web.jpeg.MAX_FPS", 1000)
    encoder = Encoder(lambda: True, made.put)
    deadline = time.monotonic() + 10
    while made.empty() and time.monotonic() < deadline:
        encoder.offer(RED, None)
        time.sleep(0.01)
    assert made.get(timeout=1) == b"jpeg"
    assert caplog.text.count("cannot be shown") == 1
    encoder.close()


def test_big_frames_are_scaled_and_the_region_is_framed() -> None:
    big = np.zeros((1080, 1920, 3), np.uint8)
    jpeg = encode(big, Region(0.25, 0.25, 0.5, 0.5))
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert max(image.shape) == MAX_SIDE
    assert image[image.shape[0] // 4, image.shape[1] // 2].min() > 150
    assert image[image.shape[0] // 2, image.shape[1] // 2].max() < 50
