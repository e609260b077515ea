"""Measurements: the samples, the sensor that took them, their noise, and the files they come in."""
