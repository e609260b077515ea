"""The training loop: resuming is exact, it stops when asked, logs what it should, and survives a gradient that is not finite."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_cases import RECIPE, carried_out, everything

from echoform.nets.ram import RAM
from echoform.train import training_state
from echoform.train.families import FamilySource, shares
from echoform.train.loop import Watch, accelerator, train
from echoform.train.losses import AbsoluteErrorRecipe, Network
from echoform.train.problems.task import Modes, Task
from echoform.train.recipe import Validation
from echoform.train.schedule import Cosine, Drop, Trapezoid
from echoform.train.training_state import CheckpointError, TrainingState
from echoform.train.validation import ValidationSet

CPU = torch.device("cpu")


def test_a_run_cut_in_two_is_the_uncut_run_bit_for_bit(tmp_path: Path):
    """Every weight, average and learnt number is the same."""
    uncut = everything(carried_out(RECIPE, tmp_path / "a", [6]))
    cut = everything(carried_out(RECIPE, tmp_path / "b", [3, 5, 6]))
    start = everything(TrainingState.start(RECIPE, CPU))
    assert all(torch.equal(uncut[key], cut[key]) for key in uncut)
    assert any(not torch.equal(uncut[key], start[key]) for key in start)


def test_it_stops_when_asked_and_goes_on_as_if_it_had_not(tmp_path: Path):
    """A request to stop is obeyed after the step, and costs nothing."""
    asked = iter([False, True])
    first = carried_out(RECIPE, tmp_path / "a", [6], Watch(stop=lambda: next(asked)))
    assert first.step == 2
    whole = everything(carried_out(RECIPE, tmp_path / "b", [6]))
    rest = everything(carried_out(RECIPE, tmp_path / "a", [6]))
    assert all(torch.equal(whole[key], rest[key]) for key in whole)


def test_lines_after_the_checkpoint_are_dropped_from_the_log(tmp_path: Path):
    """A run that was cut off between checkpoint and log goes on with one line a step."""
    recipe = replace(RECIPE, validation=Validation(every=2, scenes=2, side=16))

    def judge(_: Network) -> dict[str, dict[str, float]]:
        return {"strata": {"one shot": 0.5}}

    carried_out(recipe, tmp_path, [4], Watch(validate=judge))
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write(json.dumps({"step": 5, "error": 9.0}) + "\n")
    carried_out(recipe, tmp_path, [6], Watch(validate=judge))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 2, 4, 6]
    assert all(line["validation"] == judge(None) for line in lines)  # type: ignore[arg-type]
    assert set(lines[1]["families"]) <= {"strata", "interferometry", "denoising"}
    assert lines[-1]["rate"] == recipe.rate(5)


def test_a_gradient_that_is_not_finite_is_skipped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Weights stay as they are and the log says how many steps were skipped."""
    state = carried_out(RECIPE, tmp_path, [1])
    before = {key: value.clone() for key, value in state.network.state_dict().items()}
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(float("nan")))
    recipe = replace(RECIPE, validation=Validation(every=2))
    after = carried_out(recipe, tmp_path, [2], Watch(validate=lambda _: {}))
    assert after.step == 2
    assert all(torch.equal(value, after.network.state_dict()[key]) for key, value in before.items())
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])["skipped"] == 1


def test_the_log_says_how_long_problems_were_waited_for_and_which_step_was_slowest(tmp_path: Path):
    """A source that sleeps before one family's problems is seen in both."""
    slow, pause = "interferometry", 0.3

    def sleepy(tasks: Iterator[Task]) -> Iterator[Task]:
        """Yield the tasks, those of one family late."""
        for task in tasks:
            time.sleep(pause if task.family == slow else 0.0)
            yield task

    processes = accelerator(cpu=True)
    source = FamilySource(RECIPE, shares(RECIPE.families, Path()))
    state = TrainingState.start(RECIPE, CPU)
    train(
        state,
        RECIPE,
        lambda phase, start: sleepy(source(phase, start)),
        folder=tmp_path,
        until=RECIPE.steps,
        processes=processes,
    )
    line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert line["waited_seconds"] >= pause
    assert slow in line["slowest"]["families"]
    assert line["slowest"]["seconds"] >= pause


def test_damaged_missing_and_foreign_checkpoints_are_refused(tmp_path: Path):
    """Each raises CheckpointError with its own reason."""
    state = TrainingState.start(RECIPE, CPU)
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        state.load(tmp_path / "checkpoint.pt")
    state.save(tmp_path / "checkpoint.pt")
    other = TrainingState.start(replace(RECIPE, network=replace(RECIPE.network, blocks=2)), CPU)
    with pytest.raises(CheckpointError, match="no checkpoint of this recipe's network"):
        other.load(tmp_path / "checkpoint.pt")
    content = (tmp_path / "checkpoint.pt").read_bytes()
    (tmp_path / "checkpoint.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="damaged"):
        state.load(tmp_path / "checkpoint.pt")


def test_a_run_may_start_from_weights_of_fewer_kinds_of_image(tmp_path: Path):
    """What is there is taken over, heads of further kinds are drawn, other sizes are refused."""
    fewer = replace(RECIPE, network=replace(RECIPE.network, image_channels=(2,)), seed=5)
    first = TrainingState.start(fewer, CPU)
    first.save(tmp_path / "first.pt")
    state = TrainingState.start(replace(RECIPE, start=str(tmp_path / "first.pt")), CPU)
    own = state.network.state_dict()
    assert all(torch.equal(own[key], value) for key, value in first.average.state_dict().items())
    assert len(own) > len(first.average.state_dict())
    wrong = replace(
        RECIPE, network=replace(RECIPE.network, channels=(12, 12, 12, 12)), start=str(tmp_path / "first.pt")
    )
    with pytest.raises(CheckpointError, match="another size or head"):
        TrainingState.start(wrong, CPU)


def test_a_run_from_a_checkpoint_takes_what_its_loss_had_learnt(tmp_path: Path):
    """The predictor of errors goes on from there; weights alone, or those of another loss, leave it as drawn."""
    first = carried_out(replace(RECIPE, seed=7), tmp_path, [3])
    learnt, drawn = first.lesson.loss.state_dict(), TrainingState.start(RECIPE, CPU).lesson.loss.state_dict()
    start = replace(RECIPE, start=str(tmp_path / "checkpoint.pt"))
    taken = TrainingState.start(start, CPU).lesson.loss.state_dict()
    assert all(torch.equal(taken[key], value) for key, value in learnt.items())
    assert not all(torch.equal(drawn[key], value) for key, value in learnt.items())
    other = TrainingState.start(replace(start, modes=Modes(1, 0, 0), loss=AbsoluteErrorRecipe()), CPU)
    assert not other.lesson.loss.state_dict()


def test_while_the_loss_settles_the_network_stands_still(tmp_path: Path):
    """Two steps change what the loss has learnt and nothing else; the third is the schedule's first."""
    recipe = replace(RECIPE, settle=2)
    before = everything(TrainingState.start(recipe, CPU))
    after = everything(carried_out(recipe, tmp_path, [2]))
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert changed == {key for key in before if key.startswith("loss.")}
    later = everything(carried_out(recipe, tmp_path, [3]))
    assert any(not torch.equal(later[key], after[key]) for key in after if key.startswith("network."))
    rates = [recipe.rate(step) for step in range(recipe.steps)]
    assert rates[:3] == [0, 0, RECIPE.schedule.rate(0, recipe.steps - 2)]
    assert [recipe.loss_rate(step) for step in (0, 3)] == [recipe.schedule.peak, recipe.rate(3)]


def test_validation_problems_are_the_same_every_time_and_cover_every_mode():
    """Two sets of one seed judge alike, in every family and mode."""
    drawn = shares(RECIPE.families, Path())
    sets = [
        ValidationSet.draw(drawn, RECIPE.modes, Validation(scenes=2, side=16), CPU, ready=ready)
        for ready in (False, True)
    ]
    state = TrainingState.start(RECIPE, CPU)
    verdicts = [s.judge(state.average, state.lesson.loss) for s in sets]
    assert verdicts[0] == verdicts[1]
    assert set(verdicts[0]) == {"strata", "interferometry", "denoising"}
    assert all(set(found) == {"one shot", "state", "blind"} for found in verdicts[0].values())


def test_phases_and_rates():
    """Steps fall into their phases, and rates follow each schedule."""
    assert [RECIPE.phase(s).side for s in range(6)] == [16] * 4 + [24] * 2
    assert [RECIPE.drawn_before(s) for s in range(7)] == [0, 1, 2, 3, 4, 6, 8]
    assert RECIPE.rate(0) == pytest.approx(RECIPE.schedule.peak / 2)
    assert RECIPE.rate(RECIPE.steps) == pytest.approx(0.01 * RECIPE.schedule.peak)
    flat = Trapezoid(peak=1.0, warmup=2, cool_down=4)
    assert [flat.rate(s, 10) for s in (0, 1, 5, 6, 8, 10)] == pytest.approx([0.5, 1, 1, 1, 0.5, 0])
    assert [Trapezoid(peak=1.0, warmup=1).rate(s, 10) for s in (0, 9)] == [1, 1]
    assert [Drop(peak=1e-4, warmup=1).rate(s, 200) for s in (179, 180)] == pytest.approx([1e-4, 1e-5])
    assert Cosine(peak=1.0, warmup=1).rate(50, 100) == pytest.approx(0.01 + 0.99 / 2)


def test_a_run_can_be_brought_to_its_end_from_any_step():
    """Phases are cut or stretched, the rate falls to zero, and what had not settled by then does not."""
    ended = RECIPE.ending(3, 2)
    assert [p.steps for p in ended.phases] == [4, 1]
    assert [ended.rate(s) / RECIPE.schedule.peak for s in (2, 3, 4, 5)] == pytest.approx([1, 1, 0.5, 0])
    assert [p.steps for p in RECIPE.ending(5, 10).phases] == [4, 11]
    hurried = replace(RECIPE, settle=4).ending(1, 2)  # it learns from then on, settled or not
    assert (hurried.settle, hurried.rate(0)) == (1, 0)
    assert hurried.rate(1) > 0


@pytest.mark.parametrize("supported", [True, False])
def test_convolutions_run_in_bfloat16_only_where_the_device_has_them(supported: bool, monkeypatch: pytest.MonkeyPatch):
    """What the last layer puts out tells in which precision the convolutions ran."""
    monkeypatch.setattr(training_state, "runs_bfloat16", lambda _: supported)
    state = TrainingState.start(RECIPE, CPU)
    seen: list[torch.dtype] = []
    assert isinstance(state.network, RAM)
    state.network.body.m_tail["conv0"].register_forward_hook(lambda _layer, _given, made: seen.append(made.dtype))
    task = next(iter(FamilySource(RECIPE, shares(RECIPE.families[:1], Path()))(RECIPE.phases[0], 0)))
    state.lesson(task)
    assert set(seen) == {torch.bfloat16 if supported else torch.float32}
