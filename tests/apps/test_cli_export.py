"""``echoform export``: a model on disk that gives the network's own image, and one line where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from echoform.apps.cli import main
from echoform.measure.measurement import simulate
from echoform.measure.native import load, save
from echoform.nets import weights
from echoform.nets.ram import RAM, RAMConfig
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise
from echoform.recon.network import NetworkReconstructor

SIDE = 16

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A measurement file and weights of a small network."""
    generator = torch.Generator().manual_seed(0)
    operator = FourierMask((torch.rand(1, 1, SIDE, SIDE, generator=generator) < 0.6).float())
    x = torch.randn(1, 1, SIDE, SIDE, dtype=torch.complex64, generator=generator)
    save(simulate(x, operator, GaussianNoise(torch.tensor([0.1])), generator=generator), tmp_path / "data.h5")
    network = RAM(RAMConfig(channels=(4, 4, 4, 4), blocks=1, embedding=8))
    for parameter in network.body.m_tail.parameters():
        nn.init.normal_(parameter, std=0.1)
    card = weights.Card("little", network.config, ("none",), "none", "none", ("none",), "BSD-3-Clause")
    weights.store(network, card, tmp_path)
    return tmp_path / "data.h5", tmp_path / "little.safetensors"


def test_export_writes_what_the_network_computes(files: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra `export`")
    pytest.importorskip("onnxruntime", reason="needs the extra `export`")
    from echoform.deploy.engine import EngineReconstructor
    from echoform.deploy.fixed_sensor import fixed_sensor
    from echoform.deploy.onnx_file import load_onnx

    data, kept = files
    assert main(["export", str(data), "--weights", str(kept), "--out", str(tmp_path / "network.onnx")]) == 0
    measurement, network = load(data), weights.load("little", where=tmp_path)
    engine = EngineReconstructor(
        fixed_sensor(network, measurement.operator), load_onnx(tmp_path / "network.onnx", threads=1)
    )
    expected = NetworkReconstructor(network)(measurement).mean
    assert float((engine(measurement).mean - expected).norm() / expected.norm()) < 1e-5


def test_export_of_the_backbone_says_what_it_takes(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openvino", reason="needs the extra `export`")
    from echoform.deploy.bare_backbone import BareBackbone
    from echoform.deploy.openvino_model import load_openvino

    data, kept = files
    out = tmp_path / "backbone"
    assert main(["export", str(data), "--backbone", "--weights", str(kept), "--out", str(out)]) == 0
    bare = BareBackbone(weights.load("little", where=tmp_path), load(data).operator)
    inputs = bare.example_inputs()
    said = capsys.readouterr().out
    assert all(str(tuple(x.shape)) in said for x in inputs)
    found = torch.from_numpy(load_openvino(out, threads=1)(tuple(x.numpy() for x in inputs)))
    with torch.no_grad():
        torch.testing.assert_close(found, bare(*inputs), rtol=1e-5, atol=1e-6)


def test_a_missing_folder_is_one_line(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    data, kept = files
    assert main(["export", str(data), "--weights", str(kept), "--out", "/nowhere/network.onnx"]) == 2
    assert "does not exist" in capsys.readouterr().err
