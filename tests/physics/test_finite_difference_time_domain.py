"""The full-wave simulator against the line source's field, the exact series of a cylinder, the moment method and Born."""

from __future__ import annotations

import math

import pytest
import torch

from contracts import distance
from cylinder import DOUBLE, angles, real
from echoform.physics.born import BornScattering
from echoform.physics.cylinder_series import scattered_by_cylinder
from echoform.physics.finite_difference_time_domain import LatticeSettings, full_wave_fields
from echoform.physics.green import Radiator, green_2d, wavenumber
from echoform.physics.inhomogeneous_born import CellScattering
from echoform.physics.yee import Lattice
from echoform.scene.cells import cells_of, share_of_disc, volume_of
from echoform.scene.grid import Grid
from echoform.scene.rig import MultistaticRig, all_pairs, ring_m

CELLS, RADIUS_M = cells_of(Grid((14, 14), (0.006, 0.006))), 0.036


def rig(*frequency_hz: float, transmitters: int = 1, ring: float = 0.16, turn: float = 0.3) -> MultistaticRig:
    sources, receivers = ring_m(ring, angles(transmitters, turn)), ring_m(ring, angles(9, 0.1))
    return all_pairs(sources[None], receivers[None], real(*frequency_hz)[None])


def cylinder(eps: complex, dtype: torch.dtype = torch.complex64) -> torch.Tensor:
    return ((eps - 1) * share_of_disc(CELLS.grid, RADIUS_M)).to(dtype)[None, None]


def test_the_field_of_a_line_source_is_greens_function() -> None:
    """Amplitude, phase and sign with no free constant; measured 2e-4 and 5e-4 at the receiver that is worst."""
    frequencies = rig(1e9, 2e9, transmitters=2)
    incident = full_wave_fields(cylinder(1.0), frequencies, CELLS).incident
    gap = (frequencies.receiver_m[0, :, None] - frequencies.transmitter_m[0]).norm(dim=-1)
    exact = green_2d(gap[None], wavenumber(frequencies.frequency_hz, real(1.0))[0, :, None, None])
    assert incident.shape == (1, 1, 2, 9, 2)
    assert float(((incident[0, 0] - exact).abs() / exact.abs()).max()) < 0.002


@pytest.mark.parametrize(("eps", "hz"), [(1.01, 2e9), (3.0, 2e9), (0.5, 1e9), (2 - 0.5j, 1e9)])
def test_a_cylinder_scatters_as_its_series_says(eps: complex, hz: float) -> None:
    """k a to 1.5, dense, thin and lossy; the 14 x 14 pixels are part of the error; measured 0.2 to 0.5 %."""
    lit = rig(1e9, 2e9)
    found = full_wave_fields(cylinder(eps), lit, CELLS, reference_hz=hz)
    exact = scattered_by_cylinder(lit, radius_m=RADIUS_M, permittivity=eps)[0, 0]
    for f, at_hz in enumerate((1e9, 2e9)):
        if complex(eps).imag == 0 or at_hz == hz:
            assert distance(found.scattered[0, 0, f].to(DOUBLE), exact[f]) < 0.01
    assert found.unsettled < 5e-3


def test_born_agrees_for_a_weak_scatterer_only() -> None:
    """Below 5 % is asked; measured 1.6 % at contrast 0.02, growing with the contrast as the terms left out do, 66 % at 1."""
    lit, errors = rig(1e9, 2e9), []
    born = BornScattering(lit, CELLS, radiator=Radiator.LINE)
    for contrast in (0.02, 0.2, 1.0):
        chi = cylinder(1 + contrast)
        errors.append(distance(born(chi), full_wave_fields(chi, lit, CELLS).scattered))
    assert errors[0] < 0.03
    assert 8 < errors[1] / errors[0] < 12
    assert errors[2] > 0.5


def test_any_contrast_scatters_as_the_moment_method_says() -> None:
    lit = rig(1e9, 2e9)
    chi = torch.zeros(1, 1, 14, 14, dtype=DOUBLE)
    chi[..., 3:11, 2:9] = torch.rand(8, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    dense = CellScattering(lit, CELLS, radiator=Radiator.LINE, permittivity=real(1.0)).about(chi[0, 0]).scattered
    assert distance(full_wave_fields(chi, lit, CELLS).scattered, dense) < 0.01


def test_the_border_reflects_little() -> None:
    """Beside a lattice whose border is too far for its echo to be heard; measured -80 dB (asked: -40)."""
    lit, chi = rig(1e9, 2e9), cylinder(2.0, DOUBLE)
    far, near = (
        full_wave_fields(chi, lit, CELLS, settings=LatticeSettings(margin_cells=margin)) for margin in (130, 4)
    )
    for one, other in ((far.incident, near.incident), (far.scattered, near.scattered)):
        assert 20 * math.log10(float((one - other).abs().max() / one.abs().max())) < -70


def test_a_batch_is_a_loop_and_a_background_only_shortens_the_wave() -> None:
    chi = torch.cat([cylinder(1.5), cylinder(1.2).roll(2, -1)])
    one, other = rig(2e9), rig(1.7e9, turn=1.0)
    both = MultistaticRig(
        torch.cat([one.transmitter_m, other.transmitter_m]),
        one.receiver_m,
        torch.cat([one.frequency_hz, other.frequency_hz]),
        one.heard,
    )
    together = full_wave_fields(chi, both, CELLS).scattered
    for b, alone in enumerate((one, other)):
        assert distance(together[b], full_wave_fields(chi[b : b + 1], alone, CELLS).scattered[0]) < 1e-5
    denser = full_wave_fields(chi[:1], rig(1e9), CELLS, permittivity=4.0).scattered
    assert distance(denser, full_wave_fields(chi[:1], one, CELLS).scattered) < 1e-6


def test_pairs_that_are_not_heard_are_zero() -> None:
    lit = rig(2e9, transmitters=2)
    heard = lit.heard.clone()
    heard[0, 0, 3, 1] = 0
    masked = MultistaticRig(lit.transmitter_m, lit.receiver_m, lit.frequency_hz, heard)
    fields = full_wave_fields(cylinder(1.5), masked, CELLS).scattered[0, 0, 0]
    assert float(fields[3, 1].abs()) == 0
    assert int((fields == 0).sum()) == 1


def test_misuse_is_refused() -> None:
    lit = rig(2e9)
    with pytest.raises(ValueError, match="may lose power"):
        full_wave_fields(cylinder(1 + 0.1j), lit, CELLS)
    with pytest.raises(ValueError, match="stands on the pixels"):
        full_wave_fields(cylinder(1.1), rig(2e9, ring=0.05), CELLS)
    with pytest.raises(ValueError, match="square pixels"):
        full_wave_fields(torch.zeros(1, 2, 4, 4, dtype=DOUBLE), lit, volume_of(Grid((4, 4), (0.01, 0.01)), 2, 0.01))
    with pytest.raises(ValueError, match="contrast must be complex"):
        full_wave_fields(cylinder(1.1)[..., 1:], lit, CELLS)
    thin = torch.full((1, 20, 20), 0.25)
    with pytest.raises(ValueError, match="stability"):
        Lattice(thin, torch.zeros_like(thin), sources=1, layer_cells=4, courant=0.5)
    with pytest.raises(ValueError, match="does not fit"):
        Lattice(4 * thin, torch.zeros_like(thin), sources=1, layer_cells=9, courant=0.5)
