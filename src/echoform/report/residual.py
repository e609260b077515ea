"""What an estimate leaves unexplained, beside what noise alone would leave.

    r = A^H (y - A x),      E |r_j|^2 = v tr(A^H A) / n  on average over the n pixels when x is the truth,

with v the mean variance of a measured sample (1 and those of W A where noise that is not white is whitened): structure in r is
signal the image does not hold or a sensor that is not A.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement
from echoform.measure.whitened import single_level
from echoform.recon.discrepancy import expected_noise_energy


@dataclass(frozen=True)
class ResidualMap:
    """|r| in decibels, (B, C, H, W), what 0 dB stands for, and whether that is the noise."""

    level_db: Tensor
    reference: str
    against_noise: bool


@torch.no_grad()
def residual_maps(measurement: Measurement, images: Sequence[Tensor]) -> list[ResidualMap]:
    """Return the back-projected residual of each image (B, C, H, W), relative to the noise level expected.

    Where the measurement states no noise (v = 0) the reference is the peak of A^H y instead.
    """
    measurement = single_level(measurement)
    operator = measurement.operator
    energy = expected_noise_energy(measurement)
    noisy = bool((energy > 0).all())
    if noisy:
        variance = energy / operator.samples().clamp_min(1)
        power = variance * operator.mean_eigenvalue().double()
        reference = "the level that noise alone leaves"
    else:
        power = operator.adjoint(measurement.y).abs().double().flatten(1).amax(1).square()
        reference = "the peak of the back-projected samples (no noise level is stated)"
    tiny = torch.finfo(torch.float64).tiny
    zero_db = 10 * torch.log10(expand(power.clamp_min(tiny), 3))
    maps = []
    for image in images:
        residual = operator.adjoint(measurement.y - operator(image)).abs().double().clamp_min(tiny)
        maps.append(ResidualMap(20 * torch.log10(residual) - zero_db, reference, noisy))
    return maps
