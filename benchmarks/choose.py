"""How far `edgecnn choose` can be trusted: predictions against networks it has not seen.

    python -m benchmarks.choose_measure .cache/choose.json       # measure, half an hour
    python -m benchmarks.choose .cache/choose.json               # judge, a minute

- **Left out**: for each engine, precision and number of threads on this machine, the latency of
  each network predicted by the rates from all others: its error, and how often an interval of 90%
  holds the truth, its width being that of the others' errors.
- **Few networks**: rates known of one engine, moved to another engine by one network or a few,
  predict the rest. An engine stands for another processor here; on Raspberry Pis the same is done
  from one model to the next, with published figures.
- **Nothing measured**: rates fitted to one engine's latencies of the networks that are published
  for a board predict another engine: what others' figures are worth.
- **Order**: rank correlation with the published rows of each board, by rates from this machine
  that have seen no row, and by rates from the board's other rows.
- **Memory**: `--memory` adds the peak of a process, measured against predicted.

It writes docs/benchmarks/choose.md and .json, and what `edgecnn choose` takes as known:
edgecnn/choosing/reference.json.
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from edgecnn import __version__
from edgecnn.choosing.boards import Observed, known_rows, observed
from edgecnn.choosing.rates import Rates, errors_left_out, fitted, half_width
from edgecnn.targets.board.target import detect
from edgecnn.targets.engines import runtimes
from edgecnn.targets.profiling import catalogue

ROOT = Path(__file__).parents[1]
DRAWS = 6
"""Different few networks, for each number of them."""
FEW = (1, 2, 4, 8)
BOARDS = ("raspberrypi-3b-plus", "raspberrypi-4b-8gb", "raspberrypi-5-8gb", "raspberrypi-zero2w")

Key = tuple[str, str, int]
"""Engine, precision and threads."""


class Rows:
    """Latencies of networks under one key."""

    def __init__(self, rows: Sequence[Observed]) -> None:
        self.work = np.stack([row.work for row in rows])
        self.ms = np.array([row.ms for row in rows])
        self.names = np.array([row.architecture for row in rows])
        self.sides = np.array([row.side for row in rows])

    def of(self, wanted: Any) -> "Rows":
        """Some of them."""
        found = object.__new__(Rows)
        for name, values in vars(self).items():
            setattr(found, name, values[wanted])
        return found

    def fitted(self, before: Rates | None = None) -> Rates:
        """Rates from all of them."""
        return fitted(self.work, self.ms, before)

    def errors(self, rates: Rates) -> Any:
        """log(predicted / measured)."""
        return np.log(rates.ms(self.work) / self.ms)


def by_key(rows: Sequence[Observed]) -> dict[Key, Rows]:
    """Sorted out."""
    keys = sorted({(one.engine, one.precision, one.threads) for one in rows})
    return {
        key: Rows([one for one in rows if (one.engine, one.precision, one.threads) == key])
        for key in keys
    }


def known_elsewhere(rows: dict[Key, Rows], key: Key, left: str) -> Rates:
    """What the other engines say of rates, without a network that is left out."""
    logs = [
        np.log(found.of(found.names != left).fitted().values)
        for (engine, *rest), found in rows.items()
        if engine != key[0] and tuple(rest) == key[1:]
    ]
    return Rates(np.exp(np.mean(logs, axis=0)))


def left_out(rows: dict[Key, Rows], key: Key) -> dict[str, Any]:
    """Each network predicted by the others, with an interval from the others' errors."""
    mine = rows[key]
    errors = np.zeros(len(mine.ms))
    for name in set(mine.names):
        this = mine.names == name
        rates = mine.of(~this).fitted(known_elsewhere(rows, key, name))
        errors[this] = mine.of(this).errors(rates)
    held = [
        abs(error) <= half_width(errors[mine.names != name])
        for name, error in zip(mine.names, errors, strict=True)
    ]
    return {
        "networks": len(set(mine.names)),
        "latencies": len(errors),
        "median_error": float(np.median(np.abs(np.expm1(errors)))),
        "coverage_90": float(np.mean(held)),
        "half_width": half_width(errors),
        "errors": {
            f"{name} {side}": round(float(np.expm1(error)), 3)
            for name, side, error in zip(mine.names, mine.sides, errors, strict=True)
        },
    }


def few(rows: dict[Key, Rows]) -> dict[int, Any]:
    """Errors after so many networks of an engine, by rates known from another engine."""
    rng = np.random.default_rng(0)
    errors: dict[int, list[float]] = {count: [] for count in FEW}
    for (engine, precision, threads), mine in rows.items():
        for other, wide, as_many in rows:
            if other == engine or (wide, as_many) != (precision, threads):
                continue
            before = rows[other, wide, as_many].fitted()
            names = np.unique(mine.names)
            for count in FEW:
                for _ in range(DRAWS):
                    seen = np.isin(mine.names, rng.choice(names, count, replace=False))
                    rates = mine.of(seen).fitted(before)
                    errors[count] += mine.of(~seen).errors(rates).tolist()
    return {count: summary(found) for count, found in errors.items()}


def others(rows: dict[Key, Rows], published: Sequence[str]) -> dict[str, Any]:
    """Errors for an engine by rates fitted to another's latencies of the published networks."""
    errors: list[float] = []
    for (engine, precision, threads), mine in rows.items():
        for other, wide, as_many in rows:
            if other == engine or (wide, as_many) != (precision, threads):
                continue
            theirs = rows[other, wide, as_many]
            seen = np.isin(theirs.names, published) & (theirs.sides > 128)
            for third, *rest in rows:
                if third in (engine, other) or rest != [precision, threads]:
                    continue
                # What is known before must not be of the engine that is asked about.
                before = rows[third, precision, threads].fitted()
                errors += mine.errors(theirs.of(seen).fitted(before)).tolist()
    return summary(errors)


def summary(errors: Sequence[float]) -> dict[str, Any]:
    """What to know of errors of log latency."""
    found = np.array(errors)
    width = half_width(found)
    return {
        "predictions": len(found),
        "median_error": float(np.median(np.abs(np.expm1(found)))),
        "half_width": width if math.isfinite(width) else None,
    }


def on_boards(rows: dict[Key, Rows]) -> Iterator[dict[str, Any]]:
    """Published rows against predictions that have not seen them."""
    tables = {name: by_key(known_rows(catalogue.load(name))) for name in BOARDS}
    for name, keys in tables.items():
        for (engine, precision, threads), theirs in keys.items():
            wide = "int8" if precision == "int8" else "fp32"
            prior = rows["litert", wide, min(threads, 2)].fitted()
            blind = prior.ms(theirs.work)
            found: dict[str, Any] = {
                "board": name,
                "engine": engine,
                "precision": precision,
                "threads": threads,
                "rows": len(theirs.ms),
                "rank_blind": rank(blind, theirs.ms),
            }
            if len(theirs.ms) >= 4:
                errors = errors_left_out(theirs.work, theirs.ms, theirs.names.tolist(), prior)
                found["rank_left_out"] = rank(theirs.ms * np.exp(errors), theirs.ms)
                found["median_error_left_out"] = float(np.median(np.abs(np.expm1(errors))))
            one = [
                error
                for place in range(len(theirs.ms))
                for error in theirs.of(np.arange(len(theirs.ms)) != place).errors(
                    theirs.of([place]).fitted(prior)
                )
            ]
            found["one_network"] = summary(one) if one else None
            yield found


def rank(predicted: Any, measured: Any) -> float | None:
    """Spearman's rank correlation; None of too few."""
    return float(spearmanr(predicted, measured).statistic) if len(measured) >= 4 else None


def all_boards(rows: dict[Key, Rows]) -> dict[str, Any]:
    """Every published row of a board together, each engine and precision in its own time."""
    found = {}
    for name in BOARDS:
        predicted: list[float] = []
        measured: list[float] = []
        for (_, precision, threads), theirs in by_key(known_rows(catalogue.load(name))).items():
            wide = "int8" if precision == "int8" else "fp32"
            prior = rows["litert", wide, min(threads, 2)].fitted()
            predicted += prior.ms(theirs.work).tolist()
            measured += theirs.ms.tolist()
        found[name] = {"rows": len(measured), "rank_blind": rank(predicted, measured)}
    return found


def xnnpack_from_ncnn(rows: dict[Key, Rows], reach: float) -> list[dict[str, Any]]:
    """LiteRT's kernels on a Raspberry Pi, by rates from ncnn's figures there."""
    found = []
    for name in ("raspberrypi-4b-8gb", "raspberrypi-3b-plus"):
        keys = by_key(known_rows(catalogue.load(name)))
        for precision in ("int8", "fp32"):
            prior = rows["litert", precision, 2].fitted()
            rates = keys["ncnn", precision, 4].fitted(prior)
            theirs = keys["litert", precision, 4]
            for network, ms, error in zip(
                theirs.names, theirs.ms, theirs.errors(rates), strict=True
            ):
                found.append(
                    {
                        "board": name,
                        "network": str(network),
                        "precision": precision,
                        "published_ms": float(ms),
                        "predicted_ms": float(ms * math.exp(error)),
                        "within": bool(abs(error) <= reach),
                    }
                )
    return found


def beside_published(rows: dict[Key, Rows]) -> dict[str, Any]:
    """One of XNNPACK's rows and ncnn's figures of the same board predict XNNPACK's other rows."""
    errors: list[float] = []
    for name in ("raspberrypi-4b-8gb", "raspberrypi-3b-plus"):
        keys = by_key(known_rows(catalogue.load(name)))
        for precision in ("int8", "fp32"):
            prior = keys["ncnn", precision, 4].fitted(rows["litert", precision, 2].fitted())
            theirs = keys["litert", precision, 4]
            for place in range(len(theirs.ms)):
                others = np.arange(len(theirs.ms)) != place
                rates = theirs.of([place]).fitted(prior)
                errors += theirs.of(others).errors(rates).tolist()
    return summary(errors)


def judged(rows: Sequence[Observed], memory: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Everything."""
    keys = by_key(rows)
    boards = [known_rows(catalogue.load(name)) for name in BOARDS]
    published = sorted({row.architecture for table in boards for row in table})
    nothing = others(keys, published)
    board = detect()
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "edgecnn": __version__,
        "cpu": board.cpu,
        "cores": board.threads,
        "engines": [runtimes.get(name).engine() for name in runtimes.RUNTIMES],
        "left_out": {" ".join(map(str, key)): left_out(keys, key) for key in keys},
        "few": few(keys),
        "nothing_measured": nothing,
        "boards": list(on_boards(keys)),
        "boards_together": all_boards(keys),
        "xnnpack_from_ncnn": xnnpack_from_ncnn(keys, nothing["half_width"]),
        "beside_published": beside_published(keys),
        "memory": list(memory),
    }


def reference(rows: Sequence[Observed], found: dict[str, Any]) -> dict[str, Any]:
    """What `edgecnn choose` takes as known."""
    keys = by_key(rows)
    ram = half_width(np.array([one["error"] for one in found["memory"]]))
    widths = {"0": found["nothing_measured"]["half_width"]}
    widths |= {str(count): one["half_width"] for count, one in found["few"].items()}
    return {
        "made_by": "python -m benchmarks.choose",
        "cpu": found["cpu"],
        "half_widths": {count: round(width, 4) for count, width in widths.items()},
        "beside_published": round(found["beside_published"]["half_width"], 4),
        "ram": round(ram, 4),
        "rates": {
            " ".join(map(str, key)): [float(f"{x:.4g}") for x in mine.fitted().values]
            for key, mine in keys.items()
        },
    }


def page(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        "# `edgecnn choose`: how far its figures can be trusted",
        "",
        "`python -m benchmarks.choose_measure .cache/choose.json`, the same with `--memory "
        ".cache/memory.json`, then `python -m benchmarks.choose .cache/choose.json --memory "
        f".cache/memory.json`; {found['made_at'][:10]}, {found['cpu']}, "
        f"{found['cores']} cores; {', '.join(found['engines'])}.",
        "",
        *([found["note"], ""] if found["note"] else []),
        "## Networks left out, on this machine",
        "",
        "Each network is predicted from the others; random weights, own input and 128×128.",
        "",
        "| engine, precision, threads | networks | latencies | median error | 90% hold | width |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for key, one in found["left_out"].items():
        lines.append(
            f"| {key} | {one['networks']} | {one['latencies']} | {one['median_error']:.1%} | "
            f"{one['coverage_90']:.0%} | ×/÷ {math.exp(one['half_width']):.2f} |"
        )
    lines += [
        "",
        "## Few networks measured, or none",
        "",
        "An engine's rates move to another engine, which stands for another processor, by so many "
        "networks; 0: rates fitted to another engine's figures of those networks that are "
        "published for Raspberry Pis.",
        "",
        "| networks measured | predictions | median error | 9 of 10 within |",
        "|---:|---:|---:|---:|",
    ]
    for count, one in [("0", found["nothing_measured"]), *found["few"].items()]:
        lines.append(
            f"| {count} | {one['predictions']:,} | {one['median_error']:.1%} | "
            f"×/÷ {math.exp(one['half_width']):.2f} |"
        )
    lines += [
        "",
        "## Published figures of Raspberry Pis",
        "",
        "`blind`: rates from this x86 machine, no row seen. `left out`: from the board's other "
        "rows. `one`: from one row, all others predicted.",
        "",
        "| board | engine, precision, threads | rows | rank, blind | rank, left out | "
        "error, left out | error, one | 9 of 10 within, one |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for one in found["boards"]:
        told = one["one_network"]
        lines.append(
            f"| {one['board']} | {one['engine']} {one['precision']} {one['threads']} | "
            f"{one['rows']} | {_share(one['rank_blind'])} | {_share(one.get('rank_left_out'))} | "
            f"{_percent(one.get('median_error_left_out'))} | "
            f"{_percent(told['median_error'])} | "
            f"{_times(told['half_width'])} |"
        )
    for name, one in found["boards_together"].items():
        lines.append(
            f"| {name} | all rows together | {one['rows']} | {_share(one['rank_blind'])} | | | | |"
        )
    lines += [
        "",
        "LiteRT's own kernels (XNNPACK's table), from ncnn's figures of the same board:",
        "",
        "| board | network | published, ms | predicted, ms | within the interval |",
        "|---|---|---:|---:|---|",
    ]
    for one in found["xnnpack_from_ncnn"]:
        lines.append(
            f"| {one['board']} | {one['network']} {one['precision']} | {one['published_ms']:g} | "
            f"{one['predicted_ms']:.1f} | {'yes' if one['within'] else 'no'} |"
        )
    one = found["beside_published"]
    lines += [
        "",
        f"One of these rows beside ncnn's figures predicts the others: {one['predictions']} "
        f"predictions, median error {one['median_error']:.0%}, 9 of 10 within "
        f"×/÷ {math.exp(one['half_width']):.2f}. All are MobileNets.",
    ]
    if found["memory"]:
        lines += ["", "## Memory", "", "| engine | networks | median error | worst |"]
        lines.append("|---|---:|---:|---:|")
        for name in runtimes.RUNTIMES:
            errors = [abs(one["error"]) for one in found["memory"] if one["runtime"] == name]
            lines.append(
                f"| {name} | {len(errors)} | {np.median(errors):.1%} | {max(errors):.1%} |"
            )
    return "\n".join(lines) + "\n"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _times(width: float | None) -> str:
    return "" if width is None else f"×/÷ {math.exp(width):.2f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("measured", type=Path)
    parser.add_argument("--memory", type=Path)
    parser.add_argument("--note", default="", help="What to know of how it was measured.")
    asked = parser.parse_args()
    rows = [observed(row) for row in json.loads(asked.measured.read_text())]
    memory = json.loads(asked.memory.read_text()) if asked.memory else []
    found = judged(rows, memory) | {"note": asked.note}
    folder = ROOT / "docs" / "benchmarks"
    folder.mkdir(exist_ok=True)
    (folder / "choose.json").write_text(json.dumps(found, indent=1) + "\n")
    (folder / "choose.md").write_text(page(found))
    kept = json.dumps(reference(rows, found), indent=1)
    (ROOT / "edgecnn" / "choosing" / "reference.json").write_text(kept + "\n")
    print(page(found))


if __name__ == "__main__":
    main()
