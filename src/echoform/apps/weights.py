"""``echoform weights``: list, show, verify and import the weights of the network."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from echoform.apps.errors import UsageError
from echoform.apps.options import Weights, WeightsImport, WeightsList, WeightsShow, WeightsVerify
from echoform.nets import weights
from echoform.nets.checkpoint import read_official


def manage_weights(options: Weights) -> None:
    """Carry out ``echoform weights``."""
    try:
        match options.action:
            case WeightsList():
                _list()
            case WeightsShow(name=name):
                _show(weights.read_card(name))
            case WeightsVerify(name=name):
                _verify([name] if name else weights.available())
            case WeightsImport(file=file, name=name):
                _import(file, name)
    except weights.WeightsError as error:
        raise UsageError(str(error)) from error


def _list() -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "channels", "MB", "licence"):
        table.add_column(heading)
    for name in weights.available():
        card = weights.read_card(name)
        table.add_row(name, " ".join(map(str, card.network.channels)), f"{card.bytes / 1e6:.1f}", card.licence)
    Console(highlight=False, width=120).print(table)


def _show(card: weights.Card) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    for field in fields(card):
        value = getattr(card, field.name)
        lines = value if isinstance(value, tuple) else (str(value),)
        table.add_row(Text(field.name, style="bold"), Text("\n".join(lines)))
    Console(highlight=False, width=160).print(table)


def _verify(names: list[str]) -> None:
    for name in names:
        card, _ = weights.verified(name)
        print(f"{name}: {card.bytes} bytes, sha256 {card.sha256} as on its card")


def _import(file: Path, name: str) -> None:
    if name in weights.available():
        raise UsageError(f"there are weights called {name!r} already; choose another --name")
    imported = read_official(file)
    card = weights.Card(
        name,
        imported.network.config,
        data=("as stated by the authors of the checkpoint",),
        recipe=f"imported from {file.name}",
        commit="none",
        metrics=("none measured here",),
        licence="that of the checkpoint",
    )
    stored = weights.store(imported.network, card, weights.user_folder(), precision=torch.float32)
    print(f"Imported: {name}, {stored.bytes / 1e6:.0f} MB, in {weights.user_folder()}")
    if imported.unused:
        print(f"Keys of the file that the network has no place for: {', '.join(imported.unused)}")
