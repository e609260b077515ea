"""Export of sensors' own arithmetic: real numbers, ONNX and OpenVINO give what PyTorch gives, or one line says why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from echoform.apps.cli import main
from echoform.deploy.dense_terms import GatheredGram, in_dense_terms
from echoform.deploy.engine import real_program
from echoform.deploy.exportable import Exportable
from echoform.deploy.fixed_sensor import named
from echoform.deploy.real_arithmetic import RealProgram
from echoform.deploy.refusal import UnsupportedSensorError
from echoform.linalg.cg import Stopping
from echoform.linalg.masked_gram import MaskedGram
from echoform.nets import weights
from echoform.nets.channels import from_channels, to_channels
from echoform.nets.ram import RAM, RAMConfig
from echoform.nets.sensing import UnitSensor
from echoform.physics.kronecker import KroneckerOperator
from echoform.physics.masking import SampleMask
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.physics.sample_gain import SampleGain

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def phased() -> LinearOperator:
    """A collection whose pulses have phase errors, of an image that networks pad."""
    generator = torch.Generator().manual_seed(0)
    k = 2 * torch.pi * (torch.rand(1, 2, 200, generator=generator, dtype=torch.float64) - 0.5)
    samples = NonuniformFourier(k, torch.ones(1, 200), domain_shape=(1, 16, 13), sample_shape=(10, 20))
    phase = torch.linspace(0, 3, 10)[None, None, :, None]
    return SampleGain(torch.polar(torch.ones_like(phase), phase), (1, 10, 20)) @ samples


def product() -> LinearOperator:
    generator = torch.Generator().manual_seed(1)
    shapes = (1, 1, 1), (1, 1, 12, 16), (1, 20, 16)
    return KroneckerOperator(*(torch.randn(s, dtype=torch.complex64, generator=generator) for s in shapes))


class Physics(Exportable):
    """Of several sensors: a step of conjugate gradients towards the proximal image, and A_2^H A_2 of half of it."""

    def __init__(self, *operators: LinearOperator) -> None:
        super().__init__()
        self.sensors = [UnitSensor.of(operator, multiple=8) for operator in operators]
        self.dense = [[in_dense_terms(level) for level in sensor.levels[:2]] for sensor in self.sensors]

    def described(self) -> str:
        """Return the sensors' names."""
        return ", ".join(named(sensor.operator) for sensor in self.sensors)

    def example_inputs(self) -> tuple[Tensor, ...]:
        """Return an image for each sensor."""
        generator = torch.Generator().manual_seed(2)
        return tuple(torch.randn(1, 2, *s.operator.domain_shape[1:], generator=generator) for s in self.sensors)

    def forward(self, *images: Tensor) -> Tensor:
        """Return all numbers in a row."""
        found = []
        for (fine, coarse), channels in zip(self.dense, images, strict=True):
            x = from_channels(channels, True)
            x = fine.prox_from_backprojection(x, 0.5 * x, torch.full((1,), 0.1), Stopping(0.0, 1))
            half = coarse.normal(x[..., ::2, ::2].contiguous())
            found += [to_channels(part, True).flatten(1) for part in (x, half)]
        return torch.cat(found, 1)


@pytest.fixture(scope="module")
def physics() -> tuple[Physics, Tensor]:
    made = Physics(phased(), product())
    with torch.no_grad():
        return made, made(*made.example_inputs())


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


def test_onnx_of_sensors(physics: tuple[Physics, Tensor], tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra `export`")
    pytest.importorskip("onnxruntime", reason="needs the extra `export`")
    from echoform.deploy.onnx_file import load_onnx, save_onnx

    part, expected = physics
    save_onnx(part, tmp_path / "physics.onnx")
    engine = load_onnx(tmp_path / "physics.onnx", threads=1)
    assert distance(torch.from_numpy(engine(tuple(x.numpy() for x in part.example_inputs()))), expected) < 1e-5


def test_openvino_of_sensors(physics: tuple[Physics, Tensor]) -> None:
    pytest.importorskip("openvino", reason="needs the extra `export`")
    from echoform.deploy.openvino_model import load_openvino, to_openvino

    part, expected = physics
    engine = load_openvino(to_openvino(part), threads=1)
    assert distance(torch.from_numpy(engine(tuple(x.numpy() for x in part.example_inputs()))), expected) < 1e-5


class Transforms(nn.Module):
    """Transforms to other sizes, of real images and back, and operations that not all converters know."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return what all of them give, in a row."""
        z = torch.complex(a, b)
        resized = torch.fft.ifft(torch.fft.fft(z, n=5), n=12, dim=-2)
        whole = torch.fft.fft2(z, s=(4, -1))
        back = torch.fft.irfft2(torch.fft.rfft2(a, s=(8, 9)), s=(8, 9)) + torch.fft.irfft(torch.fft.rfft(a), n=9)
        over = torch.zeros_like(z)
        over[:, :3] = z[:, :3]
        inner = torch.linalg.vecdot(z, resized[:8, :1] * z)
        product = torch.einsum("ij,kj->ik", z, over)
        found = torch.cat([part.flatten() for part in (resized, whole, inner, product)])
        return torch.cat([found.real, found.imag, back.flatten(), torch.exp2(a.floor()).sum()[None]])


def test_transforms_of_other_sizes_and_of_real_images() -> None:
    module, a, b = Transforms(), torch.randn(8, 8), torch.randn(8, 8)
    program = torch.export.export(module, (a, b), strict=False).run_decompositions({})
    real = RealProgram(program)(a, b)
    torch.testing.assert_close(real, module(a, b), rtol=1e-4, atol=1e-4)


def test_gathered_neighbours_are_the_sparse_product() -> None:
    generator = torch.Generator().manual_seed(3)
    gram = MaskedGram(torch.rand(1, 3, 16, 14, generator=generator), 2)
    x = torch.randn(2, 1, 3, 8, 7, dtype=torch.complex64, generator=generator)
    torch.testing.assert_close(GatheredGram(gram)(x), gram(x))


def test_a_mask_is_looked_at_once_and_exported_in_dense_terms() -> None:
    kept = (torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(4)) < 0.5).float()
    part = Physics(SampleMask(kept))
    inputs = part.example_inputs()
    with torch.no_grad():
        torch.testing.assert_close(real_program(part)(*inputs), part(*inputs), rtol=1e-4, atol=1e-5)


class Deciding(Exportable):
    """Takes a number from the host."""

    def described(self) -> str:
        """Return a name."""
        return "what decides"

    def example_inputs(self) -> tuple[Tensor, ...]:
        """Return a number."""
        return (torch.ones(1),)

    def forward(self, x: Tensor) -> Tensor:
        """Return a number or its negative."""
        return x if bool((x > 0).all()) else -x


class Double(Deciding):
    """Computes in double precision."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the cosine of a long path's phase."""
        return x * torch.cos(1e5 * torch.ones(1, dtype=torch.float64)).float()


def test_openvino_refuses_double_precision() -> None:
    pytest.importorskip("openvino", reason="needs the extra `export`")
    from echoform.deploy.openvino_model import to_openvino

    with pytest.raises(UnsupportedSensorError, match=r"double precision \(aten\.cos\.default, .*export it to ONNX"):
        to_openvino(Double())


def test_a_part_that_decides_by_numbers_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnsupportedSensorError, match=r"^what decides cannot be exported to other engines: [^\n]*$"):
        real_program(Deciding())
    assert capsys.readouterr().err == ""


def test_a_sensor_that_cannot_be_exported_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = RAM(RAMConfig(channels=(4, 4, 4, 4), blocks=1, embedding=8))
    weights.store(
        network, weights.Card("little", network.config, ("none",), "none", "none", ("none",), "BSD-3-Clause"), tmp_path
    )
    data, out = tmp_path / "near.h5", tmp_path / "near"
    assert main(["simulate", "--family", "spotlight-near", "--pixels", "16", "--out", str(data)]) == 0
    assert main(["export", str(data), "--weights", str(tmp_path / "little.safetensors"), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("echoform: a sensor of ExactSpotlight cannot be exported")
    assert "ExactSums.blocks (spotlight_exact.py) depends on numbers known only when it runs" in said
    assert said.count("\n") == 1
    assert not out.exists()
