"""The commands on bad files, bad requests and Ctrl-C: one clear line, the right exit code, nothing left behind."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from echoform.apps import cli, saving
from echoform.apps.cli import main
from echoform.apps.demo import simulated_collection
from echoform.apps.methods import METHODS
from echoform.measure.native import save
from echoform.recon.reconstructor import Estimate, Reconstructor


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "spotlight.h5"
    save(simulated_collection(32, 20.0, seed=3), path)
    return path


def truncated(path: Path, good: Path) -> None:
    path.write_bytes(good.read_bytes()[:-2000])


def not_finite(path: Path, good: Path) -> None:
    path.write_bytes(good.read_bytes())
    with h5py.File(path, "r+") as file:
        file["y"][0, 0, 3, 4] = np.nan


def without_samples(path: Path, good: Path) -> None:
    path.write_bytes(good.read_bytes())
    with h5py.File(path, "r+") as file:
        del file["y"]


def wrong_dtype(path: Path, good: Path) -> None:
    without_samples(path, good)
    with h5py.File(path, "r+") as file:
        file["y"] = np.zeros((1, 1, 32, 32), dtype="S4")


def wrong_shape(path: Path, good: Path) -> None:
    without_samples(path, good)
    with h5py.File(path, "r+") as file:
        file["y"] = np.zeros((1, 1, 32, 31), dtype=np.complex64)


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "missing": lambda path, good: None,
    "directory": lambda path, good: path.mkdir(),
    "empty": lambda path, good: path.write_bytes(b""),
    "text": lambda path, good: path.write_text("not a measurement\n"),
    "pickle": lambda path, good: path.write_bytes(pickle.dumps({"y": [1, 2, 3]})),
    "other HDF5": lambda path, good: h5py.File(path, "w").close(),
    "truncated": truncated,
    "not finite": not_finite,
    "missing field": without_samples,
    "wrong dtype": wrong_dtype,
    "wrong shape": wrong_shape,
}


def assert_one_line(text: str) -> None:
    assert text.startswith("echoform: ")
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert "Traceback" not in text


@pytest.mark.parametrize("command", ["reconstruct", "compare", "info"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_file(
    command: str,
    damage: Callable[[Path, Path], object],
    collection: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "input" / "bad.h5"
    path.parent.mkdir()
    damage(path, collection)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert main([command, str(path)]) == 2
    printed = capsys.readouterr()
    assert_one_line(printed.err)
    assert "bad.h5" in printed.err
    assert printed.out == ""
    assert list((tmp_path / "work").iterdir()) == []


REQUESTS = {
    "all pulses kept": (["compare", "--keep-pulses", "1.0"], "--keep-pulses"),
    "no pulse kept": (["compare", "--keep-pulses", "0"], "--keep-pulses"),
    "negative sigma": (["compare", "--sigma", "-1"], "--sigma"),
    "sigma is not a number": (["compare", "--sigma", "nan"], "--sigma"),
    "seed of more than 64 bits": (["compare", "--keep-pulses", "0.5", "--seed", str(10**20)], "--seed must lie"),
    "negative seed": (["reconstruct", "--seed", "-1"], "--seed must lie"),
    "no depth": (["compare", "--dynamic-range-db", "0"], "--dynamic-range-db"),
    "weight without use": (["reconstruct", "--method", "backprojection", "--weight", "1"], "--weight"),
    "negative weight": (["reconstruct", "--method", "tikhonov", "--weight", "-1"], "weight"),
}


@pytest.mark.parametrize(("arguments", "word"), REQUESTS.values(), ids=REQUESTS.keys())
def test_request_that_cannot_be_met(
    arguments: list[str], word: str, collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", str(tmp_path / "deep" / "out"), str(collection)]) == 2
    printed = capsys.readouterr()
    assert_one_line(printed.err)
    assert word in printed.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [[], ["no-such-command"], ["reconstruct"], ["reconstruct", "a.h5", "--method", "magic"], ["demo", "--pixels", "x"]],
)
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err != ""


def test_demo_refuses_an_absurd_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--pixels", "1", "--out", str(tmp_path / "out")]) == 2
    assert_one_line(capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value"), [("--snr-db", "nan"), ("--snr-db", "-1e4"), ("--snr-db", "inf"), ("--seed", str(10**20))]
)
def test_demo_refuses_numbers_without_meaning(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--pixels", "32", option, value, "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr()
    assert_one_line(printed.err)
    assert f"{option} must" in printed.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_user_is_never_replaced(
    collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert main(["reconstruct", str(collection), "--method", "backprojection", "--out", str(tmp_path)]) == 2
    assert_one_line(capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


class Interrupted(Reconstructor):
    """A method during which the user presses Ctrl-C."""

    def forward(self, measurement: object, *, generator: object = None) -> None:  # pyright: ignore
        raise KeyboardInterrupt


def test_interrupt_during_a_method_leaves_nothing(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(METHODS, "l1", replace(METHODS["l1"], make=lambda weight: Interrupted()))
    arguments = ["compare", str(collection), "--out", str(tmp_path / "deep" / "out"), "--methods", "tikhonov", "l1"]
    assert main(arguments) == 130
    printed = capsys.readouterr()
    assert_one_line(printed.err)
    assert printed.out == ""
    assert list(tmp_path.iterdir()) == []


def test_interrupt_while_writing_keeps_the_earlier_result(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["reconstruct", str(collection), "--method", "backprojection", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(saving.np, "save", interrupt)  # after report.html and the JSON files
    assert main([*arguments, "--seed", "1"]) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_image_that_is_not_finite_is_not_written(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(Reconstructor):
        def forward(self, measurement: object, *, generator: object = None) -> Estimate:  # pyright: ignore
            return Estimate(torch.full((1, 1, 32, 32), torch.nan, dtype=torch.complex64))

    monkeypatch.setitem(METHODS, "l1", replace(METHODS["l1"], make=lambda weight: Broken()))
    assert main(["reconstruct", str(collection), "--method", "l1", "--out", str(tmp_path / "out")]) == 2
    assert_one_line(capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_of_a_real_process_leaves_nothing(tmp_path: Path) -> None:
    arguments = ["demo", "--pixels", "512", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-m", "echoform.apps.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started = time.monotonic()
    while not any(tmp_path.iterdir()) and process.poll() is None and time.monotonic() - started < 60:
        time.sleep(0.05)  # until the temporary folder is there
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert_one_line(errors)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_writing_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    """A process of its own, which the signal would end at once, in the middle of a command that writes a folder."""
    script = textwrap.dedent(
        """
        import signal, sys
        from pathlib import Path
        from echoform.apps import cli
        from echoform.measure.atomic import atomic_folder

        def work(arguments):
            with atomic_folder(Path(arguments[0]) / "deep" / "out") as part:
                (part / "report.html").write_text("half")
                signal.raise_signal(int(arguments[1]))

        cli._run = work
        sys.exit(cli.main())
        """
    )
    command = [sys.executable, "-c", script, str(tmp_path), str(int(number))]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 128 + number
    assert_one_line(ended.stderr)
    assert list(tmp_path.iterdir()) == []


def test_signals_mean_afterwards_what_they_meant_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hang-up that nohup ignores stays ignored while a command runs."""
    seen: list[object] = []
    monkeypatch.setattr(cli, "_run", lambda _: seen.extend(map(signal.getsignal, (signal.SIGTERM, signal.SIGHUP))) or 0)
    before = [signal.signal(signal.SIGTERM, signal.SIG_DFL), signal.signal(signal.SIGHUP, signal.SIG_IGN)]
    try:
        assert main([]) == 0
        assert callable(seen[0])
        assert seen[1] is signal.SIG_IGN
        assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)] == [signal.SIG_DFL, signal.SIG_IGN]
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGHUP, before[1])
