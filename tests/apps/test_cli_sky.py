"""EHT files through the command line: closure quantities by default, the ring in the report, held-out scans really held out."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from echoform.apps.cli import main
from echoform.assess.ring import measure_ring
from echoform.measure.eht import COLUMNS
from echoform.measure.eht import GRID as EHT_GRID
from echoform.measure.native import load, save
from echoform.measure.reading import read
from echoform.measure.splitting import drop_pulses
from echoform.measure.visibilities import Visibilities
from echoform.physics.noise import GaussianNoise
from echoform.recon.closure_imaging import SkyPrior
from echoform.recon.closure_reconstructor import ClosureReconstructor, Preparation
from vlbi_cases import GRID, UAS, observed, sky

RADII_RAD = (5 * UAS, 45 * UAS)
STATIONS = ("AA", "AP", "AZ", "LM", "PV", "SM")


def write_eht(path: Path, rows: Visibilities) -> Path:
    """The rows as the release writes them: (u, v) from the second station to the first, error of one component."""
    lines = ["#SRC:M87,DATE(MJD):57848,FREQ:230.0GHz", COLUMNS]
    for n in range(len(rows)):
        a, b = (STATIONS[i] for i in rows.pairs[n].tolist())
        u, v = (-rows.uv_wavelengths[n]).tolist()
        value, sigma = rows.values[n], float(rows.sigma_jy[n]) / math.sqrt(2)
        size, phase = float(value.abs()), math.degrees(float(value.angle()))
        lines.append(f"{float(rows.time_s[n]) / 3600:.8f},{a},{b},{u:.4f},{v:.4f},{size:.8f},{phase:.6f},{sigma:.8f}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def ring_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ring of 44 microarcseconds seen by six stations without phases."""
    rows, _ = observed(sky(hole=True), log_sd=0.05)
    return write_eht(tmp_path_factory.mktemp("eht") / "ring.csv", rows)


def test_a_ring_is_found_and_reported(ring_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["reconstruct", str(ring_file), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "Ring diameter" in said.out
    assert "chosen knowing the published ring" in said.err
    found = json.loads((out / "metrics.json").read_text())["closure"]
    image = np.load(out / "closure.npy")
    shown = measure_ring(torch.from_numpy(image.real[0, 0]), EHT_GRID, radii_rad=RADII_RAD).diameter_rad / UAS
    true_uas = measure_ring(sky(hole=True), GRID, radii_rad=RADII_RAD).diameter_rad / UAS
    assert found["scores"]["ring_diameter_uas"] == pytest.approx(shown, abs=0.5)
    # a third of the array's beam: the entropy draws it towards the prior
    assert shown == pytest.approx(true_uas, abs=8)
    assert found["scores"]["ring_floor"] < 0.8  # darker in the middle; how dark, test_closure_imaging.py asks
    assert found["facts"]["self_calibrated"] < 2
    assert (found["facts"]["prior_flux_jy"], found["facts"]["prior_fwhm_uas"]) == (0.6, pytest.approx(40))
    assert image.dtype == np.complex64
    assert (image.imag == 0).all()
    assert (image.real >= 0).all()
    page = (out / "report.html").read_text()
    for words in ("Closure quantities", "north up, east on the left", "chosen knowing the published ring"):
        assert words in page


def test_the_prior_is_the_users(ring_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    arguments = ["--sky-flux-jy", "0.7", "--sky-fwhm-uas", "50", "--out", str(out)]
    assert main(["reconstruct", str(ring_file), *arguments]) == 0
    facts = json.loads((out / "metrics.json").read_text())["closure"]["facts"]
    assert (facts["prior_flux_jy"], facts["prior_fwhm_uas"]) == (0.7, pytest.approx(50))
    assert main(["reconstruct", str(ring_file), "--sky-fwhm-uas", "0", "--out", str(tmp_path / "no")]) == 2
    assert "--sky-fwhm-uas must be positive" in capsys.readouterr().err.replace("a positive number", "positive")


def test_only_samples_that_were_kept_are_seen(ring_file: Path) -> None:
    """Scans dropped for judging are not in the rows; noise given by the user scales theirs; values are those of y."""
    measurement = read(ring_file)
    observation = measurement.metadata.sky
    assert observation is not None
    kept, _ = drop_pulses(measurement, 0.4, generator=torch.Generator().manual_seed(1))
    marks = kept.operator.support()
    assert marks is not None
    rows = observation.sampled(kept.y[0, 0], marks[0, 0], torch.tensor(2.0))
    assert len(rows) == int(marks.sum()) < len(observation.rows)
    whole = observation.sampled(measurement.y[0, 0], None, torch.tensor(1.0))
    torch.testing.assert_close(whole.values, observation.rows.values, rtol=1e-5, atol=1e-6)
    seen = torch.isin(observation.rows.time_s, rows.time_s)
    torch.testing.assert_close(rows.sigma_jy, 2 * observation.rows.sigma_jy[seen])
    with pytest.raises(ValueError, match="times, baselines"):
        observation.sampled(measurement.y[0, 0, 1:], None, torch.tensor(1.0))


def test_stations_survive_the_native_file(ring_file: Path, tmp_path: Path) -> None:
    before = read(ring_file)
    save(before, tmp_path / "m.h5")
    after = load(tmp_path / "m.h5").metadata.sky
    assert after is not None
    assert before.metadata.sky is not None
    assert after.grid == before.metadata.sky.grid
    assert after.rows.stations == STATIONS
    for name in ("pairs", "time_s", "uv_wavelengths", "values", "sigma_jy"):
        assert torch.equal(getattr(after.rows, name), getattr(before.metadata.sky.rows, name))
    assert torch.equal(after.gain_sd, before.metadata.sky.gain_sd)
    assert after.gain_sd[STATIONS.index("LM")] > after.gain_sd[0]


def test_preparation_leaves_out_what_does_not_belong(ring_file: Path) -> None:
    """Baselines within a site and, for closure quantities, weak rows; what does not close is in the noise."""
    rows = read(ring_file).metadata.sky
    assert rows is not None
    prepared = Preparation(site_wavelengths=3e9, systematic=0.1).prepared(rows.rows)
    assert float(prepared.uv_wavelengths.norm(dim=1).min()) > 3e9
    assert float(prepared.snr().max()) < 10
    assert float(Preparation(lowest_snr=8).strong(prepared).snr().min()) > 8


def test_noise_of_another_kind_is_refused(ring_file: Path) -> None:
    measurement = read(ring_file)
    method = ClosureReconstructor(SkyPrior(0.6, 40 * UAS))
    assert isinstance(measurement.noise, GaussianNoise)
    with pytest.raises(ValueError, match="one scene"):
        method.forward(
            type(measurement)(
                measurement.y.repeat(2, 1, 1, 1), measurement.operator, measurement.noise, measurement.metadata
            )
        )
