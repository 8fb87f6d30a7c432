"""Profiles made on a board, whose reports come here."""

import getpass
import json
import shutil
from pathlib import Path
from typing import Any

SHORT = ("--runtime", "litert", "--runs", "3", "--seconds", "0", "--processes", "1")


def test_the_report_of_a_deployment_comes_back(
    user: Any, board: Any, old_bundle: Path, tmp_path: Path
) -> None:
    # One format, to measure in one engine.
    bundle = shutil.copytree(old_bundle, tmp_path / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["artifacts"] = {"tflite": manifest["artifacts"]["tflite"]}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    done = user.deploys(bundle, "pi", "--profile", "--json")
    assert done.returncode == 0, done.stderr
    (outcome,) = json.loads(done.stdout)["boards"]
    assert outcome["profile"] == "profiles/colours-int8-pi.json"
    report = json.loads((tmp_path / outcome["profile"]).read_text())
    assert [run["runtime"] for run in report["runs"]] == ["litert"]
    assert report["runs"][0]["latency_ms"]["p50"] > 0


def test_profiling_there_as_one_would_here(user: Any, board: Any, old_bundle: Path) -> None:
    old, host = board.current, f"{getpass.getuser()}@pi"
    done = user.types("profile", old_bundle, "--target", host, *SHORT, "--json")
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(done.stdout)["runs"]
    assert (run["runtime"], run["count"]) == ("litert", 3)
    shown = user.types("profile", old_bundle, "--target", host, *SHORT, "--html", "page.html")
    assert shown.returncode == 0, shown.stderr
    assert "fastest: litert" in shown.stdout
    assert "<html" in (user.folder / "page.html").read_text()
    assert board.current == old
