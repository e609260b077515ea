"""Which weights a benchmark judges: the shipped ones, exported ones, or a checkpoint of a training run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from echoform.apps.methods import WEIGHTS
from echoform.nets import weights
from echoform.nets.ram import RAM, RAMConfig
from echoform.train.recipe_file import read_recipe, shipped
from echoform.train.typed import table


def add_weights(parser: argparse.ArgumentParser) -> None:
    """Let a benchmark be told which of the weights that come with echoform it judges."""
    parser.add_argument("--weights", default=WEIGHTS, help="which of the shipped weights to judge")


def results_of(benchmark: str, name: str) -> str:
    """Return what the results of weights are called: quality_small for echoform-small."""
    return f"{benchmark}_{name.removeprefix('echoform-')}"


def judged(path: Path | None, shipped_name: str = WEIGHTS) -> tuple[RAM, str]:
    """Return the network to judge and what it is: weights that come with echoform, exported ones, or a checkpoint of a run."""
    if path is None:
        return weights.load(shipped_name), weights.read_card(shipped_name).recipe
    cards = sorted(path.glob("*.card.yaml")) if path.is_dir() else []
    if cards:
        name = cards[0].name.removesuffix(".card.yaml")
        return weights.load(name, where=path), weights.read_card(name, where=path).recipe
    file = path / "checkpoint.pt" if path.is_dir() else path
    told = file.with_name("recipe.json")
    config = read_recipe(shipped()["tiny"]).network
    if told.exists():
        written = json.loads(told.read_text())["network"]
        config = table(RAMConfig, {key: value for key, value in written.items() if key != "kind"}, "network")
    content = torch.load(file, map_location="cpu", weights_only=True)
    network = config.build()
    assert isinstance(network, RAM)
    network.load_state_dict(content["average"])
    return network.eval(), f"checkpoint {path}, step {content['step']}"
