"""Recipes as TOML files: every key of :class:`echoform.train.recipe.Recipe`, in words.

    seed = 11
    start = "echoform-tiny"

    [network]
    channels = [16, 32, 64, 128]

    [schedule]
    kind = "trapezoid"
    peak = 3e-4

    [[phases]]
    steps = 10000
    side = 48
    batch = 16

    [[families]]
    name = "stripmap"
    weight = 1.0
    kept = [0.4, 1.0]

Keys of a family beside ``name``, ``weight`` and ``largest`` are its fields. Pictures are files or folders below the folder of
the data, and so are the ``files`` of the family "recorded". A network is a RAM unless its ``kind`` says "u-net", "primal-dual" or
"unrolled": those reconstruct in one pass alone, so that [modes] must be one_shot = 1, state = 0, blind = 0.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from echoform.train.families import check
from echoform.train.recipe import FamilyChoice, Recipe
from echoform.train.typed import Mismatch, table, typed


class RecipeError(Exception):
    """A recipe that cannot be read; the message names the file and the key."""


def shipped() -> dict[str, Path]:
    """Return the recipes that come with echoform, by name."""
    folder = Path(str(files("echoform") / "train" / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def read_recipe(path: Path) -> Recipe:
    """Return the recipe of a file.

    Raises:
        RecipeError: there is no such file, it is no TOML, or a key is unknown, missing or holds what it cannot.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        choices = tuple(_choice(entry, place) for place, entry in enumerate(_list(content.pop("families", []))))
        plain: Recipe = table(Recipe, content, "")
        if not choices:
            raise Mismatch("families", got="none", expected="at least one [[families]] with a name")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is no TOML: {error}") from error
    except Mismatch as error:
        raise RecipeError(f"{path}: {error}") from error
    return replace(plain, families=choices)


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise Mismatch("families", got=repr(value), expected="a list of tables, [[families]]")
    return value


def _choice(entry: object, place: int) -> FamilyChoice:
    """One entry of the mixture, its ranges checked against the family."""
    key = f"families[{place}]"
    if not isinstance(entry, Mapping) or "name" not in entry:
        raise Mismatch(f"{key}.name", got="nothing", expected="the name of a family")
    name, weight = typed(str, entry["name"], f"{key}.name"), typed(float, entry.get("weight", 1.0), f"{key}.weight")
    if not weight > 0:
        raise Mismatch(f"{key}.weight", got=str(weight), expected="a positive number")
    largest = typed(int, entry.get("largest", 0), f"{key}.largest")
    ranges = tuple((k, v) for k, v in entry.items() if k not in ("name", "weight", "largest"))
    choice = FamilyChoice(name, weight, ranges, largest)
    try:
        check(choice)
    except Mismatch as error:
        raise error.within(f"{key} ({name})") from error
    return choice
