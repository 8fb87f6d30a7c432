"""Calibration sets: real pictures chosen to represent what the camera will see."""
