"""How far are our simulated radar scenes from measured complex chips? Kernel distance, overlap and a classifier, by scene type.

    python benchmarks/real_vs_simulated.py [--count N] [--resamples R] [--before COMMIT]

Measured: 64 x 64 complex single-look chips of Sentinel-1 (C band, strip map and IW, T) and TerraSAR-X (X band, E: nothing is
fitted to it but the band of its sensor). Simulated: every radar family of the catalogue, `raw` as the catalogue draws it, and
`sensed`: the same family without weighting on pixels of the sensor's size, through a sensor of the measured band, weighting,
noise floor and rounding (A^H (A x + n), A the band-limited Fourier sampling; benchmarks/measured_chips.py). Features:
assess/chip_features.py, scaled by the Sentinel-1 chips and then left alone.

Per type: KID to each family with intervals by scene; the floor (halves of the measured scenes); the controls (measured chips
with the phases of their spectrum scrambled, or their pixels shuffled); PRDC and a classifier for the counterpart family; the
features that differ most. Trials on the Sentinel-1 chips alone: scenes weighted by their own response and then by the sensor's
(points weighted twice), and on the catalogue's pixels.

--before draws the scenes of another commit's sources (taken by git archive) and compares them in the same run, as that commit
did: the same images raw and sensed.

Needs ../shared/data. Writes benchmarks/results/real_vs_simulated.json and docs/real_vs_simulated.png.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from echoform.assess.chip_features import NAMES, chip_features
from echoform.assess.domain_gap import (
    Estimated,
    FeatureScale,
    FeatureSet,
    independent,
    kid,
    overlap,
    resampled_kid,
    scale_of,
    split_kid,
)
from echoform.assess.two_sample_classifier import classifier_accuracy
from echoform.scene.catalogue import FAMILIES, Domain, RadarDraw
from echoform.scene.composed import ships_at_sea
from echoform.scene.frame import Frame
from echoform.scene.point_response import PointResponse, unweighted
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from measured_chips import MeasuredChips, read_chips, sensed
from other_commit import drawn_by
from real_vs_simulated_figure import Panel, draw_figure
from record import save

SEED, SIDE = 4, 64
RADAR = {f.name: f for f in FAMILIES if f.domain is Domain.RADAR}
#: families without surroundings: their strongest pixel is matched to that of measured chips
BARE = ("points", "vehicles", "ships", "aircraft", "buildings")
#: fewer scenes than this: the bootstrap interval is too narrow to be trusted
FEW_SCENES = 10
BUILT_S1 = ("residential", "skyscraper", "industrialbuilding", "container", "storagetank")
BUILT_TSX = ("industrialfacilities", "storagetank", "railways")
#: pixels of the products, dy (azimuth) and dx (ground range): strip map of Sentinel-1, its IW mode, strip map of TerraSAR-X
STRIP_M, IW_M, TERRA_M = (((3.6, 4.2), (2.5, 5.0)), ((13.5, 14.2), (3.0, 4.5)), ((1.7, 2.1), (1.2, 3.0)))
#: lengths of the cargo ships of the IW chips: with the transponders that label them, metres
CARGO_M = (90.0, 300.0)
#: types whose KID are averaged: fitted to what is for training, and what is for evaluation only
GROUPS = {"all": slice(6), "Sentinel-1 (T)": slice(4), "TerraSAR-X (E)": slice(4, 6)}
#: counterparts that other commits' catalogues lack, and what stood for them
FORMERLY = {"woodland": "land"}
CONSOLE = Console(width=170)


def cargo_ships(source: RandomSource, frame: Frame, *, response: PointResponse | None = None) -> Scene:
    """Ships as long as the label of the IW chips says."""
    return ships_at_sea(source, frame, length_m=CARGO_M, response=response)


@dataclass(frozen=True)
class Type:
    """Measured chips of one kind of scene and the family that is meant to look like them, drawn in its own way if need be."""

    name: str
    counterpart: str
    measured: MeasuredChips
    noise: float
    spacing_m: tuple[tuple[float, float], tuple[float, float]]
    own_draw: RadarDraw | None = None

    def draw(self, family: str) -> RadarDraw:
        """How a family is drawn beside these chips."""
        draw = RADAR[family].on_frame
        assert draw is not None
        return self.own_draw if self.own_draw and family == self.counterpart else draw


def measured_types() -> list[Type]:
    """Return the measured chips by type, each with its simulated counterpart."""
    strip, ships, terra = (
        read_chips("S1_SM_BBE7_HH"),
        read_chips("S1_IW_openship_cargo", iw=True),
        read_chips("TSX_1550_HH", truncated=False),
    )
    for name, chips in (("S1 SM", strip), ("S1 IW", ships), ("TSX", terra)):
        CONSOLE.print(f"{name}: bands of rows and columns {chips.bands}, noise {chips.noise_floor:.0f} counts^2")
    return [
        Type("S1 SM water", "sea", strip.of("water"), strip.noise_floor, STRIP_M),
        Type("S1 SM forest", "woodland", strip.of("forest"), strip.noise_floor, STRIP_M),
        Type("S1 SM built-up", "town", strip.of(*BUILT_S1), strip.noise_floor, STRIP_M),
        Type("S1 IW ships", "ships at sea", ships, ships.noise_floor, IW_M, cargo_ships),
        Type("TSX ships", "ships at sea", terra.of("ships"), terra.noise_floor, TERRA_M),
        Type("TSX built-up", "town", terra.of(*BUILT_TSX), terra.noise_floor, TERRA_M),
    ]


def generator(seed: int = SEED) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(family: str, count: int) -> Tensor:
    return RADAR[family].draw(RandomSource(generator()), count, (SIDE, SIDE)).image[:, 0]


def reflectivity(family: str, kind: Type, count: int, response: PointResponse | None = None) -> Tensor:
    """Scenes of a family on the sensor's pixels, not weighted unless a response is given."""
    source = RandomSource(generator())
    spacing = torch.cat([source.log_uniform((count, 1), *bounds) for bounds in kind.spacing_m], 1)
    return kind.draw(family)(source, Frame((SIDE, SIDE), spacing), response=response or unweighted(source)).image[:, 0]


def through(family: str, images: Tensor, kind: Type) -> Tensor:
    return sensed(images, kind.measured, noise=kind.noise, by_peak=family in BARE, generator=generator(SEED + 1))


def phase_scrambled(chips: Tensor) -> Tensor:
    """The same spectrum with random phases: nothing but a Gaussian field of it is left."""
    spectrum = torch.fft.fft2(chips)
    turn = torch.rand(spectrum.shape, generator=generator(), dtype=spectrum.real.dtype) * 2 * torch.pi
    return torch.fft.ifft2(torch.polar(spectrum.abs(), turn))


def shuffled(chips: Tensor) -> Tensor:
    """The same pixels in random order."""
    flat = chips.flatten(1)
    order = torch.rand(flat.shape, generator=generator()).argsort(1)
    return flat.gather(1, order).reshape(chips.shape)


def written(found: Estimated, few: bool) -> dict[str, Any]:
    low, high = found.interval()
    return {"value": found.value, "low": low, "high": high, "few_scenes": few}


def spread_of(values: Tensor) -> dict[str, float]:
    low, high = torch.quantile(values, values.new_tensor([0.025, 0.975])).tolist()
    return {"mean": float(values.mean()), "low": low, "high": high}


def gaps(real: Tensor, simulated: Tensor, scale: FeatureScale, most: int = 8) -> dict[str, dict[str, float]]:
    """The features whose medians differ most, in spreads of the reference."""
    medians = [f.median(0).values for f in (real, simulated)]
    shift = (medians[1] - medians[0]) / scale.spread
    return {
        NAMES[i]: {"real": float(medians[0][i]), "simulated": float(medians[1][i]), "shift": float(shift[i])}
        for i in shift.abs().argsort(descending=True)[:most].tolist()
    }


def compare(
    kind: Type, raw: dict[str, tuple[Tensor, Tensor]], scale: FeatureScale, resamples: int
) -> tuple[dict[str, Any], Panel, dict[str, Estimated]]:
    """Everything about one type of scene; ``raw`` holds images and features of every family."""
    scene = kind.measured.scene
    features = chip_features(kind.measured.chips)
    real = FeatureSet(scale(features), scene)
    few = len(real.scenes) < FEW_SCENES
    found: dict[str, Any] = {"chips": len(scene), "scenes": len(real.scenes), "counterpart": kind.counterpart}
    found["floor"] = spread_of(split_kid(real, generator=generator()))
    for label, alter in (("phase scrambled", phase_scrambled), ("pixels shuffled", shuffled)):
        altered = FeatureSet(scale(chip_features(alter(kind.measured.chips))), scene)
        found[label] = spread_of(split_kid(real, generator=generator(), altered=altered))
    own: dict[str, Estimated] = {}
    chips = {"measured": kind.measured.chips}
    vectors = {"measured": features}
    for state in ("raw", "sensed"):
        found[state] = {}
        for family, (images, known) in raw.items():
            shown = images if state == "raw" else through(family, reflectivity(family, kind, len(images)), kind)
            statistics = known if state == "raw" else chip_features(shown)
            simulated = independent(scale(statistics))
            distance = resampled_kid(real, simulated, generator=generator(), resamples=resamples)
            found[state][family] = written(distance, few)
            if family != kind.counterpart:
                continue
            own[state], chips[state], vectors[state] = distance, shown, statistics
            folds = min(5, len(real.scenes))
            accuracy = classifier_accuracy(real, simulated, generator=generator(), folds=folds, resamples=resamples)
            found[state + " counterpart"] = {
                "prdc": vars(overlap(real, simulated)),
                "classifier": written(accuracy, few),
                "largest gaps": gaps(features, statistics, scale),
            }
    return found, Panel(kind.name, kind.counterpart, chips, vectors, found), own


def trials(kind: Type, scale: FeatureScale, count: int) -> dict[str, float]:
    """KID of the sensed counterpart when something is done as it should not be."""
    real = FeatureSet(scale(chip_features(kind.measured.chips)), kind.measured.scene)
    variants = {
        "as it is": reflectivity(kind.counterpart, kind, count),
        "weighted twice": drawn(kind.counterpart, count),
    }
    source = RandomSource(generator())
    draw = kind.draw(kind.counterpart)
    for label, factor in (("pixels of half the size", 0.5), ("pixels of twice the size", 2.0)):
        spacing = torch.cat([source.log_uniform((count, 1), *bounds) for bounds in kind.spacing_m], 1) * factor
        variants[label] = draw(source, Frame((SIDE, SIDE), spacing), response=unweighted(source)).image[:, 0]
    return {
        label: kid(real, independent(scale(chip_features(through(kind.counterpart, images, kind)))))
        for label, images in variants.items()
    }


def compare_before(
    commit: str, types: list[Type], scale: FeatureScale, count: int, resamples: int
) -> tuple[dict[str, Any], list[dict[str, Estimated]]]:
    """KID of another commit's counterparts, raw and sensed as that commit drew them."""
    images = drawn_by(commit, seed=SEED, count=count, side=SIDE)
    found: dict[str, Any] = {"commit": commit}
    own = []
    for kind in types:
        real = FeatureSet(scale(chip_features(kind.measured.chips)), kind.measured.scene)
        family = kind.counterpart if kind.counterpart in images else FORMERLY[kind.counterpart]
        pair = {}
        for state, shown in (("raw", images[family]), ("sensed", through(family, images[family], kind))):
            simulated = independent(scale(chip_features(shown)))
            pair[state] = resampled_kid(real, simulated, generator=generator(), resamples=resamples)
        few = len(real.scenes) < FEW_SCENES
        found[kind.name] = {"counterpart": family} | {state: written(at, few) for state, at in pair.items()}
        own.append(pair)
    return found, own


def headline(own: list[dict[str, Estimated]], floors: list[float]) -> dict[str, Any]:
    """Mean KID over the types, each against its counterpart."""
    result: dict[str, Any] = {}
    for state in ("raw", "sensed"):
        mean = torch.stack([pair[state].resampled for pair in own]).mean(0)
        value = sum(pair[state].value for pair in own) / len(own)
        result[state] = written(Estimated(value, mean), few=False)
    result["floor, upper"] = sum(floors) / len(floors)
    return result


def show(results: dict[str, Any], names: list[str]) -> None:
    """Print the distances as tables."""
    for state in ("raw", "sensed"):
        table = Table(title=f"KID to measured chips, {state} scenes (counterpart in bold)")
        table.add_column("family")
        for name in names:
            table.add_column(name, justify="right")
        for family in RADAR:
            cells = []
            for name in names:
                at = results[name][state][family]
                cell = f"{at['value']:.2f} [{at['low']:.2f}, {at['high']:.2f}]"
                cells.append(f"[bold]{cell}[/bold]" if results[name]["counterpart"] == family else cell)
            table.add_row(family, *cells)
        if state == "sensed":
            for control in ("floor", "phase scrambled", "pixels shuffled"):
                spreads = [results[name][control] for name in names]
                table.add_row(control, *(f"{s['mean']:.2f} [{s['low']:.2f}, {s['high']:.2f}]" for s in spreads))
        CONSOLE.print(table)
    for name in names:
        for state in ("raw", "sensed"):
            pair = results[name][state + " counterpart"]
            prdc = ", ".join(f"{k} {v:.2f}" for k, v in pair["prdc"].items())
            at = pair["classifier"]
            CONSOLE.print(
                f"[bold]{name}[/bold] ({results[name]['chips']} chips, {results[name]['scenes']} scenes) against {state} "
                f"{results[name]['counterpart']}: {prdc}; classifier {at['value']:.3f} [{at['low']:.3f}, {at['high']:.3f}]"
            )
            for feature, gap in pair["largest gaps"].items():
                pair_of = f"measured {gap['real']:8.3f}  simulated {gap['simulated']:8.3f}"
                CONSOLE.print(f"    {feature:30s} {pair_of}  {gap['shift']:+.1f} spreads")


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--before", default="")
    options = parser.parse_args()
    torch.set_num_threads(1)
    types = measured_types()
    reference = torch.cat([chip_features(t.measured.chips) for t in types if t.name.startswith("S1")])
    scale = scale_of(reference)
    images = {family: drawn(family, options.count) for family in RADAR}
    raw = {family: (image, chip_features(image)) for family, image in images.items()}
    results: dict[str, Any] = {}
    panels, own = [], []
    for kind in types:
        results[kind.name], panel, pair = compare(kind, raw, scale, options.resamples)
        panels.append(panel)
        own.append(pair)
    by_name = {t.name: FeatureSet(scale(chip_features(t.measured.chips)), t.measured.scene) for t in types}
    results["between sensors"] = {
        f"{a} and {b}": kid(by_name[a], by_name[b])
        for a, b in (("S1 IW ships", "TSX ships"), ("S1 SM built-up", "TSX built-up"))
    }
    results["headline"] = {}
    floors = [results[t.name]["floor"]["high"] for t in types]
    for name, chosen in GROUPS.items():
        results["headline"][name] = headline(own[chosen], floors[chosen])
    if options.before:
        results["before"], old = compare_before(options.before, types, scale, options.count, options.resamples)
        for name, chosen in GROUPS.items():
            results["before"][name] = headline(old[chosen], floors[chosen])
    results["trials"] = {t.name: trials(t, scale, options.count) for t in types if t.name.startswith("S1")}
    show(results, [t.name for t in types])
    CONSOLE.print(results["trials"])
    CONSOLE.print(results["between sensors"], results["headline"], results.get("before"))
    picture = draw_figure(panels)
    CONSOLE.print(
        f"{picture}: {picture.stat().st_size / 1000:.0f} kB", save("real_vs_simulated", seed=SEED, results=results)
    )


if __name__ == "__main__":
    main()
