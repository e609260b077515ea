"""The contract of every linear sensor: y = A x, with what solvers and networks need to know about A.

Images have shape (..., B, C, H, W) and measurements (..., B, *range_shape). Parameters of an operator are buffers whose
leading axis is the batch (length B, or 1 for all samples alike), so one batch can hold a different sensor per sample, and
any number of axes may stand before the batch axis. No call changes an operator; noise is not its property.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from echoform.linalg.cg import cg
from echoform.linalg.inner import expand, squared_norm
from echoform.linalg.resample import downsample, resampling_gram, upsample
from echoform.linalg.spectrum import SpectralDensity, lanczos_density, largest_eigenvalue, mixture

PROBE_SEED = 20210517
#: distance between the bounds of |A|^2, as a share of it, at which the norm is taken as found
NORM_TOLERANCE = 1e-2
#: probes whose densities a product averages where its spectrum has no closed form
PRODUCT_PROBES = 4
#: from this number of pixels on a mean eigenvalue is estimated by one product
LARGE_IMAGE = 2**17
#: from this rank on one probe is enough: the error of a mean falls as one over its square root
LARGE_RANK = 4096


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

    def isometry(self) -> Tensor | None:
        """Return c, (batch,), when A^H A = c I for each sensor, else None; a product keeps its inner normal behind such an A."""
        return None

    def coisometry(self) -> Tensor | None:
        """Return c, (batch,), when A A^H = c I for each sensor, else None."""
        return None

    def samples(self) -> Tensor:
        """Return the number of measured entries per sensor, shape (batch,), float64."""
        marks = self.support()
        if marks is None:
            count = float(torch.Size(self.range_shape).numel())
            return torch.full((1,), count, dtype=torch.float64, device=self.device)
        full = marks.expand(marks.shape[0], *self.range_shape)
        return full.flatten(1).sum(1, dtype=torch.float64)

    def normal(self, x: Tensor) -> Tensor:
        """Return A^H A x; overridden where there is a faster form."""
        return self.adjoint(self.forward(x))

    def galerkin(self, factor: int) -> LinearOperator:
        """Return A_s = A U_s exactly; overridden where that has a cheaper form."""
        return self if factor == 1 else GalerkinOperator(self, factor)

    def coarsen(self, factor: int) -> LinearOperator:
        """Return the sensor seen from a grid ``factor`` times coarser: A U_s, or what an override says it is."""
        return self.galerkin(factor)

    def commuted(self, factor: int) -> tuple[int, LinearOperator] | None:
        """Return t and B with A U_s ~ U_t B, so that what comes after A need see no grid finer than t; None by default."""
        return None

    def prox(
        self, y: Tensor, anchor: Tensor, weight: Tensor, *, tolerance: float = 1e-6, max_iterations: int = 50
    ) -> Tensor:
        """Return argmin_u |A u - y|^2 + weight |u - anchor|^2 by conjugate gradients from the anchor.

        Args:
            y: measurement, (B, *range_shape).
            anchor: image, (B, *domain_shape).
            weight: positive, shape (B,) or (1,).
            tolerance: relative residual at which to stop; closed forms ignore it.
            max_iterations: bound on the applications of A^H A; closed forms ignore it.
        """
        return self.prox_from_backprojection(
            self.adjoint(y), anchor, weight, tolerance=tolerance, max_iterations=max_iterations
        )

    def prox_from_backprojection(
        self,
        backprojection: Tensor,
        anchor: Tensor,
        weight: Tensor,
        *,
        tolerance: float = 1e-6,
        max_iterations: int = 50,
    ) -> Tensor:
        """Return :meth:`prox` given A^H y, so that one adjoint serves many weights; overridden by closed forms."""
        w = expand(weight, 3)
        result = cg(
            lambda u: self.normal(u) + w * u,
            backprojection + w * anchor,
            ndim=3,
            start=anchor,
            tolerance=tolerance,
            max_iterations=max_iterations,
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
        norm = self.norm()
        if bool((norm <= 0).any()):
            raise ValueError("the operator is zero for at least one sensor, so it cannot be scaled to unit norm")
        return ScaledOperator(self, 1 / norm)

    @property
    def H(self) -> LinearOperator:
        """The adjoint as an operator from measurements to images."""
        return AdjointOperator(self)

    def __matmul__(self, other: LinearOperator) -> ComposedOperator:
        return ComposedOperator(self, other)

    def __rmul__(self, scalar: complex) -> ScaledOperator:
        value = torch.as_tensor([scalar], device=self.device)
        return ScaledOperator(self, value.to(self.dtype if value.is_complex() else self.probe().real.dtype))


def _rows(module: nn.Module) -> int:
    """Return the batch length of the buffers of a module; operators within it say theirs themselves."""
    rows = [buffer.shape[0] for buffer in module.buffers(recurse=False)]
    rows += [part.batch if isinstance(part, LinearOperator) else _rows(part) for part in module.children()]
    return max(rows, default=1)


class GalerkinOperator(LinearOperator):
    """A_s = A U_s with the Kaiser-sinc U_s of :mod:`echoform.linalg.resample`: exact, at the cost of the fine grid."""

    def __init__(self, base: LinearOperator, factor: int) -> None:
        super().__init__(coarse_shape(base.domain_shape, factor), base.range_shape)
        self.base = base
        self.factor = factor

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the fine operator."""
        return self.base.dtype

    def forward(self, x: Tensor) -> Tensor:
        """Return A U x."""
        return self.base(upsample(x, self.factor))

    def adjoint(self, y: Tensor) -> Tensor:
        """Return U^H A^H y."""
        return downsample(self.base.adjoint(y), self.factor)

    def normal(self, x: Tensor) -> Tensor:
        """Return U^H (A^H A) U x, by the fine operator's own fast normal; c U^H U x on the coarse grid where A^H A = c I."""
        gain = self.base.isometry()
        if gain is not None:
            return expand(gain, 3) * resampling_gram(x, self.factor)
        return downsample(self.base.normal(upsample(x, self.factor)), self.factor)

    def support(self) -> Tensor | None:
        """Return the fine operator's support."""
        return self.base.support()


class ScaledOperator(LinearOperator):
    """c A with one factor per sensor, shape (batch,) or (1,)."""

    scale: Tensor

    def __init__(self, base: LinearOperator, scale: Tensor) -> None:
        super().__init__(base.domain_shape, base.range_shape)
        self.base = base
        self.register_buffer("scale", scale)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the operator that is scaled."""
        return self.base.dtype

    def forward(self, x: Tensor) -> Tensor:
        """Return c (A x)."""
        return expand(self.scale, len(self.range_shape)) * self.base(x)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return conj(c) (A^H y)."""
        return expand(self.scale.conj(), 3) * self.base.adjoint(y)

    def normal(self, x: Tensor) -> Tensor:
        """Return |c|^2 A^H A x."""
        return expand(self.scale.abs().square(), 3) * self.base.normal(x)

    def galerkin(self, factor: int) -> LinearOperator:
        """Return c A U_s with the base operator's own form."""
        return ScaledOperator(self.base.galerkin(factor), self.scale)

    def coarsen(self, factor: int) -> LinearOperator:
        """Return c A_s with the base operator's own coarse version."""
        return ScaledOperator(self.base.coarsen(factor), self.scale)

    def support(self) -> Tensor | None:
        """Return the base operator's support."""
        return self.base.support()

    def support_after(self, marks: Tensor | None) -> Tensor | None:
        """Return what the base operator leaves of the support."""
        return self.base.support_after(marks)

    def isometry(self) -> Tensor | None:
        """Return |c|^2 times the base operator's."""
        known = self.base.isometry()
        return None if known is None else self.scale.abs().square() * known

    def coisometry(self) -> Tensor | None:
        """Return |c|^2 times the base operator's."""
        known = self.base.coisometry()
        return None if known is None else self.scale.abs().square() * known

    def norm(self) -> Tensor:
        """Return |c| |A|."""
        return self.scale.abs() * self.base.norm()

    def spectrum(self) -> SpectralDensity:
        """Return the density of |c|^2 A^H A."""
        return self.base.spectrum().scaled(self.scale.abs().square())

    def prox_from_backprojection(
        self,
        backprojection: Tensor,
        anchor: Tensor,
        weight: Tensor,
        *,
        tolerance: float = 1e-6,
        max_iterations: int = 50,
    ) -> Tensor:
        """Return the base operator's prox with A^H y / |c|^2 and weight / |c|^2: the same minimiser; the anchor where c = 0.

        Where the base has no form of its own, conjugate gradients run on c A: of a sensor in SI units they would leave the range
        of single precision, and their gradients with it.
        """
        if type(self.base).prox_from_backprojection is LinearOperator.prox_from_backprojection:
            return super().prox_from_backprojection(
                backprojection, anchor, weight, tolerance=tolerance, max_iterations=max_iterations
            )
        power = self.scale.abs().square()
        safe = torch.where(power > 0, power, torch.ones_like(power))
        solution = self.base.prox_from_backprojection(
            backprojection / expand(safe, 3), anchor, weight / safe, tolerance=tolerance, max_iterations=max_iterations
        )
        return torch.where(expand(power > 0, 3), solution, anchor)


class AdjointOperator(LinearOperator):
    """A^H as an operator in its own right; its domain is the range of A and need not be an image."""

    def __init__(self, base: LinearOperator) -> None:
        super().__init__(base.range_shape, base.domain_shape)  # pyright: ignore[reportArgumentType]
        self.base = base

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the base operator."""
        return self.base.dtype

    def forward(self, x: Tensor) -> Tensor:
        """Return A^H x."""
        return self.base.adjoint(x)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return A y."""
        return self.base(y)

    @property
    def H(self) -> LinearOperator:
        """The base operator."""
        return self.base


class ComposedOperator(LinearOperator):
    """(A B) x = A (B x).

    Where A^H A = c I (a pure phase on the samples, a unitary mixing of channels) the normal, prox, norm and spectrum are those of
    B, fast forms included; where B B^H = c I (a crop) norm and spectrum are those of A. The coarse version is A times B's own.
    """

    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        if outer.domain_shape != inner.range_shape:
            raise ValueError(
                f"cannot compose: the outer operator takes {outer.domain_shape}, the inner one gives {inner.range_shape}"
            )
        super().__init__(inner.domain_shape, outer.range_shape)
        self.outer = outer
        self.inner = inner

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the outer operator."""
        return self.outer.dtype

    def forward(self, x: Tensor) -> Tensor:
        """Return A (B x)."""
        return self.outer(self.inner(x))

    def adjoint(self, y: Tensor) -> Tensor:
        """Return B^H (A^H y)."""
        return self.inner.adjoint(self.outer.adjoint(y))

    def normal(self, x: Tensor) -> Tensor:
        """Return c B^H B x where A^H A = c I, else B^H (A^H A) B x by the outer operator's own fast normal."""
        gain = self.outer.isometry()
        if gain is not None:
            return expand(gain, len(self.domain_shape)) * self.inner.normal(x)
        return self.inner.adjoint(self.outer.normal(self.inner(x)))

    def galerkin(self, factor: int) -> LinearOperator:
        """Return A (B U_s) with the inner operator's own form."""
        return self if factor == 1 else ComposedOperator(self.outer, self.inner.galerkin(factor))

    def coarsen(self, factor: int) -> LinearOperator:
        """Return A B_s with the inner operator's own coarse version; A_t B' where B U_s ~ U_t B' (``commuted``)."""
        if factor == 1:
            return self
        known = self.inner.commuted(factor)
        return self.outer @ self.inner.coarsen(factor) if known is None else self.outer.coarsen(known[0]) @ known[1]

    def support(self) -> Tensor | None:
        """Return what the outer operator leaves of the inner operator's support."""
        return self.outer.support_after(self.inner.support())

    def support_after(self, marks: Tensor | None) -> Tensor | None:
        """Return what both operators leave of the support, one after the other."""
        return self.outer.support_after(self.inner.support_after(marks))

    def isometry(self) -> Tensor | None:
        """Return the product of both factors' where both have one."""
        return _product(self.outer.isometry(), self.inner.isometry())

    def coisometry(self) -> Tensor | None:
        """Return the product of both factors' where both have one."""
        return _product(self.outer.coisometry(), self.inner.coisometry())

    @torch.no_grad()
    def norm(self) -> Tensor:
        """Return sqrt(c) |B| or sqrt(c) |A| where one factor is isometric, else the norm by power iteration."""
        outer, inner = self.outer.isometry(), self.inner.coisometry()
        if outer is not None:
            return outer.sqrt() * self.inner.norm()
        return super().norm() if inner is None else inner.to(self.device).sqrt() * self.outer.norm()

    @torch.no_grad()
    def spectrum(self) -> SpectralDensity:
        """Return the other factor's density where one is isometric, else the average of Lanczos densities of a few probes."""
        outer, inner = self.outer.isometry(), self.inner.coisometry()
        if outer is not None:
            return self.inner.spectrum().scaled(outer)
        size = torch.Size(self.domain_shape).numel()
        if inner is not None:
            share = torch.Size(self.outer.domain_shape).numel() / size
            return self.outer.spectrum().scaled(inner.to(self.device)).padded(share)
        rank = min(size, torch.Size(self.range_shape).numel())
        probes = PRODUCT_PROBES if rank < LARGE_RANK else 1
        found = [lanczos_density(self.normal, self.probe(i), ndim=3, steps=min(12, size)) for i in range(probes)]
        return mixture([(density, 1 / probes) for density in found])

    def prox_from_backprojection(
        self,
        backprojection: Tensor,
        anchor: Tensor,
        weight: Tensor,
        *,
        tolerance: float = 1e-6,
        max_iterations: int = 50,
    ) -> Tensor:
        """Return the inner operator's prox with A^H y / c and weight / c where A^H A = c I > 0, else conjugate gradients."""
        gain = self.outer.isometry()
        if gain is None or not bool((gain > 0).all()):
            return super().prox_from_backprojection(
                backprojection, anchor, weight, tolerance=tolerance, max_iterations=max_iterations
            )
        return self.inner.prox_from_backprojection(
            backprojection / expand(gain, 3), anchor, weight / gain, tolerance=tolerance, max_iterations=max_iterations
        )


def _product(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return None if a is None or b is None else a * b.to(a.device)
