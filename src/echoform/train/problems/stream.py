"""An endless stream of problems, the same for every number of workers and ranks, that can be taken up at any step.

Problem i of a seed is drawn by a generator of its own. PyTorch's generators on a CPU take the lowest 32 bits of a seed only, so
the bits of a hash that are left would collide after some 2^16 problems. Here i goes through permutations of the 32-bit numbers:
no two of the first 2^32 problems of a seed share a generator.

Rank r of R takes r, r + R, r + 2 R, ...; a DataLoader's worker w of W every W-th of those. Since a DataLoader takes from its
workers in turn, a rank sees its problems in order whatever W is.

Source: Wellons (2018), "Prospecting for hash functions" (the permutation); Steele, Lea and Flood (2014), OOPSLA (SplitMix64).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import IterableDataset, get_worker_info

from echoform.train.problems.problem import Problem, ProblemFamily, draw_problem

#: problems of one seed before generators repeat
PROBLEMS = 2**32


def split_mix(value: int) -> int:
    """Return SplitMix64 of a 64-bit number: every bit of the result depends on all bits of the value."""
    mask = 2**64 - 1
    value = (value + 0x9E3779B97F4A7C15) & mask
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & mask
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & mask
    return value ^ (value >> 31)


def permuted(value: int) -> int:
    """Return a permutation of the 32-bit numbers (each step can be undone) whose results look random."""
    mask = 2**32 - 1
    value = ((value ^ (value >> 16)) * 0x7FEB352D) & mask
    value = ((value ^ (value >> 15)) * 0x846CA68B) & mask
    return value ^ (value >> 16)


def problem_generator(seed: int, index: int, device: torch.device | None = None) -> torch.Generator:
    """Return the generator of problem ``index`` of a seed.

    Args:
        seed: of the stream, any integer of 64 bits.
        index: of the problem, below 2^32.
        device: of the generator; the CPU when absent.

    Raises:
        ValueError: the index is negative or 2^32 and more.
    """
    if not 0 <= index < PROBLEMS:
        raise ValueError(f"index must lie in [0, 2^32), got {index}; take another seed for more problems")
    key = split_mix(seed % 2**64)
    number = permuted(permuted(index ^ (key & 0xFFFFFFFF)) ^ (key >> 32))
    return torch.Generator(device or torch.device("cpu")).manual_seed(number)


@dataclass(frozen=True)
class Share:
    """A family and how often it is drawn.

    Attributes:
        family: what to draw.
        weight: positive; shares are weights over their sum.
        scenes: of its batches over those of the stream's; one scene is the least.
        largest: side of images above which it is not drawn at several sides; 0: none.
    """

    family: ProblemFamily
    weight: float = 1.0
    scenes: float = 1.0
    largest: int = 0


class ProblemStream(IterableDataset[Problem]):
    """Batches of problems, each of one family; use ``DataLoader(stream, batch_size=None, num_workers=...)``.

    Args:
        shares: families and their weights.
        batch: scenes of each problem, unless its share has fewer.
        seed: of the stream.
        start: steps that each rank has taken already.
        rank: of this process, in [0, ranks).
        ranks: processes that share the stream.
        device: where problems are made; the CPU when absent.

    Raises:
        ValueError: no family, a weight that is not positive, or a rank out of range.
    """

    def __init__(
        self,
        shares: Sequence[Share],
        *,
        batch: int,
        seed: int,
        start: int = 0,
        rank: int = 0,
        ranks: int = 1,
        device: torch.device | None = None,
    ) -> None:
        if not shares or not all(share.weight > 0 for share in shares):
            raise ValueError(f"give at least one family, with positive weights, got {[s.weight for s in shares]}")
        if not 0 <= rank < ranks or start < 0:
            raise ValueError(f"rank must lie in [0, ranks) and start be no less than 0, got {rank}, {ranks}, {start}")
        super().__init__()
        self.shares, self.batch, self.seed = tuple(shares), batch, seed
        self.start, self.rank, self.ranks, self.device = start, rank, ranks, device

    def problem(self, index: int) -> Problem:
        """Return problem ``index`` of the stream, whoever asks."""
        generator = problem_generator(self.seed, index)
        weights = torch.tensor([share.weight for share in self.shares])
        share = self.shares[int(torch.multinomial(weights, 1, generator=generator))]
        return draw_problem(generator, share.family, max(1, round(self.batch * share.scenes)), self.device)

    def __iter__(self) -> Iterator[Problem]:
        """Yield this rank's (and worker's) problems from step ``start`` on."""
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        for step in range(self.start + worker, PROBLEMS // self.ranks, workers):
            yield self.problem(self.rank + self.ranks * step)
