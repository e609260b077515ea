"""Maxwell's equations in two dimensions (TM: E_z, H_x, H_y) stepped in time on Yee's lattice, absorbed at its border.

In units where lattice step, background velocity, permittivity and permeability are one, with s the Courant number c dt / h,

    dH_x/dt = -dE/dy,    dH_y/dt = dE/dx,    eps dE/dt + sigma E = dH_y/dx - dH_x/dy - J,

derivatives in space being those of four samples, D f = (9/8)(f[1/2] - f[-1/2]) - (1/24)(f[3/2] - f[-3/2]). In the border each of
them is replaced by D f + psi, psi <- b psi + c D f (convolutional perfectly matched layer, with complex frequency shift).

Time stepping turns d/dt into (2 i / dt) sin(w' dt / 2). Reading the spectrum at w' = (2 / dt) arcsin(w dt / 2) instead of w
therefore undoes its error exactly where nothing is lost, and what is left is that of space: 3 (k h)^4 / 640 of the wavenumber.

Source: Taflove and Hagness, Computational Electrodynamics (3rd edition 2005), sections 3.6, 4.9 and 7.9; Roden and Gedney
(2000), Microw. Opt. Technol. Lett. 27(5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

#: Courant number; with four samples the limit is 1 / (sqrt(2) (9/8 + 1/24)) = 0.606 of the fastest medium
COURANT = 0.5
#: nodes along each edge that stay zero, because the differences of four samples do not reach them
FRAME = 3
#: order of the layer's profile, and its frequency shift as a share of the largest loss
GRADING, SHIFT = 3, 0.02


@dataclass(frozen=True)
class Currents:
    """What drives the lattice and where it is heard, one line source per transmitter.

    Attributes:
        pulse: J of a unit line at the half steps (n + 1/2) dt, (N,).
        source: nodes that share each line, flattened, (B or 1, T, P), int64, and their shares.
        source_weight: (B or 1, T, P).
        probe: nodes that each receiver is interpolated from, (B or 1, R, P), int64.
        probe_weight: (B or 1, R, P).
    """

    pulse: Tensor
    source: Tensor
    source_weight: Tensor
    probe: Tensor
    probe_weight: Tensor


class Layer:
    """The absorbing layer on both ends of one axis of one derivative.

    Args:
        shape: of the derivative, (..., Y, X).
        axis: -1 or -2.
        cells: thickness.
        first: position of the derivative's first entry, in nodes.
        last: position of the lattice's last node.
        like: gives dtype and device.
        courant: c dt / h.
    """

    def __init__(
        self, shape: tuple[int, ...], axis: int, cells: int, *, first: float, last: int, like: Tensor, courant: float
    ) -> None:
        self.axis, edge = axis, FRAME - 1
        count = math.ceil(cells + edge - first)
        depth = (cells + edge - first - torch.arange(count, dtype=torch.float64)).clamp_min(0) / cells
        loss = 0.8 * (GRADING + 1) * depth**GRADING
        shift = SHIFT * 0.8 * (GRADING + 1) * (1 - depth)
        keep = torch.exp(-(loss + shift) * courant)
        take = torch.where(depth > 0, loss * (keep - 1) / (loss + shift).clamp_min(1e-30), torch.zeros_like(loss))
        turned = (-1, 1) if axis == -2 else (-1,)
        length = shape[axis]
        if 2 * count > length or first + length - 1 + first != last:
            raise ValueError(f"a layer of {cells} cells does not fit a lattice of {last + 1} nodes")
        self.ends = []
        for start, order in ((0, 0), (length - count, 1)):
            b, c = (v.flip(0) if order else v for v in (keep, take))
            size = list(shape)
            size[axis] = count
            memory = torch.zeros(size, dtype=like.dtype, device=like.device)
            self.ends.append((start, memory, b.reshape(turned).to(like), c.reshape(turned).to(like)))

    def stretch(self, derivative: Tensor) -> None:
        """Add psi to a derivative, in place."""
        for start, memory, b, c in self.ends:
            part = derivative.narrow(self.axis, start, memory.shape[self.axis])
            memory.mul_(b).addcmul_(part, c)
            part.add_(memory)


class Lattice:
    """Fields of B scenes under T sources; :meth:`run` steps them.

    Args:
        permittivity: eps over the background's, (B, Y, X), positive, one in the border.
        conductivity: sigma in the units above, (B, Y, X), not negative.
        sources: T.
        layer_cells: thickness of the absorbing layer.
        courant: c dt / h in the background.

    Raises:
        ValueError: the time step is unstable in the fastest medium, or the layer does not fit.
    """

    def __init__(
        self, permittivity: Tensor, conductivity: Tensor, *, sources: int, layer_cells: int, courant: float
    ) -> None:
        batch, height, width = permittivity.shape
        limit = math.sqrt(float(permittivity.min())) / (math.sqrt(2) * (9 / 8 + 1 / 24))
        if not 0 < courant <= limit:
            raise ValueError(f"Courant number {courant:g}: stability asks for at most {limit:.3f} here")
        self.courant = courant
        inner = (..., slice(FRAME, -FRAME), slice(FRAME, -FRAME))
        half = 0.5 * courant * conductivity / permittivity
        self.keep = ((1 - half) / (1 + half))[:, None]
        self.gain = (courant / permittivity / (1 + half))[:, None]
        self.lossless = not bool((conductivity != 0).any())
        self.inner_keep, self.inner_gain = self.keep[inner], self.gain[inner] * (9 / 8)
        like, lead = permittivity, (batch, sources)
        self.e = torch.zeros((*lead, height, width), dtype=like.dtype, device=like.device)
        rows, columns = height - 2 * FRAME, width - 2 * FRAME
        self.hx = torch.zeros((*lead, height - 3, columns), dtype=like.dtype, device=like.device)
        self.hy = torch.zeros((*lead, rows, width - 3), dtype=like.dtype, device=like.device)
        self.work = {"hx": torch.empty_like(self.hx), "hy": torch.empty_like(self.hy)}
        self.curl = torch.empty((*lead, rows, columns), dtype=like.dtype, device=like.device)

        def layer(shape: torch.Size, axis: int, first: float) -> Layer:
            last = (height if axis == -2 else width) - 1
            return Layer(tuple(shape), axis, layer_cells, first=first, last=last, like=like, courant=courant)

        self.of_e = layer(self.hx.shape, -2, 1.5), layer(self.hy.shape, -1, 1.5)
        self.of_h = layer(self.curl.shape, -2, FRAME), layer(self.curl.shape, -1, FRAME)

    def run(self, currents: Currents) -> Tensor:
        """Return E at the receivers after each step, (N, B, T, R)."""
        lead, nodes = self.e.shape[:2], self.e.shape[2] * self.e.shape[3]
        flat = self.e.view(*lead, nodes)
        source = currents.source.expand(lead[0], -1, -1).contiguous()
        gain = self.gain.expand(lead[0], 1, -1, -1).reshape(lead[0], 1, nodes).expand(-1, lead[1], -1)
        drive = -gain.gather(-1, source) * currents.source_weight
        receivers, parts = currents.probe.shape[1:]
        probe = currents.probe.flatten(1)[:, None].expand(*lead, -1).contiguous()
        weight = currents.probe_weight[:, None]
        traces = torch.empty((len(currents.pulse), *lead, receivers), dtype=self.e.dtype, device=self.e.device)
        for n, amplitude in enumerate(currents.pulse.tolist()):
            self._step()
            flat.scatter_add_(-1, source, amplitude * drive)
            heard = flat.gather(-1, probe).unflatten(-1, (receivers, parts))
            torch.sum(heard * weight, -1, out=traces[n])
        return traces

    def _step(self) -> None:
        """Advance H by one step to the half step, then E."""
        columns, rows = self.e[..., FRAME:-FRAME], self.e[..., FRAME:-FRAME, :]
        along_y, along_x = self.work["hx"], self.work["hy"]
        difference(columns, -2, along_y)
        self.of_e[0].stretch(along_y)
        self.hx.sub_(along_y, alpha=self.courant * 9 / 8)
        difference(rows, -1, along_x)
        self.of_e[1].stretch(along_x)
        self.hy.add_(along_x, alpha=self.courant * 9 / 8)
        inner = self.e[..., FRAME:-FRAME, FRAME:-FRAME]
        if not self.lossless:
            inner.mul_(self.inner_keep)
        difference(self.hy, -1, self.curl)
        self.of_h[1].stretch(self.curl)
        inner.addcmul_(self.curl, self.inner_gain)
        difference(self.hx, -2, self.curl)
        self.of_h[0].stretch(self.curl)
        inner.addcmul_(self.curl, self.inner_gain, value=-1)


def difference(field: Tensor, axis: int, out: Tensor) -> None:
    """Write (8/9) D f, halfway between the middle two of each four neighbours; the axis shrinks by three."""
    count = field.shape[axis] - 3
    f = [field.narrow(axis, start, count) for start in range(4)]
    torch.sub(f[2], f[1], out=out)
    out.add_(f[0], alpha=1 / 27).sub_(f[3], alpha=1 / 27)


def angular_frequency(wavenumber: Tensor, courant: float) -> Tensor:
    """Return w' dt, radians per step, at which stepping has the spectrum of w = c k; ``wavenumber`` k h, radians per cell.

    Raises:
        ValueError: the step is too long for the frequency.
    """
    half = 0.5 * courant * wavenumber
    if bool((half >= 1).any()):
        raise ValueError(f"{float(wavenumber.max()):.2f} rad per cell is more than the lattice carries; refine it")
    return 2 * torch.asin(half)
