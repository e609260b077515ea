"""The OpenRadar reader: made-up frames with a known target, focus on the real ones, one clear line for damage."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch

from echoform.measure.errors import MeasurementFileError
from echoform.measure.native import load, save
from echoform.measure.openradar import FrameSetup, read_openradar, sine_axis_rad
from echoform.measure.reading import read
from echoform.scene.collection import SPEED_OF_LIGHT_M_S

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "rf_fmcw_openradar"
CUBE, SIMPLE, DOPPLER = (FOLDER / n for n in ("doppler_example_1.npy", "simple_frame_1.npy", "doppler_example.npy"))
real = pytest.mark.skipif(not CUBE.exists(), reason="the OpenRadar frames are not in ../shared/data")


def frame(*, range_bin: int = 9, sine: float = 0.25, velocity_bin: int = 0, level: float = 90.0) -> np.ndarray:
    """16 chirps, 8 antennas, 32 samples of one target and a little noise, whole numbers; sines of the receivers' line."""
    m, q, n = np.meshgrid(np.arange(16), np.arange(8), np.arange(32), indexing="ij")
    turns = range_bin * n / 32 - sine * q / 2 + velocity_bin * (m + (q // 4) / 2) / 16
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, *m.shape)) * 2
    return np.round(level * np.exp(2j * np.pi * turns) + noise[0] + 1j * noise[1])


def unsigned(signed: np.ndarray) -> np.ndarray:
    return signed.real % 65536 + 1j * (signed.imag % 65536)


def written(path: Path, values: np.ndarray, dtype: str = "<c16") -> Path:
    np.save(path, values.astype(dtype))
    return path


@pytest.mark.parametrize("dtype", ["<c16", ">c16", "<c8", ">c8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_target_and_noise_of_a_made_up_frame(tmp_path, dtype, order) -> None:
    """Range bin 9, a quarter of the way to the right; unsigned words are told from their values and put right."""
    signed = frame()
    path = written(tmp_path / "frame.bin.npy", np.asarray(unsigned(signed), order=order), dtype)
    measurement = read(path)
    assert measurement.y.dtype == torch.complex64
    assert torch.equal(measurement.y[0], torch.from_numpy(signed).to(torch.complex64))
    assert "65536 subtracted" in measurement.metadata.notes["samples"]
    assert measurement.operator.domain_shape == (1, 32, 32)
    picture = measurement.operator.adjoint(measurement.y)[0, 0].abs()
    row, column = divmod(int(picture.argmax()), 32)
    assert (row, column) == (16 + 4, 9)  # sine = (row - 16) / 16
    assert float(measurement.noise.sigma) == pytest.approx(2 * 2**0.5, rel=0.15)
    assert "states no parameters" in measurement.metadata.notes["assumed"]


def test_signed_frames_are_kept(tmp_path) -> None:
    signed = frame()
    measurement = read(written(tmp_path / "m.npy", signed))
    assert torch.equal(measurement.y[0], torch.from_numpy(signed).to(torch.complex64))
    assert measurement.metadata.notes["samples"] == "as stored"
    halves = read(written(tmp_path / "h.npy", unsigned(signed) + 0.5))
    assert float(halves.y.real.max()) > 60000


def test_moving_target_in_the_cube(tmp_path) -> None:
    """Three velocity cells, receding: its channel, and its angle in spite of the turns the transmitters take."""
    path = written(tmp_path / "m.npy", frame(velocity_bin=3))
    measurement = read_openradar(path, velocities=16)
    cube = measurement.operator.adjoint(measurement.y)[0].abs()
    c, h, w = np.unravel_index(int(cube.argmax()), cube.shape)
    assert (c, h, w) == (8 + 3, 16 + 4, 9)
    one = read_openradar(written(tmp_path / "one.npy", frame(velocity_bin=-3)[:, 0]))
    picture = one.operator.adjoint(one.y)[0, 0].abs()
    assert divmod(int(picture.argmax()), 32) == (8 - 3, 9)
    with pytest.raises(ValueError, match="between 1 and 16"):
        read_openradar(path, velocities=17)


def test_setup_gives_the_scales(tmp_path) -> None:
    path = written(tmp_path / "m.npy", frame())
    setup = FrameSetup(slope_hz_per_s=30e12, transmitters=1, receivers=8)
    wide = read_openradar(path, setup=setup)
    cell = SPEED_OF_LIGHT_M_S / (2 * 30e12 * 32 / 2.5e6)
    assert f"steps of {100 * cell:.2f} cm" in wide.metadata.notes["axes"]
    assert sine_axis_rad(32)[0, [0, 16, 24]].tolist() == pytest.approx([-np.pi / 2, 0, np.pi / 6])


def test_native_round_trip(tmp_path) -> None:
    before = read(written(tmp_path / "m.npy", frame()))
    save(before, tmp_path / "m.h5")
    after = load(tmp_path / "m.h5")
    assert torch.equal(after.operator.adjoint(after.y), before.operator.adjoint(before.y))


@real
def test_real_cube_range_angle() -> None:
    """Behind the leakage (first ranges), the still scene's strongest echo at 5.22 m, 30 dB over the median of the picture."""
    measurement = read(CUBE)
    assert measurement.y.shape == (1, 128, 8, 128)
    picture = measurement.operator.adjoint(measurement.y)[0, 0, :, 8:120].abs().square()
    row, column = divmod(int(picture.argmax()), 112)
    assert column + 8 == 107
    assert abs(row - 16) <= 2
    assert 10 * np.log10(float(picture.max() / picture.median())) > 30


@real
def test_real_cube_movers() -> None:
    """Three movers near 2.9 m, each over 45 dB above the cube's median, one receding and two approaching."""
    measurement = read_openradar(CUBE, velocities=128)
    power = measurement.operator.adjoint(measurement.y)[0].abs().square()
    median = float(power.median())
    for velocity, column in ((7, 60), (-10, 60), (-6, 61)):
        near = power[64 + velocity - 1 : 64 + velocity + 2, :, column - 1 : column + 2]
        assert 10 * np.log10(float(near.max()) / median) > 45
        alone = power[64 + velocity, :, column]
        assert float(alone.max() / alone.median()) > 10  # one direction, not all


@real
@pytest.mark.parametrize(
    ("path", "row", "column", "level"), [(SIMPLE, 64, 107, 50), (DOPPLER, 64, 45, 45)], ids=["a", "b"]
)
def test_real_frames_of_one_antenna_range_doppler(path, row, column, level) -> None:
    """Still echoes stand in the middle row, over the median by the stated decibels, with the interpretation in the notes."""
    measurement = read(path)
    assert "(chirps, samples)" in measurement.metadata.notes["taken as"]
    picture = measurement.operator.adjoint(measurement.y)[0, 0].abs().square()
    picture[:, :4] = 0
    assert divmod(int(picture.argmax()), picture.shape[1]) == (row, column)
    assert 10 * np.log10(float(picture.max() / picture.median())) > level


def test_one_chirp_of_all_antennas(tmp_path) -> None:
    """Eight rows are the assumed setup's antennas: the target stands at its angle as in the cube."""
    measurement = read(written(tmp_path / "m.npy", frame(velocity_bin=0)[0]))
    assert "(virtual antennas, samples)" in measurement.metadata.notes["taken as"]
    assert measurement.operator.domain_shape == (1, 32, 32)
    picture = measurement.operator.adjoint(measurement.y)[0, 0].abs()
    assert divmod(int(picture.argmax()), 32) == (16 + 4, 9)


def test_chirps_of_one_antenna_are_told_from_the_shape(tmp_path) -> None:
    values = frame(velocity_bin=-3)[:, 0]
    told, asked = read(written(tmp_path / "a.npy", values)), read_openradar(written(tmp_path / "b.npy", values))
    assert torch.equal(told.operator.adjoint(told.y), asked.operator.adjoint(asked.y))


@real
def test_unsigned_words_would_hide_the_scene() -> None:
    """Taken at face value, the words' jumps between 0 and 65535 bury the movers: over 10 dB less above the median."""
    raw = torch.from_numpy(np.load(CUBE, allow_pickle=False))[None].to(torch.complex64)
    measurement = read_openradar(CUBE, velocities=128)
    levels = []
    for y in (measurement.y, raw):
        power = measurement.operator.adjoint(y)[0].abs().square()
        levels.append(10 * np.log10(float(power[71, :, 60].max() / power.median())))
    assert levels[0] > levels[1] + 10


def saved(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=True)
    return stream.getvalue()


def test_a_frame_without_noise_states_no_level(tmp_path) -> None:
    """Every sample alike: all range bins but one are empty, and so is the quietest tenth of them."""
    measurement = read(written(tmp_path / "m.npy", np.ones((16, 64)), "<c8"))
    assert float(measurement.noise.sigma) == 0
    assert "-inf dB" in measurement.metadata.notes["noise"]


def damaged() -> dict[str, tuple[bytes, str]]:
    """Return damaged files, each with the words of its refusal."""
    whole = saved(frame())
    header = whole[:128]
    nan = frame()
    nan[3, 4, 5] = np.nan
    return {
        "truncated": (whole[:-9], "bytes of data"),
        "longer": (whole + b"\0", "bytes of data"),
        "cut in the header": (whole[:40], "header that cannot be read"),
        "magic alone": (whole[:6], "unknown header"),
        "version": (whole[:6] + b"\x09\x00" + whole[8:], "unknown header"),
        "header length": (whole[:8] + b"\xff\xff" + whole[10:], "header that cannot be read"),
        "real": (saved(np.ones((4, 8, 16))), "a NumPy .npy file of dtype '<f8'"),
        "integers": (saved(np.ones((4, 8, 16), dtype="i2")), "a NumPy .npy file of dtype '<i2'"),
        "pickled": (saved(np.array([[[None] * 8] * 8] * 8)), "dtype '|O'"),
        "records": (saved(np.zeros((4, 8, 16), dtype=[("re", "f4")])), "header that cannot be read"),
        "one axis": (saved(np.ones(30, dtype="c16")), "of shape (30,)"),
        "scalar": (saved(np.array(1j)), "of shape ()"),
        "four axes": (saved(np.ones((2, 2, 8, 8), dtype="c16")), "of shape (2, 2, 8, 8)"),
        "two axes": (saved(frame()[:11, 0]), "of shape (11, 32)"),
        "empty axis": (saved(np.ones((4, 8, 0), dtype="c16")), "of shape (4, 8, 0)"),
        "antennas": (saved(np.ones((4, 6, 16), dtype="c16")), "(chirps, 8, samples)"),
        "huge claim": (header.replace(b"(16, 8, 32)", b"(99999, 8, 99999)"), "at most"),
        "code": (header.replace(b"(16, 8, 32)", b"__import__("), "header that cannot be read"),
        "not a number": (saved(nan), "NaN"),
        "too large": (saved(frame() * 1e200), "beyond single precision"),
        "zeros": (saved(0 * frame()), "nothing but zeros"),
    }


@pytest.mark.parametrize("label", damaged())
def test_damage_gives_one_line(tmp_path, label) -> None:
    content, message = damaged()[label]
    path = tmp_path / "frame.npy"
    path.write_bytes(content)
    with pytest.raises(MeasurementFileError) as caught:
        read(path)
    line = str(caught.value)
    assert message in line
    assert line.isprintable()
    assert len(line) < 600
    assert list(tmp_path.iterdir()) == [path]
