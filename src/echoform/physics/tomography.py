"""X-ray tomography of a section: line integrals along the rays of a parallel or a fan beam.

    y[phi, d] = |dp / dv| sum_k x(p_{phi d}(v_k)),      v_k one pixel apart,  x(p) bilinear between pixels, zero outside

(:mod:`echoform.scene.beams` for the ray p): the unit of y is that of the image times a pixel. Steps, interpolation and, for a
parallel beam, every weight are those of deepinv's Tomography; its fan beam lacks the factor |dp / dv|.

The sum is a sparse matrix with 2.2 entries per pixel and angle (parallel beam, detectors one pixel apart), held with its
transpose: 35 bytes per pixel and angle in single precision, 118 MB for 256 x 256 pixels and 51 angles. Adjoint: its transpose,
exactly. The coarse version is exactly Galerkin: at s = 4 and more A U_s as a matrix of its own, which has 0.6 times as many
entries at s = 4 and is kept for the next scene; at s = 2, where it would have 1.3 times as many, U_s and then A.

Source: Joseph (1982), IEEE Trans. Med. Imaging 1(3), for sums over interpolated samples along a ray.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array, eye_array, kron, vstack
from torch import Tensor, nn

from echoform.linalg.resample import upsampling_matrix
from echoform.linalg.sparse import SparseMatrix
from echoform.physics.compositions import GalerkinOperator
from echoform.physics.operator import LinearOperator
from echoform.scene.beams import Beam, ParallelBeam, diagonal_px, uniform_angles_rad

#: most samples along all rays: at 1.1 entries each (never more than 4) 2.4 GB in single precision
MAX_SAMPLES = 2**27
#: coarse factor from which A U_s as a matrix has fewer entries than A
MATRIX_FROM = 4
#: samples worked on at a time while the matrix is made
BLOCK = 2**20


class Tomography(LinearOperator):
    """Line integrals through C sections alike, y of shape (C, angles, detectors).

    Args:
        beam: rays; angles of its own for each sensor.
        domain_shape: (C, H, W).
        dtype: of the images, real or complex.

    Raises:
        ValueError: the rays take more than 2^27 samples.
    """

    def __init__(self, beam: Beam, domain_shape: tuple[int, int, int], *, dtype: torch.dtype = torch.float32) -> None:
        channels, height, width = domain_shape
        sensors, angles = beam.angles_rad.shape
        samples = sensors * angles * beam.detectors * _steps(beam, (height, width))
        if samples > MAX_SAMPLES:
            raise ValueError(
                f"{sensors} x {angles} angles of {beam.detectors} detectors through {height} x {width} pixels take {samples} "
                f"samples, more than {MAX_SAMPLES}: use fewer angles or detectors"
            )
        super().__init__(domain_shape, (channels, angles, beam.detectors))
        self.beam = beam
        self._dtype = dtype
        self._coarse: dict[int, nn.ModuleList] = {}
        rows = beam.angles_rad.tolist()
        self.matrices = nn.ModuleList(
            SparseMatrix(projection_matrix(beam, row, (height, width)), dtype.to_real()) for row in rows
        )

    @property
    def dtype(self) -> torch.dtype:
        """The dtype given at construction."""
        return self._dtype

    @property
    def batch(self) -> int:
        """Number of sets of angles."""
        return len(self.matrices)

    def forward(self, x: Tensor) -> Tensor:
        """Return the line integrals, (..., B, C, angles, detectors)."""
        return self._product(x.flatten(-2), transposed=False).unflatten(-1, self.range_shape[1:])

    def adjoint(self, y: Tensor) -> Tensor:
        """Return the sum of what every ray brings back to each pixel, (..., B, C, H, W)."""
        return self._product(y.flatten(-2), transposed=True).unflatten(-1, self.domain_shape[1:])

    def galerkin(self, factor: int) -> LinearOperator:
        """Return A U_s exactly."""
        return CoarseTomography(self, factor) if factor >= MATRIX_FROM else super().galerkin(factor)

    def sparse(self) -> list[SparseMatrix]:
        """Return the matrix of each sensor."""
        return [m for m in self.matrices if isinstance(m, SparseMatrix)]

    def coarse_matrices(self, factor: int) -> nn.ModuleList:
        """Return A U_s of each sensor as a matrix, worked out once: first along columns of the image, then along rows.

        Raises:
            ValueError: a side is no multiple of s.
        """
        if factor not in self._coarse:
            rows, columns = (csr_array(upsampling_matrix(n, factor).numpy()) for n in self.domain_shape[1:])
            down = csr_array(kron(rows, eye_array(self.domain_shape[2])))
            right = csr_array(kron(eye_array(self.domain_shape[1] // factor), columns))
            made = (csr_array(m.to_scipy() @ down @ right) for m in self.sparse())
            self._coarse[factor] = nn.ModuleList(SparseMatrix(m, self.dtype.to_real()) for m in made)
        return self._coarse[factor].to(self.device)

    def _product(self, vectors: Tensor, *, transposed: bool) -> Tensor:
        self.sensor_indices(vectors.shape[-3])  # raises unless there is one sensor per sample
        return _products(self.sparse(), vectors, transposed=transposed)


class CoarseTomography(GalerkinOperator):
    """A U_s, each sensor's a sparse matrix of its own.

    Args:
        base: A.
        factor: s.

    Raises:
        ValueError: a side is no multiple of s.
    """

    def __init__(self, base: Tomography, factor: int) -> None:
        super().__init__(base, factor)
        self.matrices = base.coarse_matrices(factor)

    @property
    def batch(self) -> int:
        """Number of sets of angles."""
        return self.base.batch

    def forward(self, x: Tensor) -> Tensor:
        """Return the line integrals of the image that U_s makes."""
        return self._product(x.flatten(-2), transposed=False).unflatten(-1, self.range_shape[1:])

    def adjoint(self, y: Tensor) -> Tensor:
        """Return U_s^T A^T y."""
        return self._product(y.flatten(-2), transposed=True).unflatten(-1, self.domain_shape[1:])

    def normal(self, x: Tensor) -> Tensor:
        """Return both products, one after the other."""
        return self.adjoint(self.forward(x))

    def _product(self, vectors: Tensor, *, transposed: bool) -> Tensor:
        self.sensor_indices(vectors.shape[-3])
        matrices = [m for m in self.matrices if isinstance(m, SparseMatrix)]
        return _products(matrices, vectors, transposed=transposed)


def _products(matrices: list[SparseMatrix], vectors: Tensor, *, transposed: bool) -> Tensor:
    """Apply each sensor's matrix to its samples, or the only one to all: vectors (..., B, C, n)."""
    if len(matrices) == 1:
        return matrices[0].adjoint(vectors) if transposed else matrices[0](vectors)
    pieces = zip(matrices, vectors.unbind(-3), strict=True)
    return torch.stack([m.adjoint(v) if transposed else m(v) for m, v in pieces], -3)


def parallel_beam_like_deepinv(
    angles: int, side: int, *, channels: int = 1, dtype: torch.dtype = torch.float32
) -> Tomography:
    """Return the parallel beam of deepinv's ``Tomography(angles, img_width=side, circle=False, normalize=False)``.

    The rays cover the image's diagonal; where it has an even number of pixels the axis stands between pixels. Its samples are
    (detectors, angles), ours (angles, detectors).
    """
    detectors = diagonal_px((side, side))
    offset = 0.0 if detectors % 2 else -0.5
    beam = ParallelBeam(angles_rad=uniform_angles_rad(angles), detectors=detectors, axis_offset_px=(offset, offset))
    return Tomography(beam, (channels, side, side), dtype=dtype)


def projection_matrix(beam: Beam, angles_rad: list[float], shape: tuple[int, int]) -> csr_array:
    """Return the line integrals of one sensor as a matrix, (angles * detectors, H * W), float64."""
    steps = _steps(beam, shape)
    along = torch.arange(steps, dtype=torch.float64) - (steps - 1) / 2
    lateral, path, v = beam.lateral_px(along).numpy(), beam.path_per_step().numpy(), along.numpy()
    row, column = (n // 2 + offset for n, offset in zip(shape, beam.axis_offset_px, strict=True))
    parts = []
    for angle in angles_rad:
        c, s = math.cos(angle), math.sin(angle)
        for start in range(0, beam.detectors, max(1, BLOCK // steps)):
            some = slice(start, start + max(1, BLOCK // steps))
            places = row - s * lateral[some] + c * v, column + c * lateral[some] + s * v
            parts.append(_ray_sums(*places, path[some], shape))
    return csr_array(vstack(parts))


def _ray_sums(row: np.ndarray, column: np.ndarray, path: np.ndarray, shape: tuple[int, int]) -> csr_array:
    """Sum over k of the bilinear interpolation at the points (row, column)[d, k], times path[d]."""
    height, width = shape
    near = (row > -1) & (row < height) & (column > -1) & (column < width)
    ray = np.nonzero(near)[0]
    row, column = row[near], column[near]
    top, left = np.floor(row).astype(np.int64), np.floor(column).astype(np.int64)
    down, right = row - top, column - left
    found = []
    for i, share in ((top, 1 - down), (top + 1, down)):
        for j, weight in ((left, share * (1 - right)), (left + 1, share * right)):
            inside = (i >= 0) & (i < height) & (j >= 0) & (j < width) & (weight > 0)
            found.append((ray[inside], (i * width + j)[inside], (weight * path[ray])[inside]))
    rays, pixels, weights = (np.concatenate(part) for part in zip(*found, strict=True))
    return csr_array(coo_array((weights, (rays, pixels)), shape=(len(path), height * width)))


def _steps(beam: Beam, shape: tuple[int, int]) -> int:
    """Samples along a ray, one pixel apart: the image's diagonal, wherever the axis stands; none more within its own pixel."""
    away = math.hypot(*beam.axis_offset_px)
    return diagonal_px(shape) + (2 * math.ceil(away) if away >= 1 else 0)
