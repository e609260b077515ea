"""What the exact and the factorised spotlight operator have in common: one signal model, kept in the same buffers.

    y[p, n] = sum_j x_j exp(-i k_c . r_j) exp(-i 4 pi f_n / c d_pj),        d_pj = |q_p - r_j| - |q_p|

with d_pj half the difference of the paths where the receiver stands apart, f_n uniformly spaced, and k_c the phase reference of
:mod:`echoform.physics.spotlight_plane_wave`. Every |A_mj| is 1, or 0 where nothing is measured.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from echoform.linalg.spectrum import SpectralDensity
from echoform.physics.operator import LinearOperator
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid

#: largest departure of a frequency from the uniform grid, as a share of the bandwidth
UNIFORM_TOLERANCE = 1e-6


def uniform_grid(frequency_hz: Tensor) -> tuple[Tensor, Tensor]:
    """Return (f_0, df): the frequency at index F // 2 and the step of uniformly spaced frequencies.

    Args:
        frequency_hz: shape (B, F), or (B, P, F) with all pulses alike, hertz, float64.

    Returns:
        two tensors of shape (B,), hertz.

    Raises:
        ValueError: fewer than two frequencies, pulses of different frequencies, or one departs from the line through the first
            and the last by more than 1e-6 of the bandwidth.
    """
    if frequency_hz.ndim == 3:
        if bool((frequency_hz != frequency_hz[:, :1]).any()):
            raise ValueError(
                "frequencies change from pulse to pulse, which the spotlight operators with spherical wavefronts do not take; "
                "plane_wave_spotlight does"
            )
        frequency_hz = frequency_hz[:, 0]
    count = frequency_hz.shape[1]
    if count < 2:
        raise ValueError(
            f"the spotlight operators with spherical wavefronts need at least two frequencies, got {count}"
        )
    first, last = frequency_hz[:, 0], frequency_hz[:, -1]
    step = (last - first) / (count - 1)
    index = torch.arange(count, dtype=frequency_hz.dtype, device=frequency_hz.device)
    departure = (frequency_hz - first[:, None] - index * step[:, None]).abs().amax(1)
    bandwidth = (last - first).abs()
    if not bool((departure <= UNIFORM_TOLERANCE * bandwidth).all()):
        raise ValueError(
            f"frequencies are not uniformly spaced: one is {float(departure.max()):.3g} Hz off the grid through the first and "
            f"the last, the limit is {UNIFORM_TOLERANCE:g} of the bandwidth ({float(bandwidth.min()):.3g} Hz); resample each "
            "pulse to a uniform grid, or refit frequencies that were stored in single precision"
        )
    return first + (count // 2) * step, step


class Sums(Protocol):
    """One sensor's sum over the pixels and its adjoint, apart from the graph."""

    def samples(self, image: Tensor) -> Tensor:
        """Return the samples (..., P, F) of the pixels (..., H, W)."""
        ...

    def backprojection(self, spectra: Tensor) -> Tensor:
        """Return the pixels (..., H, W) of the samples (..., P, F)."""
        ...

    def gradient(self, image: Tensor, spectra: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradient of Re <spectra, A image> to transmitter and receiver, (P, 3) each, and to the carrier (2,)."""
        ...


class DifferentiableSum(torch.autograd.Function):
    """A or A^H of one sensor as one node of the graph: the backward pass is the other of the two.

    Nothing is stored but, where gradients are to reach the positions, the value.
    """

    @staticmethod
    def forward(
        ctx: Any,
        value: Tensor,
        antenna_m: Tensor,
        receiver_m: Tensor | None,
        carrier: Tensor,
        sums: Sums,
        backwards: bool,
    ) -> Tensor:
        """Return A x, or A^H y where ``backwards``, and keep what the other way needs."""
        kept = value if any(ctx.needs_input_grad[1:4]) else None
        ctx.save_for_backward(kept, antenna_m, receiver_m, carrier)
        ctx.sums, ctx.backwards = sums, backwards
        return sums.backprojection(value) if backwards else sums.samples(value)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, Tensor | None, Tensor | None, Tensor | None, None, None]:
        """Return the gradient to the value by the adjoint of what was done, and those to the positions where asked for."""
        value, antenna_m, receiver_m, carrier = ctx.saved_tensors
        to_value, to_antenna, to_receiver, to_carrier = None, None, None, None
        if ctx.needs_input_grad[0]:
            to_value = DifferentiableSum.apply(grads[0], antenna_m, receiver_m, carrier, ctx.sums, not ctx.backwards)
        if any(ctx.needs_input_grad[1:4]):
            if torch.is_grad_enabled():
                raise RuntimeError("second derivatives to the antenna positions are not available: drop create_graph")
            image, spectra = (grads[0], value) if ctx.backwards else (value, grads[0])
            to_antenna, to_receiver, to_carrier = ctx.sums.gradient(image, spectra)
        return to_value, to_antenna, None if receiver_m is None else to_receiver, to_carrier, None, None


class SphericalSpotlight(LinearOperator):
    """A spotlight collection seen from a ground-plane grid; how the sum is computed is left to the two forms.

    Gradients reach the image and the antennas; the frequencies, and k_c as a function of them, are taken for constants.

    Args:
        collection: antenna positions, uniformly spaced frequencies alike for all pulses, and the mask of measured samples.
        grid: image grid.
        dtype: complex64 or complex128.

    Raises:
        ValueError: the frequencies are not uniformly spaced, or change from pulse to pulse.
    """

    antenna_m: Tensor
    receiver_m: Tensor | None
    carrier: Tensor
    middle_hz: Tensor
    step_hz: Tensor
    kept: Tensor
    rows_m: Tensor
    columns_m: Tensor

    def __init__(self, collection: SpotlightCollection, grid: Grid, *, dtype: torch.dtype = torch.complex64) -> None:
        super().__init__((1, *grid.shape), (1, *collection.kept.shape[1:]))
        self._dtype, self.grid = dtype, grid
        collection = replace(collection, frequency_hz=collection.frequency_hz.detach())
        middle, step = uniform_grid(collection.frequency_hz.double())
        receiver = collection.receiver_m
        self.register_buffer("antenna_m", collection.antenna_m.double())
        self.register_buffer("receiver_m", None if receiver is None else receiver.double())
        self.register_buffer("carrier", collection.carrier().double())
        self.register_buffer("middle_hz", middle)
        self.register_buffer("step_hz", step)
        self.register_buffer("kept", collection.kept.to(dtype.to_real()))
        rows, columns = (axis.to(self.antenna_m.device) for axis in grid.axes_m())
        self.register_buffer("rows_m", rows[None])
        self.register_buffer("columns_m", columns[None])

    def frequency_axes(self, *, of_input: bool = False) -> bool:
        """Return True: pulses and frequencies are angles and radii of the scene's spectrum."""
        return True

    @property
    def dtype(self) -> torch.dtype:
        """The dtype given at construction."""
        return self._dtype

    @property
    def collection(self) -> SpotlightCollection:
        """The collection given at construction."""
        count = self.range_shape[2]
        index = torch.arange(count, dtype=torch.float64, device=self.kept.device) - count // 2
        frequency = self.middle_hz[:, None] + index * self.step_hz[:, None]
        return SpotlightCollection(self.antenna_m, frequency, self.kept, self.receiver_m)

    def support(self) -> Tensor:
        """Return the measured entries, (B or 1, 1, pulses, frequencies)."""
        return (self.kept != 0).to(self.kept.dtype)[:, None]

    def spectrum(self) -> SpectralDensity:
        """Return the Lanczos density with its mean put right: tr(A^H A) / n is the sum of kept."""
        return super().spectrum().with_mean(self.kept.square().sum((1, 2)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the samples, (..., B, 1, pulses, frequencies), zero where nothing is measured."""
        return self._each(x, backwards=False)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return the backprojection, (..., B, 1, H, W)."""
        return self._each(y, backwards=True)

    def _each(self, value: Tensor, *, backwards: bool) -> Tensor:

        def one(part: Tensor, sensor: int) -> Tensor:
            return self._sum(part, sensor, backwards=backwards)

        return self.each_sensor(value[..., 0, :, :], one, ndim=2, result_ndim=2).unsqueeze(-3)

    def _sum(self, value: Tensor, sensor: int, *, backwards: bool) -> Tensor:
        """Return one sensor's samples (..., P, F) of images (..., H, W), or its images of samples."""
        antenna, carrier = of_sensor(self.antenna_m, sensor), of_sensor(self.carrier, sensor)
        receiver = None if self.receiver_m is None else of_sensor(self.receiver_m, sensor)
        return DifferentiableSum.apply(value, antenna, receiver, carrier, self._sums(sensor), backwards)  # pyright: ignore

    @abstractmethod
    def _sums(self, sensor: int) -> Sums:
        """Return how the sum over one sensor's pixels is computed."""


def of_sensor(buffer: Tensor, sensor: int) -> Tensor:
    """Return a sensor's row of a buffer that holds one, or one for all."""
    return buffer[sensor % len(buffer)]
