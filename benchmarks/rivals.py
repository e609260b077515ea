"""The networks that RAM is compared with, and RAM from drawn weights: same problems, same steps, same loss, same optimiser.

    python benchmarks/rivals.py FOLDER [--steps 240] [--data ../shared/data]

Trains in turns, so that all stand at the same step whenever it is stopped, and goes on where it stopped when it is called again
with the same arguments. FOLDER/NAME/ holds checkpoint, log and the processor time of each; benchmarks/quality.py reads them.

Every network sees the same stream of scenes of the recipe tiny's complex families, one shot alone, three quarters of the steps at
32 x 32 and the last quarter at 48 x 48. The families whose steps cost most (near-field spotlight, near range, ground) are left
out: none of the four has ever seen them. Parameters are about equal (2.5M), PDNet's apart: its layers all work at full
resolution, so it is given about as many operations as the others instead, which is its published size (0.3M).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from echoform.nets.drunet import DRUNetConfig
from echoform.nets.pdnet import PDNetConfig
from echoform.nets.ram import TINY, parameters_count
from echoform.nets.unet import UNetConfig
from echoform.nets.unrolled import UnrolledConfig
from echoform.train.families import CATALOGUE, FamilySource, shares
from echoform.train.loop import CHECKPOINT, accelerator, train
from echoform.train.losses import Network
from echoform.train.problems.pictures import PictureFamily
from echoform.train.problems.task import Modes
from echoform.train.problems.tomography import ComputedTomography
from echoform.train.recipe import FamilyChoice, Phase, Recipe, Validation
from echoform.train.recipe_file import read_recipe, shipped
from echoform.train.schedule import Trapezoid
from echoform.train.training_state import TrainingState

DATA = Path(__file__).parents[2] / "shared" / "data"
STEPS, WARMUP, BATCH, SIDES, SEED = 240, 20, 8, (32, 48), 17
#: steps that one network does before it is the next one's turn
TURN = 20
NETWORKS = {
    "RAM, scratch": TINY,
    "U-Net": UNetConfig(channels=(35, 70, 140, 280)),
    "PDNet": PDNetConfig(),
    "unrolled HQS": UnrolledConfig(DRUNetConfig(channels=(8, 16, 32, 64)), steps=5, tied=False),
}
#: families that are not trained on here
LEFT_OUT = ("spotlight-near", "near-range", "ground")
BUDGET = "budget.json"


@dataclass(frozen=True)
class Budget:
    """What a network was trained with."""

    parameters: int
    steps: int
    scenes: int
    processor_seconds: float


def is_complex(name: str) -> bool:
    """Whether a family's images are complex."""
    return not isinstance(CATALOGUE[name], PictureFamily | ComputedTomography)


def families() -> tuple[FamilyChoice, ...]:
    """Return the mixture: the recipe tiny's complex families but for those left out."""
    mixture = read_recipe(shipped()["tiny"]).families
    return tuple(choice for choice in mixture if is_complex(choice.name) and choice.name not in LEFT_OUT)


def recipe(name: str, steps: int) -> Recipe:
    """Return the run of one network."""
    last = max(1, steps // 4)
    return Recipe(
        network=NETWORKS[name],
        phases=(Phase(steps - last, SIDES[0], BATCH), Phase(last, SIDES[1], BATCH)),
        families=families(),
        schedule=Trapezoid(peak=1e-3, warmup=WARMUP, cool_down=last),
        modes=Modes(one_shot=1.0, state=0.0, blind=0.0),
        average=0.99,
        seed=SEED,
        validation=Validation(every=0),
    )


def trained(folder: Path, name: str) -> tuple[Network, Budget]:
    """Return the averaged weights of a network as far as it has come, and what that took."""
    budget = Budget(**json.loads((folder / name / BUDGET).read_text()))
    network = TrainingState.start(recipe(name, STEPS), torch.device("cpu")).average
    network.load_state_dict(torch.load(folder / name / CHECKPOINT, map_location="cpu", weights_only=True)["average"])
    return network.eval(), budget


def go_on(name: str, asked: Recipe, source: FamilySource, folder: Path, until: int) -> None:
    """Bring one network to step ``until``, from its checkpoint where there is one."""
    state = TrainingState.start(asked, torch.device("cpu"))
    if (folder / CHECKPOINT).exists():
        state.load(folder / CHECKPOINT)
    if state.step >= until:
        return
    path, processes = folder / BUDGET, accelerator(cpu=True)
    spent = json.loads(path.read_text())["processor_seconds"] if path.exists() else 0.0
    began = time.process_time()
    train(state, replace(asked, save_minutes=1e9), source, folder=folder, until=until, processes=processes)
    spent += time.process_time() - began
    budget = Budget(parameters_count(state.network), state.step, state.step * BATCH, round(spent, 1))
    path.write_text(json.dumps(vars(budget)) + "\n")
    print(f"{name}: step {state.step}, {spent:.0f} s of processor time", flush=True)


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    torch.set_num_threads(1)
    drawn = shares(families(), options.data)
    turns = [*range(TURN, options.steps, TURN), options.steps]
    for until in turns:
        for name in NETWORKS:
            asked = recipe(name, options.steps)
            go_on(name, asked, FamilySource(asked, drawn), options.folder / name, until)


if __name__ == "__main__":
    main()
