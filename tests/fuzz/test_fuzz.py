"""A little of `make fuzz` in every run, and what it found once."""

import importlib.util
import random
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

SECONDS, RUNS = 0.25, 400
"""For each parser, whichever is over first; the whole is `make fuzz`."""


def _parsers() -> ModuleType:
    path = Path(__file__).with_name("parsers.py")
    spec = importlib.util.spec_from_file_location("fuzzed_parsers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


parsers = _parsers()
LIGHT = [name for name in parsers.PARSERS if name != "Keras files"]  # TensorFlow takes 6 s to come


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsers' variables go again."""
    monkeypatch.setenv("EDGECNN_CACHE", "")
    monkeypatch.setenv("EDGECNN_WEB_TOKEN", "")


@pytest.mark.parametrize("name", LIGHT)
def test_any_bytes_are_read_or_refused(name: str) -> None:
    parser, chance = parsers.PARSERS[name], random.Random(name)
    for seed in parser.seeds:
        parsers.feed(name, seed)
    until = time.monotonic() + SECONDS
    for _ in range(RUNS):
        if time.monotonic() > until:
            break
        parsers.feed(name, parsers.mutated(parser, chance))


@pytest.mark.parametrize(("name", "data"), parsers.FOUND)
def test_what_was_found_once(name: str, data: bytes) -> None:
    parsers.feed(name, data)


def test_a_finding_fails() -> None:
    parsers.PARSERS["broken"] = parsers.Parser(lambda data: data[3], (b"",))
    try:
        with pytest.raises(IndexError):
            parsers.feed("broken", b"")
    finally:
        del parsers.PARSERS["broken"]
