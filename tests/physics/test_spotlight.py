"""The two spotlight operators: against sums written out here, their sign conventions, their focus and their gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor

from contracts import check_dot, check_normal, distance, randn
from echoform.physics.compositions import GalerkinOperator
from echoform.physics.operator import LinearOperator
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.physics.spotlight_spherical import uniform_grid
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.grid import Grid

DOUBLE = torch.complex128
BUILDS = pytest.mark.parametrize("build", [ExactSpotlight, plane_wave_spotlight], ids=["exact", "plane_wave"])


def arc(
    *,
    radius_m: float = 1000.0,
    aperture_deg: float = 3.0,
    centre_deg: float = 0.0,
    grazing_deg: float = 0.0,
    carrier_hz: float = 9.6e9,
    bandwidth_hz: float = 600e6,
    pulses: int = 24,
    frequencies: int = 20,
) -> SpotlightCollection:
    """A circular arc; ``bandwidth_hz`` and ``aperture_deg`` count whole cells: step times number."""
    angle = torch.linspace(-0.5, 0.5, pulses, dtype=torch.float64) * (pulses - 1) / pulses
    angle = math.radians(centre_deg) + angle * math.radians(aperture_deg)
    grazing = math.radians(grazing_deg)
    look = [math.cos(grazing) * torch.cos(angle), math.cos(grazing) * torch.sin(angle), math.sin(grazing) + 0 * angle]
    offset = torch.linspace(-0.5, 0.5, frequencies, dtype=torch.float64) * (frequencies - 1) / frequencies
    frequency = carrier_hz + bandwidth_hz * offset
    return SpotlightCollection(
        radius_m * torch.stack(look, -1)[None], frequency[None], torch.ones(1, pulses, frequencies, dtype=torch.float64)
    )


def exact_sum(collection: SpotlightCollection, grid: Grid, x: Tensor) -> Tensor:
    """The defining sum in extended precision, pixel by pixel: numpy's long double where the machine has one."""
    position = grid.positions_m().reshape(-1, 3).numpy().astype(np.longdouble)
    antenna = collection.antenna_m[0].numpy().astype(np.longdouble)
    frequency = collection.frequency_hz[0].numpy().astype(np.longdouble)
    distance_m = np.sqrt(((antenna[:, None] - position) ** 2).sum(-1)) - np.sqrt((antenna**2).sum(-1))[:, None]
    phase = (
        -4 * np.longdouble(np.pi) / np.longdouble(SPEED_OF_LIGHT_M_S) * frequency[None, :, None] * distance_m[:, None]
    )
    phase = phase - (position[:, :2] @ collection.carrier()[0].numpy().astype(np.longdouble))
    turns = np.exp(1j * phase.astype(np.float64))
    return torch.from_numpy(turns @ x.flatten().numpy()) * collection.kept[0]


def plane_wave_sum(collection: SpotlightCollection, grid: Grid, x: Tensor) -> Tensor:
    position = grid.positions_m().reshape(-1, 3)[:, :2]
    wavenumber = collection.wavenumber()[0] - collection.carrier()[0]
    return (torch.exp(1j * (wavenumber @ position.T)) @ x.flatten()) * collection.kept[0]


@pytest.mark.parametrize(
    ("build", "direct"),
    [(ExactSpotlight, exact_sum), (plane_wave_spotlight, plane_wave_sum)],
    ids=["exact", "plane_wave"],
)
@pytest.mark.parametrize(("dtype", "bound"), [(DOUBLE, 1e-11), (torch.complex64, 1e-5)], ids=["double", "single"])
@pytest.mark.parametrize("frequencies", [15, 16])
def test_direct_sum(build, direct, dtype: torch.dtype, bound: float, frequencies: int) -> None:
    whole = arc(grazing_deg=25, centre_deg=40, frequencies=frequencies, pulses=9)
    dropped = torch.rand(1, 9, frequencies, generator=torch.Generator().manual_seed(2)) < 0.3
    dropped[:, 4] = True
    collection, grid = whole.without(dropped), Grid((11, 12), (0.4, 0.5))
    x = randn((1, 1, 11, 12), 3)
    expected = direct(collection, grid, x)
    measured = build(collection, grid, dtype=dtype)(x.to(dtype))[0, 0].to(DOUBLE)
    assert distance(measured, expected) < bound
    assert float(measured[dropped[0]].abs().sum()) == 0.0


@pytest.mark.parametrize("pair", [False, True], ids=["one antenna", "bistatic"])
def test_a_displaced_grid_is_seen_where_it_stands(pair: bool) -> None:
    """The plane-wave sum over its positions, its adjoint and normal, and its coarse version against A U_s."""
    one = arc(grazing_deg=25, centre_deg=40, pulses=9)
    receiver = 1.1 * one.antenna_m.roll(1, -1) if pair else None
    collection = SpotlightCollection(one.antenna_m, one.frequency_hz, one.kept, receiver)
    grid = Grid((16, 24), (0.1, 0.12), (30.0, -20.0))
    operator, x = plane_wave_spotlight(collection, grid, dtype=DOUBLE), randn((1, 1, 16, 24), 3)
    assert distance(operator(x)[0, 0], plane_wave_sum(collection, grid, x)) < 1e-10
    check_dot(operator, 1e-10)
    check_normal(operator)
    inner = torch.zeros(1, 1, 8, 12, dtype=DOUBLE)
    inner[..., 2:-2, 2:-2] = randn((4, 8), 4)
    assert distance(operator.coarsen(2)(inner), GalerkinOperator(operator, 2)(inner)) < 1e-10


def test_both_operators_agree_to_first_order() -> None:
    """A point a hundred times nearer to the centre differs ten thousand times less: what is left is of second order in r."""
    collection = arc(grazing_deg=25, radius_m=2000.0)
    x = torch.zeros(1, 1, 7, 7, dtype=DOUBLE)
    x[..., 0, 1] = 1
    errors = []
    for spacing in (0.1, 0.001):
        grid = Grid((7, 7), (spacing, spacing))
        exact, plane = (
            ExactSpotlight(collection, grid, dtype=DOUBLE),
            plane_wave_spotlight(collection, grid, dtype=DOUBLE),
        )
        errors.append(float((exact(x) - plane(x)).abs().square().mean().sqrt()))
    assert errors[0] / errors[1] == pytest.approx(1e4, rel=0.05)


@BUILDS
def test_a_target_nearer_to_the_antenna_answers_earlier(build) -> None:
    """Antenna on the +x axis, target at x = +1.5 m: differential range -1.5 m, so the phase grows as +4 pi f / c times it."""
    collection, grid = arc(pulses=3, aperture_deg=1e-6), Grid((8, 8), (0.5, 0.5))
    x = torch.zeros(1, 1, 8, 8, dtype=DOUBLE)
    x[..., 4, 4 + 3] = 1
    y = build(collection, grid, dtype=DOUBLE)(x)[0, 0, 1]
    step = float(collection.frequency_hz[0, 1] - collection.frequency_hz[0, 0])
    slope = torch.angle(y[1:] * y[:-1].conj())
    expected = 4 * math.pi * step / SPEED_OF_LIGHT_M_S * 1.5
    assert expected < math.pi
    assert torch.allclose(slope, torch.full_like(slope, expected), rtol=1e-6)


@BUILDS
@pytest.mark.parametrize("centre_deg", [0.0, 90.0, 200.0])
def test_a_target_on_the_right_focuses_on_the_right(build, centre_deg: float) -> None:
    """Data of a point at (x, y) = (+4, +2) m from the sum above; columns right of the centre are +x, later rows +y."""
    collection = arc(
        centre_deg=centre_deg, grazing_deg=20, radius_m=5000.0, aperture_deg=4.0, pulses=48, frequencies=40
    )
    grid = Grid((40, 48), (0.25, 0.25))
    x = torch.zeros(1, 1, 40, 48, dtype=DOUBLE)
    row, column = 20 + 8, 24 + 16
    x[..., row, column] = 1
    data = exact_sum(collection, grid, x)[None, None]
    focused = build(collection, grid, dtype=DOUBLE).adjoint(data)[0, 0].abs()
    assert np.unravel_index(int(focused.argmax()), (40, 48)) == (row, column)
    assert float(focused.max()) == pytest.approx(48 * 40, rel=0.02)


def profile(operator: LinearOperator, axis: int) -> tuple[np.ndarray, int]:
    """The response to a centred unit point along one axis of the image, and the centre's index."""
    x = torch.zeros(1, *operator.domain_shape, dtype=DOUBLE)[None][0]
    centre = [n // 2 for n in operator.domain_shape[1:]]
    x[0, 0, centre[0], centre[1]] = 1
    response = operator.normal(x)[0, 0].abs()
    line = response[centre[0]] if axis == 1 else response[:, centre[1]]
    return (line / line.max()).numpy(), centre[axis]


@BUILDS
def test_resolution_and_sidelobes_of_a_rectangular_support(build) -> None:
    """A narrow band and aperture: k-support nearly a rectangle, so -3 dB widths 0.886 c / 2B and 0.886 lambda / 2 dtheta,
    highest sidelobe -13.26 dB in both directions."""
    bandwidth, aperture = 150e6, math.radians(0.7)
    collection = arc(
        carrier_hz=9.6e9, bandwidth_hz=bandwidth, aperture_deg=0.7, radius_m=50e3, pulses=64, frequencies=64
    )
    wavelength = SPEED_OF_LIGHT_M_S / 9.6e9
    cells = {1: SPEED_OF_LIGHT_M_S / (2 * bandwidth), 0: wavelength / (2 * aperture)}
    fine = 32
    for axis, cell in cells.items():
        shape = (1, 8 * fine) if axis == 1 else (8 * fine, 1)
        line, centre = profile(build(collection, Grid(shape, (cell / fine, cell / fine)), dtype=DOUBLE), axis)
        position = np.arange(len(line)) - centre

        def above(at: float, position=position, line=line) -> float:
            return float(np.interp(at, position, line)) - math.sqrt(0.5)

        width = (brentq(above, 0, fine) - brentq(above, -fine, 0)) / fine
        assert width == pytest.approx(0.886, rel=0.004)
        right = line[centre + fine : centre + 2 * fine]
        assert 20 * math.log10(right.max()) == pytest.approx(-13.26, abs=0.05)


def test_gradient_to_the_antenna_against_finite_differences() -> None:
    """A loss on the data and one on the backprojection, each coordinate moved by a micrometre both ways."""
    base = arc(pulses=4, frequencies=6, radius_m=100.0, grazing_deg=20, aperture_deg=10)
    grid, x = Grid((5, 6), (0.3, 0.3)), randn((2, 1, 1, 5, 6), 5)
    target = randn((2, 1, 1, 4, 6), 6)

    def losses(antenna: Tensor) -> list[Tensor]:
        collection = SpotlightCollection(antenna, base.frequency_hz, base.kept)
        operator = ExactSpotlight(collection, grid, dtype=DOUBLE)
        return [(operator(x) - target).abs().square().sum(), operator.adjoint(target).abs().square().sum()]

    antenna = base.antenna_m.clone().requires_grad_()
    gradients = [torch.autograd.grad(loss, antenna, retain_graph=True)[0] for loss in losses(antenna)]
    step = 1e-6
    for which, gradient in enumerate(gradients):
        expected = torch.zeros_like(gradient)
        for pulse in range(4):
            for axis in range(3):
                moved = torch.zeros_like(base.antenna_m)
                moved[0, pulse, axis] = step
                high, low = losses(base.antenna_m + moved)[which], losses(base.antenna_m - moved)[which]
                expected[0, pulse, axis] = (high - low) / (2 * step)
        assert distance(gradient, expected) < 1e-5


def test_gradient_to_the_image_when_the_antenna_moves_too() -> None:
    base = arc(pulses=3, frequencies=5, radius_m=100.0)
    antenna = base.antenna_m.clone().requires_grad_()
    operator = ExactSpotlight(
        SpotlightCollection(antenna, base.frequency_hz, base.kept), Grid((3, 4), (0.3, 0.3)), dtype=DOUBLE
    )
    x = randn((1, 1, 3, 4), 7).requires_grad_()
    assert torch.autograd.gradcheck(operator, (x,))


def test_second_derivatives_to_the_antenna_are_refused() -> None:
    base = arc(pulses=3, frequencies=5, radius_m=100.0)
    antenna = base.antenna_m.clone().requires_grad_()
    operator = ExactSpotlight(
        SpotlightCollection(antenna, base.frequency_hz, base.kept), Grid((3, 4), (0.3, 0.3)), dtype=DOUBLE
    )
    loss = operator(randn((1, 1, 3, 4), 8)).abs().square().sum()
    with pytest.raises(RuntimeError, match="second derivatives"):
        torch.autograd.grad(loss, antenna, create_graph=True)


def test_frequencies_off_a_uniform_grid_are_refused() -> None:
    base = arc(frequencies=8)
    bent = base.frequency_hz.clone()
    bent[0, 3] += 2e-6 * float(bent[0, -1] - bent[0, 0])
    with pytest.raises(ValueError, match="not uniformly spaced"):
        ExactSpotlight(SpotlightCollection(base.antenna_m, bent, base.kept), Grid((4, 4), (0.3, 0.3)))


def test_frequencies_stored_in_single_precision_are_refused_with_the_remedy() -> None:
    base = arc(frequencies=101, bandwidth_hz=100e6)
    rounded = base.frequency_hz.float().double()
    with pytest.raises(ValueError, match="refit"):
        ExactSpotlight(SpotlightCollection(base.antenna_m, rounded, base.kept), Grid((4, 4), (0.3, 0.3)))


@pytest.mark.parametrize("build", [ExactSpotlight, FactorisedSpotlight])
@pytest.mark.parametrize("pulses", [7, 8])
def test_frequencies_given_for_every_pulse(build, pulses: int) -> None:
    """Alike they are those of all pulses; where they change they are refused, and the operator that takes them is named."""
    base, grid, x = arc(frequencies=8, pulses=pulses), Grid((9, 8), (0.3, 0.3)), randn((2, 1, 1, 9, 8), 3)
    each = base.frequency_hz[:, None].repeat(1, pulses, 1)
    alike = SpotlightCollection(base.antenna_m, each, base.kept)
    assert torch.equal(build(alike, grid, dtype=DOUBLE)(x), build(base, grid, dtype=DOUBLE)(x))
    each[0, 3] += 1e6
    with pytest.raises(ValueError, match="plane_wave_spotlight"):
        build(SpotlightCollection(base.antenna_m, each, base.kept), grid)


@pytest.mark.parametrize("build", [ExactSpotlight, FactorisedSpotlight])
def test_frequencies_are_constants(build) -> None:
    """No gradient reaches them, not a part of it through k_c either; that to the antenna does not change."""
    base, grid, x = arc(frequencies=8, pulses=7), Grid((9, 8), (0.3, 0.3)), randn((1, 1, 9, 8), 3)
    found = []
    for moves in (False, True):
        antenna_m = base.antenna_m.clone().requires_grad_()
        frequency_hz = base.frequency_hz.clone().requires_grad_(moves)
        samples = build(SpotlightCollection(antenna_m, frequency_hz, base.kept), grid, dtype=DOUBLE)(x)
        found += torch.autograd.grad(
            samples.real.square().sum(), [antenna_m, frequency_hz][: 1 + moves], allow_unused=True
        )
    assert found[2] is None
    assert torch.equal(found[0], found[1])


def test_one_frequency_is_refused() -> None:
    base = arc(frequencies=8)
    single = SpotlightCollection(base.antenna_m, base.frequency_hz[:, :1], base.kept[..., :1])
    with pytest.raises(ValueError, match="at least two"):
        ExactSpotlight(single, Grid((4, 4), (0.3, 0.3)))


@pytest.mark.parametrize("count", [2, 7, 8])
def test_uniform_grid(count: int) -> None:
    frequency = torch.stack(
        [9e9 + 1e6 * torch.arange(count, dtype=torch.float64), torch.linspace(6e9, 5e9, count, dtype=torch.float64)]
    )
    middle, step = uniform_grid(frequency)
    index = torch.arange(count) - count // 2
    assert torch.allclose(middle[:, None] + index * step[:, None], frequency, rtol=1e-12)


def test_a_batch_that_does_not_match_the_sensors_is_refused() -> None:
    base = arc(pulses=3, frequencies=4)
    pair = SpotlightCollection(torch.cat([base.antenna_m, 1.1 * base.antenna_m]), base.frequency_hz, base.kept)
    operator = ExactSpotlight(pair, Grid((4, 4), (0.3, 0.3)))
    with pytest.raises(ValueError, match="batch of 3 for 2 sensors"):
        operator(torch.zeros(3, 1, 4, 4, dtype=torch.complex64))
    with pytest.raises(ValueError, match="batch of 1 for 2 sensors"):
        operator.adjoint(torch.zeros(1, 1, 3, 4, dtype=torch.complex64))
