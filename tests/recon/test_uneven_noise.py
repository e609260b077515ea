"""Noise whose level differs from sample to sample: every reconstructor weighs the samples by what they tell."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from echoform.assess.metrics import nmse_db
from echoform.measure.measurement import Measurement, simulate
from echoform.measure.whitened import whitened
from echoform.nets import weights
from echoform.nets.ram import RAM, TINY
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise, Noise
from echoform.physics.noise_coloured import ColouredGaussianNoise, DiagonalGaussianNoise, spectral_covariance
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.recon.classical.magnitude_total_variation import MagnitudeTotalVariation
from echoform.recon.classical.matched_filter import MatchedFilter
from echoform.recon.classical.multilook import MultilookMatchedFilter
from echoform.recon.classical.sparse import SparseL1
from echoform.recon.classical.tikhonov import Tikhonov
from echoform.recon.classical.total_variation import TotalVariation
from echoform.recon.classical.window import Taylor
from echoform.recon.network import NetworkReconstructor
from echoform.recon.reconstructor import Reconstructor
from echoform.report.residual import residual_maps
from echoform.report.scores import score

SIDE, SCENES = 32, 3


def sensor() -> NonuniformFourier:
    """48 pulses and 40 frequencies over the whole spectrum of the image, somewhat denser than it needs."""
    axes = [torch.linspace(-3.05, 3.05, n, dtype=torch.float64) for n in (48, 40)]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"))[None].flatten(-2)
    ones = torch.ones(1, points.shape[-1], dtype=torch.float64)
    return NonuniformFourier(points, ones, domain_shape=(1, SIDE, SIDE), sample_shape=(48, 40))


def scene() -> torch.Tensor:
    """Thirty points over 20 dB above weak speckle."""
    generator = torch.Generator().manual_seed(1)
    x = 0.03 * torch.randn(SCENES, 1, SIDE, SIDE, dtype=torch.complex64, generator=generator)
    at = torch.randint(0, SIDE * SIDE, (SCENES, 30), generator=generator)
    level = 10 ** (-torch.rand(SCENES, 30, generator=generator))
    points = torch.polar(level, 2 * math.pi * torch.rand(SCENES, 30, generator=generator))
    return x + torch.zeros(SCENES, SIDE * SIDE, dtype=torch.complex64).scatter(1, at, points).reshape(x.shape)


def rms_samples(operator: LinearOperator) -> float:
    return float(operator(scene()).abs().square().mean().sqrt())


def per_sample(operator: LinearOperator) -> DiagonalGaussianNoise:
    """A third of the frequencies and some pulses hear 30 dB more noise than the others, whose SNR is 20 dB."""
    generator = torch.Generator().manual_seed(4)
    loud = torch.rand(1, 1, 1, 40, generator=generator) < 0.33
    louder = torch.rand(1, 1, 48, 1, generator=generator) < 0.15
    level = 10 ** (1.5 * (loud | louder).double()) * 0.1 * rms_samples(operator)
    return DiagonalGaussianNoise(level.float())


def along_frequency(operator: LinearOperator) -> ColouredGaussianNoise:
    """Noise 35 dB stronger at the delays of two rows of pixels than at others, whose SNR is 20 dB."""
    turn = 2 * math.pi * torch.arange(256, dtype=torch.float64) / 256
    density = 1 + 3000 * torch.exp(300 * (torch.cos(turn - 1.0) - 1))
    covariance = spectral_covariance((0.1 * rms_samples(operator)) ** 2 * density[None], 40)
    return ColouredGaussianNoise(covariance.to(torch.complex64), 2)


def measured(noise: str) -> Measurement:
    operator = sensor()
    model = {"per sample": per_sample, "coloured": along_frequency}[noise](operator)
    return simulate(scene(), operator, model, generator=torch.Generator().manual_seed(2))


def one_level(measurement: Measurement) -> Measurement:
    """The same samples, said to have white noise of the right energy: what a method saw that did not whiten."""
    return replace(measurement, noise=GaussianNoise(measurement.noise.sigma.float()))


METHODS = {
    "matched filter": MatchedFilter,
    "Taylor": lambda: MatchedFilter(Taylor()),
    "multilook": MultilookMatchedFilter,
    "Tikhonov": lambda: Tikhonov(max_iterations=50),
    "l1": lambda: SparseL1(iterations=60, tolerance=1e-3),
    "TV": lambda: TotalVariation(iterations=20, tolerance=1e-2),
    "TV of magnitude": lambda: MagnitudeTotalVariation(0.1, iterations=3),
    "untrained network": lambda: NetworkReconstructor(untrained()),
}


def untrained() -> RAM:
    torch.manual_seed(0)
    return RAM(TINY).eval()


@pytest.mark.parametrize("label", METHODS)
def test_every_method_whitens_by_itself(label: str) -> None:
    """The estimate from the measurement is that from (W y, W A)."""
    measurement = measured("per sample")
    method = METHODS[label]()
    assert torch.equal(method(measurement).mean, method(whitened(measurement)).mean)


def test_white_noise_is_left_alone() -> None:
    class Witness(MatchedFilter):
        def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None):
            assert measurement is given
            return super().forward(measurement, generator=generator)

    given = one_level(measured("per sample"))
    assert Witness()(given).std is None


@pytest.mark.parametrize("noise", ["per sample", "coloured"])
@pytest.mark.parametrize(
    ("label", "make", "least_gain_db"),
    [
        ("Tikhonov", Tikhonov, 3.0),
        ("l1", SparseL1, 3.0),
        ("RAM (echoform-tiny)", lambda: NetworkReconstructor(weights.load("echoform-tiny")), 1.0),
    ],
)
def test_whitening_lowers_the_error(noise, label, make, least_gain_db) -> None:
    """NMSE of the same samples with the noise told as it is, and told by its rms level only."""
    measurement, truth, method = measured(noise), scene(), make()
    told = nmse_db(method(measurement).mean, truth)
    level = nmse_db(method(one_level(measurement)).mean, truth)
    print(
        f"\n{label}, {noise} noise: NMSE {float(told.mean()):.2f} dB whitened, {float(level.mean()):.2f} dB by one level"
    )
    assert float((level - told).min()) > 0
    assert float(level.mean() - told.mean()) > least_gain_db


def test_the_weight_meets_the_whitened_noise_and_the_report_says_so() -> None:
    measurement = measured("per sample")
    estimate = Tikhonov()(measurement)
    assert estimate.facts["discrepancy"] == pytest.approx(1, abs=0.01)
    scores = {s.key: s.value for s in score(measurement, estimate, held_out=None, target=(16, 16))}
    assert scores["misfit_over_noise"] == pytest.approx(1, abs=0.02)
    (truth_map,) = residual_maps(measurement, [scene()])
    assert truth_map.against_noise
    assert float(10 * (10 ** (truth_map.level_db / 10)).mean().log10()) == pytest.approx(0, abs=0.3)


def test_the_state_head_by_itself_whitens_noise_of_many_levels() -> None:
    network, measurement = untrained(), measured("per sample")
    with torch.no_grad():
        assert torch.equal(network(measurement), network(whitened(measurement)))


def test_a_sample_without_noise_is_refused_in_words() -> None:
    measurement = measured("per sample")
    silent = replace(measurement, noise=DiagonalGaussianNoise(torch.zeros(1, 1, 48, 40)))
    for method in (MatchedFilter(), Tikhonov(), SparseL1()):
        with pytest.raises(ValueError, match="level zero"):
            method(silent)


class Constant(Reconstructor):
    """Says what noise it was shown."""

    seen: Noise

    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None):
        self.seen = measurement.noise
        return MatchedFilter().forward(measurement)


def test_a_method_of_ones_own_sees_one_level() -> None:
    """Whoever writes a reconstructor need not know of noise that is not white."""
    operator = FourierMask(torch.ones(1, 1, SIDE, SIDE))
    level = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) + 0.1
    method = Constant()
    method(simulate(scene(), operator, DiagonalGaussianNoise(level)))
    assert isinstance(method.seen, GaussianNoise)
    assert float(method.seen.sigma) == pytest.approx(float(level.square().mean().sqrt()))
