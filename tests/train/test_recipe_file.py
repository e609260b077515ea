"""Recipes: the shipped ones hold together, and whatever is wrong with one is told with its key."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from echoform.measure.measurement import Measurement, Metadata
from echoform.measure.native import save
from echoform.nets.ram import OFFICIAL, RAM, SMALL, TINY, parameters_count
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise
from echoform.train.families import FamilySource, family, shares
from echoform.train.losses import AbsoluteErrorRecipe, SquaredErrorRecipe
from echoform.train.recipe import FamilyChoice
from echoform.train.recipe_file import RecipeError, read_recipe, shipped
from echoform.train.schedule import Drop, Trapezoid

GOOD = """
seed = 4
[network]
channels = [4, 4, 4, 4]
[schedule]
kind = "trapezoid"
peak = 1e-3
[[phases]]
steps = 10
side = 16
batch = 2
[[families]]
name = "stripmap"
weight = 2
kept = [0.5, 1]
"""


def read(tmp_path: Path, text: str):
    (tmp_path / "recipe.toml").write_text(text)
    return read_recipe(tmp_path / "recipe.toml")


def test_a_recipe_says_what_it_says(tmp_path: Path):
    """Every key of the file is found in the recipe read from it."""
    recipe = read(tmp_path, GOOD)
    assert recipe.seed == 4
    assert recipe.schedule == Trapezoid(peak=1e-3)
    assert recipe.families == (FamilyChoice("stripmap", 2.0, (("kept", [0.5, 1]),)),)
    assert shares(recipe.families, tmp_path)[0].family.kept == (0.5, 1.0)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("seed = 4", 'seed = "four"', "seed: got 'four', expected a whole number"),
        ("seed = 4", "sede = 4", "sede: got an unknown key, expected one of network"),
        ("channels = [4, 4, 4, 4]", "channels = [4, 4]", "network.channels: got 2 values, expected 4"),
        ("channels = [4, 4, 4, 4]", "", "network.channels: got nothing, expected a value"),
        ('"trapezoid"', '"linear"', "schedule.kind: got 'linear', expected one of cosine, trapezoid, drop"),
        ("peak = 1e-3", "peak = -1.0", "peak must be positive"),
        ("seed = 4", "seed = 4\nsettle = 10", "settle must lie from 0 to below the 10 steps of all phases, got 10"),
        ("side = 16", "side = 20", "sides multiples of 8"),
        ("side = 16", "side = 16\nlarger = [16]", "larger must hold sides above 16"),
        ("steps = 10", "steps = true", r"phases\[0\].steps: got True, expected a whole number"),
        ('"stripmap"', '"stripmaps"', r"families\[0\] \(stripmaps\).name: got 'stripmaps', expected one of fourier"),
        ("kept = [0.5, 1]", "keep = [0.5, 1]", r"families\[0\] \(stripmap\).keep: got a key this family does not have"),
        ("kept = [0.5, 1]", 'kept = [0.5, "a"]', r"families\[0\] \(stripmap\).kept\[1\]: got 'a', expected a number"),
        ("weight = 2", "largest = 1.5", r"families\[0\].largest: got 1.5, expected a whole number"),
        ("weight = 2", "weight = 0", r"families\[0\].weight: got 0.0, expected a positive number"),
        ("[[families]]", "[[families]]\n[families.x]", r"families\[0\].name"),
        ("seed = 4", "seed = ", "is no TOML"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(tmp_path: Path, before: str, after: str, told: str):
    """A good recipe with one thing changed: the error names the key, what was got and what was expected."""
    with pytest.raises(RecipeError, match=told):
        read(tmp_path, GOOD.replace(before, after, 1))


def test_a_recipe_needs_families_and_a_file(tmp_path: Path):
    """Without either the error says so."""
    with pytest.raises(RecipeError, match="families: got none"):
        read(tmp_path, GOOD[: GOOD.index("[[families]]")])
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(tmp_path / "none.toml")


def test_pictures_that_are_not_there_are_told_with_their_path(tmp_path: Path):
    """The path that is missing stands in the error."""
    choice = FamilyChoice("mri", ranges=(("pictures", ["knees"]),))
    assert family(choice)[1]["pictures"].paths == ("knees",)
    with pytest.raises(FileNotFoundError, match="knees is not there; give the folder"):
        shares((choice,), tmp_path)


def test_full_wave_and_recorded_problems_stand_in_a_recipe(tmp_path: Path):
    """Each drawn as a task through the recipe's own door; the recorded file keeps its pixels whatever the phase says."""
    sensor = FourierMask((torch.rand(1, 1, 8, 16, generator=torch.Generator().manual_seed(1)) < 0.5).float())
    truth = torch.randn(3, 1, 8, 16, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    samples = 2 * sensor(truth)  # not those of the sensor: the file decides
    save(Measurement(samples, sensor, GaussianNoise(torch.ones(1)), Metadata(truth=truth)), tmp_path / "room.h5")
    families = (
        'name = "full-wave"\n[[families]]\nname = "recorded"\nweight = 3\nfiles = ["room.h5"]\nsnr_db = [90, 90]\n'
    )
    recipe = read(tmp_path, GOOD[: GOOD.index('name = "stripmap"')] + families)
    drawn = shares(recipe.families, tmp_path)
    assert [share.weight for share in drawn] == [1.0, 3.0]
    tasks = list(islice(FamilySource(recipe, drawn)(recipe.phases[0], 0), 12))
    shapes = {task.family: tuple(task.truth.shape) for task in tasks}
    assert shapes == {"full-wave": (2, 1, 16, 16), "recorded": (2, 1, 8, 16)}


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("", r"families\[0\] \(recorded\).files: got nothing, expected a list of native files"),
        ('files = ["a.h5"]\nkept = 1', r"families\[0\] \(recorded\).kept: got a key this family does not have"),
        ("files = [1]", r"families\[0\] \(recorded\).files\[0\]: got 1, expected text"),
    ],
)
def test_what_is_wrong_with_recorded_problems_is_told(tmp_path: Path, key: str, told: str):
    with pytest.raises(RecipeError, match=told):
        read(tmp_path, GOOD[: GOOD.index('name = "stripmap"')] + f'name = "recorded"\n{key}\n')


def test_recorded_files_that_are_not_there_are_told_with_their_path(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"room\.h5 is not there"):
        shares((FamilyChoice("recorded", ranges=(("files", ["room.h5"]),)),), tmp_path)


def test_shipped_recipes_are_what_they_are_called():
    """The recipes that come with the package can be read and have the sizes they are named for."""
    recipes = {name: read_recipe(path) for name, path in shipped().items()}
    assert set(recipes) == {"tiny", "small", "small-gpu", "official"}
    for name, size in (("tiny", TINY), ("small", SMALL), ("small-gpu", SMALL)):
        assert recipes[name].network == replace(size, image_channels=(2, 1, 3))
        assert isinstance(recipes[name].loss, SquaredErrorRecipe)
        assert 0.1 <= recipes[name].modes.blind <= 0.2
    official = recipes["official"]
    assert official.network == OFFICIAL
    assert isinstance(official.loss, AbsoluteErrorRecipe)
    assert official.schedule == Drop(peak=1e-4, warmup=1, at=0.9)
    assert official.modes.one_shot == 1
    assert official.steps == 200_000
    assert parameters_count(RAM(official.network)) == 35_618_813


def test_families_with_several_complex_channels_are_left_out():
    """No head takes them."""
    for path in shipped().values():
        names = {choice.name for choice in read_recipe(path).families}
        assert not names & {"range-angle-doppler", "born-volume", "polarimetry", "repeat-pass"}
