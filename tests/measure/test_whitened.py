"""Whitened measurements: the noise becomes white, and least squares on them is generalised least squares on the original."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from contracts import dense, distance, randn
from echoform.measure.measurement import Measurement, simulate
from echoform.measure.splitting import split
from echoform.measure.whitened import whitened
from echoform.physics.axis_matrix import AxisMatrix
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.kronecker import KroneckerOperator
from echoform.physics.noise import GaussianNoise, Noise, PoissonGaussianNoise
from echoform.physics.noise_coloured import ColouredGaussianNoise, DiagonalGaussianNoise, spectral_covariance
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.recon.classical.tikhonov import Tikhonov
from echoform.recon.discrepancy import expected_noise_energy
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid

SHAPE, DOUBLE = (6, 8), torch.complex128


def spotlight() -> NonuniformFourier:
    """Five pulses, of which two are missing and one has lost the same frequencies as all others."""
    angle = torch.linspace(0.1, 0.15, 5, dtype=torch.float64)
    antenna = torch.stack([200 * angle.cos(), 200 * angle.sin(), 80 + 0 * angle], -1)[None]
    kept = torch.ones(1, 5, 7, dtype=torch.float64)
    kept[:, [1, 2]] = 0
    kept[..., 3] = 0
    frequency = torch.linspace(9.3e9, 9.9e9, 7, dtype=torch.float64)[None]
    return plane_wave_spotlight(SpotlightCollection(antenna, frequency, kept), Grid(SHAPE, (0.2, 0.25)), dtype=DOUBLE)


def radar() -> KroneckerOperator:
    return KroneckerOperator(randn((1, 2, 1), 1), randn((1, 1, 5, 6), 2), randn((1, 7, 8), 3))


def mask(*, columns: bool = True) -> FourierMask:
    """Whole columns of frequencies, or single ones."""
    keep = randn((1, 1, 1, 8) if columns else (1, 1, *SHAPE), 4).real < 0.4
    return FourierMask(keep.double().expand(1, 1, *SHAPE).clone())


SENSORS = {"spotlight": spotlight, "radar": radar, "mask": mask}


def coloured(operator: LinearOperator, axis: int) -> ColouredGaussianNoise:
    """The first sensor hears noise that is strong on one side of the spectrum, the second on the other side."""
    turn = 2 * math.pi * torch.arange(40, dtype=torch.float64) / 40
    density = torch.stack([1 + 30 * torch.exp(3 * torch.cos(turn - s)) for s in (0.7, 4.0)])
    return ColouredGaussianNoise(spectral_covariance(density, operator.range_shape[axis]), axis)


def diagonal(operator: LinearOperator) -> DiagonalGaussianNoise:
    return DiagonalGaussianNoise(torch.exp(randn((2, *operator.range_shape), 5).real))


def covariance(noise: Noise, shape: tuple[int, ...]) -> Tensor:
    """The full covariance of the flattened samples, (2, M, M)."""
    size = math.prod(shape)
    if isinstance(noise, DiagonalGaussianNoise):
        return torch.diag_embed(noise.deviation.flatten(1).square()).to(DOUBLE)
    assert isinstance(noise, ColouredGaussianNoise)
    index = torch.arange(size).reshape(shape).movedim(noise.axis, -1).reshape(-1, shape[noise.axis])
    full = torch.zeros(2, size, size, dtype=DOUBLE)
    for line in index:
        full[:, line[:, None], line] = noise.covariance
    return full


CASES = [(label, axis) for label in SENSORS for axis in (None, 1, 2)]


def case(label: str, axis: int | None) -> tuple[LinearOperator, Noise]:
    operator = SENSORS[label]()
    return operator, diagonal(operator) if axis is None else coloured(operator, axis)


def taken(operator: LinearOperator) -> Tensor:
    marks = operator.support()
    full = torch.ones(operator.range_shape) if marks is None else marks[0].expand(operator.range_shape)
    return full.flatten() != 0


@pytest.mark.parametrize(("label", "axis"), CASES)
def test_least_squares_becomes_generalised_least_squares(label, axis) -> None:
    """Conjugate gradients on (W y, W A) against (A^H C^-1 A + w I)^-1 A^H C^-1 y with C of the samples that are there."""
    operator, noise = case(label, axis)
    x = randn((2, *operator.domain_shape), 6)
    measurement = simulate(x, operator, noise, generator=torch.Generator().manual_seed(1))
    kept = taken(operator)
    matrix, y = dense(operator)[:, kept], measurement.y.flatten(1)[:, kept]
    inverse = torch.linalg.inv(covariance(noise, operator.range_shape)[:, kept][:, :, kept])
    weight = 0.05 * torch.linalg.matrix_norm(matrix.mH @ inverse @ matrix, ord=2)
    gram = matrix.mH @ inverse @ matrix + torch.diag_embed(weight[:, None].expand(2, 48)).to(DOUBLE)
    expected = torch.linalg.solve(gram, (matrix.mH @ inverse @ y[..., None])[..., 0]).reshape(x.shape)
    relative = weight * noise.sigma.square()  # in the samples' own size
    found = Tikhonov(relative, tolerance=1e-12, max_iterations=300)(whitened(measurement)).mean
    assert distance(found, expected) < 1e-8
    by_itself = Tikhonov(relative, tolerance=1e-12, max_iterations=300)(measurement).mean
    assert distance(by_itself, expected) < 1e-8, "a reconstructor whitens by itself"
    level = replace(measurement, noise=GaussianNoise(measurement.noise.sigma))
    plain = Tikhonov(relative, tolerance=1e-12, max_iterations=300)(level).mean
    assert distance(plain, expected) > 0.01, "whitening changes nothing here: the case proves nothing"


@pytest.mark.parametrize(("label", "axis"), CASES)
def test_whitened_noise_is_white(label, axis) -> None:
    """W C W^H = s^2 I on the support, with W read off the samples themselves, s the rms level, which is told."""
    operator, noise = case(label, axis)
    size, kept = math.prod(operator.range_shape), taken(operator)
    unit = torch.eye(size, dtype=DOUBLE).reshape(size, 1, *operator.range_shape).expand(-1, 2, *operator.range_shape)
    columns = [whitened(Measurement(u * kept.reshape(operator.range_shape), operator, noise)).y for u in unit]
    w = torch.stack(columns, -1).flatten(1, -2)
    level = noise.sigma
    result = w @ covariance(noise, operator.range_shape) @ w.mH / level.square()[:, None, None]
    assert distance(result, torch.diag(kept).to(DOUBLE).expand(2, -1, -1)) < 1e-10
    part = whitened(Measurement(torch.zeros(2, *operator.range_shape, dtype=DOUBLE), operator, noise))
    assert torch.equal(part.operator.samples().expand(2), operator.samples().expand(2))
    assert isinstance(part.noise, GaussianNoise)
    assert torch.equal(part.noise.sigma, level)


def test_levels_go_into_the_weights_of_the_class() -> None:
    for label, kind in (("spotlight", NonuniformFourier), ("mask", FourierMask)):
        operator, noise = case(label, None)
        y = torch.zeros(2, *operator.range_shape, dtype=DOUBLE)
        assert type(whitened(Measurement(y, operator, noise)).operator) is kind


def test_white_noise_stays_as_it_is() -> None:
    operator = mask()
    measurement = simulate(
        randn((2, 1, *SHAPE), 1), operator, GaussianNoise(torch.tensor([2.0, 0.5], dtype=torch.float64))
    )
    result = whitened(measurement)
    assert torch.equal(result.y, measurement.y)
    assert torch.equal(result.noise.sigma, measurement.noise.sigma)
    assert distance(dense(result.operator), dense(operator).expand(2, -1, -1)) < 1e-14


@pytest.mark.parametrize("unit", [1e-12, 1e9])
def test_reconstruction_does_not_depend_on_the_unit(unit: float) -> None:
    """Single precision, samples in volts: networks and conjugate gradients see systems of their usual size."""
    operator = mask()
    noise, single = diagonal(operator), FourierMask(operator.weights.float())
    x = randn((2, 1, *SHAPE), 6)
    measurement = simulate(x, operator, noise, generator=torch.Generator().manual_seed(1))
    found = []
    for size in (1.0, unit):
        scaled = DiagonalGaussianNoise((noise.deviation * size).float())
        y = (measurement.y * size).to(torch.complex64)
        image = Tikhonov(torch.tensor([0.1]), tolerance=1e-6)(Measurement(y, single, scaled)).mean
        found.append(image / size)
    assert distance(found[1], found[0]) < 1e-4


def test_the_discrepancy_principle_meets_the_noise_either_way() -> None:
    """E |n|^2 over the samples, and the number of samples times the level's square once they are white."""
    for axis in (None, 1, 2):
        operator, noise = case("spotlight", axis)
        clean = torch.zeros(2, *operator.range_shape, dtype=DOUBLE)
        total = torch.zeros(2, dtype=torch.float64)
        generator = torch.Generator().manual_seed(3)
        for _ in range(400):
            total += (noise.sample(clean, generator) * operator.support()).abs().square().flatten(1).sum(1)
        measurement = Measurement(clean, operator, noise)
        assert torch.allclose(expected_noise_energy(measurement), total / 400, rtol=0.15)
        white = operator.samples().expand(2) * noise.sigma.square()
        assert torch.allclose(expected_noise_energy(whitened(measurement)), white, rtol=1e-12)


def test_whitened_samples_can_be_split() -> None:
    """Once white they are independent, so that held-out samples judge fairly; the mixing stands before the mask."""
    operator, noise = case("spotlight", 2)
    measurement = whitened(simulate(randn((2, 1, *SHAPE), 1), operator, noise))
    kept = torch.rand(1, *operator.range_shape, generator=torch.Generator().manual_seed(1)) < 0.5
    one, other = split(measurement, kept)
    assert distance(one.y + other.y, measurement.y) == 0
    assert (
        distance(
            one.operator.normal(randn((2, 1, *SHAPE), 2)) + other.operator.normal(randn((2, 1, *SHAPE), 2)),
            measurement.operator.normal(randn((2, 1, *SHAPE), 2)),
        )
        < 1e-12
    )
    by_pulse, _ = split(measurement, torch.tensor([True, True, False, True, False])[None, None, :, None])
    assert isinstance(by_pulse.operator.outer, AxisMatrix)
    assert isinstance(by_pulse.operator.inner, NonuniformFourier)


def test_what_cannot_be_whitened_is_refused() -> None:
    operator = mask(columns=False)
    y = torch.zeros(1, *operator.range_shape, dtype=DOUBLE)
    for noise, error, message in (
        (coloured(operator, 2), ValueError, "missing at different places"),
        (ColouredGaussianNoise(torch.eye(5)[None], 1), ValueError, "covariance of 5"),
        (DiagonalGaussianNoise(torch.zeros(1, 1, 1, 1)), ValueError, "level zero"),
        (GaussianNoise(torch.zeros(1)), ValueError, "positive sigma"),
        (PoissonGaussianNoise(torch.ones(1), torch.ones(1)), TypeError, "PoissonGaussianNoise"),
    ):
        with pytest.raises(error, match=message):
            whitened(Measurement(y, operator, noise))
