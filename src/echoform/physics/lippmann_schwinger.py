"""The field inside any contrast in two or three dimensions: the Lippmann-Schwinger equation on a regular grid of cells.

With chi = eps / eps_b - 1 constant on n cells of measure m, and the total field E constant on each,

    E_i - sum_j K_ij chi_j E_j = E0_i,        K_ij = k^2 m c g(R_ij)   (i != j),        K_ii = k^2 (integral of g over cell i),

where g is integrated over the disc (lines) or the ball (points) that has the cell's measure, in closed form
(:mod:`echoform.physics.green`: c and, at the centre, K_ii). R_ij depends on j - i alone, so K is a convolution: FFTs on twice the
grid apply it in n log n, exactly. With s = sqrt(chi) and v = s E the system is complex symmetric, solved by COCR; where chi is
zero, so is v:

    (I - s K s) v = s E0,        E = E0 + K s v.

With few cells for S sources, n <= 190 sqrt(S), and at most ``MAX_DIRECT``, the same system is written down as
a matrix and factorised: n^3 once, where COCR takes n log n for every source and step.

Source: Richmond (1965), IEEE Trans. Antennas Propag. 13(3) (2-D; 3-D alike, with balls for discs); Zwamborn and van den Berg
(1992), IEEE Trans. Microw. Theory Tech. 40(9) (the convolution by FFT).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from echoform.linalg.cg import Stopping
from echoform.linalg.cocr import cocr
from echoform.physics.green import Radiator
from echoform.scene.cells import Cells

#: most cells whose matrix is written down and factorised, 0.5 GB with its factors
MAX_DIRECT = 4096
#: n over sqrt(S) up to which that is the quicker, measured with 1000 to 4100 cells and 250 sources
DIRECT_CELLS = 190
#: most that the transforms of the sources solved together may take, bytes
BLOCK_BYTES = 64 * 2**20


class LippmannSchwinger:
    """The equation above at one wavenumber.

    Args:
        cells: one layer in the plane z = 0 for lines; a volume of equally spaced slices, each as thick as that, for points.
        radiator: 2-D lines or 3-D points.
        wavenumber_rad_m: k of the surroundings, Im k <= 0.

    Raises:
        ValueError: the cells do not fill a part of the plane or of space without gaps.
    """

    def __init__(self, cells: Cells, *, radiator: Radiator, wavenumber_rad_m: complex) -> None:
        self.shape, k = cells.shape, torch.tensor(wavenumber_rad_m, dtype=torch.complex128)
        steps = zip(self.shape, spacing_m(cells, radiator), strict=True)
        d, h, w = ((torch.arange(n, dtype=torch.float64) * step).square() for n, step in steps)
        distance = (d[:, None, None] + h[:, None] + w).sqrt()
        distance[0, 0, 0] = 1.0  # any: a cell beside itself has a value of its own
        turn = wavenumber_rad_m * radiator.radius_m(cells.measure)
        values = k**2 * cells.measure * radiator.mean(turn) * radiator.green(distance, k)
        values[0, 0, 0] = torch.tensor(radiator.own(turn), dtype=torch.complex128)
        #: K by the distance in cells along each axis, (D, H, W), complex128
        self.values = values
        self.torus = tuple(1 if n == 1 else 2 * n for n in self.shape)
        d, h, w = (_around(n, size) for n, size in zip(self.shape, self.torus, strict=True))
        self.spectrum = torch.fft.fftn(values[d][:, h][:, :, w])

    def matrix(self) -> Tensor:
        """Return K, (n, n), complex128."""
        d, h, w = ((torch.arange(n)[:, None] - torch.arange(n)).abs() for n in self.shape)
        pairs = self.values[d[:, None, None, :, None, None], h[:, None, None, :, None], w[:, None, None, :]]
        return pairs.flatten(3).flatten(0, 2)

    def coupled(self, x: Tensor) -> Tensor:
        """Return K x, (..., D, H, W)."""
        for axis, size in zip((-1, -2, -3), reversed(self.torus), strict=True):
            x = torch.fft.fft(x, n=size, dim=axis)
        x = x * self.spectrum
        for axis, size in zip((-3, -2, -1), self.shape, strict=True):
            x = torch.fft.ifft(x, dim=axis).narrow(axis, 0, size)
        return x

    def total(self, contrast: Tensor, incident: Tensor, *, stopping: Stopping) -> Tensor:
        """Return E of every source, (S, n), complex128.

        Args:
            contrast: chi, (D, H, W), complex128.
            incident: E0 of every source, (S, n), complex128.
            stopping: of the solution by COCR.

        Raises:
            RuntimeError: COCR does not reach its tolerance.
        """
        if contrast.numel() <= min(MAX_DIRECT, DIRECT_CELLS * math.sqrt(len(incident))):
            return self._direct(contrast, incident)
        per_block = max(1, BLOCK_BYTES // (self.spectrum.numel() * self.spectrum.itemsize))
        return torch.cat([self._iterated(contrast, part, stopping) for part in incident.split(per_block)])

    def _direct(self, contrast: Tensor, incident: Tensor) -> Tensor:
        system = torch.eye(contrast.numel(), dtype=contrast.dtype) - self.matrix() * contrast.flatten()
        return torch.linalg.solve(system, incident.mT).mT

    def _iterated(self, contrast: Tensor, incident: Tensor, stopping: Stopping) -> Tensor:
        root, field = contrast.sqrt(), incident.unflatten(-1, self.shape)
        solved = cocr(lambda v: v - root * self.coupled(root * v), root * field, ndim=3, stopping=stopping)
        worst = float(solved.residuals[-1].max())
        if worst > stopping.tolerance:
            raise RuntimeError(
                f"the field inside the contrast is known to {worst:.1e} after {solved.iterations} steps, asked: "
                f"{stopping.tolerance:.1e}; allow more steps, or lower the contrast, the frequency or the size of the body"
            )
        return (field + self.coupled(root * solved.solution)).flatten(1)


def _around(count: int, size: int) -> Tensor:
    """Return the distance of each cell of a torus to the first, in cells, at most ``count`` - 1 (none further is asked for)."""
    place = torch.arange(size)
    return torch.minimum(place, size - place).clamp_max(count - 1)


def spacing_m(cells: Cells, radiator: Radiator) -> tuple[float, float, float]:
    """Return the distances between neighbours along (D, H, W) of cells that fill what they span, metres.

    Raises:
        ValueError: they do not, or lines are given a volume, or points a sheet.
    """
    dy, dx = cells.grid.spacing_m
    if radiator is Radiator.LINE and (cells.heights_m != (0.0,) or cells.thickness_m is not None):
        raise ValueError(f"lines take cells of one layer in the plane z = 0 without thickness, got {cells.shape} cells")
    if radiator is Radiator.POINT and cells.thickness_m is None:
        raise ValueError("points take cells with a volume, got a sheet: volume_of gives them a thickness")
    dz = cells.thickness_m or 1.0
    steps = [high - low for low, high in pairwise(cells.heights_m)]
    if not all(math.isclose(step, dz, rel_tol=1e-6) for step in steps):
        raise ValueError(f"slices must be as far apart as they are thick, {dz:g} m, got heights {cells.heights_m}")
    if not math.isclose(cells.area_m2, dy * dx, rel_tol=1e-6):
        raise ValueError(f"cells must touch: {dy:g} m x {dx:g} m apart, but {cells.area_m2:g} m2 each")
    return dz, dy, dx
