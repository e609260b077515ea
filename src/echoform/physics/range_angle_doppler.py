"""Range, angle and Doppler of a MIMO radar in the far field: a product of three small matrices.

FMCW (beat = tx rx*), virtual elements d_q = t + r, chirp m of a transmitter's M, sample n of N:

    y[m, q, n] = sum x exp(+i 2 pi (2 S R / c) n' T_s) exp(-i 2 pi d'_q sin(theta) / lambda) exp(+i 4 pi v t / lambda)
    t = m' T_cycle + slot_q T_chirp,     n' = n - N // 2,   m' = m - M // 2,   d' = d - mean d

OFDM (channel = rx / tx), subcarrier k in the place of n, is the conjugate:

    y[m, q, k] = sum x exp(-i 2 pi k' df 2 R / c) exp(+i 2 pi d'_q sin(theta) / lambda) exp(-i 4 pi v t / lambda)

Signs. x points to the right, theta is positive on the right, d is measured along x: an element further right is nearer to a
target on the right, so its echo comes earlier, against the sign of the range phase. v = dR/dt is positive for a target that
recedes, negative for one that approaches. The image is (C, H, W) = (velocities, angles, ranges) and carries the phase
reference exp(+i 4 pi R / lambda) (conjugate for OFDM), so that its spectrum lies about zero and can be coarsened. The
range-azimuth image is the case of one velocity, 0.

TDM-MIMO: the phase exp(+i 4 pi v slot_q T_chirp / lambda) couples velocity and element; each velocity then has an angle
factor of its own, exactly. What breaks the product, and is not modelled here, is migration: see :func:`migration_cells`.
Near the array (R below about 2 D^2 / lambda) use :mod:`echoform.physics.near_range_array`.

Source: Patole et al. (2017), IEEE Signal Process. Mag. 34(2) (FMCW); Sturm and Wiesbeck (2011), Proc. IEEE 99(7) (OFDM);
Bechter, Roos and Waldschmidt (2017), IEEE Microw. Wireless Compon. Lett. 27(12) (the TDM phase).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.physics.kronecker import KroneckerOperator
from echoform.scene.array import MimoArray
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.waveform import RangingWaveform


def mimo_radar(
    waveform: RangingWaveform,
    array: MimoArray,
    *,
    ranges_m: Tensor,
    angles_rad: Tensor,
    velocities_m_s: Tensor | None = None,
    dtype: torch.dtype = torch.complex64,
    kept: tuple[Tensor, Tensor, Tensor] | None = None,
) -> KroneckerOperator:
    """Return the operator of a MIMO radar, range (pulses, virtual elements, frequencies); the waveform decides the signs.

    Args:
        waveform: FMCW (chirps, samples) or OFDM (symbols, subcarriers), with a slot for each transmitter.
        array: transmitters and receivers.
        ranges_m: R of the columns, shape (B or 1, W), metres, from the array's centre.
        angles_rad: theta of the rows, shape (B or 1, H), radians, positive to the right.
        velocities_m_s: v of the channels, shape (B or 1, C), metres per second, positive when receding; 0 alone when absent.
        dtype: complex64 or complex128.
        kept: 0/1 of pulses (B or 1, M), virtual elements (B or 1, Q) and frequencies (B or 1, N); all when absent.

    Raises:
        ValueError: the waveform's slots are not one per transmitter, or an axis is not (batch, length).
    """
    if velocities_m_s is None:
        velocities_m_s = torch.zeros(1, 1, dtype=torch.float64, device=ranges_m.device)
    _check_axis("ranges_m", ranges_m)
    _check_axis("angles_rad", angles_rad)
    _check_axis("velocities_m_s", velocities_m_s)
    transmitters = array.transmitter_m.shape[1]
    if len(waveform.slots) != transmitters:
        raise ValueError(f"the waveform has {len(waveform.slots)} slots for {transmitters} transmitters; give one each")
    angle = angle_factor(waveform, array, angles_rad)[:, None]
    if max(waveform.slots) > 0 and (velocities_m_s.requires_grad or bool((velocities_m_s != 0).any())):
        angle = angle * slot_factor(waveform, array, velocities_m_s)[..., None]
    factors = [
        factor.to(dtype)
        for factor in (velocity_factor(waveform, velocities_m_s), angle, range_factor(waveform, ranges_m))
    ]
    if kept is not None:
        pulse, element, sample = (marks.to(dtype) for marks in kept)
        marked = (pulse[:, :, None], element[:, None, :, None], sample[:, :, None])
        factors = [factor * marks for factor, marks in zip(factors, marked, strict=True)]
    return KroneckerOperator(*factors)


def range_doppler(
    waveform: RangingWaveform, *, ranges_m: Tensor, velocities_m_s: Tensor, dtype: torch.dtype = torch.complex64
) -> KroneckerOperator:
    """Return the operator of a radar with one antenna: rows are velocities, columns ranges; range (1, pulses, frequencies).

    Args:
        waveform: pulses and their timing.
        ranges_m: R of the columns, shape (B or 1, W), metres.
        velocities_m_s: v of the rows, shape (B or 1, H), metres per second, positive when receding.
        dtype: complex64 or complex128.

    Raises:
        ValueError: an axis is not (batch, length).
    """
    _check_axis("ranges_m", ranges_m)
    _check_axis("velocities_m_s", velocities_m_s)
    one = torch.ones(1, 1, 1, dtype=dtype, device=ranges_m.device)
    velocity = velocity_factor(waveform, velocities_m_s)[:, None]
    return KroneckerOperator(one, velocity.to(dtype), range_factor(waveform, ranges_m).to(dtype))


def range_factor(waveform: RangingWaveform, ranges_m: Tensor) -> Tensor:
    """Return exp(+-i 2 pi D_n 2 R / c), shape (B, N, W), complex128."""
    turns = waveform.offset_hz()[:, :, None] * (2 / SPEED_OF_LIGHT_M_S) * ranges_m.double()[:, None, :]
    return _phasor(waveform, turns)


def angle_factor(waveform: RangingWaveform, array: MimoArray, angles_rad: Tensor) -> Tensor:
    """Return exp(-+i 2 pi d' . u / lambda), shape (B, Q, H), complex128."""
    return _phasor(waveform, array.path_offset_m(angles_rad) / waveform.wavelength_m()[:, None, None])


def velocity_factor(waveform: RangingWaveform, velocities_m_s: Tensor) -> Tensor:
    """Return exp(+-i 4 pi v m' T_cycle / lambda), shape (B, M, C), complex128."""
    rate = 2 * velocities_m_s.double() / waveform.wavelength_m()[:, None]
    return _phasor(waveform, waveform.time_s()[:, :, None] * rate[:, None, :])


def slot_factor(waveform: RangingWaveform, array: MimoArray, velocities_m_s: Tensor) -> Tensor:
    """Return exp(+-i 4 pi v slot_q T / lambda), shape (B, C, Q), complex128."""
    rate = 2 * velocities_m_s.double() / waveform.wavelength_m()[:, None]
    return _phasor(waveform, rate[:, :, None] * waveform.slot_s()[:, None, array.transmitter_of()])


@dataclass(frozen=True)
class Migration:
    """How far an echo drifts through range cells of c / 2B during a collection; the product holds while both stay below one.

    Attributes:
        by_motion: |v| T_frame over a cell.
        by_angle: the spread of delays over the array, (max - min of d . u) / 2, over a cell.
    """

    by_motion: Tensor
    by_angle: Tensor

    @property
    def breaks_product(self) -> Tensor:
        """Whether either exceeds one cell, (B,), bool."""
        return (self.by_motion > 1) | (self.by_angle > 1)


def migration_cells(
    waveform: RangingWaveform, array: MimoArray, *, velocity_m_s: float, angle_rad: float = 0.0
) -> Migration:
    """Return by how many range cells a target migrates: v T_frame > c / 2B breaks the product, and so does a wide array.

    Args:
        waveform: gives the cell c / 2B and the frame M T_cycle.
        array: gives the spread of delays.
        velocity_m_s: dR/dt of the target.
        angle_rad: its angle.
    """
    cell = waveform.range_resolution_m()
    frame = waveform.cycles * waveform.cycle_s()
    path = array.path_offset_m(torch.full((1, 1), angle_rad, dtype=torch.float64, device=cell.device))[..., 0]
    return Migration(abs(velocity_m_s) * frame / cell, (path.amax(1) - path.amin(1)) / (2 * cell))


def _check_axis(name: str, axis: Tensor) -> None:
    if axis.ndim != 2 or not axis.numel() or not bool(torch.isfinite(axis.detach()).all()):
        raise ValueError(f"{name} must be finite and of shape (batch, length), got {tuple(axis.shape)}")


def _phasor(waveform: RangingWaveform, turns: Tensor) -> Tensor:
    """exp(+-i 2 pi turns): whole turns are dropped in float64 first."""
    phase = 2 * torch.pi * waveform.phase_sign * (turns - turns.detach().round())
    return torch.polar(torch.ones_like(phase), phase)
