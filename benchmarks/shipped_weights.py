"""What a training run came to: weights with their card, the log, and the curves in the docs.

    echoform train tiny --data ../shared/data --out FOLDER            trains; Ctrl-C saves, --resume goes on
    python benchmarks/shipped_weights.py FOLDER [--name echoform-tiny] [--into DIRECTORY]

Writes the averaged weights of FOLDER's checkpoint in half precision with a card (into the package when no directory is given),
benchmarks/results/train_<size>.json (the log) and docs/train_<size>.png, and prints validation of the first and of the last
line: mean of squared error over v, decibels, by family and mode, on problems that were never trained on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from echoform.nets.ram import RAM, RAMConfig
from echoform.nets.weights import Card, store
from echoform.nets.weights import folder as weights_folder
from echoform.report.training_curves import DECIBELS, draw_curves, read_log
from record import commit, save

ROOT = Path(__file__).parents[1]
#: what a recipe's pictures are called on a card
PICTURES = ("chips", "pictures", "magnitudes", "photographs", "slices")


def log_name(name: str) -> str:
    """Return what the log of weights is called: train_tiny for echoform-tiny."""
    return name.replace("echoform-", "train_")


def card(name: str, recipe: dict[str, Any], log: list[dict[str, Any]]) -> Card:
    """Return the card of a run: its data, steps and first weights."""
    network = recipe["network"]
    families = [(entry["name"], dict(entry["ranges"])) for entry in recipe["families"]]
    files = sorted({file for _, ranges in families for key in PICTURES for file in ranges.get(key, [])})
    phases = recipe["phases"]
    steps = log[-1]["step"]
    return Card(
        name=name,
        network=RAMConfig(
            tuple(network["channels"]), network["blocks"], tuple(network["image_channels"]), network["embedding"]
        ),
        data=("simulated problems: " + ", ".join(family for family, _ in families), *files),
        recipe=f"echoform train, {steps} steps from {recipe['start'] or 'drawn weights'}, "
        + ", ".join(f"batches of {p['batch']} at {p['side']} x {p['side']}" for p in phases)
        + f"; {recipe['loss']['kind']} error, Adam, average {recipe['average']}",
        commit=commit(),
        metrics=(f"benchmarks/results/{log_name(name)}.json",),
        licence="BSD-3-Clause",
    )


def show(log: list[dict[str, Any]]) -> None:
    """Print validation before and after."""
    judged = [line for line in log if line.get("validation")]
    first, last = judged[0], judged[-1]
    modes = list(next(iter(last["validation"].values())))
    table = Table("family", *(f"{mode}, step {x['step']}" for mode in modes for x in (first, last)))
    for family in last["validation"]:
        cells = []
        for mode in modes:
            for line in (first, last):
                value = line["validation"].get(family, {}).get(mode)
                cells.append("" if value is None else f"{DECIBELS * value:.2f}")
        table.add_row(family, *cells)
    Console(width=150).print(table)


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", default="echoform-tiny")
    parser.add_argument("--into", type=Path, default=weights_folder())
    options = parser.parse_args()
    recipe = json.loads((options.folder / "recipe.json").read_text())
    log = read_log(options.folder / "log.jsonl")
    made = card(options.name, recipe, log)
    network = RAM(made.network)
    checkpoint = torch.load(options.folder / "checkpoint.pt", map_location="cpu", weights_only=True)
    network.load_state_dict(checkpoint["average"])
    print(store(network, made, options.into))
    print(save(log_name(made.name), seed=recipe["seed"], results={"recipe": recipe, "log": log}))
    draw_curves(log, ROOT / "docs" / f"{log_name(made.name)}.png")
    show(log)


if __name__ == "__main__":
    main()
