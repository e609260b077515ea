"""Can a classifier tell two sets of feature vectors apart? Logistic regression, tested on scenes that it was not fitted to.

    P(second | f) = 1 / (1 + exp(-(w . f + b))),    minimise  -mean log-likelihood, both sets alike in weight, + (r / 2) |w|^2

Balanced accuracy is 1/2 when the sets agree and 1 when they lie apart.

Source: Lopez-Paz and Oquab (2017), Revisiting classifier two-sample tests, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.assess.domain_gap import Estimated, FeatureSet

#: r of the fit: features are of order one
RIDGE = 1e-2
#: steps of Newton's method
STEPS = 20


def classifier_accuracy(
    first: FeatureSet, second: FeatureSet, *, generator: torch.Generator, folds: int = 5, resamples: int = 1000
) -> Estimated:
    """Return the balanced accuracy on held-out scenes, with bootstrap replicates by scene of the predictions.

    Args:
        first: one set, of scaled features.
        second: the other.
        generator: of folds and resampling, of the CPU.
        folds: number of parts into which the scenes of each set are dealt; each is predicted by a fit to the others.
        resamples: number of bootstrap replicates.

    Raises:
        ValueError: a set has fewer scenes than folds.
    """
    parts = [_dealt(s, folds, generator) for s in (first, second)]
    right = [torch.zeros(len(s.scene), dtype=torch.float64) for s in (first, second)]
    for fold in range(folds):
        fitted = fit_logistic(first.features[parts[0] != fold], second.features[parts[1] != fold])
        for sample, part, hit, sign in zip((first, second), parts, right, (-1, 1), strict=True):
            held = part == fold
            hit[held] = (sign * predict(fitted, sample.features[held]) > 0).double()
    rates = [_resampled_rate(s, hit, generator, resamples) for s, hit in zip((first, second), right, strict=True)]
    value = sum(float(hit.mean()) for hit in right) / 2
    return Estimated(value, (rates[0] + rates[1]) / 2)


def fit_logistic(first: Tensor, second: Tensor) -> Tensor:
    """Return (w, b), (d + 1,), by Newton's method.

    Args:
        first: features of label 0, (n, d).
        second: features of label 1, (m, d).
    """
    x = _with_one(torch.cat([first, second]))
    label = torch.cat([torch.zeros(len(first)), torch.ones(len(second))]).to(x)
    weight = torch.where(label > 0, 0.5 / len(second), 0.5 / len(first))
    ridge = torch.full((x.shape[1],), RIDGE, dtype=x.dtype, device=x.device)
    ridge[-1] = 0
    beta = torch.zeros_like(ridge)
    for _ in range(STEPS):
        p = torch.sigmoid(x @ beta)
        slope = x.mT @ (weight * (p - label)) + ridge * beta
        curvature = (x * (weight * p * (1 - p))[:, None]).mT @ x + torch.diag(ridge)
        beta = beta - torch.linalg.solve(curvature, slope)
    return beta


def predict(fitted: Tensor, features: Tensor) -> Tensor:
    """Return the log odds of label 1, (n,)."""
    return _with_one(features) @ fitted


def _with_one(features: Tensor) -> Tensor:
    return torch.cat([features, torch.ones_like(features[:, :1])], 1)


def _dealt(sample: FeatureSet, folds: int, generator: torch.Generator) -> Tensor:
    """Fold of each vector, (n,): scenes from the largest down to the fold that holds least, ties at random."""
    scenes, counts = torch.unique(sample.scene, return_counts=True)
    if len(scenes) < folds:
        raise ValueError(f"{folds} folds need as many scenes, got {len(scenes)}: take fewer folds")
    shuffled = torch.randperm(len(scenes), generator=generator)
    order = shuffled[counts[shuffled].argsort(descending=True, stable=True)]
    load = torch.zeros(folds, dtype=torch.int64)
    fold = torch.zeros(len(scenes), dtype=torch.int64)
    for scene in order.tolist():
        fold[scene] = load.argmin()
        load[fold[scene]] += counts[scene]
    return fold[torch.searchsorted(scenes, sample.scene)]


def _resampled_rate(sample: FeatureSet, hit: Tensor, generator: torch.Generator, resamples: int) -> Tensor:
    """Share of hits in resampled scenes, (R,)."""
    scenes, index, counts = torch.unique(sample.scene, return_inverse=True, return_counts=True)
    hits = torch.zeros(len(scenes), dtype=torch.float64).index_add(0, index, hit)
    drawn = torch.randint(len(scenes), (resamples, len(scenes)), generator=generator)
    return hits[drawn].sum(1) / counts[drawn].sum(1)
