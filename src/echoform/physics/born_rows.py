"""Fewer rows that say what all rows of a Born operator say, where its samples are denser than the waves need.

Rows fall into groups along an axis that is oversampled: those of one pair over the frequencies, or those of one frequency and
transmitter over the receivers. Each group A_g, (rows, n), is replaced by C_g = Q^H A_g, the columns of Q being the eigenvectors
of A_g A_g^H whose eigenvalues exceed e times the largest, e a few roundings of the dtype. Then

    A^H A = sum_g C_g^H C_g       within e sum_g |A_g|^2.

Echoes that arrive within a time T ask for about B T values over a bandwidth B, and sources within a radius a for about 2 k a
around the circle, however many are measured. Q is held fixed in gradients with respect to the antennas.

Source: Slepian (1983), SIAM Rev. 25(3), section 2 (how many values a band-limited function of limited extent has).
"""

from __future__ import annotations

import enum

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

#: eigenvalues of a group below this many roundings of its largest are left out
ROUNDINGS = 8.0
#: groups and pixels from which the number of rows is foretold
SAMPLED_GROUPS, SAMPLED_PIXELS = 6, 512


class Axis(enum.Enum):
    """The axis along which rows are grouped."""

    FREQUENCY = "frequency"
    RECEIVER = "receiver"


def fewer_rows(receive: Tensor, transmit: Tensor, gain: Tensor, *, most: int) -> Tensor | None:
    """Return C with C^H C = A^H A, (B, rows, n), or None where more than ``most`` rows are left, or seem to be.

    Args:
        receive: G_r, (B or 1, F, R, n).
        transmit: G_t, (B or 1, F, T, n).
        gain: weight of each sample, zero where a pair is not heard, (B, F, R, T).
        most: bound on the rows of a sensor; those of fewer rows are filled up with zeros.
    """
    sensors = [(receive[b % len(receive)], transmit[b % len(transmit)], gain[b]) for b in range(len(gain))]
    foretold, axis = min(((_foretold(*sensors[0], axis), axis) for axis in Axis), key=lambda pair: pair[0])
    if foretold > most:
        return None
    found = []
    for received, lit, weight in sensors:
        groups = _groups(weight, axis)
        found.append(torch.cat([_distinct(_rows(received, lit, weight, group, axis)) for group in groups]))
    return pad_sequence(found, batch_first=True) if max(map(len, found)) <= most else None


def _foretold(receive: Tensor, transmit: Tensor, gain: Tensor, axis: Axis) -> float:
    """Return the number of rows that a few groups and pixels let expect."""
    groups, step = _groups(gain, axis), -(-receive.shape[-1] // SAMPLED_PIXELS)
    if not groups:
        return 0.0
    chosen = groups[:: -(-len(groups) // SAMPLED_GROUPS)]
    thinned = receive[..., ::step], transmit[..., ::step]
    return sum(len(_distinct(_rows(*thinned, gain, group, axis))) for group in chosen) / len(chosen) * len(groups)


def _groups(gain: Tensor, axis: Axis) -> list[tuple[int, int]]:
    """Return (receiver, transmitter) or (frequency, transmitter) of the groups of one sensor that are heard."""
    return [(i, j) for i, j in torch.nonzero((gain != 0).any(0 if axis is Axis.FREQUENCY else 1)).tolist()]


def _rows(receive: Tensor, transmit: Tensor, gain: Tensor, group: tuple[int, int], axis: Axis) -> Tensor:
    """Return the rows A_g of one group that are heard, (rows, n)."""
    first, t = group
    if axis is Axis.FREQUENCY:
        heard = gain[:, first, t] != 0
        return gain[heard, first, t, None] * receive[heard, first] * transmit[heard, t]
    heard = gain[first, :, t] != 0
    return gain[first, heard, t, None] * receive[first, heard] * transmit[first, t]


def _distinct(rows: Tensor) -> Tensor:
    """Return Q^H A of one group A, (rows, n)."""
    with torch.no_grad():
        values, vectors = torch.linalg.eigh(rows @ rows.mH)
        kept = values > ROUNDINGS * torch.finfo(values.dtype).eps * values[-1]
    return vectors[:, kept].mH @ rows
