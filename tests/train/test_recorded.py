"""Problems simulated beforehand: read from files and drawn through the stream, and full-wave ones made on the spot."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from echoform.measure.measurement import Measurement, Metadata
from echoform.measure.native import save
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise
from echoform.physics.operator import LinearOperator
from echoform.physics.range_angle_doppler import mimo_radar
from echoform.scene.array import filled_array
from echoform.scene.ray_traced_room import RayTracingUnavailableError, Wall, WallMaterial, trace
from echoform.scene.waveform import FmcwWaveform
from echoform.train.problems.full_wave import FullWave, FullWaveRange
from echoform.train.problems.recorded import Recorded
from echoform.train.problems.stream import ProblemStream, Share

QUIET = (90.0, 90.0)
SMALL = FullWaveRange((1.0, 1.5), (2, 2), (4, 4), (1, 1))


def sensor(seed: int) -> FourierMask:
    return FourierMask((torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) < 0.5).float())


def recording(seed: int, scenes: int, operator: LinearOperator | None = None) -> Measurement:
    """Samples that are twice A x: what the file says, and not the operator, must come back."""
    operator = operator or sensor(seed)
    truth = torch.randn(scenes, 1, 8, 8, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))
    metadata = Metadata(title=f"set {seed}", truth=truth)
    return Measurement(2 * operator(truth), operator, GaussianNoise(torch.ones(1)), metadata)


def test_files_come_back_through_the_stream_with_their_own_samples(tmp_path: Path) -> None:
    paths = [tmp_path / f"{seed}.h5" for seed in (1, 2)]
    for seed, path in zip((1, 2), paths, strict=True):
        save(recording(seed, 5), path)
    family = Recorded.read(paths, snr_db=QUIET)
    assert family.shape == (8, 8)
    stream = ProblemStream([Share(family)], batch=4, seed=3)
    titles = set()
    for problem, again in zip(
        (stream.problem(n) for n in range(8)), (stream.problem(n) for n in range(8)), strict=True
    ):
        assert torch.equal(problem.measurement.y, again.measurement.y)
        seeds = [n for n in (1, 2) if torch.equal(problem.operator(problem.truth), sensor(n)(problem.truth))]
        titles.update(seeds)
        known = recording(seeds[0], 5).metadata.truth
        assert known is not None
        rows = [int((known == x).flatten(1).all(1).nonzero()) for x in problem.truth]
        assert len(set(rows)) == 4  # of five scenes, four different ones
        clean = 2 * problem.operator(problem.truth)
        assert float((problem.measurement.y - clean).norm() / clean.norm()) < 1e-4
    assert titles == {1, 2}


def test_noise_is_drawn_anew_and_small_sets_repeat_within_a_batch() -> None:
    family = Recorded(measurements=(recording(1, 2),), shape=(8, 8), snr_db=(0.0, 0.0))
    stream = ProblemStream([Share(family)], batch=5, seed=1)
    first, second = stream.problem(0), stream.problem(1)
    assert first.truth.shape == (5, 1, 8, 8)
    error = first.measurement.y - 2 * first.operator(first.truth)
    assert float(error.abs().square().sum() / (2 * first.operator(first.truth)).abs().square().sum()) == pytest.approx(
        1, rel=0.3
    )
    assert not torch.equal(first.measurement.y, second.measurement.y)


def test_what_cannot_be_learned_from_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Recorded.read([])
    bare = Measurement(*(getattr(recording(1, 2), name) for name in ("y", "operator", "noise")))
    with pytest.raises(ValueError, match="no truth"):
        Recorded(measurements=(bare,))
    each = FourierMask(torch.ones(3, 1, 8, 8))
    with pytest.raises(ValueError, match="sensor of its own"):
        Recorded(measurements=(recording(1, 3, each),))


def test_full_wave_problems_stand_in_a_stream_and_are_not_those_of_born() -> None:
    family = FullWave(shape=(12, 12), snr_db=QUIET, within=SMALL)
    problem = ProblemStream([Share(family)], batch=2, seed=5).problem(0)
    born = problem.operator(problem.truth)
    assert problem.truth.shape == (2, 1, 12, 12)
    misfit = (problem.measurement.y - born).flatten(1).norm(dim=1) / born.flatten(1).norm(dim=1)
    assert float(misfit.min()) > 0.05
    again = ProblemStream([Share(family)], batch=2, seed=5).problem(0)
    assert torch.equal(problem.measurement.y, again.measurement.y)


def test_a_ray_traced_room_is_learned_from_with_its_ghosts(tmp_path: Path) -> None:
    """Truth is the target alone; the samples hold its mirror images too, and so differ from A x."""
    period = torch.tensor([1e-7], dtype=torch.float64)
    waveform = FmcwWaveform(
        carrier_hz=torch.tensor([60e9], dtype=torch.float64),
        slope_hz_per_s=2e9 / 32 / period,
        sample_period_s=period,
        samples=32,
        chirp_period_s=64 * period,
        transmitter_slots=(0,),
    )
    array = filled_array(1, 4, 0.0025)
    wall = Wall(tuple((2.0, y, z) for y, z in ((-1, -2), (8, -2), (8, 2), (-1, 2))), WallMaterial.METAL)
    try:
        paths = trace(torch.tensor([[0.0, 1.5, 0.0]]), torch.ones(1), array, (wall,), carrier_hz=60e9)
    except RayTracingUnavailableError as error:
        pytest.skip(str(error))
    ranges, angles = torch.arange(1, 33, dtype=torch.float64) * 0.075, torch.linspace(-0.6, 0.6, 9, dtype=torch.float64)
    operator = mimo_radar(waveform, array, ranges_m=ranges[None], angles_rad=angles[None])
    truth = torch.zeros(1, 1, 9, 32, dtype=torch.complex64)
    truth[..., 4, 19] = float(paths.up_to(0).amplitude.abs().mean())
    samples = paths.samples(waveform).to(torch.complex64)[:, None].reshape(1, *operator.range_shape)
    measurement = Measurement(samples, operator, GaussianNoise(torch.ones(1)), Metadata(truth=truth))
    save(measurement, tmp_path / "room.h5")
    problem = ProblemStream([Share(Recorded.read([tmp_path / "room.h5"], snr_db=QUIET))], batch=3, seed=1).problem(0)
    direct = paths.up_to(0).samples(waveform).reshape(1, *operator.range_shape)
    # in power the ghosts are a good part of what is measured
    ghosts = (problem.measurement.y[0] - direct[0]).norm() / direct[0].norm()
    assert 0.1 < float(ghosts) < 3
    assert problem.truth.shape == (3, 1, 9, 32)
