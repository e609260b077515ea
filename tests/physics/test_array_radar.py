"""The array radars against echoes worked out from the waves themselves, closed forms of a point's response, and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from examples_array_radar import fmcw, mimo, near, tdm

from contracts import dense, distance, image_for
from echoform.assess.point_target import CutResponse, cut_response
from echoform.physics.compositions import GalerkinOperator
from echoform.physics.kronecker import KroneckerOperator, forward_order, normal_plan
from echoform.physics.near_range_array import near_range_array
from echoform.physics.operator import LinearOperator
from echoform.physics.range_angle_doppler import migration_cells, mimo_radar, range_doppler
from echoform.scene.array import MimoArray, filled_array, polar_positions_m, uniform_line
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.waveform import FmcwWaveform, OfdmWaveform

C = SPEED_OF_LIGHT_M_S
DOUBLE = torch.complex128
CAR = filled_array(2, 4, 0.00195)


def one(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


def chirps(count: int = 16, samples: int = 64, slots: tuple[int, ...] = (0, 1)) -> FmcwWaveform:
    """77 GHz, 30 MHz/us at 10 MS/s: 192 MHz in 64 samples, cells of 0.78 m."""
    return FmcwWaveform(one(77e9), one(30e12), one(1e-7), samples, one(40e-6), count, slots)


def symbols(count: int = 16, subcarriers: int = 64, slots: tuple[int, ...] = (0, 1)) -> OfdmWaveform:
    return OfdmWaveform(one(77e9), one(3e6), subcarriers, one(40e-6), count, slots)


def paths(waveform, array: MimoArray, *, range_m: float, angle: float, speed: float) -> np.ndarray:
    """Exact two-way path of a moving point at each (pulse, element), metres."""
    t = waveform.time_s().numpy()[0][:, None] + waveform.slot_s().numpy()[0][array.transmitter_of().numpy()][None]
    r = range_m + speed * t
    place = array.centre_m().numpy()[0] + r[..., None] * np.array([math.sin(angle), math.cos(angle), 0.0])
    sender = np.repeat(array.transmitter_m.numpy()[0], array.receiver_m.shape[1], axis=0)
    hearer = np.tile(array.receiver_m.numpy()[0], (array.transmitter_m.shape[1], 1))
    return np.linalg.norm(place - sender, axis=-1) + np.linalg.norm(place - hearer, axis=-1)


def beat(waveform: FmcwWaveform, array: MimoArray, **target: float) -> torch.Tensor:
    """tx rx* of the real chirp cos(2 pi (f t + S t^2 / 2)) and its delayed copy, sampled: (1, M, Q, N)."""
    delay = paths(waveform, array, **target)[..., None] / C
    t = (np.arange(waveform.samples) - waveform.samples // 2) * float(waveform.sample_period_s)
    carrier, slope = float(waveform.carrier_hz), float(waveform.slope_hz_per_s)

    def turns(time):
        return carrier * time + slope * time**2 / 2

    return torch.from_numpy(np.exp(2j * np.pi * (turns(t) - turns(t - delay))))[None]


def channel(waveform: OfdmWaveform, array: MimoArray, **target: float) -> torch.Tensor:
    """rx / tx of subcarriers delayed by the path: (1, M, Q, K)."""
    k = np.arange(waveform.subcarriers) - waveform.subcarriers // 2
    frequency = float(waveform.carrier_hz) + k * float(waveform.subcarrier_spacing_hz)
    return torch.from_numpy(np.exp(-2j * np.pi * frequency * paths(waveform, array, **target)[..., None] / C))[None]


RADARS = {"fmcw": (chirps, beat, mimo_radar), "ofdm": (symbols, channel, mimo_radar)}


@pytest.mark.parametrize("kind", RADARS)
@pytest.mark.parametrize(("angle", "cells"), [(0.35, -5), (0.35, 4), (-0.5, -3), (0.0, 0)])
def test_a_target_appears_where_it_is(kind: str, angle: float, cells: int) -> None:
    """On the right at positive angle; approaching at negative velocity; at its range; waves from first principles."""
    make, echo, build = RADARS[kind]
    waveform = make()
    speed = cells * float(waveform.velocity_resolution_m_s())
    range_m = 20 * float(waveform.range_resolution_m())
    angles = torch.linspace(-0.7, 0.7, 57, dtype=torch.float64)[None]
    velocities = waveform.velocity_axis_m_s()
    operator = build(
        waveform,
        CAR,
        ranges_m=waveform.range_axis_m(),
        angles_rad=angles,
        velocities_m_s=velocities,
        dtype=DOUBLE,
    )
    image = operator.adjoint(echo(waveform, CAR, range_m=range_m, angle=angle, speed=speed))[0].abs()
    c, h, w = np.unravel_index(int(image.argmax()), image.shape)
    assert float(velocities[0, c]) == pytest.approx(speed)
    assert abs(float(angles[0, h]) - angle) < 0.026
    assert w == 20
    # Nearly all of the echo is focused: the product model explains the exact wave.
    assert float(image.max()) > 0.98 * torch.Size(operator.range_shape).numel()


def test_forgetting_the_tdm_phase_displaces_a_moving_target() -> None:
    waveform = chirps()
    speed = 6 * float(waveform.velocity_resolution_m_s())
    y = beat(waveform, CAR, range_m=15.6, angle=0.2, speed=speed)
    angles = torch.linspace(-0.7, 0.7, 57, dtype=torch.float64)[None]
    axes = {"ranges_m": waveform.range_axis_m(), "angles_rad": angles, "velocities_m_s": waveform.velocity_axis_m_s()}
    exact = mimo_radar(waveform, CAR, **axes, dtype=DOUBLE)
    assert exact.coupled
    naive = KroneckerOperator(exact.channel, exact.row[:, 8:9], exact.column)  # index 8 is velocity 0
    found = [int(op.adjoint(y)[0, 14].abs().amax(1).argmax()) for op in (exact, naive)]
    assert abs(float(angles[0, found[0]]) - 0.2) < 0.026
    assert abs(float(angles[0, found[1]]) - 0.2) > 0.05


@pytest.mark.parametrize("kind", RADARS)
def test_operator_is_the_direct_sum(kind: str) -> None:
    make, _, build = RADARS[kind]
    waveform, array = make(3, 7), mimo((3,))
    axes = [
        torch.tensor([values], dtype=torch.float64)
        for values in ([2.0, 9.5, 40.0], [-0.6, 0.1], [-7.0, 0.0, 3.0, 11.0])
    ]
    operator = build(waveform, array, ranges_m=axes[0], angles_rad=axes[1], velocities_m_s=axes[2], dtype=DOUBLE)
    x = image_for(operator, batch=1)
    sign, step = (1, 30e12 * 1e-7) if kind == "fmcw" else (-1, 3e6)
    wavelength, period = C / 77e9, 40e-6
    d = (array.transmitter_m[0, :, None] + array.receiver_m[0, None]).flatten(0, 1)[:, :2]
    d = d - d.mean(0)
    expected = torch.zeros(operator.range_shape, dtype=DOUBLE)
    for c, v in enumerate(axes[2][0].tolist()):
        for h, theta in enumerate(axes[1][0].tolist()):
            for w, r in enumerate(axes[0][0].tolist()):
                for m in range(3):
                    for q in range(6):
                        t = (m - 1) * 2 * period + (q // 3) * period
                        along = float(d[q, 0]) * math.sin(theta) + float(d[q, 1]) * math.cos(theta)
                        turns = (torch.arange(7, dtype=torch.float64) - 3) * step * 2 * r / C
                        turns = turns - along / wavelength + 2 * v * t / wavelength
                        expected[m, q] += x[0, c, h, w] * torch.exp(2j * math.pi * sign * turns)
    assert distance(operator(x)[0], expected) < 1e-10


def response(operator: LinearOperator, y: torch.Tensor, axis: int, oversampling: int) -> CutResponse:
    magnitude = operator.adjoint(y)[0].abs()
    c, h, w = np.unravel_index(int(magnitude.argmax()), magnitude.shape)
    cut = (magnitude[:, h, w], magnitude[c, :, w], magnitude[c, h])[axis]
    return cut_response(cut, near=int(cut.argmax()), oversampling=oversampling)


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["velocity", "angle", "range"])
def test_point_response_is_the_sinc(axis: int) -> None:
    """-3 dB widths 0.886 of lambda / 2 T, lambda / Q d (in sine) and c / 2B; PSLR -13.26 dB: the k-support is a rectangle."""
    waveform, array = chirps(64, 64, (0,)), filled_array(1, 64, 0.00195)
    fine = torch.arange(-32 * 12, 32 * 12 + 1, dtype=torch.float64) / 32
    cell = {
        0: float(waveform.velocity_resolution_m_s()),
        1: float(waveform.wavelength_m()) / (64 * 0.00195),
        2: float(waveform.range_resolution_m()),
    }[axis]
    axes = [torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64), one(25.0)[None]]
    axes[axis] = axes[axis] + (torch.asin(fine * cell)[None] if axis == 1 else fine[None] * cell)
    operator = mimo_radar(waveform, array, velocities_m_s=axes[0], angles_rad=axes[1], ranges_m=axes[2], dtype=DOUBLE)
    point = torch.zeros(1, *operator.domain_shape, dtype=DOUBLE)
    point[tuple([0, *(n // 2 for n in operator.domain_shape)])] = 1
    cut = response(operator, operator(point), axis, 32)
    assert cut.width_px == pytest.approx(0.886, rel=0.02)
    assert cut.pslr_db == pytest.approx(-13.26, abs=0.3)


def test_range_doppler_of_one_antenna_is_the_same_sensor() -> None:
    waveform = chirps(8, 16, (0,))
    velocities, ranges = waveform.velocity_axis_m_s(), waveform.range_axis_m()
    both = mimo_radar(
        waveform,
        filled_array(1, 1, 1.0),
        ranges_m=ranges,
        angles_rad=torch.zeros(1, 1),
        velocities_m_s=velocities,
        dtype=DOUBLE,
    )
    rows = range_doppler(waveform, ranges_m=ranges, velocities_m_s=velocities, dtype=DOUBLE)
    x = image_for(both)
    assert distance(rows(x.transpose(1, 2))[:, 0], both(x)[:, :, 0]) < 1e-12
    assert rows.domain_shape == (1, 8, 16)
    # Resolution-spaced axes make it a unitary DFT but for sqrt(M N).
    assert distance(rows.normal(x.transpose(1, 2)), 8 * 16 * x.transpose(1, 2)) < 1e-9


def test_ofdm_is_the_conjugate_of_fmcw() -> None:
    axes = {
        "ranges_m": torch.linspace(1, 30, 6, dtype=torch.float64)[None],
        "angles_rad": torch.linspace(-0.5, 0.5, 5, dtype=torch.float64)[None],
        "velocities_m_s": torch.linspace(-9, 9, 3, dtype=torch.float64)[None],
    }
    a, b = mimo_radar(chirps(), CAR, **axes, dtype=DOUBLE), mimo_radar(symbols(), CAR, **axes, dtype=DOUBLE)
    x = image_for(a)
    assert distance(b(x), a(x.conj()).conj()) < 1e-12


def test_equal_slots_leave_the_factors_uncoupled() -> None:
    waveform = chirps(8, 16, (0, 0))
    axes = {
        "ranges_m": waveform.range_axis_m(),
        "angles_rad": torch.zeros(1, 3),
        "velocities_m_s": waveform.velocity_axis_m_s(),
    }
    assert not mimo_radar(waveform, CAR, **axes).coupled
    with pytest.raises(ValueError, match="3 slots for 2 transmitters"):
        mimo_radar(chirps(8, 16, (0, 1, 2)), CAR, **axes)
    with pytest.raises(ValueError, match="ranges_m"):
        mimo_radar(waveform, CAR, ranges_m=torch.zeros(4), angles_rad=torch.zeros(1, 3))


def test_migration_is_told() -> None:
    waveform = chirps(16, 64)  # a frame of 1.28 ms, cells of 0.78 m
    limit = float(waveform.range_resolution_m()) / 1.28e-3
    assert not bool(migration_cells(waveform, CAR, velocity_m_s=0.99 * limit).breaks_product)
    assert bool(migration_cells(waveform, CAR, velocity_m_s=-1.01 * limit).breaks_product)
    wide = filled_array(2, 4, 0.4)  # d spans 2.8 m: 1.4 m of range at 90 degrees
    assert not bool(migration_cells(waveform, wide, velocity_m_s=0, angle_rad=0.1).breaks_product)
    assert float(migration_cells(waveform, wide, velocity_m_s=0, angle_rad=math.pi / 2).by_angle) == pytest.approx(
        1.4 / float(waveform.range_resolution_m())
    )


def test_migration_check_agrees_with_the_loss_of_focus() -> None:
    """A target that migrates by 0.1 cell keeps its peak, one by 3 cells loses more than half of it."""
    waveform = chirps(256, 64, (0, 1))
    peaks = []
    for cells in (0.1, 3.0):
        speed = cells * float(waveform.range_resolution_m() / (256 * waveform.cycle_s()))
        assert float(migration_cells(waveform, CAR, velocity_m_s=speed).by_motion) == pytest.approx(cells)
        operator = mimo_radar(
            waveform,
            CAR,
            ranges_m=one(15.6)[None],
            angles_rad=one(0.2)[None],
            velocities_m_s=one(speed)[None],
            dtype=DOUBLE,
        )
        y = beat(waveform, CAR, range_m=15.6, angle=0.2, speed=speed)
        peaks.append(float(operator.adjoint(y).abs()) / torch.Size(operator.range_shape).numel())
    assert peaks[0] > 0.98
    assert peaks[1] < 0.5


SIZES = [((1, 64, 128), (1, 8, 128)), ((16, 32, 64), (128, 8, 256)), ((4, 8, 8), (64, 86, 96)), ((5, 7, 9), (5, 7, 9))]


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize(("sizes", "targets"), SIZES)
def test_normal_never_costs_more_than_adjoint_of_forward(sizes, targets, coupled) -> None:
    def cost(order) -> int:
        total, current = 0, list(sizes)
        for axis in order:
            total += math.prod(current) * targets[axis]
            current[axis] = targets[axis]
        return total

    plan = normal_plan(sizes, targets, coupled=coupled)
    assert plan.multiplications <= 2 * cost(forward_order(sizes, targets, coupled=coupled))
    if not coupled:
        assert plan.multiplications <= math.prod(sizes) * sum(sizes)


def test_every_plan_is_exact() -> None:
    """Sizes that lead to each set of Grams, coupled and not, give A^H A."""
    seen = set()
    for sizes, targets in [
        ((2, 3, 4), (9, 9, 9)), ((2, 3, 9), (9, 9, 4)), ((2, 9, 4), (9, 2, 9)), ((9, 3, 4), (2, 9, 9)),
        ((9, 9, 4), (2, 2, 9)), ((9, 3, 9), (2, 9, 2)), ((2, 9, 9), (9, 2, 2)), ((9, 9, 9), (2, 2, 2)),
    ]:  # fmt: skip
        for channels in (1, sizes[0]):
            g = torch.Generator().manual_seed(1)
            shapes = ((1, targets[0], sizes[0]), (1, channels, targets[1], sizes[1]), (1, targets[2], sizes[2]))
            operator = KroneckerOperator(*(torch.randn(s, dtype=DOUBLE, generator=g) for s in shapes))
            x = image_for(operator)
            matrix = dense(operator)
            expected = (matrix.mH @ (matrix @ x.flatten(1)[..., None]))[..., 0].reshape(x.shape)
            assert distance(operator.normal(x), expected) < 1e-12
            seen.add((operator.coupled, operator.plan.grams))
    assert {grams for coupled, grams in seen if not coupled} >= {
        (),
        (0,),
        (1,),
        (2,),
        (0, 1),
        (0, 2),
        (1, 2),
        (0, 1, 2),
    }
    assert {grams for coupled, grams in seen if coupled} >= {(), (0,), (2,), (0, 2)}


def test_coarse_cost_falls_with_the_pixels() -> None:
    operator = tdm((32, 48), (1,), DOUBLE)
    coarse = operator.coarsen(4)
    assert isinstance(coarse, KroneckerOperator)
    assert coarse.plan.multiplications < operator.plan.multiplications / 8
    twice = operator.coarsen(2).coarsen(2)
    x = image_for(coarse)
    assert distance(twice(x), GalerkinOperator(GalerkinOperator(operator, 2), 2)(x)) < 1e-10


@pytest.mark.parametrize("speeds", [(-3.0, 1.0), (0.0, 0.0)], ids=["moving", "still"])
def test_gradients_reach_the_geometry(speeds: tuple[float, float]) -> None:
    """d|A x - y|^2 / d receiver positions and velocity against finite differences, with the phase of the slots at rest too."""
    waveform, move = fmcw((1,), samples=5, chirps=3), torch.zeros(1, 3, 3, dtype=torch.float64, requires_grad=True)
    speed = torch.tensor([speeds], dtype=torch.float64, requires_grad=True)
    x = torch.randn(1, 2, 3, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))

    def misfit(move: torch.Tensor, speed: torch.Tensor) -> torch.Tensor:
        """Return the squared size of echoes as a function of an antenna's place and of velocity."""
        array = MimoArray(uniform_line(2, 0.006), uniform_line(3, 0.002) + 1e-3 * move)
        operator = mimo_radar(
            waveform,
            array,
            ranges_m=torch.linspace(1, 20, 4, dtype=torch.float64)[None],
            angles_rad=torch.linspace(-0.5, 0.5, 3, dtype=torch.float64)[None],
            velocities_m_s=speed,
            dtype=DOUBLE,
        )
        return operator(x).real.square().sum()

    assert torch.autograd.gradcheck(misfit, (move, speed))


def test_bad_factors_are_refused() -> None:
    a, b, c = (torch.ones(1, *s, dtype=DOUBLE) for s in ((2, 3), (1, 4, 5), (6, 7)))
    for wrong, message in (
        ((a, b[0], c), "expected factors"),
        ((a, b.expand(1, 2, 4, 5), c), "expected factors"),
        ((a, b, c.to(torch.complex64)), "dtype"),
        ((a.expand(2, 2, 3), b, c.expand(3, 6, 7)), "sensors"),
    ):
        with pytest.raises(ValueError, match=message):
            KroneckerOperator(*wrong)
    with pytest.raises(ValueError, match="batch of 3 for 2 sensors"):
        KroneckerOperator(a.expand(2, 2, 3), b, c)(torch.ones(3, 3, 5, 7, dtype=DOUBLE))


@pytest.mark.parametrize("kind", RADARS)
def test_near_range_is_the_exact_wave(kind: str) -> None:
    """One still point at 0.3 m, well inside the far-field distance 2 D^2 / lambda = 4 m: the operator's column is the echo."""
    make = RADARS[kind][0]
    waveform, array = make(1, 50), filled_array(2, 8, 0.006)
    range_m, angle = 0.3, 0.4
    position = polar_positions_m(array, ranges_m=one(range_m)[None], angles_rad=one(angle)[None])
    operator = near_range_array(waveform, array, positions_m=position, dtype=DOUBLE)
    k = np.arange(50) - 25
    frequency = 77e9 + k * float(waveform.step_hz)
    still = paths(make(1, 50), array, range_m=range_m, angle=angle, speed=0.0)[0]
    sign = 1 if kind == "fmcw" else -1
    expected = np.exp(sign * 2j * np.pi * (frequency * still[:, None] / C - 2 * range_m * 77e9 / C))
    column = operator(torch.ones(1, 1, 1, 1, dtype=DOUBLE))[0, 0]
    assert distance(column, torch.from_numpy(expected)) < 1e-8  # float64 phase of 1e4 turns


def test_near_range_tends_to_the_far_field() -> None:
    waveform, array = chirps(1, 32), filled_array(2, 4, 0.00195)
    errors = []
    for distance_m in (0.05, 5.0):
        axes = {
            "ranges_m": one(distance_m)[None],
            "angles_rad": torch.linspace(-0.6, 0.6, 5, dtype=torch.float64)[None],
        }
        exact = near_range_array(waveform, array, positions_m=polar_positions_m(array, **axes), dtype=DOUBLE)
        far = mimo_radar(waveform, array, **axes, dtype=DOUBLE)
        x = torch.ones(1, 1, 5, 1, dtype=DOUBLE)
        errors.append(distance(exact(x), far(x)))
    assert errors[0] > 0.3
    assert errors[1] < 0.03


def test_near_range_focuses_where_the_far_field_does_not() -> None:
    waveform, array = chirps(1, 32), filled_array(2, 8, 0.006)
    axes = {
        "ranges_m": torch.linspace(0.12, 1.12, 6, dtype=torch.float64)[None],
        "angles_rad": torch.linspace(-0.3, 0.3, 61, dtype=torch.float64)[None],
    }
    exact = near_range_array(waveform, array, positions_m=polar_positions_m(array, **axes), dtype=DOUBLE)
    far = mimo_radar(waveform, array, **axes, dtype=DOUBLE)
    y = beat(waveform, array, range_m=0.12, angle=0.1, speed=0.0)
    full = torch.Size(exact.range_shape).numel()
    image, blurred = exact.adjoint(y)[0, 0].abs(), far.adjoint(y)[0, 0].abs()
    assert float(image.max()) > 0.98 * full
    assert int(image.amax(1).argmax()) == 40
    assert float(blurred.max()) < 0.7 * full


def test_near_range_blocks_change_nothing(monkeypatch) -> None:
    operator = near((4, 6), (1, 2), DOUBLE)
    x = image_for(operator)
    y = operator(x)
    back = operator.adjoint(y)
    monkeypatch.setattr("echoform.physics.near_range_array.BLOCK", 12)
    assert distance(operator(x), y) < 1e-12
    assert distance(operator.adjoint(y), back) < 1e-12


def test_samples_that_are_not_kept_are_zero() -> None:
    axes = {
        "ranges_m": torch.arange(1, 9, dtype=torch.float64)[None],
        "angles_rad": torch.linspace(-0.5, 0.5, 6)[None].double(),
    }
    waveform = FmcwWaveform(one(77e9), one(20e12), one(1e-6), 10, one(6e-5), 1, (0, 0))
    elements = CAR.transmitter_m.shape[1] * CAR.receiver_m.shape[1]
    kept = tuple((torch.arange(n)[None] % 3 != 1).double() for n in (1, elements, 10))
    whole, some = (
        mimo_radar(waveform, CAR, **axes, dtype=DOUBLE),
        mimo_radar(waveform, CAR, **axes, dtype=DOUBLE, kept=kept),
    )
    x = torch.randn(1, *whole.domain_shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    marks = kept[0][:, None, :, None, None] * kept[1][:, None, :, None] * kept[2][:, None, None, :]
    assert float((some(x) - marks[:, 0] * whole(x)).norm()) < 1e-12 * float(whole(x).norm())
    assert torch.equal(
        (some.support() != 0).expand(1, *whole.range_shape), (marks[:, 0] != 0).expand(1, *whole.range_shape)
    )
