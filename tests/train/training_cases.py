"""A run small enough for tests: a network of a few hundred weights over three families of 16 x 16 pixels."""

from __future__ import annotations

from pathlib import Path

import torch

from echoform.nets.ram import RAMConfig
from echoform.train.families import FamilySource, shares
from echoform.train.loop import Watch, accelerator, train
from echoform.train.recipe import FamilyChoice, Phase, Recipe
from echoform.train.schedule import Cosine
from echoform.train.training_state import TrainingState

RECIPE = Recipe(
    network=RAMConfig(channels=(4, 4, 4, 4), blocks=1, image_channels=(2, 1, 3), embedding=4),
    phases=(Phase(4, 16, 3), Phase(2, 24, 2, accumulation=2)),
    families=(
        FamilyChoice("strata"),
        FamilyChoice("interferometry", ranges=(("times", 4),)),
        FamilyChoice("denoising", ranges=(("levels", {"sigma": [0.01, 0.1]}),)),
    ),
    schedule=Cosine(warmup=2),
)


def carried_out(recipe: Recipe, folder: Path, stops: list[int], watch: Watch | None = None) -> TrainingState:
    """Run a recipe up to each of the stops, from the checkpoint each time."""
    processes = accelerator(cpu=True)
    source = FamilySource(recipe, shares(recipe.families, Path()), processes.process_index, processes.num_processes)
    state = TrainingState.start(recipe, torch.device("cpu"))
    for stop in stops:
        state = TrainingState.start(recipe, torch.device("cpu"))
        if (folder / "checkpoint.pt").exists():
            state.load(folder / "checkpoint.pt")
        train(state, recipe, source, folder=folder, until=stop, processes=processes, watch=watch)
    return state


def everything(state: TrainingState) -> dict[str, torch.Tensor]:
    """Every number a run has learnt."""
    average = {f"average.{key}": value for key, value in state.average.state_dict().items()}
    return state.lesson.state_dict() | average
