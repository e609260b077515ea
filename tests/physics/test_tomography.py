"""Line integrals against closed forms of ellipses and against deepinv's Tomography, parallel and fan beam."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from contracts import distance
from echoform.physics.compositions import GalerkinOperator, ScaledOperator
from echoform.physics.deepinv_bridge import from_deepinv
from echoform.physics.tomography import CoarseTomography, Tomography, parallel_beam_like_deepinv, projection_matrix
from echoform.scene.beams import Beam, FanBeam, ParallelBeam, diagonal_px, uniform_angles_rad
from echoform.scene.ellipses import coverage

DOUBLE = torch.float64


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = DOUBLE) -> Tensor:
    return torch.rand(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def parallel(side: int, angles: int) -> ParallelBeam:
    return ParallelBeam(angles_rad=uniform_angles_rad(angles), detectors=diagonal_px((side, side)))


def fan(side: int, angles: int) -> FanBeam:
    return FanBeam(
        angles_rad=uniform_angles_rad(angles, 2 * math.pi),
        detectors=2 * diagonal_px((side, side)),
        source_px=3.0 * side,
        detector_px=2.0 * side,
    )


def chords(beam: Beam, centre: tuple[float, float], axes: tuple[float, float], turn: float) -> Tensor:
    """Length of every ray inside an ellipse, (A, N): centre (column, row) from the axis and half axes in pixels."""
    ends = torch.tensor([0.0, 1.0], dtype=DOUBLE)
    lateral = beam.lateral_px(ends)
    c, s = math.cos(turn), math.sin(turn)
    rows = []
    for phi in beam.angles_rad[0].tolist():
        column = math.cos(phi) * lateral + math.sin(phi) * ends - centre[0]
        row = -math.sin(phi) * lateral + math.cos(phi) * ends - centre[1]
        u, v = (c * column + s * row) / axes[0], (c * row - s * column) / axes[1]
        du, dv = u[:, 1] - u[:, 0], v[:, 1] - v[:, 0]
        speed, across = du.square() + dv.square(), u[:, 0] * dv - v[:, 0] * du
        rows.append(2 * (speed - across.square()).clamp_min(0).sqrt() / speed * beam.path_per_step())
    return torch.stack(rows)


@pytest.mark.parametrize(("side", "bound"), [(96, 0.016), (192, 0.008)])
@pytest.mark.parametrize("kind", [parallel, fan])
def test_an_ellipse_has_its_chords(kind, side: int, bound: float) -> None:
    """Within 1.5 % at 96 pixels and half of that at 192: the edge, where a chord ends as a square root, is one pixel wide."""
    turn, beam = 0.4, kind(side, 7)
    centre, axes = (0.2, -0.1), (0.5, 0.3)
    image = coverage(*(torch.tensor([[v]], dtype=DOUBLE) for v in (centre, axes)), torch.tensor([[turn]]), (side, side))
    half = side / 2
    expected = chords(beam, (centre[0] * half, centre[1] * half), (axes[0] * half, axes[1] * half), turn)
    found = Tomography(beam, (1, side, side), dtype=DOUBLE)(image.double())[0, 0]
    assert distance(found, expected) < bound
    wrong = chords(beam, (centre[0] * half + 1, centre[1] * half), (axes[0] * half, axes[1] * half), turn)
    assert distance(found, wrong) > 3 * bound


def test_parallel_projections_keep_the_mass() -> None:
    """sum over detectors = sum of the image, for an image away from the corners, to the step's quadrature error."""
    x = torch.zeros(1, 1, 40, 40, dtype=DOUBLE)
    x[..., 12:28, 12:28] = drawn(1, 1, 16, 16)
    total = Tomography(parallel(40, 13), (1, 40, 40), dtype=DOUBLE)(x).sum(-1)
    assert float((total / x.sum() - 1).abs().max()) < 0.01


@pytest.mark.parametrize("shape", [(10, 10), (9, 14)])
def test_a_quarter_turn_sums_columns_and_rows(shape: tuple[int, int]) -> None:
    """Detectors run with the columns at 0 degrees and against the rows at 90."""
    height, width = shape
    size = 2 * diagonal_px(shape) + 1
    beam = ParallelBeam(angles_rad=torch.tensor([[0.0, math.pi / 2]], dtype=DOUBLE), detectors=size)
    x = drawn(1, 1, *shape)
    y = Tomography(beam, (1, *shape), dtype=DOUBLE)(x)[0, 0]
    start, turned = size // 2 - width // 2, size // 2 + height // 2 - (height - 1)
    assert distance(y[0, start : start + width], x[0, 0].sum(0)) < 1e-12
    assert distance(y[1, turned : turned + height].flip(0), x[0, 0].sum(1)) < 1e-12


def test_far_away_a_fan_is_a_parallel_beam() -> None:
    side, far = 24, 1e9
    angles = uniform_angles_rad(5)
    x = drawn(1, 1, side, side)
    wide = FanBeam(angles_rad=angles, detectors=34, source_px=far, detector_px=1.0)
    narrow = ParallelBeam(angles_rad=angles, detectors=34)
    found, expected = (Tomography(beam, (1, side, side), dtype=DOUBLE)(x) for beam in (wide, narrow))
    assert distance(found, expected) < 1e-6


def test_gradients_of_real_images_and_the_transpose() -> None:
    operator = Tomography(fan(6, 3), (2, 6, 6), dtype=DOUBLE)
    x, y = drawn(2, *operator.domain_shape).requires_grad_(), drawn(2, *operator.range_shape, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(operator.forward, (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(operator.normal, (x,), fast_mode=True)
    assert torch.autograd.gradcheck(operator.adjoint, (y,), fast_mode=True)
    (back,) = torch.autograd.grad(operator(x), x, y)
    assert distance(back, operator.adjoint(y)) < 1e-14


def test_memory_is_what_is_said() -> None:
    """2.2 entries per pixel and angle, sixteen bytes each in single precision."""
    beam = parallel(128, 10)
    entries = projection_matrix(beam, beam.angles_rad[0].tolist(), (128, 128)).nnz
    assert entries / (128 * 128 * 10) == pytest.approx(2.2, abs=0.05)
    held = sum(b.numel() * b.element_size() for b in Tomography(beam, (1, 128, 128)).buffers())
    assert held == pytest.approx(16 * entries, rel=0.1)


def test_beams_too_large_or_senseless_are_refused() -> None:
    """Every argument out of its range raises ValueError."""
    with pytest.raises(ValueError, match="use fewer angles"):
        Tomography(parallel(4096, 500), (1, 4096, 4096))
    with pytest.raises(ValueError, match="source before a detector"):
        FanBeam(angles_rad=uniform_angles_rad(3), detectors=4, source_px=-1.0, detector_px=3.0)
    with pytest.raises(ValueError, match="positive spacing"):
        ParallelBeam(angles_rad=uniform_angles_rad(3), detectors=4, spacing_px=0.0)
    with pytest.raises(ValueError, match="angles_rad"):
        ParallelBeam(angles_rad=torch.zeros(3), detectors=4)


@pytest.mark.parametrize("side", [64, 128])
def test_deepinv_parallel_beam_is_the_same_matrix(side: int) -> None:
    """Forward, adjoint and normalised forward of deepinv's Tomography, whose sinogram is the transpose of ours."""
    physics = pytest.importorskip("deepinv", reason="deepinv is not installed: pip install 'echoform[deepinv]'").physics
    ours = parallel_beam_like_deepinv(10, side)
    model = physics.Tomography(angles=10, img_width=side, circle=False, adjoint_via_backprop=True, normalize=False)
    theirs = from_deepinv(model, (1, side, side))
    x = drawn(2, 1, side, side, dtype=torch.float32)
    y = drawn(2, *ours.range_shape, seed=1, dtype=torch.float32)
    assert distance(ours(x).mT, theirs(x)) < 1e-5
    assert distance(ours.adjoint(y), theirs.adjoint(y.mT)) < 1e-5
    unit = physics.Tomography(angles=10, img_width=side, circle=False, adjoint_via_backprop=True, normalize=True)
    same = ScaledOperator(ours, 1 / unit.operator_norm.reshape(1))
    assert distance(same(x).mT, unit.A(x)) < 1e-5
    assert distance(ours.normalized()(x).mT, unit.A(x)) < 6e-3  # an estimated norm is within half a percent


def test_deepinv_fan_beam_lacks_only_the_length_of_a_step() -> None:
    """Its angles are 90 degrees behind and its detectors run the other way; its unit is the padded side over side - 1."""
    physics = pytest.importorskip("deepinv", reason="deepinv is not installed: pip install 'echoform[deepinv]'").physics
    side = 64
    padded, size = diagonal_px((side, side)), 110
    given = {"pixel_spacing": 0.1, "source_radius": 15.0, "detector_radius": 9.0, "detector_spacing": 0.17}
    model = physics.Tomography(
        angles=uniform_angles_rad(10, 360.0)[0].float(),
        img_width=side,
        normalize=False,
        fan_beam=True,
        fan_parameters=given | {"n_detector_pixels": size},
    )
    pixel = given["pixel_spacing"] * padded / (padded - 1)
    beam = FanBeam(
        angles_rad=uniform_angles_rad(10, 2 * math.pi) + math.pi / 2,
        detectors=size,
        spacing_px=given["detector_spacing"] / pixel,
        source_px=given["source_radius"] / pixel,
        detector_px=given["detector_radius"] / pixel,
    )
    x = drawn(2, 1, side, side, dtype=torch.float32)
    found, length = Tomography(beam, (1, side, side))(x).flip(-1), beam.path_per_step().float()
    assert float(length.max()) > 1.05
    assert distance((found / length).mT, model.A(x)) < 1e-5


@pytest.mark.parametrize("offset_px", [(20, 20), (-20, 21), (20.75, 20.75), (0, -25)])
@pytest.mark.parametrize("kind", ["parallel", "fan"])
def test_a_displaced_axis_sees_the_image_elsewhere(kind: str, offset_px: tuple[float, float]) -> None:
    """Displaced by whole pixels it is an axis in the middle of a larger image, in which this one stands aside."""
    angles_rad, side, wide = uniform_angles_rad(8, 2 * math.pi), 17, 81
    whole = [math.floor(offset) for offset in offset_px]

    def beam(at: tuple[float, float]) -> Beam:
        if kind == "parallel":
            return ParallelBeam(angles_rad=angles_rad, detectors=115, axis_offset_px=at)
        return FanBeam(angles_rad=angles_rad, detectors=115, axis_offset_px=at, source_px=150.0, detector_px=150.0)

    x, y = drawn(1, 1, side, side), torch.zeros(1, 1, wide, wide, dtype=DOUBLE)
    row, column = (wide // 2 - side // 2 - n for n in whole)
    y[..., row : row + side, column : column + side] = x
    rest = (offset_px[0] - whole[0], offset_px[1] - whole[1])
    small, large = (Tomography(beam(at), (1, n, n), dtype=DOUBLE) for at, n in ((offset_px, side), (rest, wide)))
    assert distance(small(x), large(y)) < 1e-12


def test_wrapped_sensors_count_beams_not_entries_of_matrices() -> None:
    """What holds a tomography has its batch, on which the probes of norm and spectrum depend."""
    operator = parallel_beam_like_deepinv(5, 16)
    for wrapped in (operator.normalized(), operator.galerkin(2), operator.H, 2.0 * operator):
        assert wrapped.batch == 1
    assert operator.galerkin(2).norm().shape == (1,)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_coarse_versions_are_exact_and_never_larger(factor: int) -> None:
    """A U_s x against the two applied in turn; the matrix of its own is made where it has fewer entries than A."""
    operator = parallel_beam_like_deepinv(12, 64)
    coarse, both = operator.coarsen(factor), GalerkinOperator(operator, factor)
    x = torch.randn(2, *coarse.domain_shape, generator=torch.Generator().manual_seed(0))
    assert distance(coarse(x), both(x)) < 1e-6
    assert distance(coarse.normal(x), both.normal(x)) < 1e-6
    if factor == 2:
        assert type(coarse) is GalerkinOperator
        return
    assert isinstance(coarse, CoarseTomography)
    entries = [sum(b.numel() for b in part.matrices.buffers()) for part in (coarse, operator)]
    assert entries[0] < {4: 0.8, 8: 0.5}[factor] * entries[1]
    again = operator.coarsen(factor)
    assert isinstance(again, CoarseTomography)
    assert again.matrices is coarse.matrices  # not worked out again for the next scene
