"""The stream of problems: the same for any number of workers and ranks, no repeats, taken up exactly where it was left."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from torch.utils.data import DataLoader

from echoform.train.problems.gridded_fourier import GriddedFourier
from echoform.train.problems.problem import Problem
from echoform.train.problems.stream import (
    ProblemStream,
    Share,
    permuted,
    problem_generator,
    split_mix,
)
from echoform.train.problems.very_long_baselines import Interferometry

#: as on a machine of one core
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create . worker")

SHARES = (Share(GriddedFourier(shape=(16, 16)), 3.0), Share(Interferometry(shape=(16, 16), times=4)))


def stream(start: int = 0, rank: int = 0, ranks: int = 1, seed: int = 7) -> ProblemStream:
    return ProblemStream(SHARES, batch=2, seed=seed, start=start, rank=rank, ranks=ranks)


def taken(source: ProblemStream, count: int, workers: int = 0) -> list[Problem]:
    loader = DataLoader(source, batch_size=None, num_workers=workers)
    return list(islice(loader, count))


def prints(problems: list[Problem]) -> list[bytes]:
    return [p.family.name.encode() + p.truth.numpy().tobytes() + p.measurement.y.numpy().tobytes() for p in problems]


def test_workers_and_ranks_share_the_stream_without_repeats() -> None:
    alone = prints(taken(stream(), 12))
    assert len(set(alone)) == 12
    ranks = [prints(taken(stream(rank=rank, ranks=2), 6, workers=3)) for rank in range(2)]
    assert ranks[0] == alone[0::2]
    assert ranks[1] == alone[1::2]
    assert sorted(ranks[0] + ranks[1]) == sorted(alone)


def test_it_resumes_exactly() -> None:
    assert prints(taken(stream(start=5), 3)) == prints(taken(stream(), 8))[5:]
    whole = prints(taken(stream(rank=1, ranks=2), 6))
    assert prints(taken(stream(start=4, rank=1, ranks=2), 2, workers=2)) == whole[4:]


def test_operators_come_out_of_workers_as_they_went_in() -> None:
    here, there = taken(stream(), 4), taken(stream(), 4, workers=2)
    for a, b in zip(here, there, strict=True):
        assert torch.equal(a.operator(a.truth), b.operator(b.truth))


def test_families_are_drawn_by_their_weights() -> None:
    names = [stream().shares[int(_choice(index))].family.name for index in range(400)]
    assert names.count("fourier") / 400 == pytest.approx(0.75, abs=0.08)


def _choice(index: int) -> torch.Tensor:
    weights = torch.tensor([share.weight for share in SHARES])
    return torch.multinomial(weights, 1, generator=problem_generator(7, index))


def test_generators_of_one_seed_never_repeat() -> None:
    """A CPU generator takes 32 bits of a seed; the numbers come from permutations, so that many draws stay distinct."""
    count = 100_000
    assert len({permuted(n) for n in range(count)}) == count
    assert len({problem_generator(3, n).initial_seed() for n in range(count // 4)}) == count // 4
    assert problem_generator(3, 1).initial_seed() != problem_generator(4, 1).initial_seed()
    assert all(problem_generator(seed, 2**32 - 1).initial_seed() < 2**32 for seed in (0, 1, -1, 2**63))


def test_split_mix_is_the_published_one() -> None:
    """The first outputs of SplitMix64 seeded with 1234567, as in its authors' reference."""
    gamma, mask = 0x9E3779B97F4A7C15, 2**64 - 1
    found = [split_mix((1234567 + n * gamma) & mask) for n in range(3)]
    assert found == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="rank must lie"):
        stream(rank=2, ranks=2)
    with pytest.raises(ValueError, match="at least one family"):
        ProblemStream((), batch=1, seed=0)
    with pytest.raises(ValueError, match="another seed"):
        problem_generator(0, 2**32)
