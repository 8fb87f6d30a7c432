"""Figures for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from edgecnn.targets.prediction import Prediction

STAGES = ("capture", "preprocess", "inference", "postprocess", "total", "age")
ALARMS = ("camera", "scene")
BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Metrics:
    """Counters and histograms of one run, in a registry of their own."""

    def __init__(self, bundle: str, runtime: str, temperature: Callable[[], float | None]) -> None:
        self._registry = registry = CollectorRegistry()
        Info("edgecnn", "What is running", registry=registry).info(
            {"bundle": bundle, "runtime": runtime}
        )
        self._frames = Counter("edgecnn_frames", "Frames answered", registry=registry)
        self._dropped = Counter("edgecnn_dropped_frames", "Frames not looked at", registry=registry)
        self._failed = Counter("edgecnn_failed_frames", "Engine failed", registry=registry)
        histogram = Histogram(
            "edgecnn_latency_seconds",
            "Time of each stage; age is from capture to answer",
            ("stage",),
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._stages = {stage: histogram.labels(stage) for stage in STAGES}
        self._alarms = Gauge(
            "edgecnn_alarm",
            "1 while the camera or the scene is not like the held-out pictures",
            ("kind",),
            registry=registry,
        )
        self._shadow = {
            name: Gauge(
                f"edgecnn_shadow_{name}",
                f"{what} since the start, of the candidate that looks on",
                ("bundle",),
                registry=registry,
            )
            for name, what in (("frames", "Frames"), ("disagreements", "Other answers"))
        }
        self._temperature = temperature
        self._warmth: Gauge | None = None

    def note(self, prediction: Prediction) -> None:
        """Take one answer."""
        self._frames.inc()
        self._dropped.inc(prediction.dropped)
        if prediction.alarm:
            for kind in ALARMS:
                self._alarms.labels(kind).set(prediction.alarm.kind == kind)
        self._failed.inc(prediction.failed)
        if prediction.shadow:
            for name, gauge in self._shadow.items():
                gauge.labels(prediction.shadow.bundle).set(getattr(prediction.shadow, name))
        for stage, histogram in self._stages.items():
            histogram.observe(getattr(prediction.latency_ms, stage) / 1e3)

    def exposition(self) -> bytes:
        """All of them in Prometheus' text format."""
        celsius = self._temperature()
        if celsius is not None:
            # A board that shows no temperature has no such metric, rather than a wrong one.
            self._warmth = self._warmth or Gauge(
                "edgecnn_temperature_celsius", "Hottest thermal zone", registry=self._registry
            )
            self._warmth.set(celsius)
        text: bytes = generate_latest(self._registry)
        return text
