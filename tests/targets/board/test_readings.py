"""What boards show of themselves, read from files in the kernel's documented form."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.targets.board import cores
from edgecnn.targets.board.generic import Generic
from edgecnn.targets.board.jetson import Jetson
from edgecnn.targets.board.machine import Machine
from edgecnn.targets.board.raspberrypi import RaspberryPi
from edgecnn.targets.board.readings import rapl
from edgecnn.targets.board.readings.nvidia import gpu
from edgecnn.targets.board.readings.revision import Revision
from edgecnn.targets.board.x86 import X86

Machines = Callable[..., Machine]
CPU = "sys/devices/system/cpu"
RAPL = "sys/class/powercap"


def test_temperature_and_clock(machine: Machines) -> None:
    reading = X86(
        machine(
            {
                "sys/class/thermal/thermal_zone0/temp": "48312\n",
                "sys/class/thermal/thermal_zone1/temp": "51100\n",
                "sys/class/thermal/thermal_zone2/temp": "100000\n",
                "sys/class/thermal/thermal_zone2/type": "PMIC-Die\n",
                "sys/class/thermal/thermal_zone3/temp": "-256000\n",
                f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "1800000\n",
                f"{CPU}/cpu1/cpufreq/scaling_cur_freq": "2400000\n",
                f"{CPU}/cpu0/cpufreq/scaling_governor": "ondemand\n",
                f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "3\n",
                f"{CPU}/cpu1/thermal_throttle/core_throttle_count": "4\n",
            },
            "x86_64",
        )
    ).telemetry()
    assert reading.temperature_c == 51.1
    assert reading.clock_mhz == 2400
    assert reading.governor == "ondemand"
    assert reading.throttle_events == 7
    assert reading.throttled is None


@pytest.mark.parametrize(("state", "meaning"), [("0", ()), ("3", ("clock capped by heat",))])
def test_the_kernels_own_clock_caps(
    machine: Machines, state: str, meaning: tuple[str, ...]
) -> None:
    device = "sys/class/thermal/cooling_device0"
    board = Generic(machine({f"{device}/type": "cpufreq-cpu4", f"{device}/cur_state": state}))
    assert board.throttling().now == meaning
    assert board.throttling().since_boot is None


@pytest.mark.parametrize(
    ("word", "now", "since_boot"),
    [
        ("0", (), ()),
        ("50005", ("under-voltage", "throttled"), ("under-voltage", "throttled")),
        ("80008", ("soft temperature limit",), ("soft temperature limit",)),
        ("d0000", (), ("under-voltage", "throttled", "soft temperature limit")),
        ("20002", ("clock capped",), ("clock capped",)),
    ],
)
@pytest.mark.parametrize("shown_by", ["program", "file"])
def test_raspberry_pi_throttling_word(
    machine: Machines, word: str, now: tuple[str, ...], since_boot: tuple[str, ...], shown_by: str
) -> None:
    path = "sys/devices/platform/soc/soc:firmware/get_throttled"
    if shown_by == "program":
        made = machine({}, programs={"vcgencmd": {"get_throttled": f"throttled=0x{word}"}})
    else:
        made = machine({path: f"{word}\n"})
    read = RaspberryPi(made).telemetry()
    assert (read.throttled, read.throttled_since_boot) == (now, since_boot)


@pytest.mark.parametrize(("alarm", "meaning"), [("0", ()), ("1", ("under-voltage",))])
def test_raspberry_pi_voltage_alarm(
    machine: Machines, alarm: str, meaning: tuple[str, ...]
) -> None:
    hwmon = "sys/class/hwmon/hwmon1"
    board = RaspberryPi(
        machine({f"{hwmon}/name": "rpi_volt\n", f"{hwmon}/in0_lcrit_alarm": f"{alarm}\n"})
    )
    assert board.throttling().now == meaning
    assert board.throttling().since_boot is None
    device = "sys/class/thermal/cooling_device0"
    machine({f"{device}/type": "cpufreq-cpu0", f"{device}/cur_state": "1"})
    assert board.throttling().now == (*meaning, "clock capped by heat")


def test_a_program_may_fail_or_hang(
    machine: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecnn.targets.board.machine.PROGRAM_TIMEOUT_S", 0.2)
    made = machine({}, programs={"vcgencmd": {}, "nvpmodel": {}})
    assert made.said("vcgencmd", "get_throttled") is None
    (tmp_path / "usr/bin/nvpmodel").write_text("#!/bin/sh\nexec sleep 60\n")
    started = time.perf_counter()
    assert made.said("nvpmodel", "-q") is None
    assert time.perf_counter() - started < 30
    (tmp_path / "usr/bin/nvpmodel").write_bytes(b"\x7fELF for another processor")
    assert made.said("nvpmodel", "-q") is None
    assert made.said("no-such-program") is None


# From Raspberry Pi's table "New-style revision codes in use".
@pytest.mark.parametrize(
    ("code", "model", "revision", "gigabytes", "processor"),
    [
        (0xA01041, "2B", "1.1", 1, "BCM2836"),
        (0x902120, "Zero 2 W", "1.0", 0.5, "BCM2837"),
        (0x2902120, "Zero 2 W", "1.0", 0.5, "BCM2837"),  # once overclocked: bit 25
        (0xA020D3, "3B+", "1.3", 1, "BCM2837"),
        (0xD03114, "4B", "1.4", 8, "BCM2711"),
        (0xC03130, "400", "1.0", 4, "BCM2711"),
        (0xE04171, "5", "1.1", 16, "BCM2712"),
        (0xB041A0, "CM5 Lite", "1.0", 2, "BCM2712"),
    ],
)
def test_revision_codes(
    machine: Machines, code: int, model: str, revision: str, gigabytes: float, processor: str
) -> None:
    decoded = Revision.decode(code)
    assert decoded is not None
    assert (decoded.model, decoded.revision, decoded.processor) == (model, revision, processor)
    assert decoded.ram_bytes == gigabytes * 2**30
    made = machine({}, raw={"proc/device-tree/system/linux,revision": f"{code:08x}"})
    assert Revision.read(made) == decoded


@given(st.integers(0, 2**32 - 1))
def test_any_revision_code_is_decoded_or_old(code: int) -> None:
    decoded = Revision.decode(code)
    assert (decoded is None) == (code >> 23 & 1 == 0)
    if decoded:
        assert int(decoded.code, 16) == code


def test_jetson_power_mode_and_clocks(machine: Machines) -> None:
    table = "< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=2 NAME=MAXN >\n"
    clocks = {
        f"{CPU}/cpu{n}/cpufreq/scaling_{end}_freq": "1728000\n"
        for n in (0, 1)
        for end in ("min", "max")
    }
    files = {"var/lib/nvpmodel/status": "pmode:0002 fmode:fanNull\n", "etc/nvpmodel.conf": table}
    board = Jetson(machine(files | clocks))
    assert board.power_mode() == "MAXN"
    assert board.clocks_pinned() is True
    slower = {f"{CPU}/cpu1/cpufreq/scaling_min_freq": "115200\n"}
    assert Jetson(machine(slower)).clocks_pinned() is False
    assert Jetson(machine({"etc/nvpmodel.conf": ""})).power_mode() == "2"


def test_the_gpu_of_a_card(machine: Machines) -> None:
    path = "proc/driver/nvidia/gpus/0000:01:00.0/information"
    found = gpu(machine({path: "Model: \t\t NVIDIA RTX A2000\nIRQ:   \t\t 16\n"}, "x86_64"))
    assert found is not None
    assert found.name == "NVIDIA RTX A2000"
    assert gpu(machine({path: ""})) is None


# Figures of https://github.com/intel/thermal_daemon/issues/45, an i7-4770S.
HASWELL = {
    f"{RAPL}/intel-rapl:0/name": "package-0\n",
    f"{RAPL}/intel-rapl:0/max_energy_range_uj": "262143999938\n",
    f"{RAPL}/intel-rapl:0:0/name": "core\n",
    f"{RAPL}/intel-rapl:0:0/max_energy_range_uj": "262143999938\n",
    f"{RAPL}/intel-rapl:0:2/name": "dram\n",
    f"{RAPL}/intel-rapl:0:2/max_energy_range_uj": "262143999938\n",
}


def counters(package: int, core: int, dram: int) -> dict[str, str]:
    values = {"intel-rapl:0": package, "intel-rapl:0:0": core, "intel-rapl:0:2": dram}
    return {f"{RAPL}/{name}/energy_uj": f"{value}\n" for name, value in values.items()}


def test_processor_power_is_what_passed_between_two_readings(
    machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = machine(HASWELL | counters(262_143_000_000, 5_000_000, 2_469_474_853), "x86_64")
    now = iter([10.0, 12.0, 14.0, 14.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))

    def pass_time(_: float) -> None:
        # The package's counter begins anew: 999,938 to its end and 29,000,062 more.
        machine(counters(29_000_062, 25_000_000, 2_475_474_853), "x86_64")

    monkeypatch.setattr(time, "sleep", pass_time)
    meter = rapl.EnergyMeter(made)
    rails = meter.rails_w()
    assert rails == {"package-0": 15.0, "package-0/core": 10.0, "package-0/dram": 3.0}
    assert rapl.total_w(rails) == 15.0
    machine(counters(39_000_062, 25_000_000, 2_475_474_853), "x86_64")
    assert meter.rails_w()["package-0"] == 5.0


@given(
    used=st.integers(0, 10**9),
    start=st.integers(0, 262_143_999_938),
    seconds=st.floats(0.05, 3600),
)
def test_a_counter_that_begins_anew_loses_nothing(used: int, start: int, seconds: float) -> None:
    limit = 262_143_999_938
    after = (start + used) % limit
    found = rapl.watts(
        rapl.Reading(0.0, {"p": start % limit}), rapl.Reading(seconds, {"p": after}), {"p": limit}
    )
    assert found["p"] == pytest.approx(used / 1e6 / seconds, abs=1e-3)


def test_power_that_may_not_be_read_says_why(machine: Machines) -> None:
    board = X86(machine({}, "x86_64"))
    assert board.telemetry().power_w is None
    assert "virtual machines" in board.why_not("power_w")
    # A folder refuses to be read as a file even to root, who runs these tests in CI.
    made = machine(HASWELL, "x86_64")
    (made.root / RAPL / "intel-rapl:0/energy_uj").mkdir()
    refused = X86(made)
    assert refused.telemetry().power_w is None
    assert "only root" in refused.why_not("power_w")
    assert "chmod" in refused.why_not("power_w")


def speeds(values: Mapping[int, int], file: str) -> dict[str, str]:
    return {f"{CPU}/cpu{n}/{file}": f"{value}\n" for n, value in values.items()}


def capacities(little: int, big: int) -> dict[str, str]:
    return speeds(dict(enumerate((*[little] * 4, *[big] * 4))), "cpu_capacity")


def test_the_big_cores_are_used(machine: Machines) -> None:
    """The Rock 5B's RK3588, with the capacities of its device tree."""
    made = machine(capacities(530, 1024), cores=8)
    assert cores.big_cores(made) == {4, 5, 6, 7}
    assert Generic(made).threads == 4
    # Never outside of what this process was given.
    given_some = Machine(made.root, made.architecture, frozenset({2, 3, 4}))
    assert cores.big_cores(given_some) == {4}
    little_only = Machine(made.root, made.architecture, frozenset({0, 1}))
    assert cores.big_cores(little_only) == {0, 1}


def test_clocks_stand_in_for_capacities(machine: Machines) -> None:
    made = machine(
        speeds(
            {0: 1_416_000, 1: 1_416_000, 2: 1_800_000, 3: 1_800_000}, "cpufreq/cpuinfo_max_freq"
        ),
        cores=4,
    )
    assert cores.big_cores(made) == {2, 3}
    favoured = speeds({0: 4_500_000, 1: 4_700_000, 2: 4_500_000, 3: 4_500_000}, "cpu_capacity")
    assert cores.big_cores(machine(favoured, cores=4)) == {0, 1, 2, 3}


def test_an_smt_pair_is_one_core(machine: Machines) -> None:
    threads = [(0, 0), (1, 1), (2, 0), (3, 1)]
    text = "\n".join(
        f"processor\t: {n}\nmodel name\t: Some CPU\nphysical id\t: 0\ncore id\t\t: {core}\n"
        for n, core in threads
    )
    found = machine({"proc/cpuinfo": text}, "x86_64", cores=4)
    assert found.cores == 2
    assert found.cpu == "Some CPU"
    assert X86(found).threads == 2


def test_the_process_is_pinned_only_where_cores_differ(machine: Machines, tmp_path: Path) -> None:
    """In a process of its own: affinity is its own to change."""
    before = os.sched_getaffinity(0)
    if len(before) < 2:
        pytest.skip("one processor only: nothing to choose from")
    first, *others = sorted(before)
    machine(speeds({first: 300} | dict.fromkeys(others, 1024), "cpu_capacity"))
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from edgecnn.targets.board.cores import pin\n"
        "from edgecnn.targets.board.machine import Machine\n"
        "made = Machine(Path(sys.argv[1]))\n"
        "pin(made, int(sys.argv[2]))\n"
        "print(*sorted(os.sched_getaffinity(0)))\n"
    )

    def affinity(root: Path, threads: int) -> list[int]:
        done = subprocess.run(
            [sys.executable, "-c", code, str(root), str(threads)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return list(map(int, done.stdout.split()))

    assert affinity(tmp_path, len(others)) == others
    assert affinity(tmp_path, len(before)) == sorted(before), "more threads than big cores"
    assert affinity(tmp_path / "nothing", 1) == sorted(before)
    assert os.sched_getaffinity(0) == before


def test_ram(machine: Machines) -> None:
    meminfo = (
        "MemTotal:        3884340 kB\nMemFree:          100 kB\n"
        "MemAvailable:    3537772 kB\nSwapFree:          2048 kB\n"
    )
    made = machine({"proc/meminfo": meminfo})
    assert made.ram_bytes == 3884340 * 1024
    assert made.available_bytes == 3537772 * 1024
    assert made.free_swap_bytes == 2048 * 1024


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("avx2 avx512f avx512_vnni amx_int8", "int8 units: AMX, AVX512-VNNI; vectors: AVX512"),
        ("avx2 avx_vnni", "int8 units: AVX-VNNI; vectors: AVX2"),
        ("avx2", "no int8 units (VNNI, AMX); vectors: AVX2."),
        ("sse4_2", "vectors: narrower than AVX2."),
    ],
)
def test_x86_instruction_sets(machine: Machines, flags: str, said: str) -> None:
    made = X86(machine({"proc/cpuinfo": f"processor\t: 0\nflags\t\t: fpu {flags}\n"}))
    (detail,) = made.details
    assert said in detail
    assert made.sums_overflow is not said.startswith("int8 units")
