"""First light: RAM beside l1 and Tikhonov with the best parameter of each image, by kind of scene.

    python benchmarks/first_light.py [--weights NAME | --checkpoint FILE] [--images N]

FILE is a checkpoint of `echoform train`. Writes benchmarks/results/first_light_<weights>.json.

64 x 64 complex scenes, 25 % and 50 % random Fourier samples, 20 dB. Simulated strata come from a seed never trained on; real
chips are TerraSAR-X (TSX_1550_HH, X band), a file and a sensor never trained on, in three strata by how structured a chip is
(the share of its energy held by its brightest 5 % of pixels). Speckle cannot be recovered from missing samples, so an average
over all would say nothing. l1 and Tikhonov are given the weight with the smallest true error of every single image.
Gains are mean differences in NMSE, dB, with 95 % intervals from a paired bootstrap.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from echoform.assess.metrics import nmse_db
from echoform.measure.measurement import Measurement, simulate
from echoform.nets.ram import RAM
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise
from echoform.recon.classical.matched_filter import MatchedFilter
from echoform.recon.classical.sparse import SparseL1
from echoform.recon.classical.tikhonov import Tikhonov
from echoform.recon.network import NetworkReconstructor
from echoform.recon.reconstructor import Reconstructor
from echoform.train.problems.noise_levels import noise_level
from echoform.train.problems.scenes import Chips, SceneKind, draw_scene
from judged_weights import add_weights, judged, results_of
from record import save

CHIPS = Path(__file__).parents[2] / "shared" / "data" / "sar_slc_complex"
SIDE = 64
SEED = 777_001
SHARES = (0.25, 0.5)
SNR_DB = 20.0
L1_WEIGHTS = torch.logspace(-3.5, -0.2, 12)
TIKHONOV_WEIGHTS = torch.logspace(-3.5, 1.5, 16)


def strata(images: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Return the scenes of every stratum, (images, 1, 64, 64) of unit RMS."""
    names = {
        SceneKind.POINTS: "points",
        SceneKind.TARGETS: "targets",
        SceneKind.OBJECTS: "smooth objects",
        SceneKind.REGIONS: "speckled regions",
        SceneKind.CLUTTER: "clutter",
    }
    scenes = {name: draw_scene(kind, generator, images, (SIDE, SIDE)) for kind, name in names.items()}
    chips = Chips.load([CHIPS / "TSX_1550_HH.npz"]).images[:, None]
    power = chips.abs().square().flatten(1).sort(1, descending=True).values
    structure = power[:, : SIDE * SIDE // 20].sum(1) / power.sum(1)
    order = structure.argsort()
    for name, part in zip(("speckle", "mixed", "structured"), order.tensor_split(3), strict=True):
        pick = part[torch.randperm(len(part), generator=generator)[:images]]
        low, high = float(structure[part].min()), float(structure[part].max())
        scenes[f"TSX {name} ({low:.2f}-{high:.2f})"] = chips[pick]
    return scenes


def best_per_image(make: Callable[[Tensor], Reconstructor], parameters: Tensor, m: Measurement, x: Tensor) -> Tensor:
    """Return the smallest NMSE in dB over the parameters, one per image: an oracle in the method's favour."""
    errors = [nmse_db(make(p.expand(len(x)) * scale_of(m)).forward(m).mean, x) for p in parameters]
    return torch.stack(errors).amin(0)


def scale_of(m: Measurement) -> Tensor:
    """Return max |A^H y| per image, to which the weights are relative."""
    return m.operator.adjoint(m.y).abs().flatten(1).amax(1)


def bootstrap(gain: Tensor, generator: torch.Generator) -> tuple[float, float, float]:
    """Return the mean gain and its 95 % interval from 5000 paired resamples."""
    picks = torch.randint(0, len(gain), (5000, len(gain)), generator=generator)
    low, high = np.quantile(gain[picks].mean(1).numpy(), [0.025, 0.975])
    return float(gain.mean()), float(low), float(high)


def judge(network: RAM, x: Tensor, share: float, generator: torch.Generator) -> dict[str, object]:
    """Return mean NMSE of every method and the network's gains on one stratum at one share of samples."""
    mask = (torch.rand((len(x), 1, SIDE, SIDE), generator=generator) < share).float()
    operator = FourierMask(mask)
    noise = GaussianNoise(noise_level(operator(x), operator, torch.full((len(x),), SNR_DB)))
    m = simulate(x, operator, noise, generator=generator)
    began = time.perf_counter()
    ram = nmse_db(NetworkReconstructor(network)(m).mean, x)
    seconds = (time.perf_counter() - began) / len(x)
    l1 = best_per_image(lambda w: SparseL1(w, iterations=300), L1_WEIGHTS, m, x)
    tikhonov = best_per_image(Tikhonov, TIKHONOV_WEIGHTS, m, x)
    return {
        "nmse_db": {
            "matched filter": float(nmse_db(MatchedFilter()(m).mean, x).mean()),
            "tikhonov, best weight": float(tikhonov.mean()),
            "l1, best weight": float(l1.mean()),
            "ram": float(ram.mean()),
        },
        "gain_over_l1_db": bootstrap(l1 - ram, generator),
        "gain_over_tikhonov_db": bootstrap(tikhonov - ram, generator),
        "share_of_images_ahead_of_both": float((ram < torch.minimum(l1, tikhonov)).double().mean()),
        "ram_seconds_per_image": seconds,
    }


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="judge a training checkpoint instead of the shipped weights")
    add_weights(parser)
    parser.add_argument("--images", type=int, default=64)
    options = parser.parse_args()
    network, source = judged(options.checkpoint, options.weights)
    generator = torch.Generator().manual_seed(SEED)
    table = Table("stratum", "samples", "matched", "Tikhonov*", "l1*", "RAM", "gain over l1*", "gain over Tikhonov*")
    results = []
    for name, x in strata(options.images, generator).items():
        for share in SHARES:
            row = judge(network, x, share, generator)
            results.append({"stratum": name, "share": share, "images": len(x)} | row)
            errors = [f"{e:.2f}" for e in row["nmse_db"].values()]  # type: ignore[attr-defined]
            gains = ["{:+.2f} [{:+.2f}, {:+.2f}]".format(*row[f"gain_over_{n}_db"]) for n in ("l1", "tikhonov")]  # type: ignore[misc]
            table.add_row(name, f"{share:.0%}", *errors, *gains)
            print(name, share, errors, gains, flush=True)
    Console(width=150).print(table)
    if options.checkpoint is None:
        name = results_of("first_light", options.weights)
        print(save(name, seed=SEED, results={"weights": source, "snr_db": SNR_DB, "strata": results}))


if __name__ == "__main__":
    main()
