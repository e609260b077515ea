"""Sensors written down again on a coarse grid: entries at the coarse pixels, weighted by what U_s does to them there.

About the coarse pixel m an entry a_i(r) is a wave of the local wavenumber k_i(r_m) = grad arg a_i, in radians per fine pixel, so

    (A U_s)[i, m] = sum_j a_i(r_j) U_s[j, m] ~ a_i(r_m) H_s(k_i(r_m)),        H_s(k) = H_s(k_y) H_s(k_x),

exactly so for plane waves and amplitudes that do not change (``transfer`` of :mod:`echoform.linalg.resample`). k_i changes
slowly over the image, hence few terms suffice,

    H_s(k_i(r_m)) ~ sum_q w_q[i] b_q[m],        A_s = sum_q diag(w_q) A' diag(b_q),

A' being the same sensor on the coarse pixels. w and b are found from the exact H_s at a few nodes of the image: the leading
singular vectors over the nodes, interpolated between them by polynomials. Samples with |H_s| < 6e-2 at all nodes are dropped.

An entry's phase must be kappa_n l_e(r) + c(r): one path l for each element (pulse, trace, pair of antennas), one wavenumber for
each frequency.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from echoform.linalg.inner import terms_first
from echoform.linalg.resample import COARSE_ORIGIN, kaiser_sinc, transfer
from echoform.physics.operator import DerivedOperator, LinearOperator, coarse_shape

#: samples whose response falls below this everywhere are left out
BAND_EDGE = 6e-2
#: share of the weights, in norm, that the terms left out may hold
TOLERANCE = 5e-2
#: largest relative error of the weighted entries, with those left out; a sensor with a larger one is not written down again
LARGEST_ERROR = 8e-2
#: nodes along each axis of the image
NODES = 9
#: elements from which the terms are found
PROBED = 48
#: coarse pixels along each axis, elements and frequencies at which the weights are tested
TESTED = (4, 8, 8)
#: coarse pixels at the border that U_s fills from both ends of the image
MARGIN = 2


@dataclass(frozen=True)
class EntryPhase:
    """What one sensor's entries are made of, at K pixels: b_e(r) exp(i (kappa_n l_e(r) + c(r))), or the conjugate.

    Attributes:
        wavenumber: kappa, radians per metre, (F,), float64.
        path_m: l, metres, (E, K).
        reference: c, radians, (K,).
        amplitude: b, (E, K); one when absent. Only the test of a coarse version looks at it.
    """

    wavenumber: Tensor
    path_m: Tensor
    reference: Tensor
    amplitude: Tensor | None = None


#: gives the phases at some fine pixels, by their indices in row-major order, of some elements, all where absent
EntryPhases = Callable[[Tensor, Tensor | None], EntryPhase]


@dataclass(frozen=True)
class TransferWeights:
    """The terms of H_s: w (B, Q, E, F), b (B, Q, H / s, W / s), real, Q terms for each of B sensors."""

    samples: Tensor
    image: Tensor

    def rectangle(self) -> tuple[slice, slice]:
        """Return the elements and frequencies outside which all samples are dropped; one of each where all are."""
        kept = (self.samples != 0).flatten(0, 1).any(0)
        found = [torch.nonzero(kept.any(1 - axis)).flatten().tolist() or [0] for axis in (0, 1)]
        elements, frequencies = (slice(index[0], index[-1] + 1) for index in found)
        return elements, frequencies

    def cropped(self, elements: slice, frequencies: slice) -> TransferWeights:
        """Return those of some elements and frequencies."""
        return TransferWeights(self.samples[..., elements, frequencies], self.image)

    def one_term(self, sensor: int, bounds: Sequence[int]) -> tuple[Tensor, Tensor, float]:
        """Return one term for each element and block of frequencies, w'[e, n] sum_q c_q[e, block of n] b_q[m] ~ H_s.

        It is the leading one of the block's frequencies and the pixels, where the responses change far less than over all
        elements and frequencies.

        Args:
            sensor: which of the B.
            bounds: first frequency of each block, and the end.

        Returns:
            w', (E, F), and c, (E, blocks, Q), float64, the mean square of sum_q c_q b_q over the pixels being one; and what one
            term leaves out, as a share of the norm. The pixels' mean of sum_q c_q b_q is not negative.
        """
        image = self.image[sensor].flatten(1).double()
        count = len(image)
        power = image @ image.mT / image.shape[1]
        power = power + 1e-12 * power.diagonal().mean() * torch.eye(count, dtype=power.dtype, device=power.device)
        root = torch.linalg.cholesky(power)  # b = root o, of patterns o that are orthonormal over the pixels
        samples = torch.einsum("qef,qk->efk", self.samples[sensor].double(), root)
        weights, mixtures, lost = torch.zeros_like(samples[..., 0]), [], 0.0
        for first, end in pairwise(bounds):
            part = samples[:, first:end]
            held, patterns = torch.linalg.eigh(part.mT @ part)
            lost += float(held[:, :-1].clamp_min(0).sum())
            mixture = torch.linalg.solve_triangular(root.mT, patterns[..., -1].mT, upper=True).mT
            sign = 1 - 2 * (mixture @ image.mean(1, keepdim=True) < 0).double()
            weights[:, first:end] = sign * (part @ patterns[..., -1:])[..., 0]
            mixtures.append(sign * mixture)
        return weights, torch.stack(mixtures, 1), math.sqrt(lost / float(samples.square().sum()))


@torch.no_grad()
def transfer_weights(factor: int, shape: tuple[int, int], sensors: Sequence[EntryPhases]) -> TransferWeights | None:
    """Return the weights of a coarse version, or None where too many terms are needed for it to pay or to be true.

    Args:
        factor: s.
        shape: (H, W) of the fine grid.
        sensors: their phases.
    """
    _, rows, columns = coarse_shape((1, *shape), factor)
    if min(rows, columns) < 2 * MARGIN + 1:
        return None  # as cheap as it is: there is no room for a test
    nodes = _nodes(rows), _nodes(columns)
    interpolation = [_lagrange(n, torch.arange(count)) for n, count in zip(nodes, (rows, columns), strict=True)]
    found = []
    for sensor in sensors:
        at_nodes = sensor(_corners(*nodes, factor, shape[1]), None)
        probed = _spread(at_nodes.path_m.shape[0], PROBED)
        basis = _leading(_responses(factor, at_nodes, probed).flatten(0, 1))
        weights, lost = _kept(factor, at_nodes, basis)
        maps = [m.to(basis.device) for m in interpolation]
        image = torch.einsum("yg,xh,ghq->qyx", *maps, basis.unflatten(0, [len(n) for n in nodes]))
        pays = basis.shape[1] < factor**2 and lost <= LARGEST_ERROR
        if not pays or not math.hypot(lost, _error(factor, shape, sensor, weights, image)) <= LARGEST_ERROR:
            return None
        found.append((weights.movedim(-1, 0), image))
    return TransferWeights(*(pad_sequence(list(terms), batch_first=True) for terms in zip(*found, strict=True)))


def _nodes(count: int) -> list[int]:
    """Return up to NODES coarse pixels, the nearest to the extrema of a Chebyshev polynomial."""
    places = [(count - 1) / 2 * (1 - math.cos(math.pi * i / (NODES - 1))) for i in range(NODES)]
    return sorted({round(place) for place in places})


def _lagrange(nodes: Sequence[int], at: Tensor) -> Tensor:
    """Return the matrix of polynomial interpolation from values at the nodes to some points, (points, nodes), float64."""
    known, columns = torch.tensor(nodes, dtype=torch.float64), []
    for i in range(len(nodes)):
        others = torch.cat([known[:i], known[i + 1 :]])
        columns.append(((at[:, None] - others) / (known[i] - others)).prod(1))
    return torch.stack(columns, 1)


def between_pixels(count: int, factor: int) -> Tensor:
    """Return the matrix that gives values at the coarse pixels by cubic interpolation, (count / s, count), float64."""
    matrix = torch.zeros(count // factor, count, dtype=torch.float64)
    for m, row in enumerate(matrix):
        first = max(0, min(factor * m - 1, count - 4))
        near = range(first, min(first + 4, count))
        row[near.start : near.stop] = _lagrange(near, torch.tensor([factor * m + COARSE_ORIGIN]))[0]
    return matrix


def linear_interpolation(count: int, at: Tensor) -> Tensor:
    """Return the matrix of linear interpolation from pixels to places among them and beyond, in pixels, (places, count)."""
    left = at.floor().clamp(0, count - 2).long()
    matrix = torch.zeros(len(at), count, dtype=at.dtype, device=at.device)
    share = (at - left)[:, None]
    return matrix.scatter(1, left[:, None], 1 - share).scatter(1, left[:, None] + 1, share)


def _corners(rows: Sequence[int], columns: Sequence[int], factor: int, width: int) -> Tensor:
    """Return the four fine pixels about each coarse one, (2, 2, rows, columns) flattened: steps along y, along x, pixels."""
    steps = torch.arange(2)
    y = factor * torch.tensor(rows)[:, None] + steps[:, None, None, None]
    x = factor * torch.tensor(columns) + steps[:, None, None]
    return (y * width + x).flatten()


def _spread(count: int, most: int) -> Tensor:
    return torch.linspace(0, count - 1, min(count, most)).round().long()


def _error(factor: int, shape: tuple[int, int], sensor: EntryPhases, weights: Tensor, image: Tensor) -> float:
    """Return the relative error of some entries: w . b beside sum_j exp(i arg a(r_j) - i arg a(r_m)) U_s[j, m]."""
    window = torch.arange(4 * factor) - (2 * factor - 1)
    places = [MARGIN + _spread(n // factor - 2 * MARGIN, TESTED[0]) for n in shape]
    y, x = (factor * p[:, None] + window for p in places)
    heard = [torch.nonzero(weights.abs().sum((2, axis))).flatten().cpu() for axis in (1, 0)]
    elements, frequencies = (index[_spread(len(index), most)] for index, most in zip(heard, TESTED[1:], strict=True))
    phase = sensor((y[:, None, :, None] * shape[1] + x[:, None]).flatten(), elements)
    blocks = (len(y), len(x), len(window), len(window))
    path, reference = (v.unflatten(-1, blocks) for v in (phase.path_m, phase.reference))
    angle = _turns(phase.wavenumber[frequencies], *(v - _middle(v, factor) for v in (path, reference)))
    entries = torch.complex(angle.cos(), angle.sin())
    if phase.amplitude is not None:
        level = phase.amplitude[:, None].unflatten(-1, blocks)
        entries = entries * (level / _middle(level, factor)).float()
    taps = torch.from_numpy(kaiser_sinc(factor)).to(angle.device, entries.dtype)
    expected = (entries @ taps) @ taps
    at = image[:, places[0]][:, :, places[1]]
    given = torch.einsum("efq,qyx->efyx", weights[elements][:, frequencies], at.to(weights.dtype))
    return float((given - expected).norm() / expected.norm())


def _middle(values: Tensor, factor: int) -> Tensor:
    """Return the values in the middle of windows (..., 4 s, 4 s) by cubic interpolation, (..., 1, 1)."""
    weights = values.new_zeros(4 * factor)
    weights[2 * factor - 2 : 2 * factor + 2] = _lagrange(range(4), torch.tensor([1.5]))[0]
    return torch.einsum("...jk,j,k->...", values, weights, weights)[..., None, None]


def _turns(wavenumber: Tensor, path_m: Tensor, reference: Tensor) -> Tensor:
    """Return kappa l + c, (E, F, ...), of paths (E, ...), float32: float64 at the middle frequency, to which the others add."""
    middle = wavenumber[len(wavenumber) // 2]
    offset = (wavenumber - middle).float().view(-1, *[1] * reference.ndim)
    at_middle = (middle * path_m + reference).float()
    return torch.addcmul(at_middle[:, None], offset, path_m[:, None].float())


def _responses(factor: int, phase: EntryPhase, elements: Tensor) -> Tensor:
    """Return H_s of some elements at all frequencies about the pixels of :func:`_corners`, (elements, F, pixels), float32."""
    path, reference = (v.unflatten(-1, (2, 2, -1)) for v in (phase.path_m[elements], phase.reference))
    steps = [[v.diff(dim=axis).mean((-3, -2)) for v in (path, reference)] for axis in (-3, -2)]
    along_y, along_x = (transfer(factor, _turns(phase.wavenumber, *step)) for step in steps)
    return along_y.mul_(along_x)


def _leading(responses: Tensor) -> Tensor:
    """Return the leading right singular vectors of (samples, nodes), (nodes, Q)."""
    power, vectors = torch.linalg.eigh((responses.mT @ responses).double())
    left_out = power.clamp_min(0).cumsum(0)
    count = int((left_out > TOLERANCE**2 * left_out[-1]).sum())
    return vectors[:, -max(1, count) :].flip(-1)


def _kept(factor: int, phase: EntryPhase, basis: Tensor) -> tuple[Tensor, float]:
    """Return w = H_s V, (elements, F, Q), zero for samples below the edge of the band at all nodes, and what these hold."""
    weights, dropped, whole = [], 0.0, 0.0
    for elements in torch.arange(phase.path_m.shape[0]).split(PROBED):
        responses = _responses(factor, phase, elements)
        heard = (responses.abs() >= BAND_EDGE).any(-1, keepdim=True)
        weights.append((responses @ basis.float()) * heard)
        power = responses.square().sum(-1, keepdim=True, dtype=torch.float64)
        dropped += float((power * ~heard).sum())
        whole += float(power.sum())
    return torch.cat(weights), math.sqrt(dropped / whole) if whole else math.inf


class LocalTransfer(DerivedOperator):
    """A_s = sum_q diag(w_q) A' diag(b_q): the coarse version of a sensor A'; its coarse versions are Galerkin.

    Args:
        base: A', with range (1, p, f): the samples of a rectangle, all others being zero.
        sample_weights: w, shape (B or 1, Q, p, f), real; zero for all q where a sample is dropped.
        image_weights: b, shape (B or 1, Q, H, W), complex.
        range_shape: (1, P, F).
        origin: first element and first frequency of the rectangle.

    Raises:
        ValueError: shapes disagree.
    """

    sample_weights: Tensor
    image_weights: Tensor

    def __init__(
        self,
        base: LinearOperator,
        sample_weights: Tensor,
        image_weights: Tensor,
        *,
        range_shape: tuple[int, int, int],
        origin: tuple[int, int] = (0, 0),
    ) -> None:
        expected = (base.range_shape[1:], base.domain_shape[1:])
        given = (tuple(sample_weights.shape[2:]), tuple(image_weights.shape[2:]))
        if given != expected or sample_weights.shape[1] != image_weights.shape[1]:
            raise ValueError(
                f"weights of shape {tuple(sample_weights.shape)} and {tuple(image_weights.shape)} do not fit samples "
                f"{expected[0]} and pixels {expected[1]}: both need (batch, terms, ...)"
            )
        super().__init__(base, base.domain_shape, range_shape)
        after = [n - o - m for n, o, m in zip(range_shape[1:], origin, base.range_shape[1:], strict=True)]
        if min(*origin, *after) < 0:
            raise ValueError(f"samples {expected[0]} from {origin} on reach beyond {range_shape[1:]}")
        self.origin = origin
        self._margins = (origin[1], after[1], origin[0], after[0])
        self.register_buffer("sample_weights", sample_weights.to(base.dtype.to_real()))
        self.register_buffer("image_weights", image_weights.to(base.dtype))

    def support(self) -> Tensor:
        """Return the samples that A' has and that are not dropped."""
        marks = (self.sample_weights != 0).any(1, keepdim=True).to(self.sample_weights.dtype)
        own = self.base.support()
        return torch.nn.functional.pad(marks if own is None else marks * own, self._margins)

    def forward(self, x: Tensor) -> Tensor:
        """Return the samples, (..., B, 1, P, F)."""
        terms = self.base(terms_first(self.image_weights[:, :, None], x.ndim) * x)
        heard = (terms_first(self.sample_weights[:, :, None], x.ndim) * terms).sum(0)
        return torch.nn.functional.pad(heard, self._margins)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return the backprojection, (..., B, 1, H, W)."""
        rows, columns = (slice(o, o + n) for o, n in zip(self.origin, self.base.range_shape[1:], strict=True))
        terms = self.base.adjoint(terms_first(self.sample_weights[:, :, None], y.ndim) * y[..., rows, columns])
        return (terms_first(self.image_weights[:, :, None], y.ndim).conj() * terms).sum(0)


def coarse_version(
    base: LinearOperator, weights: TransferWeights, shape: tuple[int, int], *, origin: tuple[int, int] = (0, 0)
) -> LocalTransfer:
    """Return A_s from A' on the coarse pixels, whose samples stand from ``origin`` on among those of shape (P, F)."""
    rows, columns = (slice(o, o + n) for o, n in zip(origin, base.range_shape[1:], strict=True))
    weights = weights.cropped(rows, columns)
    return LocalTransfer(base, weights.samples, weights.image, range_shape=(1, *shape), origin=origin)
