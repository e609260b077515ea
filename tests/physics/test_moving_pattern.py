"""An antenna pattern that moves from pulse to pulse, against the pattern's formula at each pulse's own angle, in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_spotlight import DOUBLE, arc
from test_spotlight_factorised import bistatic
from torch import Tensor

from contracts import distance, image_for, randn
from echoform.physics.compositions import ComposedOperator, GalerkinOperator, ScaledOperator
from echoform.physics.masking import SampleMask
from echoform.physics.moving_pattern import MovingPattern, apply_moving_pattern, separated
from echoform.physics.operator import LinearOperator
from echoform.physics.sample_errors import apply_image_gain, apply_pulse_phase
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.scene.antenna_pattern import (
    fixed_pointing_error_rad,
    gaussian_pattern,
    moving_beam,
    sinc_pattern,
)
from echoform.scene.grid import Grid

PULSES = 40
COLLECTION = arc(radius_m=1000.0, grazing_deg=25, centre_deg=70, pulses=PULSES, frequencies=12)
GRID = Grid((16, 24), (1.0, 1.5))
WIDTH = torch.tensor([0.04], dtype=torch.float64)
TOLERANCE = 1e-4
SWEEP = torch.linspace(-0.02, 0.02, PULSES, dtype=torch.float64)[None]


def wander(seed: int = 1) -> Tensor:
    """Pointing errors of an eighth of a beamwidth from one pulse to the next, radians."""
    return 0.005 * randn((1, PULSES), seed).real


def sinc_beam(error_rad: Tensor) -> Tensor:
    return moving_beam(COLLECTION, GRID, sinc_pattern, beamwidth_rad=WIDTH, azimuth_error_rad=error_rad)


def plane_wave(dtype: torch.dtype = DOUBLE) -> LinearOperator:
    return plane_wave_spotlight(COLLECTION, GRID, dtype=dtype)


def numpy_angle(antenna_m: np.ndarray, error_rad: float, place_m: np.ndarray) -> float:
    """The angle between the boresight and a place, by the law of cosines on unit vectors."""
    c, s = math.cos(error_rad), math.sin(error_rad)
    boresight = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ -antenna_m / np.linalg.norm(antenna_m)
    sight = (place_m - antenna_m) / np.linalg.norm(place_m - antenna_m)
    return 2 * math.asin(float(np.linalg.norm(sight - boresight)) / 2)


def numpy_sinc(angle_rad: float) -> float:
    """One half in power at half the beamwidth: sin(pi t) / (pi t) at t = 0.44294647 sin(angle) / sin(width / 2)."""
    return float(np.sinc(0.44294647069 * math.sin(angle_rad) / math.sin(0.02)))


@pytest.mark.parametrize("build", [ExactSpotlight, plane_wave_spotlight, FactorisedSpotlight], ids=lambda b: b.__name__)
@pytest.mark.parametrize("error_rad", [wander(), SWEEP], ids=["wander", "sweep"])
@pytest.mark.parametrize("place", [(2, 21), (8, 12), (15, 0)], ids=str)
def test_a_point_is_seen_with_the_pattern_at_each_pulse_s_own_angle(build, error_rad, place: tuple[int, int]) -> None:
    base = build(COLLECTION, GRID, dtype=DOUBLE)
    operator = apply_moving_pattern(base, sinc_beam(error_rad), tolerance=TOLERANCE)
    assert isinstance(operator, MovingPattern)
    x = torch.zeros(1, 1, *GRID.shape, dtype=DOUBLE)
    x[..., place[0], place[1]] = 1
    position = GRID.positions_m()[place].numpy()
    antennas, errors = COLLECTION.antenna_m[0].numpy(), error_rad[0].tolist()
    seen = [numpy_sinc(numpy_angle(q, e, position)) ** 2 for q, e in zip(antennas, errors, strict=True)]
    expected = torch.tensor(seen, dtype=torch.float64)[:, None] * base(x)[0, 0]
    assert float((operator(x)[0, 0] - expected).abs().max()) < TOLERANCE * float(base(x).abs().max())


def test_a_sweep_lights_a_point_when_it_passes_over_it() -> None:
    """On the ground at +x, 1 km away: an azimuth error e looks at y = -1 km tan(e); exp(-ln 2 (2 angle / width)^2) two ways."""
    collection = arc(radius_m=1000.0, aperture_deg=0.0, pulses=PULSES, frequencies=4)
    gain = moving_beam(collection, GRID, gaussian_pattern, beamwidth_rad=WIDTH, azimuth_error_rad=SWEEP)
    operator = apply_moving_pattern(plane_wave_spotlight(collection, GRID, dtype=DOUBLE), gain)
    x = torch.zeros(1, 1, *GRID.shape, dtype=DOUBLE)
    row, column = GRID.nearest(0.0, -6.0)
    x[..., row, column] = 1
    angle = SWEEP[0] - math.atan(6.0 / 1000.0)
    expected = torch.exp(-math.log(2) * (2 * angle / WIDTH).square())
    assert distance(operator(x)[0, 0].abs(), expected[:, None].expand(-1, 4)) < 2 * TOLERANCE
    assert int(operator(x)[0, 0, :, 0].abs().argmax()) == int(angle.abs().argmin()) > PULSES // 2


def test_the_beam_of_a_pair_is_the_product_of_both() -> None:
    """Each of its own angle; the receiver points at the scene centre unless it has errors of its own."""
    pair = bistatic(COLLECTION)
    assert pair.receiver_m is not None
    options = {"beamwidth_rad": WIDTH, "azimuth_error_rad": wander()}
    still = moving_beam(pair, GRID, sinc_pattern, **options)
    both = moving_beam(pair, GRID, sinc_pattern, receiver_error_rad=SWEEP, **options)
    position = GRID.positions_m()[3, 5].numpy()
    for p in (0, 17, PULSES - 1):
        sent, heard = (q[0, p].numpy() for q in (pair.antenna_m, pair.receiver_m))
        transmitter = numpy_sinc(numpy_angle(sent, float(wander()[0, p]), position))
        for gain, error in ((still, 0.0), (both, float(SWEEP[0, p]))):
            receiver = numpy_sinc(numpy_angle(heard, error, position))
            assert float(gain[0, p, 3, 5]) == pytest.approx(transmitter * receiver, abs=1e-12)


def test_a_beam_fixed_to_the_platform_keeps_its_heading() -> None:
    """Turned by its error, the line of sight to the scene centre is parallel to that of the middle pulse."""
    q = COLLECTION.antenna_m[0]
    error = fixed_pointing_error_rad(COLLECTION.antenna_m)
    heading = torch.atan2(-q[:, 1], -q[:, 0]) + error[0]
    assert torch.allclose(heading.cos(), heading[PULSES // 2].cos(), atol=1e-12)
    assert float(error[0, PULSES // 2]) == 0
    assert float(error.abs().max()) == pytest.approx(math.radians(1.5), rel=0.1)


def test_a_constant_pattern_is_the_fixed_one() -> None:
    gain = sinc_beam(torch.zeros(1, PULSES).double())[:, :1].expand(-1, PULSES, -1, -1)
    moved, fixed = apply_moving_pattern(plane_wave(), gain), apply_image_gain(plane_wave(), gain[:, :1])
    assert type(moved) is ComposedOperator
    x = image_for(fixed)
    assert distance(moved(x), fixed(x)) < 1e-12
    assert distance(moved.normal(x), fixed.normal(x)) < 1e-12
    small = image_for(fixed.coarsen(2))
    assert distance(moved.coarsen(2)(small), fixed.coarsen(2)(small)) < 1e-12


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("complex_gain", [False, True], ids=["real", "complex"])
def test_no_entry_is_further_off_than_the_tolerance(tolerance: float, complex_gain: bool) -> None:
    gain = sinc_beam(wander())[0]
    if complex_gain:
        gain = gain * torch.exp(1j * gain)
    u, v = separated(gain, tolerance, PULSES)
    error = (torch.einsum("qp,qyx->pyx", u, v) - gain).abs().max() / gain.abs().max()
    assert float(error) <= tolerance
    fewer = torch.einsum("qp,qyx->pyx", u[:-1], v[:-1])
    assert float((fewer - gain).abs().max() / gain.abs().max()) > tolerance / 3
    assert len(u) <= {1e-2: 5, 1e-4: 10, 1e-6: 14}[tolerance]


def test_the_toeplitz_forms_are_found_behind_gains_and_scalars() -> None:
    phase, beam = randn((1, PULSES), 3).real, torch.exp(1j * randn((1, 1, *GRID.shape), 4))
    base = apply_image_gain(apply_pulse_phase(plane_wave(), phase), beam).normalized()
    gain = sinc_beam(SWEEP)
    operator = apply_moving_pattern(base, gain)
    assert isinstance(operator, ScaledOperator)
    found = [part for part in operator.modules() if isinstance(part, MovingPattern)]
    assert [part.spectra is not None for part in found] == [True]
    x = image_for(operator, batch=1)
    expected = torch.stack([base(gain[:, None, p] * x)[:, :, p] for p in range(PULSES)], 2)
    assert distance(operator(x), expected) < TOLERANCE
    assert distance(operator.normal(x), operator.adjoint(operator(x))) < 1e-10


def test_a_smooth_pattern_goes_before_the_interpolation() -> None:
    """Where its coarse version has Toeplitz forms too, made of lags known already, and is within 1 % of A_g U_s."""
    grid = Grid((64, 96), (0.25, 0.375))
    gain = moving_beam(COLLECTION, grid, sinc_pattern, beamwidth_rad=WIDTH, azimuth_error_rad=SWEEP)
    operator = apply_moving_pattern(plane_wave_spotlight(COLLECTION, grid, dtype=DOUBLE), gain)
    coarse = operator.coarsen(2)
    assert isinstance(coarse, MovingPattern)
    assert coarse.spectra is not None
    inner = torch.zeros(1, 32, 48, dtype=DOUBLE)
    inner[..., 2:-2, 2:-2] = 1
    x = inner * image_for(coarse)
    assert distance(coarse(x), GalerkinOperator(operator, 2)(x)) < 1e-2
    afresh = MovingPattern(coarse.base, coarse.pulse_gain, coarse.image_gain)
    small = image_for(coarse)
    assert distance(coarse.normal(small), afresh.normal(small)) < 1e-12


def test_patterns_of_a_batch_take_different_numbers_of_terms() -> None:
    gains = torch.cat([sinc_beam(SWEEP), sinc_beam(wander())])
    operator, x = apply_moving_pattern(plane_wave(), gains), image_for(plane_wave())
    ones = [apply_moving_pattern(plane_wave(), gain[None]) for gain in gains]
    assert isinstance(operator, MovingPattern)
    counts = [one.pulse_gain.shape[1] for one in ones if isinstance(one, MovingPattern)]
    assert len(set(counts)) == 2
    assert operator.pulse_gain.shape[1] == max(counts)
    for function in ("forward", "normal"):
        each = [getattr(one, function)(x[i : i + 1]) for i, one in enumerate(ones)]
        assert distance(getattr(operator, function)(x), torch.cat(each)) < 1e-12


def test_gains_can_be_learned() -> None:
    """Their own sums then take the place of Toeplitz forms made once."""
    base = plane_wave_spotlight(
        arc(radius_m=500.0, pulses=4, frequencies=5, grazing_deg=20), Grid((4, 4), (0.3, 0.3)), dtype=DOUBLE
    )
    u, v, x = randn((1, 2, 4), 1).requires_grad_(), randn((1, 2, 4, 4), 2).requires_grad_(), image_for(base, batch=1)

    def normal(u: Tensor, v: Tensor) -> Tensor:
        return MovingPattern(base, u, v).normal(x)

    assert torch.autograd.gradcheck(normal, (u, v), fast_mode=True)


def test_what_changes_too_much_is_refused() -> None:
    rough = randn((1, PULSES, *GRID.shape), 5).real
    with pytest.raises(ValueError, match="changes too much from pulse to pulse for 16 terms"):
        apply_moving_pattern(plane_wave(), rough)
    assert isinstance(apply_moving_pattern(plane_wave(), rough, most_terms=PULSES), MovingPattern)


def test_bad_input_is_refused() -> None:
    gain = sinc_beam(SWEEP)
    for wrong, reason in (
        (gain[:, 1:], r"batch, 40, 16, 24"),
        (gain[0], r"batch, 40, 16, 24"),
        (gain.clone().requires_grad_(), "detach"),
        (gain / 0, "not finite"),
    ):
        with pytest.raises(ValueError, match=reason):
            apply_moving_pattern(plane_wave(), wrong)
    with pytest.raises(ValueError, match="tolerance"):
        apply_moving_pattern(plane_wave(), gain, tolerance=1e-8)
    real = SampleMask(torch.ones(1, 1, PULSES, 24), complex_image=False)
    with pytest.raises(ValueError, match="images are real"):
        apply_moving_pattern(real, randn((1, PULSES, PULSES, 24), 1) * 0 + 1j)
    with pytest.raises(ValueError, match="one angle per pulse"):
        sinc_beam(SWEEP[:, 1:])
    with pytest.raises(ValueError, match="no receiver"):
        moving_beam(
            COLLECTION,
            GRID,
            sinc_pattern,
            beamwidth_rad=WIDTH,
            azimuth_error_rad=SWEEP,
            receiver_error_rad=SWEEP,
        )


@pytest.mark.parametrize(("side", "terms", "held"), [(64, 13, False), (64, 3, True), (128, 13, True)])
def test_toeplitz_forms_are_held_where_they_are_cheaper(side: int, terms: int, held: bool) -> None:
    """Few samples, many terms, a small image: sums are cheaper there (benchmarks of 64 x 64 pixels)."""
    base = plane_wave_spotlight(arc(pulses=13, frequencies=8), Grid((side, side), (0.3, 0.3)))
    operator = MovingPattern(base, torch.ones(1, terms, 13), torch.ones(1, terms, side, side))
    assert (operator.spectra is not None) == held
