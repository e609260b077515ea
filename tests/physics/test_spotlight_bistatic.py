"""Spotlight with the receiver apart from the transmitter: against the defining sum, against the monostatic form, gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_spotlight import DOUBLE, arc
from torch import Tensor

from contracts import distance, randn
from echoform.physics.masking import restrict
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.grid import Grid

GRID = Grid((9, 12), (0.4, 0.5))


def pair(
    *, radius_m: float = 900.0, pulses: int = 9, frequencies: int = 12, missing: bool = True
) -> SpotlightCollection:
    """The transmitter on an arc, the receiver on a rough track of another height and distance."""
    base = arc(grazing_deg=25, radius_m=radius_m, pulses=pulses, frequencies=frequencies)
    generator = torch.Generator().manual_seed(4)
    rough = 0.01 * radius_m * torch.randn(1, pulses, 3, generator=generator, dtype=torch.float64)
    receiver = torch.tensor([0.2, 0.9, 0.6], dtype=torch.float64) * radius_m + rough
    collection = SpotlightCollection(base.antenna_m, base.frequency_hz, base.kept, receiver)
    return collection.without(torch.rand(1, pulses, frequencies, generator=generator) < 0.2) if missing else collection


def path_sum(collection: SpotlightCollection, grid: Grid, x: Tensor) -> Tensor:
    """sum_j x_j exp(-i k_c . r_j) exp(-i 2 pi f / c (|q_t - r| + |q_r - r| - |q_t| - |q_r|)), in extended precision."""
    wide = np.longdouble
    position = grid.positions_m().reshape(-1, 3).numpy().astype(wide)
    frequency = collection.frequency_hz[0].numpy().astype(wide)
    path = wide(0)
    wave = np.zeros((9, 2), dtype=wide)
    assert collection.receiver_m is not None
    for antenna in (collection.antenna_m[0], collection.receiver_m[0]):
        q = antenna.numpy().astype(wide)
        reach = np.sqrt((q**2).sum(-1, keepdims=True))
        path = path + np.sqrt(((q[:, None] - position) ** 2).sum(-1)) - reach
        wave = wave + (q / reach)[:, :2]
    scale = 2 * wide(math.pi) / wide(SPEED_OF_LIGHT_M_S)
    carrier = (scale * frequency[None, :, None] * wave[:, None]).mean((0, 1))
    phase = -scale * frequency[None, :, None] * path[:, None] - position[:, :2] @ carrier
    return torch.from_numpy(np.exp(1j * phase.astype(float)) @ x.flatten().numpy()) * collection.kept[0]


@pytest.mark.parametrize(("dtype", "bound"), [(DOUBLE, 1e-11), (torch.complex64, 1e-5)], ids=["double", "single"])
def test_exact_against_the_sum_of_paths(dtype: torch.dtype, bound: float) -> None:
    collection, x = pair(), randn((1, 1, 9, 12), 3)
    measured = ExactSpotlight(collection, GRID, dtype=dtype)(x.to(dtype))[0, 0].to(DOUBLE)
    assert distance(measured, path_sum(collection, GRID, x)) < bound


def test_plane_wave_is_the_far_field_of_the_sum_of_paths() -> None:
    """Ten times the distance leaves a tenth of the difference, which is of second order in r / R."""
    x, errors = randn((1, 1, 9, 12), 3), []
    for radius_m in (1e5, 1e6):
        collection = pair(radius_m=radius_m)
        measured = plane_wave_spotlight(collection, GRID, dtype=DOUBLE)(x)[0, 0]
        errors.append(distance(measured, path_sum(collection, GRID, x)))
    assert errors[1] < 0.02
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize(
    "build", [ExactSpotlight, plane_wave_spotlight, FactorisedSpotlight], ids=["exact", "plane_wave", "factorised"]
)
def test_a_receiver_at_the_transmitter_is_monostatic(build) -> None:
    one = arc(grazing_deg=25, centre_deg=30)
    two = SpotlightCollection(one.antenna_m, one.frequency_hz, one.kept, one.antenna_m.clone())
    x, y = randn((1, 1, 9, 12), 5), randn((1, 1, 24, 20), 6)
    mono, bi = build(one, GRID, dtype=DOUBLE), build(two, GRID, dtype=DOUBLE)
    assert distance(bi(x), mono(x)) < 1e-12
    assert distance(bi.adjoint(y), mono.adjoint(y)) < 1e-12
    assert torch.equal(two.carrier(), one.carrier())


def test_gradient_to_both_antennas() -> None:
    """gradcheck to transmitter and receiver at once, of the samples and of the backprojection (k_c moves with both)."""
    base, grid = pair(radius_m=60.0, pulses=3, frequencies=4), Grid((3, 4), (0.3, 0.3))
    x, y = randn((1, 1, 3, 4), 7), randn((1, 1, 3, 4), 8)
    assert base.receiver_m is not None
    both = [q.clone().requires_grad_() for q in (base.antenna_m, base.receiver_m)]

    def operator(transmitter: Tensor, receiver: Tensor) -> ExactSpotlight:
        return ExactSpotlight(
            SpotlightCollection(transmitter, base.frequency_hz, base.kept, receiver), grid, dtype=DOUBLE
        )

    assert torch.autograd.gradcheck(lambda t, r: operator(t, r)(x), both, eps=1e-6, atol=1e-4)
    assert torch.autograd.gradcheck(lambda t, r: operator(t, r).adjoint(y), both, eps=1e-6, atol=1e-4)


def test_gradcheck_of_the_monostatic_antenna() -> None:
    base, grid = arc(pulses=3, frequencies=4, radius_m=60.0, grazing_deg=20), Grid((3, 4), (0.3, 0.3))
    x = randn((1, 1, 3, 4), 7)
    antenna = base.antenna_m.clone().requires_grad_()

    def samples(q: Tensor) -> Tensor:
        return ExactSpotlight(SpotlightCollection(q, base.frequency_hz, base.kept), grid, dtype=DOUBLE)(x)

    assert torch.autograd.gradcheck(samples, (antenna,), eps=1e-6, atol=1e-4)


def test_restriction_keeps_the_receiver() -> None:
    operator, x = ExactSpotlight(pair(missing=False), GRID, dtype=DOUBLE), randn((1, 1, 9, 12), 3)
    marks = torch.rand(1, 1, 9, 12, generator=torch.Generator().manual_seed(9)) < 0.5
    assert distance(restrict(operator, marks)(x), marks * operator(x)) < 1e-12


@pytest.mark.parametrize("fault", ["pulses", "nan"])
def test_unusable_receivers_are_refused(fault: str) -> None:
    base = pair(missing=False)
    assert base.receiver_m is not None
    receiver = base.receiver_m[:, :-1] if fault == "pulses" else base.receiver_m * math.nan
    with pytest.raises(ValueError, match="receiver_m"):
        SpotlightCollection(base.antenna_m, base.frequency_hz, base.kept, receiver)
