"""Several sensors of one scene at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from echoform.physics.operator import LinearOperator


class StackedOperator(LinearOperator):
    """Several sensors of one scene: y = [A_1 x; A_2 x; ...], each flattened and laid end to end."""

    def __init__(self, parts: Sequence[LinearOperator]) -> None:
        domains = {p.domain_shape for p in parts}
        if len(domains) != 1:
            raise ValueError(f"stacked operators must share one domain, got {sorted(domains)}")
        self.lengths = [torch.Size(p.range_shape).numel() for p in parts]
        super().__init__(parts[0].domain_shape, (sum(self.lengths),))
        self.parts = nn.ModuleList(parts)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the first part."""
        return self._operators()[0].dtype

    def _operators(self) -> list[LinearOperator]:
        return list(self.parts)  # pyright: ignore[reportReturnType]

    def forward(self, x: Tensor) -> Tensor:
        """Return the flattened measurements, (..., B, M)."""
        return torch.cat([p(x).flatten(-len(p.range_shape)) for p in self._operators()], -1)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return sum_i A_i^H y_i."""
        pieces = [
            p.adjoint(piece.unflatten(-1, p.range_shape))
            for p, piece in zip(self._operators(), y.split(self.lengths, -1), strict=True)
        ]
        return torch.stack(pieces).sum(0)

    def normal(self, x: Tensor) -> Tensor:
        """Return sum_i A_i^H A_i x."""
        return torch.stack([p.normal(x) for p in self._operators()]).sum(0)

    def galerkin(self, factor: int) -> LinearOperator:
        """Return the stack of the parts' own exact coarse versions."""
        return StackedOperator([p.galerkin(factor) for p in self._operators()])

    def coarsen(self, factor: int) -> LinearOperator:
        """Return the stack of the parts' own coarse versions."""
        return StackedOperator([p.coarsen(factor) for p in self._operators()])

    def support(self) -> Tensor | None:
        """Return the parts' supports laid end to end, or None when no part has one."""
        marks = [p.support() for p in self._operators()]
        if all(m is None for m in marks):
            return None
        rows = max(m.shape[0] for m in marks if m is not None)
        flat = []
        for p, m in zip(self._operators(), marks, strict=True):
            full = torch.ones(1, device=self.device) if m is None else m
            flat.append(full.expand(rows, *p.range_shape).flatten(1))
        return torch.cat(flat, 1)


def stack(parts: Sequence[LinearOperator]) -> StackedOperator:
    """Return the sensor that measures with all ``parts`` at once; raises ValueError when their domains differ."""
    return StackedOperator(parts)
