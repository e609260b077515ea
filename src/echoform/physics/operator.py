"""The contract of every linear sensor: y = A x, with what solvers and networks need to know about A.

Images have shape (..., B, C, H, W) and measurements (..., B, *range_shape). Parameters of an operator are buffers whose
leading axis is the batch (length B, or 1 for all samples alike), so one batch can hold a different sensor per sample, and
any number of axes may stand before the batch axis. No call changes an operator; noise is not its property.

What operators are made into by the algebra (A B, c A, A^H, A U_s) is in :mod:`echoform.physics.compositions`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

from echoform.linalg.cg import USUAL, Stopping, cg
from echoform.linalg.inner import expand, squared_norm
from echoform.linalg.spectrum import SpectralDensity, lanczos_density, largest_eigenvalue

if TYPE_CHECKING:
    from echoform.physics.compositions import ComposedOperator, ScaledOperator

Module = TypeVar("Module", bound=nn.Module)

PROBE_SEED = 20210517
#: distance between the bounds of |A|^2, as a share of it, at which the norm is taken as found
NORM_TOLERANCE = 1e-2
#: from this number of pixels on a mean eigenvalue is estimated by one product
LARGE_IMAGE = 2**17


def coarse_shape(domain_shape: tuple[int, int, int], factor: int) -> tuple[int, int, int]:
    """Return (C, H / factor, W / factor); raises ValueError when a side is no multiple of ``factor``."""
    channels, height, width = domain_shape
    if height % factor or width % factor:
        raise ValueError(f"domain {domain_shape} cannot be coarsened by {factor}: pad both sides to a multiple of it")
    return channels, height // factor, width // factor


class LinearOperator(nn.Module, ABC):
    """A known linear sensor A.

    Attributes:
        domain_shape: (C, H, W) of the image, without the batch axis.
        range_shape: shape of the measurement, without the batch axis.
    """

    def __init__(self, domain_shape: tuple[int, int, int], range_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.domain_shape = domain_shape
        self.range_shape = range_shape

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return A x, shape (..., B, *range_shape)."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """Return A^H y, shape (..., B, *domain_shape)."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """The dtype of images and measurements this operator works in."""

    @property
    def device(self) -> torch.device:
        """Where the operator's parameters live."""
        return next((b.device for b in self.buffers()), torch.device("cpu"))

    @property
    def batch(self) -> int:
        """Number of different sensors held: the batch length of the parameters, 1 when shared by all samples."""
        return _rows(self)

    def sensor_indices(self, samples: int) -> list[int]:
        """Return which sensor measures each of ``samples`` scenes; raises ValueError unless there is one, or one each."""
        if self.batch not in (1, samples):
            raise ValueError(
                f"got a batch of {samples} for {self.batch} sensors; give one per sensor, or one sensor for all"
            )
        return [0] * samples if self.batch == 1 else list(range(samples))

    def each_sensor(
        self, value: Tensor, apply: Callable[[Tensor, int], Tensor], *, ndim: int, result_ndim: int
    ) -> Tensor:
        """Return ``apply(values of one sensor, its index)`` for all of them, side by side along the batch axis.

        Where one sensor measures all scenes it is applied once, to all, so that what it makes on the way is made once.

        Args:
            value: (..., B, *sample).
            apply: takes (..., *sample) to (..., *result), any leading axes riding along.
            ndim: number of axes of a sample.
            result_ndim: number of axes of a result.
        """
        if self.batch == 1:
            return apply(value, 0)
        sensors = self.sensor_indices(value.shape[-ndim - 1])
        parts = [apply(value.select(-ndim - 1, b), sensor) for b, sensor in enumerate(sensors)]
        return torch.stack(parts, -result_ndim - 1)

    def support(self) -> Tensor | None:
        """Return a 0/1 tensor that broadcasts over (B, *range_shape), or None when every entry is a sample.

        Entries marked 0 are padding (a dropped pulse, an unsampled frequency): A x is zero there, and so must y be.
        """
        return None

    def support_after(self, marks: Tensor | None) -> Tensor | None:
        """Return the support of A B given that of B (``marks``, None for every entry): A's own unless A says more."""
        return self.support()

    def frequency_axes(self, *, of_input: bool = False) -> bool:
        """Return whether the last two axes of A x run along spatial frequencies of the scene, as windows and looks need.

        Args:
            of_input: whether those of x do, where x is what another sensor measured.
        """
        return False

    def isometry(self) -> Tensor | None:
        """Return c, (batch,), when A^H A = c I for each sensor, else None; a product keeps its inner normal behind such an A."""
        return None

    def coisometry(self) -> Tensor | None:
        """Return c, (batch,), when A A^H = c I for each sensor, else None."""
        return None

    def samples(self) -> Tensor:
        """Return the number of measured entries per sensor, shape (batch,), float64."""
        marks, size = self.support(), torch.Size(self.range_shape).numel()
        if marks is None:
            return torch.full((1,), float(size), dtype=torch.float64, device=self.device)
        each = marks.flatten(1)
        return each.sum(1, dtype=torch.float64) * (size / each.shape[1])

    def normal(self, x: Tensor) -> Tensor:
        """Return A^H A x; overridden where there is a faster form."""
        return self.adjoint(self.forward(x))

    def prepared(self) -> LinearOperator:
        """Return the same sensor with what makes hundreds of normals cheaper worked out beforehand; itself where nothing does.

        Unless overridden that is the sensor whose parts are prepared.
        """
        return _prepared_within(self)

    def galerkin(self, factor: int) -> LinearOperator:
        """Return A_s = A U_s exactly; overridden where that has a cheaper form."""
        from echoform.physics.compositions import GalerkinOperator

        return self if factor == 1 else GalerkinOperator(self, factor)

    def coarsen(self, factor: int) -> LinearOperator:
        """Return the sensor seen from a grid ``factor`` times coarser: A U_s, or what an override says it is."""
        return self.galerkin(factor)

    def commuted(self, factor: int) -> tuple[int, LinearOperator] | None:
        """Return t and B with A U_s ~ U_t B, so that what comes after A need see no grid finer than t; None by default."""
        return None

    def prox(self, y: Tensor, anchor: Tensor, weight: Tensor, stopping: Stopping = USUAL) -> Tensor:
        """Return argmin_u |A u - y|^2 + weight |u - anchor|^2 by conjugate gradients from the anchor.

        Args:
            y: measurement, (B, *range_shape).
            anchor: image, (B, *domain_shape).
            weight: positive, shape (B,) or (1,).
            stopping: of conjugate gradients; closed forms ignore it.
        """
        return self.prox_from_backprojection(self.adjoint(y), anchor, weight, stopping)

    def prox_from_backprojection(
        self, backprojection: Tensor, anchor: Tensor, weight: Tensor, stopping: Stopping = USUAL
    ) -> Tensor:
        """Return :meth:`prox` given A^H y, so that one adjoint serves many weights; overridden by closed forms."""
        w = expand(weight, 3)
        result = cg(
            lambda u: self.normal(u) + w * u,
            backprojection + w * anchor,
            ndim=3,
            start=anchor,
            stopping=stopping,
        )
        return result.solution

    def probe(self, index: int = 0) -> Tensor:
        """Return a fixed random image, CN(0, 1) or N(0, 1), from which norm and spectrum are estimated."""
        generator = torch.Generator().manual_seed(PROBE_SEED + index)
        shape = (self.batch, *self.domain_shape)
        real = torch.float64 if self.dtype in (torch.complex128, torch.float64) else torch.float32
        if self.dtype.is_complex:
            parts = torch.randn((*shape, 2), generator=generator, dtype=real) * 0.5**0.5
            return torch.view_as_complex(parts).to(self.device)
        return torch.randn(shape, generator=generator, dtype=real).to(self.device)

    @torch.no_grad()
    def norm(self) -> Tensor:
        """Return the spectral norm |A|_2 per sensor, shape (batch,), within half a percent unless in closed form.

        The upper of Lanczos' bounds of |A|^2 when they are NORM_TOLERANCE apart: a bound once leading eigenvalues are told apart.
        """
        return largest_eigenvalue(self.normal, self.probe(), ndim=3, tolerance=NORM_TOLERANCE).above.sqrt()

    @torch.no_grad()
    def spectrum(self) -> SpectralDensity:
        """Return the spectral density of A^H A: twelve nodes by Lanczos from one probe unless known in closed form."""
        size = torch.Size(self.domain_shape).numel()
        return lanczos_density(self.normal, self.probe(), ndim=3, steps=min(12, size))

    @torch.no_grad()
    def mean_eigenvalue(self) -> Tensor:
        """Return tr(A^H A) / n per sensor, (batch,): from the spectrum; of large images from |A v|^2 / |v|^2 of one probe.

        The second is unbiased with a relative deviation of at most 1 / sqrt(rank) for equal eigenvalues, and costs one forward.
        """
        if torch.Size(self.domain_shape).numel() < LARGE_IMAGE:
            return self.spectrum().mean(lambda eigenvalue: eigenvalue)
        probe = self.probe()
        return squared_norm(self(probe), len(self.range_shape)) / squared_norm(probe, 3)

    def normalized(self) -> LinearOperator:
        """Return A / |A|_2; raises ValueError for the zero operator, which has no direction to keep."""
        from echoform.physics.compositions import ScaledOperator

        norm = self.norm()
        if bool((norm <= 0).any()):
            raise ValueError("the operator is zero for at least one sensor, so it cannot be scaled to unit norm")
        return ScaledOperator(self, 1 / norm)

    @property
    def H(self) -> LinearOperator:
        """The adjoint as an operator from measurements to images."""
        from echoform.physics.compositions import AdjointOperator

        return AdjointOperator(self)

    def __matmul__(self, other: LinearOperator) -> ComposedOperator:
        from echoform.physics.compositions import ComposedOperator

        return ComposedOperator(self, other)

    def __rmul__(self, scalar: complex) -> ScaledOperator:
        from echoform.physics.compositions import ScaledOperator

        value = torch.as_tensor([scalar], device=self.device)
        return ScaledOperator(self, value.to(self.dtype if value.is_complex() else self.probe().real.dtype))


class DerivedOperator(LinearOperator):
    """An operator made from another one, whose dtype it has.

    Attributes:
        base: what it is made from.
    """

    def __init__(self, base: LinearOperator, domain_shape: tuple[int, int, int], range_shape: tuple[int, ...]) -> None:
        super().__init__(domain_shape, range_shape)
        self.base = base

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the operator that this one is made from."""
        return self.base.dtype

    def frequency_axes(self, *, of_input: bool = False) -> bool:
        """Return what the operator that this one is made from does."""
        return self.base.frequency_axes(of_input=of_input)


def _rows(module: nn.Module) -> int:
    """Return the batch length of the buffers of a module; operators within it say theirs themselves."""
    rows = [buffer.shape[0] for buffer in module.buffers(recurse=False)]
    rows += [part.batch if isinstance(part, LinearOperator) else _rows(part) for part in module.children()]
    return max(rows, default=1)


def with_parts(module: Module, parts: dict[str, nn.Module | None]) -> Module:
    """Return a module with other parts under the names given, which shares all else; itself where they are those it has."""
    if all(module._modules[name] is part for name, part in parts.items()):
        return module
    twin = copy(module)
    twin._modules = module._modules | parts  # a shallow copy shares the table of parts itself
    return twin


def _prepared_within(module: Module) -> Module:
    """Return a module whose operators, at whatever depth, are prepared."""
    parts: dict[str, nn.Module | None] = {}
    for name, part in module._modules.items():
        if part is not None:
            parts[name] = part.prepared() if isinstance(part, LinearOperator) else _prepared_within(part)
    return with_parts(module, parts)
