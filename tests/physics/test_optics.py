"""Inpainting, Bayer patterns, pansharpening and compressed sensing: against definitions, SciPy and deepinv."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.fft import dstn
from torch import Tensor

from contracts import check_prox, dense, distance
from echoform.physics.compositions import GalerkinOperator
from echoform.physics.compressed_sensing import KeptSines, SineTransform, compressed_sensing
from echoform.physics.downsampling import bilinear_kernel
from echoform.physics.inpainting import bayer, missing_lines, random_pixels
from echoform.physics.masking import SampleMask
from echoform.physics.pansharpening import PanSharpening, SpectralResponse, pansharpening

DOUBLE = torch.float64
SHAPE = (3, 60, 80)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = DOUBLE) -> Tensor:
    return torch.rand(*shape, dtype=dtype, generator=generator(seed))


def share_within(kept: Tensor, expected: float) -> bool:
    """Whether a share of independent draws lies within four standard deviations."""
    return abs(float(kept.mean()) - expected) < 4 * math.sqrt(expected * (1 - expected) / kept.numel())


def test_pixels_are_lost_with_the_probability_given() -> None:
    kept = torch.tensor([0.3, 0.9])
    whole = random_pixels(SHAPE, kept, generator())
    assert whole.dtype == torch.float32
    assert whole.batch == 2
    assert torch.equal(whole.weights[:, 0], whole.weights[:, 2])
    apart = random_pixels(SHAPE, kept, generator(), pixelwise=False, complex_image=True)
    assert apart.dtype == torch.complex64
    for b in range(2):
        assert share_within(whole.weights[b, 0], float(kept[b]))
        assert share_within(apart.weights[b], float(kept[b]))
    both = apart.weights[0, 0] * apart.weights[0, 1]
    assert share_within(both, 0.09)
    check_prox(random_pixels((1, 4, 6), kept, generator(3)).double())


def test_lines_are_lost_whole() -> None:
    lines = missing_lines((1, 400, 5), torch.tensor([0.4]), generator()).weights
    assert torch.equal(lines, lines[..., :1].expand_as(lines))
    assert share_within(lines[..., 0], 0.4)


def test_bayer_keeps_one_colour_per_pixel() -> None:
    mask = bayer(4, 6).weights[0]
    assert torch.equal(mask.sum(0), torch.ones(4, 6))
    assert mask.sum((1, 2)).tolist() == [6, 12, 6]
    physics = pytest.importorskip("deepinv", reason="deepinv is not installed: pip install 'echoform[deepinv]'").physics
    x = drawn(2, 3, 4, 6, dtype=torch.float32)
    assert torch.equal(bayer(4, 6)(x), physics.Demosaicing(img_size=(4, 6)).A(x))


def test_spectral_response_of_real_images() -> None:
    operator = SpectralResponse(drawn(2, 3), 8, 12)
    x = drawn(2, 3, 8, 12, seed=1)
    assert distance(operator(x)[1, 0], torch.einsum("c,chw->hw", operator.response[1], x[1])) < 1e-14
    check_prox(operator)
    coarse, galerkin = operator.coarsen(2), GalerkinOperator(operator, 2)
    small = drawn(2, 3, 4, 6, seed=2)
    assert distance(coarse(small), galerkin(small)) < 1e-12
    assert distance(coarse.normal(small), galerkin.normal(small)) < 1e-12
    with pytest.raises(ValueError, match="response must be real"):
        SpectralResponse(torch.zeros(3), 8, 12)


def test_deepinv_pansharpens_alike() -> None:
    physics = pytest.importorskip("deepinv", reason="deepinv is not installed: pip install 'echoform[deepinv]'").physics
    shape = (3, 16, 24)
    ours = pansharpening(bilinear_kernel(4), 4, shape)
    theirs = physics.Pansharpen(shape, filter="bilinear", factor=4, srf="flat")
    x = drawn(2, *shape, dtype=torch.float32)
    colour, sharp = theirs.A(x)
    assert distance(ours(x), torch.cat([colour.flatten(1), sharp.flatten(1)], 1)) < 1e-6
    back = theirs.A_adjoint(theirs.A(x))
    assert distance(ours.normal(x), back) < 1e-6


def test_sine_transform_is_scipys() -> None:
    x = drawn(2, 3, 9, 14)
    expected = torch.from_numpy(dstn(x.numpy(), type=1, axes=(-2, -1), norm="ortho"))
    transform = SineTransform((3, 9, 14), dtype=DOUBLE)
    assert distance(transform(x), expected) < 1e-13
    assert distance(transform(transform(x)), x) < 1e-13


def test_sensing_keeps_a_quarter_of_orthonormal_samples() -> None:
    operator = compressed_sensing((3, 8, 8), generator(), batch=2, dtype=DOUBLE)
    assert operator.samples().tolist() == [48, 48]
    matrix = dense(operator)
    gram = matrix @ matrix.mT
    assert distance(gram, torch.diag_embed((operator.support() != 0).flatten(1).double())) < 1e-13
    assert distance(matrix[0], matrix[1]) > 0.1
    assert float(operator.norm()[0]) == 1
    assert float(operator.spectrum().mean(lambda v: v)[0]) == pytest.approx(0.25)
    check_prox(operator)
    with pytest.raises(ValueError, match="give 1 or more"):
        compressed_sensing((1, 4, 4), generator(), undersampling=0.5)


def test_a_mask_that_is_no_choice_of_sines_is_refused() -> None:
    inner = SineTransform((1, 8, 8))
    with pytest.raises(ValueError, match="zeros and ones"):
        KeptSines(SampleMask(torch.full((1, 1, 8, 8), 0.5), complex_image=False), inner)
    with pytest.raises(ValueError, match="B B"):
        KeptSines(SampleMask(torch.ones(1, 1, 8, 8), complex_image=False), 2.0 * inner)


@pytest.mark.parametrize("response", [None, torch.tensor([[0.9, 0.1, 0.4]], dtype=DOUBLE)])
def test_pansharpening_is_closed(response: torch.Tensor | None) -> None:
    """Norm, spectrum and prox against the dense matrix, for real images; an even filter does not divide by a small weight."""
    operator = pansharpening(bilinear_kernel(2, dtype=DOUBLE), 2, (3, 8, 12), response=response)
    assert isinstance(operator, PanSharpening)
    matrix = dense(operator, batch=1)[0]
    gram = matrix.mT @ matrix
    values = torch.linalg.eigvalsh(gram)
    assert float(operator.norm()[0]) == pytest.approx(float(values[-1]) ** 0.5, rel=1e-12)
    for power in (1, 2):
        found = float(operator.spectrum().mean(lambda v, p=power: v**p)[0])
        assert found == pytest.approx(float((values**power).mean()), rel=1e-12)
    check_prox(operator)
    y, anchor = drawn(1, *operator.range_shape), drawn(1, 3, 8, 12, seed=1)
    small = torch.tensor([1e-9], dtype=DOUBLE)
    expected = torch.linalg.solve(
        gram + 1e-9 * torch.eye(len(gram)), operator.adjoint(y).flatten() + 1e-9 * anchor.flatten()
    )
    assert distance(operator.prox(y, anchor, small).flatten(), expected) < 1e-5


def test_bayer_patterns_start_where_they_are_told() -> None:
    at = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
    masks = bayer(4, 6, blue=at).weights
    for mask, (row, column) in zip(masks, at.tolist(), strict=True):
        assert torch.equal(mask, torch.roll(masks[0], (row, column), (1, 2)))
        assert float(mask[2, row, column]) == 1
