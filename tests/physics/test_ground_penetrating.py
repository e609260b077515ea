"""Ground-penetrating radar: travel times against scipy's minimiser, the exact homogeneous sum, targets in their place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from contracts import distance, randn
from echoform.physics.green import green_3d
from echoform.physics.ground_penetrating import GroundPenetratingRadar
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.grid import Grid
from echoform.scene.soil import GroundSurvey, Section, refracted_path_m

DOUBLE = torch.complex128
START_HZ, STEP_HZ, COUNT = 4e8, 2.5e7, 49


def real(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def survey(height_m: float, *, eps: float = 6.0, traces: int = 41) -> GroundSurvey:
    spectrum = torch.polar(torch.hann_window(COUNT, dtype=torch.float64) + 0.2, torch.linspace(0, 2, COUNT).double())
    antenna = torch.linspace(-1, 1, traces, dtype=torch.float64)[None]
    return GroundSurvey(antenna, real(height_m), real(eps), real(START_HZ), real(STEP_HZ), spectrum[None])


@pytest.mark.parametrize("index", [1.0, 1.7, 9.0])
def test_the_refracted_path_is_the_fastest_and_obeys_snell(index: float) -> None:
    x, h, d = torch.meshgrid(real(0, 1e-4, 0.3, 5, 200), real(1e-6, 0.02, 1, 50), real(1e-3, 0.4, 20), indexing="ij")
    air, soil = refracted_path_m(x, h, d, real(index))
    for at in np.ndindex(*x.shape):
        X, H, D = (float(v[at]) for v in (x, h, d))

        def seconds(u: float, X: float = X, H: float = H, D: float = D) -> float:
            return np.hypot(u, H) + index * np.hypot(X - u, D)

        if X > 0:
            best = minimize_scalar(seconds, bounds=(0, X), method="bounded", options={"xatol": 1e-12}).fun
            assert float(air[at] + index * soil[at]) <= best * (1 + 1e-13)
            assert float(air[at] + index * soil[at]) == pytest.approx(best, rel=1e-6)
        u = np.sqrt(max(float(air[at]) ** 2 - H**2, 0))
        if u > 1e-3 * H:
            assert u / float(air[at]) == pytest.approx(index * (X - u) / float(soil[at]), abs=1e-6)
    if index == 1:
        assert torch.allclose(air + soil, torch.hypot(x, h + d), rtol=1e-13)


def test_on_the_ground_it_is_the_homogeneous_sum() -> None:
    """S g^2 with the Green function of another module, in loops; rows of the section count upwards."""
    taken, grid = survey(0.0, traces=3), Grid((4, 5), (0.05, 0.1))
    operator = GroundPenetratingRadar(taken, Section(grid, 0.2), dtype=DOUBLE)
    x = randn((1, 1, 4, 5), 1)
    expected = torch.zeros(3, COUNT, dtype=DOUBLE)
    hz = START_HZ + STEP_HZ * torch.arange(COUNT, dtype=torch.float64)
    k = 2 * torch.pi * hz * 6.0**0.5 / SPEED_OF_LIGHT_M_S
    for a, row, column in np.ndindex(3, 4, 5):
        away = real((column - 2) * 0.1 - float(taken.antenna_x_m[0, a]), 0.2 + (3 - row) * 0.05).norm()
        expected[a] += taken.spectrum[0] * x[0, 0, row, column] * green_3d(away, k).square()
    assert distance(operator(x)[0, 0], expected) < 1e-10


@pytest.mark.parametrize("height_m", [0.0, 0.4])
@pytest.mark.parametrize(("x_m", "depth_m"), [(0.4, 0.5), (-0.3, 0.8)])
def test_a_pipe_migrates_to_its_place(height_m: float, x_m: float, depth_m: float) -> None:
    """Samples from scipy's minimal travel times: a target on the right stays there, a deep one deep."""
    taken, grid = survey(height_m), Grid((24, 33), (0.05, 0.05))
    hz = START_HZ + STEP_HZ * np.arange(COUNT)
    rows = []
    for antenna in taken.antenna_x_m[0].tolist():
        X = abs(x_m - antenna)

        def path(u: float, X: float = X) -> float:
            return np.hypot(u, height_m) + 6.0**0.5 * np.hypot(X - u, depth_m)

        best = path(0.0)
        if height_m and X > 1e-9:
            best = minimize_scalar(path, bounds=(0, X), method="bounded", options={"xatol": 1e-12}).fun
        rows.append(np.exp(-4j * np.pi * hz * best / SPEED_OF_LIGHT_M_S))
    y = torch.from_numpy(np.stack(rows)) * taken.spectrum[0]
    operator = GroundPenetratingRadar(taken, Section(grid, 0.2), dtype=DOUBLE)
    image = operator.adjoint(y[None, None])[0, 0].abs() / operator.spreading[0].sum(0).reshape(24, 33)
    row, column = divmod(int(image.argmax()), 33)
    assert float(grid.axes_m()[1][column]) == pytest.approx(x_m, abs=1e-9)
    assert float(Section(grid, 0.2).depths_m()[row]) == pytest.approx(depth_m, abs=1e-9)


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="below the surface"):
        Section(Grid((2, 2), (0.1, 0.1)), 0.0)
    with pytest.raises(ValueError, match="height_m must be"):
        survey(-0.1)
    with pytest.raises(ValueError, match="permittivity must be"):
        survey(0.0, eps=0.5)
    operator = GroundPenetratingRadar(survey(0.1, traces=2), Section(Grid((2, 2), (0.1, 0.1)), 0.2), dtype=DOUBLE)
    assert operator(randn((3, 1, 2, 2), 1)).shape == (3, 1, 2, COUNT)
