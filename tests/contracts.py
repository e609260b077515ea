"""The checks that every linear operator must pass; tests/physics/test_contracts.py runs each on each operator.

An operator enters through an :class:`Example`, which can build it at any image size, for any list of seeds (one sensor of the
batch per seed) and in either precision. Dense matrices are found by applying the operator to unit vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from echoform.linalg.cg import Stopping
from echoform.physics.compositions import GalerkinOperator
from echoform.physics.operator import LinearOperator

Build = Callable[[tuple[int, int], Sequence[int], torch.dtype], LinearOperator]

TINY, SMALL, LARGE = (4, 6), (12, 16), (32, 48)
SEEDS = (1, 2)
EXACT = 1e-10


@dataclass(frozen=True)
class Example:
    """A way to build an operator, and what its contract promises beyond exactness.

    Attributes:
        name: shown in the test's name.
        build: (H, W) of the image, one seed per sensor, complex dtype -> operator.
        image: False when the domain is no (C, H, W) image, so that prox, norm, spectrum and coarsen do not apply.
        coarsen_bound: relative distance of coarsen(s) from A U_s, for images that vanish near the border.
        coarsen_keeps_samples: whether every sample the coarse version keeps is one of A U_s exactly (False: rediscretised).
        coarsen_margin: width of that border, in coarse pixels.
        exact_spectrum: whether the spectral density is known in closed form, or found by Lanczos.
        batched: False when the class holds no parameter, so that all sensors are alike.
    """

    name: str
    build: Build
    image: bool = True
    coarsen_bound: float = EXACT
    coarsen_keeps_samples: bool = True
    coarsen_margin: int = 0
    exact_spectrum: bool = False
    batched: bool = True

    def __str__(self) -> str:
        return self.name

    def at(self, shape: tuple[int, int], seeds: Sequence[int] = SEEDS, dtype: torch.dtype = torch.complex128):
        return self.build(shape, seeds, dtype)


def randn(shape: Sequence[int], seed: int, dtype: torch.dtype = torch.complex128) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def image_for(operator: LinearOperator, seed: int = 10, lead: tuple[int, ...] = (), batch: int = 2) -> Tensor:
    return randn((*lead, batch, *operator.domain_shape), seed, operator.dtype)


def data_for(operator: LinearOperator, seed: int = 11, lead: tuple[int, ...] = (), batch: int = 2) -> Tensor:
    return randn((*lead, batch, *operator.range_shape), seed, operator.dtype)


def distance(a: Tensor, b: Tensor) -> float:
    """|a - b| / |b|, or |a| when b is zero."""
    assert a.shape == b.shape, f"shapes differ: {tuple(a.shape)} and {tuple(b.shape)}"
    scale = float(torch.linalg.vector_norm(b.detach()))
    return float(torch.linalg.vector_norm((a - b).detach())) / (scale or 1.0)


def dense(operator: LinearOperator, batch: int = 2) -> Tensor:
    """The matrices of the sensors, (batch, M, N), column by column from unit images."""
    size = torch.Size(operator.domain_shape).numel()
    units = torch.eye(size, dtype=operator.dtype).reshape(size, 1, *operator.domain_shape)
    columns = operator(units.expand(size, batch, *operator.domain_shape))
    return columns.flatten(2).permute(1, 2, 0)


def check_dot(operator: LinearOperator, tolerance: float) -> None:
    """<A x, y> = <x, A^H y>, on every sensor, relative to |A x| |y|."""
    x, y = image_for(operator), data_for(operator)
    forward, back = operator(x), operator.adjoint(y)
    left = torch.linalg.vecdot(forward.flatten(1), y.flatten(1))
    right = torch.linalg.vecdot(x.flatten(1), back.flatten(1))
    scale = torch.linalg.vector_norm(forward.flatten(1), dim=1) * torch.linalg.vector_norm(y.flatten(1), dim=1)
    assert bool((scale > 0).all())
    assert float(((left - right).abs() / scale).max()) < tolerance


def check_linear(operator: LinearOperator) -> None:
    a, b = 0.7 - 1.1j, -2.0 + 0.3j
    for function, make in ((operator.forward, image_for), (operator.adjoint, data_for)):
        u, v = make(operator, 20), make(operator, 21)
        assert distance(function(a * u + b * v), a * function(u) + b * function(v)) < EXACT


def check_dtype(operator: LinearOperator) -> None:
    x, y = image_for(operator), data_for(operator)
    for result in (operator(x), operator.adjoint(y), operator.normal(x)):
        assert result.dtype == operator.dtype
        assert result.device == operator.device
    assert operator(x).shape == (2, *operator.range_shape)
    assert operator.adjoint(y).shape == (2, *operator.domain_shape)


def check_normal(operator: LinearOperator) -> None:
    x = image_for(operator)
    assert distance(operator.normal(x), operator.adjoint(operator(x))) < EXACT


def check_prox(operator: LinearOperator, tolerance: float = 1e-8) -> None:
    """Against (A^H A + w I)^-1 (A^H y + w a), w different per sample; weights follow |A|^2 so that CG converges."""
    matrix = dense(operator)
    top = torch.linalg.matrix_norm(matrix, ord=2).square()
    y, anchor = data_for(operator), image_for(operator, 12)
    weight = torch.tensor([0.02, 0.5], dtype=torch.float64) * top + 1e-3
    gram = matrix.mH @ matrix + torch.diag_embed(weight[:, None].expand(2, matrix.shape[2])).to(matrix.dtype)
    rhs = (matrix.mH @ y.flatten(1)[..., None])[..., 0] + weight[:, None] * anchor.flatten(1)
    expected = torch.linalg.solve(gram, rhs).reshape(anchor.shape)
    exact = Stopping(1e-12, 400)
    assert distance(operator.prox(y, anchor, weight, exact), expected) < tolerance
    back = operator.adjoint(y)
    assert distance(operator.prox_from_backprojection(back, anchor, weight, exact), expected) < tolerance


def check_coarsen(example: Example, factor: int) -> None:
    """coarsen(s) against A U_s on images that vanish near the border: exact on its support, elsewhere within the bound."""
    operator = example.at(LARGE)
    coarse, galerkin = operator.coarsen(factor), GalerkinOperator(operator, factor)
    assert coarse.domain_shape == galerkin.domain_shape
    assert coarse.range_shape == operator.range_shape
    x, margin = torch.zeros_like(image_for(coarse)), example.coarsen_margin
    rows, columns = (slice(margin, n - margin) for n in coarse.domain_shape[1:])
    x[..., rows, columns] = image_for(coarse)[..., rows, columns]
    expected = galerkin(x)
    assert float(expected.abs().max()) > 0
    measured, marks = coarse(x), coarse.support()
    if marks is not None and example.coarsen_keeps_samples:
        assert distance(marks * measured, marks * expected) < EXACT
    assert distance(measured, expected) <= example.coarsen_bound
    check_dot(coarse, EXACT)
    check_normal(coarse)


def check_coarsen_edges(operator: LinearOperator) -> None:
    """Factor 1 changes nothing; a side that is no multiple of the factor is refused."""
    x = image_for(operator)
    assert distance(operator.coarsen(1)(x), operator(x)) < EXACT
    with pytest.raises(ValueError, match="5"):
        operator.coarsen(5)


def check_batch(example: Example) -> None:
    """Two sensors at once = one after the other, for everything that depends on the sensor."""
    both = example.at(SMALL)
    assert both.batch == (2 if example.batched else 1)
    x, y, weight = image_for(both), data_for(both), torch.tensor([2.0, 5.0], dtype=torch.float64)
    for i, seed in enumerate(SEEDS):
        one, part = example.at(SMALL, (seed,)), slice(i, i + 1)
        assert one.batch == 1
        assert distance(both(x)[part], one(x[part])) < EXACT
        assert distance(both.adjoint(y)[part], one.adjoint(y[part])) < EXACT
        assert distance(both.normal(x)[part], one.normal(x[part])) < EXACT
        if example.image:
            exact = Stopping(1e-12, 400)
            expected = one.prox(y[part], x[part], weight[part], exact)
            assert distance(both.prox(y, x, weight, exact)[part], expected) < 1e-8
            assert distance(both.coarsen(2).adjoint(y)[part], one.coarsen(2).adjoint(y[part])) < EXACT
        if both.support() is not None:
            marks = both.support().expand(2, *both.range_shape)
            assert torch.equal(marks[part], one.support().expand(1, *one.range_shape))
    if example.batched:
        assert distance(both(x)[:1], both(x.flip(0))[1:]) > 1e-3, (
            "the two sensors are alike: the example proves nothing"
        )


def check_leading_axes(operator: LinearOperator) -> None:
    """Axes before the batch axis are a loop over everything."""
    x, y = image_for(operator, lead=(2, 3)), data_for(operator, lead=(2, 3))
    for function, value in ((operator.forward, x), (operator.adjoint, y), (operator.normal, x)):
        looped = torch.stack([torch.stack([function(v) for v in row]) for row in value])
        assert distance(function(value), looped) < EXACT


def check_views(operator: LinearOperator) -> None:
    """Conjugate, permuted and expanded views give what their copies give, as inputs and as incoming gradients."""
    for function, make in ((operator.forward, image_for), (operator.adjoint, data_for), (operator.normal, image_for)):
        value = make(operator)
        transposed = value.mT.contiguous().mT
        for view in (value.conj(), transposed, value[:1].expand_as(value)):
            assert distance(function(view), function(view.resolve_conj().clone())) < EXACT
        leaf = value.clone().requires_grad_()
        result = function(leaf)
        upstream = torch.randn_like(result)
        (plain,) = torch.autograd.grad(function(leaf), leaf, upstream.conj().resolve_conj())
        (viewed,) = torch.autograd.grad(function(leaf), leaf, upstream.conj())
        assert distance(viewed, plain) < EXACT


def check_gradients(operator: LinearOperator, *, image: bool) -> None:
    """Compare automatic gradients of an operator with the other of forward and adjoint."""
    x, y = image_for(operator).requires_grad_(), data_for(operator).requires_grad_()
    assert torch.autograd.gradcheck(operator.forward, (x,), fast_mode=True)
    assert torch.autograd.gradcheck(operator.adjoint, (y,), fast_mode=True)
    assert torch.autograd.gradcheck(operator.normal, (x,), fast_mode=True)
    if image:
        weight = torch.linalg.matrix_norm(dense(operator), ord=2).square() * 0.3 + 1e-3

        def prox(y: Tensor, anchor: Tensor) -> Tensor:
            return operator.prox(y, anchor, weight, Stopping(1e-12, 8))

        assert torch.autograd.gradcheck(prox, (y, x), atol=1e-4, fast_mode=True)


def check_norm(operator: LinearOperator) -> None:
    expected = torch.linalg.matrix_norm(dense(operator), ord=2)
    norm = operator.norm().expand(2)
    assert float(((norm - expected).abs() / expected).max()) < 0.01
    normalized = operator.normalized()
    assert float((torch.linalg.matrix_norm(dense(normalized), ord=2) - 1).abs().max()) < 0.01


def check_spectrum(operator: LinearOperator, *, exact: bool) -> None:
    """The means of l and of 1 / (l + 0.1 l_max) against the eigenvalues of the dense A^H A.

    Closed forms must agree to 1e-6. A density seen from one random probe v scatters by v^H F v over the complex unit sphere,
    whose variance is (n tr F^2 - (tr F)^2) / (n^2 (n + 1)): it must agree to four such deviations and 2 % for its few nodes.
    """
    matrix = dense(operator)
    eigenvalues = torch.linalg.eigvalsh(matrix.mH @ matrix).clamp_min(0)
    floor = 0.1 * eigenvalues.amax(1, keepdim=True)
    density = operator.spectrum()
    assert torch.allclose(density.weights.sum(-1).double(), torch.ones(1, dtype=torch.float64), atol=1e-6)
    for function in (lambda value: value, lambda value: 1 / (value + floor)):
        values = function(eigenvalues)
        mean, scatter = values.mean(1), (values.var(1, correction=0) / (values.shape[1] + 1)).sqrt()
        bound = 1e-6 * mean if exact else 4 * scatter + 0.02 * mean
        assert bool(((density.mean(function).expand(2) - mean).abs() < bound).all())


def check_support(operator: LinearOperator) -> None:
    """A x vanishes outside the support, what stands there does not enter A^H y, and samples() counts the rest."""
    marks = operator.support()
    full = torch.Size(operator.range_shape).numel()
    if marks is None:
        assert torch.equal(operator.samples(), torch.tensor([float(full)], dtype=torch.float64))
        return
    assert set(marks.unique().tolist()) <= {0.0, 1.0}
    marks = marks.expand(2, *operator.range_shape)
    image, data = operator(image_for(operator)), data_for(operator)
    assert float(image[marks == 0].abs().sum()) == 0.0
    assert distance(operator.adjoint(marks * data), operator.adjoint(data)) < EXACT
    assert torch.equal(operator.samples().expand(2), (marks != 0).flatten(1).sum(1).double())


def check_unchanged(operator: LinearOperator) -> None:
    """No call changes an operator."""
    before = {name: value.clone() for name, value in operator.named_buffers()}
    x, y = image_for(operator), data_for(operator)
    first = operator(x)
    operator.normal(operator.adjoint(y))
    operator.samples()
    assert set(before) == {name for name, _ in operator.named_buffers()}
    assert all(torch.equal(value, before[name]) for name, value in operator.named_buffers())
    assert torch.equal(operator(x), first)


def check_prepared(operator: LinearOperator) -> None:
    """Prepared for many products it is the same sensor, of the same class, and prepared again it stays as it is."""
    prepared = operator.prepared()
    assert type(prepared) is type(operator)
    x, y = image_for(operator), data_for(operator)
    assert distance(prepared.normal(x), operator.normal(x)) < EXACT
    assert distance(prepared(x), operator(x)) < EXACT
    assert distance(prepared.adjoint(y), operator.adjoint(y)) < EXACT
    assert prepared.prepared() is prepared


def check_device(operator: LinearOperator, device: torch.device) -> None:
    """The operator moved to another device gives the same numbers there."""
    x, y = image_for(operator), data_for(operator)
    expected, back, normal = operator(x), operator.adjoint(y), operator.normal(x)
    moved = operator.to(device)
    assert moved.device.type == device.type or not list(operator.buffers())
    for result, reference in (
        (moved(x.to(device)), expected),
        (moved.adjoint(y.to(device)), back),
        (moved.normal(x.to(device)), normal),
    ):
        assert result.device.type == device.type
        assert distance(result.cpu(), reference) < EXACT
