"""The newest answer on an MQTT broker.

`TOPIC` holds the newest JSON line, retained; `TOPIC/status` is `online` or, by the last will,
`offline`. The newest state is what matters: one message is on its way at a time, states that
came meanwhile are replaced, and after every reconnection the newest is sent again, because a
broker that was restarted may have forgotten it.
"""

import json
import logging
import os
import socket
import ssl
import sys
import threading
import urllib.parse
from dataclasses import dataclass
from typing import Any, Self

from edgecnn.errors import EdgeCnnError, require
from edgecnn.targets.prediction import Prediction
from edgecnn.targets.sources.source import Captured

log = logging.getLogger(__name__)
USERNAME, PASSWORD, CA = "EDGECNN_MQTT_USERNAME", "EDGECNN_MQTT_PASSWORD", "EDGECNN_MQTT_CA"
PORTS = {"mqtt": 1883, "mqtts": 8883}
KEEPALIVE_S = 15
LONGEST_PAUSE_S = 15
GOODBYE_S = 0.5


@dataclass(frozen=True)
class Broker:
    """Where to publish, from `mqtt[s]://HOST[:PORT][/TOPIC][?qos=N]`."""

    host: str
    port: int
    tls: bool
    topic: str
    qos: int

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raises `EdgeCnnError` for anything else, and for a password in the URL."""
        wrong = EdgeCnnError(
            "--mqtt: it is mqtt://HOST[:PORT][/TOPIC][?qos=0|1|2], or mqtts://... for TLS."
        )
        parts = urllib.parse.urlsplit(url)
        if parts.username or parts.password:
            # Every user of a machine sees its processes' command lines.
            raise EdgeCnnError(
                f"--mqtt: user and password come from the environment, {USERNAME} and {PASSWORD}."
            )
        try:
            port = parts.port
        except ValueError:
            raise wrong from None
        query = urllib.parse.parse_qs(parts.query)
        qos = query.pop("qos", ["1"])[-1]
        topic = urllib.parse.unquote(parts.path.strip("/")) or f"edgecnn/{socket.gethostname()}"
        if parts.scheme not in PORTS or not parts.hostname or query or qos not in ("0", "1", "2"):
            raise wrong
        if set(topic) & set("+#"):
            raise EdgeCnnError(f"--mqtt: a topic to publish to has no + or #: {topic}.")
        tls = parts.scheme == "mqtts"
        return cls(parts.hostname, port or PORTS[parts.scheme], tls, topic, int(qos))


class Mqtt:
    """Publishes the newest answer; a broker that is away is waited for, and said to be."""

    def __init__(self, url: str) -> None:
        self._broker = broker = Broker.parse(url)
        mqtt: Any = require("paho.mqtt.client", what="--mqtt", package="paho-mqtt", extra="mqtt")
        self._client = client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._status_topic = f"{broker.topic}/status"
        client.will_set(self._status_topic, "offline", broker.qos, retain=True)
        if username := os.environ.get(USERNAME):
            client.username_pw_set(username, os.environ.get(PASSWORD))
        if broker.tls:
            client.tls_set_context(_tls(os.environ.get(CA)))
        client.reconnect_delay_set(1, LONGEST_PAUSE_S)
        client.on_connect = self._connected
        client.on_connect_fail = self._failed
        client.on_disconnect = self._disconnected
        client.on_publish = self._acknowledged

        self._change = threading.Condition()
        self._newest: Prediction | None = None
        self._sent: Prediction | None = None
        self._online = self._closed = False
        self._acknowledgements: set[int] = set()
        self._trouble = ""
        # Connecting happens in paho's thread: a robot may be up before its broker is.
        client.connect_async(broker.host, broker.port, KEEPALIVE_S)
        client.loop_start()
        self._thread = threading.Thread(target=self._send, name="mqtt", daemon=True)
        self._thread.start()

    def write(self, prediction: Prediction, captured: Captured) -> None:  # noqa: ARG002
        """Make this the state to be sent next."""
        with self._change:
            self._newest = prediction
            self._change.notify_all()

    def close(self) -> None:
        """Say goodbye, if the broker is there, and disconnect."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join()
        if self._online:
            goodbye = self._client.publish(
                self._status_topic, "offline", self._broker.qos, retain=True
            )
            self._wait_for(goodbye.mid, GOODBYE_S)
            self._client.disconnect()
            self._client.loop_stop()
        else:
            # paho sleeps between its attempts; its thread ends when it wakes, or with the process.
            self._client.disconnect()

    def _send(self) -> None:
        while True:
            with self._change:
                while not (self._closed or (self._newest and self._online)):
                    self._change.wait()
                if self._newest is None or not self._online:
                    return
                self._sent, self._newest = self._newest, None
                self._acknowledgements.clear()  # message numbers come again after 65,535
            line = json.dumps(self._sent.to_json(), ensure_ascii=False)
            # Not under our lock: paho calls back with its own locks held.
            message = self._client.publish(self._broker.topic, line, self._broker.qos, retain=True)
            self._wait_for(message.mid, None)

    def _wait_for(self, number: int, timeout_s: float | None) -> None:
        """Until the broker has that message, across reconnections; with QoS 0 until it is off."""

        def done() -> bool:
            lost = self._broker.qos == 0 and not self._online
            hurried = timeout_s is None and self._closed
            return number in self._acknowledgements or lost or hurried

        with self._change:
            self._change.wait_for(done, timeout_s)

    def _connected(
        self, client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._say(f"refuses the connection: {reason}")
            return
        if self._trouble:
            log.warning("edgecnn: MQTT broker %s is back.", self._name)
            self._trouble = ""
        client.publish(self._status_topic, "online", self._broker.qos, retain=True)
        with self._change:
            self._online = True
            self._newest = self._newest or self._sent
            self._change.notify_all()

    def _failed(self, _client: Any, _userdata: Any) -> None:
        # paho calls this while it handles the error, and does not pass it on.
        self._say(f"cannot be reached: {sys.exception() or 'no reason given'}")

    def _disconnected(
        self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        with self._change:
            self._online = False
            self._change.notify_all()
        if not self._closed:
            self._say(f"is gone: {reason}")

    def _acknowledged(
        self, _client: Any, _userdata: Any, number: int, _reason: Any, _properties: Any
    ) -> None:
        with self._change:
            self._acknowledgements.add(number)
            self._change.notify_all()

    @property
    def _name(self) -> str:
        return f"{self._broker.host}:{self._broker.port}"

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("edgecnn: MQTT broker %s %s. Trying again.", self._name, trouble)
            self._trouble = trouble


def _tls(authorities: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise EdgeCnnError(f"{CA}={authorities} cannot be read: {error}.") from None
