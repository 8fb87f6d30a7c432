"""Feeds every parser with bytes that its own branches call for; see `parsers.py`.

    python -m tests.fuzz.fuzz [--runs 1000000] [--only NAME] [--out .cache/fuzz]

Atheris (libFuzzer) runs each parser in a process of its own that may take 5 seconds for an input
and 1 GB of memory; runs are shared out by what they take of time. Bytes that found new branches are
kept for the next time. An input that crashes, hangs or takes too much is written to OUT and its
traceback printed; exits with 1 if there is one.
"""

import argparse
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

INPUT_S, MEMORY_MB = 5, 1024
LONGEST = 4096
ROOT = Path(__file__).parents[2]
INSTRUMENTED = ("edgecnn",)
HEAVY = ("Keras files",)
"""Begin with gigabytes of TensorFlow, which is not the parser's."""
TENSORFLOW_MB = 3072


def one(name: str, runs: int, out: Path) -> None:
    """Run one parser in this process, which libFuzzer ends."""
    import atheris

    logging.disable(logging.CRITICAL)
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        from tests.fuzz import parsers
    parser = parsers.PARSERS[name]
    corpus = out / re.sub(r"\W+", "-", name)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(parser.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
        with atheris.instrument_imports(include=list(INSTRUMENTED)):
            parsers.feed(name, seed)  # imports what it imports, with its branches
    limit = TENSORFLOW_MB if name in HEAVY else MEMORY_MB
    atheris.Setup(
        [
            *(sys.argv[0], str(corpus), f"-runs={runs}", f"-timeout={INPUT_S}"),
            *(f"-rss_limit_mb={limit}", f"-max_len={LONGEST}", f"-artifact_prefix={corpus}-"),
            *("-print_final_stats=1", "-verbosity=1", "-seed=1"),
        ],
        lambda data: parsers.feed(name, data),
    )
    atheris.Fuzz()


def fuzz(name: str, runs: int, out: Path) -> dict[str, Any]:
    """Run one parser in a process of its own; returns what happened."""
    from tests.fuzz import parsers

    words = ["--one", name, "--runs", str(runs), "--out", str(out)]
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edgecnn-fuzz-", dir=parsers.memory()) as scratch:
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.fuzz", *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            errors="replace",
            env=os.environ | {parsers.SCRATCH: scratch},
        )
    said = done.stdout + done.stderr
    stats = {key: int(value) for key, value in re.findall(r"stat::(\w+):\s+(\d+)", said)}
    covered = re.findall(r"cov: (\d+)", said)
    found = {
        "parser": name,
        "runs": stats.get("number_of_executed_units", 0),
        "seconds": round(time.monotonic() - started, 1),
        "branches": int(covered[-1]) if covered else None,
        "slowest_input_s": stats.get("slowest_unit_time_sec"),
        "peak_rss_mb": stats.get("peak_rss_mb"),
        "failed": done.returncode != 0,
    }
    if found["failed"]:
        print(said[-6000:], file=sys.stderr)
    return found


def main() -> None:
    """Fuzz all parsers, or one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1_000_000, help="of all parsers together")
    parser.add_argument("--only", metavar="NAME")
    parser.add_argument("--out", type=Path, default=ROOT / ".cache" / "fuzz")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.one:
        one(given.one, given.runs, given.out)
        return
    from tests.fuzz.parsers import PARSERS  # not before: whoever runs one has it instrumented

    chosen = [given.only] if given.only else list(PARSERS)
    shares = {name: 1 / PARSERS[name].cost for name in chosen}
    found = []
    for name in chosen:
        runs = round(given.runs * shares[name] / sum(shares.values())) + 1
        found.append(fuzz(name, runs, given.out))
        print(json.dumps(found[-1]), flush=True)
    total = sum(one["runs"] for one in found)
    failed = [one["parser"] for one in found if one["failed"]]
    (given.out / "fuzz.json").write_text(json.dumps(found, indent=1) + "\n")
    print(f"{total:,} runs of {len(found)} parsers; failed: {', '.join(failed) or 'none'}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
