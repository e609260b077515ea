"""Shares of cells that a disc or a ball covers against its area and volume, and antennas spread over a sphere."""

from __future__ import annotations

import math

import pytest
import torch

from echoform.scene.cells import Cells, cells_of, share_of_ball, share_of_disc, volume_of
from echoform.scene.grid import Grid
from echoform.scene.rig import sphere_m


def test_shares_add_up_to_the_body() -> None:
    grid = Grid((20, 22), (0.005, 0.0045))
    volume = volume_of(grid, 18, 0.0055)
    share = share_of_ball(volume, 0.04)
    assert share.shape == volume.shape
    assert float(share.sum()) * volume.measure == pytest.approx(4 / 3 * math.pi * 0.04**3, rel=1e-3)
    assert float(share_of_disc(grid, 0.04).sum()) * volume.area_m2 == pytest.approx(math.pi * 0.04**2, rel=1e-3)


def test_a_cell_counts_where_it_stands() -> None:
    """Full within, empty beyond, half where the ball's edge is a plane to the cell; all of it about the origin."""
    near = Cells(Grid((3, 3), (0.01, 0.01)), (0.02, -0.03), 1e-4, (-0.04, -0.03, -0.02), 0.01)
    distance = near.positions_m().norm(dim=-1).reshape(near.shape)
    for radius_m in (0.03, 0.045, 0.05):
        share, half = share_of_ball(near, radius_m), 0.5 * math.sqrt(3) * 0.01
        assert bool((share[distance + half < radius_m] == 1).all())
        assert bool((share[distance - half > radius_m] == 0).all())
    far = Cells(Grid((1, 1), (0.01, 0.01)), (0.0, 100.0), 1e-4, (0.0,), 0.01)
    assert float(share_of_ball(far, 100.0)) == pytest.approx(0.5, abs=1e-9)
    with pytest.raises(ValueError, match="thickness"):
        share_of_ball(cells_of(Grid((2, 2), (0.01, 0.01))), 0.01)


def test_cells_stand_where_their_grid_does() -> None:
    """Fine and coarse, of a sheet and of a volume; a grid whose displacement would be counted elsewhere is refused."""
    grid = Grid((12, 8), (0.01, 0.02), (0.3, -0.2))
    for cells, slices in ((cells_of(grid), 1), (volume_of(grid, 3, 0.01), 3)):
        for found, expected in ((cells, grid), (cells.coarser(2), grid.coarser(2))):
            wanted = expected.positions_m()[..., :2].flatten(0, 1).repeat(slices, 1)
            assert torch.allclose(found.positions_m()[:, :2], wanted, rtol=0, atol=1e-12)
    inside = (grid.positions_m().norm(dim=-1) < 0.35).double()
    assert float((share_of_disc(grid, 0.35) - inside).abs().mean()) < 0.1
    assert float((share_of_ball(volume_of(grid, 1, 1e-6), 0.35)[0] - share_of_disc(grid, 0.35)).abs().max()) < 0.02
    with pytest.raises(ValueError, match="give that as offset_m"):
        Cells(grid, (0.0, 0.0), 2e-4)


def test_a_sphere_of_antennas_is_even() -> None:
    """All at the radius, means of first and second moments those of a sphere, no two close."""
    place = sphere_m(0.5, 60)
    assert place.dtype == torch.float64
    assert torch.allclose(place.norm(dim=1), torch.full((60,), 0.5, dtype=torch.float64))
    assert float(place.mean(0).abs().max()) < 0.01
    assert torch.allclose(place.mT @ place / 60, torch.eye(3, dtype=torch.float64) * 0.25 / 3, atol=2e-3)
    gap = (place[:, None] - place).norm(dim=-1) + torch.eye(60)
    assert float(gap.min()) > 0.5 * 0.5 * math.sqrt(4 * math.pi / 60)
