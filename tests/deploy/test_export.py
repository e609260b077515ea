"""Export: real arithmetic equals complex arithmetic, and every engine gives the network's own image."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from echoform.deploy.engine import EngineReconstructor, real_program
from echoform.deploy.fixed_sensor import FixedSensor, fixed_sensor
from echoform.deploy.real_arithmetic import RealProgram
from echoform.measure.measurement import Measurement, simulate
from echoform.nets.ram import RAM, RAMConfig
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import identity
from echoform.physics.multicoil_mri import MulticoilMRI
from echoform.physics.noise import GaussianNoise
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.recon.network import NetworkReconstructor

SIDE = 24

#: what torch and the converters say of their own innards
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def network(*, embedding: int, image_channels: tuple[int, ...] = (1, 2)) -> RAM:
    """A small RAM with random weights, tails included, so that every layer shows in the output."""
    torch.manual_seed(0)
    made = RAM(RAMConfig(channels=(6, 8, 8, 8), blocks=1, image_channels=image_channels, embedding=embedding))
    for layer in made.body.m_tail.values():
        assert isinstance(layer, nn.Conv2d)
        nn.init.normal_(layer.weight, std=0.1)
    return made.eval()


def mask() -> FourierMask:
    generator = torch.Generator().manual_seed(1)
    return FourierMask((torch.rand(1, 1, SIDE, SIDE, generator=generator) < 0.5).float())


def coils() -> LinearOperator:
    generator = torch.Generator().manual_seed(2)
    return MulticoilMRI(mask(), torch.randn(1, 3, SIDE, SIDE, dtype=torch.complex64, generator=generator))


def scattered() -> LinearOperator:
    generator = torch.Generator().manual_seed(3)
    points = 2 * torch.pi * (torch.rand(1, 2, 300, generator=generator, dtype=torch.float64) - 0.5)
    return NonuniformFourier(points, torch.ones(1, 300), domain_shape=(1, SIDE, SIDE - 3), sample_shape=(300,))


SENSORS = {
    "mask": mask,
    "coils": coils,
    "points": scattered,
    "gray": lambda: identity((1, SIDE, SIDE), complex_image=False),
}


def measured(operator: LinearOperator, seed: int = 4) -> Measurement:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, *operator.domain_shape, dtype=operator.dtype, generator=generator)
    return simulate(x, operator, GaussianNoise(torch.tensor([0.1])), generator=generator)


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


class Everything(nn.Module):
    """Complex operations of every rule, from real tensors to real tensors."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return a number made by every operation that real arithmetic has a rule for."""
        z, w = torch.complex(a, b), torch.view_as_complex(torch.stack([b, a + 2], -1))
        z = torch.where(a > 0, z, w.conj()) + (1 - z) * 2 - w / z + z / 3 + w.mT @ z
        z = torch.cat([z, a.to(z.dtype)], 0) * 1j
        z = torch.fft.ifft2(torch.fft.fft2(nn.functional.pad(z, (1, 2))) * torch.exp(-torch.ones(1))).roll(1, 0)[
            ..., 1:
        ]
        parts = [half.sum(0) for half in z.split(8, 0)]
        return torch.view_as_real(torch.stack(parts).square()).sum(-1) + parts[0].abs() + parts[1].real * z.imag.mean()


def test_real_arithmetic_is_complex_arithmetic() -> None:
    module, a, b = Everything(), torch.randn(8, 8), torch.randn(8, 8)
    program = torch.export.export(module, (a, b), strict=False).run_decompositions({})
    torch.testing.assert_close(RealProgram(program)(a, b), module(a, b), rtol=1e-4, atol=1e-4)


def test_a_complex_operation_without_a_rule_is_named() -> None:
    class Cumulative(nn.Module):
        def forward(self, a: Tensor) -> Tensor:
            return torch.complex(a, a).cumsum(0).abs()

    program = torch.export.export(Cumulative(), (torch.ones(3),), strict=False).run_decompositions({})
    with pytest.raises(NotImplementedError, match="cumsum"):
        RealProgram(program)(torch.ones(3))


@pytest.mark.parametrize("embedding", [0, 8], ids=["official", "state"])
@pytest.mark.parametrize("name", SENSORS)
def test_the_exported_part_is_the_network(name: str, embedding: int) -> None:
    operator = SENSORS[name]()
    bound = fixed_sensor(network(embedding=embedding), operator)
    measurement = measured(operator)
    prepared = bound.prepare(measurement)
    with torch.no_grad():
        expected = bound.network(measurement)
        direct = bound.finish(bound(*prepared.inputs), prepared)
        real = bound.finish(real_program(bound)(*prepared.inputs), prepared)
    assert distance(direct, expected) < 1e-6
    assert distance(real, expected) < 1e-5


@pytest.fixture(scope="module")
def exported() -> tuple[FixedSensor, Measurement, Tensor]:
    bound = fixed_sensor(network(embedding=8, image_channels=(2,)), mask())
    measurement = measured(mask())
    return bound, measurement, NetworkReconstructor(bound.network)(measurement).mean


def test_onnx_gives_the_same_image(exported: tuple[FixedSensor, Measurement, Tensor], tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra `export`")
    pytest.importorskip("onnxruntime", reason="needs the extra `export`")
    from echoform.deploy.onnx_file import load_onnx, save_onnx

    bound, measurement, expected = exported
    save_onnx(bound, tmp_path / "network.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["network.onnx"]
    found = EngineReconstructor(bound, load_onnx(tmp_path / "network.onnx", threads=1))(measurement).mean
    assert distance(found, expected) < 1e-5


def test_openvino_gives_the_same_image_in_float_and_nearly_in_eight_bits(
    exported: tuple[FixedSensor, Measurement, Tensor], tmp_path: Path
) -> None:
    pytest.importorskip("openvino", reason="needs the extra `export`")
    pytest.importorskip("nncf", reason="needs the extra `export`")
    from echoform.deploy.openvino_model import eight_bit, load_openvino, save_openvino, to_openvino

    bound, measurement, expected = exported
    model = to_openvino(bound)
    save_openvino(model, tmp_path / "network")
    found = EngineReconstructor(bound, load_openvino(tmp_path / "network", threads=1))(measurement).mean
    assert distance(found, expected) < 1e-5
    small = eight_bit(model, bound, [measured(mask(), seed) for seed in range(4)])
    convolutions = [op for op in small.get_ops() if op.get_type_name() == "Convolution"]
    integer = [
        op.get_friendly_name() for op in convolutions if op.input_value(0).get_node().get_type_name() == "FakeQuantize"
    ]
    assert len(integer) == 17  # two in each of seven blocks, three that halve the side
    assert not any("PhysicsBlock" in name or "m_head" in name or "m_tail" in name for name in integer)
    fakes = [op for op in small.get_ops() if op.get_type_name() == "FakeQuantize"]
    readers = {reader.get_node().get_type_name() for op in fakes for reader in op.output(0).get_target_inputs()}
    assert readers == {"Convolution"}
    rounded = EngineReconstructor(bound, load_openvino(small, threads=1))(measurement).mean
    assert 1e-5 < distance(rounded, expected) < 0.1
    with pytest.raises(ValueError, match="at least one"):
        eight_bit(model, bound, [])


def test_tracing_leaves_nothing_behind() -> None:
    """A size that nothing else here uses: what is kept between calls must hold numbers after a first export."""
    bound = fixed_sensor(network(embedding=8), identity((1, 40, 56), complex_image=True))
    first, second = real_program(bound), real_program(bound)
    inputs = bound.example_inputs()
    assert torch.equal(first(*inputs), second(*inputs))


def test_an_engine_refuses_another_sensor(exported: tuple[FixedSensor, Measurement, Tensor]) -> None:
    bound, _, _ = exported
    engine = EngineReconstructor(bound, lambda inputs: inputs[0])
    with pytest.raises(ValueError, match=r"serves a sensor of \(1, 24, 24\) samples"):
        engine(measured(identity((1, 8, 8), complex_image=True)))


def test_one_sensor_only() -> None:
    both = FourierMask(torch.ones(2, 1, SIDE, SIDE))
    with pytest.raises(ValueError, match="serves one sensor"):
        fixed_sensor(network(embedding=8), both)


def test_example_inputs_are_real() -> None:
    inputs = fixed_sensor(network(embedding=8), mask()).example_inputs()
    assert [tuple(t.shape) for t in inputs] == [(1, 2, SIDE, SIDE), (1,)]
    assert not any(t.is_complex() for t in inputs)
