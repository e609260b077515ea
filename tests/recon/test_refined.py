"""Refinement: what one pass leaves is taken back where samples allow it, at any scale; heads that cannot denoise are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from echoform.assess.metrics import nmse_db
from echoform.measure.measurement import Measurement
from echoform.nets import weights
from echoform.nets.ram import OFFICIAL, RAM
from echoform.physics.noise import GaussianNoise
from echoform.recon.discrepancy import relative_residual
from echoform.recon.network import NetworkReconstructor
from echoform.recon.refined import RefinedNetwork
from echoform.train.families import family
from echoform.train.problems.problem import draw_problem
from echoform.train.problems.strata import Strata
from echoform.train.problems.stream import problem_generator
from echoform.train.recipe import FamilyChoice

NETWORK = weights.load("echoform-tiny")
POINTS = Strata(shape=(48, 48), shares=(1.0, 0.0, 0.0, 0.0, 0.0), snr_db=(30.0, 30.0), kept=(0.4, 0.4))


def test_it_takes_back_what_one_pass_leaves_of_points():
    """Six scenes of points at 30 dB, 40 % of the samples: by more than 2 dB in the mean; its fact is its residual."""
    problem = draw_problem(problem_generator(31, 0), POINTS, 6)
    one = NetworkReconstructor(NETWORK)(problem.measurement).mean
    refined = RefinedNetwork(NETWORK)(problem.measurement)
    assert float((nmse_db(one, problem.truth) - nmse_db(refined.mean, problem.truth)).mean()) > 2.0
    assert refined.facts["residual"] == relative_residual(problem.measurement, refined.mean)


def test_of_speckle_it_keeps_one_pass():
    """Six scenes of clutter at 20 dB, 30 % of the samples, where steps alone lose: within 0.05 dB of one pass in the mean."""
    clutter = Strata(shape=(48, 48), shares=(0.0, 0.0, 0.0, 0.0, 1.0), snr_db=(20.0, 20.0), kept=(0.3, 0.3))
    problem = draw_problem(problem_generator(33, 0), clutter, 6)
    one = NetworkReconstructor(NETWORK)(problem.measurement).mean
    refined = RefinedNetwork(NETWORK)(problem.measurement).mean
    assert float((nmse_db(refined, problem.truth) - nmse_db(one, problem.truth)).mean()) < 0.05


def test_what_one_pass_finds_where_a_blur_hides_nearly_all_is_kept():
    """Four blurred pictures: within 1 dB of one pass in the mean; steps that begin at 0.6 sqrt(v) lose 1.9 dB of them."""
    blurred = replace(family(FamilyChoice("deblurring"))[0], shape=(48, 48))
    problem = draw_problem(problem_generator(34, 0), blurred, 4)
    one = NetworkReconstructor(NETWORK)(problem.measurement).mean
    refined = RefinedNetwork(NETWORK)(problem.measurement).mean
    assert float((nmse_db(refined, problem.truth) - nmse_db(one, problem.truth)).mean()) < 1.0


def test_it_is_equivariant_to_scale():
    """Samples and their noise times c give the image times c; sides need not be multiples of eight."""
    family = Strata(shape=(20, 27), snr_db=(20.0, 20.0))
    m = draw_problem(problem_generator(32, 0), family, 2).measurement
    assert isinstance(m.noise, GaussianNoise)
    scaled = Measurement(50 * m.y, m.operator, GaussianNoise(50 * m.noise.sigma))
    method = RefinedNetwork(NETWORK, steps=2)
    small, large = method(m).mean, method(scaled).mean
    assert small.shape == (2, 1, 20, 27)
    assert float((large - 50 * small).norm()) < 1e-4 * float(large.norm())


def test_heads_without_a_state_and_single_steps_are_refused():
    """With what to use instead, or what was got."""
    with pytest.raises(ValueError, match="the official head has none: use ram instead"):
        RefinedNetwork(RAM(OFFICIAL))
    with pytest.raises(ValueError, match="steps >= 2, got 1"):
        RefinedNetwork(NETWORK, steps=1)
