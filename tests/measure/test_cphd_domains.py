"""CPHD in both signal domains and with frequencies that change from pulse to pulse, in files that sarkit wrote on its own."""

from dataclasses import replace
from pathlib import Path

import cphd_files
import numpy as np
import pytest
import test_cphd
import torch
from cphd_files import Form, Target

from echoform.measure.cphd import read_cphd, read_cphd_history
from echoform.measure.cphd_write import write_cphd
from echoform.measure.native import load, save
from echoform.measure.phase_history import PhaseHistory, history_of, measurement_from
from echoform.scene.grid import Grid

#: |r|^2 / 2R moves the targets by 2 mm, pixels are 250
GRID = Grid((cphd_files.PIXELS, cphd_files.PIXELS), (cphd_files.PIXEL_M, cphd_files.PIXEL_M))
TARGETS = [Target(4.0, -2.5), Target(-3.0, 5.5, 0.5j)]
FORMS = {
    f"{domain}{', hopping' if hopping else ''}, SGN {sign:+d}": Form(domain, sign, hopping, scaled=sign > 0)
    for domain in ("FX", "TOA")
    for hopping in (False, True)
    for sign in (-1, 1)
}


def image(path: Path) -> torch.Tensor:
    """Backprojection on a grid that has the targets on its pixels."""
    measurement = read_cphd(path)
    assert measurement.metadata.grid == GRID
    return measurement.operator.adjoint(measurement.y)[0, 0]


@pytest.mark.parametrize("label", FORMS)
def test_sarkits_checker_accepts_the_files_of_this_test(label, tmp_path) -> None:
    assert test_cphd.failures(cphd_files.write(tmp_path / "m.cphd", TARGETS, FORMS[label])) == {}


@pytest.mark.parametrize("label", FORMS)
def test_targets_stand_where_they_should(label, tmp_path) -> None:
    """The strongest pixel is that of the first target; with it alone nearly all energy is coherent; the second is half of it."""
    form = FORMS[label]
    found = image(cphd_files.write(tmp_path / "m.cphd", TARGETS, form)).abs()
    y, x = GRID.axes_m()
    row, column = divmod(int(found.argmax()), GRID.shape[1])
    assert (float(x[column]), float(y[row])) == (4.0, -2.5)
    second = found[GRID.nearest(-3.0, 5.5)]
    assert float(second / found.max()) == pytest.approx(0.5, abs=0.06)
    alone, _ = read_cphd_history(cphd_files.write(tmp_path / "one.cphd", TARGETS[:1], form))
    measurement = measurement_from(alone, grid=GRID)
    gain = measurement.operator.adjoint(measurement.y).abs().max() / alone.samples.abs().sum()
    assert float(gain) > 0.985
    assert alone.collection.frequency_hz.ndim == (3 if form.hopping else 2)


@pytest.mark.parametrize("hopping", [False, True])
def test_both_domains_give_the_same_image(hopping, tmp_path) -> None:
    """Phases too: up to the constant amplitude of a DFT the images agree, but for the tails of the main lobes cut off."""
    forms = [Form("FX", -1, hopping), Form("TOA", -1, hopping), Form("TOA", 1, hopping, scaled=True)]
    images = [image(cphd_files.write(tmp_path / f"{n}.cphd", TARGETS, form)) for n, form in enumerate(forms)]
    for other in images[1:]:
        match = torch.vdot(images[0].flatten(), other.flatten()) / (images[0].norm() * other.norm())
        assert float(match.abs()) > 0.999
        assert abs(float(match.angle())) < 0.02


def test_delay_profiles_are_inverted_exactly(tmp_path) -> None:
    """The spectrum read is the sum over delays that the module states, evaluated term by term."""
    form = Form("TOA", -1, hopping=True)
    path = cphd_files.write(tmp_path / "m.cphd", TARGETS, form)
    stored: dict[str, np.ndarray] = {}

    def keep(signal: np.ndarray) -> np.ndarray:
        stored["signal"] = signal
        return signal

    def vectors(parameters: np.ndarray) -> None:
        stored["vectors"] = parameters.copy()

    test_cphd.changed(path, lambda root: None, vectors=vectors, signal=keep, channel="one")
    history, _ = read_cphd_history(path)
    pulse, v = 7, stored["vectors"][7]
    kept = history.collection.kept[0, pulse] != 0
    frequency = history.collection.frequency_hz[0, pulse, kept].numpy()
    assert frequency.min() > v["FX1"] - v["FX2"] * 1e-3
    delay = v["SC0"] + v["SCSS"] * np.arange(cphd_files.SAMPLES)
    kernel = np.exp(-2j * np.pi * (frequency[:, None] - (v["FX1"] + v["FX2"]) / 2) * delay)
    expected = kernel @ stored["signal"][pulse] / np.sqrt(cphd_files.SAMPLES)
    found = history.samples[0, 0, pulse, kept].numpy()
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_a_carrier_elsewhere_is_refused(tmp_path) -> None:
    """Profiles whose spectrum stands half a band off the middle of FX1 and FX2."""
    path = cphd_files.write(tmp_path / "m.cphd", TARGETS, Form("TOA"))
    turn = np.exp(1j * np.pi * np.arange(cphd_files.SAMPLES))
    test_cphd.changed(path, lambda root: None, signal=lambda s: s * turn.astype(np.complex64), channel="one")
    assert "more power outside FX1 to FX2 than within" in test_cphd.refused(path)


def hopping() -> PhaseHistory:
    """The history of test_cphd with frequencies that change from pulse to pulse, made-up samples."""
    content = test_cphd.history()
    shift = torch.linspace(-3e7, 3e7, test_cphd.PULSES, dtype=torch.float64)[:, None]
    stretch = torch.linspace(1, 1.05, test_cphd.PULSES, dtype=torch.float64)[:, None]
    middle = content.collection.frequency_hz.mean()
    frequency = middle + (content.collection.frequency_hz - middle) * stretch + shift
    return replace(content, collection=replace(content.collection, frequency_hz=frequency[None]))


def test_changing_frequencies_round_trip(tmp_path) -> None:
    """CPHD: sarkit's checker finds nothing, and frequencies, samples and image come back. HDF5 keeps them too."""
    before = hopping()
    path = tmp_path / "m.cphd"
    write_cphd(before, path, grid=test_cphd.GRID)
    assert test_cphd.failures(path) == {}
    after, grid = read_cphd_history(path)
    assert torch.equal(after.samples, before.samples)
    assert torch.allclose(after.collection.frequency_hz, before.collection.frequency_hz, rtol=1e-14, atol=0)
    assert grid == test_cphd.GRID
    images = [m.operator.adjoint(m.y) for m in (measurement_from(before, grid=test_cphd.GRID), read_cphd(path))]
    assert float((images[0] - images[1]).norm() / images[0].norm()) < 1e-5
    native = tmp_path / "m.h5"
    save(read_cphd(path), native)
    again = history_of(load(native))
    assert torch.equal(again.collection.frequency_hz, after.collection.frequency_hz)
    assert torch.equal(again.samples, after.samples)
