"""Sensors that the network was never trained on, and data that no simulator made: what do the methods make of them?

    python benchmarks/never_trained.py [--only NAME] [--weights NAME]

brain      8 coils, every fourth line and 24 in the centre of a measured brain (mri_multicoil_brain); judge: all lines (which
           carry the scan's own noise, a bound on every score). Training knows simulated coils and measured magnitudes only.
counts     a section of a measured head (CT_pitch) at 96 x 96 seen along 51 angles, photons counted (gain 0.02, read-out 1e-3,
           both of the normalised projections): simulated samples of a measured body. Judge: the section. Every method is given
           a level for every sample (echoform.measure.counted).
gotcha     AFRL Gotcha, 40 % of the pulses, X band; judge: prediction of the pulses left out.
radarsat   RADARSAT-1, a block of 256 pulses by 400 cells of English Bay with half of the pulses; judge likewise.
fresnel    FoamDielIntTM to 4 GHz, six of eight views; judge: prediction of the two views left out, whose Born operator holds for
           nobody, and the distance from the contrast of the known cylinders (foam 80 mm, 0.45; plastic 31 mm at (-5, 0) mm, 2).

Matched filters carry no scale: theirs is the one that fits the kept samples best. NMSE and predictions in dB (0 dB is the empty
image). Writes benchmarks/results/never_trained_<weights>.json (a run of some cases keeps the figures of the others) and
docs/never_trained.png, which shows the cases of the run, of the default weights.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from echoform.apps.methods import WEIGHTS
from echoform.assess.metrics import nmse_db, prediction_error_db
from echoform.linalg.inner import squared_norm
from echoform.measure.bart import read_bart, read_kspace
from echoform.measure.counted import counts_as_gaussian
from echoform.measure.fresnel import read_fresnel
from echoform.measure.gotcha import read_gotcha
from echoform.measure.measurement import Measurement, simulate
from echoform.measure.radarsat import measurement_from, read_raw
from echoform.measure.splitting import drop_pulses, split
from echoform.nets import weights
from echoform.nets.ram import RAM
from echoform.physics.noise import PoissonGaussianNoise
from echoform.physics.stripmap_omega_k import StripmapOmegaK
from echoform.physics.tomography import Tomography
from echoform.recon.classical.magnitude_total_variation import MagnitudeTotalVariation
from echoform.recon.classical.sparse import SparseL1
from echoform.recon.classical.tikhonov import Tikhonov
from echoform.recon.classical.total_variation import TotalVariation
from echoform.recon.network import NetworkReconstructor
from echoform.recon.reconstructor import Estimate, Reconstructor
from echoform.recon.refined import RefinedNetwork
from echoform.scene.beams import ParallelBeam, diagonal_px
from echoform.scene.grid import Grid
from echoform.scene.mri_images import read_sections
from judged_weights import add_weights, results_of
from mri_brain import CASES, SCAN, undersampled
from record import load, save

DATA = Path(__file__).parents[2] / "shared" / "data"
PICTURE = Path(__file__).parents[1] / "docs" / "never_trained.png"
SEED, DEPTH_DB = 0, 45.0
CONSOLE = Console(width=150)


class Backprojection(Reconstructor):
    """a A^H y with the one number a that fits the samples best."""

    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return a A^H y, a = |A^H y|^2 / |A A^H y|^2."""
        back = measurement.operator.adjoint(measurement.y)
        samples = measurement.operator(back)
        fit = squared_norm(back, 3) / squared_norm(samples, samples.ndim - 1)
        return Estimate(back * fit[:, None, None, None])


@dataclass
class Case:
    """One measurement, its judges, and how it is shown.

    Attributes:
        title: over the row of pictures.
        given: what methods see.
        judges: names to functions of the image, dB each.
        smooth: kind of total variation for this image: of x itself, or of |x|.
        decibels: whether pictures are in decibels.
        truth: shown beside them, if known.
        costly: whether a normal takes so long that no weight is searched for: l1 and total variation get 0.03 max |A^H y|
            (as in benchmarks/radarsat.py) and 40 and 20 steps.
    """

    title: str
    given: Measurement
    judges: dict[str, Callable[[Tensor], Tensor]]
    smooth: type[TotalVariation | MagnitudeTotalVariation]
    decibels: bool
    truth: Tensor | None = None
    costly: bool = False
    found: dict[str, dict[str, float]] = field(default_factory=dict)
    images: dict[str, Tensor] = field(default_factory=dict)

    def carry_out(self, network: RAM) -> None:
        """Run every method and judge it."""
        methods: dict[str, Reconstructor] = {"back-projection": Backprojection()}
        if self.costly:
            weight = 0.03 * float(self.given.operator.adjoint(self.given.y).abs().amax())
            methods["l1"] = SparseL1(weight, iterations=40, tolerance=1e-3)
            methods["TV"] = self.smooth(weight, iterations=20)
        else:
            methods |= {"Tikhonov": Tikhonov(), "l1": SparseL1(), "TV": self.smooth()}
        methods |= {"RAM": NetworkReconstructor(network), "RAM, refined": RefinedNetwork(network)}
        for name, method in methods.items():
            began = time.perf_counter()
            with torch.no_grad():
                image = method(self.given).mean
            scores = {judge: float(of(image)) for judge, of in self.judges.items()}
            self.found[name] = scores | {"seconds": time.perf_counter() - began}
            self.images[name] = image


def held_out(rest: Measurement) -> Callable[[Tensor], Tensor]:
    """The judge that predicts samples left out."""
    return lambda image: prediction_error_db(image, rest.operator, rest.y)


def brain() -> Case:
    """Return the measured multi-coil brain, a part of its samples."""
    given = undersampled(read_kspace(SCAN), CASES[0])
    whole = read_bart(SCAN)
    truth = whole.operator.adjoint(whole.y)
    judges = {"NMSE": lambda image: nmse_db(image, truth)}
    return Case("Brain, 8 coils, 4x", given, judges, TotalVariation, decibels=False, truth=truth)


def counts() -> Case:
    """Return a measured head seen by counted photons at 51 angles."""
    pictures = read_sections(DATA / "med_volumes_niivue" / "CT_pitch.nii.gz").pictures
    section = pictures[len(pictures) // 2][None]
    truth = torch.nn.functional.interpolate(section, (96, 96), mode="bilinear", antialias=True)
    angles = torch.arange(51, dtype=torch.float64)[None] * torch.pi / 51
    beam = ParallelBeam(angles_rad=angles, detectors=int(diagonal_px((96, 96))) + 1, spacing_px=1.0)
    operator = Tomography(beam, (1, 96, 96)).normalized()
    noise = PoissonGaussianNoise(torch.tensor([1e-3]), torch.tensor([0.02]))
    counted = simulate(truth, operator, noise, generator=torch.Generator().manual_seed(SEED))
    judges = {"NMSE": lambda image: nmse_db(image, truth)}
    return Case("Head, CT, counts", counts_as_gaussian(counted), judges, TotalVariation, decibels=False, truth=truth)


def gotcha() -> Case:
    """Return Gotcha with two of five pulses; the others judge."""
    measurement = read_gotcha(DATA / "sar_phase_gotcha" / "data_3dsar_pass1_az001_HH.mat")
    given, rest = drop_pulses(measurement, 0.4, generator=torch.Generator().manual_seed(SEED))
    return Case(
        "Gotcha, 40 % of the pulses", given, {"held out": held_out(rest)}, MagnitudeTotalVariation, decibels=True
    )


def radarsat() -> Case:
    """Return a block of RADARSAT-1 with half its pulses; the others judge."""
    raw = read_raw(sorted((DATA / "sar_raw_radarsat1").glob("*data1.mat"))[-1])
    measurement = measurement_from(raw.block(slice(500, 756), slice(800, 1200)), form=StripmapOmegaK)
    given, rest = drop_pulses(measurement, 0.5, generator=torch.Generator().manual_seed(SEED))
    judges = {"held out": held_out(rest)}
    return Case("RADARSAT-1, half of the pulses", given, judges, MagnitudeTotalVariation, decibels=True, costly=True)


def fresnel() -> Case:
    """Return the Fresnel cylinders seen from six of eight views; the others judge, and so does the known target."""
    grid = Grid((48, 48), (0.0025, 0.0025))
    measurement = read_fresnel(DATA / "rf_fresnel" / "FoamDielIntTM.exp", grid=grid, highest_hz=4.001e9)
    views = measurement.y.shape[-1]
    kept = (torch.arange(views) % 4 != 1).expand(1, *measurement.operator.range_shape)
    given, rest = split(measurement, kept)
    y, x = (axis.to(torch.float32) for axis in grid.axes_m())
    radius, inner = torch.hypot(y[:, None], x), torch.hypot(y[:, None], x + 0.005)
    truth = torch.where(inner < 0.0155, 2.0, torch.where(radius < 0.04, 0.45, 0.0))[None, None] + 0j
    judges = {"held out": held_out(rest), "NMSE": lambda image: nmse_db(image, truth)}
    return Case("Fresnel TM to 4 GHz, 6 of 8 views", given, judges, TotalVariation, decibels=False, truth=truth)


CASES_BY_NAME: dict[str, Callable[[], Case]] = {f.__name__: f for f in (brain, counts, gotcha, radarsat, fresnel)}


def print_table(case: Case) -> None:
    """Print each method's figures by each judge of a case, and its time."""
    table = Table(title=case.title, title_justify="left")
    for column in ("method", *(f"{judge}, dB" for judge in case.judges), "s"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for name, scores in case.found.items():
        table.add_row(name, *(f"{scores[judge]:.2f}" for judge in case.judges), f"{scores['seconds']:.1f}")
    CONSOLE.print(table)


def draw(cases: dict[str, Case]) -> None:
    """A row for each case: every method's image, magnitude or decibels, and the truth where it is known."""
    columns = 7
    figure, axes = plt.subplots(
        len(cases), columns, figsize=(2.3 * columns, 2.45 * len(cases)), layout="constrained", squeeze=False
    )
    for row, case in zip(axes, cases.values(), strict=True):
        panels = case.images | ({} if case.truth is None else {"truth": case.truth})
        peak = float((case.images["RAM"] if case.truth is None else case.truth).abs().max())
        for axis, (name, image) in zip(row, panels.items(), strict=False):
            level = image[0, 0].abs()
            if case.decibels:
                shown, limits = 20 * torch.log10((level / level.max()).clamp_min(1e-6)), (-DEPTH_DB, 0.0)
            else:
                shown, limits = level, (0.0, 0.8 * peak)
            axis.imshow(shown, cmap="gray", vmin=limits[0], vmax=limits[1], aspect="auto")
            judge = next(iter(case.judges))
            score = f"\n{judge} {case.found[name][judge]:.1f} dB" if name in case.found else ""
            axis.set_title(name + score, fontsize=9)
        row[0].set_ylabel(case.title, fontsize=8)
        for axis in row:
            axis.set_xticks([])
            axis.set_yticks([])
    for axis in axes.flat:
        if not axis.has_data():
            axis.set_visible(False)
    figure.savefig(PICTURE, dpi=90)


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    add_weights(parser)
    options = parser.parse_args()
    network = weights.load(options.weights)
    cases: dict[str, Case] = {}
    for name, make in CASES_BY_NAME.items():
        if options.only in name:
            cases[name] = make()
            cases[name].carry_out(network)
            print_table(cases[name])
    if options.weights == WEIGHTS:
        draw(cases)
    file = results_of("never_trained", options.weights)
    before = load(file) or {"results": {}}
    results: dict[str, Any] = before["results"] | {name: case.found for name, case in cases.items()}
    print(save(file, seed=SEED, results=results))


if __name__ == "__main__":
    main()
