import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecnn.errors import UnknownName
from edgecnn.targets import runtimes
from edgecnn.targets.generic import Generic
from edgecnn.targets.inventory import inventory
from edgecnn.targets.jetson import Jetson
from edgecnn.targets.machine import Machine
from edgecnn.targets.raspberrypi import RaspberryPi
from edgecnn.targets.target import TARGETS, detect, target
from edgecnn.targets.x86 import X86

BOARDS = sorted((Path(__file__).parent / "boards").glob("*.toml"))
Machines = Callable[..., Machine]


@pytest.fixture
def machine(tmp_path: Path) -> Machines:
    """A machine whose files are those given."""

    def make(files: dict[str, str], architecture: str = "aarch64") -> Machine:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Machine(tmp_path, architecture)

    return make


@pytest.mark.parametrize("recorded", BOARDS, ids=lambda path: path.stem)
def test_a_recorded_board_is_recognised(recorded: Path, machine: Machines) -> None:
    board = tomllib.loads(recorded.read_text())
    found = detect(machine(board["files"], board["machine"]))
    expected = board["expected"]
    assert found.name == expected["target"]
    assert found.board == expected["board"]
    if "cpu" in expected:
        assert found.cpu == expected["cpu"]
        assert found.machine.cores == expected["cores"]


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


def test_cores_count_an_smt_pair_once(machine: Machines) -> None:
    threads = [(0, 0), (1, 1), (2, 0), (3, 1)]
    text = "\n".join(
        f"processor\t: {n}\nmodel name\t: Some CPU\nphysical id\t: 0\ncore id\t\t: {core}\n"
        for n, core in threads
    )
    found = machine({"proc/cpuinfo": text}, "x86_64")
    assert found.cores == 2
    assert found.cpu == "Some CPU"


def test_ram(machine: Machines) -> None:
    meminfo = "MemTotal:        3884340 kB\nMemFree:          100 kB\n"
    assert machine({"proc/meminfo": meminfo}).ram_bytes == 3884340 * 1024


def test_what_a_machine_does_not_show_is_none(machine: Machines) -> None:
    for kind in (X86, RaspberryPi, Jetson, Generic):
        assert set(kind(machine({})).telemetry().to_json().values()) == {None}


def test_telemetry(machine: Machines) -> None:
    cpu = "sys/devices/system/cpu"
    reading = X86(
        machine(
            {
                "sys/class/thermal/thermal_zone0/temp": "48312\n",
                "sys/class/thermal/thermal_zone1/temp": "51100\n",
                "sys/class/thermal/thermal_zone2/temp": "100000\n",
                "sys/class/thermal/thermal_zone2/type": "PMIC-Die\n",
                "sys/class/thermal/thermal_zone3/temp": "-256000\n",
                f"{cpu}/cpu0/cpufreq/scaling_cur_freq": "1800000\n",
                f"{cpu}/cpu1/cpufreq/scaling_cur_freq": "2400000\n",
                f"{cpu}/cpu0/cpufreq/scaling_governor": "ondemand\n",
                f"{cpu}/cpu0/thermal_throttle/core_throttle_count": "3\n",
                f"{cpu}/cpu1/thermal_throttle/core_throttle_count": "4\n",
            },
            "x86_64",
        )
    ).telemetry()
    assert reading.temperature_c == 51.1
    assert reading.clock_mhz == 2400
    assert reading.governor == "ondemand"
    assert reading.throttle_events == 7
    assert reading.throttled is None


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("0", ()),
        ("50005", ("under-voltage", "throttled")),
        ("80008", ("soft temperature limit",)),
        ("d0000", ()),
    ],
)
def test_raspberry_pi_throttling_word(
    machine: Machines, word: str, meaning: tuple[str, ...]
) -> None:
    path = "sys/devices/platform/soc/soc:firmware/get_throttled"
    assert RaspberryPi(machine({path: f"{word}\n"})).throttling().now == meaning


@pytest.mark.parametrize(("alarm", "meaning"), [("0", ()), ("1", ("under-voltage",))])
def test_raspberry_pi_voltage_alarm(
    machine: Machines, alarm: str, meaning: tuple[str, ...]
) -> None:
    hwmon = "sys/class/hwmon/hwmon1"
    board = RaspberryPi(
        machine({f"{hwmon}/name": "rpi_volt\n", f"{hwmon}/in0_lcrit_alarm": f"{alarm}\n"})
    )
    assert board.throttling().now == meaning


def test_jetson_counts_over_current_events(machine: Machines) -> None:
    files = {f"sys/class/hwmon/hwmon3/oc{n}_event_cnt": f"{n}\n" for n in (1, 2, 3)}
    assert Jetson(machine(files)).telemetry().throttle_events == 6


def test_inventory_names_a_reason_for_everything_unavailable() -> None:
    listed = inventory().to_json()
    assert set(listed) >= {"detected", "runtimes", "cameras"}
    assert set(listed["detected"]) >= {"target", "board", "cpu", "ram_bytes"}
    assert [r["name"] for r in listed["runtimes"]] == list(
        runtimes.RUNTIMES | runtimes.ACCELERATED
    )
    for entry in (*listed["runtimes"], *listed["cameras"]):
        assert entry["available"] or len(entry["reason"]) > 10
    for entry in listed["runtimes"]:
        assert not entry["available"] or (entry["engine"] and entry["version"])


def test_the_table_shows_install_commands_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from click.testing import CliRunner

    from edgecnn.cli.targets import command

    monkeypatch.setattr(runtimes, "missing", lambda _: "pip install 'edgecnn[openvino]'")
    done = CliRunner().invoke(command)
    assert done.exit_code == 0
    assert "edgecnn[openvino]" in done.output
