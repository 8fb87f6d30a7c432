"""An MQTT broker, as a URL and the environment describe it."""

import os
import socket
import ssl
import urllib.parse
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from edgecnn.errors import EdgeCnnError, require
from edgecnn.strict_json import hidden

USERNAME, PASSWORD, CA = "EDGECNN_MQTT_USERNAME", "EDGECNN_MQTT_PASSWORD", "EDGECNN_MQTT_CA"
PORTS = {"mqtt": 1883, "mqtts": 8883}
PREFIX = "edgecnn"
LONGEST = 1000
"""Bytes of a topic; MQTT itself allows 65,535, with what is appended."""


@dataclass(frozen=True)
class Broker:
    """Where states are published, from `mqtt[s]://HOST[:PORT][/TOPIC][?qos=N]`."""

    host: str
    port: int
    tls: bool
    topic: str
    qos: int
    keepalive_s: ClassVar[int] = 15
    """Half as long again without a sign of life, and the broker speaks a client's last will."""

    @classmethod
    def parse(cls, url: str, topic: str | None = None) -> Self:
        """`topic` stands where the URL has none; by default it is this machine's own.

        Raises `EdgeCnnError` for anything else, and for a password in the URL.
        """
        wrong = EdgeCnnError(
            "--mqtt: it is mqtt://HOST[:PORT][/TOPIC][?qos=0|1|2], or mqtts://... for TLS."
        )
        try:
            parts = urllib.parse.urlsplit(url)
        except ValueError:
            raise wrong from None
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
        own = f"{PREFIX}/{socket.gethostname()}"
        topic = urllib.parse.unquote(parts.path.strip("/")) or topic or own
        if parts.scheme not in PORTS or not parts.hostname or query or qos not in ("0", "1", "2"):
            raise wrong
        if set(topic) & set("+#"):
            raise EdgeCnnError(f"--mqtt: the topic has no + or #: {topic}.")
        if hidden(topic) or topic.startswith("$") or len(topic.encode(errors="replace")) > LONGEST:
            raise EdgeCnnError(
                f"--mqtt: brokers refuse the topic {topic[:60]!a}: it is of letters, not too long, "
                "and does not begin with $."
            )
        try:
            parts.hostname.encode("idna")  # as the system's resolver will
        except UnicodeError as error:
            raise EdgeCnnError(f"--mqtt: {parts.hostname[:60]!a} is no host: {error}.") from None
        tls = parts.scheme == "mqtts"
        return cls(parts.hostname, port or PORTS[parts.scheme], tls, topic, int(qos))

    @property
    def name(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    def client(self, largest: int) -> Any:
        """A client of paho with the user's credentials, not connected yet.

        It hangs up on a packet of more than `largest` bytes: MQTT allows 256 MB, for which paho
        makes room as soon as they are announced. `why(reason)` says then why it is disconnected.
        Raises `MissingExtra` without paho, `EdgeCnnError` if the authorities cannot be read.
        """
        mqtt: Any = require("paho.mqtt.client", what="--mqtt", package="paho-mqtt", extra="mqtt")

        class Client(mqtt.Client):  # type: ignore[misc]
            too_large = 0

            def why(self, reason: Any) -> str:
                size, self.too_large = self.too_large, 0
                return f"it sent a packet of {size} bytes" if size else str(reason)

            def _sock_recv(self, bufsize: int) -> bytes:
                if bufsize > largest:
                    self.too_large = bufsize
                    raise OSError("too large")
                data: bytes = super()._sock_recv(bufsize)
                return data

        client = Client(mqtt.CallbackAPIVersion.VERSION2)
        if username := os.environ.get(USERNAME):
            client.username_pw_set(username, os.environ.get(PASSWORD))
        if self.tls:
            client.tls_set_context(_tls(os.environ.get(CA)))
        return client


def _tls(authorities: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise EdgeCnnError(f"{CA}={authorities} cannot be read: {error}.") from None
