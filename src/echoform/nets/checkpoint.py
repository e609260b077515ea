"""Reading the official checkpoint of RAM, or the state dict of deepinv's RAM, into our network: one key for one key."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from echoform.nets.ram import OFFICIAL, RAM, channels_last
from echoform.nets.weights import WeightsError

#: the one parameter of the official network that does not belong to the body
REALIGN = "fact_realign"


@dataclass(frozen=True)
class Imported:
    """An imported network.

    Attributes:
        network: RAM with the official head, float32, evaluation mode.
        unused: keys of the checkpoint that the network has no place for.
    """

    network: RAM
    unused: tuple[str, ...]


def from_official(state: Mapping[str, Tensor]) -> Imported:
    """Return the network with the weights of an official state dict (keys ``m_head.conv0.weight`` and so on).

    Raises:
        WeightsError: a weight of the network is missing or has another shape.
    """
    network = RAM(OFFICIAL)
    renamed = {key if key == REALIGN else f"body.{key}": value for key, value in state.items()}
    wanted = network.state_dict()
    missing = sorted(wanted.keys() - renamed.keys())
    if missing:
        raise WeightsError(
            f"{len(missing)} of {len(wanted)} weights are missing, first {missing[0].removeprefix('body.')!r}: "
            "this is no checkpoint of the official RAM"
        )
    bad = [key for key, value in wanted.items() if renamed[key].shape != value.shape]
    if bad:
        got, expected = tuple(renamed[bad[0]].shape), tuple(wanted[bad[0]].shape)
        raise WeightsError(f"weight {bad[0].removeprefix('body.')!r} has shape {got}, expected {expected}")
    network.load_state_dict({key: renamed[key].float() for key in wanted})
    unused = tuple(sorted(key.removeprefix("body.") for key in renamed.keys() - wanted.keys()))
    return Imported(channels_last(network).eval(), unused)


def read_official(path: Path) -> Imported:
    """Return the network in a checkpoint file (``ram.pth.tar``), read without running anything it holds.

    Raises:
        WeightsError: the file is missing, is no checkpoint of tensors, or :func:`from_official` refuses it.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise WeightsError(
            f"{path}: not a checkpoint that can be read safely, as tensors alone ({type(error).__name__}); anything else in "
            "such a file could run code"
        ) from error
    nested = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(nested, dict) or not all(isinstance(v, Tensor) for v in nested.values()):
        raise WeightsError(f"{path}: holds no state dict of tensors; expected the official ram.pth.tar")
    return from_official(nested)
