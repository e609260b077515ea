"""Weights: safetensors beside a card that says what they are and how to check them.

`<name>.safetensors` and `<name>.card.yaml` lie in the package folder echoform/weights (shipped, half precision, works offline)
or in the user's own folder (imported): that of the variable ECHOFORM_WEIGHTS, else ~/.local/share/echoform/weights.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

import torch
import yaml
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from echoform.measure.atomic import atomic_path
from echoform.nets.ram import RAM, RAMConfig, channels_last


class WeightsError(Exception):
    """Weights that are missing, damaged or not what their card says."""


@dataclass(frozen=True)
class Card:
    """What a set of weights is.

    Attributes:
        name: how it is asked for.
        network: size and head.
        data: the training data, one line each.
        recipe: how it was trained.
        commit: commit of the code that trained it.
        metrics: figures with the script that prints them.
        licence: of the weights.
        sha256: of the safetensors file.
        bytes: its size.
    """

    name: str
    network: RAMConfig
    data: tuple[str, ...]
    recipe: str
    commit: str
    metrics: tuple[str, ...]
    licence: str
    sha256: str = ""
    bytes: int = 0


def folder() -> Path:
    """Return the folder of the shipped weights."""
    return Path(str(files("echoform") / "weights"))


def user_folder() -> Path:
    """Return the folder of imported weights; it need not exist."""
    named = os.environ.get("ECHOFORM_WEIGHTS")
    return Path(named) if named else Path.home() / ".local" / "share" / "echoform" / "weights"


def available(where: Path | None = None) -> list[str]:
    """Return the names of the weights in a folder; of the shipped and the imported ones by default."""
    found = (p.name.removesuffix(".card.yaml") for place in _places(where) for p in place.glob("*.card.yaml"))
    return sorted(set(found))


def _places(where: Path | None) -> list[Path]:
    return [folder(), user_folder()] if where is None else [where]


def _card_path(name: str, where: Path | None) -> Path:
    """The card's path; shipped weights come before imported ones of the same name."""
    for place in _places(where):
        if (place / f"{name}.card.yaml").is_file():
            return place / f"{name}.card.yaml"
    raise WeightsError(f"no weights called {name!r}; available: {', '.join(available(where)) or 'none'}")


def read_card(name: str, *, where: Path | None = None) -> Card:
    """Return the card of a set of weights; raises WeightsError when there is none or it cannot be read."""
    path = _card_path(name, where)
    try:
        content = yaml.safe_load(path.read_text())
        network = RAMConfig(
            channels=tuple(content["network"]["channels"]),
            blocks=content["network"]["blocks"],
            image_channels=tuple(content["network"]["image_channels"]),
            embedding=content["network"]["embedding"],
        )
        lists = {key: tuple(content.pop(key)) for key in ("data", "metrics")}
        return Card(**(content | {"network": network} | lists))
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise WeightsError(f"{path.name} is not a card of echoform weights: {error}") from error


def verified(name: str, *, where: Path | None = None) -> tuple[Card, bytes]:
    """Return the card and the file of a set of weights; raises WeightsError when size or hash are not those of the card."""
    card = read_card(name, where=where)
    path = _card_path(name, where).with_name(f"{name}.safetensors")
    content = path.read_bytes() if path.is_file() else b""
    if len(content) != card.bytes or hashlib.sha256(content).hexdigest() != card.sha256:
        raise WeightsError(
            f"{path.name} ({len(content)} bytes) is not the file its card describes ({card.bytes} bytes); reinstall echoform "
            "or import the weights again"
        )
    return card, content


def load(name: str, *, where: Path | None = None) -> RAM:
    """Return the network with the named weights, in float32 and evaluation mode.

    Raises:
        WeightsError: no such weights, or the file's size, hash or contents are not those of its card.
    """
    card, content = verified(name, where=where)
    network = RAM(card.network)
    tensors = {key: value.float() for key, value in load_tensors(content).items()}
    network.load_state_dict(tensors)
    return channels_last(network).eval()


def store(network: RAM, card: Card, where: Path, *, precision: torch.dtype = torch.float16) -> Card:
    """Write weights and card atomically into a folder, made if need be; return the card with size and hash filled in."""
    where.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.detach().cpu().to(precision).contiguous() for key, value in network.state_dict().items()}
    content = save_tensors(tensors)
    values = asdict(card) | {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    with atomic_path(where / f"{card.name}.safetensors") as part:
        part.write_bytes(content)
    plain = values | {"data": list(card.data), "metrics": list(card.metrics)}
    plain["network"] = {key: list(v) if isinstance(v, tuple) else v for key, v in values["network"].items()}
    with atomic_path(where / f"{card.name}.card.yaml") as part:
        part.write_text(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120))
    return read_card(card.name, where=where)
