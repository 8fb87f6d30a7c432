"""An atlas for people: Markdown and a picture."""

from pathlib import Path
from typing import Any

from edgecnn.charting.rows import Atlas
from edgecnn.errors import require

DISTURBED = "\\*"


def markdown(found: Atlas) -> str:
    """Two tables, of what the networks are worth and of what they cost, and how they were made."""
    settings, rows = found.recipe.settings, found.rows
    shape = "×".join(map(str, settings.input_shape or ("as published",)))
    names = [row["architecture"] for row in rows]
    engines = list(dict.fromkeys(name for row in rows for name in row["engines"]))
    parts = [
        f"`{found.recipe.data}`, input {shape}, {settings.epochs} epochs from {settings.weights} "
        f"weights, judged on {rows[0]['pictures']:,} test pictures. Brackets are 95% intervals.\n",
        "| network | parameters | MACs | training, s | float32 top-1 | "
        + " | ".join(f"int8 in {name}" for name in engines)
        + " | repair |",
        "|---|---:|---:|---:|---:|" + "---:|" * len(engines) + "---|",
    ]
    for row in rows:
        parts.append(
            f"| {row['architecture']} | {row['parameters']:,} | {row['macs'] / 1e6:.1f} M "
            f"| {row['training_seconds']:.0f} | {_share(row['float32'])} | "
            + " | ".join(_share(row["int8"].get(name)) for name in engines)
            + f" | {_repair(row)} |"
        )
    lost = " | ".join(f"points lost in {name}" for name in engines)
    parts += [
        f"\n| network | {lost} |",
        "|---|" + "---:|" * len(engines),
        *(
            f"| {row['architecture']} | "
            + " | ".join(_lost(row["int8"].get(name)) for name in engines)
            + " |"
            for row in rows
        ),
        "\n| network | "
        + " | ".join(f"{name}, ms | RAM, MB | predicted" for name in engines)
        + " |",
        "|---|" + "---:|---:|---:|" * len(engines),
    ]
    for row in rows:
        told = (_engine(row["engines"].get(name)) for name in engines)
        parts.append(f"| {row['architecture']} | " + " | ".join(told) + " |")
    first = rows[0]
    used = sorted({one["threads"] for row in rows for one in row["engines"].values()})
    made = dict.fromkeys(one["engine"] for row in rows for one in row["engines"].values())
    parts.append(
        f"\nMedian of an inference, {' or '.join(map(str, used))} threads, {first['cpu']}; "
        f"{', '.join(made)}."
    )
    if not all(engine["valid"] for row in rows for engine in row["engines"].values()):
        parts.append(
            f"\n{DISTURBED} disturbed by other programs: `--measure-again` on a quiet machine."
        )
    parts += [f"\n{name} has no row: {why}" for name, why in found.refused.items()]
    parts.append(f"\n{len(names)} networks.")
    return "\n".join(parts) + "\n"


def _share(told: dict[str, Any] | None) -> str:
    if told is None:
        return ""
    low, high = told["interval"]
    return f"{told['top1']:.1%} [{100 * low:.1f}, {100 * high:.1f}]"


def _lost(told: dict[str, Any] | None) -> str:
    if told is None or told["drop"] is None:
        return ""
    low, high = told["drop_interval"]
    return f"{told['drop']:.2f} [{low:.2f}, {high:.2f}]"


def _engine(told: dict[str, Any] | None) -> str:
    if told is None:
        return " | | "
    low, high = told["p50_interval_ms"]
    mark = "" if told["valid"] else DISTURBED
    predicted = told["predicted_ram_bytes"]
    return (
        f"{told['latency_ms']['p50']:.3g} [{low:.3g}, {high:.3g}]{mark} "
        f"| {told['ram_bytes'] / 1e6:.0f} "
        + (
            "| "
            if predicted is None
            else f"| {predicted / 1e6:.0f} ({told['prediction_error']:+.1%})"
        )
    )


def _repair(row: dict[str, Any]) -> str:
    return row["repair"] if row["within_max_drop"] else f"{row['repair']}; none sufficed"


def fastest_engine(row: dict[str, Any]) -> str:
    """Its name, by the median latency."""
    medians: dict[str, float] = {
        name: told["latency_ms"]["p50"] for name, told in row["engines"].items()
    }
    return min(medians, key=medians.__getitem__)


def draw(found: Atlas, path: Path) -> None:
    """int8 accuracy against latency in each row's fastest engine; the size of a point is RAM.

    The file's suffix says whether it is SVG or PNG. Raises `EdgeCnnError` where it cannot be
    written.
    """
    require("matplotlib", what="A picture", package="Matplotlib", extra="train")
    from matplotlib.ticker import LogLocator

    from edgecnn.training.plots import new_figure, plain_log_x, write

    figure = new_figure(10, 6)
    axes = figure.subplots()
    fastest = [(row, fastest_engine(row)) for row in found.rows]
    for engine in dict.fromkeys(name for _, name in fastest):
        mine = [row for row, name in fastest if name == engine]
        told = [row["engines"][engine] for row in mine]
        x = [one["latency_ms"]["p50"] for one in told]
        y = [100 * row["int8"][engine]["top1"] for row in mine]
        points = axes.scatter(
            x, y, s=[one["ram_bytes"] / 4e5 for one in told], label=engine, alpha=0.6, zorder=3
        )
        spans = [row["int8"][engine]["interval"] for row in mine]
        axes.errorbar(
            x,
            y,
            yerr=_beside(y, [(100 * low, 100 * high) for low, high in spans]),
            xerr=_beside(x, [one["p50_interval_ms"] for one in told]),
            fmt="none",
            ecolor=points.get_facecolor()[0],
            alpha=0.5,
        )
        for row, across, up in zip(mine, x, y, strict=True):
            axes.annotate(
                row["architecture"],
                (across, up),
                textcoords="offset points",
                xytext=(6, 6),
                fontsize=8,
            )
    plain_log_x(axes)
    medians = [row["engines"][name]["latency_ms"]["p50"] for row, name in fastest]
    # Where a machine was busy an interval may reach over many decades.
    axes.set_xlim(min(medians) / 2, 2 * max(medians))
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.set(
        xlabel="median latency in the fastest engine, ms, with its 95% interval",
        ylabel="int8 top-1, %, with its 95% interval",
        title=f"{found.recipe.data}: size of a point is RAM",
    )
    axes.grid(alpha=0.3)
    for mark in axes.legend(loc="lower right").legend_handles:
        mark.set_sizes([60])
    write(figure, path)


def _beside(values: list[float], spans: list[Any]) -> list[list[float]]:
    """What lies below and above each value; an interval of a median holds it but for rounding."""
    return [
        [max(0.0, value - low) for value, (low, _) in zip(values, spans, strict=True)],
        [max(0.0, high - value) for value, (_, high) in zip(values, spans, strict=True)],
    ]
