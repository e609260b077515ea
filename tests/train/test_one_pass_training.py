"""Networks without state mode go through the same door as RAM: same problems, same loss, same checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_recipe_file import GOOD, read
from torch import Tensor
from training_cases import RECIPE, carried_out, everything

from echoform.measure.measurement import Measurement, simulate
from echoform.nets.drunet import DRUNetConfig
from echoform.nets.pdnet import PDNetConfig
from echoform.nets.ram import RAMConfig
from echoform.nets.unet import UNetConfig
from echoform.nets.unrolled import UnrolledConfig
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise, standard_normal
from echoform.train import training_state
from echoform.train.losses import denoised
from echoform.train.problems.task import Modes, Task, draw_state
from echoform.train.recipe import Phase, Recipe
from echoform.train.recipe_file import RecipeError
from echoform.train.training_state import TrainingState

ONE_SHOT = Modes(one_shot=1.0, state=0.0, blind=0.0)
CONFIGS = [
    UNetConfig(channels=(4, 4, 6, 6)),
    PDNetConfig(iterations=2, memory=2, features=4),
    UnrolledConfig(DRUNetConfig(channels=(4, 4, 4, 4), blocks=1), steps=2, tied=False),
]


def recipe(network: UNetConfig | PDNetConfig | UnrolledConfig) -> Recipe:
    """The miniature run, complex families alone, one shot."""
    phases = (Phase(2, 16, 2), Phase(1, 24, 2))
    return replace(RECIPE, network=network, modes=ONE_SHOT, families=RECIPE.families[:2], phases=phases)


def fourier_task(operator: FourierMask, *, stated: bool = False) -> Task:
    generator = torch.Generator().manual_seed(2)
    x = standard_normal(torch.zeros(2, 1, 16, 16, dtype=torch.complex64), generator)
    m = simulate(x, operator, GaussianNoise(torch.tensor([0.1, 0.5])), generator=generator)
    state = draw_state(x, (0.1, 1.0), generator) if stated else None
    return Task("white", x, Measurement(m.y, m.operator, m.noise), state, None)


def mask(kind: type[FourierMask] = FourierMask) -> FourierMask:
    return kind((torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(1)) < 0.5).float())


@pytest.mark.parametrize("network", CONFIGS, ids=lambda n: n.kind)
def test_a_run_cut_in_two_is_the_uncut_run_and_moves_every_weight(network: UNetConfig, tmp_path: Path):
    asked = recipe(network)
    uncut = everything(carried_out(asked, tmp_path / "a", [3]))
    cut = everything(carried_out(asked, tmp_path / "b", [1, 3]))
    start = everything(TrainingState.start(asked, torch.device("cpu")))
    assert all(torch.equal(uncut[key], cut[key]) for key in uncut)
    assert [key for key in start if key.startswith("lesson.network") and torch.equal(uncut[key], start[key])] == []


@pytest.mark.parametrize("network", CONFIGS, ids=lambda n: n.kind)
def test_errors_are_those_of_its_image_over_the_variance_that_ram_is_judged_by(network: UNetConfig):
    """The loss of a network of one pass against its definition."""
    one_pass = TrainingState.start(recipe(network), torch.device("cpu")).network
    ram = TrainingState.start(RECIPE, torch.device("cpu")).network
    task = fourier_task(mask())
    with torch.no_grad():
        made, rams, image = denoised(one_pass, task), denoised(ram, task), one_pass(task.measurement)
    assert torch.equal(made.given.variance, rams.given.variance)
    assert torch.equal(made.given.channels, rams.given.channels)
    power = (image - task.truth).abs().square().mean((1, 2, 3)) / made.sensing.scale.square()
    assert torch.allclose(made.relative, power / made.given.variance, rtol=1e-4)


class Watched(FourierMask):
    """Remembers whether it was ever used in narrow precision."""

    narrow: tuple[bool, ...] = ()

    def forward(self, x: Tensor) -> Tensor:
        Watched.narrow += (torch.is_autocast_enabled("cpu"),)
        return super().forward(x)

    def prox_from_backprojection(self, *args: Tensor, **kwargs: float) -> Tensor:
        Watched.narrow += (torch.is_autocast_enabled("cpu"),)
        return super().prox_from_backprojection(*args, **kwargs)  # type: ignore[arg-type]


@pytest.mark.parametrize("network", CONFIGS[1:], ids=lambda n: n.kind)
def test_physics_keeps_its_precision_where_convolutions_are_narrow(
    network: UNetConfig, monkeypatch: pytest.MonkeyPatch
):
    """No product of the sensor is carried out under autocast, while the convolutions around it are."""
    monkeypatch.setattr(training_state, "runs_bfloat16", lambda _: True)  # slowly where the processor cannot
    state = TrainingState.start(recipe(network), torch.device("cpu"))
    Watched.narrow = ()
    loss, _ = state.lesson(fourier_task(mask(Watched)))
    assert state.lesson.narrow
    assert bool(torch.isfinite(loss))
    assert len(Watched.narrow) > 2
    assert not any(Watched.narrow)


def test_a_state_is_refused():
    network = TrainingState.start(recipe(CONFIGS[0]), torch.device("cpu")).network
    with pytest.raises(ValueError, match="UNet has no state mode"):
        denoised(network, fourier_task(mask(), stated=True))


ONE_SHOT_TABLE = "[modes]\none_shot = 1.0\nstate = 0.0\nblind = 0.0\n"


@pytest.mark.parametrize(
    ("table", "network"),
    [
        ("channels = [4, 4, 4, 4]", RAMConfig((4, 4, 4, 4))),
        ('kind = "ram"\nchannels = [4, 4, 4, 4]', RAMConfig((4, 4, 4, 4))),
        ('kind = "u-net"\nchannels = [4, 4, 6, 6]', CONFIGS[0]),
        ('kind = "primal-dual"\niterations = 2\nmemory = 2\nfeatures = 4', CONFIGS[1]),
        (
            'kind = "unrolled"\nsteps = 2\ntied = false\ndenoiser = { channels = [4, 4, 4, 4], blocks = 1 }',
            CONFIGS[2],
        ),
    ],
)
def test_a_recipe_names_the_kind_of_network(tmp_path: Path, table: str, network: RAMConfig):
    text = GOOD.replace("channels = [4, 4, 4, 4]", table) + ONE_SHOT_TABLE
    assert read(tmp_path, text).network == network


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('kind = "unet"', "network.kind: got 'unet', expected one of ram, u-net, primal-dual, unrolled"),
        ('kind = "u-net"\nchannels = [4, 4]', "network.channels: got 2 values, expected 4"),
        ('kind = "u-net"', "a u-net network has no state mode: set modes to one_shot = 1"),
    ],
)
def test_what_is_wrong_with_a_network_is_told(tmp_path: Path, table: str, told: str):
    with pytest.raises(RecipeError, match=told):
        read(tmp_path, GOOD.replace("channels = [4, 4, 4, 4]", table))
