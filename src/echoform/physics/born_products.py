"""The two sums of the Born operator and the matrix of its normal operator, in blocks of bounded memory.

    scattered   Y[q, m] = sum_j few[q, j] x_j many[m, j]
    gathered    z_j     = sum_qm conj(few[q, j] many[m, j]) Y[q, m]
    normal      N       = sum_f p_f (G_r^H |u|^2 G_r) o (G_t^H |v|^2 G_t)

Each is matrix products (GEMM) over a block of pixels at a time, of one side's fields with x few, or, where there are more images
than those fields, of x with all few[q] many[m]. What is made on the way, beyond arguments and result, stays below
``WORK_MEMORY_BYTES``. The bound holds without automatic differentiation, which must keep what it needs later.
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.linalg.resample import downsample

#: bound on the temporary memory of one product
WORK_MEMORY_BYTES = 32 * 2**20
#: time per entry of a matrix-vector product, in multiply-adds of a matrix product (measured on one core: 2 to 4)
MATRIX_ENTRY_COST = 4.0
#: time per entry of the fields in one pass, in the same unit (measured: 5 to 12)
FIELD_ENTRY_COST = 6.0


def scattered(x: Tensor, many: Tensor, few: Tensor) -> Tensor:
    """Return sum_j few[q, j] x_j many[m, j], (B, L, Q, M), of pixels (B, L, n) and fields (B, M, n), (B, Q, n)."""
    rows, images, sources = x.shape[0], x.shape[1], few.shape[1]
    crowd = images > many.shape[1]  # of images and fields the fewer are multiplied pixel by pixel
    total = None
    for part in blocks(x.shape[-1], rows * (min(images, many.shape[1]) * sources + many.shape[1]) * x.dtype.itemsize):
        if crowd:
            product = x[..., part] @ _pairs(many[..., part], few[..., part]).mT
        else:
            product = (x[:, :, None, part] * few[:, None, :, part]).flatten(1, 2) @ many[..., part].mT
        total = product if total is None else total + product
    assert total is not None
    return total.reshape(rows, images, sources, -1)


def gathered(y: Tensor, many: Tensor, few: Tensor) -> Tensor:
    """Return sum_qm conj(few[q, j] many[m, j]) y[q, m], (B, L, n), of samples (B, L, Q, M), adjoint of :func:`scattered`."""
    rows, images, sources = y.shape[:3]
    crowd = images > many.shape[1]
    samples, parts = y.conj(), []  # conjugated are samples and image, not the many fields
    share = rows * (2 * min(images, many.shape[1]) * sources + many.shape[1] + sources) * y.dtype.itemsize
    for part in blocks(many.shape[-1], share):
        if crowd:
            image = samples.flatten(2) @ _pairs(many[..., part], few[..., part])
        else:
            fields = (samples.flatten(1, 2) @ many[..., part]).unflatten(1, (images, sources))
            image = (fields * few[:, None, :, part]).sum(2)
        parts.append(image)
    return torch.cat(parts, -1).conj()


def _pairs(many: Tensor, few: Tensor) -> Tensor:
    """Return the rows few[q, j] many[m, j], (B, Q M, n)."""
    return (few[:, :, None] * many[:, None]).flatten(1, 2)


def factors(pairs: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return u, (..., R, 1), and v, (..., T, 1), of weights m[r, t] = u[r] v[t], (..., R, T); None where m is no product."""
    columns = pairs.shape[-1]
    strongest = pairs.abs().flatten(-2).argmax(-1)[..., None, None]
    u = pairs.gather(-1, (strongest % columns).expand(*pairs.shape[:-1], 1))
    v = pairs.gather(-2, (strongest // columns).expand(*pairs.shape[:-2], 1, columns))
    peak = u.gather(-2, strongest // columns)
    v = v / torch.where(peak == 0, 1, peak)
    near = 8 * torch.finfo(pairs.dtype).eps * peak.abs()
    return (u, v.mT) if bool(((pairs - u * v).abs() <= near).all()) else None


def hadamard_normal(
    receive: Tensor, transmit: Tensor, power: Tensor, receivers: Tensor, transmitters: Tensor
) -> Tensor:
    """Return sum_f power_f (G_r^H |u|^2 G_r) o (G_t^H |v|^2 G_t), (B, n, n), u and v weights of the antennas.

    Args:
        receive: G_r, (B, F, R, n).
        transmit: G_t, (B, F, T, n).
        power: (B, F).
        receivers: u, (B, F or 1, R, 1), 0/1 or complex.
        transmitters: v, (B, F or 1, T, 1), 0/1 or complex.
    """
    rows, pixels = max(receive.shape[0], transmit.shape[0], power.shape[0], receivers.shape[0]), receive.shape[-1]
    matrix = receive.new_zeros(rows, pixels, pixels)
    for f in range(receive.shape[1]):
        heard = receivers[:, f % receivers.shape[1]] * receive[:, f]
        lit = transmitters[:, f % transmitters.shape[1]] * transmit[:, f]
        for part in blocks(pixels, 4 * rows * pixels * receive.dtype.itemsize):
            product = (heard.mH @ heard[..., part]) * (lit.mH @ lit[..., part])
            matrix[..., part] += power[:, f, None, None] * product
    return matrix


def coarse_normal(matrix: Tensor, shape: tuple[int, int, int], factor: int) -> Tensor:
    """Return U^T N U of N (B, n, n) on pixels of ``shape`` (D, H, W), (B, n / s^2, n / s^2)."""
    if factor == 1:
        return matrix

    def along_rows(m: Tensor) -> Tensor:
        """Return U^T of each column, real and imaginary parts apart: twice as fast as complex images of this many rows."""
        found = []
        for part in blocks(m.shape[-2], 2 * m.shape[0] * m.shape[-1] * m.dtype.itemsize):
            images = m[..., part, :].unflatten(-1, shape)
            pieces = (downsample(piece.contiguous(), factor) for piece in (images.real, images.imag))
            found.append(torch.complex(*pieces).flatten(-3))
        return torch.cat(found, -2)

    return along_rows(along_rows(matrix).mT).mT.contiguous()


def held_normal(x: Tensor, matrix: Tensor | None, rows: Tensor | None) -> Tensor:
    """Return N x, or C^H C x, (..., B, n), of the one that is held: N, (B or 1, n, n), else C, (B or 1, rows, n)."""
    held = rows if matrix is None else matrix
    assert held is not None
    pixels = x.reshape(-1, len(held), x.shape[-1]).transpose(0, 1)
    product = pixels @ held.mT
    if matrix is None:
        product = (product.conj() @ held).conj()
    return product.transpose(0, 1).reshape(x.shape)


def blocks(count: int, bytes_each: int) -> list[slice]:
    """Return slices of ``count`` entries, as few as the bound on memory allows."""
    length = max(1, WORK_MEMORY_BYTES // bytes_each)
    return [slice(first, min(first + length, count)) for first in range(0, count, length)]
