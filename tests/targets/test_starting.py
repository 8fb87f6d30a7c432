"""A start waits for nothing that it does not need."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgecnn.starting import starting

LOADED = """
import sys
from edgecnn.targets.live.runner import run
from edgecnn.targets.classifier import load
before = set(sys.modules)
import cv2, ai_edge_litert.interpreter
theirs = set(sys.modules) - before
load(sys.argv[1], "litert", 1)
print(*set(sys.modules) - theirs)
"""
SLOW = {"difflib", "email", "importlib.metadata", "psutil", "socket", "statistics", "subprocess"}
"""Modules that take milliseconds, and that some runs need."""


def test_what_some_runs_need_is_not_imported_by_all(colour_bundle: Path) -> None:
    command = [sys.executable, "-c", LOADED, str(colour_bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "edgecnn.targets.engines.runtimes.litert" in done.stdout.split()
    assert not SLOW & set(done.stdout.split())


def test_garbage_is_looked_for_again_however_a_start_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    assert gc.isenabled()

    def failing() -> None:
        with starting():
            assert not gc.isenabled()
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert gc.isenabled()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "3"
