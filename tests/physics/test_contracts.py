"""Every concrete operator of echoform.physics, found by walking subclasses, passes every check of tests/contracts.py."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest
import torch
from operator_examples import EXAMPLES

import contracts
import echoform.physics
from contracts import EXACT, LARGE, SEEDS, SMALL, TINY, Example
from echoform.linalg.cg import USUAL
from echoform.physics.identity import ScalarOperator
from echoform.physics.operator import LinearOperator
from pretended_gpu import pretended_gpu

ALL = [example for examples in EXAMPLES.values() for example in examples]
IMAGE = [example for example in ALL if example.image]
every = pytest.mark.parametrize("example", ALL, ids=str)
of_images = pytest.mark.parametrize("example", IMAGE, ids=str)


def concrete_operators() -> set[type[LinearOperator]]:
    """All but the bridge, whose operators are deepinv's own: tests/physics/test_deepinv_bridge.py has those."""
    for module in pkgutil.walk_packages(echoform.physics.__path__, "echoform.physics."):
        importlib.import_module(module.name)
    found: set[type[LinearOperator]] = set()
    waiting = [LinearOperator]
    while waiting:
        for child in waiting.pop().__subclasses__():
            waiting.append(child)
            ours = child.__module__.startswith("echoform.") and child.__module__ != "echoform.physics.deepinv_bridge"
            if ours and not inspect.isabstract(child):
                found.add(child)
    return found


@pytest.mark.parametrize("kind", sorted(concrete_operators(), key=lambda c: c.__name__), ids=lambda c: c.__name__)
def test_every_operator_has_an_example(kind: type[LinearOperator]) -> None:
    assert EXAMPLES.get(kind), f"{kind.__qualname__} has no example in tests/physics/operator_examples.py: add one"
    for example in EXAMPLES[kind]:
        assert type(example.at(SMALL)) is kind


@every
def test_dot(example: Example) -> None:
    contracts.check_dot(example.at(SMALL), EXACT)


@every
def test_dot_in_single_precision(example: Example) -> None:
    contracts.check_dot(example.at(SMALL, SEEDS, torch.complex64), 1e-5)


@every
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=["single", "double"])
def test_dtype(example: Example, dtype: torch.dtype) -> None:
    contracts.check_dtype(example.at(SMALL, SEEDS, dtype))


@every
def test_linear(example: Example) -> None:
    contracts.check_linear(example.at(SMALL))


@every
def test_normal(example: Example) -> None:
    contracts.check_normal(example.at(SMALL))


@of_images
def test_prox(example: Example) -> None:
    contracts.check_prox(example.at(SMALL))


@of_images
@pytest.mark.parametrize("factor", [2, 4])
def test_coarsen(example: Example, factor: int) -> None:
    contracts.check_coarsen(example, factor)


@of_images
def test_coarsen_edges(example: Example) -> None:
    contracts.check_coarsen_edges(example.at(LARGE))


@every
def test_batch(example: Example) -> None:
    contracts.check_batch(example)


@every
def test_leading_axes(example: Example) -> None:
    contracts.check_leading_axes(example.at(SMALL))


@every
def test_views(example: Example) -> None:
    contracts.check_views(example.at(SMALL))


@every
def test_gradients(example: Example) -> None:
    contracts.check_gradients(example.at(TINY), image=example.image)


@of_images
def test_norm(example: Example) -> None:
    contracts.check_norm(example.at(SMALL))


@of_images
def test_spectrum(example: Example) -> None:
    contracts.check_spectrum(example.at(SMALL), exact=example.exact_spectrum)


@every
def test_support(example: Example) -> None:
    contracts.check_support(example.at(SMALL))


@every
def test_unchanged(example: Example) -> None:
    contracts.check_unchanged(example.at(SMALL))


@every
def test_prepared(example: Example) -> None:
    contracts.check_prepared(example.at(SMALL))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@every
def test_cuda(example: Example) -> None:
    contracts.check_device(example.at(SMALL), torch.device("cuda"))


@every
def test_pretended_gpu(example: Example) -> None:
    with pretended_gpu() as device:
        contracts.check_device(example.at(SMALL), device)


class Broken(ScalarOperator):
    """An operator with one fault at a time, to see that the checks can fail."""

    def __init__(self, fault: str) -> None:
        super().__init__((1, *SMALL), torch.tensor([1.0, 2.0], dtype=torch.float64))
        self.fault = fault

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return super().adjoint(y) * (1j if self.fault == "adjoint" else 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return A x, wrong in the way asked for."""
        if self.fault == "linear":
            return super().forward(x) + 1
        if self.fault == "dtype":
            return super().forward(x).to(torch.complex64)
        if self.fault == "unchanged":
            self.gain = self.gain * 1.1
        return super().forward(x)

    def normal(self, x: torch.Tensor) -> torch.Tensor:
        return super().normal(x) * (1.01 if self.fault == "normal" else 1)

    def norm(self) -> torch.Tensor:
        return super().norm() * (1.02 if self.fault == "norm" else 1)

    def prepared(self) -> LinearOperator:
        return 1.01 * self if self.fault == "prepared" else self

    def support(self) -> torch.Tensor | None:
        return torch.zeros(1, *self.range_shape) if self.fault == "support" else None

    def prox_from_backprojection(self, backprojection, anchor, weight, stopping=USUAL):
        wrong = 1.01 if self.fault == "prox" else 1
        return super().prox_from_backprojection(backprojection, anchor, wrong * weight)


@pytest.mark.parametrize(
    "fault", ["adjoint", "linear", "dtype", "normal", "norm", "support", "prox", "unchanged", "prepared"]
)
def test_a_fault_is_found(fault: str) -> None:
    checks = {"adjoint": lambda operator: contracts.check_dot(operator, EXACT)}
    check = checks.get(fault) or getattr(contracts, f"check_{fault}")
    with pytest.raises(AssertionError):
        check(Broken(fault))
    if fault != "adjoint":
        contracts.check_dot(Broken("none"), EXACT)
