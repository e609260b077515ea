"""From a recipe's mixture to families of problems: names looked up, ranges checked, pictures and recorded problems read.

Beside the families of the catalogue there are two whose samples no operator made: "full-wave", drawn on the spot, and "recorded",
of native files (``files``, below the folder of the data, and ``snr_db``). A recorded family has the pixels of its files whatever
the phase says, and is judged on the scenes that it is trained on, in other noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from torch.utils.data import DataLoader

from echoform.scene.ct_slices import read_ct_slices
from echoform.scene.mri_images import read_sections
from echoform.scene.photographs import (
    Photographs,
    read_cardiac_magnitudes,
    read_knee_magnitudes,
    read_photographs,
)
from echoform.train.freed_memory import keep_freed_memory
from echoform.train.problems.catalogue import FAMILIES
from echoform.train.problems.full_wave import FullWave
from echoform.train.problems.pictures import PictureFamily
from echoform.train.problems.problem import ProblemFamily
from echoform.train.problems.recorded import Recorded
from echoform.train.problems.scenes import Chips
from echoform.train.problems.stream import ProblemStream, Share
from echoform.train.problems.task import Task, TaskStream
from echoform.train.problems.tomography import ComputedTomography
from echoform.train.recipe import FamilyChoice, Phase, Recipe
from echoform.train.typed import Mismatch, typed

#: batches that each worker keeps ready: they are taken in order, and some take a hundred times as long to make as others
AHEAD = 6
#: families by name
CATALOGUE: dict[str, ProblemFamily] = {family.name: family for family in (*FAMILIES, FullWave())}


@dataclass(frozen=True)
class Files:
    """Pictures or recorded problems that a recipe names; read when training starts."""

    paths: tuple[str, ...]


def family(choice: FamilyChoice) -> tuple[ProblemFamily, dict[str, Files]]:
    """Return the family with its ranges, and the pictures it asks for by field.

    Raises:
        Mismatch: no such family, no such field, or a value of the wrong kind.
    """
    if choice.name not in CATALOGUE:
        raise Mismatch("name", got=repr(choice.name), expected=f"one of {', '.join((*CATALOGUE, Recorded.name))}")
    default = CATALOGUE[choice.name]
    hints = get_type_hints(type(default))
    known = {field.name for field in fields(default)} - {"shape"}
    values: dict[str, Any] = {}
    files: dict[str, Files] = {}
    for key, value in choice.ranges:
        if key not in known:
            raise Mismatch(key, got="a key this family does not have", expected=f"one of {', '.join(sorted(known))}")
        if _holds_pictures(hints[key]):
            files[key] = Files(typed(tuple[str, ...], value, key))
        else:
            values[key] = typed(hints[key], value, key)
    return replace(default, **values), files


def recorded(choice: FamilyChoice) -> tuple[Files, tuple[float, float]]:
    """Return the files of recorded problems and their signal-to-noise ratios, decibels; raises as :func:`family`."""
    given = dict(choice.ranges)
    unknown = [key for key in given if key not in ("files", "snr_db")]
    if unknown:
        raise Mismatch(unknown[0], got="a key this family does not have", expected="one of files, snr_db")
    files = typed(tuple[str, ...], given.get("files", []), "files")
    if not files:
        raise Mismatch("files", got="nothing", expected="a list of native files (.h5)")
    return Files(files), typed(tuple[float, float], given.get("snr_db", Recorded.snr_db), "snr_db")


def check(choice: FamilyChoice) -> None:
    """Raise Mismatch where no family is as the choice says."""
    if choice.name == Recorded.name:
        recorded(choice)
    else:
        family(choice)


def shares(choices: Sequence[FamilyChoice], data: Path) -> tuple[Share, ...]:
    """Return the families with their weights, pictures and recorded problems read from the folder ``data``.

    Raises:
        Mismatch: as :func:`family`.
        FileNotFoundError: files are not there.
        MeasurementFileError: a recorded file is damaged.
        ValueError: it has no truth, or a sensor of its own for every scene.
    """
    found = []
    for choice in choices:
        if choice.name == Recorded.name:
            named, snr_db = recorded(choice)
            paths = _there([data / path for path in named.paths])
            found.append(Share(Recorded.read(paths, snr_db=snr_db), choice.weight, largest=choice.largest))
            continue
        made, files = family(choice)
        hints = get_type_hints(type(made))
        pictures = {key: _read(made, hints[key], [data / path for path in named.paths]) for key, named in files.items()}
        found.append(Share(replace(made, **pictures), choice.weight, largest=choice.largest))
    return tuple(found)


def _holds_pictures(hint: object) -> bool:
    return hint in (Photographs, Photographs | None, Chips, Chips | None)


def _read(made: ProblemFamily, hint: object, paths: list[Path]) -> Photographs | Chips:
    """Read what a field of a family asks for: chips, photographs in colour, tomographic sections, or magnitudes."""
    paths = _there(paths)
    if hint in (Chips, Chips | None):
        return Chips.load(paths)
    match made:
        case PictureFamily():
            found = [read_photographs(path, colour=True) for path in paths]
        case ComputedTomography():
            found = [read_ct_slices(path) for path in paths]
        case _:
            found = [_magnitudes(path) for path in paths]
    return Photographs(tuple(picture for part in found for picture in part.pictures))


def _there(paths: list[Path]) -> list[Path]:
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise FileNotFoundError(
            f"{missing[0]} is not there; give the folder of the data, or leave it out of the recipe"
        )
    return paths


def _magnitudes(path: Path) -> Photographs:
    """Read measured magnitudes: a volume, or a folder of arrays."""
    if path.is_file():
        return read_sections(path)
    endings = {file.suffix.lower() for file in path.glob("*")}
    return read_knee_magnitudes(path) if ".npz" in endings else read_cardiac_magnitudes(path)


@dataclass(frozen=True)
class FamilySource:
    """Tasks of a recipe's families, phase by phase: what :func:`echoform.train.loop.train` draws from.

    Attributes:
        recipe: modes, seed, workers.
        shares: families and weights.
        rank: of this process.
        ranks: how many there are.
    """

    recipe: Recipe
    shares: tuple[Share, ...]
    rank: int = 0
    ranks: int = 1

    def __call__(self, phase: Phase, start: int) -> Iterator[Task]:
        """Yield this process's tasks of a phase after ``start`` of them."""
        sized = [
            replace(share, family=replace(share.family, shape=(side, side)), scenes=(phase.side / side) ** 2)
            for side in phase.sides
            for share in self.shares
            if side == phase.side or not share.largest or side <= share.largest
        ]
        problems = ProblemStream(
            sized, batch=phase.batch, seed=self.recipe.seed, start=start, rank=self.rank, ranks=self.ranks
        )
        stream = TaskStream(problems, self.recipe.modes, ready=self.recipe.loss.ready)
        keep_freed_memory()  # here for what this process draws or trains, in workers for those that do not inherit it
        workers = self.recipe.workers
        ahead = AHEAD if workers else None
        return iter(
            DataLoader(stream, batch_size=None, num_workers=workers, prefetch_factor=ahead, worker_init_fn=_in_worker)
        )


def _in_worker(_: int) -> None:
    """Prepare a process that draws problems."""
    keep_freed_memory()
