"""Which method is taken unasked, what may be set of it, and the network's weights by name and by file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from echoform.apps import methods
from echoform.apps.cli import main
from echoform.apps.demo import simulated_collection
from echoform.apps.methods import METHODS, Settings, compared_methods, default_method
from echoform.measure.measurement import Measurement
from echoform.measure.native import save
from echoform.measure.reading import read
from echoform.nets import weights
from echoform.nets.ram import RAM, RAMConfig
from echoform.recon.classical.matched_filter import MatchedFilter
from echoform.recon.classical.multilook import Looks, MultilookMatchedFilter
from echoform.recon.classical.window import Taylor
from echoform.recon.network import NetworkReconstructor
from echoform.recon.reconstructor import Reconstructor

MINIATURE = RAMConfig(channels=(4, 6, 8, 8), blocks=1, embedding=8)


@pytest.fixture(scope="module")
def measurement() -> Measurement:
    return simulated_collection(32, 20.0, seed=3)


@pytest.fixture
def own_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network of random weights called 'mine' in the user's folder."""
    folder = tmp_path / "weights"
    monkeypatch.setenv("ECHOFORM_WEIGHTS", str(folder))
    network = RAM(MINIATURE)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(0.1 * torch.randn(p.shape, generator=generator))
    card = weights.Card("mine", MINIATURE, ("none",), "random", "none", ("none",), "none")
    weights.store(network, card, folder, precision=torch.float32)
    return folder


def test_the_default_suits_the_image(measurement: Measurement, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sparse magnitudes or smooth phase decide; of very many pixels only quick methods are taken unasked."""
    smooth = replace(measurement, metadata=replace(measurement.metadata, smooth_phase=True))
    assert default_method(measurement) == "l1"
    assert default_method(smooth) == "tv-complex"
    assert compared_methods(measurement) == methods.COMPARED
    assert compared_methods(smooth) == (*methods.COMPARED, "tv-complex")
    monkeypatch.setattr(methods, "MOST_PIXELS", 1000)
    assert default_method(measurement) == default_method(smooth) == "backprojection"
    assert (
        compared_methods(measurement) == compared_methods(smooth) == ("backprojection", "backprojection-taylor", "ram")
    )


def test_what_is_left_out_of_a_large_image_is_said(
    measurement: Measurement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """compare leaves long methods out of a large image with a note, and takes them when they are named."""
    path, out = tmp_path / "m.h5", tmp_path / "out"
    save(measurement, path)
    monkeypatch.setattr(methods, "MOST_PIXELS", 1000)
    assert main(["compare", str(path), "--out", str(out)]) == 0
    assert set(json.loads((out / "metrics.json").read_text())) == {"backprojection", "backprojection-taylor", "ram"}
    said = capsys.readouterr().err
    assert "Tikhonov, Sparse l1, RAM refined: left out" in said
    assert "--methods tikhonov l1" in said
    assert main(["compare", str(path), "--methods", "l1", "--out", str(tmp_path / "asked")]) == 0
    assert "left out" not in capsys.readouterr().err


def test_the_default_is_taken_and_recorded(measurement: Measurement, tmp_path: Path) -> None:
    """Without --method the default is carried out, and the configuration names it."""
    path, out = tmp_path / "m.h5", tmp_path / "out"
    save(replace(measurement, metadata=replace(measurement.metadata, smooth_phase=True)), path)
    assert read(path).metadata.smooth_phase
    assert main(["reconstruct", str(path), "--weight", "1", "--out", str(out)]) == 0
    assert json.loads((out / "config.json").read_text())["options"]["method"] == "tv-complex"
    assert set(json.loads((out / "metrics.json").read_text())) == {"tv-complex"}


@pytest.mark.parametrize("by_file", [False, True])
def test_weights_by_name_and_by_file(
    by_file: bool, measurement: Measurement, own_weights: Path, tmp_path: Path
) -> None:
    """The image is that of the network named, and the report says which it was."""
    path, out = tmp_path / "m.h5", tmp_path / "out"
    save(measurement, path)
    named = str(own_weights / "mine.safetensors") if by_file else "mine"
    assert main(["compare", str(path), "--methods", "ram", "tikhonov", "--weights", named, "--out", str(out)]) == 0
    expected = NetworkReconstructor(weights.load("mine"))(read(path)).mean
    image = np.load(out / "ram.npy", allow_pickle=False)
    np.testing.assert_allclose(image, expected.numpy(), rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    assert json.loads((out / "metrics.json").read_text())["ram"]["label"].startswith("RAM (mine")
    assert "RAM (mine" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "ram", "--weights", "absent"], "no weights called 'absent'"),
        (["--method", "ram", "--weights", "absent.safetensors"], "no weights called 'absent'"),
        (["--method", "ram", "--weights", "m.h5"], "read safely"),
        (["--method", "ram", "--weights", "cut/mine.safetensors"], "not the file its card describes"),
        (
            ["--method", "l1", "--weights", "mine"],
            "takes no --weights; leave it out, or choose one of pnp, posterior, ram",
        ),
        (["--method", "l1", "--sky-flux-jy", "1"], "takes no --sky-flux-jy"),
        (
            ["--method", "l1", "--looks", "2", "1"],
            "takes no --looks; leave it out, or choose one of backprojection-multilook",
        ),
        (["--method", "backprojection-multilook", "--looks", "0", "1"], "looks must be at least 1 per axis"),
        (["--method", "backprojection-taylor", "--side-lobe-db", "3"], "side_lobe_db must be negative"),
        (["--method", "closure"], "which stations took each sample"),
    ],
)
def test_what_cannot_be_set(
    arguments: list[str],
    message: str,
    measurement: Measurement,
    own_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line that names what was got, exit code 2, and no file is left behind."""
    monkeypatch.chdir(tmp_path)
    save(measurement, Path("m.h5"))
    Path("cut").mkdir()
    Path("cut/mine.card.yaml").write_text((own_weights / "mine.card.yaml").read_text())
    Path("cut/mine.safetensors").write_bytes((own_weights / "mine.safetensors").read_bytes()[:-9])
    before = sorted(Path().iterdir())
    assert main(["reconstruct", "m.h5", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "method"),
    [
        (
            ["backprojection-multilook", "--looks", "4", "1", "--side-lobe-db", "-30"],
            MultilookMatchedFilter(Looks(4, 1), window=Taylor(-30)),
        ),
        (["backprojection-taylor", "--side-lobe-db", "-25"], MatchedFilter(Taylor(-25))),
        (["backprojection-multilook"], MultilookMatchedFilter(Looks(2, 2))),
    ],
    ids=["looks", "window", "as it is"],
)
def test_window_and_looks_are_the_users(
    arguments: list[str], method: Reconstructor, measurement: Measurement, tmp_path: Path
) -> None:
    """The image is the one that the method makes with the looks or the window given."""
    path, out = tmp_path / "m.h5", tmp_path / "out"
    save(measurement, path)
    assert main(["reconstruct", str(path), "--method", *arguments, "--out", str(out)]) == 0
    expected = method(read(path)).mean
    image = np.load(out / f"{arguments[0]}.npy", allow_pickle=False)
    np.testing.assert_allclose(image, expected.numpy(), rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    if "--looks" in arguments:
        assert "4 × 1 looks" in (out / "report.html").read_text()


def test_settings_reach_only_the_methods_that_take_them() -> None:
    settings = Settings(weight=0.3, weights="mine")
    assert settings.only(METHODS["l1"].takes) == Settings(weight=0.3)
    assert settings.only(METHODS["ram"].takes) == Settings(weights="mine")
    assert settings.only(METHODS["backprojection"].takes) == Settings()
