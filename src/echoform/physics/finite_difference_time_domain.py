"""Full-wave measurements of a dielectric scene by line sources, all orders of scattering, time convention exp(+i w t).

    (laplacian + k^2 (1 + chi(r))) E = -delta(r - r_t),      y[f, r, t] = E(r_r) - E0(r_r),      k = w sqrt(eps_b) / c

E0 is the field without the scene. Both are stepped in time on the same lattice (:mod:`echoform.physics.yee`) from one pulse and
divided by its spectrum, E = E_lattice / (-i k I), so that y is in the unit of :class:`echoform.physics.born.BornScattering` with
line radiators, with no constant to fit. Nothing here knows the Green function. Antennas may stand between nodes (Lagrange's
interpolation of third order in each axis); a pixel is a square of n x n nodes of one permittivity.

Losses. Im chi = -sigma / (w eps) belongs to a conductivity, so it falls as 1 / f: the contrast given is that at ``reference_hz``.

Source: Taflove and Hagness, Computational Electrodynamics (3rd edition 2005), chapters 3 and 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.physics.green import wavenumber
from echoform.physics.yee import COURANT, FRAME, Currents, Lattice, angular_frequency
from echoform.scene.cells import Cells
from echoform.scene.rig import MultistaticRig

#: the pulse is exp(-(t - t0)^2 / 2 tau^2) sin(w0 (t - t0)), t0 this many tau
PULSE_START = 4.5
#: nodes in each axis that an antenna is spread over
SPREAD = 4


@dataclass(frozen=True)
class LatticeSettings:
    """How finely, and how long, the fields are stepped.

    Attributes:
        nodes_per_wavelength: least number at the highest frequency in the densest pixel.
        layer_cells: thickness of the absorbing layer.
        margin_cells: nodes between antennas or pixels and the layer.
        echoes: how many times, in its densest medium, the waves may cross the image after the longest direct path.
    """

    nodes_per_wavelength: float = 12.0
    layer_cells: int = 8
    margin_cells: int = 4
    echoes: float = 1.0


@dataclass(frozen=True)
class FullWaveFields:
    """What the receivers hear, in the unit of a line source's own field -(i/4) H0^(2)(k R).

    Attributes:
        scattered: y, zero where a pair is not heard, (B, 1, F, R, T), complex.
        incident: E0, (B or 1, 1, F, R, T), complex.
        unsettled: largest scattered field in the last hundredth of the time over the largest of all, of the worst scene.
    """

    scattered: Tensor
    incident: Tensor
    unsettled: float


@dataclass(frozen=True)
class _Nodes:
    """A lattice about rig and pixels: node (j, i) stands at (low_x + i h, low_y + j h), metres."""

    step_m: float
    low_m: tuple[float, float]
    shape: tuple[int, int]
    refine: int
    corner: tuple[int, int]


@torch.no_grad()
def full_wave_fields(
    contrast: Tensor,
    rig: MultistaticRig,
    cells: Cells,
    *,
    permittivity: float = 1.0,
    reference_hz: float | None = None,
    settings: LatticeSettings | None = None,
) -> FullWaveFields:
    """Return the fields that scenes scatter, stepped together; complex64 contrasts in float32, complex128 ones in float64.

    Args:
        contrast: chi = eps / eps_b - 1 on the cells, (B, 1, H, W), complex, Re chi > -1, Im chi <= 0.
        rig: of antennas in the plane z = 0 and off the cells; one, or one per scene.
        cells: square pixels, one layer.
        permittivity: eps_b, relative, lossless.
        reference_hz: frequency at which Im chi is as given; the middle of the rig's when absent.
        settings: of the lattice.

    Raises:
        ValueError: a contrast is out of range, cells are not square pixels of one layer, or an antenna stands on them.
    """
    settings = settings or LatticeSettings()
    _check(contrast, rig, cells)
    real = contrast.real.dtype
    k = wavenumber(rig.frequency_hz, torch.tensor([permittivity], dtype=torch.float64, device=contrast.device))
    middle = (k.min() + k.max()) / 2 if reference_hz is None else k[0, 0] * (reference_hz / rig.frequency_hz[0, 0])
    densest = math.sqrt(1 + max(float(contrast.real.max()), 0.0))
    nodes = _nodes(rig, cells, 2 * math.pi / (float(k.max()) * densest), settings)
    courant = COURANT * min(1.0, math.sqrt(1 + float(contrast.real.min())))
    turn = angular_frequency(k * nodes.step_m, courant)
    pulse = _pulse(turn, math.ceil(_path_m(rig, cells, densest * settings.echoes) / (courant * nodes.step_m)))
    source, source_weight = _spread(rig.transmitter_m, nodes)
    probe, probe_weight = _spread(rig.receiver_m, nodes)
    currents = Currents(pulse, source, source_weight.to(real), probe, probe_weight.to(real))
    epsilon, sigma = _media(contrast, nodes, middle * nodes.step_m, courant)
    empty = torch.ones_like(epsilon[:1]).expand(max(len(source), len(probe)), -1, -1)
    sources, layer = rig.transmitter_m.shape[1], settings.layer_cells
    alone, total = (
        Lattice(*medium, sources=sources, layer_cells=layer, courant=courant).run(currents)
        for medium in ((empty, torch.zeros_like(empty)), (epsilon, sigma))
    )
    total -= alone
    current = _spectrum(pulse[:, None, None, None].to(contrast.device), turn, 0.5)
    unit = -1j * (k * nodes.step_m)[..., None, None] * current
    scattered, incident = ((_spectrum(t, turn, 1.0) / unit).mT[:, None].to(contrast.dtype) for t in (total, alone))
    peak, last = (t.abs().amax((0, 2, 3)) for t in (total, total[-max(1, len(total) // 100) :]))
    unsettled = float((last / peak.clamp_min(1e-30)).max())
    return FullWaveFields(scattered * rig.heard[:, None].to(real), incident, unsettled)


def _media(contrast: Tensor, nodes: _Nodes, middle: Tensor, courant: float) -> tuple[Tensor, Tensor]:
    """Return permittivity and conductivity on the nodes, (B, Y, X); ``middle`` is k h where Im chi holds.

    Averaging E over a step, as the losses' term does, takes cos(w' dt / 2) of it: that is made up for.
    """
    loss = float(middle) / math.cos(0.5 * float(angular_frequency(middle, courant)))
    epsilon = _painted(1 + contrast.real[:, 0], nodes, 1.0)
    return epsilon, _painted(-loss * contrast.imag[:, 0], nodes, 0.0)


def _check(contrast: Tensor, rig: MultistaticRig, cells: Cells) -> None:
    dy, dx = cells.grid.spacing_m
    if abs(dy - dx) > 1e-9 * dx or cells.shape[0] != 1 or cells.thickness_m is not None:
        raise ValueError(f"the lattice takes one layer of square pixels, got {cells.shape} of {dy:g} x {dx:g} m")
    if contrast.ndim != 4 or tuple(contrast.shape[1:]) != cells.shape or not contrast.is_complex():
        raise ValueError(f"contrast must be complex, (batch, {cells.shape}), got {tuple(contrast.shape)}")
    if float(contrast.real.min()) <= -1 or float(contrast.imag.max()) > 0:
        raise ValueError("contrast must have Re > -1 and, for exp(+i w t), Im <= 0: it may lose power, not gain it")
    antennas = torch.cat([rig.transmitter_m.flatten(0, 1), rig.receiver_m.flatten(0, 1)]).cpu()
    if bool((antennas[:, 2] != 0).any()):
        raise ValueError("line antennas stand in the plane z = 0")
    low, high = _bounds(cells.positions_m())
    guard = (SPREAD // 2 + 0.5) * dx
    inside = ((antennas[:, :2] > low - guard) & (antennas[:, :2] < high + guard)).all(1)
    if bool(inside.any()):
        raise ValueError(f"an antenna stands on the pixels or within {guard:g} m of them; use a smaller grid")


def _bounds(position_m: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lowest and highest (x, y) of positions (n, 3)."""
    return position_m[:, :2].amin(0), position_m[:, :2].amax(0)


def _nodes(rig: MultistaticRig, cells: Cells, wavelength_m: float, settings: LatticeSettings) -> _Nodes:
    """Return the coarsest lattice that divides pixels evenly and resolves the shortest wave."""
    spacing = cells.grid.spacing_m[0]
    refine = max(1, math.ceil(spacing * settings.nodes_per_wavelength / wavelength_m - 1e-9))
    step = spacing / refine
    pixels = cells.positions_m()
    low, high = _bounds(torch.cat([pixels, rig.transmitter_m.flatten(0, 1).cpu(), rig.receiver_m.flatten(0, 1).cpu()]))
    first = pixels[0, :2] - (refine - 1) / 2 * step
    border = FRAME + settings.layer_cells + settings.margin_cells
    before = ((first - low) / step).ceil().clamp_min(0).to(torch.int64) + border
    after = ((high - first) / step).ceil().to(torch.int64) + refine + border
    (left, below), (width, height) = before.tolist(), (before + after).tolist()
    return _Nodes(step, tuple((first - before * step).tolist()), (height, width), refine, (below, left))


def _painted(pixels: Tensor, nodes: _Nodes, fill: float) -> Tensor:
    """Return pixels (B, H, W) on the nodes, each repeated n x n times, ``fill`` elsewhere."""
    fine = pixels.repeat_interleave(nodes.refine, 1).repeat_interleave(nodes.refine, 2)
    canvas = torch.full((len(pixels), *nodes.shape), fill, dtype=pixels.dtype, device=pixels.device)
    row, column = nodes.corner
    canvas[:, row : row + fine.shape[1], column : column + fine.shape[2]] = fine
    return canvas


def _spread(position_m: Tensor, nodes: _Nodes) -> tuple[Tensor, Tensor]:
    """Return the 4 x 4 nodes about each position (B, A, 3) and Lagrange's weights, both (B, A, 16)."""
    low = torch.tensor(nodes.low_m, dtype=torch.float64, device=position_m.device)
    place = (position_m[..., :2].double() - low) / nodes.step_m
    base = place.floor()
    index = base.to(torch.int64)[..., None] + torch.arange(-1, SPREAD - 1, device=place.device)
    t = (place - base)[..., None]
    own = torch.arange(-1, SPREAD - 1, device=place.device, dtype=torch.float64)
    same = torch.eye(SPREAD, dtype=torch.bool, device=place.device)
    ratio = (t[..., None] - own) / (own[:, None] - own).masked_fill(same, 1.0)
    weight = ratio.masked_fill(same, 1.0).prod(-1)
    flat = index[..., 1, :, None] * nodes.shape[1] + index[..., 0, None, :]
    return flat.flatten(-2), (weight[..., 1, :, None] * weight[..., 0, None, :]).flatten(-2)


def _path_m(rig: MultistaticRig, cells: Cells, crossings: float) -> float:
    """Return the longest path over a pixel and ``crossings`` times the image's diagonal."""
    low, high = _bounds(cells.positions_m())
    corner = torch.cartesian_prod(torch.stack([low[0], high[0]]), torch.stack([low[1], high[1]]))
    out, back = (
        (antenna[..., None, :2].cpu() - corner).norm(dim=-1).max() for antenna in (rig.transmitter_m, rig.receiver_m)
    )
    return float(out + back) + crossings * float((high - low).norm())


def _pulse(turn: Tensor, steps: int) -> Tensor:
    """Return the current at the half steps, (N,) float64, for its own length and ``steps`` more.

    Its spectrum covers all w' dt in ``turn``; being odd about t0 it has no constant part, which would not leave the lattice.
    """
    low, high = float(turn.min()), float(turn.max())
    middle = (low + high) / 2
    width = max((high - low) / 3, 0.3 * middle)
    start = PULSE_START / width
    t = torch.arange(math.ceil(2 * start) + steps, dtype=torch.float64) + 0.5 - start
    return torch.exp(-0.5 * (width * t).square()) * torch.sin(middle * t)


def _spectrum(traces: Tensor, turn: Tensor, first: float) -> Tensor:
    """Return sum_n traces[n] exp(-i w' (n + first) dt), (B, F, T, R), complex128, of traces (N, B, T, R)."""
    n = torch.arange(len(traces), dtype=torch.float64, device=traces.device) + first
    kernel = torch.polar(torch.ones_like(n), -turn[..., None] * n)
    batch = max(len(kernel), traces.shape[1])
    flat = traces.movedim(0, -1).to(kernel.dtype).expand(batch, *traces.shape[2:], -1)
    return torch.einsum("bfn,btrn->bftr", kernel.expand(batch, -1, -1), flat)
