"""The newest answer on an MQTT broker.

`TOPIC` holds the newest JSON line, retained; `TOPIC/status` is `online` or, by the last will,
`offline`; what else a sink tells stands beside it. The newest state is what matters: one message
is on its way at a time, states that came meanwhile are replaced, and after every reconnection the
newest is sent again, because a broker that was restarted may have forgotten it.
"""

import json
import logging
import sys
import threading
from collections.abc import Mapping
from typing import Any

from edgecnn.targets.captured import Captured
from edgecnn.targets.live.broker import Broker
from edgecnn.targets.prediction import Prediction

log = logging.getLogger(__name__)
LONGEST_PAUSE_S = 15
GOODBYE_S = 0.5


class Mqtt:
    """Publishes the newest answer; a broker that is away is waited for, and said to be."""

    def __init__(self, url: str) -> None:
        self._broker = broker = Broker.parse(url)
        self._client = client = broker.client()
        self._status_topic = f"{broker.topic}/status"
        client.will_set(self._status_topic, "offline", broker.qos, retain=True)
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
        client.connect_async(broker.host, broker.port, broker.keepalive_s)
        client.loop_start()
        self._thread = threading.Thread(target=self._send, name="mqtt", daemon=True)
        self._thread.start()

    def write(self, prediction: Prediction, captured: Captured) -> None:  # noqa: ARG002
        """Make this the state to be sent next."""
        with self._change:
            self._newest = prediction
            self._change.notify_all()

    def tell(self, name: str, state: Mapping[str, Any]) -> None:
        """Publish a state as `TOPIC/name`, retained, unless the broker is away."""
        if self._online:
            line = json.dumps(state, ensure_ascii=False)
            self._client.publish(
                f"{self._broker.topic}/{name}", line, self._broker.qos, retain=True
            )

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
            log.warning("edgecnn: MQTT broker %s is back.", self._broker.name)
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

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("edgecnn: MQTT broker %s %s. Trying again.", self._broker.name, trouble)
            self._trouble = trouble
