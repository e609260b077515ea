"""Scattering by any contrast in two or three dimensions, and the Born operator about it, time convention exp(+j w t).

With chi = eps / eps_b - 1 on n cells, the total field E of every source obeys (I - K chi) E = E0
(:mod:`echoform.physics.lippmann_schwinger`), and the scattered field is

    y[f, r, t] = w_f sum_j G0_rj chi_j E_jt,        w_f = k^2 m c,

m a cell's area or volume and c the mean of the field over its disc or ball (:mod:`echoform.physics.green`). A small change of
chi changes it, exactly for this discrete model, by

    dy[f, r, t] = w_f sum_j G_rj dchi_j E_jt,        G_r = (I - K chi)^-1 G0_r,

the Born operator whose Green functions and incident fields are those of the background chi: both are given as numbers. Lines see
the TM field, points the scalar wave equation with k^2 (1 + chi), as Born's points do.

Source: Richmond (1965), IEEE Trans. Antennas Propag. 13(3); Chew and Wang (1990), IEEE Trans. Med. Imaging 9(2).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.cg import Stopping
from echoform.physics.born import BornScattering, GivenFields
from echoform.physics.green import Radiator, wavenumber
from echoform.physics.lippmann_schwinger import LippmannSchwinger
from echoform.scene.cells import Cells
from echoform.scene.rig import MultistaticRig

#: how well total fields are known where they are solved for step by step: far below the error of the cells (1e-3 or more)
FIELDS = Stopping(1e-6, 500)


@dataclass(frozen=True)
class InhomogeneousBorn:
    """What a background scatters, and how that changes with it.

    Attributes:
        scattered: y of the background, (1, 1, F, R, T), complex128.
        operator: dy = A dchi.
    """

    scattered: Tensor
    operator: BornScattering


class CellScattering:
    """Scattering by cells under a rig: what does not depend on the contrast is computed once.

    Args:
        rig: antennas (batch 1), frequencies and heard pairs.
        cells: one layer for lines, a volume for points (:class:`echoform.physics.lippmann_schwinger.LippmannSchwinger`).
        radiator: 2-D lines or 3-D points.
        permittivity: eps_b of the homogeneous surroundings, shape (1,), float64 or complex128.
        stopping: of total fields that are solved for step by step (:mod:`echoform.physics.lippmann_schwinger` says which).

    Raises:
        ValueError: more than one rig, or cells that do not fill what they span.
    """

    def __init__(
        self,
        rig: MultistaticRig,
        cells: Cells,
        *,
        radiator: Radiator,
        permittivity: Tensor,
        stopping: Stopping = FIELDS,
    ) -> None:
        if max(rig.receiver_m.shape[0], rig.transmitter_m.shape[0], rig.frequency_hz.shape[0], len(permittivity)) != 1:
            raise ValueError("one rig in one background at a time: the batch must be 1")
        self.rig, self.cells, self.radiator, self.permittivity = rig, cells, radiator, permittivity
        self.stopping = stopping
        self.k = wavenumber(rig.frequency_hz, permittivity.to(torch.complex128))[0].to(torch.complex128)
        self.equations = [LippmannSchwinger(cells, radiator=radiator, wavenumber_rad_m=k) for k in self.k.tolist()]
        #: whether receivers are the transmitters, so that their fields are the same
        self.shared = torch.equal(rig.receiver_m, rig.transmitter_m)
        self.incident = [self._from(rig.transmitter_m[0], k) for k in self.k]
        self.received = self.incident if self.shared else [self._from(rig.receiver_m[0], k) for k in self.k]
        turns = self.k * radiator.radius_m(cells.measure)
        self.mean = torch.tensor([radiator.mean(turn) for turn in turns.tolist()], dtype=torch.complex128)

    def _from(self, antenna_m: Tensor, k: Tensor) -> Tensor:
        return self.radiator.green((antenna_m[:, None] - self.cells.positions_m()).norm(dim=-1), k)

    def fields(self, contrast: Tensor) -> GivenFields:
        """Return the total fields E_t and G_r on the cells, (1, F, T, n) and (1, F, R, n), complex128.

        Args:
            contrast: chi on the cells, (D, H, W), or (H, W) of one layer, complex128.

        Raises:
            ValueError: the contrast has another shape.
            RuntimeError: fields that are solved for step by step are not found to the tolerance.
        """
        one_layer = self.cells.shape[0] == 1
        if tuple(contrast.shape) != (self.cells.shape[1:] if one_layer and contrast.ndim == 2 else self.cells.shape):
            raise ValueError(f"the contrast must be {self.cells.shape}, got {tuple(contrast.shape)}")
        chi, lit, heard = contrast.reshape(self.cells.shape).to(torch.complex128), [], []
        for equation, incident, received in zip(self.equations, self.incident, self.received, strict=True):
            sources = incident if self.shared else torch.cat([incident, received])
            total = equation.total(chi, sources, stopping=self.stopping)
            lit.append(total[: len(incident)])
            heard.append(total[-len(received) :])
        return GivenFields(torch.stack(lit)[None], torch.stack(heard)[None])

    def about(self, contrast: Tensor, *, scale: Tensor | None = None) -> InhomogeneousBorn:
        """Return the scattered field of a background and the Born operator about it.

        Args:
            contrast: chi on the cells, (D, H, W), or (H, W) of one layer, complex128.
            scale: factor on the operator's samples at each frequency, (F,), float64 (a weight of the data); the scattered field
                itself is not scaled.

        Raises:
            ValueError, RuntimeError: as :meth:`fields`.
        """
        chi, found = contrast.flatten().to(torch.complex128), self.fields(contrast)
        inside, back = found.incident, found.received
        assert inside is not None
        assert back is not None
        weight = (self.k.square() * self.cells.measure * self.mean)[:, None, None]
        scattered = weight * (torch.stack(self.received) * chi) @ inside[0].mT
        mean = self.mean if scale is None else self.mean * scale
        operator = BornScattering(
            self.rig,
            self.cells,
            radiator=self.radiator,
            permittivity=self.permittivity,
            fields=GivenFields(inside * mean[:, None, None], back),
            dtype=torch.complex128,
        )
        return InhomogeneousBorn(scattered[None, None] * self.rig.heard[:, None], operator)
