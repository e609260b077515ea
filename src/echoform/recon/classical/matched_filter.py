"""The matched filter: backprojection, scaled to the units of the image."""

from __future__ import annotations

import torch

from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement
from echoform.recon.classical.window import Window, measured_entries, point_energy, separable
from echoform.recon.discrepancy import relative_residual
from echoform.recon.reconstructor import Estimate, Reconstructor


class MatchedFilter(Reconstructor):
    """Backprojection, with an optional window against side lobes.

        x = A^H (w o y) / m,    m = tr(A^H A) / n,    sum w g^2 = sum g^2,    g = |A e| of a point e

    Dividing by the mean eigenvalue m of A^H A makes the peak of a point target its amplitude (exactly so when A^H A has
    a constant diagonal, as Fourier sums do), so that x is in the units of the scene. In noise whose level sigma differs from
    sample to sample, whitened like every measurement, the side lobes are those of w / sigma^2.

    Args:
        window: separable weighting over the last two axes of the measurement (pulses and frequencies of a radar, the two
            frequency axes of a Fourier mask), or None. It is refused where these are not spatial frequencies.
    """

    def __init__(self, window: Window | None = None) -> None:
        super().__init__()
        self.window = window

    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return the scaled backprojection; facts: ``scale`` (m) and ``residual`` (|A x - y|^2 / |y|^2).

        Raises:
            ValueError: the operator is zero, or a window is asked of samples that lie not along two spatial frequencies.
        """
        operator, y = measurement.operator, measurement.y
        marks = None if self.window is None else measured_entries(operator)
        mean = operator.mean_eigenvalue()
        if bool((mean <= 0).any()):
            raise ValueError("the operator is zero for at least one sensor: there is nothing to backproject")
        if self.window is not None and marks is not None:
            y = y * separable(self.window, marks, point_energy(operator)).to(y.real.dtype)
        image = operator.adjoint(y) / expand(mean, 3)
        return Estimate(image, facts={"scale": float(mean.median()), "residual": relative_residual(measurement, image)})
