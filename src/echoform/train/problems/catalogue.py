"""Every family of problems with its usual ranges.

A family added here is taken up by the benchmark and the tests; its name goes into :mod:`echoform.apps.problem_families` too.

Sensors with errors, and with things left out, are drawn where they are at home: phases of pulses in spotlight and spotlight-near,
drifts of range there too, narrow antenna beams, missing pulses and bands and other transmitters in spotlight, gains and faults of
elements in range-angle and range-angle-doppler, crosstalk in polarimetry, whitened samples in interferometry, a gain of the image
in ground.
"""

from __future__ import annotations

from echoform.train.problems.array_radar import RangeAngle, RangeAngleDoppler
from echoform.train.problems.complex_images import ComplexDenoising, ComplexInpainting
from echoform.train.problems.compressed_sensing import CompressedSensing
from echoform.train.problems.deblurring import Deblurring
from echoform.train.problems.demosaicing import Demosaicing
from echoform.train.problems.denoising import Denoising
from echoform.train.problems.far_field_spotlight import FarFieldSpotlight
from echoform.train.problems.gridded_fourier import GriddedFourier
from echoform.train.problems.ground_penetrating import GroundPenetrating
from echoform.train.problems.inpainting import Inpainting
from echoform.train.problems.microwave import Born, BornVolume
from echoform.train.problems.microwave_background import BornBackground
from echoform.train.problems.mri import CartesianMri
from echoform.train.problems.near_field_spotlight import NearFieldSpotlight
from echoform.train.problems.near_range import NearRange
from echoform.train.problems.pansharpening import PanSharpening
from echoform.train.problems.polarimetry import Polarimetry
from echoform.train.problems.problem import ProblemFamily
from echoform.train.problems.repeat_pass import RepeatPass
from echoform.train.problems.strata import Strata
from echoform.train.problems.stripmap import Stripmap
from echoform.train.problems.super_resolution import SuperResolution
from echoform.train.problems.tomography import ComputedTomography
from echoform.train.problems.very_long_baselines import Interferometry

FAMILIES: tuple[ProblemFamily, ...] = (
    GriddedFourier(),
    FarFieldSpotlight(),
    NearFieldSpotlight(),
    Polarimetry(),
    Stripmap(),
    RepeatPass(),
    Interferometry(),
    RangeAngle(),
    RangeAngleDoppler(),
    NearRange(),
    Born(),
    BornVolume(),
    BornBackground(),
    GroundPenetrating(),
    CartesianMri(),
    Denoising(),
    Deblurring(),
    Inpainting(),
    SuperResolution(),
    Demosaicing(),
    PanSharpening(),
    CompressedSensing(),
    ComputedTomography(),
    ComplexDenoising(),
    ComplexInpainting(),
    Strata(),
)
