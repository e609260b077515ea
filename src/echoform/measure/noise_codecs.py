"""How each class of noise is written to a file and built again; the table that measure/native.py reads by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import Tensor

from echoform.measure.hdf5_node import FLOATS, NUMBERS, GroupReader, GroupWriter, one_of
from echoform.physics.noise import GaussianNoise, Noise, PoissonGaussianNoise
from echoform.physics.noise_coloured import ColouredGaussianNoise, DiagonalGaussianNoise
from echoform.physics.noise_speckle import SpeckleNoise

Kind = TypeVar("Kind", bound=Noise)


@dataclass(frozen=True)
class NoiseCodec(Generic[Kind]):
    """One row of the table.

    Attributes:
        write: stores the model in a group.
        read: builds the model from a group.
        misfit: says what does not fit samples y, or None.
    """

    write: Callable[[Kind, GroupWriter], None]
    read: Callable[[GroupReader], Kind]
    misfit: Callable[[Kind, Tensor], str | None]


def write_noise(noise: Noise, node: GroupWriter) -> None:
    """Write a noise model; raises TypeError for a class without a codec."""
    name = type(noise).__name__
    if name not in NOISE_CODECS:
        raise TypeError(f"noise of class {name} cannot be stored in a file; known are {', '.join(NOISE_CODECS)}")
    node.text("class", name)
    NOISE_CODECS[name].write(noise, node)


def read_noise(node: GroupReader) -> Noise:
    """Return the noise model stored in a group; raises MeasurementFileError for an unknown class or unusable levels."""
    name = one_of(node, "class", list(NOISE_CODECS))
    try:
        return NOISE_CODECS[name].read(node)
    except (ValueError, RuntimeError) as error:
        node.fail("class", f"= '{name}' with unusable levels ({error})", "levels that a noise can have")


def noise_misfit(noise: Noise, y: Tensor) -> str | None:
    """Return what does not fit between noise and samples, (B, *range_shape), or None."""
    codec = NOISE_CODECS.get(type(noise).__name__)
    return None if codec is None else codec.misfit(noise, y)


def _level(node: GroupReader, name: str, ndim: int | None = 1) -> Tensor:
    value = node.tensor(name, ndim=ndim, dtypes=FLOATS)
    if bool((value < 0).any()):
        node.fail(name, f"= {float(value.min()):g}", "a level that is not negative")
    return value


def _write_gaussian(noise: GaussianNoise, node: GroupWriter) -> None:
    node.tensor("sigma", noise.sigma)


def _read_gaussian(node: GroupReader) -> GaussianNoise:
    return GaussianNoise(_level(node, "sigma"))


def _write_poisson(noise: PoissonGaussianNoise, node: GroupWriter) -> None:
    node.tensor("sigma", noise.sigma)
    node.tensor("gain", noise.gain)


def _read_poisson(node: GroupReader) -> PoissonGaussianNoise:
    return PoissonGaussianNoise(_level(node, "sigma"), _level(node, "gain"))


def _write_diagonal(noise: DiagonalGaussianNoise, node: GroupWriter) -> None:
    node.tensor("deviation", noise.deviation)


def _read_diagonal(node: GroupReader) -> DiagonalGaussianNoise:
    return DiagonalGaussianNoise(_level(node, "deviation", None))


def _write_coloured(noise: ColouredGaussianNoise, node: GroupWriter) -> None:
    node.tensor("covariance", noise.covariance)
    node.integers("axis", [noise.axis])


def _read_coloured(node: GroupReader) -> ColouredGaussianNoise:
    (axis,) = node.integers("axis", count=1)
    return ColouredGaussianNoise(node.tensor("covariance", ndim=3, dtypes=NUMBERS), axis)


def _write_speckle(noise: SpeckleNoise, node: GroupWriter) -> None:
    node.tensor("looks", noise.looks)


def _read_speckle(node: GroupReader) -> SpeckleNoise:
    return SpeckleNoise(_level(node, "looks"))


def _lengths(y: Tensor, levels: list[Tensor]) -> str | None:
    if all(len(level) in (1, len(y)) for level in levels):
        return None
    return f"y holds {len(y)} scenes, the noise levels have lengths {[len(level) for level in levels]}"


def _misfit_diagonal(noise: DiagonalGaussianNoise, y: Tensor) -> str | None:
    levels = noise.deviation
    if levels.ndim == y.ndim and all(k in (1, n) for k, n in zip(levels.shape, y.shape, strict=True)):
        return None
    return f"y has shape {tuple(y.shape)}, the noise levels {tuple(levels.shape)}"


def _misfit_coloured(noise: ColouredGaussianNoise, y: Tensor) -> str | None:
    count = noise.covariance.shape[-1]
    if noise.axis + 1 >= y.ndim or y.shape[noise.axis + 1] != count:
        return f"y has shape {tuple(y.shape)}, the noise covariance {count} samples along axis {noise.axis}"
    return _lengths(y, [noise.covariance])


NOISE_CODECS: dict[str, NoiseCodec[Any]] = {
    "GaussianNoise": NoiseCodec(_write_gaussian, _read_gaussian, lambda noise, y: _lengths(y, [noise.sigma])),
    "PoissonGaussianNoise": NoiseCodec(
        _write_poisson, _read_poisson, lambda noise, y: _lengths(y, [noise.sigma, noise.gain])
    ),
    "DiagonalGaussianNoise": NoiseCodec(_write_diagonal, _read_diagonal, _misfit_diagonal),
    "ColouredGaussianNoise": NoiseCodec(_write_coloured, _read_coloured, _misfit_coloured),
    "SpeckleNoise": NoiseCodec(_write_speckle, _read_speckle, lambda noise, y: _lengths(y, [noise.looks])),
}
