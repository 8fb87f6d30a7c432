"""How-to pages whose code needs a broker, or what is not here."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from pytest_examples import EvalExample, find_examples

import edgecnn
from edgecnn.cli.run import command as run

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
DEMO = Path(edgecnn.__file__).parent / "demo"
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


def yaml_of(page: str) -> Any:
    text = (HOW_TO / page).read_text()
    return yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    """The port of a real one."""
    if MOSQUITTO is None:
        pytest.skip("no mosquitto here: apt-get install mosquitto")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    settings = tmp_path / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with subprocess.Popen([MOSQUITTO, "-c", str(settings)], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield port
        process.terminate()


def test_home_assistant_and_a_robot_read_what_run_publishes(
    broker: int, eval_example: EvalExample
) -> None:
    import paho.mqtt.subscribe

    newest: Any = paho.mqtt.subscribe.simple
    said = CliRunner().invoke(
        run,
        [
            *(str(DEMO / "bundle"), "--source", str(DEMO / "pictures"), "--runtime", "litert"),
            *("--threshold", "0.6", "--smooth", "majority:15", "--on-change"),
            *("--mqtt", f"mqtt://127.0.0.1:{broker}/kitchen/eye"),
        ],
    )
    assert said.exit_code == 0, said.output
    sensor, age = yaml_of("mqtt.md")["mqtt"]["sensor"]
    message = newest(sensor["state_topic"], hostname="127.0.0.1", port=broker)
    line = json.loads(message.payload)

    def read(template: str) -> str:
        return jinja2.Template(template).render(value_json=line)

    labels = (DEMO / "bundle" / "labels.txt").read_text().splitlines()
    assert read(sensor["value_template"]) in (*labels, "unknown")
    assert json.loads(read(sensor["json_attributes_template"])) == line["decision"]
    assert 0 < float(read(age["value_template"])) < 10_000
    status = newest(sensor["availability_topic"], hostname="127.0.0.1", port=broker)
    assert status.payload.decode() == sensor["payload_not_available"]

    (example,) = find_examples(HOW_TO / "mqtt.md")
    eval_example.set_config(line_length=100)
    found = eval_example.run_print_check(example, module_globals={"PORT": broker})
    assert found["line"] == line


def test_the_ros_node_reads_images_as_they_are_sent() -> None:
    (example,) = find_examples(HOW_TO / "ros2.md")
    node: dict[str, Any] = {"__name__": "edgecnn_node"}
    exec(compile(example.source, "edgecnn_node.py", "exec"), node)
    frame = np.random.default_rng(0).integers(0, 255, (5, 7, 3)).astype(np.uint8)

    def message(encoding: str, pixels: np.ndarray[Any, Any], spare: int = 0) -> SimpleNamespace:
        rows = pixels.reshape(len(pixels), -1)
        padded = np.pad(rows, ((0, 0), (0, spare)))
        return SimpleNamespace(
            **{"encoding": encoding, "height": 5, "width": 7},
            **{"step": padded.shape[1], "data": padded.tobytes()},
        )

    frame_of = node["frame_of"]
    np.testing.assert_array_equal(frame_of(message("bgr8", frame)), frame)
    np.testing.assert_array_equal(frame_of(message("bgr8", frame, spare=3)), frame)
    np.testing.assert_array_equal(frame_of(message("rgb8", frame[..., ::-1])), frame)
    grey = frame[..., :1]
    np.testing.assert_array_equal(frame_of(message("mono8", grey, 1)), grey.repeat(3, axis=2))
    with pytest.raises(ValueError, match="bayer_rggb8 is none of"):
        frame_of(message("bayer_rggb8", grey))
    classify = edgecnn.load(DEMO / "bundle", runtime="litert")
    assert classify(frame_of(message("bgr8", frame))).label in classify.bundle.labels
