"""Filter and decimation: against the definition, deepinv's operator and its prox, and exactly Galerkin at any factor."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from contracts import check_prox, dense, distance
from echoform.physics.compositions import GalerkinOperator
from echoform.physics.convolution import CircularConvolution, circular_blur
from echoform.physics.deepinv_bridge import from_deepinv
from echoform.physics.downsampling import Downsampling, bicubic_kernel, bilinear_kernel, downsampling

DOUBLE = torch.float64
EXACT = 1e-12
KERNELS = {"bicubic": bicubic_kernel, "bilinear": bilinear_kernel}
both = pytest.mark.parametrize("name", KERNELS)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def sensor(name: str, factor: int, shape: tuple[int, int, int]) -> Downsampling:
    return downsampling(KERNELS[name](factor, dtype=DOUBLE), factor, shape)


@both
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_every_fth_pixel_of_the_blurred_image(name: str, factor: int) -> None:
    shape = (2, 24, 36)
    operator, kernel, x = sensor(name, factor, shape), KERNELS[name](factor, dtype=DOUBLE), drawn(2, *shape)
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-14)
    assert distance(operator(x), circular_blur(kernel, shape)(x)[..., ::factor, ::factor]) < EXACT
    matrix = dense(operator, 1)[0]
    assert float(torch.linalg.matrix_norm(matrix, ord=2)) == pytest.approx(float(operator.norm()), rel=1e-12)
    eigenvalues = torch.linalg.eigvalsh(matrix.mT @ matrix)
    assert float(operator.spectrum().mean(lambda v: v)[0]) == pytest.approx(float(eigenvalues.mean()), rel=1e-9)


@both
@pytest.mark.parametrize("factor", [2, 4])
def test_a_ramp_keeps_its_slope(name: str, factor: int) -> None:
    """Both filters reproduce straight lines; the pixel of y stands half a fine pixel beside the fine one it is counted from."""
    x = torch.arange(64, dtype=DOUBLE).expand(1, 1, 64, 64)
    middle = sensor(name, factor, (1, 64, 64))(x)[0, 0, 3, 4:-4]
    expected = factor * torch.arange(64 // factor, dtype=DOUBLE)[4:-4]
    assert float((middle - expected - 0.5).abs().max()) < 1e-10


@both
@pytest.mark.parametrize("factor", [2, 4])
def test_norm_is_what_the_official_weights_expect(name: str, factor: int) -> None:
    assert float(sensor(name, factor, (1, 32, 32)).norm()) * factor == pytest.approx(1, rel=1e-12)


@both
@pytest.mark.parametrize(("factor", "coarse"), [(2, 2), (2, 4), (4, 2), (4, 4), (4, 8), (3, 2), (3, 6), (6, 4)])
def test_coarse_versions_are_exact(name: str, factor: int, coarse: int) -> None:
    operator = sensor(name, factor, (2, 24, 48))
    seen, galerkin = operator.coarsen(coarse), GalerkinOperator(operator, coarse)
    if coarse % factor == 0:
        assert isinstance(seen, CircularConvolution)
        assert seen.factor == coarse // factor
    elif factor % coarse == 0:
        assert isinstance(seen, Downsampling)
        assert seen.factor == factor // coarse
    x, y = drawn(2, *seen.domain_shape), drawn(2, *operator.range_shape, seed=1)
    assert distance(seen(x), galerkin(x)) < EXACT
    assert distance(seen.adjoint(y), galerkin.adjoint(y)) < EXACT
    assert distance(seen.normal(x), galerkin.normal(x)) < EXACT


@pytest.mark.parametrize("factor", [1, 4])
def test_prox_is_exact(factor: int) -> None:
    check_prox(sensor("bicubic", factor, (1, 8, 12)))


def test_gradients_of_real_images() -> None:
    operator, x = sensor("bicubic", 2, (1, 4, 6)), drawn(1, 1, 4, 6).requires_grad_()
    y, weight = drawn(1, 1, 2, 3, seed=1).requires_grad_(), torch.tensor([0.1], dtype=DOUBLE)
    assert torch.autograd.gradcheck(operator.forward, (x,), fast_mode=True)
    assert torch.autograd.gradcheck(operator.adjoint, (y,), fast_mode=True)
    assert torch.autograd.gradcheck(lambda v, u: operator.prox(v, u, weight), (y, x), fast_mode=True)


def test_prox_of_a_weak_prior_in_single_precision() -> None:
    """w is 1e-6 of |A|^2: the published form (b - A^H S A b) / w would lose all digits."""
    wide, x = sensor("bicubic", 4, (1, 64, 64)), drawn(1, 1, 64, 64)
    single = downsampling(bicubic_kernel(4), 4, (1, 64, 64))
    weight, anchor = torch.tensor([6e-8], dtype=DOUBLE), drawn(1, 1, 64, 64, seed=1)
    expected = wide.prox(wide(x), anchor, weight)
    found = single.prox(wide(x).float(), anchor.float(), weight.float())
    assert distance(found.double(), expected) < 1e-5


def test_sides_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="divided by 4"):
        downsampling(bicubic_kernel(4), 4, (1, 32, 30))


@both
@pytest.mark.parametrize("factor", [2, 4])
def test_deepinv_downsamples_alike(name: str, factor: int) -> None:
    physics = pytest.importorskip("deepinv", reason="deepinv is not installed: pip install 'echoform[deepinv]'").physics
    shape = (3, 32, 48)
    kernel = KERNELS[name](factor, dtype=DOUBLE)
    model = physics.Downsampling(shape, filter=kernel, factor=factor, padding="circular")
    named = physics.Downsampling(shape, filter=name, factor=factor, padding="circular")
    assert distance(named.filter.double(), kernel) < 1e-6
    ours, theirs = downsampling(kernel, factor, shape), from_deepinv(model, shape, dtype=DOUBLE)
    x, y = drawn(2, *shape), drawn(2, *ours.range_shape, seed=1)
    assert distance(ours(x), theirs(x)) < EXACT
    assert distance(ours.adjoint(y), theirs.adjoint(y)) < EXACT
    assert distance(ours.prox(y, x, torch.tensor([0.5], dtype=DOUBLE)), model.prox_l2(x, y, gamma=2.0)) < 1e-6
