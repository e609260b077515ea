"""How far two sets of feature vectors lie apart: the kernel distance with its interval, and how their supports overlap.

    KID = E k(x, x') + E k(y, y') - 2 E k(x, y),    k(a, b) = (a . b / d + 1)^3

estimated without bias: x and x' are never of one scene. Where every vector is a scene of its own that is the usual U-statistic.
Where scenes hold many vectors (chips cut from one image, which overlap), pairs within a scene say nothing about another scene
and are left out, and intervals resample scenes, never vectors.

Precision, recall, density and coverage (PRDC) count neighbours: a ball about each vector reaches to its k-th nearest of
another scene.

Source: Binkowski et al. (2018), Demystifying MMD GANs, section 4 (KID); Naeem et al. (2020), Reliable fidelity and
diversity metrics, equations 2-4 (PRDC).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class FeatureSet:
    """Feature vectors, and which scene each was seen in.

    Attributes:
        features: (n, d), float64.
        scene: number of its scene, (n,), int64; equal numbers mark vectors that are not independent.

    Raises:
        ValueError: shapes do not fit, a feature is not finite, or there are fewer than two scenes.
    """

    features: Tensor
    scene: Tensor

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or self.scene.shape != self.features.shape[:1]:
            shapes = f"{tuple(self.features.shape)} and {tuple(self.scene.shape)}"
            raise ValueError(f"expected features (n, d) and scene (n,), got {shapes}")
        if not bool(torch.isfinite(self.features).all()):
            raise ValueError("features must be finite")
        if len(torch.unique(self.scene)) < 2:
            raise ValueError("a set needs two scenes or more: nothing can be said about others from one")

    @property
    def scenes(self) -> Tensor:
        """Numbers of the scenes, ascending, (S,)."""
        return torch.unique(self.scene)

    def of_scenes(self, numbers: Tensor) -> FeatureSet:
        """Return the vectors of some scenes."""
        kept = torch.isin(self.scene, numbers)
        return FeatureSet(self.features[kept], self.scene[kept])


def independent(features: Tensor) -> FeatureSet:
    """Return vectors (n, d) that are each a scene of their own."""
    return FeatureSet(features, torch.arange(len(features), device=features.device))


@dataclass(frozen=True)
class FeatureScale:
    """What features are measured in before sets are compared, so that none outweighs all others.

        z = 3 tanh((f - centre) / (3 spread))

    Attributes:
        centre: (d,).
        spread: (d,), positive.
    """

    centre: Tensor
    spread: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Return z of features (n, d)."""
        return 3 * torch.tanh((features - self.centre) / (3 * self.spread))


def scale_of(features: Tensor) -> FeatureScale:
    """Return median and interquartile range / 1.349 of reference features (n, d); the range is not less than 1e-3."""
    low, centre, high = torch.quantile(features, features.new_tensor([0.25, 0.5, 0.75]), dim=0)
    return FeatureScale(centre, ((high - low) / 1.349).clamp_min(1e-3))


@dataclass(frozen=True)
class Estimated:
    """A number with what resampling made of it.

    Attributes:
        value: the estimate.
        resampled: the same of resampled scenes, (R,).
    """

    value: float
    resampled: Tensor

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the quantiles between which a share ``level`` of the resampled values lies."""
        tail = (1 - level) / 2
        low, high = torch.quantile(self.resampled, self.resampled.new_tensor([tail, 1 - tail])).tolist()
        return low, high


def cubic_kernel(a: Tensor, b: Tensor) -> Tensor:
    """Return (a . b / d + 1)^3 of every pair of (n, d) and (m, d), (n, m)."""
    return (a @ b.mT / a.shape[1] + 1).pow(3)


def kid(first: FeatureSet, second: FeatureSet) -> float:
    """Return the kernel distance, unbiased; it may be below zero when the sets agree."""
    sums = _scene_sums(first, second)
    return float(_kid(sums, *(torch.ones(1, len(s), dtype=s.dtype, device=s.device) for s in (sums.xx, sums.yy))))


def resampled_kid(
    first: FeatureSet, second: FeatureSet, *, generator: torch.Generator, resamples: int = 1000
) -> Estimated:
    """Return the kernel distance with bootstrap replicates: scenes drawn with replacement in both sets.

    A scene drawn twice forms no pairs with itself. Percentile intervals hold where the sets differ, a little too narrow with
    few scenes; between sets that agree the spread of splits (:func:`split_kid`) is the measure.

    Args:
        first: one set.
        second: the other.
        generator: of the resampling, of the CPU.
        resamples: R.
    """
    sums = _scene_sums(first, second)
    drawn = [_multiplicities(len(s), resamples, generator).to(s) for s in (sums.xx, sums.yy)]
    return Estimated(kid(first, second), _kid(sums, *drawn))


def split_kid(
    sample: FeatureSet, *, generator: torch.Generator, splits: int = 100, altered: FeatureSet | None = None
) -> Tensor:
    """Return the kernel distance between random halves of one set's scenes, (splits,): the floor.

    Its mean is zero where scenes hold equally many vectors; where a few hold most it may lie a little beside.

    Args:
        sample: the set.
        generator: of the splits, of the CPU.
        splits: number of them.
        altered: the same vectors with something destroyed (a control), taken for the second half; the set itself when absent.

    Raises:
        ValueError: fewer than four scenes.
    """
    numbers = sample.scenes
    if len(numbers) < 4:
        raise ValueError(f"halves of two scenes or more need four, got {len(numbers)}")
    other = altered or sample
    values = []
    for _ in range(splits):
        order = numbers[torch.randperm(len(numbers), generator=generator).to(numbers.device)]
        half = len(order) // 2
        values.append(kid(sample.of_scenes(order[:half]), other.of_scenes(order[half:])))
    return torch.tensor(values, dtype=torch.float64)


@dataclass(frozen=True)
class Overlap:
    """How a simulated set covers a real one.

    Attributes:
        precision: share of simulated vectors within a ball of a real one.
        recall: share of real vectors within a ball of a simulated one.
        density: real balls that hold a simulated vector, over k and the number of simulated vectors; one when the sets agree.
        coverage: share of real balls that hold a simulated vector.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def overlap(real: FeatureSet, simulated: FeatureSet, *, neighbours: int = 5) -> Overlap:
    """Return PRDC.

    Args:
        real: the set to be covered.
        simulated: the set that should cover it.
        neighbours: k.

    Raises:
        ValueError: a vector has fewer than k neighbours of other scenes.
    """
    reach, reach_simulated = (_reach(s, neighbours) for s in (real, simulated))
    distance = torch.cdist(real.features, simulated.features)
    inside = distance < reach[:, None]
    return Overlap(
        precision=float(inside.any(0).double().mean()),
        recall=float((distance < reach_simulated).any(1).double().mean()),
        density=float(inside.double().sum() / (neighbours * inside.shape[1])),
        coverage=float(inside.any(1).double().mean()),
    )


def _reach(sample: FeatureSet, neighbours: int) -> Tensor:
    """Distance of each vector to its k-th nearest of another scene, (n,)."""
    distance = torch.cdist(sample.features, sample.features)
    distance = distance.masked_fill(sample.scene[:, None] == sample.scene, torch.inf)
    if distance.shape[0] < neighbours or bool(torch.isinf(reach := distance.kthvalue(neighbours, dim=1).values).any()):
        raise ValueError(
            f"every vector needs {neighbours} others of other scenes: take more scenes or fewer neighbours"
        )
    return reach


@dataclass(frozen=True)
class _SceneSums:
    """Kernel sums between scenes, and numbers of pairs: (S, S), (T, T) and (S, T); no pairs of a scene with itself."""

    xx: Tensor
    yy: Tensor
    xy: Tensor
    pairs_xx: Tensor
    pairs_yy: Tensor
    pairs_xy: Tensor


def _scene_sums(first: FeatureSet, second: FeatureSet) -> _SceneSums:
    if first.features.shape[1] != second.features.shape[1]:
        got = f"{first.features.shape[1]} and {second.features.shape[1]}"
        raise ValueError(f"both sets need the same features, got {got} of them")
    x, y = first.features, second.features
    place, other = (torch.searchsorted(s.scenes, s.scene) for s in (first, second))

    def by_scene(values: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        sums = values.new_zeros(int(rows.max()) + 1, values.shape[1]).index_add(0, rows, values)
        return sums.new_zeros(len(sums), int(columns.max()) + 1).index_add(1, columns, sums)

    def apart(sums: Tensor) -> Tensor:
        return sums - torch.diag(sums.diagonal())

    count, other_count = (torch.bincount(p).to(x.dtype) for p in (place, other))
    return _SceneSums(
        apart(by_scene(cubic_kernel(x, x), place, place)),
        apart(by_scene(cubic_kernel(y, y), other, other)),
        by_scene(cubic_kernel(x, y), place, other),
        apart(count[:, None] * count),
        apart(other_count[:, None] * other_count),
        count[:, None] * other_count,
    )


def _multiplicities(scenes: int, resamples: int, generator: torch.Generator) -> Tensor:
    """How often each scene is drawn, (R, S), at least two different ones each time."""
    drawn = torch.randint(scenes, (resamples, scenes), generator=generator)
    drawn[:, 1] = torch.where((drawn == drawn[:, :1]).all(1), (drawn[:, 0] + 1) % scenes, drawn[:, 1])
    return torch.nn.functional.one_hot(drawn, scenes).sum(1)


def _kid(sums: _SceneSums, w: Tensor, v: Tensor) -> Tensor:
    """KID with scenes of the sets counted w (R, S) and v (R, T) times, (R,)."""

    def mean(total: Tensor, pairs: Tensor, left: Tensor, right: Tensor) -> Tensor:
        return ((left @ total) * right).sum(1) / ((left @ pairs) * right).sum(1)

    within = mean(sums.xx, sums.pairs_xx, w, w) + mean(sums.yy, sums.pairs_yy, v, v)
    return within - 2 * mean(sums.xy, sums.pairs_xy, w, v)
