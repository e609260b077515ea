"""Operators made of operators: A U_s (a coarse grid), c A, A^H and A B.

Each keeps what is known of its parts: fast normals, closed proximal steps, norms, spectra and coarse versions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.linalg.cg import USUAL, Stopping
from echoform.linalg.inner import expand
from echoform.linalg.resample import downsample, resampling_gram, upsample
from echoform.linalg.spectrum import SpectralDensity, lanczos_density, mixture
from echoform.physics.operator import DerivedOperator, LinearOperator, coarse_shape, with_parts

#: probes whose densities a product averages where its spectrum has no closed form
PRODUCT_PROBES = 4
#: from this rank on one probe is enough: the error of a mean falls as one over its square root
LARGE_RANK = 4096


class GalerkinOperator(DerivedOperator):
    """A_s = A U_s with the Kaiser-sinc U_s of :mod:`echoform.linalg.resample`: exact, at the cost of the fine grid."""

    def __init__(self, base: LinearOperator, factor: int) -> None:
        super().__init__(base, coarse_shape(base.domain_shape, factor), base.range_shape)
        self.factor = factor

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


class ScaledOperator(DerivedOperator):
    """c A with one factor per sensor, shape (batch,) or (1,)."""

    scale: Tensor

    def __init__(self, base: LinearOperator, scale: Tensor) -> None:
        super().__init__(base, base.domain_shape, base.range_shape)
        self.register_buffer("scale", scale)

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
        self, backprojection: Tensor, anchor: Tensor, weight: Tensor, stopping: Stopping = USUAL
    ) -> Tensor:
        """Return the base operator's prox with A^H y / |c|^2 and weight / |c|^2: the same minimiser; the anchor where c = 0.

        Where the base has no form of its own, conjugate gradients run on c A: of a sensor in SI units they would leave the range
        of single precision, and their gradients with it.
        """
        if type(self.base).prox_from_backprojection is LinearOperator.prox_from_backprojection:
            return super().prox_from_backprojection(backprojection, anchor, weight, stopping)
        power = self.scale.abs().square()
        safe = torch.where(power > 0, power, torch.ones_like(power))
        solution = self.base.prox_from_backprojection(backprojection / expand(safe, 3), anchor, weight / safe, stopping)
        return torch.where(expand(power > 0, 3), solution, anchor)


class AdjointOperator(DerivedOperator):
    """A^H as an operator in its own right; its domain is the range of A and need not be an image."""

    def __init__(self, base: LinearOperator) -> None:
        super().__init__(base, base.range_shape, base.domain_shape)  # pyright: ignore[reportArgumentType]

    def forward(self, x: Tensor) -> Tensor:
        """Return A^H x."""
        return self.base.adjoint(x)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return A y."""
        return self.base(y)

    def frequency_axes(self, *, of_input: bool = False) -> bool:
        """Return False: the axes are those of an image."""
        return False

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

    def prepared(self) -> LinearOperator:
        """Return A B with that factor prepared whose own normal is used: B where A^H A = c I, else A."""
        if self.outer.isometry() is None:
            return with_parts(self, {"outer": self.outer.prepared()})
        return with_parts(self, {"inner": self.inner.prepared()})

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

    def frequency_axes(self, *, of_input: bool = False) -> bool:
        """Return what the outer operator makes of the inner operator's axes."""
        return self.outer.frequency_axes(of_input=self.inner.frequency_axes(of_input=of_input))

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
        self, backprojection: Tensor, anchor: Tensor, weight: Tensor, stopping: Stopping = USUAL
    ) -> Tensor:
        """Return the inner operator's prox with A^H y / c and weight / c where A^H A = c I, the anchor where c = 0.

        Conjugate gradients where there is no such c.
        """
        gain = self.outer.isometry()
        if gain is None:
            return super().prox_from_backprojection(backprojection, anchor, weight, stopping)
        seen = gain > 0
        gain = torch.where(seen, gain, torch.ones_like(gain))
        found = self.inner.prox_from_backprojection(backprojection / expand(gain, 3), anchor, weight / gain, stopping)
        return torch.where(expand(seen, 3), found, anchor)


def _product(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return None if a is None or b is None else a * b.to(a.device)
