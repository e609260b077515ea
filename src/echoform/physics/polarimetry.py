"""Polarimetric radar: the channels of the image are the elements of the scattering matrix, mixed by the antennas' crosstalk.

    O = R S T,    S = [S_hh S_hv; S_vh S_vv] (first index received, second transmitted)

Written row by row, vec(O) = (R (x) T^T) vec(S), channels in the order HH, HV, VH, VV. Each channel is measured by its own
operator (:mod:`echoform.physics.channelwise`); the mixing comes after them, or, where all are alike, before: (M (x) I)(I (x) A) =
(I (x) A)(M (x) I), whose normal keeps the fast form of A, whose coarse versions are those of A, and whose norm is |M| |A|.
(Behind a unitary mixing the normal is that of the channels as it is.)

Source: van Zyl (1990), IEEE Trans. Geosci. Remote Sens. 28(3), equation 3 (the distortion model).
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.linalg.spectrum import SpectralDensity
from echoform.physics.axis_matrix import AxisMatrix
from echoform.physics.channelwise import ChannelwiseOperator
from echoform.physics.compositions import ComposedOperator
from echoform.physics.operator import LinearOperator


def distortion_matrix(receive: Tensor, transmit: Tensor) -> Tensor:
    """Return R (x) T^T, (B, 4, 4), which mixes HH, HV, VH, VV.

    Args:
        receive: R, (B, 2, 2), complex: channel imbalance on the diagonal, crosstalk off it.
        transmit: T, (B, 2, 2), complex.
    """
    return torch.einsum("bij,blk->bikjl", receive, transmit).reshape(-1, 4, 4)


class CrosstalkOperator(ComposedOperator):
    """M (x) A = (I (x) A)(M (x) I): singular values are all products of those of M and of A.

    Args:
        channels: I (x) A.
        mixing: M (x) I along the channels of the image.

    Raises:
        ValueError: the mixing is along another axis, or within what one A sees.
    """

    def __init__(self, channels: ChannelwiseOperator, mixing: AxisMatrix) -> None:
        seen = channels.base.domain_shape[0]
        if mixing.axis != 0 or not torch.equal(mixing.matrix, _repeated(mixing.matrix[:, ::seen, ::seen], seen)):
            raise ValueError(
                f"crosstalk mixes whole channels, got a matrix {tuple(mixing.matrix.shape)} along axis {mixing.axis}: it must be "
                f"M (x) I along axis 0, I of size {seen}"
            )
        super().__init__(channels, mixing)

    @torch.no_grad()
    def norm(self) -> Tensor:
        """Return |M| |A|."""
        return self.inner.norm() * self.outer.norm()

    @torch.no_grad()
    def spectrum(self) -> SpectralDensity:
        """Return the products of the eigenvalues of M^H M with the density of A^H A."""
        parts = self.inner.spectrum(), self.outer.spectrum()
        nodes, weights = (
            torch.einsum("bj,bk->bjk", *(getattr(part, name).expand(self.batch, -1) for part in parts)).flatten(1)
            for name in ("nodes", "weights")
        )
        return SpectralDensity(nodes, weights)


def apply_crosstalk(operator: LinearOperator, matrix: Tensor) -> ComposedOperator:
    """Return the sensor whose channels are mixed, y_m = sum_n M[m, n] (A x)_n.

    Args:
        operator: A; the first axis of its samples holds n channels, each of the same number of entries.
        matrix: M, (B or 1, m, n), complex.

    Raises:
        ValueError: the samples cannot be divided into n channels.
    """
    first = operator.range_shape[0]
    if matrix.ndim != 3 or first % matrix.shape[2]:
        raise ValueError(f"a matrix {tuple(matrix.shape)} cannot mix the channels of samples {operator.range_shape}")
    mixed = matrix.to(operator.device, operator.dtype)
    after = AxisMatrix(_repeated(mixed, first // matrix.shape[2]), operator.range_shape, 0)
    unitary = after.isometry() is not None
    if isinstance(operator, ChannelwiseOperator) and operator.channels == matrix.shape[2] and not unitary:
        before = AxisMatrix(_repeated(mixed, operator.base.domain_shape[0]), operator.domain_shape, 0)
        return CrosstalkOperator(ChannelwiseOperator(operator.base, matrix.shape[1]), before)
    return after @ operator


def _repeated(matrix: Tensor, times: int) -> Tensor:
    """Return M (x) I of this size for each sensor."""
    each = torch.eye(times, dtype=matrix.dtype, device=matrix.device)
    return torch.einsum("bmn,cd->bmcnd", matrix, each).flatten(3).flatten(1, 2)
