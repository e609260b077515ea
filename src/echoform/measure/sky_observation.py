"""What an interferometer's measurement says beyond samples and operator: stations, times, pixels of the sky, spread of the gains.

The samples are y[t, b] = V / s at each time t and baseline b that the rows of the file hold; other entries are missing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from echoform.measure.visibilities import Visibilities
from echoform.scene.sky import SkyGrid


@dataclass(frozen=True)
class SkyObservation:
    """An observation whose stations are not calibrated.

    Attributes:
        rows: the file's visibilities, M rows.
        grid: the pixels of the image.
        gain_sd: what the calibration left: standard deviation of log |g| of each station, shape (N,), float64.

    Raises:
        ValueError: ``gain_sd`` is not one positive number for each station.
    """

    rows: Visibilities
    grid: SkyGrid
    gain_sd: Tensor

    def __post_init__(self) -> None:
        if self.gain_sd.shape != (len(self.rows.stations),) or not bool((self.gain_sd > 0).all()):
            raise ValueError(
                f"gain_sd must hold a positive number for each of {len(self.rows.stations)} stations, got {self.gain_sd}"
            )

    def sampled(self, y: Tensor, marks: Tensor | None, level: Tensor) -> Visibilities:
        """Return the rows that a measurement holds, with its values and noise.

        Args:
            y: samples of the first scene, (times, baselines).
            marks: which are measured, (times, baselines), or None for all.
            level: standard deviation of the noise of y, one number.

        Raises:
            ValueError: the samples are not arranged by the times and baselines of the rows.
        """
        shape, time, baseline = self.rows.by_time_and_baseline()
        if tuple(y.shape) != shape:
            raise ValueError(
                f"the samples must be (times, baselines) = {shape}, as the stations say, got {tuple(y.shape)}"
            )
        sigma_jy = self.rows.sigma_jy
        values = y.cpu()[time, baseline].to(self.rows.values.dtype) * sigma_jy
        rows = replace(self.rows, values=values, sigma_jy=sigma_jy * float(level))
        return rows if marks is None else rows.kept(marks.cpu()[time, baseline] != 0)
