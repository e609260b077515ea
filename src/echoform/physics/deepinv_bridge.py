"""The bridge to deepinv: its linear physics as operators here, operators here as its linear physics.

deepinv works in real numbers: a complex image is two real channels, and a complex measurement has its two parts on the first axis
after the batch,

    z = x[0] + i x[1],      sigma here = sqrt(2) sigma there for complex samples (CN(0, s^2) has s / sqrt 2 per component),

and sigma here = sigma there for real ones. Needs the extra ``deepinv`` (and with it torchvision), imported only when called.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from echoform.physics.noise import GaussianNoise, PoissonGaussianNoise
from echoform.physics.operator import LinearOperator

if TYPE_CHECKING:
    import deepinv


class MissingExtraError(ImportError):
    """An optional package is not installed; the message is one line with the command that installs it."""


class DeepinvOperator(LinearOperator):
    """A linear physics of deepinv under the contract of this library; made by :func:`from_deepinv`."""

    def __init__(
        self,
        physics: deepinv.physics.LinearPhysics,
        domain_shape: tuple[int, int, int],
        range_shape: tuple[int, ...],
        dtype: torch.dtype,
    ) -> None:
        super().__init__(domain_shape, range_shape)
        self.physics = physics
        self._dtype = dtype

    @property
    def dtype(self) -> torch.dtype:
        """Complex when images are, else real, of the precision given."""
        return self._dtype

    @property
    def batch(self) -> int:
        """Number of different sensors: the batch length of the mask of the physics, 1 where it has none."""
        mask = getattr(self.physics, "mask", None)
        return mask.shape[0] if isinstance(mask, Tensor) and mask.ndim > 3 else 1

    def forward(self, x: Tensor) -> Tensor:
        """Return A x, (..., B, *range_shape)."""
        return self._apply_batchwise(self.physics.A, x, len(self.domain_shape))

    def adjoint(self, y: Tensor) -> Tensor:
        """Return A^T y, (..., B, *domain_shape)."""
        return self._apply_batchwise(self.physics.A_adjoint, y, len(self.range_shape))

    def normal(self, x: Tensor) -> Tensor:
        """Return A^T A x by the physics' own form."""
        return self._apply_batchwise(self.physics.A_adjoint_A, x, len(self.domain_shape))

    def _apply_batchwise(self, function, value: Tensor, ndim: int) -> Tensor:
        lead = value.shape[: value.ndim - ndim - 1]
        parts = [function(self._to_real(v)) for v in value.flatten(0, len(lead) - 1)] if lead else None
        if parts is None:
            return self._from_real(function(self._to_real(value)))
        return torch.stack([self._from_real(p) for p in parts]).unflatten(0, lead)

    def _to_real(self, value: Tensor) -> Tensor:
        return real_channels(value) if self._dtype.is_complex else value

    def _from_real(self, value: Tensor) -> Tensor:
        return complex_channels(value) if self._dtype.is_complex else value


def real_channels(value: Tensor) -> Tensor:
    """Return complex (B, C, ...) as real (B, 2 C, ...), or (B, 2, ...) when C = 1: all real parts, then all imaginary."""
    parts = torch.view_as_real(value.resolve_conj())
    if value.shape[1] == 1:
        return parts.movedim(-1, 1).squeeze(2).contiguous()
    return parts.movedim(-1, 1).contiguous()


def complex_channels(value: Tensor) -> Tensor:
    """Return real (B, 2, ...) as complex: (B, C, H, W) from (B, 2, C, H, W), (B, 1, H, W) from (B, 2, H, W).

    Raises:
        ValueError: the first axis after the batch has not length two.
    """
    if value.ndim < 3 or value.shape[1] != 2:
        raise ValueError(
            f"complex data of deepinv are (batch, 2, ...), got {tuple(value.shape)}; say complex_image=False"
        )
    merged = torch.complex(value[:, 0], value[:, 1])
    return merged[:, None] if value.ndim == 4 else merged


def from_deepinv(
    physics: deepinv.physics.LinearPhysics,
    image_shape: tuple[int, int, int],
    *,
    complex_image: bool = False,
    dtype: torch.dtype = torch.float32,
) -> DeepinvOperator:
    """Return a linear physics of deepinv as an operator.

    Args:
        physics: A, with ``A`` and ``A_adjoint`` of a single tensor.
        image_shape: (C, H, W) as deepinv has it: C = 2 real channels for a complex image.
        complex_image: images (2, H, W) and measurements (2, ...) are the parts of complex ones.
        dtype: float32 or float64.

    Raises:
        ValueError: a complex image has not two real channels, or the physics measures a list of tensors.
    """
    if complex_image and image_shape[0] != 2:
        raise ValueError(f"a complex image has two real channels, got {image_shape}; say complex_image=False")
    device = next((p.device for p in physics.buffers()), torch.device("cpu"))
    measured = physics.A(torch.zeros(1, *image_shape, dtype=dtype, device=device))
    if not isinstance(measured, Tensor):
        raise ValueError(
            f"the physics measures {type(measured).__name__}; bring each part over by itself and stack them"
        )
    if not complex_image:
        return DeepinvOperator(physics, image_shape, tuple(measured.shape[1:]), dtype)
    range_shape = tuple(complex_channels(measured).shape[1:])
    return DeepinvOperator(physics, (1, *image_shape[1:]), range_shape, dtype.to_complex())


def to_deepinv(operator: LinearOperator) -> deepinv.physics.LinearPhysics:
    """Return an operator as a linear physics of deepinv; a complex one takes and gives two real channels.

    Raises:
        MissingExtraError: deepinv is not installed.
    """
    try:
        from deepinv.physics import LinearPhysics
    except ImportError as error:
        raise MissingExtraError(f"deepinv could not be imported ({error}): pip install 'echoform[deepinv]'") from error

    class EchoformPhysics(LinearPhysics):
        """An echoform operator."""

        def __init__(self) -> None:
            channels, height, width = operator.domain_shape
            real = (2, height, width) if channels == 1 else (2, channels, height, width)
            super().__init__(img_size=real if operator.dtype.is_complex else operator.domain_shape)
            self.operator = operator

        def A(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            """Return A x."""
            return self._leave(self.operator(self._enter(x)))

        def A_adjoint(self, y: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            """Return A^H y."""
            return self._leave(self.operator.adjoint(self._enter(y)))

        def A_adjoint_A(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            """Return A^H A x by the fast form."""
            return self._leave(self.operator.normal(self._enter(x)))

        def _enter(self, value: Tensor) -> Tensor:
            return complex_channels(value) if self.operator.dtype.is_complex else value

        def _leave(self, value: Tensor) -> Tensor:
            return real_channels(value) if self.operator.dtype.is_complex else value

    return EchoformPhysics()


def noise_from_deepinv(noise_model: torch.nn.Module, *, complex_samples: bool) -> GaussianNoise | PoissonGaussianNoise:
    """Return deepinv's Gaussian, Poisson or Poisson-Gaussian noise model.

    Raises:
        ValueError: another model, or counts of complex samples.
    """
    kind = type(noise_model).__name__
    if kind not in ("GaussianNoise", "PoissonGaussianNoise", "PoissonNoise"):
        raise ValueError(f"no counterpart of deepinv's {kind}; give GaussianNoise or PoissonGaussianNoise")
    sigma = torch.as_tensor(getattr(noise_model, "sigma", 0.0), dtype=torch.float32).reshape(-1)
    if kind == "GaussianNoise":
        return GaussianNoise(sigma * math.sqrt(2) if complex_samples else sigma)
    if complex_samples:
        raise ValueError("counts are of real samples; give complex_samples=False")
    gain = torch.as_tensor(getattr(noise_model, "gain"), dtype=torch.float32).reshape(-1)  # noqa: B009
    return PoissonGaussianNoise(sigma, gain)
