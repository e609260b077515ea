"""The Born operator and its Green functions against scipy, dense sums and the exact series of a weak cylinder."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import examples_born
import numpy as np
import pytest
import torch
from scipy.special import hankel2

from contracts import (
    SEEDS,
    check_dot,
    check_gradients,
    check_leading_axes,
    check_normal,
    dense,
    distance,
    image_for,
    randn,
)
from cylinder import DOUBLE, angles, real, ring_rig
from echoform.linalg.resample import upsample
from echoform.physics import born_products
from echoform.physics.born import BornScattering, GivenFields
from echoform.physics.born_coarse import CoarseBorn
from echoform.physics.born_products import hadamard_normal
from echoform.physics.channelwise import BlockDiagonalOperator, ChannelwiseOperator
from echoform.physics.compositions import ComposedOperator, GalerkinOperator, ScaledOperator
from echoform.physics.crop import padded_to_multiple
from echoform.physics.cylinder_series import scattered_by_cylinder
from echoform.physics.green import Radiator, green_2d, green_3d, hankel2_zero, wavenumber
from echoform.physics.masking import apply_gain, restrict
from echoform.physics.operator import LinearOperator
from echoform.physics.sample_gain import SampleGain
from echoform.physics.stacked import stack
from echoform.scene.cells import cells_of, share_of_disc, volume_of
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.grid import Grid
from echoform.scene.rig import MultistaticRig, all_pairs, ring_m


def test_hankel_is_scipys_for_real_and_complex_arguments() -> None:
    """Values against scipy, of lossy media too, and gradients against finite differences."""
    z = torch.linspace(0.01, 300, 997, dtype=torch.float64)
    assert np.allclose(hankel2_zero(z).numpy(), hankel2(0, z.numpy()), rtol=1e-11, atol=1e-14)
    lossy = z * (1 - 0.02j)
    assert np.allclose(hankel2_zero(lossy).numpy(), hankel2(0, lossy.numpy()), rtol=1e-13)
    for leaf in (z[::100].clone().requires_grad_(), lossy[::100].clone().requires_grad_()):
        assert torch.autograd.gradcheck(hankel2_zero, (leaf,))


def test_green_functions_far_away() -> None:
    """The asymptote of lines, the closed form of points, and decay in a lossy medium."""
    k, distance_m = real(40.0), real(30.0, 100.0)
    outgoing = torch.exp(-1j * (k * distance_m - math.pi / 4))
    asymptote = -0.25j * torch.sqrt(2 / (math.pi * k * distance_m)) * outgoing
    assert distance(green_2d(distance_m, k), asymptote) < 1 / (8 * 40 * 30)
    assert green_3d(real(2.0), k).item() == pytest.approx(np.exp(-80j) / (8 * np.pi), rel=1e-12)
    lossy = wavenumber(real(2e9)[None], torch.tensor([4 - 1j], dtype=DOUBLE))[0]
    assert lossy.imag.item() < 0
    for green, spreading in ((green_2d, 2**-0.5), (green_3d, 0.5)):
        near, far = green(real(1.0), lossy).abs(), green(real(2.0), lossy).abs()
        assert float(far / near) == pytest.approx(spreading * math.exp(lossy.imag.item()), rel=1e-3)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_green_functions_solve_the_wave_equation(dimensions: int) -> None:
    k, h, r = real(7.0), 1e-3, 0.5
    green = green_2d if dimensions == 2 else green_3d
    inner, middle, outer = (green(real(r + d), k).item() for d in (-h, 0.0, h))
    laplacian = (outer - 2 * middle + inner) / h**2 + (dimensions - 1) / r * (outer - inner) / (2 * h)
    assert abs(laplacian + 49 * middle) < 1e-4 * abs(49 * middle)


@pytest.mark.parametrize("radiator", list(Radiator))
def test_equals_the_direct_sum(radiator: Radiator) -> None:
    """Every number from scipy and loops; complex background, per-frequency mask, antennas near and far."""
    heard = (torch.rand(1, 2, 3, 2, generator=torch.Generator().manual_seed(3)) < 0.7).double()
    t, r = randn((1, 2, 3), 1).real + 2, randn((1, 3, 3), 2).real - 3
    if radiator is Radiator.LINE:
        t[..., 2] = r[..., 2] = 0
    grid, eps = Grid((4, 5), (0.02, 0.03)), 3 - 0.4j
    rig = MultistaticRig(t, r, real(1e9, 1.7e9)[None], heard)
    operator = BornScattering(
        rig, cells_of(grid), radiator=radiator, permittivity=torch.tensor([eps], dtype=DOUBLE), dtype=DOUBLE
    )
    x = randn((1, 1, 4, 5), 4)
    expected = np.zeros((2, 3, 2), dtype=complex)
    for f, i, j in np.ndindex(2, 3, 2):
        k = 2 * np.pi * [1e9, 1.7e9][f] * np.sqrt(eps) / SPEED_OF_LIGHT_M_S
        for row, column in np.ndindex(4, 5):
            cell = np.array([(column - 2) * 0.03, (row - 2) * 0.02, 0])
            out, back = np.linalg.norm(r[0, i].numpy() - cell), np.linalg.norm(t[0, j].numpy() - cell)
            if radiator is Radiator.LINE:
                fields = -0.25j * hankel2(0, k * out) * -0.25j * hankel2(0, k * back)
            else:
                fields = np.exp(-1j * k * (out + back)) / (16 * np.pi**2 * out * back)
            expected[f, i, j] += heard[0, f, i, j] * k**2 * 6e-4 * fields * x[0, 0, row, column]
    assert distance(operator(x)[0, 0], torch.from_numpy(expected)) < 1e-10


def test_a_crowd_of_images_is_measured_as_each_alone() -> None:
    """More images than antennas go another way (pairs of fields first); one image alone does not."""
    heard = (torch.rand(1, 2, 5, 3, generator=torch.Generator().manual_seed(3)) < 0.7).double()
    cells = cells_of(Grid((4, 5), (0.02, 0.03)))
    operator = BornScattering(examples_born.rig((1,), heard), cells, radiator=Radiator.LINE, dtype=DOUBLE)
    x, y = randn((9, 1, 4, 5), 4), randn((9, 1, 2, 5, 3), 5)
    assert distance(operator(x), torch.cat([operator(one) for one in x.split(1)])) < 1e-12
    assert distance(operator.adjoint(y), torch.cat([operator.adjoint(one) for one in y.split(1)])) < 1e-12


def test_swapping_transmitters_and_receivers_transposes_the_data() -> None:
    heard = (torch.rand(1, 2, 5, 3, generator=torch.Generator().manual_seed(3)) < 0.7).double()
    rig = examples_born.rig((1,), heard)
    swapped = MultistaticRig(rig.receiver_m, rig.transmitter_m, rig.frequency_hz, heard.mT.contiguous())
    cells = cells_of(Grid((6, 4), (0.01, 0.01)))
    one, other = (BornScattering(r, cells, radiator=Radiator.LINE, dtype=DOUBLE) for r in (rig, swapped))
    x = randn((2, 1, 6, 4), 1)
    assert distance(other(x), one(x).mT) < 1e-12


@pytest.mark.parametrize(("x_m", "y_m"), [(0.09, 0.0), (0.0, 0.06), (-0.05, 0.08)])
def test_a_scatterer_peaks_at_its_place(x_m: float, y_m: float) -> None:
    """Right stays right and positive y positive; the data are computed from positions, not by the operator."""
    frequency = torch.linspace(1e9, 4e9, 7, dtype=torch.float64)
    rig, grid, place = ring_rig(frequency), Grid((32, 48), (0.01, 0.01)), real(x_m, y_m, 0)
    k = wavenumber(rig.frequency_hz, real(1.0))[0]
    out, back = ((a[0] - place).norm(dim=-1) for a in (rig.receiver_m, rig.transmitter_m))
    y = green_2d(out[None, :, None], k[:, None, None]) * green_2d(back[None, None], k[:, None, None])
    image = BornScattering(rig, cells_of(grid), radiator=Radiator.LINE, dtype=DOUBLE).adjoint(y[None, None])[0, 0]
    assert divmod(int(image.abs().argmax()), 48) == grid.nearest(x_m, y_m)
    assert abs(float(image[grid.nearest(x_m, y_m)].angle())) < 1e-6


def test_agrees_with_the_exact_series_of_a_weak_cylinder() -> None:
    """Amplitude, phase and sign of the whole model: contrast 0.01, k a = 0.5 and 1.5, with no free constant."""
    frequency, radius_m = real(0.5e9, 1.5e9), 0.0477
    rig, grid = ring_rig(frequency, antennas=12), Grid((96, 96), (0.00105, 0.00105))
    operator = BornScattering(rig, cells_of(grid), radiator=Radiator.LINE, normal_memory_bytes=0, dtype=DOUBLE)
    fields = operator(0.01 * share_of_disc(grid, radius_m).to(DOUBLE)[None, None])[0, 0]
    exact = scattered_by_cylinder(rig, radius_m=radius_m, permittivity=1.01)[0, 0]
    for f in range(2):
        assert distance(fields[f], exact[f]) < 0.015


def test_the_matrix_is_the_two_passes_and_the_cheaper_form_is_chosen() -> None:
    """N is held where samples outnumber pixels and memory allows, and is the dense A^H A."""
    frequency, cells = real(2e9, 3e9), cells_of(Grid((12, 16), (0.01, 0.01)))
    rig = ring_rig(frequency, antennas=40)
    held = BornScattering(rig, cells, radiator=Radiator.LINE, dtype=DOUBLE)
    passes = BornScattering(rig, cells, radiator=Radiator.LINE, normal_memory_bytes=192**2 * 16 - 1, dtype=DOUBLE)
    few = BornScattering(ring_rig(frequency, antennas=4), cells, radiator=Radiator.LINE, dtype=DOUBLE)
    assert held.matrix is not None
    assert passes.matrix is None
    assert few.matrix is None
    x = randn((2, 1, 12, 16), 5)
    assert distance(held.normal(x), passes.normal(x)) < 1e-12
    matrix = dense(held, batch=1)
    assert distance(held.matrix, matrix.mH @ matrix) < 1e-12


@pytest.mark.parametrize("oversampled", ["receivers", "frequencies"])
def test_rows_held_for_many_products_say_what_all_samples_say(oversampled: str) -> None:
    """Fewer rows than samples where antennas or frequencies are denser than waves need, of the same normal."""
    shape = (1, 300, 4) if oversampled == "receivers" else (1, 5, 7)
    heard = (examples_born.uniform(shape, 1) < 0.6).double()
    heard = torch.stack([heard, heard.flip(2)])
    placed = examples_born.rig((1, 2), heard)
    if oversampled == "frequencies":
        frequency_hz = torch.linspace(2e9, 3e9, 60, dtype=torch.float64).expand(2, -1)
        placed = MultistaticRig(placed.transmitter_m, placed.receiver_m, frequency_hz, heard)
    cells = cells_of(Grid((24, 20), (0.008, 0.008)))
    operator = BornScattering(placed, cells, radiator=Radiator.LINE, dtype=torch.complex128)
    assert operator.matrix is None
    prepared = operator.prepared()
    assert isinstance(prepared, BornScattering)
    assert prepared.rows is not None
    assert operator.rows is None
    measured = int(heard[0].sum()) * operator.range_shape[1]
    assert prepared.rows.shape[1] < 0.5 * measured
    x = randn((3, 2, 1, 24, 20), 5)
    expected = operator.normal(x)
    assert float((prepared.normal(x) - expected).norm() / expected.norm()) < 1e-10
    torch.testing.assert_close(prepared(x), operator(x), rtol=0, atol=0)
    assert prepared.prepared() is prepared


def test_rows_are_not_held_where_they_are_as_many_as_the_samples() -> None:
    heard = (examples_born.uniform((1, 5, 7), 1) < 0.6).double()[None]
    cells = cells_of(Grid((24, 20), (0.011, 0.009)))
    operator = BornScattering(examples_born.rig((1,), heard), cells, radiator=Radiator.LINE)
    assert operator.prepared() is operator
    assert isinstance((2.0 * operator).prepared(), ScaledOperator)


def wrapped(born: BornScattering) -> dict[str, LinearOperator]:
    """Sensors that use the normal of a Born operator: behind a phase, before a crop, in stacks and blocks, scaled, coarse."""
    phase = torch.exp(1j * randn((1, *born.range_shape), 6).real)
    return {
        "phase": apply_gain(born, phase),
        "scaled twice": 0.5 * (2.0j * born),
        "on a larger grid": padded_to_multiple(born, 16),
        "channels": ChannelwiseOperator(born, 2),
        "blocks": BlockDiagonalOperator([born, apply_gain(born, phase)]),
        "stack": stack([born, apply_gain(born, phase)]),
        "coarse": GalerkinOperator(born, 2),
    }


@pytest.mark.parametrize("name", ["phase", "scaled twice", "on a larger grid", "channels", "blocks", "stack", "coarse"])
def test_wrapped_sensors_are_prepared_with_their_rows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And their normal then runs neither forward nor backward."""
    heard = (examples_born.uniform((1, 300, 4), 1) < 0.6).double()[None]
    cells = cells_of(Grid((24, 20), (0.008, 0.008)))
    born = BornScattering(examples_born.rig((1,), heard), cells, radiator=Radiator.LINE, dtype=DOUBLE)
    operator = wrapped(born)[name]
    prepared = operator.prepared()
    assert type(prepared) is type(operator)
    x = image_for(operator)
    expected = operator.normal(x)
    assert all(m.rows is None for m in operator.modules() if isinstance(m, BornScattering))
    monkeypatch.setattr(BornScattering, "forward", None)
    monkeypatch.setattr(BornScattering, "adjoint", None)
    assert distance(prepared.normal(x), expected) < 1e-10


def test_gains_go_into_the_weights_and_leave_the_fast_normals() -> None:
    """Of antennas into the matrix, of single samples into the rows; dropped pairs are no samples any more."""
    full = examples_born.full((12, 16), SEEDS, DOUBLE)
    receivers, transmitters = 1 + 0.5 * randn((2, 1, 1, 40, 1), 1), 1 + 0.5 * randn((2, 1, 1, 1, 30), 2)
    heard = (examples_born.uniform((1, 300, 4), 1) < 0.6).double()[None]
    cells = cells_of(Grid((24, 20), (0.008, 0.008)))
    oversampled = BornScattering(examples_born.rig((1,), heard), cells, radiator=Radiator.LINE, dtype=DOUBLE)
    rough = 1 + 0.5 * randn((1, *oversampled.range_shape), 3)
    rough[..., 1] = 0
    for base, gain in ((full, receivers), (full, receivers * transmitters), (oversampled, rough)):
        operator, reference = apply_gain(base, gain), SampleGain(gain, base.range_shape) @ base
        assert isinstance(operator, BornScattering)
        assert (operator.matrix is None) == (base is oversampled)
        prepared = operator.prepared()
        assert isinstance(prepared, BornScattering)
        assert (prepared.rows is None) == (base is full)
        x = image_for(operator)
        assert distance(operator(x), reference(x)) < 1e-12
        assert distance(prepared.normal(x), reference.normal(x)) < 1e-10
        assert torch.equal(operator.support(), reference.support())
    trace = dense(apply_gain(full, receivers)).abs().square().sum((1, 2))
    assert distance(apply_gain(full, receivers).spectrum().mean(lambda value: value), trace / (12 * 16)) < 1e-6
    again = apply_gain(apply_gain(full, receivers), transmitters)
    assert distance(again(image_for(full)), apply_gain(full, receivers * transmitters)(image_for(full))) < 1e-12
    assert full.gain is None
    with pytest.raises(ValueError, match="coarse Born"):
        full.coarsen(2).weighted(receivers[:, 0])


def test_dropped_pairs_leave_a_rig_without_them() -> None:
    """Dropping is a rig that hears less, with a gain too, and the held matrix goes where it no longer pays."""
    base = examples_born.full((12, 16), SEEDS, DOUBLE)
    kept = torch.ones(1, 1, 1, 40, 30, dtype=torch.bool)
    kept[..., 7, :] = False
    operator = restrict(base, kept)
    assert isinstance(operator, BornScattering)
    assert operator.gain is None
    assert operator.matrix is not None
    assert torch.equal(operator.rig().heard, base.heard * kept[0])
    gained = examples_born.gained((12, 16), SEEDS, DOUBLE)
    assert distance(restrict(gained, kept)(image_for(base)), kept * gained(image_for(base))) < 1e-14
    rough = restrict(base, examples_born.uniform((1, 1, 2, 40, 30), 5) < 0.5)
    assert isinstance(rough, BornScattering)
    assert rough.matrix is None
    check_normal(rough)


def test_coarse_normal_with_the_matrix_is_galerkin_and_small() -> None:
    """The coarse matrix is U^T N U; the fine operator stays as it was."""
    fine = examples_born.full((16, 12), SEEDS, DOUBLE)
    assert fine.matrix is not None
    coarse, galerkin = fine.coarsen(2), GalerkinOperator(fine, 2)
    assert isinstance(coarse, BornScattering)
    assert coarse.matrix is not None
    assert coarse.matrix.shape == (2, 48, 48)
    x = randn((2, 1, 8, 6), 1)
    assert distance(coarse(x), galerkin(x)) < 1e-12
    assert distance(coarse.normal(x), galerkin.normal(x)) < 1e-12
    check_normal(coarse)
    check_dot(coarse.coarsen(2), 1e-10)
    assert fine.domain_shape == (1, 16, 12)
    assert fine.matrix.shape == (2, 192, 192)


@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize(
    ("build", "factor", "step"),
    [
        (examples_born.small_cells, 2, 2),  # 0.6 rad a coarse pixel
        (examples_born.small_cells, 4, 4),  # 1.1
        (examples_born.small_cells, 8, 8),  # 2.2
        (examples_born.thin_volume, 2, 2),  # 2.0
        (examples_born.thin_volume, 4, Fraction(8, 3)),  # 2.7 a pixel of the grid in between
    ],
)
def test_a_rewritten_coarse_version_is_within_its_bound(build, factor: int, step: int | Fraction, rough: bool) -> None:
    """On the coarsest grid on which the wave is seen; for white noise and for a smooth body, which end before the border."""
    fine = build((64, 96), SEEDS, DOUBLE)
    coarse = fine.coarsen(factor)
    assert isinstance(coarse, ComposedOperator)
    assert isinstance(coarse.outer, BornScattering)
    assert coarse.outer.domain_shape[1:] == (64 // step, 96 // step)
    x = torch.zeros(2, *coarse.domain_shape, dtype=DOUBLE)
    x[..., 2:-2, 2:-2] = randn(x[..., 2:-2, 2:-2].shape, 3)
    if not rough:
        ramp = [torch.linspace(-1, 1, n, dtype=torch.float64) for n in coarse.domain_shape[1:]]
        x = ((1 + 0.5j) * torch.exp(-8 * (ramp[0][:, None] - 0.1).square() - 8 * (ramp[1] + 0.2).square())).expand_as(x)
    assert distance(coarse(x), fine(upsample(x, factor))) < 0.015


def test_a_rewritten_coarse_version_keeps_the_contract() -> None:
    """Dot, normal and leading axes hold on a grid of its own; a short wave is given one that the factor need not divide."""
    fine = examples_born.small_cells((32, 48), SEEDS, DOUBLE)
    coarse = fine.coarsen(4)
    check_dot(coarse, 1e-10)
    check_normal(coarse)
    check_leading_axes(coarse)
    wave = examples_born.sparse((32, 48), SEEDS, DOUBLE)  # 2.0 rad a fine pixel
    held = wave.coarsen(2)
    assert isinstance(held, CoarseBorn)
    assert held.outer.domain_shape == (1, 20, 30)


def test_incident_fields_replace_the_analytic_ones() -> None:
    rig, cells = ring_rig(real(2e9), antennas=4), cells_of(Grid((4, 6), (0.01, 0.01)))
    plain = BornScattering(rig, cells, radiator=Radiator.LINE, dtype=DOUBLE)
    fields = GivenFields(incident=2j * plain.transmit)
    given = BornScattering(rig, cells, radiator=Radiator.LINE, fields=fields, normal_memory_bytes=0, dtype=DOUBLE)
    x = randn((1, 1, 4, 6), 1)
    assert distance(given(x), 2j * plain(x)) < 1e-14
    assert isinstance(given.coarsen(2), GalerkinOperator)


@pytest.mark.parametrize("radiator", list(Radiator))
def test_gradients_reach_the_antennas(radiator: Radiator) -> None:
    x = randn((1, 1, 3, 2), 1)

    def fields(receiver_m: torch.Tensor) -> torch.Tensor:
        rig = all_pairs(ring_m(0.4, angles(3))[None], receiver_m * real(1, 1, 0), real(1e9)[None])
        operator = BornScattering(rig, cells_of(Grid((3, 2), (0.02, 0.02))), radiator=radiator, dtype=DOUBLE)
        return torch.view_as_real(operator(x))

    assert torch.autograd.gradcheck(fields, (ring_m(0.5, angles(4, 0.3))[None].requires_grad_(),))
    check_gradients(examples_born.small_cells((4, 6), SEEDS, DOUBLE), image=True)


def test_misuse_is_refused() -> None:
    """Antennas on pixels, gain media, fields and rigs of other shapes, and lines off their plane raise ValueError."""
    rig, cells = ring_rig(real(2e9), antennas=4, radius_m=0.1), cells_of(Grid((8, 8), (0.05, 0.05)))
    with pytest.raises(ValueError, match="stands on a pixel"):
        BornScattering(rig, cells, radiator=Radiator.LINE)
    cells = cells_of(Grid((4, 4), (0.01, 0.01)))
    with pytest.raises(ValueError, match=r"Im <= 0"):
        BornScattering(rig, cells, radiator=Radiator.LINE, permittivity=torch.tensor([2 + 1j]))
    with pytest.raises(ValueError, match="incident must be"):
        BornScattering(rig, cells, radiator=Radiator.LINE, fields=GivenFields(torch.ones(1, 1, 4, 5, dtype=DOUBLE)))
    lifted = MultistaticRig(rig.transmitter_m + 0.1, rig.receiver_m, rig.frequency_hz, rig.heard)
    with pytest.raises(ValueError, match="plane z = 0"):
        BornScattering(lifted, cells, radiator=Radiator.LINE)
    with pytest.raises(ValueError, match="heard must be"):
        MultistaticRig(rig.transmitter_m, rig.receiver_m, rig.frequency_hz, rig.heard[..., 1:])
    with pytest.raises(ValueError, match="0 and 1"):
        MultistaticRig(rig.transmitter_m, rig.receiver_m, rig.frequency_hz, 0.5 * rig.heard)
    two = examples_born.sparse((4, 6), (1, 2), DOUBLE)
    with pytest.raises(ValueError, match="batch of 3 for 2 sensors"):
        two(randn((3, 1, 4, 6), 1))


def test_a_volume_is_the_direct_sum_over_its_slices() -> None:
    """Slices are channels, z = middle + (d - D // 2) spacing; a cell counts its volume; the antennas' fields are held once."""
    antennas = real(0.3, -0.2, 0.25, -0.31, 0.1, 0.2, 0.05, 0.4, -0.1).reshape(1, 3, 3)
    rig, grid, eps = all_pairs(antennas, antennas, real(1.5e9, 2e9)[None]), Grid((3, 4), (0.02, 0.03)), 8.5
    cells = volume_of(grid, 2, 0.04, middle_m=0.06)
    operator = BornScattering(rig, cells, radiator=Radiator.POINT, permittivity=real(eps), dtype=DOUBLE)
    assert operator.domain_shape == (2, 3, 4)
    assert operator.receive is operator.transmit
    x = randn((1, 2, 3, 4), 4)
    expected = np.zeros((2, 3, 3), dtype=complex)
    for f, i, j in np.ndindex(2, 3, 3):
        k = 2 * np.pi * [1.5e9, 2e9][f] * np.sqrt(eps) / SPEED_OF_LIGHT_M_S
        for d, row, column in np.ndindex(2, 3, 4):
            cell = np.array([(column - 2) * 0.03, (row - 1) * 0.02, 0.02 + 0.04 * d])
            out, back = (np.linalg.norm(antennas[0, a].numpy() - cell) for a in (i, j))
            field = np.exp(-1j * k * (out + back)) / (16 * np.pi**2 * out * back)
            expected[f, i, j] += k**2 * 0.02 * 0.03 * 0.04 * field * x[0, d, row, column]
    assert distance(operator(x)[0, 0], torch.from_numpy(expected)) < 1e-10
    with pytest.raises(ValueError, match="one layer"):
        BornScattering(ring_rig(real(2e9), antennas=4), cells, radiator=Radiator.LINE)


def peak_bytes(run: Callable[[], object]) -> int:
    """The most that torch's allocator held at once during ``run`` beyond what it held before, from the profiler's log."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.no_grad(), torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        result = run()
    del result
    log = profile.profiler.kineto_results.events()  # pyright: ignore
    events = sorted((e.start_ns(), e.nbytes()) for e in log if e.name() == "[memory]")  # pyright: ignore
    return int(np.cumsum([size for _, size in events]).max())


def test_memory_of_the_normal_operator_stays_below_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 x 64 antennas, 3 frequencies, 32 x 32 pixels. In one piece the two passes of 8 images take 11 MB, the
    matrix 34 MB beside itself; with a bound of 1 MiB they take 3 MB (images and data included) and 2 MB."""
    rig, cells = ring_rig(real(2e9, 3e9, 4e9), antennas=64), cells_of(Grid((32, 32), (0.01, 0.01)))
    passes = BornScattering(rig, cells, radiator=Radiator.LINE, normal_memory_bytes=0)
    x = randn((8, 1, 1, 32, 32), 1, torch.complex64)
    images, samples, fields = x.nbytes, 8 * 3 * 64 * 64 * 8, 2 * 64 * 1024 * 8
    whole = passes.normal(x)
    unbounded = peak_bytes(lambda: passes.normal(x))
    assert unbounded > 8e6
    bound = 2**20
    monkeypatch.setattr(born_products, "WORK_MEMORY_BYTES", bound)
    assert distance(passes.normal(x), whole) < 1e-5
    assert peak_bytes(lambda: passes.normal(x)) < bound + 3 * (images + samples)
    held = 1024**2 * 8
    everyone = torch.ones(1, 1, 64, 1)

    def build() -> torch.Tensor:
        return hadamard_normal(passes.receive, passes.transmit, passes.weights.abs().square(), everyone, everyone)

    assert peak_bytes(build) < held + bound + 2 * fields
    monkeypatch.undo()
    assert peak_bytes(build) > held + 8 * bound
