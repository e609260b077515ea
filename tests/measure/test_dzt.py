"""The GSSI reader: a made-up line, the diffraction of the real one, one clear line for damage."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from refusals import refusal

from echoform.measure.dzt import LineProcessing, direct_wave, first_break, read_dzt, read_traces
from echoform.measure.measurement import Measurement
from echoform.measure.reading import read
from echoform.physics.ground_homogeneous import HomogeneousGround
from echoform.physics.operator import LinearOperator
from echoform.scene.collection import SPEED_OF_LIGHT_M_S

REAL = Path(__file__).parents[3] / "shared" / "data" / "rf_gpr" / "gprpy_FILE032.DZT"
real_file = pytest.mark.skipif(not REAL.exists(), reason=f"the GPR line is not at {REAL}; it cannot be shipped")
SAMPLES, NANOSECONDS, PER_METRE, EPS = 256, 40.0, 25.0, 5.0
X_M, DEPTH_M = 0.6, 0.9


def ground_of(measurement: Measurement) -> HomogeneousGround:
    """The ground itself, without the gain over depth."""
    assert isinstance(measurement.operator, HomogeneousGround)
    return HomogeneousGround(measurement.operator.survey, measurement.operator.section)


def header(**changes: object) -> bytes:
    """Return a header of 1024 bytes, with fields changed."""
    values = {"offset": 1024, "samples": SAMPLES, "bits": 16, "per_metre": PER_METRE, "ns": NANOSECONDS} | changes
    content = bytearray(1024)
    struct.pack_into("<HHHH", content, 0, 0x00FF, values["offset"], values["samples"], values["bits"])
    struct.pack_into("<f", content, 14, values["per_metre"])
    struct.pack_into("<f", content, 26, values["ns"])
    struct.pack_into("<Hf", content, 52, values.get("channels", 1), values.get("eps", EPS))
    content[98:112] = str(values.get("antenna", "400MHz")).encode().ljust(14, b"\0")
    return bytes(content)


def pulse(time_s: np.ndarray) -> np.ndarray:
    """A wave of 400 MHz that begins at zero."""
    return np.where((time_s > 0) & (time_s < 5e-9), np.sin(2 * np.pi * 4e8 * time_s) * np.sin(np.pi * time_s / 5e-9), 0)


def traces() -> np.ndarray:
    """A direct wave from sample 30 on and the echo of one point, 81 traces about the middle of the line."""
    time_s = (np.arange(SAMPLES) - 30) * NANOSECONDS * 1e-9 / SAMPLES
    x = (np.arange(81) - 40) / PER_METRE
    delay = 2 * np.hypot(x - X_M, DEPTH_M) * math.sqrt(EPS) / SPEED_OF_LIGHT_M_S
    return 8000 * pulse(time_s)[None] + 800 * pulse(time_s[None] - delay[:, None])


def write(path: Path, head: bytes, values: np.ndarray) -> Path:
    words = np.round(values + 32768).astype("<u2")
    words[:, 0], words[:, 1] = np.arange(len(words)), 25600
    path.write_bytes(head + words.tobytes())
    return path


def test_a_made_up_point_migrates_to_its_place(tmp_path) -> None:
    path = write(tmp_path / "line", header(), traces())
    assert abs(first_break(read_traces(path).samples, 0.02) - 31) <= 1
    measurement = read(path)
    operator = ground_of(measurement)
    assert operator.range_shape[1] == 81
    image = operator.adjoint(measurement.y)[0, 0].abs() * operator.section.depths_m()[:, None]
    row, column = divmod(int(image.argmax()), image.shape[1])
    assert float(operator.section.grid.axes_m()[1][column]) == pytest.approx(X_M, abs=0.04)
    assert float(operator.section.depths_m()[row]) == pytest.approx(DEPTH_M, abs=0.05)
    few = read_dzt(path, processing=LineProcessing(first=10, last=30, band_hz=(3e8, 5e8), permittivity=7.0))
    assert few.operator.range_shape[1] == 20
    assert "given" in few.metadata.notes["soil"]


def test_points_at_all_depths_echo_equally(tmp_path) -> None:
    """Power of one pixel's echo, from the operator's columns: 1.1 dB apart from 0.2 m to 1.8 m deep; without the gain 31 dB."""
    measurement = read(write(tmp_path / "line", header(), traces()))
    rows, columns = measurement.operator.domain_shape[1:]
    depth = ground_of(measurement).section.depths_m()
    kept = [int((depth - z).abs().argmin()) for z in (0.2, 0.4, 0.8, 1.8)]
    points = torch.zeros(len(kept), 1, 1, rows, columns, dtype=torch.complex64)
    for point, row in zip(points, kept, strict=True):
        point[..., row, columns // 2] = 1

    def spread_db(operator: LinearOperator) -> float:
        power = operator(points).abs().square().flatten(1).sum(1)
        return 10 * math.log10(float(power.max() / power.min()))

    assert spread_db(measurement.operator) < 2
    assert spread_db(ground_of(measurement)) > 25


def test_words_of_every_width_and_the_offset_in_blocks(tmp_path) -> None:
    values = traces()
    wide = read_traces(write(tmp_path / "a", header(), values)).samples
    (tmp_path / "b").write_bytes(header(bits=32, offset=1) + np.round(values).astype("<i4").tobytes())
    (tmp_path / "c").write_bytes(header(bits=8) + np.round(values / 100 + 128).astype("u1").tobytes())
    assert np.allclose(read_traces(tmp_path / "b").samples[:, 2:], wide[:, 2:])
    assert np.abs(100 * read_traces(tmp_path / "c").samples[:, 2:] - wide[:, 2:]).max() < 51


def test_the_direct_wave_is_cut_out_softly() -> None:
    cut = direct_wave(np.ones(50), 12)
    assert (cut[:8] == 1).all()
    assert (np.diff(cut[7:12]) < 0).all()
    assert (cut[12:] == 0).all()


def envelopes(measurement, time_ns: np.ndarray) -> np.ndarray:
    operator = ground_of(measurement)
    hz = float(operator.start_hz) + float(operator.step_hz) * np.arange(measurement.y.shape[-1])
    phase = (operator.transmitted[0].conj() / operator.transmitted[0].abs()).numpy()
    return np.exp(2e-9j * np.pi * time_ns[:, None] * hz) @ (measurement.y[0, 0].numpy() * phase).T


def semblance(measurement, permittivity: float, *, trace: int, time_ns: float) -> float:
    """Share of the power along a diffraction's hyperbola, 1.2 m to each side, that adds up in phase; mean over 1 ns."""
    grid = np.arange(0, 46, 0.1)
    values = envelopes(measurement, grid)
    offset = np.arange(-60, 61, 2)
    coherent = power = 0.0
    for t in time_ns + np.arange(-0.4, 0.5, 0.2):
        along = np.hypot(t, 2 * offset * 0.02 * math.sqrt(permittivity) / (SPEED_OF_LIGHT_M_S * 1e-9))
        taken = values[np.minimum((along / 0.1).round().astype(int), len(grid) - 1), trace + offset]
        coherent, power = coherent + abs(taken.sum()) ** 2, power + (np.abs(taken) ** 2).sum()
    return coherent / (len(offset) * power)


@real_file
def test_the_clearest_diffraction_of_the_real_line_adds_up_at_one_permittivity() -> None:
    """Found by searching the whole line (benchmarks/ground.py): trace 330 at 20.8 ns, semblance 0.39 at 4.5, 0.14 at 3 and 7."""
    measurement = read_dzt(REAL)
    assert measurement.y.shape == (1, 1, 1040, 28)
    scores = {
        eps: semblance(measurement, eps, trace=330, time_ns=20.8) for eps in (2.0, 3.0, 3.5, 4.0, 4.5, 5.0, 7.0, 9.0)
    }
    assert max(scores, key=lambda eps: scores[eps]) == 4.5
    assert scores[4.5] > 0.33
    assert max(scores[eps] for eps in (2.0, 3.0, 7.0, 9.0)) < 0.2


@real_file
def test_migration_focuses_it() -> None:
    """Peak over the mean of the window, 4.5 against 3 and 5.5: measured 10.7, 7.3 and 7.9 dB; 9.6 dB in the unmigrated traces.

    The apex stands on a reflecting layer, so the peak is bright before migration too: the gain is small, the contrast between
    velocities is not. Width at -3 dB along the line: 0.19 m before, 0.13 m after.
    """
    found = {}
    for eps in (3.0, 4.5, 5.5):
        measurement = read_dzt(REAL, processing=LineProcessing(permittivity=eps, first=210, last=450))
        operator = ground_of(measurement)
        depth = operator.section.depths_m()
        power = (operator.adjoint(measurement.y)[0, 0] * depth[:, None]).abs().double().square()
        time_ns, middle = 2e9 * depth * math.sqrt(eps) / SPEED_OF_LIGHT_M_S, power.shape[1] // 2
        window = power[(time_ns > 14) & (time_ns < 28)][:, middle - 75 : middle + 75]
        box = power[(time_ns - 20.8).abs() < 1.5][:, middle - 15 : middle + 16]
        found[eps] = 10 * math.log10(float(box.max() / window.mean()))
    assert found[4.5] > 10
    assert found[4.5] > max(found[3.0], found[5.5]) + 2


DAMAGE = {
    "cut in a trace": (header(), -7, "a whole number of traces"),
    "header alone": (header()[:600], None, "a header of 1024"),
    "no data": (header(), 0, "a whole number of traces"),
    "two channels": (header(channels=2), None, "2 channels"),
    "no wheel": (header(per_metre=0.0), None, "no traces per metre"),
    "NaN per metre": (header(per_metre=math.nan), None, "finite numbers"),
    "absurd soil": (header(eps=1e30), None, "a permittivity of 1e+30"),
    "nameless antenna": (header(antenna="\x1b[31m5103"), None, "its frequency"),
}


@pytest.mark.parametrize("label", DAMAGE)
def test_damage_gives_one_clear_line(tmp_path, label) -> None:
    head, cut, message = DAMAGE[label]
    path = write(tmp_path / "line", head, traces())
    if len(head) < 1024:
        path.write_bytes(head)
    elif cut is not None:
        content = path.read_bytes()
        path.write_bytes(content[: 1024 if cut == 0 else cut])
    assert message in refusal(read, path)


def test_lines_without_an_image_give_one_clear_line(tmp_path) -> None:
    """Headers and words are as they should be, and yet there is nothing to image."""
    alike = np.repeat(traces()[:1], 32, axis=0)
    for label, head, values, message in (
        ("one trace", header(), traces()[:1], "got one trace, expected a line of two traces or more"),
        (
            "8000 ns",
            header(ns=8000.0),
            traces(),
            "traces of 8000 ns and 256 samples: the band 1.6e+08 to 8e+08 Hz holds 0",
        ),
        ("alike", header(), alike, "no signal in the band, all traces being alike"),
    ):
        assert message in refusal(read, write(tmp_path / "line", head, values)), label


def test_silence_and_unknown_headers(tmp_path) -> None:
    path = tmp_path / "line"
    path.write_bytes(header() + np.full(4 * SAMPLES, 32768, "<u2").tobytes())
    assert "without a signal" in refusal(read, path)
    for changes in ({"bits": 12}, {"ns": -1.0}, {"samples": 2}, {"offset": 1500}):
        path.write_bytes(header(**changes) + bytes(4096))
        assert "unknown format" in refusal(read, path)
    good = write(path, header(), traces())
    with pytest.raises(ValueError, match="fewer than two"):
        read_dzt(good, processing=LineProcessing(first=80))
    with pytest.raises(ValueError, match="holds 0"):
        read_dzt(good, processing=LineProcessing(band_hz=(1e12, 2e12)))
    assert bool(torch.isfinite(read_dzt(good, processing=LineProcessing(background=False)).y.abs()).all())
