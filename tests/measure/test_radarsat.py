"""The RADARSAT-1 reader: made-up echoes in closed form, focus on a block of a real scene, one clear line for damage."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from refusals import refusal
from scipy.io import savemat
from scipy.optimize import brentq

from echoform.assess.metrics import entropy
from echoform.assess.point_target import point_target_response
from echoform.measure.errors import MeasurementFileError
from echoform.measure.measurement import Measurement
from echoform.measure.radarsat import (
    ANTENNA_M,
    SPEED_M_S,
    doppler_centroid_hz,
    measurement_from,
    read_radarsat,
    read_raw,
)
from echoform.measure.reading import read
from echoform.physics.compositions import ComposedOperator
from echoform.physics.stripmap_range_doppler import StripmapRangeDoppler
from echoform.scene.collection import SPEED_OF_LIGHT_M_S

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "sar_raw_radarsat1"
FILES = sorted(FOLDER.glob("*data1.mat"))
real_file = pytest.mark.skipif(not FILES, reason=f"the RADARSAT-1 files are not at {FOLDER}; they cannot be shipped")

PARAMETERS = {
    "f0": 5.3e9,
    "PRF": 1256.98,
    "Fr": 32317000,
    "Kr": 1.5e13,
    "Tr": 2e-6,
    "R0": 988647.462,
    "first_rg_cell": 101,
}
#: beam of the made-up scene
CENTROID_HZ = -7000.0
PULSES, CELLS = 96, 128


def echo_of(along_m: float, range_m: float, parameters: dict[str, float]) -> np.ndarray:
    """Delayed chirps of one scatterer at (along the track from the middle pulse, closest range), without a pattern."""
    c, rate = SPEED_OF_LIGHT_M_S, parameters["Fr"]
    first_m = parameters["R0"] + (parameters["first_rg_cell"] - 1) * c / (2 * rate)
    antenna_m = (np.arange(PULSES) - PULSES // 2) * SPEED_M_S / parameters["PRF"]
    distance = np.hypot(range_m, along_m - antenna_m)[:, None]
    t = 2 * first_m / c + np.arange(CELLS) / rate - 2 * distance / c
    chirp = np.exp(-1j * np.pi * parameters["Kr"] * (t - parameters["Tr"] / 2) ** 2)
    return np.where((t >= 0) & (t < parameters["Tr"]), chirp, 0) * np.exp(-4j * np.pi * parameters["f0"] / c * distance)


def squint_tangent() -> float:
    sine = SPEED_OF_LIGHT_M_S * CENTROID_HZ / (2 * SPEED_M_S * PARAMETERS["f0"])
    return sine / np.sqrt(1 - sine**2)


def write_scene(folder: Path, data: object = None, changes: Mapping[str, object] | None = None) -> Path:
    """Write raw echoes and their parameters as RADARSAT-1 scenes come."""
    range_m = 988647.462 + 130 * 4.638
    values = echo_of(range_m * squint_tangent(), range_m, PARAMETERS) if data is None else data
    savemat(folder / "sceneAdata1.mat", {"data": values}, do_compression=True)
    savemat(
        folder / "sceneA_run_params.mat", {k: v for k, v in (PARAMETERS | dict(changes or {})).items() if v is not None}
    )
    return folder / "sceneAdata1.mat"


def factor(m: Measurement) -> ComposedOperator:
    assert isinstance(m.operator, ComposedOperator)
    return m.operator


@pytest.mark.parametrize(("row", "column"), [(0, 0), (-20, 25), (30, -30)])
def test_a_scatterer_stands_where_it_was_put(tmp_path, row, column) -> None:
    probe = read_raw(write_scene(tmp_path)).collection()
    centre_m, sine = float(probe.centre_range_m[0]), float(probe.squint_sine()[0])
    along_m = centre_m * sine / np.sqrt(1 - sine**2) + row * SPEED_M_S / PARAMETERS["PRF"]
    range_m = centre_m + column * SPEED_OF_LIGHT_M_S / (2 * PARAMETERS["Fr"])
    raw = read_raw(write_scene(tmp_path, echo_of(along_m, range_m, PARAMETERS)))
    assert raw.samples.dtype == torch.complex64
    # The scene centre follows from the centroid, estimated anew in each scene: hold it for this one.
    held = float(probe.doppler_centroid_hz[0])
    m = measurement_from(replace(raw, doppler_centroid_hz=held))
    assert m.metadata.grid is not None
    assert m.metadata.grid.shape == (PULSES, CELLS)
    assert m.metadata.grid.spacing_m == pytest.approx((5.6182, 4.6383), rel=1e-4)
    image = m.operator.adjoint(m.y)[0, 0]
    found = divmod(int(image.abs().argmax()), CELLS)
    assert found == (PULSES // 2 + row, CELLS // 2 + column)


def test_centroid_is_the_slope_of_the_phase(tmp_path) -> None:
    turn = torch.exp(2j * torch.pi * CENTROID_HZ / 1256.98 * torch.arange(500, dtype=torch.float64))
    clutter = torch.randn(500, 300, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    smooth = torch.fft.ifft(torch.fft.fft(clutter, dim=0) * (torch.fft.fftfreq(500).abs() < 0.2)[:, None], dim=0)
    assert doppler_centroid_hz(smooth * turn[:, None], 1256.98, near_hz=-6900) == pytest.approx(CENTROID_HZ, abs=5)
    assert read_raw(write_scene(tmp_path)).doppler_centroid_hz == pytest.approx(CENTROID_HZ, abs=60)


def test_noise_is_found_beyond_the_chirp(tmp_path) -> None:
    generator = torch.Generator().manual_seed(2)
    noise = 0.7 * torch.randn(300, 2048, dtype=torch.complex128, generator=generator)
    band = torch.fft.fftfreq(2048, dtype=torch.float64).abs() < 0.46
    clutter = torch.fft.ifft(
        3 * torch.fft.fft(torch.randn(300, 2048, dtype=torch.complex128, generator=generator)) * band
    )
    raw = read_raw(write_scene(tmp_path, (noise + clutter).numpy()))
    # 1.5e13 Hz/s in 2 us: 30 MHz of 32.3 MHz
    assert raw.sigma == pytest.approx(0.7, rel=0.02)
    part = measurement_from(raw.block(slice(0, 32), slice(0, 128)))
    assert float(part.noise.sigma) == pytest.approx(raw.sigma)
    assert "from the band beyond the chirp" in part.metadata.notes["noise"]
    unknown = measurement_from(read_raw(write_scene(tmp_path, changes={"Kr": 2e13})))
    assert float(unknown.noise.sigma) == 0
    assert "unknown" in unknown.metadata.notes["noise"]


def test_door_takes_a_scene_and_a_gotcha_file_alike(tmp_path) -> None:
    import measure_cases

    assert read(write_scene(tmp_path)).y.shape == (1, 1, PULSES, CELLS)
    other = measure_cases.write_gotcha(tmp_path / "g.mat", measure_cases.gotcha_fields())
    assert read(other).y.shape == (1, 1, 24, 40)


def test_files_that_are_no_measurement_are_told_what_to_give(tmp_path) -> None:
    parameters = write_scene(tmp_path).with_name("sceneA_run_params.mat")
    told = refusal(read, parameters)
    assert "no variable 'data', expected 'data': RADARSAT-1 raw echoes (an array) or AFRL Gotcha" in told
    assert "give the raw echoes that these run parameters belong to, sceneAdata1.mat beside it" in told
    savemat(tmp_path / "other.mat", {"image": np.ones((4, 4))})
    told = refusal(read, tmp_path / "other.mat")
    assert "no variable 'data'" in told
    assert told.endswith("give a file of one of these kinds")


@real_file
def test_real_arrays_equal_those_of_scipy() -> None:
    from scipy.io import loadmat

    raw = read_raw(FILES[-1])
    assert np.array_equal(raw.samples.numpy(), loadmat(FILES[-1])["data"].astype(np.complex64))
    assert raw.samples.shape == (1536, 2048)
    assert raw.first_range_m == pytest.approx(988647.462 + 1049 * 4.63831, abs=0.01)
    assert -7529 < raw.doppler_centroid_hz < -6271


@real_file
def test_a_block_of_a_real_scene_focuses() -> None:
    """English Bay: a quarter of the aperture, 256 pulses; range-Doppler agrees to what it promises of an entry."""
    raw = read_raw(FILES[-1]).block(slice(640, 896), slice(300, 2048))
    m = measurement_from(raw)
    image = m.operator.adjoint(m.y)
    focused, compressed, unfocused = (float(entropy(v)) for v in (image, raw.compressed()[None, None], m.y))
    assert focused < compressed - 0.7
    assert focused < unfocused - 1.5
    fast = measurement_from(raw, form=StripmapRangeDoppler)
    other = fast.operator.adjoint(fast.y)
    assert float((other - image).norm() / image.norm()) < 0.002
    spread = float(entropy(factor(m).adjoint(m.y.conj().resolve_conj())))
    assert spread > focused + 1.0


@real_file
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_real_scene_focuses(path: Path) -> None:
    """256 pulses of each: 0.72 to 2.3 nat below the echoes compressed in range, 0.89 to 3.2 below the raw ones."""
    raw = read_raw(path).block(slice(640, 896), slice(300, 2048))
    m = measurement_from(raw)
    focused = float(entropy(m.operator.adjoint(m.y)))
    assert focused < float(entropy(raw.compressed()[None, None])) - 0.6
    assert focused < float(entropy(m.y)) - 0.8


def theory_px() -> float:
    """-3 dB width along the track of the two-way pattern of the antenna, carried by echo and adjoint, over one PRF."""
    doppler = np.linspace(-0.5, 0.5, 2001)
    weight = np.sinc(ANTENNA_M * doppler * PARAMETERS["PRF"] / (2 * SPEED_M_S)) ** 4

    def excess(row: float) -> float:
        return float((weight * np.cos(2 * np.pi * row * doppler)).sum() / weight.sum()) - np.sqrt(0.5)

    return 2 * brentq(excess, 0.1, 1.5)  # pyright: ignore[reportReturnType]


@real_file
@pytest.mark.slow
def test_ships_are_as_wide_as_the_antenna_lets_them_be() -> None:
    """The two of six ships at anchor with the lowest side lobes, -27 and -33 dB: 2 % below theory and equal to it."""
    m = measurement_from(read_raw(FILES[-1]))
    image = m.operator.adjoint(m.y)[0, 0]
    for row, column in ((580, 1048), (611, 1164)):
        part = image[row - 40 : row + 40, column - 40 : column + 40]
        seen = point_target_response(part, pixel=(40, 40))
        assert seen.rows.pslr_db < -25
        assert seen.rows.width_px == pytest.approx(theory_px(), rel=0.04)


def refused(path: Path) -> str:
    """Return the one line that the reader gives; it may name the file beside the one that was asked for."""
    with pytest.raises(MeasurementFileError) as caught:
        read(path)
    line = str(caught.value)
    assert line.isprintable()
    assert ": got " in line
    return line


def test_run_parameters_are_needed_beside_it(tmp_path) -> None:
    path = write_scene(tmp_path)
    (tmp_path / "sceneA_run_params.mat").rename(tmp_path / "elsewhere.mat")
    assert "no run parameters beside it (sceneA_run_params.mat)" in refused(path)
    (tmp_path / "sceneA_run_params.mat").write_bytes(b"text")
    assert "sceneA_run_params.mat: got a text file" in refused(path)


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_each_parameter_is_needed_and_checked(tmp_path, name) -> None:
    for value in (None, "text", np.ones(3), 1 + 2j):
        assert f"variable '{name}' that is no single real number" in refused(
            write_scene(tmp_path, changes={name: value})
        )
    for value in (0.0, np.nan, np.inf, 1e30):
        assert f"{name} = " in refused(write_scene(tmp_path, changes={name: value}))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.ones((40, 100)), "float64 of shape (40, 100)"),
        (np.ones((2, 40, 100)) * 1j, "of shape (2, 40, 100)"),
        (np.ones((40, 9)) * 1j, "of shape (40, 9)"),
        (np.zeros((40, 100)) * 1j, "nothing but zeros"),
        (np.full((40, 100), np.nan * 1j), "NaN"),
        (np.ones((40, 50)) * 1j, "a pulse of 2e-06 s"),
        ("text", "no variable 'data'"),
    ],
)
def test_data_that_cannot_be(tmp_path, data, message) -> None:
    path = write_scene(tmp_path, data)
    line = refused(path)
    assert message in line or (isinstance(data, str) and "'data'" in line)


def test_a_collection_that_cannot_be_imaged(tmp_path) -> None:
    assert "azimuth bins" in refused(write_scene(tmp_path, changes={"PRF": 99000.0}))
    near = {"R0": 1000.0, "Fr": 2e5, "Tr": 1e-4, "first_rg_cell": 1}
    assert "reach the path" in refused(write_scene(tmp_path, changes=near))
    assert "exceeds 2 v / lambda" in refused(write_scene(tmp_path, changes={"f0": 1.1e8}))


def test_truncated_anywhere(tmp_path) -> None:
    path = write_scene(tmp_path)
    content = path.read_bytes()
    for length in (1, 100, 128, 129, 150, 500, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        refused(path)


def test_flipped_bytes_never_give_another_exception(tmp_path) -> None:
    path = write_scene(tmp_path)
    beside = tmp_path / "sceneA_run_params.mat"
    rng, lines = np.random.default_rng(4), []
    for victim in (path, beside):
        content = victim.read_bytes()
        for _ in range(40):
            damaged = bytearray(content)
            for position in rng.integers(0, 400, 3):
                damaged[position] = rng.integers(256)
            victim.write_bytes(damaged)
            try:
                read_radarsat(path)
            except MeasurementFileError as error:
                lines.append(str(error))
        victim.write_bytes(content)
    assert len(lines) > 20
    assert all(line.isprintable() for line in lines)
