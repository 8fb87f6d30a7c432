"""The newest answer on an MQTT broker.

`TOPIC` holds the newest JSON line, retained; `TOPIC/status` is `online` or, by the last will,
`offline`; what else a sink tells stands beside it. The newest state is what matters: one message
is on its way at a time to a topic, states that came meanwhile are replaced, and after every
reconnection the newest is sent again, because a broker that was restarted may have forgotten it.

Whatever a broker sends or does not acknowledge, no more than that is kept, and it is said once.
"""

import json
import logging
import sys
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any

from edgecnn.targets.captured import Captured
from edgecnn.targets.live.broker import Broker
from edgecnn.targets.prediction import Prediction

log = logging.getLogger(__name__)
LONGEST_PAUSE_S = 15
GOODBYE_S = 0.5
PATIENCE_S = 30.0
"""How long a broker may take to acknowledge before that is said."""
LARGEST = 64
"""Bytes of a packet; a client that subscribes to nothing has only acknowledgements to be sent."""


class Mqtt:
    """Publishes the newest answer; a broker that is away is waited for, and said to be."""

    def __init__(self, url: str) -> None:
        self._broker = broker = Broker.parse(url)
        self._client = client = broker.client(LARGEST)
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
        self._told: dict[str, Any] = {}
        """By topic, paho's record of the message that was sent last."""
        self._troubles: set[str] = set()
        """What was said since it was well."""
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
        """Publish a state as `TOPIC/name`, retained, unless the broker is away or busy with one."""
        if self._online:
            line = json.dumps(state, ensure_ascii=False)
            self._tell(f"{self._broker.topic}/{name}", line)

    def close(self) -> None:
        """Say goodbye, if the broker is there, and disconnect."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join()
        heard = False
        if self._online:
            goodbye = self._client.publish(
                self._status_topic, "offline", self._broker.qos, retain=True
            )
            with self._change:
                heard = self._change.wait_for(lambda: self._is_over(goodbye.mid), GOODBYE_S)
        self._client.disconnect()
        # Else paho sleeps between its attempts, or waits to be read; its thread ends when it wakes,
        # or with the process.
        if heard:
            self._client.loop_stop()

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
            with self._change:
                ends = partial(self._is_over_or_closed, message.mid)
                if not self._change.wait_for(ends, PATIENCE_S):
                    if not self._troubles:  # else it is known why
                        self._say("has acknowledged nothing", f" for {PATIENCE_S:g} s. Waiting")
                    self._change.wait_for(ends)

    def _tell(self, topic: str, text: str) -> None:
        """Publish it unless the one before is still on its way, which paho sends again itself."""
        before = self._told.get(topic)
        if before is None or before.rc or before.is_published():
            self._told[topic] = self._client.publish(topic, text, self._broker.qos, retain=True)

    def _is_over(self, number: int) -> bool:
        """Whether the broker has that message, across reconnections; with QoS 0, that it is off."""
        lost = self._broker.qos == 0 and not self._online
        return number in self._acknowledgements or lost

    def _is_over_or_closed(self, number: int) -> bool:
        return self._closed or self._is_over(number)

    def _connected(
        self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._say("refuses the connection", f": {reason}. Trying again")
            return
        self._tell(self._status_topic, "online")
        with self._change:
            self._online = True
            self._newest = self._newest or self._sent
            self._change.notify_all()

    def _failed(self, _client: Any, _userdata: Any) -> None:
        # paho calls this while it handles the error, and does not pass it on.
        reason = sys.exception() or "no reason given"
        self._say("cannot be reached", f": {reason}. Trying again")

    def _disconnected(
        self, client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        with self._change:
            self._online = False
            self._change.notify_all()
        if not self._closed:
            self._say("is gone", f": {client.why(reason)}. Trying again")

    def _acknowledged(
        self, _client: Any, _userdata: Any, number: int, _reason: Any, _properties: Any
    ) -> None:
        if self._troubles:
            # Not when it is connected, which a broker may be that hangs up at once, for ever.
            log.warning("edgecnn: MQTT broker %s is back.", self._broker.name)
            self._troubles.clear()
        with self._change:
            self._acknowledgements.add(number)
            self._change.notify_all()

    def _say(self, trouble: str, more: str) -> None:
        if trouble not in self._troubles:
            log.warning("edgecnn: MQTT broker %s %s%s.", self._broker.name, trouble, more)
            self._troubles.add(trouble)
