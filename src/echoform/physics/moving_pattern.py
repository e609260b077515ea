"""An antenna pattern that moves from pulse to pulse: a beam whose pointing wanders, or is fixed to the platform.

    y_p = A_p (g_p o x),        g[p, r] ~ sum_q u_q[p] v_q[r],        A_g = sum_q diag(u_q) A diag(v_q)

Patterns are smooth: the singular vectors of g fall fast, and Q terms, a few, leave no entry of g further off than a tolerance.
A_g costs Q products with A, whatever sensor A is, and its adjoint is exact. So does A_g^H A_g as adjoint(forward); of
non-uniform Fourier sums, where every A^H diag(conj(u_q) u_q') A is Toeplitz, it is, where that is cheaper,

    A_g^H A_g = sum_qq' diag(conj(v_q)) T_qq' diag(v_q'),       T_q'q = T_qq'^H,

with one Fourier transform each way for a term. Where all v_q together change little from coarse pixel to coarse pixel they go
before the interpolation, as one pattern does (:mod:`echoform.physics.diagonal`),

    A_g U_s ~ sum_q diag(u_q) A_t diag(v'_q) U_(s/t),

t the coarsest grid on which they do; else the coarse version is A_g U_s.
"""

from __future__ import annotations

from itertools import combinations_with_replacement

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from echoform.linalg.inner import terms_first
from echoform.linalg.nufft import toeplitz_apply_pairs
from echoform.linalg.toeplitz_lags import ToeplitzLags
from echoform.physics.channelwise import ChannelwiseOperator
from echoform.physics.compositions import ComposedOperator, ScaledOperator
from echoform.physics.diagonal import DiagonalOperator, before_interpolation, remaining_interpolation
from echoform.physics.masking import apply_gain
from echoform.physics.nonuniform_fourier import COARSEST, CoarseNonuniformFourier, NonuniformFourier
from echoform.physics.operator import DerivedOperator, LinearOperator
from echoform.physics.sample_errors import apply_image_gain
from echoform.physics.sample_gain import along_axis, check_broadcast

#: largest error of an entry of g, as a share of the largest |g| of the sensor
TOLERANCE = 1e-4
#: singular vectors are found from g g^H, which tells none apart below this
SMALLEST_TOLERANCE = 1e-6
#: terms from which on a pattern is refused: each costs one A
MOST_TERMS = 16
#: most values held of the Toeplitz forms T_qq' of all sensors, 4 or 8 bytes each
HELD = 1 << 27
#: from this number of pixels on Toeplitz forms are cheaper than sums, measured with up to 16 terms, real and complex
LARGE_IMAGE = 2**14
#: of smaller images they are for up to so many terms, and so many more where samples are as many as pixels; of complex u half
TERMS, TERMS_BY_SAMPLES = 4, 18


class MovingPattern(DerivedOperator):
    """A_g = sum_q diag(u_q) A diag(v_q), Q terms of a pattern that differs from pulse to pulse; gradients reach u and v.

    Args:
        base: A; any sensor.
        pulse_gain: u, shape (B or 1, Q, P), real or complex, P the length of the axis.
        image_gain: v, shape (B or 1, Q, H, W), real or complex; all channels of an image are seen alike.
        axis: of ``base.range_shape`` along which the pattern moves, counted from 0.
        lags: those of all T_qq', where they are known already.

    Raises:
        ValueError: shapes disagree, or a gain is complex where images are real.
    """

    pulse_gain: Tensor
    image_gain: Tensor
    lags: Tensor | None
    spectra: Tensor | None

    def __init__(
        self,
        base: LinearOperator,
        pulse_gain: Tensor,
        image_gain: Tensor,
        *,
        axis: int = 1,
        lags: Tensor | None = None,
    ) -> None:
        if pulse_gain.ndim != 3 or image_gain.ndim != 4 or pulse_gain.shape[1] != image_gain.shape[1]:
            raise ValueError(
                f"gains must be (batch, terms, pulses) and (batch, terms, H, W), got {tuple(pulse_gain.shape)} and "
                f"{tuple(image_gain.shape)}"
            )
        along_axis(pulse_gain[:, 0], base.range_shape, axis)
        check_broadcast("image_gain", image_gain, (pulse_gain.shape[1], *base.domain_shape[1:]))
        super().__init__(base, base.domain_shape, base.range_shape)
        self.axis = axis
        self.register_buffer("pulse_gain", _fitting(pulse_gain, base))
        self.register_buffer("image_gain", _fitting(image_gain, base))
        planes, spectra = self._toeplitz(lags) if self._toeplitz_pays() else (None, None)
        self.register_buffer("lags", planes)
        self.register_buffer("spectra", spectra)

    def forward(self, x: Tensor) -> Tensor:
        """Return the samples, (..., B, *range_shape)."""
        return (self._pulses(x.ndim - 3) * self.base(self._pixels(x.ndim) * x)).sum(0)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return sum_q conj(v_q) o A^H (conj(u_q) o y), (..., B, C, H, W)."""
        lead = y.ndim - len(self.range_shape)
        return (self._pixels(lead + 3).conj() * self.base.adjoint(self._pulses(lead).conj() * y)).sum(0)

    def normal(self, x: Tensor) -> Tensor:
        """Return A_g^H A_g x, through the Toeplitz forms where A has them."""
        if self.spectra is None:
            return super().normal(x)
        pixels = self._pixels(x.ndim)
        parts = 2 if self.pulse_gain.is_complex() else 1
        spectra = terms_first(self.spectra[:, :, None], x.ndim).unflatten(0, (parts, -1))
        return (pixels.conj() * toeplitz_apply_pairs(spectra, pixels * x)).sum(0)

    def coarsen(self, factor: int) -> LinearOperator:
        """Return sum_q diag(u_q) A_t diag(v'_q) U_(s/t) on the coarsest grid t on which the pattern is smooth, else A_g U_s."""
        if factor == 1:
            return self
        wide = self.image_gain.expand(-1, -1, *self.domain_shape[1:])
        found = None if self.image_gain.requires_grad else before_interpolation(wide, factor)
        if found is None:
            return self.galerkin(factor)
        step, smooth = found
        lags = self.lags if isinstance(self.base, NonuniformFourier) and step <= COARSEST else None
        coarse = MovingPattern(self.base.coarsen(step), self.pulse_gain, smooth, axis=self.axis, lags=lags)
        return coarse if step == factor else coarse @ remaining_interpolation(self, factor, step)

    def support(self) -> Tensor | None:
        """Return the support of A."""
        return self.base.support()

    def support_after(self, marks: Tensor | None) -> Tensor | None:
        """Return what A leaves of the support."""
        return self.base.support_after(marks)

    def _pulses(self, lead: int) -> Tensor:
        """Return u for samples with some axes up to the batch axis, (Q, 1, .., B, 1, P, 1)."""
        shape = self.range_shape
        spread = [1] * self.axis, [1] * (len(shape) - self.axis - 1)
        gain = self.pulse_gain.reshape(*self.pulse_gain.shape[:2], *spread[0], -1, *spread[1])
        return terms_first(gain, lead + len(shape))

    def _pixels(self, ndim: int) -> Tensor:
        """Return v for images of ``ndim`` axes, (Q, 1, .., B, 1, H, W)."""
        return terms_first(self.image_gain[:, :, None], ndim)

    def _toeplitz_pays(self) -> bool:
        """Return whether A has Toeplitz forms, u is not being learned, and they are cheaper and not too many to be held."""
        if not isinstance(self.base, NonuniformFourier | CoarseNonuniformFourier) or self.pulse_gain.requires_grad:
            return False
        fine = self.base if isinstance(self.base, NonuniformFourier) else self.base.base
        terms, parts = self.pulse_gain.shape[1], 2 if self.pulse_gain.is_complex() else 1
        held = self.batch * parts * terms * (terms + 1) // 2 * 8 * torch.Size(fine.domain_shape[1:]).numel()
        pixels, samples = (torch.Size(shape[1:]).numel() for shape in (self.domain_shape, self.range_shape))
        few = parts * terms <= TERMS + TERMS_BY_SAMPLES * samples / pixels
        return held <= HELD and (few or pixels >= LARGE_IMAGE)

    def _toeplitz(self, lags: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return lags and spectra of T_qq', q <= q', (R, pairs, ...): those of Im conj(u_q) u_q', if any, after those of Re."""
        coarse = self.base if isinstance(self.base, CoarseNonuniformFourier) else None
        fine = self.base if coarse is None else coarse.base
        assert isinstance(fine, NonuniformFourier)
        if lags is None:
            reach = COARSEST if coarse is None else max(COARSEST, coarse.factor)
            found = fine.weighted_lags(self._products(), reach)
        else:
            found = ToeplitzLags(lags.flatten(0, 1), fine.domain_shape[1:], COARSEST)
        spectra = found.spectrum() if coarse is None else found.coarse_spectrum(coarse.factor)
        rows = max(len(fine.points), len(self.pulse_gain))
        return found.planes.unflatten(0, (rows, -1)), spectra.unflatten(0, (rows, -1))

    def _products(self) -> Tensor:
        """Return conj(u_q) u_q', q <= q', sample by sample, (B or 1, pairs, M), the imaginary parts after the real ones."""
        count = self.pulse_gain.shape[1]
        first, second = torch.tensor(list(combinations_with_replacement(range(count), 2)), device=self.device).T
        product = self.pulse_gain[:, first].conj() * self.pulse_gain[:, second]
        parts = torch.cat([product.real, product.imag], 1) if product.is_complex() else product
        before, after = self.range_shape[1 : self.axis], self.range_shape[self.axis + 1 :]
        spread = parts.reshape(*parts.shape[:2], *[1] * len(before), -1, *[1] * len(after))
        return spread.expand(-1, -1, *self.range_shape[1:]).flatten(2)


def apply_moving_pattern(
    operator: LinearOperator,
    gain: Tensor,
    *,
    axis: int = 1,
    tolerance: float = TOLERANCE,
    most_terms: int = MOST_TERMS,
) -> LinearOperator:
    """Return A_g, y_p = A_p (g_p o x): the sensor whose pulse (or element) p sees pixel j with amplitude g_pj.

    Args:
        operator: A; any sensor. Gains of samples or pixels and scalars around one with a fast normal are looked through.
        gain: g, shape (B or 1, P, H, W), real or complex; the two-way amplitude for a radar. Gradients do not reach it.
        axis: of ``operator.range_shape`` along which the pattern moves, counted from 0.
        tolerance: largest error of an entry of g, as a share of the largest |g| of its sensor; in [1e-6, 1).
        most_terms: Q at most. One forward or adjoint of A_g costs Q of A.

    Returns:
        :class:`MovingPattern`, or fixed gains of pulses and pixels where one term suffices.

    Raises:
        ValueError: the gain does not fit the sensor, is complex where images are real, holds a value that is not finite or
            requires gradients; the tolerance is out of range; or more terms than ``most_terms`` are needed.
    """
    pulses, image = operator.range_shape[axis : axis + 1], operator.domain_shape[1:]
    if gain.ndim != 4 or axis < 0 or gain.shape[1:] != (*pulses, *image):
        raise ValueError(
            f"gain must be (batch, {', '.join(map(str, (*pulses, *image)))}): samples {operator.range_shape} along axis "
            f"{axis}, then pixels; got {tuple(gain.shape)}"
        )
    if gain.requires_grad:
        raise ValueError("gain requires gradients, which do not pass its decomposition: detach it")
    if not bool(torch.isfinite(gain).all()):
        raise ValueError("gain holds a value that is not finite")
    if not SMALLEST_TOLERANCE <= tolerance < 1:
        raise ValueError(f"tolerance must be in [{SMALLEST_TOLERANCE:g}, 1), got {tolerance:g}")
    terms = [separated(g, tolerance, most_terms) for g in gain]
    u, v = (pad_sequence(list(part), batch_first=True) for part in zip(*terms, strict=True))
    return _seen_through(operator, u, v, axis)


@torch.no_grad()
def separated(gain: Tensor, tolerance: float, most_terms: int) -> tuple[Tensor, Tensor]:
    """Return u (Q, P) and v (Q, H, W) with |g - sum_q u_q v_q| <= tolerance max |g|, by the singular vectors of g (P, H, W).

    The mean square of each u_q is one; double precision. Raises ValueError where more than ``most_terms`` are needed.
    """
    flat = gain.to(torch.complex128 if gain.is_complex() else torch.float64).flatten(1)
    largest = float(flat.abs().max())
    power, vectors = torch.linalg.eigh(flat @ flat.mH)
    u = vectors.flip(-1).mT[:most_terms] * len(flat) ** 0.5
    v = u.conj() @ flat / len(flat)
    without = (
        power.clamp_min(0).cumsum(0) > flat.numel() * (tolerance * largest) ** 2
    )  # no largest error is below its rms
    for count in range(max(1, int(without.sum())), len(u) + 1):
        left = float(torch.addmm(flat, u[:count].mT, v[:count], alpha=-1).abs().max())
        if left <= tolerance * largest:
            return u[:count], v[:count].unflatten(1, gain.shape[1:])
    raise ValueError(
        f"the pattern changes too much from pulse to pulse for {most_terms} terms with an error of {tolerance:g} of its largest "
        f"value; allow more terms or a larger error, or cut the pulses into groups"
    )


def _seen_through(operator: LinearOperator, u: Tensor, v: Tensor, axis: int) -> LinearOperator:
    """Return A_g, its terms next to the sensor at the core of gains and scalars, which commute with them."""
    match operator:
        case ScaledOperator():
            return ScaledOperator(_seen_through(operator.base, u, v, axis), operator.scale)
        case ChannelwiseOperator() if axis > 0:
            return ChannelwiseOperator(_seen_through(operator.base, u, v, axis), operator.channels)
        case ComposedOperator(outer=DiagonalOperator() as gain):
            return gain @ _seen_through(operator.inner, u, v, axis)
        case ComposedOperator(inner=DiagonalOperator() as gain):
            return _seen_through(operator.outer, u, v, axis) @ gain
    if u.shape[1] > 1 or not operator.dtype.is_complex:
        return MovingPattern(operator, u, v, axis=axis)
    return apply_image_gain(apply_gain(operator, along_axis(u[:, 0].to(operator.dtype), operator.range_shape, axis)), v)


def _fitting(gain: Tensor, operator: LinearOperator) -> Tensor:
    """Return a gain in the precision and place of an operator, real or complex as it comes."""
    if gain.is_complex() and not operator.dtype.is_complex:
        raise ValueError("the gain is complex and the operator's images are real: give a real gain")
    return gain.to(operator.device, operator.dtype if gain.is_complex() else operator.dtype.to_real()).resolve_conj()
