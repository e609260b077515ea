"""Metrics against formulas, SciPy, scikit-image (when installed) and perseo-quality."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from echoform.assess import metrics
from echoform.physics.fourier_mask import FourierMask


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    parts = torch.randn((*shape, 2), generator=generator, dtype=torch.float64)
    return torch.view_as_complex(parts * math.sqrt(0.5))


@pytest.fixture
def truth() -> torch.Tensor:
    return noise(3, 1, 40, 36, seed=1)


def test_nmse_of_known_errors(truth):
    gains = torch.tensor([1.1, 1j, 0.0], dtype=torch.complex128).reshape(3, 1, 1, 1)
    expected = torch.tensor([-20.0, 10 * math.log10(2), 0.0], dtype=torch.float64)
    torch.testing.assert_close(metrics.nmse_db(gains * truth, truth), expected)


def test_nmse_sees_phase_and_psnr_does_not(truth):
    turned = truth * 1j
    assert bool((metrics.nmse_db(turned, truth) > 3).all())
    assert bool((metrics.psnr_db(turned, truth, peak=metrics.peak_magnitude(truth)) > 200).all())


def test_psnr_of_a_uniform_error(truth):
    magnitude = truth.abs()
    peak = torch.tensor([2.0, 4.0, 8.0])
    result = metrics.psnr_db(magnitude + 0.01, magnitude, peak=peak)
    torch.testing.assert_close(result, 20 * torch.log10(peak.double() / 0.01))


def decibels(x: torch.Tensor, peak: float, floor: float) -> np.ndarray:
    return np.maximum(20 * np.log10(np.abs(x.numpy()) / peak), -floor) + floor


def test_ssim_against_scipy_filters(truth):
    other = truth + 0.5 * noise(3, 1, 40, 36, seed=2)
    peak = metrics.peak_magnitude(truth)
    result = metrics.log_ssim(other, truth, peak=peak, dynamic_range_db=30.0)
    for b in range(3):
        u, v = decibels(other[b, 0], float(peak[b]), 30.0), decibels(truth[b, 0], float(peak[b]), 30.0)

        def blur(a: np.ndarray) -> np.ndarray:
            return gaussian_filter(a, 1.5, truncate=3.5)[5:-5, 5:-5]

        mu, mv = blur(u), blur(v)
        c1, c2 = (0.01 * 30) ** 2, (0.03 * 30) ** 2
        top = (2 * mu * mv + c1) * (2 * (blur(u * v) - mu * mv) + c2)
        bottom = (mu**2 + mv**2 + c1) * (blur(u * u) - mu**2 + blur(v * v) - mv**2 + c2)
        assert float(result[b]) == pytest.approx((top / bottom).mean(), abs=1e-9)


def test_ssim_against_scikit_image(truth):
    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
    other = truth + 0.5 * noise(3, 1, 40, 36, seed=2)
    peak = metrics.peak_magnitude(truth)
    result = metrics.log_ssim(other, truth, peak=peak, dynamic_range_db=60.0)
    for b in range(3):
        u, v = decibels(other[b, 0], float(peak[b]), 60.0), decibels(truth[b, 0], float(peak[b]), 60.0)
        expected = structural_similarity(u, v, data_range=60.0, gaussian_weights=True, use_sample_covariance=False)
        assert float(result[b]) == pytest.approx(expected, abs=1e-7)


def test_ssim_ignores_what_lies_below_the_floor_and_is_one_for_equals(truth):
    peak = metrics.peak_magnitude(truth)
    torch.testing.assert_close(metrics.log_ssim(truth, truth, peak=peak), torch.ones(3, dtype=torch.float64))
    dark = torch.zeros_like(truth)
    dark[..., 20, 20] = 1
    dust = dark + 1e-4 * (dark == 0)
    score = metrics.log_ssim(dust, dark, peak=torch.ones(1), dynamic_range_db=60.0)
    torch.testing.assert_close(score, torch.ones(3, dtype=torch.float64))


def test_entropy_extremes():
    flat = torch.ones(1, 1, 8, 16, dtype=torch.complex64)
    point = torch.zeros(1, 1, 8, 16, dtype=torch.complex64)
    point[0, 0, 3, 4] = 5j
    assert float(metrics.entropy(flat)) == pytest.approx(math.log(128))
    assert float(metrics.entropy(point)) == 0


def test_coherence_of_a_noisy_copy():
    signal, disturbance = noise(2, 1, 128, 128, seed=3), noise(2, 1, 128, 128, seed=4)
    snr = 2.0
    pair = signal + disturbance / math.sqrt(snr)
    expected = 1 / math.sqrt(1 + 1 / snr)
    np.testing.assert_allclose(metrics.coherence(signal, 3j * pair).numpy(), expected, atol=0.01)
    torch.testing.assert_close(metrics.coherence(signal, -2 * signal), torch.ones(2, dtype=torch.float64))


def test_local_coherence_against_perseo():
    support = pytest.importorskip("perseo_quality.interferometric_analysis.support")
    a, b = noise(1, 1, 24, 30, seed=5), noise(1, 1, 24, 30, seed=6)
    b = b + a
    result = metrics.local_coherence(a, b, window=(5, 7))
    expected = support.coherence_computation_co_registered_core(a[0, 0].numpy(), b[0, 0].numpy(), kernel_size=(5, 7))
    np.testing.assert_allclose(result[0, 0].numpy(), np.abs(expected)[2:-2, 3:-3], rtol=1e-10)


def test_local_coherence_bias_of_unrelated_speckle():
    a, b = noise(1, 1, 130, 130, seed=7), noise(1, 1, 130, 130, seed=8)
    mean = float(metrics.local_coherence(a, b, window=(7, 7)).mean())
    assert mean == pytest.approx(math.sqrt(math.pi / (4 * 49)), rel=0.03)


def test_equivalent_looks_of_averaged_speckle_and_against_perseo():
    signal_processing = pytest.importorskip("perseo_quality.core.signal_processing")
    looks = (metrics._power(noise(4, 1, 128, 128, seed=9))).mean(0, keepdim=True).sqrt()
    result = float(metrics.equivalent_looks(looks))
    assert result == pytest.approx(4, rel=0.05)
    assert result == pytest.approx(
        signal_processing.compute_equivalent_number_of_looks(looks.square().numpy()), rel=1e-10
    )


def test_phase_rmse_removes_one_global_phase_only():
    t = noise(2, 1, 256, 256, seed=10)
    generator = torch.Generator().manual_seed(11)
    wobble = 0.2 * torch.randn(t.shape, generator=generator, dtype=torch.float64)
    x = 7 * t * torch.exp(1j * (wobble + 2.5))
    np.testing.assert_allclose(metrics.phase_rmse_rad(x, t).numpy(), 0.2, rtol=0.01)
    unrelated = metrics.phase_rmse_rad(noise(2, 1, 256, 256, seed=12), t)
    np.testing.assert_allclose(unrelated.numpy(), math.pi / math.sqrt(3), rtol=0.01)


def test_phase_rmse_counts_only_marked_and_lit_pixels():
    t = noise(1, 1, 8, 8, seed=13)
    x = t.clone()
    x[..., :4] *= torch.exp(torch.tensor(1j))
    x[..., 7] = 0
    where = torch.zeros(8, dtype=torch.bool)
    where[4:] = True
    assert float(metrics.phase_rmse_rad(x, t, where=where)) == pytest.approx(0, abs=1e-9)
    assert float(metrics.phase_rmse_rad(x, t)) > 0.3


def test_prediction_error_on_held_out_samples():
    x = noise(2, 1, 16, 16, seed=14)
    marks = (torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(15)) < 0.5).double()
    operator = FourierMask(marks)
    y = FourierMask(torch.ones(1, 1, 16, 16, dtype=torch.float64))(x)
    np.testing.assert_allclose(metrics.prediction_error_db(0.9 * x, operator, y).numpy(), -20, atol=1e-9)
    np.testing.assert_allclose(metrics.prediction_error_db(0 * x, operator, y).numpy(), 0, atol=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda a, b: metrics.nmse_db(a, b),
        lambda a, b: metrics.coherence(a, b),
        lambda a, b: metrics.log_ssim(a[..., :9], a[..., :9], peak=torch.ones(1)),
        lambda a, b: metrics.local_coherence(a, a, window=(50, 3)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call, truth):
    with pytest.raises(ValueError, match=r"expected|needs|fit"):
        call(truth, truth[:1])
