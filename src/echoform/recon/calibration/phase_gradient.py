"""Phase-gradient autofocus: the phase of each pulse from the brightest responses of the image.

    z_j[p] = <A_p d_j, A_p (w_j o x)>,      phi[p+1] - phi[p] = arg sum_j c_j z_j[p+1] conj z_j[p]

x is the backprojection, d_j the unit response at the j-th bright pixel and w_j a window about it: a strip along azimuth, hardly
wider in range than a response. z_j is the history of that response over the aperture, freed of its position (the "circular
shift") and so equal to sigma_j exp(i phi[p]) but for a line in p and for what else stands in the strip. The argument of the sum
is the maximum-likelihood estimate for clutter of equal level about all responses; a strip whose history fluctuates as clutter
does gets less weight, c_j = max(0, 1 - var |z_j|^2 / mean^2 |z_j|^2)^2. The gradient is summed, its line removed, the
samples are corrected, and all is repeated with a shorter window. In a focused image, at last, the window is all azimuth again
but for the other bright responses of the strip, so that phase is seen at every rate.

Where the textbook takes the azimuth transform of the image for the aperture, each pulse is here asked through its own rows A_p
of the operator, so that curved k-space tracks and spherical wavefronts need no interpolation; for a
FourierMask whose rows are pulses both are the same.

Limits. There must be points that stand out of their range bins: clutter alone gives a random phase, moving targets a wrong one.
Phases that are independent and uniform from pulse to pulse are not found, nor are phases across many missing pulses, whose
side lobes fill the strips: :mod:`echoform.recon.calibration.data_fit` is for them. Energy that an error moves out of the strip
in range (a range offset of a resolution cell or more) is not seen. Points of one strip that stand closer than ``near_px``
disturb each other.

Source: Wahl, Eichel, Ghiglia and Jakowatz (1994), IEEE Trans. Aerosp. Electron. Syst. 30(3); Jakowatz and Wahl
(1993), J. Opt. Soc. Am. A 10(12) (the estimator); the weight and the last step are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.fft import fft2c
from echoform.measure.measurement import Measurement
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise
from echoform.recon.calibration.calibration import PULSE_AXIS, Calibration, Calibrator, ChannelAxis, without_linear

#: windows sent through the operator at once
CHUNK = 8
#: a pixel within two pixels of one of at least this share of a response's magnitude belongs to another response
OTHER_SHARE, OTHER_SIDE_PX = 0.2, 5


@dataclass(frozen=True)
class PhaseGradient(Calibrator):
    """Phase-gradient autofocus with a schedule of shrinking windows.

    Attributes:
        responses: most bright responses used, each from a strip in range of its own.
        iterations: estimates made with shrinking windows.
        refinements: estimates made afterwards with all azimuth but the other responses.
        shrink: factor by which the azimuth window falls from one iteration to the next; the first is all azimuth.
        near_px: half the shortest azimuth window, pixels; other responses so near are kept in the refinements.
        range_px: width of a strip in range, pixels; also the distance of two responses in range.
        axis: of the operator's range along which the aperture runs.
    """

    responses: int = 32
    iterations: int = 10
    refinements: int = 8
    shrink: float = 0.6
    near_px: float = 8.0
    range_px: float = 5.0
    axis: int = PULSE_AXIS

    def __post_init__(self) -> None:
        counts = self.responses >= 1 and self.iterations >= 1 and self.refinements >= 0
        if not counts or not 0 < self.shrink <= 1 or self.near_px <= 0 or self.range_px <= 0:
            raise ValueError(f"expected positive counts and windows and shrink in (0, 1], got {self}")

    @torch.no_grad()
    def __call__(self, measurement: Measurement, *, start_rad: Tensor | None = None) -> Calibration:
        """Return phases, (B, pulses), found without constant and linear part.

        Facts: ``last_step_rad``, the root mean square of the last correction, the largest of the batch.

        Raises:
            ValueError: the image has more than one channel, or fewer than three pulses were measured.
        """
        channels = ChannelAxis(measurement, self.axis)
        heard, shape = channels.heard(), measurement.operator.domain_shape
        if shape[0] != 1:
            raise ValueError(f"phase-gradient autofocus takes images of one channel, got {shape[0]}")
        if int(heard.sum(1).min()) < 3:
            raise ValueError("phase-gradient autofocus needs at least three measured pulses")
        frame = Frame.of(channels)
        phase, step = channels.start(start_rad), channels.zeros
        reach, side = float(sum(shape)), float(max(shape)) / 2
        for k in range(self.iterations + self.refinements):
            refine = k >= self.iterations
            half = reach if refine or k == 0 else max(self.near_px, side * self.shrink**k)
            image = measurement.operator.adjoint(channels.rotated(phase))
            products = self._products(channels, image, frame, half, refine=refine)
            step = without_linear(torch.where(heard, products.angle(), 0.0).cumsum(1), heard)
            phase = phase + step
        rms = (step.square().sum(1) / heard.sum(1)).sqrt()
        return channels.corrected(phase, torch.ones_like(phase), {"last_step_rad": float(rms.max())})

    def _products(self, channels: ChannelAxis, image: Tensor, frame: Frame, half_px: float, *, refine: bool) -> Tensor:
        """Return sum_j c_j z_j[q] conj z_j[p] for every measured pulse q and the measured one before it, p, (B, pulses)."""
        operator, heard = channels.measurement.operator, channels.heard()
        before, flat = previous(heard), image.flatten(1)
        pooled = torch.nn.functional.max_pool2d(image.abs(), OTHER_SIDE_PX, stride=1, padding=OTHER_SIDE_PX // 2)
        total = torch.zeros_like(channels.zeros, dtype=torch.complex128)
        for some in brightest(image, frame.range_px, self.responses, self.range_px).split(CHUNK):
            azimuth, ranges = ((axis - axis.gather(1, some.mT).mT[..., None]).abs() for axis in frame.axes)
            kept = (azimuth <= half_px) & (ranges <= self.range_px / 2)
            if refine:
                level = OTHER_SHARE * flat.abs().gather(1, some.mT).mT[..., None]
                kept &= (azimuth <= self.near_px) | (pooled.flatten(1) <= level)
            point = torch.zeros_like(kept, dtype=flat.dtype).scatter(2, some[..., None], 1.0)
            steering, response = (operator(v.unflatten(-1, operator.domain_shape)) for v in (point, flat * kept))
            history = channels.sum(steering.conj() * response)
            earlier = history.gather(2, before.expand(history.shape))
            total = total + (constancy(history, heard) * history * earlier.conj()).sum(0)
        return total


@dataclass(frozen=True)
class Frame:
    """Every pixel's coordinate along azimuth and across it, each (B, H W), pixels, float64."""

    azimuth_px: Tensor
    range_px: Tensor

    @property
    def axes(self) -> tuple[Tensor, Tensor]:
        """Both coordinates."""
        return self.azimuth_px, self.range_px

    @classmethod
    def of(cls, channels: ChannelAxis) -> Frame:
        """Return the frame in which azimuth is the direction of :func:`azimuth_direction`."""
        direction = azimuth_direction(channels)
        _, height, width = channels.measurement.operator.domain_shape
        row = torch.arange(height, dtype=torch.float64, device=direction.device)[:, None].expand(-1, width).flatten()
        column = torch.arange(width, dtype=torch.float64, device=direction.device).repeat(height)
        a, b = direction[:, :1], direction[:, 1:]
        return cls(a * row + b * column, a * column - b * row)


def azimuth_direction(channels: ChannelAxis) -> Tensor:
    """Return the unit vector (row, column) along which the spatial frequency moves from pulse to pulse, (B, 2), float64.

    The frequency of every sample is read off the operator: the phase from the response of the central pixel to that of the
    next one, along rows and along columns. Steps between neighbouring pulses are wrapped, averaged and summed.

    Raises:
        ValueError: the spatial frequency does not move.
    """
    y, operator = channels.measurement.y, channels.measurement.operator
    _, height, width = operator.domain_shape
    centre = (height // 2) * width + width // 2
    point = torch.zeros(3, y.shape[0], height * width, dtype=y.dtype, device=y.device)
    for k, pixel in enumerate((centre, centre + width, centre + 1)):
        point[k, :, pixel] = 1.0
    response, below, beside = operator(point.unflatten(-1, operator.domain_shape))
    before = previous(channels.heard())
    steps = []
    for moved in (below, beside):
        turn = (moved * response.conj()).movedim(channels.axis + 1, 1).flatten(2)
        earlier = turn.gather(1, before[..., None].expand(turn.shape))
        steps.append((turn * earlier.conj()).angle().double().mean(2).sum(1))
    direction = torch.stack(steps, -1)
    size = direction.norm(dim=-1, keepdim=True)
    if not bool((size > 0).all()):
        raise ValueError(f"the spatial frequency does not move along axis {channels.axis}: give the axis of the pulses")
    return direction / size


def brightest(image: Tensor, range_px: Tensor, count: int, separation_px: float) -> Tensor:
    """Return the flat indices of the brightest pixels of an image (B, 1, H, W) in separate range bins, (count or fewer, B).

    One after another is taken, and everything nearer to it in range than the separation is left out.
    """
    power = image.abs().square().flatten(1)
    found = []
    while len(found) < count:
        index = power.argmax(1, keepdim=True)
        if found and bool((power.gather(1, index) == 0).all()):
            break
        found.append(index)
        power = torch.where((range_px - range_px.gather(1, index)).abs() < separation_px, 0.0, power)
    return torch.cat(found, 1).mT


def constancy(history: Tensor, heard: Tensor) -> Tensor:
    """Return c = max(0, 1 - var |z|^2 / mean^2 |z|^2)^2 of histories (J, B, pulses): 1 for a point, 0 for clutter."""
    count = heard.sum(1)[:, None]
    power = history.abs().square()
    mean = (power * heard).sum(2, keepdim=True) / count
    variance = ((power - mean).square() * heard).sum(2, keepdim=True) / count
    return (1 - variance / mean.square().clamp_min(torch.finfo(mean.dtype).tiny)).clamp_min(0).square()


def previous(heard: Tensor) -> Tensor:
    """Return for every channel the index of the measured channel before it, or its own where there is none, (B, channels)."""
    index = torch.arange(heard.shape[1], device=heard.device).expand(heard.shape)
    last = torch.where(heard, index, -1).cummax(1).values
    before = torch.nn.functional.pad(last[:, :-1], (1, 0), value=-1)
    return torch.where(before < 0, index, before)


def image_measurement(image: Tensor) -> Measurement:
    """Return a complex image as the measurement of its own spectrum, whose rows are the pulses: azimuth must run along rows.

    The phases found are then those of the azimuth frequencies, lowest first, and A^H y of the corrected measurement is the
    corrected image. That azimuth frequency and pulse are proportional holds for small angles: at the band's edges a pulse's
    frequency is off by half the relative bandwidth of its distance from the middle, so that errors which change faster
    than this from pulse to pulse need the measurement itself. Frequencies outside the image's band hold no information.

    Args:
        image: (B, 1, H, W), complex.
    """
    weights = torch.ones(1, *image.shape[1:], dtype=image.real.dtype, device=image.device)
    return Measurement(fft2c(image), FourierMask(weights), GaussianNoise(torch.zeros(1, device=image.device)))
