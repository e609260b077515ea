"""Fourier transforms by matrices against the library's, for sizes that split and sizes that do not."""

from __future__ import annotations

import pytest
import torch

from echoform.deploy.fourier_matrices import NORMALISATION, Transform, fourier_transform


@pytest.mark.parametrize("axes", [(-2,), (-1,), (-2, -1), (-1, -2)])
@pytest.mark.parametrize("norm", NORMALISATION)
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("sides", [(128, 96), (24, 7), (13, 16), (1, 4)])
def test_matrices_give_the_fourier_transform(
    sides: tuple[int, int], inverse: bool, norm: str, axes: tuple[int, ...]
) -> None:
    z = torch.randn(2, 3, *sides, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    library = torch.fft.ifftn if inverse else torch.fft.fftn
    parts = fourier_transform(torch.stack([z.real, z.imag], -3), axes, {}, inverse=inverse, norm=norm)
    found = torch.complex(parts.select(-3, 0), parts.select(-3, 1))
    torch.testing.assert_close(found, library(z, dim=axes, norm=norm), rtol=1e-12, atol=1e-11)


def test_sizes_split_near_their_root() -> None:
    assert [Transform(n, False, "ortho").radix for n in (1, 7, 24, 64, 128, 360)] == [1, 1, 4, 8, 8, 18]
