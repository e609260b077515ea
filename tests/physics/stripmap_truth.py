"""Stripmap echoes of point targets by their closed form in time, pulse by pulse, without any transform."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from echoform.physics.stripmap import StripmapOperator
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.stripmap import PARAMETERS, StripmapCollection

Targets = Sequence[tuple[tuple[int, int], complex]]


def airborne(*, centroid_hz: float, antenna_m: float = 1.0, pulses: int = 512) -> StripmapCollection:
    """X band, 100 m/s, 3 km, 200 MHz of samples; the PRF is the width of the 1 m antenna's main lobe, null to null."""
    values = (100.0, 1e10, 2e8, 400.0, 3000.0, centroid_hz, antenna_m)
    kept = torch.ones(1, pulses, dtype=torch.float64)
    return StripmapCollection(*(torch.tensor([v], dtype=torch.float64) for v in values), kept=kept)


def image_of(targets: Targets, operator: StripmapOperator) -> torch.Tensor:
    image = torch.zeros(1, *operator.domain_shape, dtype=operator.dtype)
    for (row, column), value in targets:
        image[0, 0, row, column] = torch.tensor(value, dtype=operator.dtype)
    return image


def paths(operator: StripmapOperator, targets: Targets) -> list[tuple[np.ndarray, np.ndarray, complex]]:
    """For each target: its distance at every pulse (P,), sin(angle) there, and its value without the phase reference."""
    v, f0, _, prf, centre, centroid, _ = (float(getattr(operator.collection, name)[0]) for name in PARAMETERS)
    _, height, width = operator.domain_shape
    pulses = operator.range_shape[1]
    k_y, k = 2 * math.pi * centroid / v, 4 * math.pi * f0 / SPEED_OF_LIGHT_M_S
    k_x = math.sqrt(k**2 - k_y**2)
    antenna_y = (np.arange(pulses) - pulses // 2) * v / prf
    found = []
    for (row, column), value in targets:
        y, x = (row - height // 2) * v / prf, (column - width // 2) * operator.range_spacing_m
        ahead = y + centre * k_y / k_x - antenna_y
        distance = np.hypot(centre + x, ahead)
        found.append((distance, ahead / distance, value * np.exp(1j * (k_y * y + k_x * x))))
    return found


def echoes_over_frequency(operator: StripmapOperator, targets: Targets) -> torch.Tensor:
    """sum_j x_j w exp(-i 4 pi (f_0 + f) R_j / c), the main lobe within the Doppler band only, (1, 1, P, F)."""
    v, f0, rate, prf, _, centroid, antenna = (float(getattr(operator.collection, name)[0]) for name in PARAMETERS)
    count = operator.range_shape[2]
    k = 4 * math.pi / SPEED_OF_LIGHT_M_S * (f0 + (np.arange(count) - count // 2) * rate / count)
    middle = centroid * SPEED_OF_LIGHT_M_S / (2 * v * f0)
    total = np.zeros(operator.range_shape[1:], complex)
    for distance, sine, value in paths(operator, targets):
        pattern = np.sinc(antenna * k * (sine[:, None] - middle) / (4 * np.pi)) ** 2
        inside = np.abs(k * sine[:, None] * v / (2 * np.pi) - centroid) < prf / 2
        total += value * inside * pattern * np.exp(-1j * k * distance[:, None])
    return torch.from_numpy(total)[None, None]


def echoes_over_time(
    operator: StripmapOperator,
    targets: Targets,
    pulse: Callable[[np.ndarray], np.ndarray],
    *,
    first_sample_s: float,
    samples: int,
) -> torch.Tensor:
    """sum_j x_j w p(t - 2 R_j / c) exp(-i 4 pi f_0 R_j / c), the pattern at the carrier, (1, 1, P, N)."""
    v, f0, rate, prf, _, centroid, antenna = (float(getattr(operator.collection, name)[0]) for name in PARAMETERS)
    k = 4 * math.pi * f0 / SPEED_OF_LIGHT_M_S
    middle = centroid * SPEED_OF_LIGHT_M_S / (2 * v * f0)
    t = first_sample_s + np.arange(samples) / rate
    total = np.zeros((operator.range_shape[1], samples), complex)
    for distance, sine, value in paths(operator, targets):
        pattern = np.sinc(antenna * k * (sine - middle) / (4 * np.pi)) ** 2
        inside = np.abs(k * sine * v / (2 * np.pi) - centroid) < prf / 2
        level = value * inside * pattern * np.exp(-1j * k * distance)
        total += level[:, None] * pulse(t - 2 * distance[:, None] / SPEED_OF_LIGHT_M_S)
    return torch.from_numpy(total)[None, None]
