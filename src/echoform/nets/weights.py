"""Shipped weights: half-precision safetensors beside a card that says what they are and how to check them.

`<name>.safetensors` and `<name>.card.yaml` lie in the package folder echoform/weights and work without a network.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

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


def available(where: Path | None = None) -> list[str]:
    """Return the names of the weights in a folder, the shipped ones by default."""
    return sorted(p.name.removesuffix(".card.yaml") for p in (where or folder()).glob("*.card.yaml"))


def read_card(name: str, *, where: Path | None = None) -> Card:
    """Return the card of a set of weights; raises WeightsError when there is none or it cannot be read."""
    path = (where or folder()) / f"{name}.card.yaml"
    if not path.is_file():
        raise WeightsError(f"no weights called {name!r}; available: {', '.join(available(where)) or 'none'}")
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


def load(name: str, *, where: Path | None = None) -> RAM:
    """Return the network with the named weights, in float32 and evaluation mode.

    Raises:
        WeightsError: no such weights, or the file's size, hash or contents are not those of its card.
    """
    card = read_card(name, where=where)
    path = (where or folder()) / f"{name}.safetensors"
    content = path.read_bytes() if path.is_file() else b""
    if len(content) != card.bytes or hashlib.sha256(content).hexdigest() != card.sha256:
        raise WeightsError(
            f"{path.name} ({len(content)} bytes) is not the file its card describes ({card.bytes} bytes); reinstall echoform"
        )
    network = RAM(card.network)
    tensors = {key: value.float() for key, value in load_tensors(content).items()}
    network.load_state_dict(tensors)
    return channels_last(network).eval()


def store(network: RAM, card: Card, where: Path) -> Card:
    """Write weights (float16) and card atomically into a folder and return the card with size and hash filled in."""
    tensors = {key: value.detach().cpu().half().contiguous() for key, value in network.state_dict().items()}
    content = save_tensors(tensors)
    values = asdict(card) | {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    with atomic_path(where / f"{card.name}.safetensors") as part:
        part.write_bytes(content)
    plain = values | {"data": list(card.data), "metrics": list(card.metrics)}
    plain["network"] = {key: list(v) if isinstance(v, tuple) else v for key, v in values["network"].items()}
    with atomic_path(where / f"{card.name}.card.yaml") as part:
        part.write_text(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120))
    return read_card(card.name, where=where)
