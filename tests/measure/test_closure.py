"""Averaging and closure quantities: invariance to stations, counts, errors and chi-squares against simulations."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from echoform.measure.closure import MAX_ROWS, closure_phases, log_amplitudes, log_closure_amplitudes
from echoform.measure.visibilities import Visibilities
from vlbi_cases import array, generator, noise, station_gains

DRAWS = 400


def skyful(**options) -> Visibilities:
    """Visibilities of a few points."""
    rows = array(**options)
    place = 4e-10 * torch.rand(4, 2, generator=generator(3), dtype=torch.float64)
    strength = torch.tensor([1.0, 0.5, 0.4, 0.3], dtype=torch.float64)
    values = (strength * torch.exp(-2j * math.pi * (rows.uv_wavelengths @ place.mT))).sum(1)
    return replace(rows, values=values)


def gappy() -> Visibilities:
    """One baseline in three is missing, another set at each time."""
    rows = skyful(stations=7)
    return rows.kept(torch.rand(len(rows), generator=generator(8)) > 0.3)


def wrapped(angle: torch.Tensor) -> torch.Tensor:
    return angle - 2 * math.pi * torch.round(angle / (2 * math.pi))


def test_closure_quantities_do_not_see_the_stations() -> None:
    rows = gappy()
    corrupted = rows.corrupted(station_gains(rows, generator(5), log_sd=0.5))
    assert (corrupted.values / rows.values).angle().abs().max() > 1
    # The set chosen goes by errors, which gains change: the same combinations are compared.
    phases, amplitudes = closure_phases(rows), log_closure_amplitudes(rows)
    assert wrapped(phases.of(corrupted.values) - phases.values).abs().max() < 1e-12
    assert (amplitudes.of(corrupted.values) - amplitudes.values).abs().max() < 1e-12
    assert phases.values.abs().max() > 0.5
    assert amplitudes.values.abs().max() > 0.5


def test_one_triangle_and_one_quadrangle_by_hand() -> None:
    ab, ac, bc = skyful(stations=3, times=1).values
    phases = closure_phases(skyful(stations=3, times=1))
    assert phases.values.tolist() == pytest.approx([float((ab * bc * ac.conj()).angle())], abs=1e-12)
    rows = skyful(stations=4, times=1)
    ab, ac, ad, bc, bd, cd = rows.values.abs().log().tolist()
    opposite = (ab + cd, ac + bd, ad + bc)
    ratios = [opposite[i] - opposite[j] for i, j in ((0, 1), (0, 2), (1, 2))]
    found = log_closure_amplitudes(rows).values.tolist()
    assert len(found) == 2
    for value in found:
        assert min(abs(value - ratio) for ratio in ratios) < 1e-12


@pytest.mark.parametrize("stations", [3, 4, 6])
def test_full_arrays_give_as_many_as_theory_says(stations) -> None:
    """(N - 1)(N - 2) / 2 closure phases and N (N - 3) / 2 closure amplitudes at each time, all independent."""
    rows = skyful(stations=stations, times=2)
    phases = closure_phases(rows)
    assert len(phases) == (stations - 1) * (stations - 2)
    assert torch.linalg.matrix_rank(phases.matrix) == len(phases)
    if stations == 3:
        with pytest.raises(ValueError, match="four stations"):
            log_closure_amplitudes(rows)
    else:
        amplitudes = log_closure_amplitudes(rows)
        assert len(amplitudes) == stations * (stations - 3)
        assert torch.linalg.matrix_rank(amplitudes.matrix) == len(amplitudes)


def test_errors_and_chi_squares_against_simulation() -> None:
    """Standard deviations within 4 standard errors of 400 draws; mean chi-square within 4 of its number of data."""
    rows = replace(
        gappy(), sigma_jy=0.005 * (1 + torch.rand(len(gappy()), generator=generator(2), dtype=torch.float64))
    )
    rows = rows.kept(rows.snr() > 20)
    g = generator(11)
    for form in (closure_phases, log_closure_amplitudes):
        truth = form(rows)
        drawn = [rows.values + noise(rows, g) for _ in range(DRAWS)]
        residual = torch.stack([truth.difference(v) for v in drawn])
        assert (residual.std(0) / truth.sigma() - 1).abs().max() < 4 / math.sqrt(2 * DRAWS) + 0.02
        chi = torch.stack([truth.chi_square(v) for v in drawn])
        count = len(truth)
        assert float(chi.mean()) == pytest.approx(count, abs=4 * math.sqrt(2 * count / DRAWS) + 0.01 * count)
        assert float(chi.var()) == pytest.approx(2 * count, rel=0.4)


def test_chi_square_depends_only_on_the_span() -> None:
    """Another minimal set, got by preferring other triangles, gives the same number."""
    rows = skyful(stations=5, times=1)
    other = replace(rows, sigma_jy=rows.sigma_jy * (1 + torch.arange(len(rows), dtype=torch.float64)))
    g = generator(6)
    model = rows.values + 3 * noise(rows, g)
    phases, chosen_otherwise = closure_phases(rows), closure_phases(other)
    assert not torch.equal(phases.matrix, chosen_otherwise.matrix)
    matrix = chosen_otherwise.matrix
    covariance = (matrix * rows.snr() ** -2) @ matrix.mT
    difference = wrapped(matrix @ (rows.values.angle() - model.angle()))
    assert float(difference @ torch.linalg.solve(covariance, difference)) == pytest.approx(
        float(phases.chi_square(model))
    )


def test_log_amplitudes_lie_between_amplitudes_and_closure_amplitudes() -> None:
    """Known gains: the sum over rows; unknown gains: the chi-square of the closure amplitudes; drawn gains: mean M."""
    rows = skyful(stations=6, times=3, sigma_jy=0.002)
    g = generator(7)
    model = rows.values + 2 * noise(rows, g)
    plain = ((rows.values.abs() / model.abs()).log() * rows.snr()).square().sum()
    known = log_amplitudes(rows, torch.zeros(6)).chi_square(model)
    assert float(known) == pytest.approx(float(plain))
    unknown = log_amplitudes(rows, torch.full((6,), 300.0)).chi_square(model)
    assert float(unknown) == pytest.approx(float(log_closure_amplitudes(rows).chi_square(model)), rel=1e-4)
    data, sd = log_amplitudes(rows, torch.full((6,), 0.2)), 0.2
    drawn = [replace(rows, values=rows.values + noise(rows, g)) for _ in range(DRAWS)]
    chi = [float(data.chi_square(d.corrupted(station_gains(d, g, log_sd=sd)).values)) for d in drawn]
    assert sum(chi) / DRAWS == pytest.approx(len(rows), abs=4 * math.sqrt(2 * len(rows) / DRAWS) + 0.02 * len(rows))


def test_gradients_reach_the_model() -> None:
    rows = skyful(stations=4, times=1)
    model = (rows.values * 1.1j**0.1 + 0.01).requires_grad_()
    for data in (closure_phases(rows), log_closure_amplitudes(rows), log_amplitudes(rows, torch.full((4,), 0.1))):
        (gradient,) = torch.autograd.grad(data.chi_square(model), model)
        assert torch.isfinite(gradient.abs()).all()
        assert gradient.abs().max() > 0


def test_averages_and_their_errors() -> None:
    """Two scans of a baseline and three samples each: weighted mean, error 1 / sqrt(sum 1 / s^2), and its scatter."""
    sigma = torch.tensor([1.0, 2.0, 2.0, 1.0, 1.0, 4.0], dtype=torch.float64)
    values = torch.arange(6, dtype=torch.float64) * (1 + 2j)
    time = torch.tensor([0.0, 10, 20, 500, 510, 520], dtype=torch.float64)
    uv = torch.stack([time, -time], 1)
    rows = Visibilities(("A", "B"), torch.tensor([[0, 1]] * 6), time, uv, values, sigma)
    mean = rows.averaged(100.0)
    assert mean.time_s.tolist() == [10, 510]
    weight = sigma**-2
    first = (weight * values)[:3].sum() / weight[:3].sum()
    assert torch.allclose(mean.values[0], first)
    assert torch.allclose(mean.sigma_jy, torch.stack([weight[:3].sum(), weight[3:].sum()]).rsqrt())
    assert torch.allclose(mean.uv_wavelengths[0, 0], (weight * time)[:3].sum() / weight[:3].sum())
    g = generator(9)
    drawn = torch.stack([replace(rows, values=noise(rows, g)).averaged(100.0).values for _ in range(500)])
    assert torch.allclose(drawn.abs().square().mean(0).sqrt(), mean.sigma_jy, rtol=0.12)
    assert rows.averaged(1.0).values.shape == (6,)


def test_baselines_of_a_scan_share_its_time_so_that_they_close() -> None:
    rows = skyful(stations=3, times=2)
    late = replace(rows, time_s=rows.time_s + 10 * torch.arange(len(rows), dtype=torch.float64))
    with pytest.raises(ValueError, match="three stations"):
        closure_phases(late)
    assert len(closure_phases(late.averaged(100.0))) == 2


def test_systematic_error_adds_in_quadrature() -> None:
    rows = skyful(stations=3, times=1, sigma_jy=0.01)
    with_error = rows.with_systematic(0.02)
    assert torch.allclose(with_error.snr() ** -2, rows.snr() ** -2 + 0.02**2)


def test_refusals() -> None:
    rows = skyful(stations=3, times=1)
    twice = replace(
        rows,
        **{n: torch.cat([getattr(rows, n)] * 2) for n in ("pairs", "time_s", "uv_wavelengths", "values", "sigma_jy")},
    )
    with pytest.raises(ValueError, match="twice"):
        closure_phases(twice)
    with pytest.raises(ValueError, match="0 <= a < b"):
        replace(rows, pairs=rows.pairs.flip(1))
    with pytest.raises(ValueError, match="positive"):
        replace(rows, sigma_jy=0 * rows.sigma_jy)
    with pytest.raises(ValueError, match="disagree"):
        replace(rows, time_s=rows.time_s[:-1])
    many = array(stations=10, times=MAX_ROWS // 45 + 1)
    with pytest.raises(ValueError, match="average over scans first"):
        closure_phases(many)
