"""Every method on every family of problems, on the same scenes: classical, plug-and-play, the networks RAM is compared with, RAM.

    python benchmarks/rivals.py FOLDER                                  trains the rivals (and a RAM) with one budget
    python benchmarks/quality.py --rivals FOLDER [--weights NAME | --checkpoint PATH] [--families NAME ...] [--scenes 12]
        [--single-pass]

PATH is a checkpoint of `echoform train` (recipe.json is read beside it), its folder, or a folder of exported weights. Scenes of
48 x 48 come from a seed never trained on, with the ranges of the recipe tiny; the strata of first_light.py are rows of their own,
and TerraSAR-X chips, a sensor never trained on. Families whose images the network has no head for are left out.

*: parameter of least true error for every single scene, which no user has. PnP: DPIR with the network's own denoiser (A = 0).
"RAM, refined" goes on from the one pass by half-quadratic splitting with the same network (echoform.recon.refined).
"RAM, scratch" and the networks above it had one budget (benchmarks/rivals.py); "RAM" has the one on its card. The posterior
mean is judged on scenes of its own beside the one pass; 10 log10 (1 + 1/S), what the mean of S exact samples loses, is taken off.
Gains are mean differences in NMSE, dB, with 95 % intervals from a paired bootstrap. Seconds are processor time for one image,
for * of one parameter.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from echoform.assess.metrics import log_ssim, nmse_db, peak_magnitude, psnr_db
from echoform.nets.channels import image_kind
from echoform.nets.ram import RAM, parameters_count
from echoform.recon.diffusion.posterior import PosteriorSampler, Trajectory
from echoform.train.families import family
from echoform.train.problems.problem import Problem, ProblemFamily, draw_problem
from echoform.train.problems.scenes import Chips
from echoform.train.problems.strata import SIMULATED, Strata
from echoform.train.problems.stream import problem_generator
from echoform.train.recipe_file import read_recipe, shipped
from first_light import CHIPS, bootstrap
from judged_weights import add_weights, judged, results_of
from quality_methods import RAM_NAME, REFINED, Method, Outcome, methods, one_pass
from record import save
from rivals import NETWORKS, trained

SIDE, SEED = 48, 990_001
SCRATCH, MEAN = "RAM, scratch", "posterior mean"
#: one pass from measurement to image, nothing tuned with the truth
SINGLE_PASS = ("adjoint", "U-Net", "PDNet", "unrolled HQS")
#: solvers whose parameter is the best one for every scene
CLASSICAL = ("l1*", "TV*")
#: share of energy in the brightest 5 % of pixels below which a scene is speckle, and above which it is structured
STRUCTURE = (0.3, 0.7)
WITHIN_DB = 0.3


def cases(side: int = SIDE) -> dict[str, ProblemFamily]:
    """Return the families by the name of their row, pictures left out: simulated scenes alone, but for the chips."""
    found: dict[str, ProblemFamily] = {}
    for choice in read_recipe(shipped()["tiny"]).families:
        made = replace(family(choice)[0], shape=(side, side))
        if not isinstance(made, Strata):
            found[choice.name] = made
            continue
        for place, kind in enumerate(SIMULATED):
            alone = tuple(float(i == place) for i in range(len(SIMULATED)))
            found[f"strata: {kind.name.lower()}"] = replace(made, shares=alone)
        if (CHIPS / "TSX_1550_HH.npz").exists():
            chips = Chips.load([CHIPS / "TSX_1550_HH.npz"])
            found["strata: TSX chips"] = replace(made, chips=chips, measured=1.0)
    return found


def structure_of(x: Tensor) -> Tensor:
    """Return the share of a scene's energy that its brightest 5 % of pixels hold, (B,)."""
    power = x.abs().square().flatten(1).sort(1, descending=True).values
    return power[:, : power.shape[1] // 20].sum(1) / power.sum(1)


def scores(outcome: Outcome, x: Tensor) -> dict[str, Any]:
    """Return the figures of a method's images: NMSE of each scene, and means."""
    peak = peak_magnitude(x)
    return {
        "nmse_db": [round(e, 3) for e in nmse_db(outcome.image, x).tolist()],
        "psnr_db": float(psnr_db(outcome.image, x, peak=peak).mean()),
        "log_ssim": float(log_ssim(outcome.image, x, peak=peak).mean()),
        "seconds": outcome.seconds,
    }


@dataclass(frozen=True)
class Memory:
    """Figures that are kept in a folder, so that a run may be cut in two; without a folder nothing is kept.

    Raises:
        ValueError: the folder holds figures of other weights or other numbers of scenes.
    """

    folder: Path | None
    header: dict[str, Any]

    def __post_init__(self) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path, asked = self.folder / "header.json", json.dumps(self.header)
        if path.exists() and path.read_text() != asked:
            raise ValueError(f"{self.folder} holds figures of another run, {path.read_text()}; asked: {asked}")
        path.write_text(asked)

    def figures(self, label: str, name: str, run: Method, problem: Problem) -> dict[str, Any]:
        """Return the figures of a method on a row; those of rivals, which go on learning, are always made afresh."""
        x = problem.truth
        if self.folder is None or name in NETWORKS:
            return scores(run(problem.measurement, x), x)
        path = self.folder / f"{label}, {name}.json"
        if not path.exists():
            path.write_text(json.dumps(scores(run(problem.measurement, x), x)))
        return json.loads(path.read_text())


def judge(
    label: str, made: ProblemFamily, every: dict[str, Method], drawn: dict[str, Method], memory: Memory
) -> dict[str, Any]:
    """Return the figures of every method on one family, and of those that draw samples on scenes of their own."""
    problem = draw_problem(problem_generator(SEED, 0), made, memory.header["scenes"])
    x = problem.truth
    served = {name: run for name, run in every.items() if x.is_complex() or name not in NETWORKS}
    row = {name: memory.figures(label, name, run, problem) for name, run in served.items()}
    few = draw_problem(problem_generator(SEED, 1), made, memory.header["posterior_scenes"])
    posterior = {name: memory.figures(f"{label}, few", name, run, few) for name, run in drawn.items()}
    structure = [round(s, 3) for s in structure_of(x).tolist()]
    return {"structure": structure, "complex": x.is_complex(), "methods": row, "posterior": posterior}


def gain(row: dict[str, Any], over: str, of: str) -> tuple[float, float, float]:
    """Return what one method's NMSE is below another's in the mean, with its interval, dB."""
    difference = torch.tensor(row[over]["nmse_db"]) - torch.tensor(row[of]["nmse_db"])
    return bootstrap(difference, torch.Generator().manual_seed(SEED))


def verdict(result: dict[str, Any], samples: int) -> dict[str, Any]:
    """Return gains over every method, whether RAM leads those of one pass, and how far the posterior mean is off, dB."""
    row = result["methods"]
    made: dict[str, Any] = {"gains_db": {name: gain(row, name, RAM_NAME) for name in row if name != RAM_NAME}}
    rivals = [name for name in SINGLE_PASS if name in row]
    if SCRATCH in row:
        made["first"] = all(made["gains_db"][name][0] > 0 for name in rivals)
        made["scratch_gains_db"] = {name: gain(row, name, SCRATCH) for name in rivals}
        made["scratch_first"] = all(g[0] > 0 for g in made["scratch_gains_db"].values())
    if MEAN not in result["posterior"]:
        return made
    off = behind(result["posterior"], samples)
    return made | {"posterior_behind_db": off, "posterior_within": off[0] <= WITHIN_DB}


def behind(row: dict[str, Any], samples: int) -> tuple[float, ...]:
    """Return how far the posterior mean is behind the one pass, what S exact samples lose taken off, dB."""
    return tuple(edge - 10 * math.log10(1 + 1 / samples) for edge in gain(row, MEAN, RAM_NAME))


def posterior_everywhere(results: dict[str, Any], samples: int) -> tuple[float, ...] | None:
    """Return :func:`behind` over the scenes of all families together."""
    rows = [r["posterior"] for r in results.values() if MEAN in r["posterior"]]
    pooled = {name: {"nmse_db": [e for row in rows for e in row[name]["nmse_db"]]} for name in (MEAN, RAM_NAME)}
    return behind(pooled, samples) if rows else None


def refined_everywhere(results: dict[str, Any]) -> dict[str, tuple[float, float, float]]:
    """Return what refinement gains over every other method, over the scenes of all families that were asked of both, dB."""
    rows = [r["methods"] for r in results.values() if REFINED in r["methods"]]
    found = {}
    for name in dict.fromkeys(name for row in rows for name in row if name != REFINED):
        both = [row for row in rows if name in row]
        pooled = {n: {"nmse_db": [e for row in both for e in row[n]["nmse_db"]]} for n in (name, REFINED)}
        found[name] = gain(pooled, name, REFINED)
    return found


def posterior_as_drawn(results: dict[str, Any]) -> tuple[float, ...] | None:
    """Return what the mean of the samples gains over the one pass, nothing taken off, dB: scenes of all families together."""
    rows = [r["posterior"] for r in results.values() if MEAN in r["posterior"]]
    pooled = {name: {"nmse_db": [e for row in rows for e in row[name]["nmse_db"]]} for name in (MEAN, RAM_NAME)}
    return gain(pooled, RAM_NAME, MEAN) if rows else None


def refined_by_images(results: dict[str, Any]) -> dict[str, Any]:
    """Return refinement's gains on complex and on real images apart, dB; of CLASSICAL, the better one of each family as well."""
    found: dict[str, Any] = {}
    for label, kind in (("radio, MRI, other complex images", True), ("pictures, CT", False)):
        part = {name: r for name, r in results.items() if r["complex"] == kind and REFINED in r["methods"]}
        if not part:
            continue
        edges = {n: {c: gain(r["methods"], c, REFINED)[0] for c in CLASSICAL} for n, r in part.items()}
        better = sum(min(edge.values()) for edge in edges.values()) / len(edges)
        found[label] = {"gains_db": refined_everywhere(part), "over_the_better_db": better, "families": edges}
    return found


def by_structure(results: dict[str, Any]) -> dict[str, Any]:
    """Return gains of RAM on scenes of all families together that every method was asked, by how structured they are."""
    low, high = STRUCTURE
    strata = {f"speckle (< {low})": (0.0, low), "mixed": (low, high), f"structured (> {high})": (high, 1.1)}
    pooled: dict[str, Any] = {}
    asked = max(len(r["methods"]) for r in results.values())
    complete = [r for r in results.values() if len(r["methods"]) == asked]
    for label, (least, most) in strata.items():
        row: dict[str, dict[str, list[float]]] = {}
        for result in complete:
            picked = [i for i, s in enumerate(result["structure"]) if least <= s < most]
            for name, figures in result["methods"].items():
                row.setdefault(name, {"nmse_db": []})["nmse_db"] += [figures["nmse_db"][i] for i in picked]
        count = len(row[RAM_NAME]["nmse_db"]) if row else 0
        if count:
            pooled[label] = {"scenes": count, "gains_db": {n: gain(row, n, RAM_NAME) for n in row if n != RAM_NAME}}
    return pooled


def show(results: dict[str, Any], pooled: dict[str, Any], everywhere: tuple[float, ...] | None) -> None:
    """Print errors by family, gains with intervals, and gains by structure."""
    names = list(dict.fromkeys(name for r in results.values() for name in r["methods"]))
    console = Console(width=190)
    figures = Table("family", *names, "first?", "first, one budget?", f"{MEAN} behind RAM", title="NMSE, dB")
    gains = Table("family", *(n for n in names if n != RAM_NAME), title="gain of RAM, dB [95 %]")
    seconds = Table("family", *names, MEAN, title="processor seconds an image; log SSIM")
    for label, r in results.items():
        v, row = r["verdict"], r["methods"]
        errors = [f"{sum(e) / len(e):.2f}" if (e := row.get(n, {}).get("nmse_db")) else "" for n in names]
        led = ({True: "yes", False: "no", None: ""}[v.get(key)] for key in ("first", "scratch_first"))
        figures.add_row(label, *errors, *led, interval(v.get("posterior_behind_db")))
        gains.add_row(label, *(interval(v["gains_db"].get(n)) for n in names if n != RAM_NAME))
        both = row | r["posterior"] | {RAM_NAME: row[RAM_NAME]}
        cells = [f"{both[n]['seconds']:.3f}; {both[n]['log_ssim']:.2f}" if n in both else "" for n in (*names, MEAN)]
        seconds.add_row(label, *cells)
    for label, part in pooled.items():
        cells = (interval(part["gains_db"].get(n)) for n in names if n != RAM_NAME)
        gains.add_row(f"{label}: {part['scenes']} scenes", *cells)
    for table in (figures, gains, seconds):
        console.print(table)
    verdicts = [r["verdict"] for r in results.values()]
    for key in ("first", "scratch_first", "posterior_within"):
        asked = [v[key] for v in verdicts if key in v]
        console.print(f"{key}: {sum(asked)} of {len(asked)} families")
    console.print(f"{MEAN} behind RAM over all families, dB: {interval(everywhere)}")


def interval(of: tuple[float, ...] | None) -> str:
    """Return a mean with its interval as text."""
    return "" if of is None else "{:+.2f} [{:+.2f}, {:+.2f}]".format(*of)


def served(made: ProblemFamily, network: RAM) -> bool:
    """Whether the network has a head for the images of a family."""
    problem = draw_problem(problem_generator(SEED, 2), made, 1)
    try:
        image_kind(problem.operator, network.config.image_channels)
    except ValueError:
        return False
    return True


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rivals", type=Path, help="folder of benchmarks/rivals.py; without it they are left out")
    add_weights(parser)
    parser.add_argument("--checkpoint", type=Path, help="judge these weights instead of the shipped ones")
    parser.add_argument("--families", nargs="+", help="rows whose names hold one of these texts; all by default")
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--posterior-scenes", type=int, default=4)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--single-pass", action="store_true", help="only methods of one pass with nothing tuned: quick")
    parser.add_argument("--keep", type=Path, help="folder that keeps figures, so that another call goes on from them")
    parser.add_argument("--steps", type=int, default=16, help="evaluations of the network for a sample")
    options = parser.parse_args()
    torch.set_num_threads(1)
    network, source = judged(options.checkpoint, options.weights)
    found = {} if options.rivals is None else {name: trained(options.rivals, name) for name in reversed(NETWORKS)}
    budgets = {name: vars(budget) for name, (_, budget) in found.items()}
    every = methods(network, {name: rival for name, (rival, _) in found.items()})
    sampler = PosteriorSampler(network, samples=options.samples, trajectory=Trajectory(options.steps))
    drawn = {RAM_NAME: every[RAM_NAME], MEAN: one_pass(sampler)}
    if options.single_pass:
        every, drawn = {n: run for n, run in every.items() if n in (*SINGLE_PASS, SCRATCH, RAM_NAME)}, {}
    name = results_of("quality", options.weights) if options.checkpoint is None else "quality_checkpoint"
    name += "".join(["_part" if options.families else "", "_single_pass" if options.single_pass else ""])
    header = {"weights": source, "parameters": parameters_count(network), "side": SIDE, "scenes": options.scenes}
    header |= {"samples": options.samples, "evaluations": options.steps, "posterior_scenes": options.posterior_scenes}
    memory = Memory(options.keep, header)
    results: dict[str, Any] = {}
    pooled, everywhere = {}, None
    for label, made in cases().items():
        asked = options.families is None or any(text in label for text in options.families)
        if not asked or not served(made, network):
            continue
        began = time.process_time()
        results[label] = judge(label, made, every, drawn, memory)
        results[label] |= {"verdict": verdict(results[label], options.samples)}
        pooled, everywhere = by_structure(results), posterior_everywhere(results, options.samples)
        found_out = {"families": results, "by_structure": pooled, "posterior_behind_db": everywhere}
        found_out |= {"refined_gains_db": refined_everywhere(results), "posterior_gain_db": posterior_as_drawn(results)}
        found_out |= {"refined_by_images": refined_by_images(results)}
        save(name, seed=SEED, results=header | {"budgets": budgets} | found_out)
        print(f"{label}: {time.process_time() - began:.0f} s", flush=True)
    show(results, pooled, everywhere)
    for other, edge in refined_everywhere(results).items():
        print(f"{REFINED} over {other}, all families: {interval(edge)} dB")
    for label, part in refined_by_images(results).items():
        for other, edge in part["gains_db"].items():
            print(f"{REFINED} over {other}, {label}: {interval(edge)} dB")
        print(f"{REFINED} over the better of {' and '.join(CLASSICAL)}, {label}: {part['over_the_better_db']:+.2f} dB")
        print("by family: " + ", ".join(f"{n} {min(e.values()):+.1f}" for n, e in part["families"].items()))
    print(f"{MEAN} over RAM as drawn, all families, dB: {interval(posterior_as_drawn(results))}")


if __name__ == "__main__":
    main()
