"""Prolate interpolation against SciPy's spheroidal functions and against the waves it is meant for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import legendre
from scipy.special import pro_ang1

from echoform.linalg.prolate import band_interpolation


@pytest.mark.parametrize("c", [0.5, 4.0, 12.0])
def test_functions_against_scipy(c: float) -> None:
    """The angular functions S_0n(c, t) of SciPy, up to a factor."""
    found = band_interpolation(c, 1e-6)
    t = np.linspace(-0.97, 0.97, 23)
    for order in range(found.series.shape[1]):
        ours = legendre.legval(t, found.series[:, order])
        theirs = pro_ang1(0, order, c, t)[0]
        factor = ours @ theirs / (theirs @ theirs)
        assert np.abs(ours - factor * theirs).max() < 1e-6 * np.abs(ours).max()


@pytest.mark.parametrize("c", [0.0, 3.0, 21.0, 60.0])
@pytest.mark.parametrize("accuracy", [1e-2, 1e-6, 1e-12])
def test_waves_inside_the_band(c: float, accuracy: float) -> None:
    """Waves of random frequency at random points; outside the band nothing is promised."""
    rng = np.random.default_rng(1)
    found = band_interpolation(c, accuracy)
    w, t = rng.uniform(-c, c, 200), rng.uniform(-1, 1, 300)
    error = np.exp(1j * np.outer(t, w)) - found.weights(t) @ np.exp(1j * np.outer(found.nodes, w))
    assert np.abs(error).max() <= 1.2 * accuracy
    assert found.error(1.5 * c + 20) > 100 * accuracy
    assert len(found.nodes) < 2 * c / np.pi + 32
    assert np.allclose(found.nodes, -found.nodes[::-1], atol=1e-9)


def test_nodes_are_reproduced() -> None:
    found = band_interpolation(7.0, 1e-3)
    assert np.allclose(found.weights(found.nodes), np.eye(len(found.nodes)), atol=1e-12)
