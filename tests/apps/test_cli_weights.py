"""``echoform weights``: list, show, verify, import, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from echoform.apps.cli import main
from echoform.nets import weights
from echoform.nets.ram import OFFICIAL, RAM


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ECHOFORM_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def test_list_show_and_verify_the_shipped_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list"]) == 0
    assert main(["weights", "show", "echoform-tiny"]) == 0
    assert main(["weights", "verify"]) == 0
    said = capsys.readouterr().out
    card = weights.read_card("echoform-tiny")
    assert said.count("echoform-tiny") >= 3
    assert said.count(card.sha256) == 2
    assert card.data[0][:40] in said


def test_an_official_checkpoint_comes_in_exactly(
    tmp_path: Path, own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = RAM(OFFICIAL)
    state = {key.removeprefix("body."): value for key, value in network.state_dict().items()}
    torch.save(state | {"m_down1.enc.0.PhysicsBlock.gain": torch.ones(1)}, tmp_path / "ram.pth.tar")
    assert main(["weights", "import", str(tmp_path / "ram.pth.tar"), "--name", "official"]) == 0
    assert "m_down1.enc.0.PhysicsBlock.gain" in capsys.readouterr().out
    assert (own_folder / "official.safetensors").stat().st_size > 4 * 35_618_813
    loaded = weights.load("official")
    for a, b in zip(network.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(a, b)
    assert main(["weights", "verify", "official"]) == 0
    assert main(["weights", "import", str(tmp_path / "ram.pth.tar"), "--name", "official"]) == 2
    assert "another --name" in capsys.readouterr().err


def test_damage_and_strange_files_give_one_line(
    tmp_path: Path, own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("no checkpoint")
    own_folder.mkdir()
    (own_folder / "broken.card.yaml").write_text("network: 3")
    for arguments, message in (
        (["import", str(tmp_path / "text")], "read safely"),
        (["import", str(tmp_path / "absent")], "no such file"),
        (["show", "absent"], "no weights called"),
        (["verify", "broken"], "not a card"),
    ):
        assert main(["weights", *arguments]) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
    assert sorted(p.name for p in own_folder.iterdir()) == ["broken.card.yaml"]
