"""How far the Born operator explains measured fields: which noise level its readers should state.

    python benchmarks/model_error.py [--threads N]

Images of the smallest l1 norm are made of a part of the samples, for falling weights, and judged by the samples left out:

fresnel   FoamDielIntTM.exp up to 4, 7 and 10 GHz; two of the eight views are left out.
merit     B0_P3, rotation difference; a fifth of the pairs of antennas is left out.

Where the samples left out are predicted best, the residual of the samples used, beyond random noise, is what the model cannot
explain: sqrt(|A x - y|^2 / |y|^2 - E |n|^2 / |y|^2), as a share of the samples' rms. It is an upper bound of the operator's own
error, for the prior's is in it.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from echoform.measure.fresnel import read_fresnel
from echoform.measure.measurement import Measurement
from echoform.measure.merit import read_merit
from echoform.measure.splitting import split
from echoform.physics.born import BornScattering
from echoform.recon.classical.sparse import fista
from echoform.recon.discrepancy import energy, expected_noise_energy, residual_energy
from record import save

SEED = 3
DATA = Path(__file__).parents[2] / "shared" / "data"
FRESNEL, MERIT = DATA / "rf_fresnel" / "FoamDielIntTM.exp", DATA / "rf_breast_merit" / "B0_P3_p000.csv"
#: weights over that at which the image vanishes
WEIGHTS = [2.0**-k for k in range(1, 8)]
CONSOLE = Console(width=130)


def part_heard(operator: BornScattering, kept: torch.Tensor) -> BornScattering:
    """The operator of the pairs kept, written down again so that it can be prepared."""
    rig = operator.rig()
    rig = type(rig)(rig.transmitter_m, rig.receiver_m, rig.frequency_hz, rig.heard * kept)
    eps = operator.permittivity
    return BornScattering(rig, operator.cells, radiator=operator.radiator, permittivity=eps)


def judged(name: str, measurement: Measurement, kept: torch.Tensor) -> dict[str, Any]:
    """Return the share of the samples that l1 images leave unexplained where samples left out are predicted best."""
    operator = measurement.operator
    assert isinstance(operator, BornScattering)
    seen = measurement.without(part_heard(operator, kept)).prepared()
    _, held_out = split(measurement, (kept != 0).expand(1, *operator.range_shape))
    backprojection, lipschitz = seen.operator.adjoint(seen.y), seen.operator.norm().square()
    highest, image = backprojection.abs().max(), torch.zeros_like(backprojection)
    noise = float(expected_noise_energy(seen) / energy(seen.y))
    rows = []
    for weight in WEIGHTS:
        run = fista(
            seen.operator.normal,
            backprojection,
            (weight * highest)[None],
            lipschitz=lipschitz,
            start=image,
            iterations=200,
            tolerance=1e-3,
        )
        image = run.solution
        used, left = (float(residual_energy(part, image) / energy(part.y)) for part in (seen, held_out))
        rows.append({"weight": weight, "residual": used, "held_out": left})
        if left > 1.1 * min(row["held_out"] for row in rows):
            break
    best = min(rows, key=lambda row: row["held_out"])
    share = math.sqrt(max(best["residual"] - noise, 0.0))
    CONSOLE.print(
        f"{name}: random noise {math.sqrt(noise):.3f} of the rms; best weight {best['weight']:.3g}, residual energy "
        f"{best['residual']:.3f}, held out {best['held_out']:.3f}: model error {share:.2f} of the rms"
    )
    return {"noise_share": math.sqrt(noise), "rows": rows, "model_error": share}


def fresnel() -> dict[str, Any]:
    """Judge the Fresnel target up to three frequencies; two of eight views are left out."""
    found = {}
    for highest_ghz in (4, 7, 10):
        measurement = read_fresnel(FRESNEL, highest_hz=1e9 * highest_ghz + 1, model_error=0.0)
        kept = torch.ones(measurement.operator.range_shape[1:])
        kept[..., 2] = kept[..., 5] = 0
        found[f"{highest_ghz} GHz"] = judged(f"Fresnel to {highest_ghz} GHz", measurement, kept)
    return found


def merit() -> dict[str, Any]:
    """Judge the breast phantom; a fifth of the pairs is left out."""
    measurement = read_merit(MERIT, model_error=0.0)
    shape = measurement.operator.range_shape[1:]
    kept = (torch.rand(*shape[1:], generator=torch.Generator().manual_seed(SEED)) < 0.8).float()
    return judged("MERIT", measurement, kept)


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    start = time.process_time()
    results = {"fresnel": fresnel(), "merit": merit()}
    CONSOLE.print(f"{time.process_time() - start:.0f} s of processor time")
    save("model_error", seed=SEED, results=results)


if __name__ == "__main__":
    main()
