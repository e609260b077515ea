"""Scenes as another commit's sources draw them, for comparisons of before and after in one run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor

#: draws the radar families of the echoform that it finds
DRAWING = """
import sys, torch
from echoform.scene.catalogue import FAMILIES, Domain
from echoform.scene.random_source import RandomSource
torch.set_num_threads(1)
seed, count, side, path = *map(int, sys.argv[1:4]), sys.argv[4]
source = lambda: RandomSource(torch.Generator().manual_seed(seed))
radar = [f for f in FAMILIES if f.domain is Domain.RADAR]
torch.save({f.name: f.draw(source(), count, (side, side)).image[:, 0] for f in radar}, path)
"""


def drawn_by(commit: str, *, seed: int, count: int, side: int) -> dict[str, Tensor]:
    """Return images of every radar family, (count, side, side) each, by the sources of a commit of this repository.

    Args:
        commit: what git calls it.
        seed: of every family.
        count: scenes of each.
        side: of the scenes, pixels.

    Raises:
        subprocess.CalledProcessError: there is no such commit, or its catalogue is another.
    """
    with tempfile.TemporaryDirectory() as folder:
        here = Path(__file__).parents[1]
        packed = subprocess.run(["git", "archive", commit, "src"], cwd=here, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x"], cwd=folder, input=packed, check=True)
        path = str(Path(folder) / "images.pt")
        environment = os.environ | {"PYTHONPATH": str(Path(folder) / "src")}
        numbers = [str(n) for n in (seed, count, side)]
        subprocess.run([sys.executable, "-c", DRAWING, *numbers, path], env=environment, check=True)
        return torch.load(path, weights_only=True)
