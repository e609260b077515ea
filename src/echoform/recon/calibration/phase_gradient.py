"""Phase-gradient autofocus: the phase of each pulse from the brightest responses of the image.

    z_j[p] = <A_p d_j, A_p (w_j o x)>,      phi[p+1] - phi[p] = arg sum_j z_j[p+1] conj z_j[p]

x is the backprojection, d_j the unit response at the j-th bright pixel and w_j a window about it: a strip along azimuth, as
narrow in range as the response is. z_j is the aperture's history of that response, freed of its position ("circular shift") and,
but for a line in p, equal to sigma_j exp(i phi[p]). The estimate is the maximum-likelihood one for clutter of equal level
about all responses; brighter ones weigh more. The gradient is integrated, its line removed, the samples are corrected,
and all is repeated with a shorter window.

Where the textbook takes the azimuth transform of the image for the aperture, each pulse is here asked through its own rows
A_p of the operator, so that curved k-space tracks, spherical wavefronts and missing pulses need no interpolation; with a
FourierMask whose rows are pulses both are the same.

Limits. Responses are taken from range bins that do not overlap: scenes without strong points (clutter alone) give a random
phase, and moving targets a wrong one. Phase at rates beyond the window is not seen after the first iterations. An error
that moves energy by more than the strip in range (a range offset of more than a resolution cell) is not a phase error.

Source: Wahl, Eichel, Ghiglia and Jakowatz (1994), IEEE Trans. Aerosp. Electron. Syst. 30(3), section III; the estimator
is that of Jakowatz and Wahl (1993), J. Opt. Soc. Am. A 10(12), for neighbouring pulses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from echoform.measure.measurement import Measurement
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise
from echoform.physics.operator import LinearOperator
from echoform.linalg.fft import fft2c
from echoform.recon.calibration.calibration import PULSE_AXIS, Calibration, Calibrator, ChannelAxis, without_linear

#: windows sent through the operator at once
CHUNK = 8


@dataclass(frozen=True)
class PhaseGradient(Calibrator):
    """Phase-gradient autofocus with a schedule of shrinking windows.

    Attributes:
        responses: most bright responses used, one for each range bin.
        iterations: estimates made.
        shrink: factor by which the azimuth window's length falls from one iteration to the next; the first is all azimuth.
        least_window_px: shortest azimuth window, pixels, full length.
        range_window_px: width of the strip in range, pixels, full width; also the distance of two responses in range.
        axis: of the operator's range along which the aperture runs.
    """

    responses: int = 32
    iterations: int = 10
    shrink: float = 0.6
    least_window_px: float = 8.0
    range_window_px: float = 5.0
    axis: int = PULSE_AXIS
    polish: int=4
    tau: float=.2
    pool: int=5
    mode: int=0
    always: bool=False
    kept: float=0.

    def __post_init__(self) -> None:
        if self.responses < 1 or self.iterations < 1 or not 0 < self.shrink <= 1 or self.range_window_px <= 0:
            raise ValueError(f"expected one response and iteration or more, shrink in (0, 1], a range window; got {self}")

    @torch.no_grad()
    def __call__(self, measurement: Measurement) -> Calibration:
        """Return phases without constant and linear part, (B, pulses).

        Facts: ``iterations``; ``last_step_rad``, the root mean square of the last correction, the largest of the batch.

        Raises:
            ValueError: the image has more than one channel, or fewer than three pulses were measured.
        """
        channels = ChannelAxis(measurement, self.axis)
        operator, heard = measurement.operator, channels.heard()
        if operator.domain_shape[0] != 1:
            raise ValueError(f"phase-gradient autofocus takes images of one channel, got {operator.domain_shape[0]}")
        if int(heard.sum(1).min()) < 3:
            raise ValueError("phase-gradient autofocus needs at least three measured pulses")
        azimuth = azimuth_direction(channels)
        phase, step = channels.zeros, channels.zeros
        length = 2.0 * float(torch.tensor(operator.domain_shape[1:]).float().norm())
        for _ in range(self.iterations):
            image = operator.adjoint(channels.rotated(phase))
            gradient = self._gradient(channels, image, azimuth, length)
            step = without_linear(integrated(gradient, heard), heard)
            phase = phase + step
            length = max(self.least_window_px, self.shrink * min(length, max(operator.domain_shape)))
        for _ in range(self.polish):
            image = operator.adjoint(channels.rotated(phase))
            gradient = self._gradient(channels, image, azimuth, 1e4, True)
            step = without_linear(integrated(gradient, heard), heard)
            phase = phase + step
        rms = (step.square().sum(1) / heard.sum(1)).sqrt()
        facts = {"iterations": float(self.iterations), "last_step_rad": float(rms.max())}
        return channels.corrected(phase, torch.ones_like(phase), facts)

    def _gradient(self, channels: ChannelAxis, image: Tensor, azimuth: Tensor, length: float, exclude=False) -> Tensor:
        """Return sum_j z_j[q] conj z_j[p] for every measured pulse q and the measured one before it, p, (B, pulses)."""
        operator, heard = channels.measurement.operator, channels.heard()
        along, across = ground_axes(operator.domain_shape[1:], azimuth)
        centres = brightest(image, across, self.responses, self.range_window_px)
        before = previous(heard)
        total = torch.zeros_like(channels.zeros, dtype=torch.complex128)
        flat = image.flatten(1)
        for some in centres.split(CHUNK, 1):
            pixel = some.mT
            near_azimuth = (along.flatten(1)[None] - along.flatten(1).gather(1, some).mT[..., None]).abs() <= length / 2
            near_range = (across.flatten(1)[None] - across.flatten(1).gather(1, some).mT[..., None]).abs() <= self.range_window_px / 2
            if exclude:
                pooled=torch.nn.functional.max_pool2d(image.abs(),self.pool,stride=1,padding=self.pool//2).flatten(1)
                other=pooled[None] > self.tau*flat.abs().gather(1,some).mT[...,None]
                far=(along.flatten(1)[None] - along.flatten(1).gather(1, some).mT[..., None]).abs() > self.least_window_px
                near_azimuth = near_azimuth & ~(other & far)
            windowed = flat * (near_azimuth & near_range)
            point = torch.zeros_like(windowed).scatter(2, pixel[..., None], 1.0)
            shape = (*windowed.shape[:2], *operator.domain_shape)
            history = channels.sum(operator(point.reshape(shape)).conj() * operator(windowed.reshape(shape)))
            earlier = history.gather(2, before.expand(len(history), -1, -1))
            wgt = scr_weight(history, heard, self.mode)
            if exclude and self.kept > 0:
                keptshare = (near_azimuth & near_range).double().sum(2,keepdim=True)/near_range.double().sum(2,keepdim=True)
                wgt = wgt * (keptshare > self.kept)
            total = total + ((wgt if exclude or self.always else 1.0) * history * earlier.conj()).sum(0)
        return total


def scr_weight(history: Tensor, heard: Tensor, mode) -> Tensor:
    if mode==0: return torch.ones_like(history[...,:1].real)
    m = (history.abs().square()*heard).sum(2,keepdim=True)/heard.sum(1)[:,None]
    v = ((history.abs().square()-m).square()*heard).sum(2,keepdim=True)/heard.sum(1)[:,None]
    signal = (m.square() - v).clamp_min(0).sqrt()
    nu=(m-signal).clamp_min(1e-3*m)
    return {1: signal/m, 2: signal/m/nu, 3:(signal/m)**4, 4:(signal/m)**8, 5:(signal/m)**2}[mode]


def azimuth_direction(channels: ChannelAxis) -> Tensor:
    """Return the unit vector (row, column) along which the spatial frequency moves from pulse to pulse, (B, 2).

    The frequency of every sample is read off the operator: the phase from the response of the central pixel to that of the
    next one, along rows and along columns. Steps between neighbouring pulses are wrapped and summed.

    Raises:
        ValueError: the spatial frequency does not move.
    """
    measurement, axis = channels.measurement, channels.axis
    _, height, width = measurement.operator.domain_shape
    origin = (height // 2) * width + width // 2
    pixels = torch.tensor([origin, origin + width, origin + 1], device=measurement.y.device)
    batch = measurement.y.shape[0]
    point = torch.zeros(3, batch, height * width, dtype=measurement.y.dtype, device=measurement.y.device)
    point[torch.arange(3), :, pixels] = 1.0
    centre, down, right = measurement.operator(point.reshape(3, batch, 1, height, width))
    steps = []
    heard = channels.heard()
    before = previous(heard)
    for moved in (down, right):
        turn = (moved * centre.conj()).movedim(axis + 1, 1).flatten(2)
        earlier = turn.gather(1, before[..., None].expand(turn.shape))
        steps.append((turn * earlier.conj()).angle().double().mean(2).sum(1))
    direction = torch.stack(steps, -1)
    size = direction.norm(dim=-1, keepdim=True)
    if not bool((size > 0).all()):
        raise ValueError("the spatial frequency does not move from pulse to pulse: give the axis of the pulses")
    return direction / size


def ground_axes(shape: tuple[int, int], azimuth: Tensor) -> tuple[Tensor, Tensor]:
    """Return every pixel's coordinate along azimuth and across it, each (B, H, W), pixels."""
    rows, columns = (torch.arange(n, dtype=torch.float64, device=azimuth.device) for n in shape)
    row, column = azimuth[:, 0, None, None], azimuth[:, 1, None, None]
    return row * rows[:, None] + column * columns, row * columns - column * rows[:, None]


def brightest(image: Tensor, across: Tensor, count: int, separation_px: float) -> Tensor:
    """Return the flat indices of the brightest pixels of an image (B, 1, H, W) in separate range bins, (B, count or fewer).

    One after another is taken, and everything nearer to it in range than the separation is left out.
    """
    power = image.abs().square().flatten(1)
    where = across.flatten(1)
    found = []
    while len(found) < count and bool((power.amax(1) > 0).any()):
        index = power.argmax(1, keepdim=True)
        found.append(index)
        power = torch.where((where - where.gather(1, index)).abs() < separation_px, 0.0, power)
    return torch.cat(found, 1) if found else torch.zeros_like(across[:, 0, :1], dtype=torch.int64)


def previous(heard: Tensor) -> Tensor:
    """Return for every channel the index of the measured channel before it, or its own where there is none, (B, channels)."""
    index = torch.arange(heard.shape[1], device=heard.device).expand(heard.shape)
    last = torch.where(heard, index, -1).cummax(1).values
    before = torch.cat([torch.full_like(last[:, :1], -1), last[:, :-1]], 1)
    return torch.where(before < 0, index, before)


def integrated(products: Tensor, heard: Tensor) -> Tensor:
    """Return the sum of the arguments of products z[q] conj z[p] over the measured channels up to each, (B, channels)."""
    return torch.where(heard, products.angle(), 0.0).cumsum(1)


def image_measurement(image: Tensor) -> Measurement:
    """Return a complex image as the measurement of its own spectrum, whose rows are the pulses: azimuth must run along rows.

    The phases found are then those of the azimuth frequencies, and ``operator.adjoint(y)`` of the corrected measurement is
    the corrected image. Exact where azimuth frequency and pulse are proportional, which holds for spotlight images as
    long as the relative bandwidth times the number of pulses disturbed at once stays below one pulse.

    Args:
        image: (B, 1, H, W), complex.
    """
    weights = torch.ones(1, *image.shape[1:], dtype=image.real.dtype, device=image.device)
    return Measurement(fft2c(image), FourierMask(weights), GaussianNoise(torch.zeros(1, device=image.device)))
