"""Readings that only some boards show: firmware, power monitors, power modes."""
