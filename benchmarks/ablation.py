"""Does the order of RAM's architectural ablation (RAM paper, table 4, left) reproduce at small scale?

    python benchmarks/ablation.py FOLDER [--steps 600] [--seeds 0 1 2]      trains (resuming from FOLDER), then judges

Four networks on one body (DRUNet's: four scales, additive skips, no biases), each the one before and one thing more:

    base          reads A^H y and a map of the noise level
    + prox        reads argmin_u |A u - y|^2 + |u - A^H y|^2 / gamma in its place, gamma = eta |y| / s_n, eta learned (equation 3)
    + embed y     every block reads [A_s^H y, s^2 A_s^H A_s A_s^H y] of its scale
    + Krylov      every block decodes two images v from its features and reads [v, s^2 A_s^H A_s v] besides: RAM (equation 4)

The networks of a seed are trained side by side on the same problems (32 x 32, batches of 8, six sensors, complex and gray) by the
paper's weighted absolute error, one step each. They are judged by NMSE in dB on problems never trained on, the same for all: a
difference of NMSE is a difference of PSNR with its sign turned. Gains of a step are means over families, with 95 % intervals of
a bootstrap over seeds and, in each family, over problems. Writes benchmarks/results/ablation.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional

from echoform.assess.metrics import nmse_db
from echoform.linalg.cg import Stopping
from echoform.linalg.inner import expand, squared_norm
from echoform.measure.atomic import atomic_path
from echoform.nets.backbone import Backbone
from echoform.nets.blocks import KRYLOV_POWERS, KrylovModule, Level, ResidualBlock, conv3
from echoform.nets.channels import COLOUR, COMPLEX, GRAY, from_channels, image_kind, to_channels
from echoform.nets.one_pass import SIDE_MULTIPLE, OnePassNetwork
from echoform.nets.ram import OFFICIAL, parameters_count
from echoform.nets.sensing import Sensing, normalize
from echoform.train.problems.complex_images import ComplexInpainting
from echoform.train.problems.deblurring import Deblurring
from echoform.train.problems.far_field_spotlight import FarFieldSpotlight
from echoform.train.problems.inpainting import Inpainting
from echoform.train.problems.microwave import Born
from echoform.train.problems.noise_levels import NoiseLevels
from echoform.train.problems.problem import ProblemFamily, draw_problem
from echoform.train.problems.strata import Strata
from echoform.train.problems.stream import ProblemStream, Share, problem_generator
from record import save

SIDE, BATCH = 32, 8
CHANNELS, BLOCKS = (8, 16, 32, 64), 1
RATE, WARMUP, CLIP, AVERAGE = 1e-3, 50, 1.0, 0.99
TRAIN_SEED, JUDGE_SEED, JUDGE_BATCHES = 5_000, 909_001, 4
#: steps of conjugate gradients of a prox without a closed form
STOPPING = Stopping(tolerance=0.0, max_iterations=8)
#: least noise level in the weight of the loss
FLOOR = 5e-3
SNR_DB = (0.0, 40.0)
LEVELS = NoiseLevels((0.005, 0.2))
FAMILIES: tuple[ProblemFamily, ...] = (
    Strata(shape=(SIDE, SIDE), snr_db=SNR_DB),
    FarFieldSpotlight(shape=(SIDE, SIDE), snr_db=SNR_DB),
    Born(shape=(SIDE, SIDE), snr_db=SNR_DB),
    ComplexInpainting(shape=(SIDE, SIDE), snr_db=SNR_DB, radar=1.0),
    Inpainting(shape=(SIDE, SIDE), channels=(1,), levels=LEVELS),
    Deblurring(shape=(SIDE, SIDE), channels=(1,), levels=LEVELS),
)
#: table 4, left: PSNR in dB and parameters
PAPER = {"base": (25.83, 32.6), "+ prox": (26.64, 32.6), "+ embed y": (26.71, 33.4), "+ Krylov": (27.61, 35.6)}


class NothingModule(nn.Module):
    """In the place of the Krylov module: features see no physics, as in DRUNet."""

    def __init__(self, channels: int, image_channels: tuple[int, ...]) -> None:
        super().__init__()

    def forward(self, features: Tensor, level: Level, kind: int):
        """Return what gives zero for any rows."""
        zero = features.new_zeros(1)
        return lambda top, bottom: zero


class MeasurementModule(nn.Module):
    """In the place of the Krylov module: its encoder, of the measurement's own pair alone."""

    def __init__(self, channels: int, image_channels: tuple[int, ...]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(_PairEncoder(KRYLOV_POWERS * c, channels) for c in image_channels)

    def forward(self, features: Tensor, level: Level, kind: int):
        """Return what gives rows of ReLU(encode([A_s^H y, s^2 A_s^H A_s A_s^H y]))."""
        encoded = self.encoders[kind](level.embedding.to(features))
        return lambda top, bottom: encoded[:, :, top:bottom]


class _PairEncoder(nn.Module):
    """Layers of :class:`echoform.nets.blocks.Encoder` for another number of inputs."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.first, self.beside = conv3(inputs, inputs), nn.Conv2d(inputs, inputs, 1, bias=False)
        self.second, self.third = conv3(inputs, inputs), conv3(inputs, channels)
        self.skip = nn.Conv2d(inputs, channels, 1, bias=False)

    def forward(self, pair: Tensor) -> Tensor:
        x = self.first(pair) + self.beside(pair)
        return functional.relu(self.third(functional.relu(self.second(x))) + self.skip(x))


@dataclass(frozen=True)
class Variant:
    """One line of the table: whether a prox comes first, and what blocks know of the physics."""

    prox: bool
    physics: type[NothingModule | MeasurementModule | KrylovModule]


VARIANTS = {
    "base": Variant(False, NothingModule),
    "+ prox": Variant(True, NothingModule),
    "+ embed y": Variant(True, MeasurementModule),
    "+ Krylov": Variant(True, KrylovModule),
}


class Ablated(OnePassNetwork):
    """The paper's network with some of its parts, in units in which sensor and image are normalised."""

    def __init__(
        self, variant: Variant, channels: tuple[int, ...], blocks: int, kinds: tuple[int, ...] = (COMPLEX, GRAY)
    ) -> None:
        super().__init__()
        self.variant, self.kinds = variant, kinds
        inputs = tuple(c + 1 for c in kinds)
        self.body = Backbone(channels, blocks=blocks, image_channels=kinds, input_channels=inputs, embedding=0)
        for block in self.body.modules():
            if isinstance(block, ResidualBlock) and variant.physics is not KrylovModule:
                block.PhysicsBlock = variant.physics(block.conv1.weight.shape[0], kinds)  # type: ignore[assignment]
        self.eta = nn.Parameter(torch.ones(1)) if variant.prox else None

    def reconstruct(self, sensing: Sensing) -> Tensor:
        """Return the image of a normalised problem."""
        start = sensing.backprojection
        if self.eta is not None:
            size = sensing.y.abs().flatten(1).mean(1)
            weight = sensing.sigma / (self.eta.clamp_min(1e-4) * size.clamp_min(1e-12))
            start = sensing.operator.prox_from_backprojection(start, start, weight, STOPPING)
        channels = to_channels(start, start.is_complex())
        level = expand(sensing.sigma, 3).expand(-1, 1, *start.shape[-2:]).to(channels)
        kind = image_kind(sensing.operator, self.kinds)
        output, _ = self.body(torch.cat([channels, level], 1), sensing.pyramid(torch.ones_like(sensing.sigma)), kind)
        return from_channels(output, start.is_complex())


def loss(image: Tensor, truth: Tensor, sensing: Sensing) -> Tensor:
    """The paper's: omega |x' - x|_1 / n with omega = (|A^H y|_2 / sqrt(n)) / s_n."""
    pixels = image[0].numel()
    weight = (squared_norm(sensing.backprojection, 3) / pixels).sqrt() / sensing.sigma.clamp_min(FLOOR)
    error = image - truth
    parts = torch.view_as_real(error) if error.is_complex() else error
    return (weight * parts.abs().flatten(1).mean(1)).mean()


@dataclass
class Pupil:
    """A network, its average and its optimiser."""

    network: Ablated
    average: Ablated
    optimizer: torch.optim.Adam

    @staticmethod
    def start(variant: Variant, seed: int) -> Pupil:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = Ablated(variant, CHANNELS, BLOCKS)
        average = Ablated(variant, CHANNELS, BLOCKS)
        average.load_state_dict(network.state_dict())
        return Pupil(network, average, torch.optim.Adam(network.parameters(), lr=RATE, betas=(0.9, 0.99)))

    def step(self, number: int, truth: Tensor, sensing: Sensing) -> None:
        """Do step ``number``, counted from 0."""
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (number + 1) / WARMUP)
        self.optimizer.zero_grad(set_to_none=True)
        loss(self.network.reconstruct(sensing), truth, sensing).backward()
        if bool(torch.isfinite(nn.utils.clip_grad_norm_(self.network.parameters(), CLIP))):
            self.optimizer.step()
        decay = min(AVERAGE, (1 + number) / (10 + number))
        with torch.no_grad():
            for slow, fast in zip(self.average.parameters(), self.network.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)

    def parts(self) -> tuple[nn.Module | torch.optim.Adam, ...]:
        return self.network, self.average, self.optimizer


def taught(seed: int, steps: int, path: Path) -> dict[str, Pupil]:
    """Return the networks of a seed after ``steps`` steps, from ``path`` where that holds some of them."""
    pupils = {name: Pupil.start(variant, seed) for name, variant in VARIANTS.items()}
    done = 0
    if path.exists():
        content = torch.load(path, weights_only=True)
        done = content["step"]
        for name, pupil in pupils.items():
            for part, values in zip(pupil.parts(), content[name], strict=True):
                part.load_state_dict(values)
    if done > steps:
        raise ValueError(f"{path} has done {done} steps already; give another folder, or --steps {done} or more")
    shares = [Share(family) for family in FAMILIES]
    problems = iter(ProblemStream(shares, batch=BATCH, seed=TRAIN_SEED + seed, start=done))
    for step in range(done, steps):
        problem = next(problems)
        sensing = normalize(problem.measurement, multiple=SIDE_MULTIPLE)
        truth = problem.truth / expand(sensing.scale, 3)
        for pupil in pupils.values():
            pupil.step(step, truth, sensing)
        if (step + 1) % 25 == 0 or step + 1 == steps:
            with atomic_path(path) as part:
                parts = {name: [p.state_dict() for p in pupil.parts()] for name, pupil in pupils.items()}
                torch.save({"step": step + 1, **parts}, part)
            print(f"seed {seed}, step {step + 1}, {time.process_time():.0f} s of processor time", flush=True)
    return pupils


def judged_problems() -> Iterator[tuple[int, Tensor, Sensing]]:
    """Yield (family, truth, problem) of every batch by which networks are judged."""
    for i, family in enumerate(FAMILIES):
        for k in range(JUDGE_BATCHES):
            problem = draw_problem(problem_generator(JUDGE_SEED + i, k), family, BATCH)
            sensing = normalize(problem.measurement, multiple=SIDE_MULTIPLE)
            yield i, problem.truth / expand(sensing.scale, 3), sensing


@torch.no_grad()
def errors(seeds: list[dict[str, Pupil]]) -> np.ndarray:
    """Return NMSE in dB of every variant, seed, family and problem, (V, S, F, N)."""
    found: list[list[list[list[float]]]] = [[[[] for _ in FAMILIES] for _ in seeds] for _ in VARIANTS]
    for i, truth, sensing in judged_problems():
        for v, name in enumerate(VARIANTS):
            for s, pupils in enumerate(seeds):
                found[v][s][i] += nmse_db(pupils[name].average.reconstruct(sensing), truth).tolist()
    return np.array(found)


def interval(gains: np.ndarray, generator: np.random.Generator, resamples: int = 4000) -> list[float]:
    """Return the mean and the 95 % interval of gains (S, F, N): seeds are drawn again, and problems in each family."""
    count, families, problems = gains.shape
    means = np.empty(resamples)
    for k in range(resamples):
        picked = gains[generator.integers(0, count, count)].mean(0)
        again = generator.integers(0, problems, (families, problems))
        means[k] = np.take_along_axis(picked, again, 1).mean()
    low, high = np.quantile(means, [0.025, 0.975])
    return [float(gains.mean()), float(low), float(high)]


def rows(found: np.ndarray) -> dict[str, dict[str, object]]:
    """Return what the table says of every variant: NMSE, gain over the variant before it, the paper's beside."""
    generator = np.random.default_rng(0)
    made: dict[str, dict[str, object]] = {}
    for v, (name, variant) in enumerate(VARIANTS.items()):
        gains = found[max(v - 1, 0)] - found[v]
        official = Ablated(variant, OFFICIAL.channels, OFFICIAL.blocks, (GRAY, COMPLEX, COLOUR))
        made[name] = {
            "nmse_db": float(found[v].mean()),
            "nmse_db_by_family": {f.name: float(e) for f, e in zip(FAMILIES, found[v].mean((0, 2)), strict=True)},
            "gain_db": interval(gains, generator),
            "gain_db_by_seed": gains.mean((1, 2)).tolist(),
            "gain_db_by_family": {f.name: interval(gains[:, i : i + 1], generator) for i, f in enumerate(FAMILIES)},
            "parameters": parameters_count(Ablated(variant, CHANNELS, BLOCKS)),
            "parameters_at_the_papers_size": parameters_count(official),
            "paper": {"psnr_db": PAPER[name][0], "millions_of_parameters": PAPER[name][1]},
        }
    return made


def show(made: dict[str, dict[str, object]]) -> None:
    """Print the table."""
    table = Table(
        "network", "parameters", "at the paper's size (paper)", "NMSE dB", "gain dB", "paper's gain", "by seed"
    )
    before = None
    for name, row in made.items():
        mean, low, high = row["gain_db"]  # type: ignore[misc]
        psnr, millions = PAPER[name]
        table.add_row(
            name,
            f"{row['parameters']:,}",
            f"{row['parameters_at_the_papers_size'] / 1e6:.2f}M ({millions}M)",  # type: ignore[operator]
            f"{row['nmse_db']:.2f}",
            "" if before is None else f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]",
            "" if before is None else f"{psnr - before:+.2f}",
            "" if before is None else " ".join(f"{g:+.2f}" for g in row["gain_db_by_seed"]),  # type: ignore[attr-defined]
        )
        before = psnr
    Console(width=150).print(table)
    families = Table("gain dB", *(f.name for f in FAMILIES))
    for name, row in list(made.items())[1:]:
        found = row["gain_db_by_family"]
        families.add_row(name, *("{:+.2f} [{:+.2f}, {:+.2f}]".format(*found[f.name]) for f in FAMILIES))  # type: ignore[index]
    Console(width=150).print(families)


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    seeds = [taught(seed, options.steps, options.folder / f"seed_{seed}.pt") for seed in options.seeds]
    made = rows(errors(seeds))
    show(made)
    results = {"steps": options.steps, "seeds": options.seeds, "problems_a_family": JUDGE_BATCHES * BATCH, "rows": made}
    print(save("ablation", seed=JUDGE_SEED, results=results))


if __name__ == "__main__":
    main()
