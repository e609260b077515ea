"""The methods that benchmarks/quality.py compares, functions of (measurement, truth); those marked * look at the truth.

*: parameter of least true error for every single scene, from a grid and refinements of it: an oracle in the method's favour.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.assess.metrics import nmse_db, peak_magnitude
from echoform.measure.measurement import Measurement
from echoform.nets.denoiser import RAMDenoiser
from echoform.nets.one_pass import OnePassNetwork
from echoform.nets.ram import RAM
from echoform.recon.classical.matched_filter import MatchedFilter
from echoform.recon.classical.sparse import SparseL1
from echoform.recon.classical.tikhonov import Tikhonov
from echoform.recon.classical.total_variation import TotalVariation
from echoform.recon.network import NetworkReconstructor
from echoform.recon.plug_and_play import PlugAndPlayHalfQuadratic
from echoform.recon.reconstructor import Reconstructor
from echoform.recon.refined import RefinedNetwork

#: weights that are tried over |A|^2, or max |A^H y|: a grid, then two more on either side of the best, twice for the first two
TIKHONOV, SPARSE, TOTAL = (torch.logspace(low, high, 5) for low, high in ((-4, 1), (-4, -0.5), (-4, -0.8)))
ITERATIONS, TV_ITERATIONS, TOLERANCE = 80, 50, 1e-3
#: DPIR's 8 steps, made for photographs, are too few for sparse scenes
PNP_STEPS = 24
#: seed of what methods draw
DRAWS = 5
#: the row of the network that is judged
RAM_NAME = "RAM"
#: the same network in five passes
REFINED = "RAM, refined"


@dataclass(frozen=True)
class Outcome:
    """Images of one method, (B, C, H, W), and processor time for one."""

    image: Tensor
    seconds: float


Method = Callable[[Measurement, Tensor], Outcome]


def one_pass(reconstructor: Reconstructor) -> Method:
    """Return a method that takes the measurement alone."""

    def run(m: Measurement, x: Tensor) -> Outcome:
        """Return the image and the processor time of a scene."""
        generator = torch.Generator().manual_seed(DRAWS)
        began = time.process_time()
        image = reconstructor(m, generator=generator).mean
        return Outcome(image, (time.process_time() - began) / len(x))

    return run


def oracle(
    make: Callable[[Tensor], Reconstructor], grid: Tensor, unit: Callable[[Measurement], Tensor], *, refinements: int
) -> Method:
    """Return a method with the weight of least true error for every scene, from a grid and refinements of it."""

    def run(m: Measurement, x: Tensor) -> Outcome:
        """Return the image with the best weight of each problem."""
        least, best, chosen = torch.full((len(x),), math.inf), torch.zeros_like(x), grid[0].expand(len(x))
        scale, solves, began = unit(m), 0, time.process_time()

        def attempt(weight: Tensor) -> None:
            """Try a weight and keep, for every scene, the image of least true error."""
            nonlocal least, best, chosen, solves
            image = make(weight * scale)(m).mean
            error = nmse_db(image, x).nan_to_num(math.inf)
            better = error < least
            best = torch.where(better[:, None, None, None], image, best)
            least, chosen, solves = torch.minimum(error, least), torch.where(better, weight, chosen), solves + 1

        for weight in grid:
            attempt(weight.expand(len(x)))
        step = float(grid[1] / grid[0])
        for _ in range(refinements):
            step, centre = math.sqrt(step), chosen
            attempt(centre * step)
            attempt(centre / step)
        return Outcome(best, (time.process_time() - began) / solves / len(x))

    return run


def peak_of_adjoint(m: Measurement) -> Tensor:
    """Return max |A^H y|, (B,)."""
    return peak_magnitude(m.operator.adjoint(m.y)).float()


def square_norm(m: Measurement) -> Tensor:
    """Return |A|^2, (B,)."""
    return m.operator.norm().square().float().expand(len(m.y))


def sparse(weight: Tensor) -> Reconstructor:
    """Return l1 of one weight a scene."""
    return SparseL1(weight, iterations=ITERATIONS, tolerance=TOLERANCE)


def total_variation(weight: Tensor) -> Reconstructor:
    """Return TV of one weight a scene."""
    return TotalVariation(weight, iterations=TV_ITERATIONS, tolerance=TOLERANCE)


def methods(network: RAM, rivals: dict[str, RAM | OnePassNetwork]) -> dict[str, Method]:
    """Return the methods in the order of the table."""
    made = {
        "adjoint": one_pass(MatchedFilter()),
        "Tikhonov*": oracle(Tikhonov, TIKHONOV, square_norm, refinements=2),
        "l1*": oracle(sparse, SPARSE, peak_of_adjoint, refinements=2),
        "TV*": oracle(total_variation, TOTAL, peak_of_adjoint, refinements=1),
        "PnP": one_pass(PlugAndPlayHalfQuadratic(RAMDenoiser(network), steps=PNP_STEPS)),
    }
    made |= {name: one_pass(NetworkReconstructor(rival)) for name, rival in rivals.items()}
    return made | {RAM_NAME: one_pass(NetworkReconstructor(network)), REFINED: one_pass(RefinedNetwork(network))}
