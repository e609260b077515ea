"""Coarse Born operators whose normal is held: what it equals, when it is held and when not."""

from __future__ import annotations

import examples_born
import pytest
import torch
from test_born import peak_bytes

from contracts import SEEDS, dense, distance, randn
from cylinder import DOUBLE, angles, real, ring_rig
from echoform.linalg.resample import upsample
from echoform.measure.codecs_born import coarse_born_of
from echoform.physics import born_products
from echoform.physics.born import BornScattering
from echoform.physics.born_coarse import CoarseBorn, Form, cheapest
from echoform.physics.compositions import ComposedOperator, GalerkinOperator
from echoform.physics.green import Radiator
from echoform.scene.cells import cells_of
from echoform.scene.grid import Grid
from echoform.scene.rig import MultistaticRig, ring_m


def some_pairs(receiver_m: torch.Tensor, *, memory: int = 2**28, spacing_m: float = 0.011) -> BornScattering:
    """A third of 9 x 7 pairs at two frequencies; with pixels of 0.027 m the wave needs all of them."""
    heard = (examples_born.uniform((1, 1, 9, 7), 2) < 0.35).double()
    rig = MultistaticRig(ring_m(0.9, angles(7))[None], receiver_m, real(2e9, 3.1e9)[None], heard)
    return BornScattering(
        rig,
        cells_of(Grid((32, 48), (spacing_m, spacing_m))),
        radiator=Radiator.LINE,
        normal_memory_bytes=memory,
        dtype=DOUBLE,
    )


RECEIVER_M = ring_m(0.8, angles(9, 0.3))[None]


@pytest.mark.parametrize(("factor", "form"), [(2, Form.ROWS), (4, Form.ROWS), (8, Form.MATRIX)])
@pytest.mark.parametrize("images", [1, 3])
def test_the_held_normal_is_that_of_the_fine_operator(factor: int, form: Form, images: int) -> None:
    """To rounding where the wave needs the fine grid, by each of the forms."""
    fine = some_pairs(RECEIVER_M, spacing_m=0.027)
    coarse, galerkin = fine.coarsen(factor), GalerkinOperator(fine, factor)
    assert isinstance(coarse, CoarseBorn)
    assert (coarse.matrix is None) == (form is Form.ROWS)
    assert (coarse.rows is None) == (form is Form.MATRIX)
    x = randn((2, images, *coarse.domain_shape), 1)
    assert distance(coarse.normal(x), galerkin.normal(x)) < 1e-12
    assert distance(coarse(x), fine(upsample(x, factor))) < 1e-12
    marks = coarse.support()
    assert marks is not None
    assert torch.equal(marks, fine.support())
    assert coarse.prepared() is coarse


def test_a_displaced_grid_is_coarsened_where_it_stands() -> None:
    """Written down again on coarse cells it stays within the bound of A U_s."""
    grid = Grid((32, 32), (0.004, 0.004), (0.1, -0.06))
    rig = ring_rig(real(1e9, 4e9), antennas=12)
    fine = BornScattering(rig, cells_of(grid), radiator=Radiator.LINE, normal_memory_bytes=0, dtype=DOUBLE)
    coarse, x = fine.coarsen(2), torch.zeros(1, 1, 16, 16, dtype=DOUBLE)
    assert isinstance(coarse, ComposedOperator)
    x[..., 3:13, 3:13] = randn((10, 10), 1)
    assert distance(coarse(x), fine(upsample(x, 2))) < 0.015


def test_rows_are_as_many_as_are_heard() -> None:
    """C has a row for every heard sample; where a sensor hears fewer than another, rows of zeros follow."""
    fine = examples_born.sparse((32, 48), SEEDS, DOUBLE)
    coarse = fine.coarsen(2)
    assert isinstance(coarse, CoarseBorn)
    assert coarse.rows is not None
    assert coarse.rows.shape == (2, int(fine.heard.flatten(1).sum(1).max()), 16 * 24)
    matrix = dense(coarse)
    assert distance(coarse.rows.mH @ coarse.rows, matrix.mH @ matrix) < 1e-12


def test_what_is_held_fits_the_memory_given_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte less and it is not held; what is made on the way stays below the bound on a product's memory."""
    fine = some_pairs(RECEIVER_M)
    rows = int(fine.heard.sum()) * 2 * 16 * 24 * 16
    assert isinstance(some_pairs(RECEIVER_M, memory=rows).coarsen(2), CoarseBorn)
    for memory in (rows - 1, 0):
        assert not isinstance(some_pairs(RECEIVER_M, memory=memory).coarsen(2), CoarseBorn)
    monkeypatch.setattr(born_products, "WORK_MEMORY_BYTES", 2**17)
    coarse = fine.coarsen(2)
    fields = coarse.outer.receive.nbytes + coarse.outer.transmit.nbytes  # pyright: ignore
    assert peak_bytes(lambda: fine.coarsen(2)) < 2 * rows + fields + 2**20


def test_the_form_that_is_cheapest_over_some_hundred_products() -> None:
    """256 x 256 pixels of an eighth of a wavelength under 24 x 24 antennas at 4 frequencies; then a third of their pairs."""
    per_pixel, many = 8.0 * (576 + 6 * 48), 2**25
    assert cheapest(2304, 4096, passes=118**2 * per_pixel, columns=64, needed=118**2, most=many) is Form.ROWS
    assert cheapest(2304, 1024, passes=93**2 * per_pixel, columns=32, needed=93**2, most=many) is Form.MATRIX
    assert cheapest(2304, 1024, passes=93**2 * per_pixel, columns=32, needed=93**2, most=3 * 10**6) is Form.ROWS
    assert cheapest(2304, 4096, passes=4096 * per_pixel, columns=64, needed=4096, most=many) is Form.PASSES
    assert cheapest(628, 4096, passes=4096 * per_pixel, columns=64, needed=4096, most=many) is Form.ROWS


@pytest.mark.parametrize("spacing_m", [0.011, 0.004])
def test_gradients_reach_the_antennas_of_a_coarse_version(spacing_m: float) -> None:
    """Nothing is held then: the gradient of |A_s x|^2 through the normal is that through the fine operator."""
    plain = some_pairs(RECEIVER_M, spacing_m=spacing_m).coarsen(4)
    assert isinstance(plain, CoarseBorn)
    x, found = torch.zeros(1, *plain.domain_shape, dtype=DOUBLE), []
    x[..., 2:-2, 2:-2] = randn((1, 1, 4, 8), 3)
    for exact in (False, True):
        receiver_m = RECEIVER_M.clone().requires_grad_()
        fine = some_pairs(receiver_m, spacing_m=spacing_m)
        coarse = GalerkinOperator(fine, 4) if exact else fine.coarsen(4)
        assert not isinstance(coarse, CoarseBorn)
        energy = (x.conj() * coarse.normal(x)).real.sum()
        found.append(torch.autograd.grad(energy, receiver_m)[0])
        assert float(energy.detach()) == pytest.approx(float(plain(x).abs().square().sum()), rel=0.02)
    assert float((found[0] - found[1]).norm() / found[1].norm()) < 0.02


def test_gradients_reach_the_image() -> None:
    """The held normal passes gradients on to what it is applied to."""
    coarse = some_pairs(RECEIVER_M).coarsen(4)
    assert isinstance(coarse, CoarseBorn)
    x = randn((1, *coarse.domain_shape), 1).requires_grad_()
    (gradient,) = torch.autograd.grad((x.conj() * coarse.normal(x)).real.sum(), x)
    assert distance(gradient, 2 * coarse.adjoint(coarse(x))) < 1e-12


def test_misuse_is_refused() -> None:
    """A form that holds nothing, batches that do not fit and files of other operators raise ValueError."""
    coarse = some_pairs(RECEIVER_M).coarsen(4)
    assert isinstance(coarse, ComposedOperator)
    with pytest.raises(ValueError, match="hold no matrix"):
        CoarseBorn(coarse.outer, coarse.inner, form=Form.PASSES)  # pyright: ignore
    with pytest.raises(ValueError, match="got a SeparableOperator"):
        coarse_born_of(coarse.inner, coarse.outer)
    two = examples_born.held(examples_born.thin_volume, Form.ROWS)((4, 6), SEEDS, DOUBLE)
    with pytest.raises(ValueError, match="batch of 3 for 2 sensors"):
        two.normal(randn((3, *two.domain_shape), 1))
