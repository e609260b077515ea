"""Imaging a sky from visibilities whose stations are not calibrated: from closure quantities and amplitudes.

    min over x > 0 of   chi^2_closure phase / 2 + chi^2_amplitude / 2 + weight S(x; prior)
                       + (log flux - log flux_0)^2 / 2 s_f^2 + |centroid|^2 / 2 s_c^2

    S = sum_j p_j log(p_j / q_j),   p = x / sum x,   q a round Gaussian

chi^2_amplitude is that of log amplitudes with the stations' gains integrated out (``log_amplitudes`` in measure/closure.py): it
holds the log closure amplitudes, and what is known of the gains besides. Closure phases leave the position open: the
centroid term fixes it. Positivity is built in, x = flux softmax(.), and the problem is solved by L-BFGS from the prior q,
a blob without structure, with the weight falling until chi^2 meets its expectation (discrepancy principle). The problem is not
convex and the prior matters: simulations and other priors must show what the data can tell apart (benchmarks/eht.py).

Source: Chael et al. (2018), Interferometric imaging directly with closure phases and closure amplitudes, ApJ 857, 23.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from echoform.measure.closure import closure_phases, log_amplitudes
from echoform.measure.visibilities import Visibilities
from echoform.physics.interferometry import interferometer
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.recon.station_gains import StationGains, calibrated, solve_gains
from echoform.scene.sky import MICROARCSECOND_RAD, SkyGrid


@dataclass(frozen=True)
class SkyPrior:
    """What is believed of the image before the data are seen.

    Attributes:
        flux_jy: expected flux density, Jy, and
        flux_sd: the standard deviation of its logarithm.
        fwhm_rad: width of the round Gaussian q that the entropy is measured from, radians.
        centroid_sd_rad: how far from the phase centre the centroid may lie, radians.
    """

    flux_jy: float
    fwhm_rad: float
    flux_sd: float = 0.02
    centroid_sd_rad: float = 1 * MICROARCSECOND_RAD


@dataclass(frozen=True)
class EntropyPath:
    """How the weight of the entropy is sought: from ``first`` divided by ``step`` again and again, never below ``last``.

    Attributes:
        iterations: bound on the L-BFGS iterations at each weight.
    """

    first: float = 1000.0
    step: float = 1.5
    last: float = 1.0
    iterations: int = 100


@dataclass(frozen=True)
class SkyImage:
    """An image and how it fits.

    Attributes:
        image: (H, W), float64, Jy per pixel.
        weight: weight of the entropy at which the search ended.
        misfit: chi^2 of what was fitted over its expectation.
    """

    image: Tensor
    weight: float
    misfit: float


def sky_operator(visibilities: Visibilities, grid: SkyGrid) -> NonuniformFourier:
    """Return F in complex128 with range (1, M), for the rows of a table on the ground."""
    longest = float(visibilities.uv_wavelengths.norm(dim=1).max())
    weights = torch.ones(1, len(visibilities), dtype=torch.float64)
    # The table holds no w: ten times the longest |(u, v)| bounds it unless all baselines are foreshortened more than that.
    return interferometer(
        visibilities.uv_wavelengths[None], weights, grid, largest_w_wavelengths=10 * longest, dtype=torch.complex128
    )


def closure_image(
    visibilities: Visibilities, grid: SkyGrid, prior: SkyPrior, *, gain_sd: Tensor, path: EntropyPath | None = None
) -> SkyImage:
    """Return the image that closure phases and amplitudes ask for.

    Args:
        visibilities: averaged rows without the baselines that see more than the image, signal-to-noise ratios over about 3.
        grid: image grid.
        prior: what is believed of the image.
        gain_sd: standard deviation of log |g| of each station, shape (N,).
        path: search for the weight of the entropy.

    Raises:
        ValueError: no closure phase can be formed.
    """
    phases, amplitudes = closure_phases(visibilities), log_amplitudes(visibilities, gain_sd)
    return _fit(
        sky_operator(visibilities, grid),
        lambda model: phases.chi_square(model) + amplitudes.chi_square(model),
        len(phases) + len(amplitudes),
        grid,
        prior,
        path or EntropyPath(),
        start=prior.flux_jy * gaussian(grid, prior.fwhm_rad),
    )


def self_calibrated_image(
    visibilities: Visibilities, grid: SkyGrid, prior: SkyPrior, first: SkyImage, *, gain_sd: Tensor, rounds: int = 5
) -> tuple[SkyImage, StationGains]:
    """Return the image of the complex visibilities and the gains, solved for in turn from ``first``, at its weight.

    It adds what closure quantities had to leave out: rows of low signal-to-noise ratio.

    Args:
        visibilities: averaged rows, of any signal-to-noise ratio.
        grid: image grid.
        prior: what is believed of the image.
        first: image to begin with, of :func:`closure_image`.
        gain_sd: standard deviation of log |g| of each station, shape (N,).
        rounds: how often gains and image are solved for.
    """
    operator = sky_operator(visibilities, grid)
    path = EntropyPath(first=first.weight, last=first.weight)
    image = first
    for _ in range(rounds):
        found = solve_gains(visibilities, model_visibilities(operator, image.image), gain_sd=gain_sd)
        known = calibrated(visibilities, found.gains)
        weight = 2 / known.sigma_jy.square()
        penalty = float((found.gains.abs().log() / gain_sd).square().sum())

        def chi_square(
            model: Tensor, known: Visibilities = known, weight: Tensor = weight, penalty: float = penalty
        ) -> Tensor:
            """Return the misfit of model visibilities to the calibrated ones, the gains' own departure from one included."""
            return (weight * (known.values - model).abs().square()).sum() + penalty

        image = _fit(operator, chi_square, found.freedom, grid, prior, path, start=image.image)
    return image, solve_gains(visibilities, model_visibilities(operator, image.image), gain_sd=gain_sd)


def model_visibilities(operator: NonuniformFourier, image: Tensor) -> Tensor:
    """Return F x, complex128 (M,), of an image (H, W)."""
    return operator(image[None, None].to(operator.dtype)).flatten()


def _fit(
    operator: NonuniformFourier,
    chi_square: Callable[[Tensor], Tensor],
    expected: int,
    grid: SkyGrid,
    prior: SkyPrior,
    path: EntropyPath,
    *,
    start: Tensor,
) -> SkyImage:
    """Return the positive image that meets chi^2 = ``expected`` at the largest weight tried; see the module's text.

    Args:
        operator: F, range (1, M).
        chi_square: of the model's visibilities, complex (M,).
        expected: chi^2 of the true sky in the mean.
        grid: image grid.
        prior: what is believed of the image.
        path: search for the weight.
        start: first image, (H, W), positive.
    """
    log_q = gaussian(grid, prior.fwhm_rad).log()
    logits = start.log().clone().requires_grad_()
    log_flux = start.sum().log().clone().requires_grad_()
    m, l = grid.axes_rad()  # noqa: E741 (the field's symbol)

    def log_shape() -> Tensor:
        return torch.log_softmax(logits.flatten(), 0).reshape(grid.shape)

    def image() -> Tensor:
        return (log_flux + log_shape()).exp()

    def objective(weight: float) -> Tensor:
        """Return weight KL(p | q) + (chi^2 + what the prior knows of place and flux) / 2."""
        log_p = log_shape()
        p = log_p.exp()
        entropy = (p * (log_p - log_q)).sum()
        centroid = torch.stack([(p.sum(1) * m).sum(), (p.sum(0) * l).sum()]) / prior.centroid_sd_rad
        flux = (log_flux - math.log(prior.flux_jy)) / prior.flux_sd
        data = chi_square(model_visibilities(operator, image()))
        return weight * entropy + (data + centroid.square().sum() + flux.square()) / 2

    weight = path.first
    while True:
        _minimise(partial(objective, weight), [logits, log_flux], path.iterations)
        with torch.no_grad():
            result = image()
            misfit = float(chi_square(model_visibilities(operator, result))) / expected
        if misfit <= 1 or weight <= path.last:
            return SkyImage(result, weight, misfit)
        weight = max(weight / path.step, path.last)


def _minimise(objective: Callable[[], Tensor], parameters: list[Tensor], iterations: int) -> None:
    """Change the parameters until the objective is at a minimum, by L-BFGS."""
    optimiser = torch.optim.LBFGS(
        parameters,
        max_iter=iterations,
        history_size=20,
        tolerance_grad=1e-9,
        tolerance_change=1e-7,
        line_search_fn="strong_wolfe",
    )

    def step() -> Tensor:
        """Return the objective, its gradients left in the parameters."""
        optimiser.zero_grad()
        value = objective()
        value.backward()
        return value

    optimiser.step(step)  # pyright: ignore[reportArgumentType]


def gaussian(grid: SkyGrid, fwhm_rad: float) -> Tensor:
    """Return a round Gaussian of sum 1 about the phase centre, (H, W), float64."""
    m, l = grid.axes_rad()  # noqa: E741 (the field's symbol)
    log_density = -4 * math.log(2) * (m[:, None].square() + l.square()) / fwhm_rad**2
    return torch.softmax(log_density.flatten(), 0).reshape(grid.shape)
