"""Power on a Jetson's rails, from its INA3221 monitors of three channels each."""

from edgecnn.targets.board.machine import Machine

CHANNELS = (1, 2, 3)


def rails_w(machine: Machine) -> dict[str, float]:
    """Watts by the rail's name; empty where there is no such monitor."""
    return _hwmon(machine) or _iio(machine)


def _hwmon(machine: Machine) -> dict[str, float]:
    """The kernel's own driver, from JetPack 5 on: millivolts and milliamperes."""
    rails = {}
    for sensor in machine.glob("/sys/class/hwmon/hwmon*/name"):
        if machine.read(sensor) != "ina3221":
            continue
        folder = sensor.removesuffix("/name")
        for channel in CHANNELS:
            label = machine.read(f"{folder}/in{channel}_label")
            millivolts = machine.read_int(f"{folder}/in{channel}_input")
            milliamperes = machine.read_int(f"{folder}/curr{channel}_input")
            # A channel that is not connected is labelled NC, or refuses to be read.
            if label and label != "NC" and millivolts is not None and milliamperes is not None:
                rails[label] = millivolts * milliamperes / 1e6
    return rails


def _iio(machine: Machine) -> dict[str, float]:
    """NVIDIA's driver up to JetPack 4, on the Nano and TX2: milliwatts."""
    rails = {}
    for path in machine.glob("/sys/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_*"):
        folder, _, channel = path.rpartition("/rail_name_")
        label = machine.read(path)
        milliwatts = machine.read_int(f"{folder}/in_power{channel}_input")
        if label and label != "NC" and milliwatts is not None:
            rails[label] = milliwatts / 1e3
    return rails
