"""A choice as a picture: accuracy over latency, RAM as size, intervals as lines."""

from pathlib import Path

from edgecnn.choosing.choice import Choice
from edgecnn.errors import require

NAMED = 14
"""Networks whose names are written beside them: more would hide each other."""


def draw(found: Choice, path: Path) -> None:
    """Write it as a PNG; raises `EdgeCnnError` where that is not possible."""
    require("matplotlib", what="A picture", package="Matplotlib", extra="train")
    from edgecnn.training.plots import new_figure, plain_log_x, write

    figure = new_figure(10, 6)
    axes = figure.subplots()
    on_front = set(map(id, found.front))
    beaten = [one for one in found.candidates if id(one) not in on_front]
    axes.scatter(
        [one.latency_ms.value for one in beaten],
        [100 * one.accuracy.value for one in beaten if one.accuracy],
        s=8,
        color="tab:gray",
        alpha=0.4,
        label="beaten",
        linewidths=0,
    )
    for engine in dict.fromkeys(one.runtime for one in found.front):
        mine = [one for one in found.front if one.runtime == engine and one.accuracy]
        x = [one.latency_ms.value for one in mine]
        low = [one.latency_ms.value - one.latency_ms.low for one in mine]
        high = [one.latency_ms.high - one.latency_ms.value for one in mine]
        y = [100 * one.accuracy.value for one in mine if one.accuracy]
        points = axes.scatter(
            x, y, s=[one.ram_bytes.value / 4e6 for one in mine], label=engine, zorder=3
        )
        color = points.get_facecolor()[0]
        axes.errorbar(x, y, xerr=[low, high], fmt="none", ecolor=color, alpha=0.5, zorder=2)
    named: set[tuple[str, int]] = set()
    for one in sorted(found.front, key=lambda x: x.latency_ms.value):
        if one.accuracy and len(named) < NAMED and (one.architecture, one.side) not in named:
            named.add((one.architecture, one.side))
            axes.annotate(
                f"{one.architecture} {one.side}",
                (one.latency_ms.value, 100 * one.accuracy.value),
                textcoords="offset points",
                xytext=(5, 5),
                fontsize=8,
            )
    if found.limits.latency_ms is not None:
        axes.axvline(found.limits.latency_ms, color="tab:red", linestyle=":", label="limit")
    plain_log_x(axes)
    axes.tick_params(axis="x", which="minor", labelsize=7)
    axes.set(
        xlabel="latency, ms: with the interval of 90%",
        ylabel="top-1, %",
        title=f"{found.board}: size of a point is RAM",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    write(figure, path)
