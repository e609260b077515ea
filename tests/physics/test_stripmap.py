"""Stripmap SAR against echoes of point targets in closed form, pulse by pulse; resolution, signs, masks, refusals."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from stripmap_truth import airborne, echoes_over_frequency, echoes_over_time, image_of

from echoform.assess.point_target import cut_response, point_target_response
from echoform.physics.range_chirp import RangeChirp, raw_stripmap
from echoform.physics.stripmap import StripmapOperator
from echoform.physics.stripmap_coarse import SUM_ACCURACY
from echoform.physics.stripmap_omega_k import StripmapOmegaK
from echoform.physics.stripmap_range_doppler import StripmapRangeDoppler
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.stripmap import StripmapCollection, linear_chirp

CELL_M = SPEED_OF_LIGHT_M_S / 4e8
SHAPE, FREQUENCIES = (256, 128), 180
#: near and far, early and late, none at the centre of the swath alone
TARGETS = [((128, 64), 1.0), ((40, 10), 0.7j), ((200, 120), -0.5 + 0.5j)]
CENTROIDS = [0.0, 1500.0, -2500.0]


def build(form: type[StripmapOperator], collection: StripmapCollection, **changes) -> StripmapOperator:
    options = {"range_spacing_m": CELL_M, "frequencies": FREQUENCIES, "dtype": torch.complex128} | changes
    return form(collection, SHAPE, **options)


def error_db(a: torch.Tensor, b: torch.Tensor) -> float:
    return 20 * math.log10(float((a - b).norm() / b.norm()))


@pytest.mark.parametrize("centroid_hz", CENTROIDS)
def test_omega_k_equals_the_sum_over_point_targets(centroid_hz) -> None:
    """Squints of 0, 13 and -22 degrees, the centroid up to six ambiguities away; what is left is stationary phase."""
    operator = build(StripmapOmegaK, airborne(centroid_hz=centroid_hz))
    assert error_db(operator(image_of(TARGETS, operator)), echoes_over_frequency(operator, TARGETS)) < -50


@pytest.mark.parametrize("centroid_hz", CENTROIDS)
def test_range_doppler_equals_the_sum_over_point_targets(centroid_hz) -> None:
    """Over the whole sampled band, at every squint as at none; secondary range compression follows range."""
    operator = build(StripmapRangeDoppler, airborne(centroid_hz=centroid_hz))
    assert error_db(operator(image_of(TARGETS, operator)), echoes_over_frequency(operator, TARGETS)) < -50


@pytest.mark.parametrize(("centroid_hz", "terms"), [(0.0, 1), (1500.0, 2), (-2500.0, 3), (-4500.0, 4)])
def test_every_entry_of_range_doppler_errs_by_what_its_text_says(centroid_hz, terms) -> None:
    """Against exp(-i (k_x - k_xc) x) written out, at the near and far end of the swath and between; up to 42 degrees."""
    operator = build(StripmapRangeDoppler, airborne(centroid_hz=centroid_hz), azimuth_length=512)
    columns = torch.tensor([0, 1, 20, 64, 100, 127])
    ranges = torch.zeros(6, operator.azimuth_length, SHAPE[1], dtype=torch.complex128)
    ranges[torch.arange(6), :, columns] = 1
    doppler = torch.fft.fftfreq(512, 1 / 400, dtype=torch.float64)
    doppler = doppler + 400 * torch.round((centroid_hz - doppler) / 400)
    along, k_yc = 2 * math.pi / 100 * doppler, 2 * math.pi / 100 * centroid_hz
    frequency = 1e10 + 2e8 * (torch.arange(FREQUENCIES, dtype=torch.float64) - FREQUENCIES // 2) / FREQUENCIES
    k = 4 * math.pi / SPEED_OF_LIGHT_M_S * frequency
    k_xc = math.sqrt((4e10 * math.pi / SPEED_OF_LIGHT_M_S) ** 2 - k_yc**2)
    k_x = (k.square() - along[:, None].square()).sqrt()
    expected = torch.exp(-1j * (k_x - k_xc) * ((columns - 64) * CELL_M)[:, None, None])
    assert float((operator.to_frequencies(ranges, 0) - expected).abs().max()) < SUM_ACCURACY
    assert isinstance(operator, StripmapRangeDoppler)
    assert operator.tilts.shape[1] == terms


def test_range_doppler_is_exact_in_the_middle_of_the_swath() -> None:
    collection, middle = airborne(centroid_hz=-2500.0), [((128, 64), 1.0), ((40, 64), 1.0j)]
    operator, reference = build(StripmapRangeDoppler, collection), build(StripmapOmegaK, collection)
    assert error_db(operator(image_of(middle, operator)), reference(image_of(middle, reference))) < -100


@pytest.mark.parametrize("form", [StripmapOmegaK, StripmapRangeDoppler])
@pytest.mark.parametrize("centroid_hz", CENTROIDS)
def test_widths_of_focused_exact_echoes_follow_theory(form, centroid_hz) -> None:
    """The image of a target is the transform of its support, here known; its cut along the track is a sinc.

    Pixels are half a sample wide: with squint k_x spans more than the sampled band.
    """
    collection = airborne(centroid_hz=centroid_hz, antenna_m=0.0, pulses=1024)
    operator = build(form, collection, range_spacing_m=CELL_M / 2)
    targets = [((100, 70), 1.0)]
    image = operator.adjoint(echoes_over_frequency(operator, targets))[0, 0]
    found = point_target_response(image, pixel=(100, 70))
    assert abs(found.rows.position_px - 100) < 0.02
    assert abs(found.columns.position_px - 70) < 0.02
    assert found.rows.width_px == pytest.approx(0.8859, rel=0.02)
    assert found.columns.width_px == pytest.approx(range_width_px(operator), rel=0.02)
    if centroid_hz == 0:
        assert found.columns.width_px == pytest.approx(2 * 0.8859, rel=0.02)
        assert abs(found.columns.pslr_db + 13.26) < 0.3
        assert abs(found.rows.pslr_db + 13.26) < 0.3


def range_width_px(operator: StripmapOperator) -> float:
    """-3 dB width of sum exp(i (k_x - k_xc) x) over Doppler band and frequencies."""
    k_x = operator.range_wavenumber(0).flatten()[::7]
    x = torch.arange(-96, 97, dtype=torch.float64) * operator.range_spacing_m / 32
    response = torch.exp(1j * (k_x - k_x.mean()) * x[:, None]).sum(1).abs()
    return cut_response(response, near=96, oversampling=32).width_px


def test_late_rows_are_heard_late_and_far_columns_echo_late() -> None:
    operator = build(StripmapOmegaK, airborne(centroid_hz=-700.0, pulses=1024))

    def heard(row: int, column: int) -> tuple[float, float]:
        power = operator(image_of([((row, column), 1.0)], operator))[0, 0]
        echo = torch.fft.ifft(torch.fft.ifftshift(power[512])).abs().argmax()
        over_pulses = power.abs().square().sum(1)
        index = torch.arange(len(over_pulses), dtype=torch.float64)
        return float((index * over_pulses).sum() / over_pulses.sum()), float(echo)

    middle, late, far = heard(128, 64), heard(158, 64), heard(128, 74)
    assert abs(middle[0] - 512) < 1
    assert late[0] - middle[0] == pytest.approx(30, abs=0.5)
    assert (far[1] - middle[1]) % FREQUENCIES == pytest.approx(10, abs=1)


def test_default_azimuth_length_keeps_echoes_apart() -> None:
    """Corners of the image are heard as with transforms twice as long."""
    collection = airborne(centroid_hz=-1500.0, pulses=200)
    operator = build(StripmapOmegaK, collection)
    longer = build(StripmapOmegaK, collection, azimuth_length=2 * operator.azimuth_length)
    corners = [((0, 0), 1.0), ((0, 127), 1.0), ((255, 0), 1.0), ((255, 127), 1.0)]
    assert error_db(operator(image_of(corners, operator)), longer(image_of(corners, longer))) < -40


def test_missing_pulses_are_zero_and_cost_the_fast_normal() -> None:
    collection = airborne(centroid_hz=300.0)
    dropped = torch.arange(512)[None] % 3 == 1
    whole, thinned = build(StripmapOmegaK, collection), build(StripmapOmegaK, collection.without(dropped))
    image = image_of(TARGETS, whole)
    assert torch.equal(thinned(image), whole(image) * ~dropped[:, None, :, None])
    periodic = build(StripmapOmegaK, collection, azimuth_length=512)
    assert isinstance(periodic, StripmapOmegaK)
    assert periodic.toeplitz is not None
    for other in (whole, thinned, build(StripmapOmegaK, collection.without(dropped), azimuth_length=512)):
        assert isinstance(other, StripmapOmegaK)
        assert other.toeplitz is None
    expected = periodic.adjoint(periodic(image))
    assert float((periodic.normal(image) - expected).norm() / expected.norm()) < 1e-11


def chirp(rate: float, start: float, *, first: int, samples: int, frequencies: int = 700) -> torch.Tensor:
    """What RangeChirp makes of a scatterer at the delay ``start`` (in samples), with t_0 = ``first`` samples."""
    pulse = linear_chirp(rate, 2e-6, 2e8)[None]
    operator = RangeChirp(
        pulse,
        torch.tensor([first / 2e8], dtype=torch.float64),
        torch.tensor([2e8]),
        pulses=1,
        frequencies=frequencies,
        samples=samples,
        dtype=torch.complex128,
    )
    f = (torch.arange(frequencies, dtype=torch.float64) - frequencies // 2) / frequencies
    return operator(torch.exp(-2j * math.pi * f * start)[None, None, None])[0, 0, 0]


def pulse_at(t: np.ndarray, rate: float, duration: float = 2e-6) -> np.ndarray:
    return np.where((t >= 0) & (t < duration), np.exp(1j * np.pi * rate * (t - duration / 2) ** 2), 0)


def test_chirp_on_a_sample_is_exact_and_between_samples_interpolated() -> None:
    rate, t = -5e13, (5000 + np.arange(300)) / 2e8
    for start, bound_db in ((5017.0, -150), (4900.0, -150), (5017.37, -25)):
        expected = torch.from_numpy(pulse_at(t - start / 2e8 + 1e-16, rate))
        assert error_db(chirp(rate, start, first=5000, samples=300), expected) < bound_db


def test_matched_filter_width_is_that_of_the_band() -> None:
    pulse = linear_chirp(6e13, 2e-6, 2e8)[None]
    operator = RangeChirp(
        pulse, torch.zeros(1), torch.tensor([2e8]), pulses=1, frequencies=1024, samples=1024, dtype=torch.complex128
    )
    echo = operator(
        torch.exp(-2j * math.pi * (torch.arange(1024) - 512) / 1024 * 300)[None, None, None].to(torch.complex128)
    )
    compressed = torch.fft.ifft(torch.fft.ifftshift(operator.adjoint(echo)[0, 0, 0]))
    found = point_target_response(compressed[None].expand(3, -1), pixel=(1, 300))
    assert found.columns.width_px == pytest.approx(0.886 * 2e8 / 1.2e8, rel=0.02)


def hann(t: np.ndarray, duration: float = 2e-6) -> np.ndarray:
    return np.sin(np.pi * t / duration) ** 2


@pytest.mark.parametrize("centroid_hz", [0.0, 1500.0])
@pytest.mark.parametrize(("envelope", "bound_db"), [(np.ones_like, -23), (hann, -45)])
def test_raw_echoes_equal_the_sum_of_delayed_pulses(centroid_hz, envelope, bound_db) -> None:
    """Pulses cut by the window at both ends, corners of the image included. Sharp pulses have a spectrum beyond the band."""
    collection, rate = airborne(centroid_hz=centroid_hz), 5e13
    squint = math.sqrt(1 - float(collection.squint_sine()) ** 2)
    first = 2 * (3000 - 80 * CELL_M) / squint / SPEED_OF_LIGHT_M_S
    pulse = linear_chirp(rate, 2e-6, 2e8)
    operator = raw_stripmap(
        StripmapOmegaK,
        collection,
        SHAPE,
        pulse=(pulse * torch.from_numpy(envelope(np.arange(len(pulse)) / 2e8)))[None],
        first_sample_s=torch.tensor([first], dtype=torch.float64),
        samples=300,
        range_spacing_m=CELL_M,
        dtype=torch.complex128,
    )
    assert isinstance(operator.inner, StripmapOperator)
    targets = [*TARGETS, ((0, 0), 1.0), ((255, 127), 1.0)]
    expected = echoes_over_time(
        operator.inner, targets, lambda t: envelope(t) * pulse_at(t, rate), first_sample_s=first, samples=300
    )
    assert error_db(operator(image_of(targets, operator.inner)), expected) < bound_db


def test_a_dropped_pulse_has_no_echo() -> None:
    collection = airborne(centroid_hz=0.0, pulses=8).without(torch.arange(8)[None] == 3)
    operator = raw_stripmap(
        StripmapOmegaK,
        collection,
        (16, 16),
        pulse=linear_chirp(5e13, 1e-7, 2e8)[None],
        first_sample_s=torch.tensor([1.998e-5]),
        samples=40,
        range_spacing_m=CELL_M,
    )
    marks = operator.support()
    assert marks is not None
    assert marks.flatten().tolist() == [1, 1, 1, 0, 1, 1, 1, 1]
    echo = operator(torch.ones(1, 1, 16, 16, dtype=torch.complex64))
    assert float(echo[0, 0, 3].abs().max()) == 0
    assert float(echo.abs().max()) > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speed_m_s": torch.tensor([-1.0])}, "speed_m_s must be positive"),
        ({"prf_hz": torch.tensor([torch.nan])}, "prf_hz must be finite"),
        ({"prf_hz": torch.tensor([[1.0]])}, "prf_hz must be finite numbers"),
        ({"antenna_m": torch.tensor([-1.0])}, "antenna_m must be zero or positive"),
        ({"doppler_centroid_hz": torch.tensor([7000.0])}, "exceed 2 v / lambda"),
        ({"kept": torch.ones(4)}, "kept must be"),
    ],
)
def test_collections_that_cannot_be(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        replace(airborne(centroid_hz=0.0), **change)


def test_operators_that_cannot_be() -> None:
    collection = airborne(centroid_hz=0.0)
    with pytest.raises(ValueError, match="reach the path"):
        build(StripmapOmegaK, collection, range_spacing_m=50.0)
    with pytest.raises(ValueError, match="azimuth_length 300 is shorter"):
        build(StripmapOmegaK, collection, azimuth_length=300)
    with pytest.raises(ValueError, match="at the lowest frequency"):
        build(StripmapOmegaK, replace(collection, doppler_centroid_hz=torch.tensor([6440.0])))
    wide = torch.tensor([4e9], dtype=torch.float64)
    with pytest.raises(ValueError, match="takes more than 48 terms; use StripmapOmegaK"):
        build(
            StripmapRangeDoppler, replace(collection, sample_rate_hz=wide, doppler_centroid_hz=torch.tensor([-2500.0]))
        )
    moving = replace(collection, speed_m_s=torch.tensor([100.0], dtype=torch.float64, requires_grad=True))
    with pytest.raises(ValueError, match="omega-K has no gradients to its geometry"):
        build(StripmapOmegaK, moving)
    with pytest.raises(ValueError, match="5 frequencies must be no fewer"):
        RangeChirp(torch.ones(1, 3), torch.zeros(1), torch.ones(1), pulses=2, frequencies=5, samples=6)


def test_held_exponentials_give_what_the_sums_give(monkeypatch) -> None:
    radar = airborne(centroid_hz=-700.0, pulses=60)
    small = {"range_spacing_m": CELL_M, "frequencies": 24}
    held = StripmapOmegaK(radar, (48, 32), **small)
    monkeypatch.setattr("echoform.physics.stripmap_omega_k.HELD", 0)
    summed = StripmapOmegaK(radar, (48, 32), **small)
    assert held.tables is not None
    assert summed.tables is None
    x = torch.randn(2, *held.domain_shape, dtype=held.dtype, generator=torch.Generator().manual_seed(1))
    y = held(x)
    assert float((y - summed(x)).norm() / y.norm()) < 1e-5
    back = held.adjoint(y)
    assert float((back - summed.adjoint(y)).norm() / back.norm()) < 1e-5
