"""A real brain scan (8 coils, 230 x 180) from a quarter and an eighth of its lines: what do the methods make of it?

    python benchmarks/mri_brain.py

The scan in ../shared/data/mri_multicoil_brain is fully sampled. Every a-th of its 180 lines is kept, and a centre: 24 lines, or
fastMRI's share, 0.08 at a = 4 (its 0.04 at 8 would be 7 lines, too few for ESPIRiT's 12 x 12: left out). Everything a method is
told (sensitivities, noise level, weights) comes from the kept samples alone. The reference is the coil combination of all
samples, with sensitivities from their centre; it carries the scan's own noise, which bounds every score.

NMSE is that of the complex image, PSNR that of the magnitude with the reference's peak, SSIM of log magnitudes over 40 dB. The
network is ``echoform-tiny``, trained on radar scenes and never on MRI.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from echoform.assess.metrics import log_ssim, nmse_db, peak_magnitude, psnr_db
from echoform.measure.bart import read_bart, read_kspace
from echoform.measure.kspace import KSpace, kspace_measurement
from echoform.measure.measurement import Measurement
from echoform.nets import weights
from echoform.physics.mri_masks import Centre, CentreFraction, CentreLines, EquispacedLines
from echoform.recon.classical.sparse import SparseL1
from echoform.recon.classical.tikhonov import Tikhonov
from echoform.recon.classical.total_variation import TotalVariation
from echoform.recon.network import NetworkReconstructor
from echoform.recon.reconstructor import Estimate, Reconstructor
from record import save

SEED = 0
SCAN = Path(__file__).parents[2] / "shared" / "data" / "mri_multicoil_brain" / "full.hdr"
PICTURE = Path(__file__).parents[1] / "docs" / "mri_brain.png"


class ZeroFilled(Reconstructor):
    """A^H y: missing samples are zero, coils are combined by their sensitivities (A has norm one)."""

    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        return Estimate(measurement.operator.adjoint(measurement.y))


METHODS: dict[str, Reconstructor] = {
    "zero-filled": ZeroFilled(),
    "Tikhonov": Tikhonov(),
    "l1 (pixels)": SparseL1(),
    "TV, complex": TotalVariation(),
}


@dataclass(frozen=True)
class Case:
    """One way to skip lines."""

    label: str
    acceleration: int
    centre: Centre


CASES = (
    Case("4x, 24 centre lines", 4, CentreLines(24)),
    Case("4x, centre 0.08", 4, CentreFraction(0.08)),
    Case("8x, 24 centre lines", 8, CentreLines(24)),
)


def undersampled(full: KSpace, case: Case) -> Measurement:
    """Return the measurement of the kept lines; nothing else of the scan is used."""
    width = full.samples.shape[-1]
    kind = EquispacedLines(case.acceleration, case.centre)
    mask = kind.draw(torch.Generator().manual_seed(SEED), 1, width)[0, 0, 0]
    kept = KSpace(full.samples * mask, full.measured & (mask > 0))
    return kspace_measurement(SCAN, kept, title=case.label, notes={}, espirit=None)


def scores(image: Tensor, reference: Tensor) -> dict[str, float]:
    peak = peak_magnitude(reference)
    return {
        "nmse_db": float(nmse_db(image, reference)),
        "psnr_db": float(psnr_db(image, reference, peak=peak)),
        "log_ssim": float(log_ssim(image, reference, peak=peak, dynamic_range_db=40.0)),
    }


def run(case: Case, full: KSpace, reference: Tensor) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return scores and images of every method on one case."""
    measurement = undersampled(full, case)
    table = Table(title=f"{case.label}: {measurement.metadata.notes['sampled']}", title_justify="left")
    for column in ("method", "NMSE dB", "PSNR dB", "log SSIM", "s"):
        table.add_column(column, justify="left" if column == "method" else "right")
    found: dict[str, Any] = {"notes": measurement.metadata.notes, "sigma": float(measurement.noise.sigma)}
    images: dict[str, Tensor] = {}
    for name, method in METHODS.items():
        start = time.perf_counter()
        with torch.no_grad():
            estimate = method(measurement)
        seconds = time.perf_counter() - start
        images[name] = estimate.mean
        found[name] = scores(estimate.mean, reference) | {"seconds": seconds, "facts": estimate.facts}
        s = found[name]
        table.add_row(name, f"{s['nmse_db']:.2f}", f"{s['psnr_db']:.2f}", f"{s['log_ssim']:.3f}", f"{seconds:.1f}")
    Console(width=130).print(table)
    sys.stdout.flush()
    return found, images


def draw(reference: Tensor, images: dict[str, Tensor], found: dict[str, Any], title: str) -> None:
    """Magnitudes above, four times the magnitude of the complex error below."""
    peak = float(reference.abs().max())
    figure, axes = plt.subplots(2, 1 + len(images), figsize=(2.6 * (1 + len(images)), 6.4), layout="constrained")
    panels = {"all samples": reference} | images
    for column, (name, image) in enumerate(panels.items()):
        label = name if name not in found else f"{name}\nNMSE {found[name]['nmse_db']:.1f} dB"
        axes[0, column].imshow(image[0, 0].abs(), cmap="gray", vmin=0, vmax=0.7 * peak)
        axes[0, column].set_title(label, fontsize=10)
        error = 4 * (image - reference).abs()[0, 0]
        axes[1, column].imshow(error, cmap="gray", vmin=0, vmax=0.7 * peak)
    axes[1, 0].set_visible(False)
    for axis in axes.flat:
        axis.set_axis_off()
    axes[1, 1].set_title("4 x error", fontsize=10)
    figure.suptitle(f"Brain, 8 coils, 230 x 180, {title} (equispaced)")
    figure.savefig(PICTURE, dpi=110)


def main() -> None:
    """Carry out the command in the module's text."""
    full = read_kspace(SCAN)
    whole = read_bart(SCAN)
    reference = whole.operator.adjoint(whole.y)
    METHODS["RAM (echoform-tiny)"] = NetworkReconstructor(weights.load("echoform-tiny"))
    results: dict[str, Any] = {}
    for number, case in enumerate(CASES):
        results[case.label], images = run(case, full, reference)
        if number == 0:
            draw(reference, images, results[case.label], case.label)
    print(f"Written: {save('mri_brain', seed=SEED, results=results)} and {PICTURE}")


if __name__ == "__main__":
    main()
