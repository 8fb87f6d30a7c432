"""`edgecnn profile`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgecnn.cli.options import (
    THREADS,
    Number,
    RuntimeName,
    board_or_host_option,
    self_check_option,
)

if TYPE_CHECKING:
    from edgecnn.targets.profiling.profile import Profile, ProfileRun

SLOWEST = 12
"""Rows of the table of operators; the JSON has all."""
SENSORS = {"°C": "temperature_c", "MHz": "clock_mhz", "W": "power_w"}


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@board_or_host_option
@click.option(
    "--runtime",
    "runtimes",
    type=RuntimeName(),
    multiple=True,
    help="Only this engine; may be given several times.  [default: all the target prefers]",
)
@click.option(
    "--threads",
    type=THREADS,
    multiple=True,
    help="Threads of the engine; may be given several times.  [default: cores]",
)
@click.option(
    "--runs", type=click.IntRange(1), default=100, show_default=True, help="At least so many."
)
@click.option(
    "--seconds",
    type=Number(0),
    default=1.0,
    show_default=True,
    help="At least so long, each.",
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Spread over so many: more make `compare` surer.",
)
@click.option("--per-layer", is_flag=True, help="Also the time of each operator.")
@click.option(
    "--loadgen",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also run MLPerf's single-stream scenario; its logs go there.",
)
@self_check_option
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write one page to look at."
)
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def command(
    bundle: Path,
    target: str,
    runtimes: tuple[str, ...],
    threads: tuple[int, ...],
    runs: int,
    seconds: float,
    processes: int,
    per_layer: bool,
    loadgen: Path | None,
    self_check: bool,
    html: Path | None,
    as_json: bool,
) -> None:
    """Latency and memory of a bundle on this board, beside the predicted memory.

    \b
    edgecnn profile exports/efficientnet_lite0-int8
    edgecnn profile exports/resnet34-int8 --html resnet34.html
    edgecnn profile exports/resnet34-int8 --target pi@camera1
    edgecnn profile exports/resnet34-int8 --runtime litert --seconds 600   # does it hold?
    edgecnn profile exports/resnet34-int8 --runtime litert --threads 1 --threads 4 --json
    """
    if "@" in target:
        from edgecnn.cli.remote_profile import profile_there

        profile_there(click.get_current_context())
        return
    from edgecnn.bundle import Bundle
    from edgecnn.targets.profiling import loadgen as mlperf
    from edgecnn.targets.profiling import report
    from edgecnn.targets.profiling.profiler import profile

    if html:
        report.check_installed()
    if loadgen:
        mlperf.check_installed()
    with Console(stderr=True).status("") as status:
        found = profile(
            bundle,
            runtimes=runtimes,
            threads=threads,
            runs=runs,
            seconds=seconds,
            processes=processes,
            per_layer=per_layer,
            loadgen=loadgen.absolute() if loadgen else None,
            self_check=self_check,
            roofline=bool(html),
            target=target,
            progress=lambda doing: status.update(f"measuring {doing}"),
        )
    if html:
        manifest = Bundle.load(bundle).manifest
        page = report.render(found, manifest.get("ram_analysis"), manifest["artifacts"])
        report.write(page, html)
        click.echo(f"{html} written", err=True)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1))
    else:
        _show(found)


def _show(found: "Profile") -> None:
    console = Console(highlight=False)
    console.print(f"[bold]{found.bundle}[/] ({found.weights} weights)")
    console.print(f"{found.target}: {found.board}, {found.cpu}", style="dim")
    layers = [_layers(run) for run in found.runs if run.layers]
    drifts = [_drift(found)] if any(run.drift for run in found.runs) else []
    energies = [_energy(found)] if any(run.energy for run in found.runs) else []
    for table in (_latency(found), *drifts, *energies, _frame(found), _memory(found), *layers):
        console.print()
        console.print(table)
    console.print()
    for run in found.runs:
        name = f"{run.runtime}, {_threads(run.threads)}"
        if predicted := run.predicted_bytes:
            parts = {
                "engine": predicted.baseline,
                "weights": predicted.weights,
                "activations": predicted.arena,
                "operators": predicted.graph,
            }
            sum_of = " + ".join(f"{part} {_megabytes(size)}" for part, size in parts.items())
            console.print(f"[dim]{name}: predicted = {sum_of}[/]", soft_wrap=True)
        if run.engine.startswith("tflite-runtime"):
            console.print(
                f"[yellow]{name}: by {escape(run.engine)}, several times slower at int8 than "
                "ai-edge-litert, which needs a 64-bit system[/]",
                soft_wrap=True,
            )
        if run.executed_wider and run.executed_ops:
            whole = sum(run.executed_ops.values())
            console.print(
                f"[yellow]{name}: the {run.precision} model ran in {run.executed_wider} "
                f"({run.executed_ops[run.executed_wider]} of {whole} operators)[/]",
                soft_wrap=True,
            )
        if run.no_layers_reason:
            console.print(f"[yellow]{name}: {escape(run.no_layers_reason)}[/]", soft_wrap=True)
        if run.loadgen:
            result = "valid" if run.loadgen.valid else "too short to be valid"
            console.print(
                f"{name}: LoadGen's single stream p90 {run.loadgen.p90_ms:.2f} ms ({result}), "
                f"logged in {escape(run.loadgen.log)}",
                soft_wrap=True,
            )
        for reason in run.invalid_reasons:
            console.print(
                f"[yellow]{name}: times are not valid, {escape(reason)}[/]", soft_wrap=True
            )
    for skipped in found.skipped:
        console.print(f"[yellow]{skipped.runtime} not measured: {escape(skipped.reason)}[/]")
    best, *others = found.ranked
    lead = ""
    if others:
        second, times = others[0], (others[0].latency_ms.p90, best.latency_ms.p90)
        lead = (
            f", {1 - times[1] / times[0]:.0%} less than {second.runtime} with "
            f"{_threads(second.threads)} ({times[0]:.2f} ms)"
        )
    console.print(
        f"fastest: [bold]{best.runtime}[/] with {_threads(best.threads)}, "
        f"p90 {best.latency_ms.p90:.2f} ms over {best.count} runs{lead}"
        f"{'; --runtime auto takes it from now on' if found.kept else ''}",
        soft_wrap=True,
    )


def _latency(found: "Profile") -> Table:
    table = _table("latency, ms", "runs", "p50", "p90", "p99", "max", "load", "first")
    for run in found.runs:
        ms = run.latency_ms
        table.add_row(
            *(run.runtime, str(run.threads), str(run.count)),
            *(f"{x:.2f}" for x in (ms.p50, ms.p90, ms.p99, ms.max)),
            *(f"{x:.1f}" for x in (run.load_ms, run.first_inference_ms)),
        )
    return table


def _drift(found: "Profile") -> Table:
    part = max(run.drift.part_s for run in found.runs if run.drift)
    shown = {
        unit: name for unit, name in SENSORS.items() if any(_ends(run, name) for run in found.runs)
    }
    table = _table(
        f"sustained against burst: p90 of the last and the first {part:.0f} s, ms",
        *("burst", "sustained", "change", "95% sure", *shown),
    )
    for run in found.runs:
        if drift := run.drift:
            low, high = drift.change_interval
            table.add_row(
                *(run.runtime, str(run.threads)),
                *(f"{drift.burst_p90_ms:.2f}", f"{drift.sustained_p90_ms:.2f}"),
                *(f"{drift.change:+.1%}", f"{low:+.0%}..{high:+.0%}"),
                *(_ends(run, name) for name in shown.values()),
            )
    return table


def _energy(found: "Profile") -> Table:
    columns = ("idle, W", "running, W", "mJ an inference", "95% sure")
    table = _table("energy, the idle board's taken off", *columns)
    for run in found.runs:
        if energy := run.energy:
            low, high = energy.mj_interval
            table.add_row(
                *(run.runtime, str(run.threads)),
                *(f"{energy.idle_w:.2f}", f"{energy.running_w:.2f}"),
                *(f"{energy.mj:.3g}", f"{low:.3g}..{high:.3g}"),
            )
    return table


def _ends(run: "ProfileRun", sensor: str) -> str:
    """What a sensor showed at the start and at the end of a run; empty where it is not there."""
    ends = [getattr(moment.telemetry, sensor) for moment in (run.moments[0], run.moments[-1])]
    return "" if None in ends else "{:.0f}→{:.0f}".format(*ends)


def _frame(found: "Profile") -> Table:
    parts = ("capture", "preprocess", "inference", "postprocess", "total", "cpu")
    table = _table("the way of a 640×480 frame, median ms", *parts)
    for run in found.runs:
        way = run.end_to_end_ms
        times = (way.capture, way.preprocess, way.inference, way.postprocess, way.total_p50)
        table.add_row(run.runtime, str(run.threads), *(f"{x:.2f}" for x in (*times, run.cpu_ms)))
    return table


def _memory(found: "Profile") -> Table:
    steps = ("before", "loaded", "running", "peak", "predicted", "error")
    table = _table("memory of the process, MB", *steps)
    for run in found.runs:
        used, error = run.memory_bytes, run.prediction_error
        measured = (used.before_load, used.after_load, used.after_first_inference, used.peak)
        table.add_row(
            *(run.runtime, str(run.threads)),
            *(_megabytes(x) for x in measured),
            _megabytes(run.predicted_bytes.peak) if run.predicted_bytes else "none",
            "" if error is None else f"{error:+.1%}",
        )
    return table


def _layers(run: "ProfileRun") -> Table:
    layers = run.layers or ()
    slowest = sorted(layers, key=lambda layer: -layer.ms)[:SLOWEST]
    table = Table(
        title=f"the slowest of {len(layers)} operators of {run.runtime}, "
        f"{_threads(run.threads)}, under its profiler",
        box=None,
        title_justify="left",
        padding=(0, 1, 0, 0),
    )
    for column in ("operator", "type"):
        table.add_column(column, overflow="fold")
    for column in ("ms", "share", "MACs", "GMAC/s"):
        table.add_column(column, justify="right")
    whole = sum(layer.ms for layer in layers)
    for layer in slowest:
        macs = (f"{layer.macs:,}", f"{layer.gmacs_per_s:.1f}") if layer.macs else ("", "")
        share = f"{layer.ms / whole:.1%}"
        table.add_row(layer.layer or layer.name, layer.type, f"{layer.ms:.3f}", share, *macs)
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=None, title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("runtime")
    for column in ("threads", *columns):
        table.add_column(column, justify="right")
    return table


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f}"


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
