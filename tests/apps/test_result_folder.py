"""The folders that commands write when none is named: no result of another file or slice is replaced unasked."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from echoform.apps import autofocus, commands
from echoform.apps.cli import main
from echoform.apps.demo import simulated_collection
from echoform.apps.result_folder import default_folder
from echoform.measure.native import save
from echoform.report.run import Run

BACKPROJECTION = ["--method", "backprojection"]


@pytest.fixture(autouse=True)
def without_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder; of a run only its configuration is written, since pages take seconds."""
    monkeypatch.chdir(tmp_path)

    def save_configuration(folder: Path, run: Run) -> None:
        (folder / "config.json").write_text(json.dumps(run.configuration))

    monkeypatch.setattr(commands, "save_run", save_configuration)
    monkeypatch.setattr(autofocus, "_page", lambda *_: None)
    monkeypatch.setattr(autofocus, "render", lambda _: "")


def runs() -> set[str]:
    return {path.name for path in Path("runs").iterdir()}


def source(folder: str) -> str:
    return json.loads((Path("runs") / folder / "config.json").read_text())["options"]["file"]


def test_a_file_of_the_same_name_gets_a_folder_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    files = [Path(name) / "scene.h5" for name in ("a", "b", "c")]
    for seed, file in enumerate(files):
        file.parent.mkdir()
        save(simulated_collection(32, 20.0, seed=seed), file)
        assert main(["reconstruct", str(file), *BACKPROJECTION]) == 0
    assert "Replaced" not in capsys.readouterr().out
    names = ["scene-backprojection", "scene-backprojection-2", "scene-backprojection-3"]
    assert runs() == set(names)
    assert [source(name) for name in names] == [str(file) for file in files]
    assert main(["reconstruct", str(files[1].resolve()), *BACKPROJECTION, "--seed", "1"]) == 0
    assert f"Replaced: the earlier result in {Path('runs') / names[1]}" in capsys.readouterr().out
    assert runs() == set(names)


def test_slices_do_not_share_a_folder() -> None:
    with h5py.File("m.h5", "w") as file:
        file["kspace"] = np.stack([np.ones((32, 32)), np.full((32, 32), 2j), np.ones((32, 32))]).astype(np.complex64)
    for chosen in ([], ["--slice", "0"], ["--slice", "2"]):
        assert main(["reconstruct", "m.h5", *BACKPROJECTION, *chosen]) == 0
    assert runs() == {"m-backprojection", "m-slice0-backprojection", "m-slice2-backprojection"}


def test_autofocused_scenes_do_not_share_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    """The command that autofocus prints is carried out as it stands, for two scenes."""
    for name in ("first", "second"):
        save(simulated_collection(32, 20.0, seed=3), Path(f"{name}.h5"))
        assert main(["autofocus", f"{name}.h5", "--method", "pga"]) == 0
        hint = capsys.readouterr().out.partition("(try: echoform ")[2].partition(")")[0]
        assert main([*hint.split(), *BACKPROJECTION]) == 0
    assert {"first-autofocused-backprojection", "second-autofocused-backprojection"} <= runs()


def test_a_folder_without_a_configuration_is_left_to_the_writer() -> None:
    """What is not echoform's, or damaged, is refused where it is written; the name stays what the help says."""
    expected = Path("runs") / "m-l1"
    assert default_folder(Path("m.h5"), "l1") == expected
    expected.mkdir(parents=True)
    for content in ("{", "[]", "{}", '{"options": {"file": 3}}', '{"options": {"file": "m.h5"}}'):
        (expected / "config.json").write_text(content)
        assert default_folder(Path("m.h5"), "l1") == expected
    assert default_folder(Path("other/m.h5"), "l1") == Path("runs") / "m-l1-2"
