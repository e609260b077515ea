"""Real data: AFRL Gotcha with 40 % of the pulses kept, every method, judged on the pulses left out.

    python benchmarks/gotcha.py

Five random choices of pulses on each of the two files (one degree of azimuth each). Prediction error on the dropped pulses is the
judge: the full-aperture image is not the truth. The trihedral in the grass is measured on the first choice of the first file,
beside what the collection's k-support predicts (0.886 of the resolution cell; -13.26 dB). Draws docs/gotcha.png.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from echoform.apps.methods import METHODS, Settings
from echoform.assess.metrics import entropy, prediction_error_db
from echoform.assess.point_target import point_target_response
from echoform.measure.gotcha import read_gotcha, read_phase_history
from echoform.measure.measurement import Measurement
from echoform.measure.phase_history import ground_resolution
from echoform.measure.splitting import drop_pulses
from echoform.report.figures import Panel, magnitude_png
from record import save

DATA = Path(__file__).parents[2] / "shared" / "data" / "sar_phase_gotcha"
FILES = ("data_3dsar_pass1_az001_HH.mat", "data_3dsar_pass1_az002_HH.mat")
PICTURE = Path(__file__).parents[1] / "docs" / "gotcha.png"
CHOICES = 5
#: methods that need no more than samples and operator, and finish in seconds; the network with both shipped weights
COMPARED = {
    "Matched filter": ("backprojection", Settings()),
    "Tikhonov": ("tikhonov", Settings()),
    "Sparse l1": ("l1", Settings()),
    "RAM tiny": ("ram", Settings(weights="echoform-tiny")),
    "RAM small": ("ram", Settings(weights="echoform-small")),
    "RAM small, refined": ("ram-refined", Settings(weights="echoform-small")),
}
SHOWN = ("Matched filter", "Sparse l1", "RAM small", "RAM small, refined")
#: ground position of the isolated trihedral, x and y in metres
TRIHEDRAL_M = (-15.5, 21.3)


def trihedral(image: torch.Tensor, m: Measurement) -> dict[str, float]:
    """PSLR (dB) and -3 dB width (m) of the trihedral along x (ground range) and y (azimuth)."""
    assert m.metadata.grid is not None
    dy, dx = m.metadata.grid.spacing_m
    response = point_target_response(image[0, 0], pixel=m.metadata.grid.nearest(*TRIHEDRAL_M))
    return {
        "pslr_x_db": response.columns.pslr_db,
        "width_x_m": response.columns.width_px * dx,
        "pslr_y_db": response.rows.pslr_db,
        "width_y_m": response.rows.width_px * dy,
    }


def judge(m: Measurement, seed: int) -> tuple[dict[str, dict[str, float]], dict[str, torch.Tensor]]:
    """Return the figures and the image of every method on one choice of pulses."""
    import time

    kept, held_out = drop_pulses(m, 0.4, generator=torch.Generator().manual_seed(seed))
    figures, images = {}, {}
    for name, (method, settings) in COMPARED.items():
        reconstructor = METHODS[method].build(settings)
        began = time.perf_counter()
        with torch.no_grad():
            image = reconstructor(kept).mean
        figures[name] = {
            "seconds": time.perf_counter() - began,
            "prediction_error_db": float(prediction_error_db(image, held_out.operator, held_out.y)),
            "entropy_nats": float(entropy(image)),
        } | trihedral(image, m)
        images[name] = image
    return figures, images


def main() -> None:
    """Carry out the command in the module's text."""
    torch.manual_seed(0)
    console, results = Console(width=150), {}
    for file in FILES:
        m = read_gotcha(DATA / file)
        resolved = ground_resolution(read_phase_history(DATA / file).collection)
        runs = [judge(m, seed) for seed in range(CHOICES)]
        errors = {n: np.array([r[0][n]["prediction_error_db"] for r in runs]) for n in COMPARED}
        table = Table(
            "method", "prediction error, dB", "entropy", "trihedral PSLR x / y, dB", "width x / y, m", "s", title=file
        )
        for name in COMPARED:
            f = runs[0][0][name]
            table.add_row(
                name,
                f"{errors[name].mean():+.2f} (sd {errors[name].std(ddof=1):.2f})",
                f"{f['entropy_nats']:.2f}",
                f"{f['pslr_x_db']:.1f} / {f['pslr_y_db']:.1f}",
                f"{f['width_x_m']:.3f} / {f['width_y_m']:.2f}",
                f"{np.median([r[0][name]['seconds'] for r in runs]):.2f}",
            )
        theory = {"width_x_m": 0.886 * resolved.range_m, "width_y_m": 0.886 * resolved.azimuth_m, "pslr_db": -13.26}
        full = METHODS["backprojection"].build()(m).mean
        table.add_row("all pulses, backprojection", "", f"{float(entropy(full)):.2f}", *_pair(trihedral(full, m)), "")
        table.add_row("theory", "", "", "-13.26", f"{theory['width_x_m']:.3f} / {theory['width_y_m']:.2f}", "")
        console.print(table)
        results[file] = {
            "first_choice": runs[0][0],
            "prediction_error_db": {n: e.tolist() for n, e in errors.items()},
            "full_aperture": trihedral(full, m),
            "theory": theory,
        }
        if file == FILES[0]:
            panels = [Panel(name, runs[0][1][name][0, 0]) for name in SHOWN]
            PICTURE.parent.mkdir(exist_ok=True)
            PICTURE.write_bytes(magnitude_png(panels, grid=m.metadata.grid, dynamic_range_db=50.0))
    print(save("gotcha", seed=0, results=results))


def _pair(f: dict[str, float]) -> tuple[str, str]:
    return f"{f['pslr_x_db']:.1f} / {f['pslr_y_db']:.1f}", f"{f['width_x_m']:.3f} / {f['width_y_m']:.2f}"


if __name__ == "__main__":
    main()
