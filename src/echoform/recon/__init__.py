"""Reconstruction: every method behind one door, ``Reconstructor.forward(measurement) -> Estimate``."""
