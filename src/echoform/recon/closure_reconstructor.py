"""Imaging by closure quantities and self-calibration, behind the common door.

Samples are averaged over scans, baselines within one site are left out (they see more than the image holds), and an error that
does not close is added in quadrature. Closure quantities are formed of the rows strong enough; the image they ask for is then
refined together with the stations' gains on all rows (:mod:`echoform.recon.closure_imaging`).

The prior decides what the data leave open: other widths and fluxes should be tried before a figure is believed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.measure.closure import closure_phases, log_amplitudes, log_closure_amplitudes
from echoform.measure.measurement import Measurement
from echoform.measure.visibilities import Visibilities
from echoform.physics.noise import GaussianNoise
from echoform.recon.closure_imaging import (
    SkyPrior,
    closure_image,
    model_visibilities,
    self_calibrated_image,
    sky_operator,
)
from echoform.recon.reconstructor import Estimate, Reconstructor
from echoform.scene.sky import MICROARCSECOND_RAD, SkyGrid


@dataclass(frozen=True)
class Preparation:
    """What is done to visibilities before closure quantities are formed.

    Attributes:
        gap_s: scans are parted by gaps longer than this, seconds.
        systematic: error that does not close, as a share of the amplitude.
        site_wavelengths: baselines shorter than this lie within one site.
        lowest_snr: closure quantities are formed of rows of a higher signal-to-noise ratio.
    """

    gap_s: float = 120.0
    systematic: float = 0.02
    site_wavelengths: float = 1e8
    lowest_snr: float = 3.0

    def prepared(self, rows: Visibilities) -> Visibilities:
        """Return the averaged rows between sites, the systematic error in their noise."""
        averaged = rows.averaged(self.gap_s).with_systematic(self.systematic)
        return averaged.kept(averaged.uv_wavelengths.norm(dim=1) > self.site_wavelengths)

    def strong(self, rows: Visibilities) -> Visibilities:
        """Return the rows of which closure quantities are formed."""
        return rows.kept(rows.snr() > self.lowest_snr)


class ClosureReconstructor(Reconstructor):
    """The image of closure phases and amplitudes, then of self-calibrated visibilities: real, positive, Jy per pixel.

    Args:
        prior: what is believed of the image.
        preparation: averaging and selection of the rows.
    """

    def __init__(self, prior: SkyPrior, preparation: Preparation | None = None) -> None:
        super().__init__()
        self.prior = prior
        self.preparation = preparation or Preparation()

    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return the image (1, 1, H, W), in the samples' complex dtype.

        Facts: ``flux_jy`` of the image; ``prior_flux_jy`` and ``prior_fwhm_uas``; ``entropy_weight``; chi-squares over their
        number of data of the closure image (``closure_phases``, ``closure_amplitudes``, ``amplitudes`` with the gains integrated
        out) and, over its degrees of freedom, of the ``self_calibrated`` visibilities; ``rows`` used.

        Raises:
            ValueError: the measurement holds several scenes or states no stations, or no closure phase can be formed.
        """
        rows, grid, gain_sd = self._rows(measurement)
        strong = self.preparation.strong(rows)
        with torch.enable_grad():
            closure = closure_image(strong, grid, self.prior, gain_sd=gain_sd)
            image, gains = self_calibrated_image(rows, grid, self.prior, closure, gain_sd=gain_sd)
        facts = {
            "flux_jy": float(image.image.sum()),
            "prior_flux_jy": self.prior.flux_jy,
            "prior_fwhm_uas": self.prior.fwhm_rad / MICROARCSECOND_RAD,
            "entropy_weight": closure.weight,
            **reduced_chi_squares(strong, image.image, grid, gain_sd=gain_sd),
            "self_calibrated": gains.chi_square / gains.freedom,
            "rows": float(len(rows)),
        }
        return Estimate(image.image[None, None].to(measurement.y), facts=facts)

    def _rows(self, measurement: Measurement) -> tuple[Visibilities, SkyGrid, Tensor]:
        observation, noise = measurement.metadata.sky, measurement.noise
        if observation is None or not isinstance(noise, GaussianNoise):
            raise ValueError(
                "closure quantities need to know which stations took each sample, and this measurement does not say; read the "
                "visibilities from their own file"
            )
        if measurement.y.shape[:2] != (1, 1):
            raise ValueError(f"closure imaging takes one scene, got samples {tuple(measurement.y.shape)}")
        marks = measurement.operator.support()
        rows = observation.sampled(measurement.y[0, 0], None if marks is None else marks[0, 0], noise.sigma[0])
        return self.preparation.prepared(rows), observation.grid, observation.gain_sd


def reduced_chi_squares(rows: Visibilities, image: Tensor, grid: SkyGrid, *, gain_sd: Tensor) -> dict[str, float]:
    """Return chi-square over the number of data of closure phases, log closure amplitudes and log amplitudes.

    Args:
        rows: strong enough for closure quantities.
        image: (H, W), Jy per pixel.
        grid: its grid.
        gain_sd: standard deviation of log |g| of each station, integrated out of the amplitudes.
    """
    model = model_visibilities(sky_operator(rows, grid), image)
    sets = {
        "closure_phases": closure_phases(rows),
        "closure_amplitudes": log_closure_amplitudes(rows),
        "amplitudes": log_amplitudes(rows, gain_sd),
    }
    return {name: float(data.chi_square(model)) / len(data) for name, data in sets.items()}
