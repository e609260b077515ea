"""Where a result came from: the machine, the versions, the measurement's own facts."""

from __future__ import annotations

import math
import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

from echoform import __version__
from echoform.measure.measurement import Measurement
from echoform.physics.noise import PoissonGaussianNoise
from echoform.physics.noise_speckle import SpeckleNoise
from echoform.recon.discrepancy import energy, expected_noise_energy
from echoform.report.numbers import number, quantity


def environment() -> dict[str, str]:
    """Return the machine and the versions a reader needs to repeat the run or to compare its times."""
    graphics = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "echoform": __version__,
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "finufft": version("finufft"),
        "numpy": version("numpy"),
        "system": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "processor": _processor(),
        "cores and threads": f"{os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "graphics processor": graphics,
    }


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


def measurement_facts(measurement: Measurement) -> dict[str, str]:
    """Return what is known about a measurement, label to text, the file's own notes last."""
    metadata, operator = measurement.metadata, measurement.operator
    channels, height, width = operator.domain_shape
    facts = {
        "title": metadata.title,
        "source": metadata.source or "not stated",
        "operator": type(operator).__name__,
        "image": f"{height} × {width} pixels, {channels} channel{'s' * (channels > 1)}",
        "samples": " × ".join(str(n) for n in operator.range_shape) + f", {_measured(measurement)} measured",
        "scenes": str(measurement.y.shape[0]),
        "noise": _noise(measurement),
    }
    if metadata.grid is not None:
        dy, dx = metadata.grid.spacing_m
        facts["pixel spacing"] = f"{quantity(dx, 'm')} in x, {quantity(dy, 'm')} in y"
        facts["image size"] = f"{quantity(dx * width, 'm')} in x, {quantity(dy * height, 'm')} in y"
    facts["truth"] = "known" if metadata.truth is not None else "not known"
    return facts | {f"note: {label}": text for label, text in metadata.notes.items()}


def _measured(measurement: Measurement) -> str:
    count = float(measurement.operator.samples()[0])
    return f"{int(count)} ({100 * count / math.prod(measurement.operator.range_shape):.0f} %)"


def _noise(measurement: Measurement) -> str:
    noise = measurement.noise
    if isinstance(noise, SpeckleNoise):
        return f"multiplicative speckle of {number(float(noise.looks[0]))} looks"
    sigma = float(noise.sigma[0])
    text = f"{type(noise).__name__}, standard deviation {number(sigma)} in the unit of the samples"
    if isinstance(noise, PoissonGaussianNoise):
        text += f", gain {number(float(noise.gain[0]))}"
    expected = float(expected_noise_energy(measurement)[0])
    if expected <= 0:
        return "no level stated"
    signal = float(energy(measurement.y)[0]) - expected
    if signal <= 0:
        return f"{text}; the samples hold no more energy than that"
    return f"{text}; signal-to-noise ratio of a sample {quantity(10 * math.log10(signal / expected), 'dB')}"
