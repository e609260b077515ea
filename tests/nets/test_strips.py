"""Strips and tiles against whole maps and plain sums: rows of a convolution, residual blocks, the network, its gradients."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from contracts import distance
from echoform.measure.measurement import Measurement, simulate
from echoform.nets import column_tiles, narrow, strips, winograd
from echoform.nets.blocks import Encoder, KrylovModule, Level, ResidualBlock
from echoform.nets.channels import from_channels, to_channels
from echoform.nets.convolution import MIDDLE, WIDE, Convolution, prepared_for_inference
from echoform.nets.narrow import NarrowConvolution
from echoform.nets.ram import OFFICIAL, RAM, RAMConfig, channels_last
from echoform.nets.strips import convolved
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise

SPLITS = ((0, 13), (0, 5), (4, 9), (6, 13), (12, 13), (0, 1))
SMALL = replace(OFFICIAL, channels=(6, 8, 8, 8), blocks=2)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def seeded(config: RAMConfig) -> RAM:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return channels_last(RAM(config)).eval()


def map_and_kernels(batch: int = 2) -> tuple[Tensor, Tensor]:
    x = torch.randn(batch, 7, 13, 18, generator=generator(), dtype=torch.float64)
    return x.to(memory_format=torch.channels_last), torch.randn(5, 7, 3, 3, generator=generator(1), dtype=torch.float64)


def problem(side: int, sigma: float = 0.1) -> Measurement:
    x = torch.randn(2, 1, side, side, dtype=torch.complex64, generator=generator(2))
    kept = (torch.rand(1, 1, side, side, generator=generator(3)) < 0.4).float()
    return simulate(x, FourierMask(kept), GaussianNoise(torch.tensor([sigma])), generator=generator(4))


@pytest.mark.parametrize("split", SPLITS)
def test_rows_are_those_of_the_whole_convolution(split: tuple[int, int]) -> None:
    x, weight = map_and_kernels()
    whole = functional.conv2d(x, weight, padding=1)[:, :, slice(*split)]
    assert distance(convolved(x, weight, *split), whole) < 1e-14
    assert distance(winograd.convolved_by_tiles(x, winograd.transformed(weight), *split), whole) < 1e-13
    assert distance(column_tiles.convolved_by_columns(x, column_tiles.transformed(weight), *split), whole) < 1e-13


@pytest.mark.parametrize("outputs", [2, 6])
@pytest.mark.parametrize("block", [8, 16])
def test_a_narrow_convolution_by_taps_or_whole_blocks_is_the_convolution(
    outputs: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both forms, whichever the block of the processor makes the layer take, against the library's convolution."""
    x, _ = map_and_kernels()
    layer = NarrowConvolution(7, outputs).double()
    expected = functional.conv2d(x, layer.weight, padding=1)
    assert torch.equal(layer(x), expected)  # where gradients are kept it is the library's
    monkeypatch.setattr(narrow, "CPU_STRIP", 5 * 2 * 18)
    monkeypatch.setattr(narrow, "BLOCKS", {torch.backends.cpu.get_cpu_capability(): block})
    with torch.no_grad():
        assert distance(layer(x), expected) < 1e-14
    assert distance(narrow.summed_taps(x.contiguous(), layer.weight), expected) < 1e-14


def test_tiles_round_single_precision_no_worse_than_the_plain_sum() -> None:
    """Error against double precision: at most three times that of the plain sum, or 2e-6."""
    x = torch.randn(1, 256, 20, 20, generator=generator()).to(memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3, generator=generator(1))
    exact = functional.conv2d(x.double(), weight.double(), padding=1)
    plain = distance(functional.conv2d(x, weight, padding=1).double(), exact)
    tiles = distance(winograd.convolved_by_tiles(x, winograd.transformed(weight), 0, 20).double(), exact)
    kernels = column_tiles.transformed(weight)
    columns = distance(column_tiles.convolved_by_columns(x, kernels, 0, 20).double(), exact)
    print(f"plain sum {plain:.1e}, tiles {tiles:.1e}, tiles of columns {columns:.1e}")
    assert max(tiles, columns) < max(3 * plain, 2e-6)


@pytest.mark.parametrize("rows", [1, 3, 8, 50])
def test_network_in_strips_is_the_network_on_whole_maps(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sensor sees whole images between the layers, so nothing differs near borders or elsewhere."""
    net, m = seeded(SMALL), problem(48)
    with torch.no_grad():
        monkeypatch.setattr(strips, "CPU_STRIP", 2**30)
        whole = net(m)
        monkeypatch.setattr(strips, "CPU_STRIP", rows * 2 * 64)
        assert distance(net(m), whole) < 1e-6


class BlockByTheFormula(nn.Module):
    """x + conv2(u) + gain * ReLU(encode([embedding, v_1, G v_1, v_2, G v_2])), written out with nothing folded or in place."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor, level: Level) -> Tensor:
        """Return what the block computes, on whole maps and image by image."""
        u = torch.relu(functional.conv2d(x, self.block.conv1.weight, padding=1))
        krylov: KrylovModule = self.block.PhysicsBlock
        parts = [level.embedding]
        for v in krylov.decoding_conv["tail0"](u).chunk(2, 1):
            product = level.gram_scale * level.operator.normal(from_channels(v, level.complex_image))
            parts += [v, to_channels(product, level.complex_image)]
        encoder = krylov.encoding_conv["head0"]
        assert isinstance(encoder, Encoder)
        stacked = torch.cat(parts, 1)
        y = encoder.convin(stacked) + encoder.zero_conv_skip(stacked)
        physics = torch.relu(encoder.conv20(torch.relu(encoder.conv10(y))) + encoder.skipconv0(y))
        return x + functional.conv2d(u, self.block.conv2.weight, padding=1) + self.block.gain * physics


def test_a_block_and_its_gradients_are_those_of_the_formula() -> None:
    """Value, input gradient and all parameters' gradients against the block written down term by term."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        block = ResidualBlock(6, (2,), 0).double()
    nn.init.constant_(block.gain, 0.7)
    operator = FourierMask((torch.rand(1, 1, 12, 12, generator=generator()) < 0.5).double())
    embedding = torch.randn(2, 4, 12, 12, generator=generator(1), dtype=torch.float64)
    level = Level(operator, 4.0, embedding, complex_image=True)
    x = torch.randn(2, 6, 12, 12, generator=generator(2), dtype=torch.float64)
    results = []
    for forward in (lambda v: block(v, level, 0, None), lambda v: BlockByTheFormula(block)(v, level)):
        variable = x.clone().requires_grad_()
        value = forward(variable)
        used = [p for name, p in block.named_parameters() if "decoding_conv.tail0.zero_conv_skip" not in name]
        results.append([value, *torch.autograd.grad(value.square().sum(), [variable, *used])])
    for ours, formula in zip(*results, strict=True):
        assert distance(ours, formula) < 1e-12


def test_a_network_prepared_for_inference_gives_the_same_image() -> None:
    """Tiles in place of plain sums change the image by rounding alone."""
    net, m = seeded(replace(SMALL, channels=(6, 8, MIDDLE, WIDE))), problem(64)
    with torch.no_grad():
        plain = net(m)
        keys = set(net.state_dict())
        assert set(prepared_for_inference(net).state_dict()) == keys
        prepared = net(m)
    assert not torch.equal(plain, prepared)
    assert distance(prepared, plain) < 1e-5


def test_bfloat16_leaves_the_sensor_in_single_precision() -> None:
    """Convolutions round to eight bits of mantissa, 4e-3; a proximal input or products so rounded would fail or be far off."""
    net, m = prepared_for_inference(seeded(replace(SMALL, channels=(6, 8, MIDDLE, WIDE)))), problem(64)
    with torch.no_grad():
        expected = net(m)
        with torch.autocast("cpu", torch.bfloat16):
            found = net(m)
    assert found.dtype == expected.dtype
    assert 1e-5 < distance(found, expected) < 3e-2


@pytest.mark.parametrize("channels", [MIDDLE, WIDE])
def test_prepared_kernels_follow_the_weights_and_stay_out_of_training(channels: int) -> None:
    """Changed weights are transformed again; where gradients are kept the plain sum is taken."""
    layer = Convolution(channels, 4)
    x = torch.randn(1, channels, 8, 8, generator=generator())
    layer.prepare()
    with torch.no_grad():
        layer.weight.mul_(2)
        assert distance(layer.rows(x, 0, 8), functional.conv2d(x, layer.weight, padding=1)) < 1e-5
    layer.rows(x, 0, 8).sum().backward()
    assert layer.weight.grad is not None


@pytest.mark.parametrize("factor", [0.5, 4.0])
def test_the_official_network_is_equivariant_to_scale(factor: float) -> None:
    """R(c y, c s) = c R(y, s) up to its constant 1e-4 beside s in the prox; the body, without such constants, exactly."""
    net, sigma = seeded(SMALL), 0.5
    m = problem(64, sigma)
    scaled = replace(m, y=factor * m.y, noise=GaussianNoise(torch.tensor([factor * sigma])))
    with torch.no_grad():
        assert distance(net(scaled) / factor, net(m)) < 1e-3
        channels = torch.randn(1, 4, 64, 64, generator=generator(5))
        one = net.body(channels, _levels(1.0), 1)[0]
        assert distance(net.body(factor * channels, _levels(factor), 1)[0] / factor, one) < 1e-6


def _levels(factor: float) -> list[Level]:
    operator = FourierMask((torch.rand(1, 1, 64, 64, generator=generator(3)) < 0.4).float())
    found = []
    for s in (1, 2, 4, 8):
        embedding = factor * torch.randn(1, 4, 64 // s, 64 // s, generator=generator(s))
        found.append(Level(operator.galerkin(s), float(s**2), embedding, complex_image=True))
    return found
