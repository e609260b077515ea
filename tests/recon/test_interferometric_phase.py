"""An interferometric pair keeps its phase difference through every linear reconstruction.

Two passes over the same speckle at slightly different heights; between them the scene's phase changes by a constant and a ramp.
With M_k the reconstruction as a matrix and P_k = M_k A_k, white speckle s and the phase change Phi give in closed form

    E x_2 x_1^* = diag (P_2 Phi P_1^H),      E |x_k|^2 = diag (P_k P_k^H + sigma^2 M_k M_k^H),

so coherence and phase error have no free parameter. The flat-earth phase (k_c2 - k_c1) . r, known from the geometry, is removed.

Source: Zebker and Villasenor (1992), IEEE Trans. Geosci. Remote Sens. 30(5); Rodriguez and Martin (1992), IEE Proc. F 139(2),
equation 15 (phase error over L looks, (1 - g^2) / (2 L g^2)).
"""

from __future__ import annotations

import math

import pytest
import torch

from echoform.assess.metrics import phase_rmse_rad
from echoform.measure.measurement import Measurement
from echoform.physics.noise import GaussianNoise
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.recon.classical.matched_filter import MatchedFilter
from echoform.recon.classical.tikhonov import Tikhonov
from echoform.recon.classical.window import Taylor
from echoform.recon.reconstructor import Reconstructor
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid

DOUBLE = torch.complex128
SIDE, COUNT, SCENES = 14, 20, 64
GRID = Grid((SIDE, SIDE), (0.26, 0.26))


def collection(elevation_deg: float) -> SpotlightCollection:
    """X band at 10 km, 640 MHz and 3.8 degrees: cells of about 0.27 m on the ground."""
    step = (torch.arange(COUNT, dtype=torch.float64) + 0.5) / COUNT - 0.5
    angle = math.radians(3.8) * step
    c, s = math.cos(math.radians(elevation_deg)), math.sin(math.radians(elevation_deg))
    look = torch.stack([c * angle.cos(), c * angle.sin(), torch.full_like(angle, s)], -1)
    kept = torch.ones(1, COUNT, COUNT, dtype=torch.float64)
    return SpotlightCollection(1e4 * look[None], (9.6e9 + 640e6 * step)[None], kept)


def phase_change() -> torch.Tensor:
    """0.9 rad and a ramp of 2.4 rad across the image, (H, W)."""
    y, x = GRID.axes_m()
    return 0.9 + 1.6 * x / (SIDE * 0.26) + 0.8 * y[:, None] / (SIDE * 0.26)


def sensors() -> list[tuple[NonuniformFourier, torch.Tensor]]:
    """Operators of the two passes and exp(i k_c . r), the phase reference their images carry, (H, W)."""
    found = []
    position = GRID.positions_m()[..., :2]
    for elevation_deg in (30.0, 30.0 + math.degrees(5.0 / 1e4)):  # 5 m higher
        taken = collection(elevation_deg)
        found.append((plane_wave_spotlight(taken, GRID, dtype=DOUBLE), torch.exp(1j * (position @ taken.carrier()[0]))))
    return found


def matrix(method: Reconstructor, operator: NonuniformFourier) -> torch.Tensor:
    """M, (pixels, samples)."""
    units = torch.eye(COUNT * COUNT, dtype=DOUBLE).reshape(-1, 1, COUNT, COUNT)
    return method(Measurement(units, operator, GaussianNoise(torch.ones(1)))).mean.flatten(1).T


@pytest.mark.parametrize(
    "method",
    [MatchedFilter(), MatchedFilter(Taylor()), Tikhonov(4.0, tolerance=1e-8), Tikhonov(100.0, tolerance=1e-8)],
    ids=["matched filter", "matched filter, Taylor", "Tikhonov 4", "Tikhonov 100"],
)
@pytest.mark.parametrize("snr_db", [30.0, 10.0])
def test_coherence_and_phase_are_those_of_the_closed_form(method: Reconstructor, snr_db: float) -> None:
    generator = torch.Generator().manual_seed(3)
    change = torch.exp(1j * phase_change())
    speckle = torch.randn(SCENES, 1, SIDE, SIDE, dtype=DOUBLE, generator=generator)
    images, maps, powers, flat = [], [], [], []
    for index, (operator, reference) in enumerate(sensors()):
        clean = operator(speckle * reference * (change if index else 1))
        sigma = SIDE * 10 ** (-snr_db / 20)
        y = clean + sigma * torch.randn(clean.shape, dtype=DOUBLE, generator=generator)
        images.append(method(Measurement(y, operator, GaussianNoise(torch.tensor([sigma])))).mean)
        m = matrix(method, operator)
        units = torch.eye(SIDE * SIDE, dtype=DOUBLE).reshape(-1, 1, SIDE, SIDE)
        p = m @ operator(units * reference).flatten(1).T
        maps.append(p)
        powers.append(p.abs().square().sum(1) + sigma**2 * m.abs().square().sum(1))
        flat.append(reference)
    removed = (flat[1] * flat[0].conj()).conj()
    product = images[1] * images[0].conj() * removed
    expected = torch.einsum("ij,j,ij->i", maps[1], change.flatten(), maps[0].conj()) * removed.flatten()
    coherence = float(
        (product * change.conj()).sum().real / (images[0].abs().square().sum() * images[1].abs().square().sum()).sqrt()
    )
    predicted = float((expected * change.flatten().conj()).sum().real / (powers[0].sum() * powers[1].sum()).sqrt())
    # The mean over the scenes is an interferogram of SCENES independent looks.
    looks = product.mean(0, keepdim=True)
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    error = float(phase_rmse_rad(looks[inner], change[None, None][inner]))
    gamma = (expected.abs() / (powers[0] * powers[1]).sqrt()).reshape(1, 1, SIDE, SIDE)[inner]
    bias = torch.angle(expected.reshape(1, 1, SIDE, SIDE)[inner] * change[None, None][inner].conj())
    scatter = ((1 - gamma.square()) / (2 * SCENES * gamma.square())).mean()
    bound = float((bias.square().mean() + scatter).sqrt())
    offset = float(torch.angle((product * change.conj()).sum()))
    print(
        f"SNR {snr_db:g} dB: coherence {coherence:.4f} (closed form {predicted:.4f}), phase error {error:.4f} rad ({bound:.4f})"
    )
    assert coherence == pytest.approx(predicted, abs=0.01)
    assert predicted > (0.98 if snr_db == 30 else 0.8)
    assert error == pytest.approx(bound, rel=0.25)
    assert abs(offset) < 0.02


def test_without_the_flat_earth_the_phase_is_wrong() -> None:
    """The passes' references differ, so the test above would notice a reconstruction that forgets one."""
    (_, first), (_, second) = sensors()
    spread = torch.angle(second * first.conj())
    assert float(spread.amax() - spread.amin()) > 0.3
