import math
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edgecnn import installed
from edgecnn.cli.targets import command
from edgecnn.errors import UnknownName
from edgecnn.targets import inventory as listing
from edgecnn.targets.board.generic import Generic
from edgecnn.targets.board.jetson import Jetson
from edgecnn.targets.board.machine import Machine
from edgecnn.targets.board.raspberrypi import RaspberryPi
from edgecnn.targets.board.target import TARGETS, Target, detect, target
from edgecnn.targets.board.x86 import X86
from edgecnn.targets.engines import probe, runtimes
from edgecnn.targets.inventory import inventory

BOARDS = sorted((Path(__file__).parent / "boards").glob("*.toml"))
Machines = Callable[..., Machine]


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_recorded_board_is_recognised(path: Path, machine: Machines) -> None:
    board = tomllib.loads(path.read_text())
    expected: dict[str, Any] = board["expected"]
    found = detect(
        machine(
            board["files"],
            board["machine"],
            raw=board.get("bytes"),
            programs=board.get("programs"),
            cores=expected.get("cores", 1),
            bits=board.get("bits", 64),
        )
    )
    assert found.name == expected["target"]
    assert found.board == expected["board"]
    for name in ("cpu", "ram_bytes"):
        assert expected.get(name, getattr(found, name)) == getattr(found, name)
    assert found.threads == found.machine.cores == expected.get("cores", 1)
    assert expected.get("details", list(found.details)) == list(found.details)
    readings = found.telemetry().to_json()
    for name, value in expected.get("telemetry", {}).items():
        if name == "power_rails_w":
            shown = {rail: readings[name][rail] for rail in value}
            assert shown == pytest.approx(value)
        elif isinstance(value, float):
            assert math.isclose(readings[name], value, abs_tol=5e-4), name
        else:
            assert readings[name] == (tuple(value) if isinstance(value, list) else value), name


def test_every_family_is_recorded() -> None:
    assert {path.stem for path in BOARDS} >= {
        "raspberrypi-zero2w",
        "raspberrypi3b-plus",
        "raspberrypi4",
        "raspberrypi5",
        "jetson-nano",
        "jetson-xavier-nx",
        "jetson-orin-nano",
    }


def test_other_machines(machine: Machines) -> None:
    assert detect(machine({}, "x86_64")).name == "x86"
    arm = detect(machine({"proc/device-tree/model": "Radxa ROCK 5B\0"}))
    assert (arm.name, arm.board) == ("generic", "Radxa ROCK 5B")
    assert detect(machine({}, "riscv64")).name == "generic"


def test_a_target_can_be_named(machine: Machines) -> None:
    assert detect(machine({}, "x86_64"), name="jetson").name == "jetson"
    with pytest.raises(UnknownName, match="did you mean 'raspberrypi'"):
        detect(name="raspberry")


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_names_runtimes_that_exist(name: str) -> None:
    kind = target(name)
    assert kind.name == name
    assert kind.runtimes
    assert set(kind.runtimes) <= set(runtimes.RUNTIMES | runtimes.ACCELERATED)


def test_inventory_names_a_reason_for_everything_unavailable() -> None:
    listed = inventory().to_json()
    assert set(listed) >= {"detected", "runtimes", "cameras"}
    board = listed["detected"]
    assert set(board) >= {"target", "board", "cpu", "ram_bytes"}
    assert [r["name"] for r in listed["runtimes"]] == list(runtimes.RUNTIMES | runtimes.ACCELERATED)
    for entry in (*listed["runtimes"], *listed["cameras"]):
        assert entry["available"] or len(entry["reason"]) > 10
    for entry in listed["runtimes"]:
        assert not entry["available"] or (entry["engine"] and entry["version"])
    silent = {name for name, value in board["telemetry"].items() if value is None}
    assert set(board["not_shown"]) == silent
    assert all(len(reason) > 10 for reason in board["not_shown"].values())


@pytest.mark.parametrize("kind", [X86, RaspberryPi, Jetson, Generic])
def test_a_machine_that_shows_nothing_gets_a_reason_for_each(
    machine: Machines, kind: type[Target]
) -> None:
    board = kind(machine({}))
    for reading, value in board.telemetry().to_json().items():
        assert value is None
        assert len(board.why_not(reading)) > 10


def test_the_table_fits_a_terminal_and_shows_install_commands_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runtimes, "missing", lambda _: "pip install 'edgecnn[openvino]'")
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(command)
    assert done.exit_code == 0
    assert "edgecnn[openvino]" in done.output
    assert max(map(len, done.output.splitlines())) <= 80


def test_an_engine_that_computes_wider_than_the_network_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As OpenVINO on ARM; what it tells of its graph is all that is replaced."""
    engine = runtimes.get("openvino")
    assert listing.runtime_entry("openvino", None).note is None
    assert engine.executed(probe.bundle("deep").model_file("openvino")) == {"int8": 25}
    # What it told on an emulated Cortex-A76.
    monkeypatch.setattr(engine, "executed", lambda _: {"int8": 2, "fp32": 23})
    entry = listing.runtime_entry("openvino", None)
    assert entry.available
    assert entry.note == "runs int8 networks in fp32 on this processor"


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_engines_without_a_32_bit_wheel_are_not_to_be_installed(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def version(distribution: str) -> str:
        raise ModuleNotFoundError(distribution)

    monkeypatch.setattr(installed, "version", version)
    reason = runtimes.missing(name)
    assert reason is not None
    assert "pip install" in reason
    monkeypatch.setattr(sys, "maxsize", 2**31 - 1)
    reason = runtimes.missing(name)
    assert reason is not None
    assert "32-bit" in reason
    assert "pip install" not in reason
