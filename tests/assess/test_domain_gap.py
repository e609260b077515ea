"""Kernel distance against closed forms and brute force, intervals that cover, overlap and classifier of sets known apart."""

import math

import pytest
import torch
from torch import Tensor

from echoform.assess.domain_gap import (
    FeatureSet,
    cubic_kernel,
    independent,
    kid,
    overlap,
    resampled_kid,
    scale_of,
    split_kid,
)
from echoform.assess.two_sample_classifier import classifier_accuracy, fit_logistic, predict


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(count: int, mean: Tensor, deviation: float, seed: int) -> Tensor:
    return mean + deviation * torch.randn(count, len(mean), generator=generator(seed), dtype=torch.float64)


def in_scenes(scenes: int, chips: int, mean: float, seed: int, *, within: float = 0.3) -> FeatureSet:
    """Two features; the vectors of a scene stand close about its own middle, and together they are N(mean, 1)."""
    middle = mean + math.sqrt(1 - within**2) * torch.randn(scenes, 1, 2, generator=generator(seed), dtype=torch.float64)
    features = middle + within * torch.randn(scenes, chips, 2, generator=generator(seed + 10_000), dtype=torch.float64)
    return FeatureSet(features.flatten(0, 1), torch.arange(scenes).repeat_interleave(chips))


def gaussian_distance(mean: Tensor, deviation: float, other: Tensor, other_deviation: float) -> float:
    """MMD^2 under (x . y / d + 1)^3: the squared distances of the moment tensors of orders 1, 2, 3 in the binomial's weights."""
    d = len(mean)

    def moments(m: Tensor, s: float) -> list[Tensor]:
        eye = torch.eye(d, dtype=m.dtype) * s**2
        pairs = torch.einsum("i,jk->ijk", m, eye)
        third = torch.einsum("i,j,k->ijk", m, m, m) + pairs + pairs.permute(1, 0, 2) + pairs.permute(1, 2, 0)
        return [m, torch.outer(m, m) + eye, third]

    gaps = [
        float((a - b).square().sum())
        for a, b in zip(moments(mean, deviation), moments(other, other_deviation), strict=True)
    ]
    return sum(math.comb(3, n) * gap / d**n for n, gap in zip((1, 2, 3), gaps, strict=True))


MEAN, OTHER = torch.tensor([0.3, -0.2, 0.0]).double(), torch.tensor([-0.2, 0.4, 0.5]).double()


def test_kid_is_brute_force_over_pairs_of_different_scenes() -> None:
    first = FeatureSet(normal(9, MEAN, 1.0, 1), torch.tensor([0, 0, 1, 1, 1, 2, 3, 3, 7]))
    second = FeatureSet(normal(7, OTHER, 0.6, 2), torch.tensor([4, 5, 5, 6, 6, 6, 0]))

    def within(sample: FeatureSet) -> float:
        x, scene = sample.features.tolist(), sample.scene.tolist()
        pairs = [(a, b) for a in range(len(x)) for b in range(len(x)) if scene[a] != scene[b]]
        return sum((sum(p * q for p, q in zip(x[a], x[b], strict=True)) / 3 + 1) ** 3 for a, b in pairs) / len(pairs)

    cross = float(cubic_kernel(first.features, second.features).mean())
    assert kid(first, second) == pytest.approx(within(first) + within(second) - 2 * cross, rel=1e-10)


def test_kid_is_unbiased_about_the_closed_form() -> None:
    truth = gaussian_distance(MEAN, 1.0, OTHER, 0.7)
    found = torch.tensor(
        [
            kid(independent(normal(12, MEAN, 1.0, 2 * seed)), independent(normal(9, OTHER, 0.7, 2 * seed + 1)))
            for seed in range(800)
        ]
    )
    error = float(found.std()) / math.sqrt(len(found))
    assert error < 0.15 * truth
    assert float(found.mean()) == pytest.approx(truth, abs=4 * error)


def test_large_samples_come_to_the_closed_form() -> None:
    truth = gaussian_distance(MEAN, 1.0, OTHER, 0.7)
    found = kid(independent(normal(1500, MEAN, 1.0, 1)), independent(normal(1500, OTHER, 0.7, 2)))
    assert found == pytest.approx(truth, rel=0.2)


def test_scenes_of_close_vectors_leave_it_unbiased_where_plain_pairs_would_not() -> None:
    shared = [(in_scenes(8, 12, 0.0, 2 * s), in_scenes(8, 12, 0.0, 2 * s + 1)) for s in range(300)]
    honest = torch.tensor([kid(a, b) for a, b in shared])
    naive = torch.tensor([kid(independent(a.features), independent(b.features)) for a, b in shared])
    error = float(honest.std()) / math.sqrt(len(honest))
    assert abs(float(honest.mean())) < 4 * error
    assert float(naive.mean()) > 8 * float(naive.std()) / math.sqrt(len(naive))


def test_intervals_by_scene_cover_and_by_vector_do_not() -> None:
    centre = torch.zeros(2, dtype=torch.float64)
    truth = gaussian_distance(centre, 1.0, centre + 1.0, 1.0)
    hits, naive_hits, runs = 0, 0, 80
    for seed in range(runs):
        first, second = in_scenes(25, 6, 0.0, 2 * seed), in_scenes(25, 6, 1.0, 2 * seed + 1)
        low, high = resampled_kid(first, second, generator=generator(seed), resamples=300).interval()
        hits += low <= truth <= high
        plain = [independent(s.features) for s in (first, second)]
        low, high = resampled_kid(plain[0], plain[1], generator=generator(seed), resamples=100).interval()
        naive_hits += low <= truth <= high
    assert hits / runs > 0.8  # 0.88 of a nominal 0.95 over many runs
    assert naive_hits / runs < 0.75


def test_halves_of_one_set_differ_by_nothing_on_average_and_altered_ones_do() -> None:
    sample = in_scenes(40, 4, 0.5, 3)
    floor = split_kid(sample, generator=generator(1), splits=60)
    assert abs(float(floor.mean())) < 0.5 * float(floor.std())
    moved = FeatureSet(sample.features + 2, sample.scene)
    assert float(split_kid(sample, generator=generator(1), splits=60, altered=moved).min()) > float(floor.max())


def test_overlap_of_equal_sets_of_a_part_and_of_sets_apart() -> None:
    centre = torch.zeros(2, dtype=torch.float64)
    real = independent(normal(600, centre, 1.0, 1))
    same = overlap(real, independent(normal(600, centre, 1.0, 2)))
    # Naeem et al. (2020), equations 5 and 6: the expectations of density and coverage for equal laws, N = M = 600, k = 5
    expected = 1 - math.prod((599 - i) / (1199 - i) for i in range(5))
    assert same.density == pytest.approx(1.0, abs=0.08)
    assert same.coverage == pytest.approx(expected, abs=0.02)
    assert min(same.precision, same.recall) > 0.95
    part = overlap(real, independent(normal(600, centre, 0.2, 3)))
    assert part.precision > 0.99
    assert part.recall < 0.3
    apart = overlap(real, independent(normal(600, centre + 20, 1.0, 4)))
    assert vars(apart) == {"precision": 0.0, "recall": 0.0, "density": 0.0, "coverage": 0.0}


def test_classifier_is_at_chance_on_equal_sets_and_at_the_bayes_rate_on_shifted_ones() -> None:
    centre = torch.zeros(3, dtype=torch.float64)
    real = independent(normal(800, centre, 1.0, 1))
    same = classifier_accuracy(real, independent(normal(800, centre, 1.0, 2)), generator=generator(3), resamples=200)
    low, high = same.interval()
    assert low < 0.53
    assert high > 0.47
    shift = torch.tensor([1.2, 0.0, 0.0], dtype=torch.float64)
    other = classifier_accuracy(real, independent(normal(300, shift, 1.0, 5)), generator=generator(3), resamples=200)
    bayes = 0.5 * (1 + math.erf(0.6 / math.sqrt(2)))
    assert other.interval()[0] < bayes < other.interval()[1]


def test_classifier_is_not_fooled_by_scenes_it_has_seen() -> None:
    """Scenes differ from one another, the sets do not: split by vector a classifier of 30 features learns the scenes."""

    def cluttered(seed: int) -> FeatureSet:
        middle = torch.randn(15, 1, 30, generator=generator(seed), dtype=torch.float64)
        near = 0.1 * torch.randn(15, 10, 30, generator=generator(seed + 50), dtype=torch.float64)
        return FeatureSet((middle + near).flatten(0, 1), torch.arange(15).repeat_interleave(10))

    first, second = cluttered(1), cluttered(2)
    honest = classifier_accuracy(first, second, generator=generator(), resamples=200)
    naive = classifier_accuracy(
        independent(first.features), independent(second.features), generator=generator(), resamples=200
    )
    assert naive.value > 0.95
    assert honest.interval()[0] < 0.5 < honest.interval()[1]


def test_fit_has_no_slope_left_and_separates_what_is_separable() -> None:
    first, second = normal(40, MEAN - 9, 0.5, 1), normal(50, MEAN + 9, 0.5, 2)
    fitted = fit_logistic(first, second)
    assert bool((predict(fitted, first) < 0).all())
    assert bool((predict(fitted, second) > 0).all())
    leaning = [float(torch.sigmoid(predict(fitted, f)).mean()) for f in (first, second)]
    assert sum(leaning) == pytest.approx(1.0, abs=1e-9)  # the slope in b is zero


def test_scale_is_that_of_the_reference_and_bounds_what_is_far() -> None:
    scale = scale_of(normal(20_000, MEAN, 2.0, 1))
    assert torch.allclose(scale.spread, torch.full((3,), 2.0).double(), rtol=0.05)
    z = scale(torch.stack([MEAN, MEAN + 2e-3, MEAN + 1e6]))
    assert torch.allclose(z[1] - z[0], torch.full((3,), 1e-3).double(), rtol=0.05)
    assert torch.allclose(z[2], torch.full((3,), 3.0).double())


def test_wrong_sets_are_named() -> None:
    features = torch.zeros(4, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="two scenes"):
        FeatureSet(features, torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ValueError, match="expected features"):
        FeatureSet(features, torch.arange(3))
    with pytest.raises(ValueError, match="finite"):
        independent(features / 0)
    with pytest.raises(ValueError, match="same features"):
        kid(independent(features), independent(features[:, :1]))
    with pytest.raises(ValueError, match="neighbours"):
        overlap(independent(features), independent(features), neighbours=5)
    with pytest.raises(ValueError, match="need four"):
        split_kid(independent(features[:3]), generator=generator())
    with pytest.raises(ValueError, match="fewer folds"):
        classifier_accuracy(independent(features), independent(features), generator=generator())
