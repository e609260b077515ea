"""How many problems a second one core draws, and what they look like.

    python benchmarks/problem_sampler.py [--only NAME ...] [--sheets | --times | --workers] [--pixels 64] [--batch 64]

Times: problems at 64 x 64 in batches of 64, milliseconds of processor time and of wall time per problem, for each part: layout,
scene, operator, its norm, its coarse versions for s = 2, 4 and 8, and the measurement (A x and noise). Each part's figure is the
least of several rounds of the same batch, between which all other families are drawn, for what else the machine does comes in
bursts of minutes; then the median over several seeds, since the sizes of sensors differ from batch to batch. Writes
benchmarks/results/problem_sampler.json.

Workers: problems a second of wall time that a DataLoader gives from a stream of all families, of one and of two worker processes,
norms and coarse versions included, and that no problem comes twice. Writes benchmarks/results/problem_workers.json.

Sheets: docs/problems_<family>.png, 64 problems at 48 x 48, the truth beside the adjoint image of the samples. Radio: over 50 dB
below each picture's peak; of images with several channels the strongest value per pixel, or Pauli colours. Optics, tomography
and MRI: linear, in gray or colour, each image up to its 99.5th percentile. A row is a batch of eight, so that families with one
sensor for a batch show eight sensors.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from echoform.scene.random_source import RandomSource
from echoform.train.freed_memory import keep_freed_memory
from echoform.train.problems.catalogue import FAMILIES
from echoform.train.problems.mri import CartesianMri
from echoform.train.problems.pictures import PictureFamily
from echoform.train.problems.polarimetry import Polarimetry
from echoform.train.problems.problem import ProblemFamily, draw_problem, measured
from echoform.train.problems.stream import ProblemStream, Share, problem_generator
from echoform.train.problems.tomography import ComputedTomography
from record import save
from scene_sheets import quantised

SEED, SEEDS, ROUNDS, FACTORS = 3, 5, 6, (2, 4, 8)
WORKER_BATCHES = 96
SHEET_SIDE, ACROSS, DOWN, GAP, DEPTH_DB, LEVELS = 48, 8, 8, 2, 50.0, 16
LINEAR = (PictureFamily, ComputedTomography, CartesianMri)
ROOT = Path(__file__).parents[1]
CONSOLE = Console(width=150)
PARTS = ("layout", "scene", "operator", "norm", "coarse", "measure")


class Clock:
    """Processor and wall seconds by part."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = defaultdict(float)
        self.wall: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.cpu[name] += time.process_time() - cpu
        self.wall[name] += time.perf_counter() - wall

    def lower_to(self, other: Clock) -> None:
        """Keep the lesser of both times of each part."""
        for mine, its in ((self.cpu, other.cpu), (self.wall, other.wall)):
            for name, value in its.items():
                mine[name] = min(mine.get(name, value), value)


@torch.no_grad()
def timed(family: ProblemFamily, seed: int, batch: int) -> Clock:
    """Return the time of one batch of problems, part by part, as draw_problem makes them."""
    clock, source = Clock(), RandomSource(problem_generator(seed, 0))
    with clock.part("layout"):
        layout = family.layout(source, batch)
    with clock.part("scene"):
        scene = family.scene(source, layout)
    with clock.part("operator"):
        operator = family.operator(layout)
    with clock.part("norm"):
        operator.norm()
    with clock.part("coarse"):
        for factor in FACTORS:
            operator.coarsen(factor)
    with clock.part("measure"):
        measured(source, family, scene, operator)
    return clock


def times(families: list[ProblemFamily], batch: int) -> dict[str, dict[str, float]]:
    """Return milliseconds per problem and problems per second of each family."""
    clocks = {family.name: [Clock() for _ in range(SEEDS)] for family in families}
    for number in track(range(ROUNDS), "rounds", console=CONSOLE):
        for family in families:
            if number == 0:
                timed(family, SEED, min(4, batch))  # tables that are made once
            for index, least in enumerate(clocks[family.name]):
                least.lower_to(timed(family, SEED + index, batch))
    results = {}
    for name, seeds in clocks.items():
        row = {f"{part}_cpu_ms": 1e3 * median(c.cpu[part] for c in seeds) / batch for part in PARTS}
        cpu, wall = ([1e3 * sum(getattr(c, which).values()) / batch for c in seeds] for which in ("cpu", "wall"))
        row |= {"cpu_ms": median(cpu), "wall_ms": median(wall), "slowest_cpu_ms": max(cpu)}
        row |= {"per_second_cpu": 1e3 / median(cpu), "per_second_wall": 1e3 / median(wall)}
        results[name] = {key: round(value, 3) for key, value in row.items()}
        shown = "  ".join(f"{part} {row[f'{part}_cpu_ms']:.2f}" for part in PARTS)
        CONSOLE.print(f"{name:20s} {row['per_second_cpu']:5.0f} /s (wall {row['per_second_wall']:5.0f})  ms: {shown}")
    return results


class Prepared(IterableDataset[list[bytes]]):
    """A stream whose problems are made as training needs them; of each it gives a print of every image."""

    def __init__(self, stream: ProblemStream) -> None:
        super().__init__()
        self.stream = stream

    def __iter__(self) -> Iterator[list[bytes]]:
        """Yield the prints of the images of one batch after another, on one thread."""
        torch.set_num_threads(1)
        keep_freed_memory()
        for problem in self.stream:
            problem.operator.norm()
            for factor in FACTORS:
                problem.operator.coarsen(factor)
            yield [sha256(image.numpy().tobytes()).digest() for image in problem.truth]


def scaling(families: list[ProblemFamily], batch: int) -> dict[str, dict[str, float]]:
    """Return problems a second from one and from two workers, after a first round in which tables are made."""
    results = {}
    for workers in (1, 2):
        stream = ProblemStream([Share(family) for family in families], batch=batch, seed=SEED)
        loader = iter(DataLoader(Prepared(stream), batch_size=None, num_workers=workers, prefetch_factor=1))
        prints = [digest for _ in range(2 * len(families)) for digest in next(loader)]
        begin = time.perf_counter()
        for _ in range(WORKER_BATCHES):
            prints += next(loader)
        seconds = time.perf_counter() - begin
        rate = WORKER_BATCHES * batch / seconds
        results[f"{workers} workers"] = {
            "per_second": round(rate, 1),
            "problems": len(prints),
            "different": len(set(prints)),
        }
        CONSOLE.print(f"{workers} workers: {rate:.0f} problems/s, {len(set(prints))} of {len(prints)} different")
    return results


def in_decibels(image: Tensor) -> Tensor:
    """Pictures in colours that stand for decibels below the peak, (B, H, W, 3), 0 to 1."""
    from matplotlib import colormaps

    level = image.abs().amax(1)
    peak = level.amax((1, 2), keepdim=True).clamp_min(1e-30)
    depth = (1 + 20 * torch.log10((level / peak).clamp_min(1e-9)) / DEPTH_DB).clamp(0, 1)
    steps = (depth * (LEVELS - 1)).round() / (LEVELS - 1)
    return torch.from_numpy(colormaps["magma"](steps.numpy())[..., :3]).float()


def in_pauli_colours(image: Tensor) -> Tensor:
    """Pictures of HH, HV, VH, VV in red (HH - VV), green (HV + VH) and blue (HH + VV), decibels below the peak of all."""
    hh, hv, vh, vv = image.unbind(1)
    level = torch.stack([hh - vv, hv + vh, hh + vv], -1).abs()
    peak = level.amax((1, 2, 3), keepdim=True).clamp_min(1e-30)
    return (1 + 20 * torch.log10((level / peak).clamp_min(1e-9)) / DEPTH_DB).clamp(0, 1)


def way_of_showing(family: ProblemFamily) -> Callable[[Tensor], Tensor]:
    """Return how a family's images become pictures."""
    if isinstance(family, Polarimetry):
        return in_pauli_colours
    return linear if isinstance(family, LINEAR) else in_decibels


def linear(image: Tensor) -> Tensor:
    """Pictures as they are, gray or in colour, (B, H, W, 3), 0 to 1."""
    level = image.abs() if image.is_complex() else image.clamp_min(0)
    peak = level.flatten(1).quantile(0.995, dim=1)[:, None, None, None].clamp_min(1e-30)
    return (level / peak).clamp(0, 1).movedim(1, -1).expand(-1, -1, -1, 3)


def sheet(family: ProblemFamily, path: Path) -> None:
    """Write 64 problems: the truth on the left, the adjoint image on the right."""
    small = replace(family, shape=(SHEET_SIDE, SHEET_SIDE))
    shown = way_of_showing(family)
    each, cell = 8, SHEET_SIDE + GAP
    canvas = torch.zeros(DOWN * cell, ACROSS * (2 * cell + GAP), 3)
    for first in range(0, ACROSS * DOWN, each):
        problem = draw_problem(problem_generator(SEED, first), small, each)
        pair = torch.cat([shown(problem.truth), shown(problem.operator.adjoint(problem.measurement.y))], 2).flip(1)
        for index, picture in enumerate(pair):
            down, across = divmod(first + index, ACROSS)
            top, left = down * cell, across * (2 * cell + GAP)
            canvas[top : top + SHEET_SIDE, left : left + SHEET_SIDE] = picture[:, :SHEET_SIDE]
            canvas[top : top + SHEET_SIDE, left + cell - GAP // 2 : left + cell - GAP // 2 + SHEET_SIDE] = picture[
                :, SHEET_SIDE:
            ]
    from PIL import Image

    Image.fromarray((canvas * 255).round().byte().numpy()).save(path)
    quantised(path, 96 if isinstance(family, PictureFamily | Polarimetry) else 32)
    CONSOLE.print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these families alone; nothing is saved")
    parser.add_argument("--sheets", action="store_true", help="sheets alone")
    parser.add_argument("--times", action="store_true", help="times alone")
    parser.add_argument("--workers", action="store_true", help="problems a second of one and two workers alone")
    parser.add_argument("--pixels", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--folder", type=Path, default=ROOT / "docs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    families = [family for family in FAMILIES if not options.only or family.name in options.only]
    if not options.times and not options.workers:
        for family in families:
            sheet(family, options.folder / f"problems_{family.name}.png")
    if options.sheets:
        return
    sized = [replace(family, shape=(options.pixels, options.pixels)) for family in families]
    if options.workers:
        settings = {"pixels": options.pixels, "batch": options.batch, "batches": WORKER_BATCHES}
        workers = scaling(sized, options.batch)
        if not options.only:
            save("problem_workers", seed=SEED, results={"settings": settings, "workers": workers})
        return
    keep_freed_memory()  # as training does
    results = times(sized, options.batch)
    if not options.only:
        settings = {"pixels": options.pixels, "batch": options.batch, "seeds": SEEDS, "rounds": ROUNDS}
        save("problem_sampler", seed=SEED, results={"settings": settings, "families": results})


if __name__ == "__main__":
    main()
