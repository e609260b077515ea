"""A complex gain on every entry: errors of channels and pulses, an antenna pattern, the whitening of unequal noise.

    y = g o x

Behind a pure phase (|g| = 1) a product keeps the normal, norm, spectrum and prox of what it multiplies; for other gains
:func:`echoform.physics.masking.apply_gain` puts g into the operator's own weights where it has any.
"""

from __future__ import annotations

from torch import Tensor

from echoform.physics.diagonal import DiagonalOperator


class SampleGain(DiagonalOperator):
    """y = g o x, g complex, for measurements (A' = G A) or for images (A' = A G).

    Args:
        gain: g, broadcasting over (B or 1, *shape), complex64 or complex128; kept as small as it comes.
        shape: of images and of measurements, without the batch axis.

    Raises:
        ValueError: the gain is real or does not fit the shape.
    """

    gain: Tensor

    def __init__(self, gain: Tensor, shape: tuple[int, ...]) -> None:
        if not gain.is_complex():
            raise ValueError(f"gain must be complex, got {gain.dtype}; for real weights use SampleMask")
        check_broadcast("gain", gain, shape)
        super().__init__(shape)
        self.register_buffer("gain", gain.resolve_conj())

    @property
    def diagonal(self) -> Tensor:
        """g."""
        return self.gain

    def with_diagonal(self, diagonal: Tensor) -> SampleGain:
        """Return the operator with another gain."""
        return SampleGain(diagonal, tuple(diagonal.shape[1:]))


def check_broadcast(name: str, value: Tensor, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless ``value`` broadcasts over (batch, *shape)."""
    if value.ndim != len(shape) + 1 or any(k not in (1, n) for k, n in zip(value.shape[1:], shape, strict=True)):
        raise ValueError(f"{name} must broadcast over (batch, {tuple(shape)}), got shape {tuple(value.shape)}")


def along_axis(values: Tensor, shape: tuple[int, ...], axis: int) -> Tensor:
    """Return values (B or 1, n) shaped to broadcast over (B, *shape) along one axis of ``shape``.

    Raises:
        ValueError: the values are not (batch, n) with n the length of that axis.
    """
    if not 0 <= axis < len(shape) or values.ndim != 2 or values.shape[1] != shape[axis]:
        raise ValueError(f"axis {axis} of {tuple(shape)} needs values (batch, its length), got {tuple(values.shape)}")
    after = len(shape) - axis - 1
    return values.reshape(values.shape[0], *[1] * axis, values.shape[1], *[1] * after)
