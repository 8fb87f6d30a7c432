"""Which outputs a run has, and how they are opened."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgecnn.targets.board.target import Target
from edgecnn.targets.classifier import Classifier
from edgecnn.targets.live.pulse import Pulse
from edgecnn.targets.live.sinks import Sink
from edgecnn.targets.live.sources.source import FrameSource
from edgecnn.targets.live.stopping import Stop
from edgecnn.targets.region import Region

if TYPE_CHECKING:
    from edgecnn.targets.live.shadow import Shadow

LINES, FRAMES = 256, 4
"""How many may be on their way to an output; frames are large."""


class Outputs(NamedTuple):
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
    collect: Path | None = None
    """A folder for frames worth a label."""
    collect_limit_bytes: int = 500_000_000
    """What it may take on the disk."""
    collect_blank: tuple[Region, ...] = ()
    """Parts of the frame that are blackened before it is kept."""
    output_limit_mb: float | None = None
    """What JSON lines may take on the disk, and the recording."""
    on_change: bool = False
    """Lines and messages only where the decision changed."""

    @property
    def speaks(self) -> bool:
        """Whether any of them tells an answer to somebody."""
        said = (self.record, self.web, self.mqtt, self.ros2, self.jsonl)
        return self.show or any(one is not None for one in said)

    def open(
        self,
        held: ExitStack,
        source: FrameSource,
        classifier: Classifier,
        board: Target,
        stop: Stop,
        pulse: Pulse,
        shadow: "Shadow | None" = None,
    ) -> list[Sink]:
        """Open them, to be closed with `held`; raises `EdgeCnnError` where one cannot be.

        A file each, imported where it is asked for: a board has no more than it needs.
        """
        sinks: list[Sink] = []

        limit_bytes = None if self.output_limit_mb is None else int(self.output_limit_mb * 1e6)

        def add(sink: Sink, *, only_changes: bool = False) -> None:
            held.callback(sink.close)
            if only_changes:
                from edgecnn.targets.live.sinks.changes import Changes

                sink = Changes(sink)
            sinks.append(sink)

        def beside(make: Callable[[], Sink], name: str, room: int, **how: bool) -> Sink:
            from edgecnn.targets.live.sinks.beside import Beside

            return Beside(make, name, waits=not source.live, room=room, stop=stop, **how)

        if self.show:
            from edgecnn.targets.live.sinks.window import Window

            add(beside(lambda: Window(stop), "--show", 1, pixels=True, only_newest_counts=True))
        if self.record is not None:
            from edgecnn.targets.live.sinks.record import Recorder

            video, live, fps = self.record, source.live, source.fps
            add(
                beside(
                    lambda: Recorder(video, live=live, fps=fps, limit_bytes=limit_bytes),
                    f"--record {video}",
                    FRAMES,
                    pixels=True,
                )
            )
        if self.web is not None:
            from edgecnn.targets.live.sinks.webpage import WebPage

            add(WebPage(self.web, classifier, board, pulse))
        if self.mqtt is not None:
            from edgecnn.targets.live.sinks.health import Health
            from edgecnn.targets.live.sinks.mqtt import Mqtt

            mqtt = Mqtt(self.mqtt)
            add(mqtt, only_changes=self.on_change)
            add(Health(mqtt.tell, classifier, board, pulse))
        if self.ros2 is not None:
            from edgecnn.targets.live.sinks.ros2 import Ros2

            topic = self.ros2
            add(beside(lambda: Ros2(topic), "--ros2", LINES), only_changes=self.on_change)
        if self.jsonl is not None:
            from edgecnn.targets.live.sinks.jsonl import JsonLines

            file, live = self.jsonl, source.live
            add(
                beside(
                    lambda: JsonLines(file, live=live, limit_bytes=limit_bytes),
                    f"--jsonl {file}",
                    LINES,
                ),
                only_changes=self.on_change,
            )
        if self.snapshots is not None:
            from edgecnn.targets.live.sinks.snapshots import Snapshots, Unsure

            folder, limit = self.snapshots, self.snapshots_limit
            kept = beside(
                lambda: Snapshots(folder, limit=limit), f"--snapshots {folder}", 1, pixels=True
            )
            add(Unsure(kept, below=self.snapshots_below, head=classifier.head))
        if self.collect is not None:
            from edgecnn.targets.live.sinks.collect import Collect, Keeper

            to, most, blanked = self.collect, self.collect_limit_bytes, self.collect_blank
            version = classifier.bundle.version
            keeper = beside(
                lambda: Keeper(to, version, limit_bytes=most, blanked=blanked),
                f"--collect {to}",
                FRAMES,
                pixels=True,
            )
            collect = Collect(keeper, classifier, source)
            add(collect)
            if shadow is not None:
                shadow.differ = collect.differ
        if not self.speaks:
            from edgecnn.targets.live.sinks.terminal import Terminal

            shown = beside(lambda: Terminal(live=source.live), "standard output", LINES)
            add(shown, only_changes=self.on_change)
        return sinks
