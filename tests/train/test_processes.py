"""Several processes: two ranks under torchrun see different problems and do what one process does with both of them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.utils import InitProcessGroupKwargs
from training_cases import RECIPE, carried_out, everything

from echoform.train import loop
from echoform.train.recipe import Phase, Recipe

SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from test_processes import recipe
from training_cases import carried_out, everything
from echoform.train.families import FamilySource, shares
from echoform.train.loop import accelerator
out = Path(sys.argv[2])
processes = accelerator(cpu=True)
rank = processes.process_index
state = carried_out(recipe(1), out / "run", [3])
source = FamilySource(recipe(1), shares(recipe(1).families, Path()), rank, processes.num_processes)
task = next(source(recipe(1).phases[0], 0))
torch.save({"weights": everything(state), "truth": task.truth, "ranks": processes.num_processes}, out / f"{rank}.pt")
processes.end_training()
"""


def recipe(accumulation: int) -> Recipe:
    return replace(RECIPE, phases=(Phase(3, 16, 2, accumulation),), bfloat16=False)


@pytest.mark.slow
def test_two_ranks_are_one_process_that_takes_both_their_problems(tmp_path: Path):
    """Different problems, equal weights on both ranks, and those of one process that accumulates two problems a step."""
    (tmp_path / "script.py").write_text(SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    tests = str(Path(__file__).parent)
    done = subprocess.run(
        [*launch, str(tmp_path / "script.py"), tests, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first["ranks"] == 2
    assert first["truth"].shape != second["truth"].shape or not torch.equal(first["truth"], second["truth"])
    assert all(torch.equal(first["weights"][key], second["weights"][key]) for key in first["weights"])
    alone = everything(carried_out(recipe(2), tmp_path / "alone", [3]))
    for key, value in alone.items():
        assert torch.allclose(first["weights"][key], value, rtol=1e-3, atol=2e-5), key


@pytest.mark.parametrize(
    ("gpus", "number", "cpu", "through"),
    [(1, "0", False, ["gloo"]), (2, "1", False, ["gloo"]), (4, "3", False, []), (0, "3", True, [])],
)
def test_ranks_share_gpus_through_gloo_or_are_told_that_there_are_none(
    monkeypatch: pytest.MonkeyPatch, gpus: int, number: str, cpu: bool, through: list[str]
):
    """The fourth of four ranks on a machine with so many GPUs: the GPU it names, whether it is told CPU, and its backend."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(loop, "Accelerator", lambda **asked: given.update(asked))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "3")
    loop.accelerator()
    assert os.environ["LOCAL_RANK"] == number
    assert given["cpu"] is cpu
    assert [h.backend for h in given["kwargs_handlers"] if isinstance(h, InitProcessGroupKwargs)] == through
