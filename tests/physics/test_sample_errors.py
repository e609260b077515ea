"""Errors of samples against what they are known to do to an image: paired echoes, a displaced point, a mixed polarisation."""

from __future__ import annotations

import math

import pytest
import scipy.special
import torch
from torch import Tensor

from contracts import dense, distance, image_for, randn
from echoform.physics.axis_matrix import AxisMatrix
from echoform.physics.channelwise import ChannelwiseOperator
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.kronecker import KroneckerOperator
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.polarimetry import CrosstalkOperator, apply_crosstalk, distortion_matrix
from echoform.physics.range_angle_doppler import range_doppler
from echoform.physics.sample_errors import (
    apply_channel_gain,
    apply_image_gain,
    apply_pulse_phase,
    apply_range_offset,
    keep_along,
    notch,
)
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.scene.channel_errors import channel_gains
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid
from echoform.scene.phase_errors import quadratic_phase, sinusoidal_phase
from echoform.scene.waveform import FmcwWaveform

DOUBLE = torch.complex128
FREQUENCY_HZ = torch.linspace(9.7e9, 9.9e9, 24, dtype=torch.float64)[None]


def level(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def gridded(rows: int, columns: int) -> FourierMask:
    """A spotlight collection on the frequency grid of its image: rows are cross-range, so pulses run along axis 1."""
    return FourierMask(torch.ones(1, 1, rows, columns, dtype=torch.float64))


def spotlight() -> NonuniformFourier:
    """A narrow aperture on the +x side at no elevation: slant range is -x."""
    angle = torch.linspace(-0.005, 0.005, 20, dtype=torch.float64)
    antenna = torch.stack([8e3 * angle.cos(), 8e3 * angle.sin(), 0 * angle], -1)[None]
    collection = SpotlightCollection(antenna, FREQUENCY_HZ, torch.ones(1, 20, 24))
    return plane_wave_spotlight(collection, Grid((16, 24), (0.5, 0.5)), dtype=DOUBLE)


def radar() -> KroneckerOperator:
    return range_doppler(
        waveform(), ranges_m=waveform().range_axis_m(12), velocities_m_s=waveform().velocity_axis_m_s(5), dtype=DOUBLE
    )


def waveform() -> FmcwWaveform:
    return FmcwWaveform(level(77e9), level(30e12), level(1e-7), 16, level(5e-5), 6)


def point(operator, row: int, column: int) -> Tensor:
    x = torch.zeros(1, *operator.domain_shape, dtype=DOUBLE)
    x[..., row, column] = 1
    return x


@pytest.mark.parametrize("amplitude", [0.05, 0.2, 1.5])
def test_paired_echoes(amplitude) -> None:
    """A sinusoid of n cycles puts echoes J_1(phi_0) / J_0(phi_0), about phi_0 / 2, n resolutions to either side."""
    operator, cycles = gridded(64, 8), 7
    phase = sinusoidal_phase(64, level(amplitude), level(cycles), level(0.0))
    image = operator.adjoint(apply_pulse_phase(operator, phase)(point(operator, 32, 4)))[0, 0, :, 4].abs()
    for echo in (32 - cycles, 32 + cycles):
        ratio = float(image[echo] / image[32])
        assert abs(ratio - scipy.special.jv(1, amplitude) / scipy.special.jv(0, amplitude)) < 1e-9
        if amplitude < 0.3:
            assert abs(20 * math.log10(ratio) - 20 * math.log10(amplitude / 2)) < 0.1
    others = image.clone()
    others[[32, 32 - cycles, 32 + cycles]] = 0
    assert float(others.max() / image[32]) < amplitude**2 / 4


def test_a_quadratic_phase_lowers_the_peak_as_the_fresnel_integral_says() -> None:
    """Peak = |int_0^1 exp(i edge u^2) du|: 0.974 at pi / 4, 0.90 at pi / 2, far less at 4 pi."""
    operator = gridded(4096, 4)
    for edge in (math.pi / 4, math.pi / 2, 4 * math.pi):
        phase = quadratic_phase(4096, level(edge))
        blurred = operator.adjoint(apply_pulse_phase(operator, phase)(point(operator, 2048, 2)))[0, 0, :, 2].abs()
        sine, cosine = scipy.special.fresnel(math.sqrt(2 * edge / math.pi))
        expected = math.hypot(sine, cosine) / math.sqrt(2 * edge / math.pi)
        assert float(blurred[2048]) == pytest.approx(expected, rel=3e-3)


def test_a_range_offset_moves_a_point_of_a_spotlight_image() -> None:
    """The antenna is at +x: a point 1.5 m further away shows three pixels to the left."""
    operator = spotlight()
    shifted = apply_range_offset(operator, level(1.5)[None], FREQUENCY_HZ)
    found, expected = shifted(point(operator, 8, 12)), operator(point(operator, 8, 9))
    likeness = torch.linalg.vecdot(found.flatten(), expected.flatten()).abs() / expected.abs().square().sum()
    assert float(likeness) > 0.999
    image = operator.adjoint(found)[0, 0].abs()
    assert divmod(int(image.argmax()), 24) == (8, 9)


def test_a_range_offset_moves_a_point_of_a_radar_image() -> None:
    """FMCW has the other sign; two range cells further away, up to the phase 4 pi dR / lambda, which the image carries."""
    operator = radar()
    frequency = waveform().carrier_hz[:, None] + waveform().offset_hz()
    offset = 2 * waveform().range_resolution_m()[:, None]
    shifted = apply_range_offset(operator, offset, frequency, phase_sign=waveform().phase_sign, pulse_axis=1)
    found, expected = shifted(point(operator, 2, 4)), operator(point(operator, 2, 6))
    turn = torch.exp(4j * math.pi * offset / waveform().wavelength_m())
    assert distance(found, turn * expected) < 1e-9


def test_a_range_offset_per_pulse() -> None:
    operator, offset = spotlight(), randn((1, 20), 3).real
    shifted = apply_range_offset(operator, offset, FREQUENCY_HZ)
    x = image_for(operator)
    wavenumber = 4 * math.pi * FREQUENCY_HZ / 299_792_458.0
    phase = torch.exp(-1j * offset[:, None, :, None] * wavenumber[:, None, None])
    assert distance(shifted(x), phase * operator(x)) < 1e-12
    with pytest.raises(ValueError, match=r"offsets \(batch, 20\)"):
        apply_range_offset(operator, torch.zeros(1, 19), FREQUENCY_HZ)


def test_channel_gains_go_to_their_channels() -> None:
    operator = radar()
    gain = channel_gains(6, level(2.0, 1.0), level(0.3, 0.2), generator=torch.Generator().manual_seed(1))
    x = image_for(operator)
    result = apply_channel_gain(operator, gain, 1)
    assert type(result) is KroneckerOperator
    assert distance(result(x), gain[:, None, :, None] * operator(x)) < 1e-12
    with pytest.raises(ValueError, match="axis 2"):
        apply_channel_gain(operator, gain, 2)


def test_an_antenna_pattern_weighs_the_image() -> None:
    operator, gain = spotlight(), torch.rand(1, 1, 16, 24, dtype=torch.float64)
    x = image_for(operator)
    assert distance(apply_image_gain(operator, gain)(x), operator(gain * x)) < 1e-12


def test_missing_pulses_and_notches_keep_the_class() -> None:
    operator = spotlight()
    kept = torch.ones(1, 20, dtype=torch.bool)
    kept[0, [3, 8, 9]] = False
    part = keep_along(operator, kept, 1)
    assert type(part) is NonuniformFourier
    assert float(part.samples()) == 17 * 24
    quiet = notch(operator, FREQUENCY_HZ, [(9.75e9, 9.77e9), (9.899e9, 10e9)])
    assert type(quiet) is NonuniformFourier
    heard = ~(((FREQUENCY_HZ >= 9.75e9) & (FREQUENCY_HZ <= 9.77e9)) | (FREQUENCY_HZ >= 9.899e9))
    assert torch.equal(quiet.support()[0, 0, 0] != 0, heard[0])
    assert float(quiet.samples()) == 20 * float(heard.sum())
    x = image_for(quiet)
    assert distance(quiet(x), heard * operator(x)) < 1e-12
    noticed = notch(radar(), waveform().offset_hz(), [(-1e6, 1e6)])
    assert type(noticed) is KroneckerOperator
    assert 0 < float(noticed.samples()) < float(radar().samples())
    with pytest.raises(ValueError, match="lowest"):
        notch(operator, FREQUENCY_HZ, [(2.0, 1.0)])


def test_distortion_is_the_matrix_product() -> None:
    """vec(R S T) row by row, against the product of the matrices themselves."""
    receive, transmit, scene = (randn((3, 2, 2), seed) for seed in (1, 2, 3))
    mixed = distortion_matrix(receive, transmit) @ scene.flatten(1)[..., None]
    assert distance(mixed[..., 0].unflatten(1, (2, 2)), receive @ scene @ transmit) < 1e-14


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_crosstalk_mixes_what_the_channels_measure(channels) -> None:
    matrix = randn((2, channels, channels), 5)
    for base in (spotlight(), gridded(16, 8)):
        operator = apply_crosstalk(ChannelwiseOperator(base, channels), matrix)
        assert isinstance(operator.outer, ChannelwiseOperator)  # mixed before: the fast normal of the base stays
        x = image_for(operator)
        clean = torch.cat([base(x[:, i : i + 1]) for i in range(channels)], 1)
        assert distance(operator(x), torch.einsum("bmn,bnpf->bmpf", matrix, clean)) < 1e-12
    pair = radar()
    operator = apply_crosstalk(ChannelwiseOperator(pair, channels), matrix)
    assert (
        distance(dense(operator), torch.stack([torch.kron(m, dense(pair, 1)[0].contiguous()) for m in matrix])) < 1e-12
    )


@pytest.mark.parametrize("rows", [2, 3, 4])
def test_norm_and_spectrum_of_crosstalk_are_products_of_those_of_its_factors(rows) -> None:
    """In closed form, against the singular values of the whole matrix: square, rank-deficient and tall mixing of 3 channels."""
    share = torch.rand(1, 1, 5, 4, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    base = FourierMask(share * (share > 0.3))
    operator = apply_crosstalk(ChannelwiseOperator(base, 3), randn((2, rows, 3), 7))
    assert isinstance(operator, CrosstalkOperator)
    values = torch.linalg.eigvalsh(dense(operator).mH @ dense(operator)).clamp_min(0)
    assert distance(operator.norm(), values[:, -1].sqrt()) < 1e-12
    density = operator.spectrum()
    assert distance(density.weights.sum(1), torch.ones(2, dtype=torch.float64)) < 1e-12
    for function in (lambda v: v, lambda v: v**3, lambda v: 1 / (v + 0.05)):
        assert distance(density.mean(function), function(values).mean(1)) < 1e-9


def test_what_does_not_mix_whole_channels_is_no_crosstalk() -> None:
    pairs = ChannelwiseOperator(ChannelwiseOperator(gridded(4, 4), 2), 2)
    with pytest.raises(ValueError, match="axis 0, I of size 2"):
        CrosstalkOperator(pairs, AxisMatrix(randn((1, 4, 4), 5), pairs.domain_shape, 0))
    with pytest.raises(ValueError, match="along axis 1"):
        CrosstalkOperator(pairs, AxisMatrix(randn((1, 4, 4), 5), pairs.domain_shape, 1))
    assert isinstance(apply_crosstalk(pairs, randn((1, 2, 2), 5)), CrosstalkOperator)


def test_a_unitary_change_of_basis_keeps_the_normal() -> None:
    """The Pauli basis (HH + VV, HH - VV, 2 HV) / sqrt 2 of a reciprocal scene, written for (HH, sqrt 2 HV, VV)."""
    pauli = torch.tensor([[1, 0, 1], [1, 0, -1], [0, 2**0.5, 0]], dtype=DOUBLE)[None] / 2**0.5
    base = ChannelwiseOperator(spotlight(), 3)
    operator = apply_crosstalk(base, pauli)
    assert operator.outer.isometry() is not None
    x = image_for(operator)
    assert distance(operator.normal(x), base.normal(x)) < 1e-14
    with pytest.raises(ValueError, match="cannot mix"):
        apply_crosstalk(base, torch.ones(1, 2, 2, dtype=DOUBLE))
