"""Two-dimensional scattering (TM) by any contrast, and the Born operator about it, time convention exp(+j w t).

With chi = eps / eps_b - 1 on n square cells, the total field of a source obeys the integral equation (moment method, each cell
a disc of its area, radius b, where the field is constant)

    E_i - sum_j K_ij chi_j E_j = E0_i,
    K_ij = -(i pi k b / 2) J1(k b) H0^(2)(k R_ij),    K_ii = -(i/2) (pi k b H1^(2)(k b) - 2 i),

and the scattered field is y[f, r, t] = w_f sum_j G0_rj chi_j E_jt with w_f = k^2 a c, a = pi b^2, c = 2 J1(k b) / (k b). A small
change of chi changes it, exactly for this discrete model, by

    dy[f, r, t] = w_f sum_j G_rj dchi_j E_jt,        G_r = (I - K chi)^-1 G0_r,

the Born operator whose Green functions and incident fields are those of the background chi: both are given as numbers. Dense
factorisation, n^3 per frequency: at most 64 x 64 cells.

Source: Richmond (1965), IEEE Trans. Antennas Propag. 13(3); Chew and Wang (1990), IEEE Trans. Med. Imaging 9(2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.special import hankel2, jv
from torch import Tensor

from echoform.physics.born import BornScattering, GivenFields
from echoform.physics.green import Radiator, green_2d, hankel2_zero, wavenumber
from echoform.scene.cells import Cells
from echoform.scene.rig import MultistaticRig

#: most cells that are factorised
MAX_CELLS = 64 * 64


@dataclass(frozen=True)
class InhomogeneousBorn:
    """What a background scatters, and how that changes with it.

    Attributes:
        scattered: y of the background, (1, 1, F, R, T), complex128.
        operator: dy = A dchi.
    """

    scattered: Tensor
    operator: BornScattering


class CylinderScattering:
    """Scattering by cells under a rig of line sources: what does not depend on the contrast is computed once.

    Args:
        rig: antennas (batch 1), frequencies and heard pairs.
        cells: pixels, one layer.
        permittivity: eps_b of the homogeneous surroundings, shape (1,), float64 or complex128.

    Raises:
        ValueError: more than one rig, too many cells, or cells that are no plane layer.
    """

    def __init__(self, rig: MultistaticRig, cells: Cells, *, permittivity: Tensor) -> None:
        count = math.prod(cells.shape)
        if count > MAX_CELLS or cells.shape[0] != 1:
            raise ValueError(f"cells {cells.shape}: one layer of at most {MAX_CELLS} cells can be factorised")
        if max(rig.receiver_m.shape[0], rig.transmitter_m.shape[0], rig.frequency_hz.shape[0], len(permittivity)) != 1:
            raise ValueError("one rig in one background at a time: the batch must be 1")
        self.rig, self.cells, self.permittivity = rig, cells, permittivity
        self.k = wavenumber(rig.frequency_hz, permittivity.to(torch.complex128))[0].to(torch.complex128)
        position = cells.positions_m()
        self.radius_m = math.sqrt(cells.area_m2 / math.pi)
        self.incident = [self._from(rig.transmitter_m[0], position, k) for k in self.k]
        self.received = [self._from(rig.receiver_m[0], position, k) for k in self.k]
        #: distances that occur, and which of them stands between each pair of cells: few values need the Hankel function
        squared = ((position[:, None] - position).square().sum(-1) / cells.area_m2).mul(1e6).round().to(torch.int64)
        values, self.pair = torch.unique(squared, return_inverse=True)
        self.separation_m = (values.double() * 1e-6 * cells.area_m2).sqrt()

    @staticmethod
    def _from(antenna_m: Tensor, position_m: Tensor, k: Tensor) -> Tensor:
        return green_2d((antenna_m[:, None] - position_m).norm(dim=-1), k)

    def coupling(self, f: int) -> Tensor:
        """Return K at a frequency, (n, n), complex128."""
        k, b = complex(self.k[f]), self.radius_m
        far = self.separation_m.clamp_min(1e-300)
        values = -0.5j * math.pi * k * b * complex(jv(1, k * b)) * hankel2_zero(torch.tensor(k) * far)
        itself = torch.full_like(values, -0.5j * (math.pi * k * b * complex(hankel2(1, k * b)) - 2j))
        return torch.where(self.separation_m == 0, itself, values)[self.pair]

    def fields(self, contrast: Tensor) -> GivenFields:
        """Return the total fields E_t and G_r on the cells, (1, F, T, n) and (1, F, R, n), complex128.

        Args:
            contrast: chi on the cells, (H, W), complex128.
        """
        chi, lit, heard = contrast.flatten().to(torch.complex128), [], []
        for f in range(len(self.k)):
            sources = torch.cat([self.incident[f], self.received[f]]).mT
            system = torch.eye(len(chi), dtype=torch.complex128) - self.coupling(f) * chi
            total = torch.linalg.solve(system, sources).mT
            lit.append(total[: len(self.incident[f])])
            heard.append(total[len(self.incident[f]) :])
        return GivenFields(torch.stack(lit)[None], torch.stack(heard)[None])

    def about(self, contrast: Tensor, *, scale: Tensor | None = None) -> InhomogeneousBorn:
        """Return the scattered field of a background and the Born operator about it.

        Args:
            contrast: chi on the cells, (H, W), complex128.
            scale: factor on the operator's samples at each frequency, (F,), float64 (a weight of the data); the scattered field
                itself is not scaled.
        """
        chi, found = contrast.flatten().to(torch.complex128), self.fields(contrast)
        inside, back = found.incident, found.received
        assert inside is not None
        assert back is not None
        disc = torch.tensor([complex(2 * jv(1, k * self.radius_m) / (k * self.radius_m)) for k in self.k.tolist()])
        weight = (self.k.square() * self.cells.area_m2 * disc)[:, None, None]
        scattered = weight * (torch.stack(self.received) * chi) @ inside[0].mT
        disc = disc if scale is None else disc * scale
        operator = BornScattering(
            self.rig,
            self.cells,
            radiator=Radiator.LINE,
            permittivity=self.permittivity,
            fields=GivenFields(inside * disc[:, None, None], back),
            dtype=torch.complex128,
        )
        return InhomogeneousBorn(scattered[None, None] * self.rig.heard[:, None], operator)
