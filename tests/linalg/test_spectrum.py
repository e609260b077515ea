"""Largest eigenvalue and spectral density against the eigenvalues of a matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from contracts import randn
from echoform.linalg.spectrum import SpectralDensity, lanczos_density, largest_eigenvalue
from echoform.physics.operator import NORM_TOLERANCE

SIZE = 60


def matrices() -> Tensor:
    factor = randn((2, 40, SIZE), 1) * torch.tensor([1.0, 3.0], dtype=torch.float64)[:, None, None]
    return factor.mH @ factor / SIZE


def apply(matrix: Tensor):
    return lambda x: (matrix @ x[..., None])[..., 0]


def test_largest_eigenvalue_per_sample() -> None:
    matrix = matrices()
    expected = torch.linalg.eigvalsh(matrix)[:, -1]
    estimate = largest_eigenvalue(apply(matrix), randn((2, SIZE), 2), ndim=1, tolerance=1e-6, max_iterations=2000)
    assert bool((estimate.below <= expected * (1 + 1e-9)).all()), (
        "a Rayleigh quotient never exceeds the largest eigenvalue"
    )
    assert bool((estimate.above >= expected * (1 - 1e-9)).all())
    assert bool((estimate.above - estimate.below <= 1e-6 * estimate.below).all())


def test_bounds_hold_before_convergence() -> None:
    """Stopped early, the largest eigenvalue lies near or below the upper bound: on 40 spectra without a gap and 40 with one."""
    generator = torch.Generator().manual_seed(5)
    crowded = torch.rand(40, SIZE, generator=generator, dtype=torch.float64).sort(1).values
    apart = torch.cat([0.7 * crowded[:, :-1], torch.ones(40, 1, dtype=torch.float64)], 1)
    values = torch.cat([crowded, apart])
    expected, above = values.amax(1), []
    for row in range(len(values)):
        found = largest_eigenvalue(
            lambda x, row=row: values[row] * x, randn((1, SIZE), row), ndim=1, tolerance=NORM_TOLERANCE
        )
        assert float(found.below[0]) <= float(expected[row]) * (1 + 1e-12)
        above.append(float(found.above[0] / expected[row]))
    assert min(above) > 1 - 1e-2  # half a percent of |A|
    assert sum(value >= 1 for value in above) > 0.9 * len(above)
    assert max(above) < 1 + NORM_TOLERANCE


def test_a_known_bound_ends_the_search_at_once() -> None:
    """A start that is the leading eigenvector meets the bound after two products, and no result exceeds it."""
    values, products = torch.linspace(0.1, 1, SIZE, dtype=torch.float64), []

    def normal(x: Tensor) -> Tensor:
        products.append(1)
        return values * x

    start = torch.zeros(1, SIZE, dtype=torch.complex128)
    start[0, -1] = 1
    found = largest_eigenvalue(normal, start, ndim=1, tolerance=1e-2, bound=torch.ones(1, dtype=torch.float64))
    assert len(products) == 2
    assert float(found.above) == 1.0
    far = largest_eigenvalue(normal, randn((1, SIZE), 1), ndim=1, tolerance=1e-2, bound=torch.tensor([1.0]).double())
    assert float(far.above) <= 1.0
    assert float(far.below) > 0.98


def test_samples_that_settle_sooner_are_left_alone_and_cost_nothing() -> None:
    """Spectra with ever smaller gaps: each gives the bounds that it gives alone, and takes the products that it takes alone."""
    gaps = (0.5, 3e-2, 3e-3, 0.2)
    crowded = torch.rand(len(gaps), SIZE - 1, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    values = torch.stack(
        [torch.cat([(1 - gap) * row, torch.ones(1).double()]) for gap, row in zip(gaps, crowded, strict=True)]
    )
    basis = torch.linalg.qr(randn((len(gaps), SIZE, SIZE), 9)).Q
    scale = torch.tensor([1.0, 20.0, 1.0, 0.1], dtype=torch.float64)
    matrix = scale[:, None, None] * (basis * values[:, None]) @ basis.mH
    expected, start = torch.linalg.eigvalsh(matrix)[:, -1], randn((len(gaps), SIZE), 2)
    products: list[Tensor] = []

    def among(rows: Tensor):
        def normal(x: Tensor) -> Tensor:
            products.append(rows)
            return apply(matrix[rows])(x)

        return normal

    everywhere = torch.arange(len(gaps))
    together = largest_eigenvalue(among(everywhere), start, ndim=1, tolerance=1e-5, among=among)
    counts = torch.cat(products).bincount(minlength=len(gaps)).tolist()
    assert len(set(counts)) > 2  # they do settle at different times
    for row in range(len(gaps)):
        products.clear()
        alone = largest_eigenvalue(among(everywhere[row : row + 1]), start[row : row + 1], ndim=1, tolerance=1e-5)
        assert len(products) == counts[row]
        for one, other in zip(alone, together, strict=True):
            assert abs(float(one[0] / other[row]) - 1) < 1e-9
    assert bool((together.below <= expected * (1 + 1e-12)).all())
    assert bool((together.above >= expected * (1 - 1e-12)).all())
    assert bool((together.above - together.below <= 1e-5 * together.below).all())


def test_a_known_bound_stays_with_its_sample_as_others_settle() -> None:
    """The first starts at its leading eigenvector and ends after two products; the bounds of the others are their own."""
    values = torch.stack([torch.linspace(0.1, top, SIZE, dtype=torch.float64) for top in (1.0, 2.0, 3.0)])
    start = randn((3, SIZE), 4)
    start[0] = torch.zeros(SIZE)
    start[0, -1] = 1
    asked: list[list[int]] = []

    def among(rows: Tensor):
        asked.append(rows.tolist())
        return lambda x: values[rows] * x

    bound = torch.tensor([1.0, 2.001, 3.0], dtype=torch.float64)
    found = largest_eigenvalue(lambda x: values * x, start, ndim=1, tolerance=1e-3, bound=bound, among=among)
    assert asked[0] == [1, 2]
    assert bool((found.above <= bound).all())
    assert bool((found.above >= values[:, -1] * (1 - 1e-12)).all())
    assert bool((found.above - found.below <= 1e-3 * found.below).all())


def test_largest_eigenvalue_of_zero_is_zero() -> None:
    assert float(largest_eigenvalue(lambda x: 0 * x, randn((1, 8), 3), ndim=1).above) == 0.0


def test_as_many_nodes_as_eigenvalues_is_exact_for_the_probe() -> None:
    """With a full Krylov space the nodes are the eigenvalues and the weights the probe's squared components."""
    factor = randn((1, 12, 8), 4)
    matrix = factor.mH @ factor
    start = randn((1, 8), 5)
    density = lanczos_density(apply(matrix), start, ndim=1, steps=8)
    values, vectors = torch.linalg.eigh(matrix[0])
    weights = (vectors.mH @ start[0]).abs().square() / start.abs().square().sum()
    assert torch.allclose(density.nodes[0], values, rtol=1e-9)
    assert torch.allclose(density.weights[0], weights, rtol=1e-7)


def test_quadrature_is_exact_for_low_moments() -> None:
    """K nodes integrate polynomials up to degree 2K - 1 exactly: v^H N^k v / v^H v."""
    matrix, start = matrices(), randn((2, SIZE), 6)
    density = lanczos_density(apply(matrix), start, ndim=1, steps=4)
    power = start
    for degree in range(8):
        expected = (start.conj() * power).sum(-1).real / start.abs().square().sum(-1)
        assert torch.allclose(density.mean(lambda node, k=degree: node**k), expected, rtol=1e-9), degree
        power = apply(matrix)(power)


def test_average_over_probes_is_the_trace() -> None:
    """The density is unbiased: its average over probes reaches tr f(N) / n within its standard error."""
    matrix = matrices()
    values = torch.linalg.eigvalsh(matrix)
    probes = 300
    for function in (lambda v: v, lambda v: 1 / (v + 0.1)):
        expected = function(values).mean(1)
        draws = [
            lanczos_density(apply(matrix), randn((2, SIZE), 100 + i), ndim=1, steps=20).mean(function)
            for i in range(probes)
        ]
        drawn = torch.stack(draws)
        error = drawn.std(0) / probes**0.5
        assert bool(((drawn.mean(0) - expected).abs() < 4 * error + 1e-3 * expected).all())


def test_an_invariant_start_ends_early_without_false_nodes() -> None:
    """A probe inside a two-dimensional invariant space sees two eigenvalues, however many steps are asked for."""
    values = torch.tensor([1.0, 5.0, 9.0, 9.0], dtype=torch.float64)
    start = torch.tensor([[0.6, 0.0, 0.0, 0.8]], dtype=torch.complex128)
    density = lanczos_density(lambda x: values * x, start, ndim=1, steps=4)
    assert torch.allclose(density.mean(lambda v: v), torch.tensor([0.36 * 1 + 0.64 * 9], dtype=torch.float64))
    assert torch.allclose(
        density.mean(lambda v: 1 / (v + 1)), torch.tensor([0.36 / 2 + 0.64 / 10], dtype=torch.float64)
    )
    assert torch.allclose(density.weights.sum(), torch.ones((), dtype=torch.float64))


def test_one_node_is_the_rayleigh_quotient() -> None:
    matrix, start = matrices(), randn((2, SIZE), 7)
    density = lanczos_density(apply(matrix), start, ndim=1, steps=1)
    expected = (start.conj() * apply(matrix)(start)).sum(-1).real / start.abs().square().sum(-1)
    assert density.nodes.shape == (2, 1)
    assert torch.allclose(density.nodes[:, 0], expected)


def test_scaled_density() -> None:
    density = SpectralDensity(torch.tensor([[0.0, 2.0]]), torch.tensor([[0.25, 0.75]]))
    scaled = density.scaled(torch.tensor([2.0, 10.0]))
    assert torch.allclose(scaled.mean(lambda v: v), torch.tensor([3.0, 15.0]))
