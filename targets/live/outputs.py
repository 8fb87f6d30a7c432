"""Which outputs a run has, and how they are opened."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from edgecnn.targets.board.target import Target
from edgecnn.targets.classifier import Classifier
from edgecnn.targets.live.pulse import Pulse
from edgecnn.targets.live.sinks import Sink
from edgecnn.targets.live.sources.source import FrameSource
from edgecnn.targets.live.stopping import Stop


@dataclass(frozen=True)
class Outputs:
    """Any number at once; with none, lines for people on stdout."""

    jsonl: str | None = None
    """A file, or `-` for stdout."""
    show: bool = False
    record: Path | None = None
    web: str | None = None
    """`HOST:PORT`."""
    mqtt: str | None = None
    """`mqtt://HOST/TOPIC` or `mqtts://HOST/TOPIC`."""
    ros2: str | None = None
    """A ROS 2 topic."""
    snapshots: Path | None = None
    """A folder for frames the network is unsure of."""
    snapshots_below: float = 0.5
    """The probability under which it is, or the part of the way from a threshold."""
    snapshots_limit: int = 200
    """How many are kept."""
    on_change: bool = False
    """Lines and messages only where the decision changed."""

    @property
    def speaks(self) -> bool:
        """Whether any of them tells an answer to somebody."""
        return bool(self.show or self.record or self.web or self.mqtt or self.ros2 or self.jsonl)

    def open(
        self,
        held: ExitStack,
        source: FrameSource,
        classifier: Classifier,
        board: Target,
        stop: Stop,
        pulse: Pulse,
    ) -> list[Sink]:
        """Open them, to be closed with `held`; raises `EdgeCnnError` where one cannot be.

        A file each, imported where it is asked for: a board has no more than it needs.
        """
        sinks: list[Sink] = []

        def add(sink: Sink, *, only_changes: bool = False) -> None:
            held.callback(sink.close)
            if only_changes:
                from edgecnn.targets.live.sinks.changes import Changes

                sink = Changes(sink)
            sinks.append(sink)

        if self.show:
            from edgecnn.targets.live.sinks.window import Window

            add(Window(stop))
        if self.record:
            from edgecnn.targets.live.sinks.record import Recorder

            add(Recorder(self.record, live=source.live, fps=source.fps))
        if self.web:
            from edgecnn.targets.live.sinks.webpage import WebPage

            add(WebPage(self.web, classifier, board, pulse))
        if self.mqtt:
            from edgecnn.targets.live.sinks.health import Health
            from edgecnn.targets.live.sinks.mqtt import Mqtt

            mqtt = Mqtt(self.mqtt)
            add(mqtt, only_changes=self.on_change)
            add(Health(mqtt.tell, classifier, board, pulse))
        if self.ros2:
            from edgecnn.targets.live.sinks.ros2 import Ros2

            add(Ros2(self.ros2), only_changes=self.on_change)
        if self.jsonl:
            from edgecnn.targets.live.sinks.jsonl import JsonLines

            add(JsonLines(self.jsonl), only_changes=self.on_change)
        if self.snapshots:
            from edgecnn.targets.live.sinks.snapshots import Snapshots

            add(
                Snapshots(
                    self.snapshots,
                    below=self.snapshots_below,
                    limit=self.snapshots_limit,
                    head=classifier.head,
                )
            )
        if not self.speaks:
            from edgecnn.targets.live.sinks.terminal import Terminal

            add(Terminal(), only_changes=self.on_change)
        return sinks
