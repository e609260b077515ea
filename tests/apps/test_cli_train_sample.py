"""``echoform train`` and ``echoform sample``: what they write, what they refuse, and how a run that was stopped goes on."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from echoform.apps.cli import main
from echoform.apps.train import _Deadline, _Observer
from echoform.train.recipe_file import shipped

RECIPE = """
seed = 3
[network]
channels = [4, 4, 4, 4]
blocks = 1
embedding = 4
[[phases]]
steps = {steps}
side = 16
batch = 2
[validation]
every = 2
scenes = 2
side = 16
[[families]]
name = "strata"
"""


def recipe(folder: Path, steps: int) -> str:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(steps=steps))
    return str(path)


def test_a_recipe_is_carried_out_and_gone_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A run stops where its recipe says, and goes on from its checkpoint."""
    given, out = recipe(tmp_path, 3), tmp_path / "run"
    assert main(["train", given, "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {"checkpoint.pt", "log.jsonl", "curves.png", "recipe.json"}
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 2, 3]
    assert set(lines[-1]["validation"]["strata"]) == {"one shot", "state", "blind"}
    assert json.loads((out / "recipe.json").read_text())["schedule"]["kind"] == "cosine"
    assert main(["train", given, "--out", str(out)]) == 2
    assert "add --resume" in capsys.readouterr().err
    assert main(["train", given, "--out", str(out), "--resume", "--finish-in", "2"]) == 0
    assert json.loads((out / "log.jsonl").read_text().splitlines()[-1])["step"] == 5


def test_a_run_of_given_length_ends_cooled_down(tmp_path: Path):
    """Six seconds: the recipe's 100 000 steps are cut to what they hold, and the rate ends near zero."""
    given, out = recipe(tmp_path, 100_000), tmp_path / "run"
    Path(given).write_text(Path(given).read_text().replace("every = 2", "every = 0"))
    began = time.monotonic()
    assert main(["train", given, "--out", str(out), "--minutes", "0.1"]) == 0
    assert time.monotonic() - began < 60
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    kept = json.loads((out / "recipe.json").read_text())
    assert kept["schedule"]["kind"] == "trapezoid"
    assert lines[-1]["step"] == sum(phase["steps"] for phase in kept["phases"]) < 100_000
    assert lines[-1]["rate"] < 0.2 * kept["schedule"]["peak"]


def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Each mistake gives exit code 2 and one line that says what to give instead."""
    (tmp_path / "bad.toml").write_text(RECIPE.format(steps='"many"'))
    for arguments, told in (
        (
            ["train", "nowhere.toml"],
            "there is no recipe nowhere.toml; give a TOML file, or one of official, small-gpu, small, tiny",
        ),
        (["train", str(tmp_path / "bad.toml")], "phases[0].steps: got 'many', expected a whole number"),
        (["train", "tiny", "--data", str(tmp_path), "--out", str(tmp_path / "o")], "is not there; give the folder"),
        (["train", recipe(tmp_path, 2), "--out", str(tmp_path / "o"), "--resume"], "there is no checkpoint"),
        (["train", recipe(tmp_path, 2), "--out", recipe(tmp_path, 2)], "recipe.toml is a file; choose another folder"),
        (["train", "tiny", "--out", f"{recipe(tmp_path, 2)}/run"], "recipe.toml is a file; choose another folder"),
        (["train", "tiny", "--minutes", "0"], "--minutes must be positive, got 0"),
        (["train", "tiny", "--minutes", "9", "--finish-in", "9"], "give --finish-in or --minutes, not both"),
        (["sample", "x.h5", "--n", "1"], "--n and --steps must be at least 2"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Return a function that has so many Ctrl-C come with the log's line of a step; no curves are drawn."""

    def arrange(step: int, times: int) -> None:
        def interrupted(self: _Observer, at: int, line: dict[str, object]) -> None:
            for _ in range(times if at == step else 0):
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(_Observer, "report", interrupted)

    return arrange


def how_to_go_on(error: str) -> list[str]:
    return shlex.split(error.partition("go on with: echoform ")[2])


def last_step(out: Path) -> int:
    return json.loads((out / "log.jsonl").read_text().splitlines()[-1])["step"]


def test_the_way_on_from_an_ending_run_ends_it_where_it_was_to_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], interrupt: Callable[[int, int], None]
) -> None:
    """Stopped at step 2 of 4: the command that is told takes the two that are left, cooling down."""
    given, out = recipe(tmp_path, 100_000), tmp_path / "run"
    interrupt(2, 1)
    assert main(["train", given, "--out", str(out), "--finish-in", "4"]) == 130
    command = how_to_go_on(capsys.readouterr().err)
    assert command[-3:] == ["--resume", "--finish-in", "2"]
    interrupt(0, 0)
    assert main(command) == 0
    assert last_step(out) == 4


def test_a_run_of_given_length_that_is_stopped_keeps_its_recipe_and_its_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], interrupt: Callable[[int, int], None]
) -> None:
    """Stopped long before its time: the command that is told has the minutes left, and recipe.json the recipe's length."""
    given, out = recipe(tmp_path, 100_000), tmp_path / "run"
    interrupt(2, 1)
    assert main(["train", given, "--out", str(out), "--minutes", "30"]) == 130
    command = how_to_go_on(capsys.readouterr().err)
    assert command[-3:-1] == ["--resume", "--minutes"]
    assert 25 < float(command[-1]) <= 30
    kept = json.loads((out / "recipe.json").read_text())
    assert kept["schedule"]["kind"] == "cosine"
    assert [phase["steps"] for phase in kept["phases"]] == [100_000]


def test_a_run_of_given_length_that_is_stopped_cooling_down_goes_on_for_the_steps_left(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    interrupt: Callable[[int, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given, out = recipe(tmp_path, 100_000), tmp_path / "run"
    monkeypatch.setattr(_Deadline, "cooling", lambda self: True)
    monkeypatch.setattr(_Deadline, "steps_left", lambda self, step: 4)
    interrupt(2, 1)
    assert main(["train", given, "--out", str(out), "--minutes", "30"]) == 130
    assert how_to_go_on(capsys.readouterr().err)[-3:] == ["--resume", "--finish-in", "3"]


@pytest.mark.parametrize(
    ("save_minutes", "told"),
    [(0, "{} is that of step 1; go on from it with --resume"), (5, "there is no checkpoint yet")],
)
def test_a_second_ctrl_c_says_which_checkpoint_there_is(
    save_minutes: int,
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    interrupt: Callable[[int, int], None],
) -> None:
    given, out = recipe(tmp_path, 100_000), tmp_path / "run"
    Path(given).write_text(f"save_minutes = {save_minutes}\n" + Path(given).read_text())
    interrupt(2, 2)
    assert main(["train", given, "--out", str(out)]) == 130
    error = capsys.readouterr().err
    assert f"interrupted without saving; {told.format(out / 'checkpoint.pt')}" in error
    assert (out / "checkpoint.pt").exists() == (save_minutes == 0)


def test_help_names_every_recipe_that_ships(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    words = capsys.readouterr().out.replace("│", " ").split()
    assert ", ".join(shipped()) in " ".join(words)


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path):
    """The first Ctrl-C leaves a checkpoint and the command that goes on from it."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "echoform.apps.cli", "train", recipe(tmp_path, 100_000), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        patience = time.monotonic() + 120
        while not (out / "log.jsonl").exists() and time.monotonic() < patience:
            time.sleep(0.2)
        os.kill(run.pid, signal.SIGINT)
        _, error = run.communicate(timeout=120)
    assert run.returncode == 130, error
    assert "go on with: echoform train" in error
    assert (out / "checkpoint.pt").exists()


def test_sampling_writes_a_report_with_what_the_samples_say(tmp_path: Path):
    """The report of `echoform sample` holds the images that the samples give."""
    data, out = tmp_path / "data.h5", tmp_path / "out"
    assert main(["simulate", "--family", "fourier", "--pixels", "32", "--snr-db", "20", "--out", str(data)]) == 0
    assert main(["sample", str(data), "--n", "3", "--steps", "3", "--out", str(out), "--level-db", "-12"]) == 0
    page = (out / "report.html").read_text()
    for heading in ("Uncertainty", "Probability of exceedance", "Posterior samples"):
        assert heading in page
    assert "exceeds -12 dB" in page
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["posterior"]["facts"] == {"samples": 3.0, "levels": 3.0}
