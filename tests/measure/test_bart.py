"""The BART reader: a round trip, the real brain, and damaged pairs of files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from echoform.linalg.fft import fft2c, ifft2c
from echoform.measure.bart import read_bart, read_kspace
from echoform.measure.errors import MeasurementFileError
from echoform.measure.kspace import outer_level
from echoform.measure.reading import read
from echoform.physics.multicoil_mri import MulticoilMRI
from mri_cases import smooth_maps

BRAIN = Path(__file__).parents[3] / "shared" / "data" / "mri_multicoil_brain" / "full.hdr"
ROWS, COLUMNS, COILS = 40, 32, 3


def kspace(*, every: int = 1) -> np.ndarray:
    """A disc seen by three coils with noise of sigma 0.01, (rows, columns, coils); every second line outside the centre."""
    y, x = torch.meshgrid(torch.arange(ROWS) - ROWS // 2, torch.arange(COLUMNS) - COLUMNS // 2, indexing="ij")
    disc = ((y / 14.0) ** 2 + (x / 11.0) ** 2 < 1).to(torch.complex128)
    clean = fft2c(smooth_maps((ROWS, COLUMNS), 2) * disc)
    noise = torch.randn(clean.shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    noisy = clean + 0.01 * noise
    kept = (torch.arange(ROWS) % every == 0) | ((torch.arange(ROWS) - ROWS // 2).abs() < 10)
    return (noisy * kept[:, None]).permute(1, 2, 0).numpy().astype(np.complex64)


def write(folder: Path, samples: np.ndarray, *, dims: str | None = None, name: str = "slice") -> Path:
    words = dims if dims is not None else f"1 {ROWS} {COLUMNS} {COILS} 1"
    (folder / f"{name}.hdr").write_text(f"# Dimensions\n{words} \n")
    (folder / f"{name}.cfl").write_bytes(samples.astype("<c8").tobytes(order="F"))
    return folder / f"{name}.hdr"


def refusal(path: Path) -> str:
    with pytest.raises(MeasurementFileError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("suffix", [".hdr", ".cfl"])
def test_samples_come_back_whichever_file_is_named(tmp_path: Path, suffix: str) -> None:
    samples = kspace()
    measurement = read(write(tmp_path, samples).with_suffix(suffix))
    assert np.array_equal(measurement.y[0].permute(1, 2, 0).numpy(), samples)
    assert isinstance(measurement.operator, MulticoilMRI)
    assert measurement.operator.domain_shape == (1, ROWS, COLUMNS)


def test_skipped_lines_are_no_samples(tmp_path: Path) -> None:
    measurement = read(write(tmp_path, kspace(every=2)))
    marks = measurement.operator.support()[0, 0]
    skipped = (torch.arange(ROWS) % 2 == 1) & ((torch.arange(ROWS) - ROWS // 2).abs() >= 10)
    assert torch.equal(marks[:, 0] == 0, skipped)
    assert "centre 20 x 24" in measurement.metadata.notes["sensitivities"]


def test_the_noise_level_is_read_where_only_noise_is(tmp_path: Path) -> None:
    """White noise of total variance 2 x 0.01^2 / 2 per sample: torch's complex normal has variance one."""
    generator = torch.Generator().manual_seed(1)
    noise = 0.01 * torch.randn(ROWS, COLUMNS, COILS, dtype=torch.complex64, generator=generator)
    found = outer_level(read_kspace(write(tmp_path, noise.numpy())))
    assert found == pytest.approx(0.01, rel=0.15)


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ("40 32 2 3 1", "bart slice"),
        ("1 40 32 3 2", "bart slice"),
        ("1 40 32 4", "bytes, expected 40960"),
        ("1 40 99999999 3", "at most"),
        ("1 40 -32 3", "dimensions"),
        ("one two", "dimensions 'one two'"),
        ("", "dimensions ''"),
        ("1 40 32 99999999999999999999", "dimensions"),
    ],
)
def test_dimensions_that_do_not_fit_are_refused(tmp_path: Path, dims: str, message: str) -> None:
    assert message in refusal(write(tmp_path, kspace(), dims=dims))


def test_damaged_pairs_are_refused(tmp_path: Path) -> None:
    header = write(tmp_path, kspace())
    data = header.with_suffix(".cfl")
    whole = data.read_bytes()
    data.write_bytes(whole[:-8])
    assert "bytes" in refusal(header)
    data.write_bytes(np.full(ROWS * COLUMNS * COILS, np.nan + 0j, dtype="<c8").tobytes())
    assert "NaN" in refusal(header)
    data.write_bytes(bytes(len(whole)))
    assert "zeros only" in refusal(header)
    data.unlink()
    assert "no such file" in refusal(header)
    header.write_text("# Dimensions\n")
    assert "dimensions" in refusal(header)


def test_a_slice_without_a_sampled_centre_is_refused(tmp_path: Path) -> None:
    samples = kspace()
    samples[::3] = 0
    assert "reference scan" in refusal(write(tmp_path, samples))


@pytest.mark.skipif(not BRAIN.exists(), reason="shared/data/mri_multicoil_brain is absent")
def test_the_brain_comes_out() -> None:
    """SENSE combination explains the coil images where ESPIRiT sees signal; what is left is below 1 % of the energy."""
    measurement = read_bart(BRAIN)
    operator = measurement.operator
    assert isinstance(operator, MulticoilMRI)
    maps = operator.sensitivities[0]
    coil_images = ifft2c(measurement.y[0])
    combined = operator.adjoint(measurement.y)[0]
    seen = maps.abs().sum(0) > 0
    left = (coil_images - maps * combined).abs().square().sum(0)[seen].sum()
    assert float(left / coil_images.abs().square().sum(0)[seen].sum()) < 0.01
    assert float(operator.norm()) == pytest.approx(1.0, abs=0.01)
    noise = float(measurement.noise.sigma)
    assert 0 < noise < 0.2 * float(measurement.y.abs().square().mean().sqrt())
