"""Outputs are complete or absent: interruption leaves what was there, and nothing of the user's is replaced."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from echoform.measure.atomic import MARKER, atomic_folder, atomic_path
from echoform.measure.errors import OutputError


def listing(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_file_appears_complete(tmp_path) -> None:
    final = tmp_path / "result.txt"
    with atomic_path(final) as part:
        part.write_text("half")
        assert part.parent == tmp_path
        assert not final.exists()
        part.write_text("whole")
    assert final.read_text() == "whole"
    assert listing(tmp_path) == ["result.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("written", [True, False])
def test_interrupted_file_keeps_the_old_one(tmp_path, error, written) -> None:
    final = tmp_path / "result.txt"
    final.write_text("old")

    def interrupted() -> None:
        with atomic_path(final) as part:
            if written:
                part.write_text("half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert final.read_text() == "old"
    assert listing(tmp_path) == ["result.txt"]


def test_ctrl_c_in_a_real_process_leaves_nothing_half_written(tmp_path) -> None:
    (tmp_path / "result.txt").write_text("old")
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from echoform.measure.atomic import atomic_folder, atomic_path
        folder = Path(sys.argv[1])
        with atomic_path(folder / "result.txt") as part, atomic_folder(folder / "a" / "report") as inside:
            part.write_text("half")
            (inside / "x").write_text("half")
            (folder / "started").touch()
            time.sleep(60)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert b"KeyboardInterrupt" in stderr
    assert listing(tmp_path) == ["result.txt", "started"]
    assert (tmp_path / "result.txt").read_text() == "old"


def test_file_refusals(tmp_path) -> None:
    with pytest.raises(OutputError, match="folder does not exist"), atomic_path(tmp_path / "no" / "x"):
        pass
    with pytest.raises(OutputError, match="a folder of this name exists"), atomic_path(tmp_path):
        pass
    with pytest.raises(OutputError, match="nothing was written"), atomic_path(tmp_path / "x"):
        pass
    with pytest.raises(OutputError, match="cannot be written") as caught, atomic_path(tmp_path / "x") as part:
        (part / "below").write_text("")
    assert str(caught.value).isprintable()
    assert listing(tmp_path) == []


def test_file_behind_a_link_is_replaced_and_the_link_stays(tmp_path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    with atomic_path(tmp_path / "link") as part:
        part.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def write_report(folder: Path, text: str) -> None:
    with atomic_folder(folder) as part:
        (part / "figures").mkdir()
        (part / "figures" / "a.txt").write_text(text)
        (part / "report.html").write_text(text)
        assert listing(folder) == [] or text != "first"


def test_folder_appears_complete_and_is_replaced_as_a_whole(tmp_path) -> None:
    final = tmp_path / "runs" / "one"
    write_report(final, "first")
    assert listing(final) == [MARKER, "figures", "figures/a.txt", "report.html"]
    (final / "figures" / "a.txt").unlink()
    with atomic_folder(final) as part:
        (part / "only.txt").write_text("second")
    assert listing(final) == [MARKER, "only.txt"]
    assert listing(tmp_path / "runs") == ["one", f"one/{MARKER}", "one/only.txt"]


def test_empty_folder_is_used(tmp_path) -> None:
    (tmp_path / "one").mkdir()
    write_report(tmp_path / "one", "first")
    assert (tmp_path / "one" / "report.html").read_text() == "first"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_interrupted_folder_keeps_the_old_one_and_makes_no_parents(tmp_path, error) -> None:
    final = tmp_path / "one"
    write_report(final, "old")
    before = listing(tmp_path)

    def interrupted(folder: Path) -> None:
        with atomic_folder(folder) as part:
            (part / "x").write_text("half")
            raise error

    for folder in (final, tmp_path / "new" / "deep" / "two"):
        with pytest.raises(error):
            interrupted(folder)
    assert listing(tmp_path) == before
    assert (final / "report.html").read_text() == "old"


def test_failure_of_the_last_rename_puts_the_old_folder_back(tmp_path, monkeypatch) -> None:
    final = tmp_path / "one"
    write_report(final, "old")
    before = listing(tmp_path)
    replace = os.replace
    calls = []

    def failing(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OutputError, match="No space left"):
        write_report(final, "new")
    assert len(calls) == 3
    assert listing(tmp_path) == before
    assert (final / "report.html").read_text() == "old"


def test_nothing_of_the_users_is_replaced(tmp_path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "config.json").write_text("{}")
    with pytest.raises(OutputError, match=r"not written by echoform.*--out"), atomic_folder(mine):
        pytest.fail("entered")
    ours = tmp_path / "ours"
    write_report(ours, "first")
    (ours / "figures" / "notes.txt").write_text("mine")
    with (
        pytest.raises(OutputError, match=r"'figures/notes.txt', which echoform did not write.*--out"),
        atomic_folder(ours),
    ):
        pytest.fail("entered")
    (ours / "figures" / "notes.txt").unlink()
    (ours / MARKER).write_text("[1, {}]")
    with pytest.raises(OutputError, match="echoform did not write"), atomic_folder(ours):
        pytest.fail("entered")
    (ours / MARKER).write_text("broken")
    with pytest.raises(OutputError, match="cannot be read"), atomic_folder(ours):
        pytest.fail("entered")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="a file of this name exists"), atomic_folder(tmp_path / "file"):
        pytest.fail("entered")
    with pytest.raises(OutputError, match="nothing was written"), atomic_folder(tmp_path / "empty"):
        pass
    assert not (tmp_path / "empty").exists()


def test_what_the_user_adds_during_the_run_is_kept(tmp_path) -> None:
    final = tmp_path / "one"
    write_report(final, "old")

    def disturbed() -> None:
        with atomic_folder(final) as part:
            (part / "x").write_text("new")
            (final / "late.txt").write_text("mine")

    with pytest.raises(OutputError, match=r"'late.txt'"):
        disturbed()
    assert (final / "late.txt").read_text() == "mine"
    assert (final / "report.html").read_text() == "old"
