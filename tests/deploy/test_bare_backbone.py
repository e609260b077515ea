"""The backbone alone equals the network's body whose physics has gain zero, in PyTorch and outside it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from echoform.deploy.bare_backbone import BareBackbone
from echoform.nets.backbone import FACTORS
from echoform.nets.ram import RAM, RAMConfig
from echoform.nets.sensing import pyramid
from echoform.physics.identity import identity
from echoform.physics.operator import LinearOperator

#: 20 is no multiple of 8: padded to 24
SHAPE, PADDED = (1, 16, 20), (16, 24)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def network(embedding: int) -> RAM:
    """A small RAM in which every weight shows in the output but that of the physics, whose gains are zero."""
    torch.manual_seed(0)
    made = RAM(RAMConfig(channels=(6, 8, 8, 8), blocks=2, image_channels=(2,), embedding=embedding))
    for name, parameter in made.body.named_parameters():
        if name.endswith("gain"):
            nn.init.zeros_(parameter)
        elif "modulation" in name or "m_tail" in name:
            nn.init.normal_(parameter, std=0.1)
    return made.eval()


def sensor(shape: tuple[int, int, int]) -> LinearOperator:
    return identity(shape, complex_image=True)


def given(bare: BareBackbone) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(x.shape, generator=generator) for x in bare.example_inputs())


@torch.no_grad()
def expected(made: RAM, inputs: tuple[Tensor, ...]) -> Tensor:
    """What the body itself returns, physics and all."""
    levels = tuple(sensor((1, *PADDED)).coarsen(s) for s in FACTORS)
    image = torch.ones(1, 1, *PADDED, dtype=torch.complex64)
    output, _ = made.body(inputs[0], pyramid(levels, image), 0, *inputs[1:])
    return output


@pytest.mark.parametrize("embedding", [0, 5], ids=["official", "state"])
def test_the_backbone_is_the_body_without_physics(embedding: int) -> None:
    made = network(embedding)
    bare = BareBackbone(made, sensor(SHAPE))
    inputs = given(bare)
    with torch.no_grad():
        torch.testing.assert_close(bare(*inputs), expected(made, inputs), rtol=1e-5, atol=1e-6)
    made.body.m_down1.enc[0].gain.data.fill_(1.0)  # pyright: ignore[reportCallIssue]
    assert not torch.allclose(bare(*inputs), expected(made, inputs), rtol=1e-3)


def test_exported_backbones_give_the_same_channels(tmp_path: Path) -> None:
    for package in ("onnxscript", "onnxruntime", "openvino"):
        pytest.importorskip(package, reason="needs the extra `export`")
    from echoform.deploy.onnx_file import load_onnx, save_onnx
    from echoform.deploy.openvino_model import load_openvino, to_openvino

    made = network(5)
    bare = BareBackbone(made, sensor(SHAPE))
    inputs = given(bare)
    save_onnx(bare, tmp_path / "backbone.onnx")
    wanted = expected(made, inputs)
    arrays = tuple(x.numpy() for x in inputs)
    for engine in (load_onnx(tmp_path / "backbone.onnx", threads=1), load_openvino(to_openvino(bare), threads=1)):
        found = torch.from_numpy(engine(arrays))
        assert float((found - wanted).norm() / wanted.norm()) < 1e-5
