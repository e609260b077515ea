"""What families of radio draw beside their usual sensor: raw echoes, range-Doppler, OFDM, turns, errors, beams, two antennas."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from echoform.physics.axis_matrix import AxisMatrix
from echoform.physics.channelwise import BlockDiagonalOperator, ChannelwiseOperator
from echoform.physics.compositions import ComposedOperator
from echoform.physics.interference import Chirps, Interference, Pulses, Tones
from echoform.physics.polarimetry import CrosstalkOperator
from echoform.physics.range_chirp import RangeChirp
from echoform.physics.sample_gain import SampleGain
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.physics.spotlight_plane_wave import plane_wave_samples
from echoform.physics.stripmap_omega_k import StripmapOmegaK
from echoform.physics.stripmap_range_doppler import StripmapRangeDoppler
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.random_source import RandomSource
from echoform.scene.waveform import FmcwWaveform, OfdmWaveform
from echoform.train.problems import far_field_spotlight
from echoform.train.problems.array_radar import RangeAngle, RangeAngleDoppler
from echoform.train.problems.far_field_spotlight import FarFieldSpotlight
from echoform.train.problems.near_field_spotlight import NearFieldSpotlight
from echoform.train.problems.other_transmitters import draw_interference
from echoform.train.problems.polarimetry import Polarimetry
from echoform.train.problems.problem import draw_problem
from echoform.train.problems.repeat_pass import RepeatPass
from echoform.train.problems.stream import problem_generator
from echoform.train.problems.stripmap import Stripmap
from echoform.train.problems.very_long_baselines import Interferometry

SHAPE = (24, 24)


def source(index: int) -> RandomSource:
    return RandomSource(problem_generator(4, index))


@pytest.mark.parametrize(("share", "form"), [(0.0, StripmapOmegaK), (1.0, StripmapRangeDoppler)])
def test_raw_echoes_hold_what_compressed_ones_do(share: float, form: type) -> None:
    """A stripmap radar's raw echoes: the chirp after the same operator; its matched filter brings the scene back."""
    family = Stripmap(shape=SHAPE, raw=1.0, range_doppler=share, snr_db=(60.0, 60.0), kept=(0.99, 1.0))
    problem = draw_problem(problem_generator(4, 1), family, 3)
    operator = problem.operator
    assert isinstance(operator, ComposedOperator)
    assert isinstance(operator.outer, RangeChirp)
    assert isinstance(operator.inner, form)
    image = operator.adjoint(problem.measurement.y)
    alike = torch.linalg.vecdot(image.flatten(1), problem.truth.flatten(1)).abs()
    assert bool((alike / (image.flatten(1).norm(dim=1) * problem.truth.flatten(1).norm(dim=1)) > 0.6).all())


def test_the_whole_echo_of_every_pixel_is_heard() -> None:
    """Unit pixels at the image's corners have the energy that compressed samples have, within the chirp's ripple."""
    family = Stripmap(shape=SHAPE, raw=1.0, range_doppler=0.0, swept=(0.8, 0.8))
    for index in range(4):
        layout = family.layout(source(index), 1)
        raw = family.operator(layout)
        x = torch.zeros(1, 1, *SHAPE, dtype=torch.complex64).repeat(3, 1, 1, 1)
        for number, column in enumerate((0, 12, 23)):
            x[number, 0, 12, column] = 1
        energy = raw(x).abs().square().flatten(1).sum(1)
        assert float(energy.max() / energy.min()) < 1.15


def test_waveforms_and_turns() -> None:
    """FMCW and OFDM; transmitters at once in a frame, one after the other in a burst."""
    found = {type(RangeAngle(shape=SHAPE).layout(source(index), 1).waveform) for index in range(20)}
    assert found == {FmcwWaveform, OfdmWaveform}
    turns = set()
    for index in range(20):
        waveform = RangeAngleDoppler(shape=SHAPE).layout(source(index), 1).waveform
        turns.add(waveform.slots)
    assert turns == {(0,), (0, 1), (0, 1, 2)}


def test_element_gains_are_factors_of_their_samples() -> None:
    even, uneven = (RangeAngle(shape=SHAPE, faulty=0.0, uneven=share) for share in (0.0, 1.0))
    plain, mixed = even.layout(source(3), 2), uneven.layout(source(3), 2)
    gains = mixed.kept[1]
    assert bool((plain.kept[1] == 1).all())
    assert 0.02 < float((20 * gains.abs().log10()).std()) < 4
    x = torch.randn(2, 1, *SHAPE, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    expected = even.operator(plain)(x) * gains[:, None, :, None]
    assert torch.allclose(uneven.operator(mixed)(x), expected.to(x.dtype), rtol=1e-3, atol=1e-4)


def test_pulse_phases_defocus_an_image_that_does_not_know_of_them() -> None:
    family = FarFieldSpotlight(
        shape=SHAPE,
        defocused=1.0,
        drifting=0.0,
        narrow=0.0,
        edge_rad=30.0,
        snr_db=(60.0, 60.0),
        kept_pulses=(0.99, 1.0),
    )
    problem = draw_problem(problem_generator(4, 2), family, 4)
    operator = problem.operator
    assert isinstance(operator, ComposedOperator)
    assert isinstance(operator.outer, SampleGain)
    truth = problem.truth.flatten(1)

    def alike(image: torch.Tensor) -> torch.Tensor:
        flat = image.flatten(1)
        return torch.linalg.vecdot(flat, truth).abs() / (flat.norm(dim=1) * truth.norm(dim=1))

    focused = alike(operator.adjoint(problem.measurement.y))
    blurred = alike(operator.inner.adjoint(problem.measurement.y))
    assert float(focused.mean()) > float(blurred.mean()) + 0.1


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_near_wavefronts_are_not_plane(share: float) -> None:
    """One exact radar for all scenes, with one antenna or two; plane waves would miss its samples by far."""
    family = NearFieldSpotlight(shape=SHAPE, bistatic=share, factorised=0.0)
    drawn = source(5)
    layout = family.layout(drawn, 2)
    collection, frame = layout.radar.collection, layout.radar.frame
    assert (collection.receiver_m is not None) == bool(share)
    operator = family.operator(layout)
    base = operator.inner if isinstance(operator, ComposedOperator) else operator
    assert isinstance(base, ExactSpotlight)
    x = family.scene(drawn, layout).image
    flat = plane_wave_samples(collection, SHAPE, frame.spacing_m[:1].double())
    exact = base(x)
    assert float((flat(x) - exact).norm() / exact.norm()) > 0.3


def test_factorised_sums_are_the_exact_ones() -> None:
    family = NearFieldSpotlight(shape=SHAPE, factorised=1.0)
    drawn = source(6)
    layout = family.layout(drawn, 2)
    assert layout.factorised
    operator, exact = (family.operator(made) for made in (layout, replace(layout, factorised=False)))
    bases = [made.inner if isinstance(made, ComposedOperator) else made for made in (operator, exact)]
    assert [type(base) for base in bases] == [FactorisedSpotlight, ExactSpotlight]
    x = family.scene(drawn, layout).image
    assert float((operator(x) - exact(x)).norm() / exact(x).norm()) < 1e-2


def test_drifts_turn_the_samples_as_farther_points_would() -> None:
    """The phase of every sample by which a radar with drift differs is -4 pi f dR / c."""
    family = FarFieldSpotlight(shape=SHAPE, drifting=1.0, defocused=0.0, narrow=0.0)
    drawn = source(7)
    layout = family.layout(drawn, 2)
    x = family.scene(drawn, layout).image
    with_drift, without = (family.operator(made)(x) for made in (layout, replace(layout, offset_m=0 * layout.offset_m)))
    collection = layout.collection
    turn = -4 * math.pi / SPEED_OF_LIGHT_M_S * layout.offset_m[:, :, None] * collection.frequency_hz[:, None]
    assert float(turn.std()) > 1
    expected = without * torch.exp(1j * turn)[:, None].to(without.dtype)
    assert float((with_drift - expected).norm() / expected.norm()) < 1e-3


def test_a_narrow_beam_darkens_what_is_far_from_its_middle() -> None:
    """At y beside the line of sight the two-way amplitude is exp(-ln 2 (2 y / w)^2), w the beam's width on the ground."""
    family = FarFieldSpotlight(
        shape=SHAPE, narrow=1.0, beam=(1.0, 1.0), drifting=0.0, defocused=0.0, wander_wavelengths=0.0
    )
    layout = family.layout(source(8), 3)
    dy, dx = (layout.frame.spacing_m[:, i] for i in (0, 1))
    width = 24 * torch.hypot(dy, dx)
    x = torch.zeros(2, 3, 1, *SHAPE, dtype=torch.complex64)
    x[0, :, 0, 12, 12] = x[1, :, 0, 2, 12] = 1
    middle, side = family.operator(layout)(x).abs().square().flatten(2).sum(2).sqrt()
    expected = torch.exp(-math.log(2) * (2 * 10 * dy / width).square())
    assert torch.allclose(side / middle, expected, rtol=0.02)


def test_a_wandering_beam_dims_each_pulse_by_its_own_gain() -> None:
    """A pulse's samples are those of the scene times the beam at that pulse, within the tolerance of its few products."""
    family = NearFieldSpotlight(shape=SHAPE, factorised=0.0, wandering=1.0, bistatic=0.5)
    for seed in range(8):
        drawn = source(seed)
        layout = family.layout(drawn, 2)
        assert layout.moving is not None
        x = family.scene(drawn, layout).image
        found, wide = family.operator(layout)(x), family.operator(replace(layout, moving=None))
        pulses = layout.moving[0].to(x.real.dtype)
        expected = torch.stack([wide(g * x)[:, :, p] for p, g in enumerate(pulses)], 2)
        assert float((found - expected).norm()) < 5e-3 * float(expected.norm())
        assert float((pulses.std(0) / pulses.amax(0)).amax()) > 1e-3  # it does wander


def test_visibilities_of_unequal_stations_are_whitened() -> None:
    """Weights are 1 / sqrt(S_i S_j): products over two pairs of pairs agree; samples are those of even stations times them."""
    family = Interferometry(shape=SHAPE, stations=(7,), uneven=1.0, lost=0.0, lowest_deg=-90.0)
    drawn = source(9)
    layout = family.layout(drawn, 2)
    w = torch.zeros(2, 7, 7, dtype=torch.float64)
    first, second = torch.triu_indices(7, 7, 1)
    w[:, first, second] = layout.weights[:, 3]
    assert torch.allclose(w[:, 0, 1] * w[:, 2, 3], w[:, 0, 2] * w[:, 1, 3])
    power = (w[:, 0, 1] * w[:, 0, 2] / w[:, 1, 2]) ** -1
    assert bool(((power > 1) & (power < 50)).all())
    even = family.operator(replace(layout, weights=(layout.weights > 0).double()))
    x = family.scene(drawn, layout).image
    expected = even(x) * layout.weights[:, None]
    assert float((family.operator(layout)(x) - expected).norm() / expected.norm()) < 1e-4


def test_other_transmitters_are_as_strong_as_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one seed gives with and without them differs by 0 to 30 dB over the samples' power, where samples were taken alone."""
    kinds = []

    def watched(drawn: RandomSource, batch: int, line: int) -> Interference:
        """Draw and keep what was drawn."""
        kinds.append(draw_interference(drawn, batch, line))
        return kinds[-1]

    monkeypatch.setattr(far_field_spotlight, "draw_interference", watched)
    ratios = []
    for index in range(12):
        with_them, without = (
            draw_problem(problem_generator(4, index), FarFieldSpotlight(shape=SHAPE, interfered=share), 8)
            for share in (1.0, 0.0)
        )
        added = with_them.measurement.y - without.measurement.y
        marks = with_them.operator.support()
        assert marks is not None
        assert float((added * (marks == 0)).abs().max()) == 0
        ratio = added.abs().square().sum((1, 2, 3)) / without.measurement.y.abs().square().sum((1, 2, 3))
        ratios.append(10 * torch.log10(ratio) - kinds[-1].ratio_db)
        assert bool(((kinds[-1].ratio_db >= 0) & (kinds[-1].ratio_db <= 30)).all())
    assert len(kinds) == 12
    assert {type(kind) for kind in kinds} == {Tones, Chirps, Pulses}
    assert float(torch.cat(ratios).median()) == pytest.approx(0, abs=0.5)


def test_a_pair_is_two_passes_of_one_radar() -> None:
    """Each pass is its own channel through its own radar; the passes miss different pulses and see one grid."""
    problem = draw_problem(problem_generator(4, 0), RepeatPass(shape=SHAPE), 2)
    operator, x = problem.operator, problem.truth
    assert isinstance(operator, BlockDiagonalOperator)
    first, second = operator.operators
    clean = operator(x)
    assert torch.equal(clean, torch.cat([first(x[:, :1]), second(x[:, 1:])], 1))
    heard = [a.support() for a in (first, second)]
    assert heard[0] is not None
    assert heard[1] is not None
    assert not torch.equal(*heard)
    pair = problem.scene.interferogram
    assert pair is not None
    assert pair.shape == (2, *SHAPE)
    assert float(pair.abs().max()) <= 1


def test_polarimetric_samples_are_mixed_channels() -> None:
    kinds = set()
    for index in range(8):
        problem = draw_problem(problem_generator(4, index), Polarimetry(shape=SHAPE), 2)
        operator, x = problem.operator, problem.truth
        kinds.add(type(operator))
        assert x.shape[1] == 4
        assert torch.equal(x[:, 1], x[:, 2])
        if isinstance(operator, CrosstalkOperator):
            outer, inner = operator.outer, operator.inner
            pure = torch.zeros_like(x)
            pure[:, 0] = x[:, 0]
            assert isinstance(inner, AxisMatrix)  # channels that are alike are mixed as images
            cross, own = operator(pure), outer(pure)
            assert torch.allclose(cross[:, 0], own[:, 0], rtol=1e-4, atol=1e-5)
            leak = cross[:, 1].abs().square().sum() / own[:, 0].abs().square().sum()
            assert 1e-6 < float(leak) < 0.3
            assert outer.domain_shape[0] == 4
    assert kinds == {CrosstalkOperator, ChannelwiseOperator}
