"""The boards that run now, from what each keeps on an MQTT broker; see `sinks/health.py`."""

import threading
import time
from dataclasses import dataclass
from typing import Any, Self

from edgecnn import strict_json
from edgecnn.errors import EdgeCnnError
from edgecnn.targets.live.broker import PREFIX, Broker
from edgecnn.targets.live.sinks.health import NAME

ANSWER_S = 10.0
SETTLED_S = 0.5
"""Without another message for so long, the broker has told what it keeps."""
LARGEST = 1 << 16
"""Bytes of a packet; a board tells less than a fiftieth of that."""
MOST = 10_000
"""Boards that are kept track of; whoever may write to the broker makes up as many as he likes."""
SILENT_S = 10.0
NAMES = ("bundle", "bundle_version")
FIGURES = ("latency_p99_ms", "age_p99_ms", "temperature_c")
TIMES = ("since", "silent_s")
LATEST = 2.5e11
"""Unix time that calendars still know."""


@dataclass(frozen=True)
class Member:
    """One run of `edgecnn run --mqtt`."""

    topic: str
    online: bool
    """The broker hears it."""
    health: dict[str, Any]
    """What it told last."""

    @property
    def state(self) -> str:
        """`online`, `silent` (no frames come), `stuck` (its loop stands still) or `offline`.

        `alarm`: it is online, and its camera or scene is not what its bundle was measured for.
        """
        if not self.online:
            return "offline"
        if self.health.get("stuck"):
            return "stuck"
        if self.health["silent_s"] > SILENT_S:
            return "silent"
        return "alarm" if self.health.get("alarm") else "online"

    def to_json(self) -> dict[str, Any]:
        """As in `edgecnn fleet --json`."""
        return {"topic": self.topic, "state": self.state, **self.health}


class Fleet:
    """Listens to every board below the URL's topic, `edgecnn` by default."""

    def __init__(self, url: str) -> None:
        """Connect, and wait until the broker has told what it keeps.

        Raises `EdgeCnnError` when it cannot be reached, or refuses.
        """
        self._broker = broker = Broker.parse(url, PREFIX)
        self._client = client = broker.client(LARGEST)
        self._change = threading.Condition()
        self._status: dict[str, str] = {}
        self._health: dict[str, dict[str, Any]] = {}
        self._answer: Any = None
        self._gone = ""
        self._heard_at: float | None = None
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._heard
        client.on_message = self._message
        try:
            client.connect(broker.host, broker.port, broker.keepalive_s)
        except OSError as error:
            raise EdgeCnnError(
                f"MQTT broker {broker.name} cannot be reached: {error}. Is it running?"
            ) from None
        client.loop_start()
        try:
            self._settle()
        except BaseException:
            self.close()
            raise

    @property
    def topic(self) -> str:
        """Below which it listens."""
        return self._broker.topic

    def members(self) -> list[Member]:
        """All that are known at this moment, by topic."""
        with self._change:
            return [
                Member(topic, self._status.get(topic) == "online", health)
                for topic, health in sorted(self._health.items())
            ]

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _settle(self) -> None:
        with self._change:
            until = time.monotonic() + ANSWER_S
            self._change.wait_for(lambda: self._answer or self._gone, ANSWER_S)
            if self._answer and self._answer.is_failure:
                raise EdgeCnnError(
                    f"MQTT broker {self._broker.name} refuses the connection: {self._answer}"
                )
            while self._heard_at is None or time.monotonic() - self._heard_at < SETTLED_S:
                what = self._gone
                if not what and time.monotonic() > until:
                    what = (
                        "does not answer" if self._heard_at is None else "does not come to an end"
                    )
                if what:
                    raise EdgeCnnError(f"MQTT broker {self._broker.name} {what}. Is it one?")
                self._change.wait(SETTLED_S)

    def _connected(
        self, client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if not reason.is_failure:
            # Not `#`: every board's answers, many a second, would come along.
            kinds = [f"{where}/{kind}" for where in ("", "/+") for kind in ("status", NAME)]
            client.subscribe([(f"{self.topic}{kind}", 1) for kind in kinds])
        with self._change:
            self._answer = reason
            self._change.notify_all()

    def _disconnected(
        self, client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        with self._change:
            self._gone = f"is gone: {client.why(reason)}"
            self._change.notify_all()

    def _heard(self, *_: Any) -> None:
        with self._change:
            self._heard_at = time.monotonic()
            self._change.notify_all()

    def _message(self, _client: Any, _userdata: Any, message: Any) -> None:
        try:
            topic, _, kind = message.topic.rpartition("/")
            text = message.payload.decode()
            health = strict_json.parse(message.payload) if kind == NAME else {}
        except ValueError:
            return  # somebody else's topic
        if strict_json.hidden(topic):
            return
        with self._change:
            if kind == "status":
                _keep(self._status, topic, text)
            elif _is_health(health):
                _keep(self._health, topic, health)
        if message.retain:  # boards that run tell something all the time
            self._heard()


def _keep(where: dict[str, Any], topic: str, state: Any) -> None:
    if topic in where or len(where) < MOST:
        where[topic] = state


def _is_health(found: Any) -> bool:
    """Whether a message is what `sinks/health.py` tells; others may write to the broker too."""
    if not isinstance(found, dict):
        return False
    return (
        all(isinstance(found.get(key), str) for key in NAMES)
        and all(_is_number(found.get(key, 0)) or found[key] is None for key in FIGURES)
        and all(_is_number(found.get(key)) for key in TIMES)
        and bool(found["since"] >= 0)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < LATEST
