"""Sensors that see each channel of the image by itself: polarisations (HH, HV, VV), echoes, bands.

    y_c = A_c x_c,     image (C_1 + C_2 + ..., H, W),   samples (M_1 + M_2 + ..., ...)

The channels lie one after the other along the first axis of image and samples. All that is known of the A_c (fast normals,
closed prox and spectrum, coarse versions) is kept, since A^H A is block-diagonal too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from echoform.linalg.cg import USUAL, Stopping
from echoform.linalg.spectrum import SpectralDensity, mixture
from echoform.physics.operator import DerivedOperator, LinearOperator


class ChannelwiseOperator(DerivedOperator):
    """One operator A for each of C channels: y_c = A x_c, at C times the cost of A and the memory of one.

    Args:
        base: A, with domain (k, H, W) and range (M, ...).
        channels: C; the domain is (C k, H, W), the range (C M, ...).
    """

    def __init__(self, base: LinearOperator, channels: int) -> None:
        first, height, width = base.domain_shape
        super().__init__(
            base, (channels * first, height, width), (channels * base.range_shape[0], *base.range_shape[1:])
        )
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Return A x_c for every channel."""
        return self._join(self.base(self._separate(x, 3)), len(self.range_shape))

    def adjoint(self, y: Tensor) -> Tensor:
        """Return A^H y_c for every channel."""
        return self._join(self.base.adjoint(self._separate(y, len(self.range_shape))), 3)

    def normal(self, x: Tensor) -> Tensor:
        """Return A^H A x_c for every channel."""
        return self._join(self.base.normal(self._separate(x, 3)), 3)

    def galerkin(self, factor: int) -> LinearOperator:
        """Return A U_s for every channel."""
        return self if factor == 1 else ChannelwiseOperator(self.base.galerkin(factor), self.channels)

    def coarsen(self, factor: int) -> LinearOperator:
        """Return the channels' own coarse version."""
        return self if factor == 1 else ChannelwiseOperator(self.base.coarsen(factor), self.channels)

    def support(self) -> Tensor | None:
        """Return the support of A, once per channel."""
        marks = self.base.support()
        if marks is None or marks.shape[1] == 1:
            return marks
        return marks.repeat(1, self.channels, *[1] * (marks.ndim - 2))

    def isometry(self) -> Tensor | None:
        """Return that of A."""
        return self.base.isometry()

    def coisometry(self) -> Tensor | None:
        """Return that of A."""
        return self.base.coisometry()

    def norm(self) -> Tensor:
        """Return |A|."""
        return self.base.norm()

    def spectrum(self) -> SpectralDensity:
        """Return the density of A^H A, which repeats."""
        return self.base.spectrum()

    def prox_from_backprojection(
        self, backprojection: Tensor, anchor: Tensor, weight: Tensor, stopping: Stopping = USUAL
    ) -> Tensor:
        """Return the prox of A for every channel."""
        solution = self.base.prox_from_backprojection(
            self._separate(backprojection, 3), self._separate(anchor, 3), weight, stopping
        )
        return self._join(solution, 3)

    def _separate(self, value: Tensor, ndim: int) -> Tensor:
        """(..., B, C k, *rest) -> (..., C, B, k, *rest), so that channels ride along as a leading axis."""
        return value.unflatten(-ndim, (self.channels, -1)).movedim(-ndim - 1, -ndim - 2)

    @staticmethod
    def _join(value: Tensor, ndim: int) -> Tensor:
        return value.movedim(-ndim - 2, -ndim - 1).flatten(-ndim - 1, -ndim)


class BlockDiagonalOperator(LinearOperator):
    """A different operator A_c for each group of channels: y_c = A_c x_c.

    Args:
        parts: A_1, A_2, ...; domains agree in (H, W), ranges in all but the first axis.

    Raises:
        ValueError: they do not.
    """

    def __init__(self, parts: Sequence[LinearOperator]) -> None:
        if len({p.domain_shape[1:] for p in parts}) != 1 or len({p.range_shape[1:] for p in parts}) != 1:
            shapes = [(p.domain_shape, p.range_shape) for p in parts]
            raise ValueError(f"channels must share rows, columns and all sample axes but the first, got {shapes}")
        self.widths = [p.domain_shape[0] for p in parts]
        self.lengths = [p.range_shape[0] for p in parts]
        domain = (sum(self.widths), *parts[0].domain_shape[1:])
        super().__init__(domain, (sum(self.lengths), *parts[0].range_shape[1:]))
        self.parts = nn.ModuleList(parts)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the first part."""
        return self.operators[0].dtype

    @property
    def operators(self) -> list[LinearOperator]:
        """The parts A_c."""
        return list(self.parts)  # pyright: ignore[reportReturnType]

    def forward(self, x: Tensor) -> Tensor:
        """Return A_c x_c for every part."""
        pieces = x.split(self.widths, -3)
        return torch.cat([p(u) for p, u in zip(self.operators, pieces, strict=True)], -len(self.range_shape))

    def adjoint(self, y: Tensor) -> Tensor:
        """Return A_c^H y_c for every part."""
        pieces = y.split(self.lengths, -len(self.range_shape))
        return torch.cat([p.adjoint(v) for p, v in zip(self.operators, pieces, strict=True)], -3)

    def normal(self, x: Tensor) -> Tensor:
        """Return A_c^H A_c x_c for every part."""
        return torch.cat([p.normal(u) for p, u in zip(self.operators, x.split(self.widths, -3), strict=True)], -3)

    def galerkin(self, factor: int) -> LinearOperator:
        """Return A_c U_s for every part."""
        return self if factor == 1 else BlockDiagonalOperator([p.galerkin(factor) for p in self.operators])

    def coarsen(self, factor: int) -> LinearOperator:
        """Return the parts' own coarse versions."""
        return self if factor == 1 else BlockDiagonalOperator([p.coarsen(factor) for p in self.operators])

    def frequency_axes(self, *, of_input: bool = False) -> bool:
        """Return whether all parts' axes run along spatial frequencies."""
        return all(p.frequency_axes(of_input=of_input) for p in self.operators)

    def support(self) -> Tensor | None:
        """Return the parts' supports one after the other, or None when no part has one."""
        marks = [p.support() for p in self.operators]
        rows = [m.shape[0] for m in marks if m is not None]
        if not rows:
            return None
        whole = torch.ones((), dtype=self.dtype.to_real(), device=self.device)
        full = [
            (whole if m is None else m).expand(max(rows), *p.range_shape)
            for p, m in zip(self.operators, marks, strict=True)
        ]
        return torch.cat(full, 1)

    def norm(self) -> Tensor:
        """Return the largest norm of the parts."""
        return torch.stack(torch.broadcast_tensors(*[p.norm() for p in self.operators])).amax(0)

    def spectrum(self) -> SpectralDensity:
        """Return the parts' densities, each with its share of the channels."""
        total = sum(self.widths)
        return mixture([(p.spectrum(), c / total) for p, c in zip(self.operators, self.widths, strict=True)])

    def prox_from_backprojection(
        self, backprojection: Tensor, anchor: Tensor, weight: Tensor, stopping: Stopping = USUAL
    ) -> Tensor:
        """Return the prox of every part."""
        pieces = zip(self.operators, backprojection.split(self.widths, -3), anchor.split(self.widths, -3), strict=True)
        solved = [p.prox_from_backprojection(b, a, weight, stopping) for p, b, a in pieces]
        return torch.cat(solved, -3)
