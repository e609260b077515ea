"""Several sensors of one scene at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from echoform.physics.operator import LinearOperator


class StackedOperator(LinearOperator):
    """Several sensors of one scene: y = [A_1 x; A_2 x; ...], A^H A = sum_i A_i^H A_i.

    Args:
        parts: A_i, of one domain.
        axis: of the samples, the batch axis left out, along which they are laid end to end, their other axes being alike; None:
            each is flattened first.

    Raises:
        ValueError: the domains differ, or the samples' other axes.
    """

    def __init__(self, parts: Sequence[LinearOperator], axis: int | None = None) -> None:
        domains = {p.domain_shape for p in parts}
        if len(domains) != 1:
            raise ValueError(f"stacked operators must share one domain, got {sorted(domains)}")
        shapes = [(torch.Size(p.range_shape).numel(),) if axis is None else p.range_shape for p in parts]
        place = axis or 0
        others = {(*shape[:place], *shape[place + 1 :]) for shape in shapes}
        if len(others) != 1 or not 0 <= place < len(shapes[0]):
            raise ValueError(f"samples laid end to end along axis {axis} must be alike along the others, got {shapes}")
        self.axis, self.lengths = axis, [shape[place] for shape in shapes]
        super().__init__(parts[0].domain_shape, (*shapes[0][:place], sum(self.lengths), *shapes[0][place + 1 :]))
        self.parts = nn.ModuleList(parts)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the first part."""
        return self.operators[0].dtype

    @property
    def operators(self) -> list[LinearOperator]:
        """A_1, A_2, ..."""
        return list(self.parts)  # pyright: ignore[reportReturnType]

    def forward(self, x: Tensor) -> Tensor:
        """Return all samples, (..., B, M) where they are flattened."""
        return self._together([p(x) for p in self.operators])

    def adjoint(self, y: Tensor) -> Tensor:
        """Return sum_i A_i^H y_i."""
        return torch.stack([p.adjoint(piece) for p, piece in zip(self.operators, self.pieces(y), strict=True)]).sum(0)

    def normal(self, x: Tensor) -> Tensor:
        """Return sum_i A_i^H A_i x."""
        return torch.stack([p.normal(x) for p in self.operators]).sum(0)

    def pieces(self, y: Tensor) -> list[Tensor]:
        """Return y_1, y_2, ..., each in the shape of its own sensor's samples."""
        lead = y.shape[: y.ndim - len(self.range_shape)]
        split = y.split(self.lengths, len(lead) + (self.axis or 0))
        return [piece.reshape(*lead, *p.range_shape) for p, piece in zip(self.operators, split, strict=True)]

    def galerkin(self, factor: int) -> LinearOperator:
        """Return the stack of the parts' own exact coarse versions."""
        return StackedOperator([p.galerkin(factor) for p in self.operators], self.axis)

    def coarsen(self, factor: int) -> LinearOperator:
        """Return the stack of the parts' own coarse versions."""
        return StackedOperator([p.coarsen(factor) for p in self.operators], self.axis)

    def support(self) -> Tensor | None:
        """Return the parts' supports laid end to end, or None when no part has one."""
        marks = [p.support() for p in self.operators]
        if all(m is None for m in marks):
            return None
        rows = max(m.shape[0] for m in marks if m is not None)
        known = [torch.ones(1, device=self.device) if m is None else m for m in marks]
        return self._together([m.expand(rows, *p.range_shape) for m, p in zip(known, self.operators, strict=True)])

    def _together(self, pieces: list[Tensor]) -> Tensor:
        """The inverse of :meth:`pieces`."""
        if self.axis is None:
            pieces = [y.flatten(-len(p.range_shape)) for p, y in zip(self.operators, pieces, strict=True)]
        return torch.cat(pieces, (self.axis or 0) - len(self.range_shape))


def stack(parts: Sequence[LinearOperator]) -> StackedOperator:
    """Return the sensor that measures with all ``parts`` at once; raises ValueError when their domains differ."""
    return StackedOperator(parts)
