"""Microwave imaging: bounded memory, distorted Born against the exact series and on measured fields, a breast phantom.

    python benchmarks/born.py [--threads N] [--parts memory cylinder sphere fresnel merit]

memory    Most that torch holds at once beyond the operator, during the normal operator (two passes) and while its matrix is made:
          64 x 64 antennas, 6 frequencies, 64 x 64 pixels, 8 images; bound as shipped (32 MiB).
cylinder  A dielectric cylinder of 80 mm at 1 to 4 GHz, 24 x 24 antennas 1 m away; the data are the analytic series (no inverse
          crime), permittivity 1.5, 2 and 3. One Born solution of all frequencies beside distorted Born.
sphere    The same in space: a sphere of 80 mm at 1 to 3 GHz, 32 antennas spread over a sphere of 0.5 m, each source and receiver,
          16^3 cells of 6 mm; the data are the scalar wave's series.
fresnel   FoamDielIntTM.exp, all nine frequencies and up to 5 GHz: foam of 80 mm (permittivity 1.45 +- 0.15) at (0, 0), plastic of
          31 mm (3 +- 0.3) at (-5, 0) mm. The stages were set on the simulated cylinder and not changed here. Regions come from
          the image alone: inner = above half the largest contrast; outer = above half the median contrast of what exceeds 5 % of
          the largest and lies 5 mm or more outside the inner one. Writes docs/distorted_born.png.
merit     B0_P3: tumour-to-background ratio of the adjoint's image against the assumed permittivity; the region is the dome within
          52 mm of the centre, what lies within 20 mm of the peak is its own. Writes docs/merit.png.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from scipy.ndimage import binary_dilation
from torch import Tensor

from echoform.assess.peak_to_background import peak_to_background
from echoform.measure.fresnel import read_fresnel
from echoform.measure.measurement import Measurement
from echoform.measure.merit import read_merit
from echoform.physics.born import BornScattering
from echoform.physics.born_products import hadamard_normal
from echoform.physics.cylinder_series import scattered_by_cylinder
from echoform.physics.green import Radiator
from echoform.physics.inhomogeneous_born import CellScattering
from echoform.physics.noise import GaussianNoise
from echoform.physics.sphere_series import scattered_by_sphere
from echoform.recon.distorted_born import DistortedBorn, Stage
from echoform.scene.cells import cells_of, share_of_ball, share_of_disc, volume_of
from echoform.scene.grid import Grid
from echoform.scene.rig import MultistaticRig, all_pairs, ring_m, sphere_m
from record import save

SEED = 1
ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
FRESNEL, MERIT = DATA / "rf_fresnel" / "FoamDielIntTM.exp", DATA / "rf_breast_merit" / "B0_P3_p000.csv"
#: of the cylinder and the sphere
RADIUS_M = 0.04
CONSOLE = Console(width=130)


def ring_rig(frequency_hz: Tensor, antennas: int) -> MultistaticRig:
    angle = 2 * math.pi * torch.arange(antennas, dtype=torch.float64) / antennas
    return all_pairs(ring_m(1.0, angle)[None], ring_m(1.0, angle + 0.1)[None], frequency_hz[None])


# --- memory ----------------------------------------------------------------------------------------------------------------


def peak_bytes(run: Callable[[], object]) -> int:
    """Return the most that torch held at once during a run, beyond what it held before."""
    with torch.no_grad(), torch.profiler.profile(profile_memory=True) as profile:
        result = run()
    del result
    events = profile.profiler.kineto_results.events()  # pyright: ignore
    log = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")  # pyright: ignore
    return int(np.cumsum([size for _, size in log]).max())


def memory() -> dict[str, Any]:
    """Return what the operator holds and what its normal takes, megabytes."""
    frequency, pixels = torch.linspace(2e9, 4e9, 6, dtype=torch.float64), 64 * 64
    cells = cells_of(Grid((64, 64), (0.005, 0.005)))
    operator = BornScattering(ring_rig(frequency, 64), cells, radiator=Radiator.LINE, normal_memory_bytes=0)
    x = torch.randn(8, 1, 1, 64, 64, dtype=torch.complex64, generator=torch.Generator().manual_seed(SEED))
    everyone, power = torch.ones(1, 1, 64, 1), operator.weights.abs().square()
    matrix = peak_bytes(lambda: hadamard_normal(operator.receive, operator.transmit, power, everyone, everyone))
    result = {
        "held_fields_mb": (operator.receive.nbytes + operator.transmit.nbytes) / 1e6,
        "matrix_mb": pixels**2 * 8 / 1e6,
        "two_passes_peak_mb": peak_bytes(lambda: operator.normal(x)) / 1e6,
        "making_the_matrix_peak_beyond_it_mb": matrix / 1e6 - pixels**2 * 8 / 1e6,
    }
    CONSOLE.print({k: round(v, 1) for k, v in result.items()})
    return result


# --- cylinder and sphere ---------------------------------------------------------------------------------------------------


def cylinder() -> list[dict[str, Any]]:
    """Return the errors of Born and distorted Born on cylinders whose field is known in closed form."""
    frequency, grid = torch.arange(1, 5, dtype=torch.float64) * 1e9, Grid((32, 32), (0.004, 0.004))
    operator = BornScattering(ring_rig(frequency, 24), cells_of(grid), radiator=Radiator.LINE, dtype=torch.complex128)
    stages = (Stage(1e9, 1e-2, 3), Stage(2e9, 1e-2, 3), Stage(3e9, 1e-3, 3), Stage(4e9, 1e-3, 3))
    share = share_of_disc(grid, RADIUS_M)[None]
    return [against_series(operator, share, eps, scattered_by_cylinder, stages) for eps in (1.5, 2.0, 3.0)]


def sphere() -> list[dict[str, Any]]:
    """Return the errors of Born and distorted Born on spheres whose field is known in closed form."""
    frequency, place = torch.arange(1, 4, dtype=torch.float64)[None] * 1e9, sphere_m(0.5, 32)[None]
    cells = volume_of(Grid((16, 16), (0.006, 0.006)), 16, 0.006)
    rig = all_pairs(place, place, frequency)
    operator = BornScattering(rig, cells, radiator=Radiator.POINT, dtype=torch.complex128)
    stages = (Stage(1e9, 1e-2, 3), Stage(2e9, 1e-2, 3), Stage(3e9, 1e-3, 3))
    share = share_of_ball(cells, RADIUS_M)
    return [against_series(operator, share, eps, scattered_by_sphere, stages) for eps in (1.5, 2.0, 3.0)]


def against_series(
    operator: BornScattering, share: Tensor, eps: float, series: Callable[..., Tensor], stages: tuple[Stage, ...]
) -> dict[str, Any]:
    """Image the exact data of a body of one permittivity by one Born step of all frequencies and by the stages."""
    rig, truth = operator.rig(), (eps - 1) * share
    y = series(rig, radius_m=RADIUS_M, permittivity=eps)
    vacuum = torch.ones(1, dtype=torch.float64)
    model = CellScattering(rig, operator.cells, radiator=operator.radiator, permittivity=vacuum)
    discrete = model.about(truth.to(torch.complex128)).scattered
    highest = 20 * math.log10(float((discrete - y)[:, :, -1].norm() / y[:, :, -1].norm()))
    row: dict[str, Any] = {"permittivity": eps, "model_error_at_the_highest_db": highest}
    measurement = Measurement(y, operator, GaussianNoise(torch.tensor([1e-6])))
    for name, steps in (("born", (Stage(stages[-1].highest_hz, 1e-2, 1),)), ("distorted", stages)):
        start = time.perf_counter()
        estimate = DistortedBorn(steps)(measurement)
        image, core = estimate.mean[0].real, truth > 0.99 * (eps - 1)
        row[name] = {
            "permittivity_inside": 1 + float(image[core].mean()),
            "image_error": float((image - truth).norm() / truth.norm()),
            "data_error": math.sqrt(estimate.facts["residual"]),
            "seconds": time.perf_counter() - start,
        }
    CONSOLE.print(row)
    return row


# --- fresnel ---------------------------------------------------------------------------------------------------------------


def region(inside: np.ndarray, contrast: np.ndarray, grid: Grid) -> dict[str, float]:
    """Centroid, diameter of the disc of equal area and median permittivity."""
    y, x = (a.numpy() * 1e3 for a in grid.axes_m())
    area = inside.sum() * grid.spacing_m[0] * grid.spacing_m[1]
    return {
        "x_mm": float((inside.sum(0) * x).sum() / inside.sum()),
        "y_mm": float((inside.sum(1) * y).sum() / inside.sum()),
        "diameter_mm": 2e3 * math.sqrt(area / math.pi),
        "permittivity": 1 + float(np.median(contrast[inside])),
    }


def regions(contrast: np.ndarray, grid: Grid) -> dict[str, dict[str, float]]:
    """Inner and outer cylinder by levels taken from the image (see the module's text)."""
    inner = contrast > 0.5 * contrast.max()
    margin: np.ndarray = binary_dilation(inner, iterations=round(0.005 / grid.spacing_m[0]))
    shell = (contrast > 0.05 * contrast.max()) & ~margin
    level = 0.5 * float(np.median(contrast[shell]))
    outer = (contrast > level) | inner
    found = {"outer": region(outer, contrast, grid), "inner": region(inner, contrast, grid)}
    found["outer"]["permittivity"] = 1 + float(np.median(contrast[outer & ~margin]))
    return found


def fresnel_stages(highest_ghz: int) -> tuple[Stage, ...]:
    rising = [Stage(1e9 * f, 1e-2 if f < 4 else 3e-3, 1) for f in range(2, highest_ghz)]
    return (*rising, Stage(1e9 * highest_ghz, 3e-3, 2))


def fresnel() -> dict[str, Any]:
    """Image the measured cylinders by Born and distorted Born, to 5 and 10 GHz."""
    grid, found, images = Grid((40, 40), (0.0025, 0.0025)), {}, {}
    runs = {
        "born, to 5 GHz": (5, (Stage(5e9, 1e-2, 1),)),
        "born, to 10 GHz": (10, (Stage(10e9, 1e-2, 1),)),
        "distorted, to 5 GHz": (5, fresnel_stages(5)),
        "distorted, to 10 GHz": (10, fresnel_stages(10)),
    }
    for name, (highest, stages) in runs.items():
        measurement = read_fresnel(FRESNEL, grid=grid, highest_hz=1e9 * highest + 1)
        start = time.perf_counter()
        estimate = DistortedBorn(stages, max_iterations=30)(measurement)
        images[name] = estimate.mean[0, 0].real.numpy()
        found[name] = regions(images[name], grid) | {
            "data_error": math.sqrt(estimate.facts["residual"]),
            "seconds": time.perf_counter() - start,
        }
        CONSOLE.print(name, found[name])
    panels(images, grid, ROOT / "docs" / "distorted_born.png")
    return found


def panels(images: dict[str, np.ndarray], grid: Grid, path: Path) -> None:
    """Draw permittivities side by side with the outlines of the true cylinders."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.patches import Circle

    figure, axes = plt.subplots(1, len(images), figsize=(4.2 * len(images), 4), constrained_layout=True)
    extent = tuple(1e3 * v for v in grid.extent_m())
    shown = None
    for axis, (name, image) in zip(axes, images.items(), strict=True):
        shown = axis.imshow(1 + image, origin="lower", extent=extent, cmap="viridis", vmin=1, vmax=3)
        for x, diameter in ((0, 80), (-5, 31)):
            axis.add_patch(Circle((x, 0), diameter / 2, fill=False, color="white", linestyle=":"))
        axis.set(title=name, xlabel="x (mm)")
    assert shown is not None
    figure.colorbar(shown, ax=axes, label="relative permittivity")
    figure.savefig(path, dpi=90)


# --- merit -----------------------------------------------------------------------------------------------------------------


def merit() -> list[dict[str, Any]]:
    """Return how far the tumour stands out for each assumed background permittivity."""
    found, images = [], {}
    for eps in (6.0, 7.0, 8.0, 9.0, 10.0, 12.0):
        measurement = read_merit(MERIT, permittivity=eps)
        operator = measurement.operator
        assert isinstance(operator, BornScattering)
        position = operator.cells.positions_m()
        image = operator.adjoint(measurement.y)[0]
        ratio = peak_to_background(image, position, within=position.norm(dim=-1) < 0.052, distance_m=0.02)
        images[eps] = image.abs()
        found.append(
            {
                "permittivity": eps,
                "place_mm": [round(1e3 * v, 1) for v in ratio.place_m],
                "to_clutter_db": ratio.to_clutter_db,
                "to_background_db": ratio.to_background_db,
            }
        )
        CONSOLE.print(found[-1])
    slices(images[8.0], operator, ROOT / "docs" / "merit.png")
    return found


def slices(image: Tensor, operator: BornScattering, path: Path) -> None:
    """Draw slices of the breast in decibels."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    chosen = (2, 4, 6, 8, 10)
    figure, axes = plt.subplots(1, len(chosen), figsize=(15, 3.4), constrained_layout=True)
    extent = tuple(1e3 * v for v in operator.cells.grid.extent_m())
    level = 20 * torch.log10(image / image.max())
    shown = None
    for axis, d in zip(axes, chosen, strict=True):
        shown = axis.imshow(level[d], origin="lower", extent=extent, cmap="magma", vmin=-15, vmax=0)
        axis.set(title=f"z = {1e3 * operator.cells.heights_m[d]:g} mm", xlabel="x (mm)")
    assert shown is not None
    figure.colorbar(shown, ax=axes, label="dB")
    figure.savefig(path, dpi=100)


def main() -> None:
    """Carry out the command in the module's text."""
    parts: dict[str, Callable[[], Any]] = {
        "memory": memory,
        "cylinder": cylinder,
        "sphere": sphere,
        "fresnel": fresnel,
        "merit": merit,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--parts", nargs="+", choices=list(parts), default=list(parts))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results = {name: parts[name]() for name in arguments.parts}
    save("born" if len(results) == len(parts) else "born_" + "_".join(results), seed=SEED, results=results)


if __name__ == "__main__":
    main()
