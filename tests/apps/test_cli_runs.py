"""The commands on good files: what they write is what the library computes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from echoform import __version__
from echoform.apps.cli import main
from echoform.apps.demo import simulated_collection
from echoform.apps.methods import METHODS, WEIGHTS, Settings
from echoform.assess.metrics import nmse_db, prediction_error_db
from echoform.linalg.inner import squared_norm
from echoform.measure.measurement import Measurement, Metadata, simulate
from echoform.measure.native import save
from echoform.measure.reading import read
from echoform.measure.splitting import drop_pulses
from echoform.nets.weights import available
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise
from echoform.physics.stacked import stack

NETWORKS = ("ram", "pnp")
CLASSICAL = [name for name in METHODS if name not in (*NETWORKS, "closure")]
NEEDS_WEIGHTS = pytest.mark.skipif(WEIGHTS not in available(), reason=f"the weights {WEIGHTS} are not shipped yet")
EVERY_METHOD = [
    pytest.param(n, marks=NEEDS_WEIGHTS) if n in NETWORKS else n
    for n in METHODS
    if n != "closure"  # it needs stations
]
OUTPUTS = {"report.html", "config.json", "metrics.json", "images.h5"}


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def read_json(path: Path) -> dict:
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "spotlight.h5"
    save(simulated_collection(32, 20.0, seed=3), path)
    return path


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_reconstruct_writes_what_the_library_computes(method: str, collection: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["reconstruct", str(collection), "--method", method, "--out", str(out)]) == 0
    assert visible(tmp_path) == {"out"}
    assert visible(out) == OUTPUTS | {f"{method}.npy"}
    measurement = read(collection)
    expected = METHODS[method].build()(measurement, generator=torch.Generator().manual_seed(0)).mean
    image = np.load(out / f"{method}.npy", allow_pickle=False)
    assert image.dtype == np.complex64
    np.testing.assert_allclose(image, expected.numpy(), rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    with h5py.File(out / "images.h5") as file:
        np.testing.assert_array_equal(file[method]["mean"][...], image)
    scores = read_json(out / "metrics.json")[method]["scores"]
    truth = measurement.metadata.truth
    assert truth is not None
    assert scores["nmse_db"] == pytest.approx(float(nmse_db(torch.from_numpy(image), truth)), abs=1e-6)
    assert METHODS[method].titled(Settings()) in (out / "report.html").read_text()


def test_configuration_is_resolved_and_obeyed(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["reconstruct", str(collection), "--method", "tikhonov", "--weight", "2.5", "--sigma", "0.5"]
    assert main(arguments) == 0
    config = read_json(tmp_path / "runs" / "spotlight-tikhonov" / "config.json")
    assert config["echoform"] == __version__
    assert config["command"] == "reconstruct"
    assert config["arguments"] == arguments
    options = config["options"]
    assert options["weight"] == 2.5
    assert options["sigma"] == 0.5
    assert options["seed"] == 0
    assert options["out"] == "runs/spotlight-tikhonov"
    assert options["dynamic_range_db"] == 50
    assert config["environment"]["torch"] == torch.__version__
    result = read_json(tmp_path / "runs" / "spotlight-tikhonov" / "metrics.json")["tikhonov"]
    assert result["facts"]["weight"] == 2.5
    measurement = read(collection)
    image = torch.from_numpy(np.load(tmp_path / "runs" / "spotlight-tikhonov" / "tikhonov.npy"))
    misfit = squared_norm(measurement.y - measurement.operator(image), 3) / (32 * 32 * 0.5**2)
    assert result["scores"]["misfit_over_noise"] == pytest.approx(float(misfit), rel=1e-3)


def test_compare_judges_by_the_pulses_left_out(collection: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["compare", str(collection), "--keep-pulses", "0.4", "--seed", "5", "--out", str(out), "--methods"]
    assert main([*arguments, *CLASSICAL]) == 0
    assert visible(out) == OUTPUTS | {f"{name}.npy" for name in CLASSICAL}
    kept, held_out = drop_pulses(read(collection), 0.4, generator=torch.Generator().manual_seed(5))
    metrics = read_json(out / "metrics.json")
    for name in CLASSICAL:
        image = torch.from_numpy(np.load(out / f"{name}.npy"))
        expected = float(prediction_error_db(image, held_out.operator, held_out.y))
        assert metrics[name]["scores"]["prediction_error_db"] == pytest.approx(expected, abs=1e-4)
        assert metrics[name]["seconds"] > 0
    direct = METHODS["tikhonov"].build()(kept).mean
    np.testing.assert_allclose(np.load(out / "tikhonov.npy"), direct.numpy(), atol=1e-4 * float(direct.abs().max()))


def test_compare_leaves_out_a_method_that_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = torch.Generator().manual_seed(1)
    masks = [(torch.rand(1, 1, 16, 16, generator=generator) < 0.5).float() for _ in range(2)]
    scene = torch.randn(2, 1, 16, 16, dtype=torch.complex64, generator=generator)
    flat = simulate(scene, stack([FourierMask(m) for m in masks]), GaussianNoise(torch.tensor([0.1])))
    save(flat, tmp_path / "flat.h5")
    arguments = [str(tmp_path / "flat.h5"), "--out", str(tmp_path / "out")]
    assert main(["compare", *arguments, "--methods", "backprojection", "backprojection-taylor"]) == 0
    printed = capsys.readouterr()
    assert "Backprojection, Taylor could not be carried out" in printed.err
    assert list(read_json(tmp_path / "out" / "metrics.json")) == ["backprojection"]
    report = (tmp_path / "out" / "report.html").read_text()
    assert "could not be carried out" in report
    assert "2 scenes" in report
    assert main(["reconstruct", *arguments[:2], str(tmp_path / "none"), "--method", "backprojection-taylor"]) == 2
    assert not (tmp_path / "none").exists()


def test_noise_that_is_not_stated_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = torch.randn(1, 1, 16, 16, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    save(simulate(scene, FourierMask(torch.ones(1, 1, 16, 16)), GaussianNoise(torch.zeros(1))), tmp_path / "quiet.h5")
    file, out = str(tmp_path / "quiet.h5"), str(tmp_path / "out")
    assert main(["reconstruct", file, "--method", "backprojection", "--out", out]) == 0
    assert "--sigma" in capsys.readouterr().err
    assert "no noise level is stated" in (tmp_path / "out" / "report.html").read_text()


def test_info_prints_the_facts(collection: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(collection)]) == 0
    printed = capsys.readouterr().out
    for fact in ("Simulated X-band spotlight collection", "32 × 32 pixels", "NonuniformFourier", "9.6 GHz", "known"):
        assert fact in printed


def test_info_prints_hostile_text_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    operator = FourierMask(torch.ones(1, 1, 4, 4))
    metadata = Metadata(title="[red]\x1b[2Jgone", notes={"[/nonsense]": "a\nb"})
    y = torch.ones(1, 1, 4, 4, dtype=torch.complex64)
    save(Measurement(y, operator, GaussianNoise(torch.ones(1)), metadata), tmp_path / "hostile.h5")
    assert main(["info", str(tmp_path / "hostile.h5")]) == 0
    printed = capsys.readouterr().out
    assert "[red]" in printed
    assert "[/nonsense]" in printed
    assert "\x1b[2J" not in printed


def test_demo_writes_a_collection_and_a_report_and_can_be_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    arguments = ["demo", "--pixels", "32", "--out", str(out), "--methods", "backprojection", "l1"]
    for _ in range(2):
        assert main(arguments) == 0
        assert visible(tmp_path) == {"demo"}
    assert visible(out) == OUTPUTS | {"collection.h5", "backprojection.npy", "l1.npy"}
    assert str(out / "report.html") in capsys.readouterr().out
    scores = {name: result["scores"] for name, result in read_json(out / "metrics.json").items()}
    assert scores["l1"]["nmse_db"] < scores["backprojection"]["nmse_db"] - 3
    assert scores["l1"]["prediction_error_db"] < scores["backprojection"]["prediction_error_db"]
    assert read(out / "collection.h5").metadata.truth is not None
    assert "collection.h5" in (out / "report.html").read_text()
    assert ".part" not in (out / "report.html").read_text()


def test_a_run_is_repeated_exactly_by_its_seed(tmp_path: Path) -> None:
    images = []
    for name, seed in (("a", "4"), ("b", "4"), ("c", "5")):
        out = tmp_path / name
        assert main(["demo", "--pixels", "32", "--seed", seed, "--methods", "l1", "--out", str(out)]) == 0
        images.append(np.load(out / "l1.npy"))
    np.testing.assert_array_equal(images[0], images[1])
    assert np.abs(images[0] - images[2]).max() > 0


def test_command_runs_as_a_process(collection: Path, tmp_path: Path) -> None:
    arguments = ["reconstruct", str(collection), "--method", "backprojection", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-W", "error::DeprecationWarning:echoform", "-m", "echoform.apps.cli", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    assert f"Report: {tmp_path / 'out' / 'report.html'}" in result.stdout
    assert (tmp_path / "out" / "report.html").is_file()


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"echoform {__version__}"
