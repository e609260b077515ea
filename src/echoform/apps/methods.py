"""The methods a user can name: the only place where a string becomes a reconstructor."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from echoform.apps.errors import UsageError

if TYPE_CHECKING:
    from echoform.measure.measurement import Measurement
    from echoform.nets.ram import RAM
    from echoform.recon.reconstructor import Reconstructor


#: shipped weights of the network
WEIGHTS = "echoform-small"
#: posterior samples and evaluations of the network for each
SAMPLES, STEPS = 16, 16
#: looks along pulses and frequencies
LOOKS = (2, 2)
#: prior of ``closure`` when none is given: that of M87*, chosen knowing the ring that was published
SKY_FLUX_JY, SKY_FWHM_UAS = 0.6, 40.0


@dataclass(frozen=True)
class Settings:
    """What a user may set of a method; None stands for the method's own choice.

    Attributes:
        weight: regularisation weight.
        weights: name or file of the network's weights.
        sky_flux_jy: flux density expected of the sky, Jy.
        sky_fwhm_uas: width of the Gaussian that the sky is expected to resemble, microarcseconds.
        samples: posterior samples.
        steps: evaluations of the network for each.
        side_lobe_db: design level of the Taylor window's side lobes, decibels, negative.
        looks: along pulses and along frequencies.
    """

    weight: float | None = None
    weights: str | None = None
    sky_flux_jy: float | None = None
    sky_fwhm_uas: float | None = None
    samples: int | None = None
    steps: int | None = None
    side_lobe_db: float | None = None
    looks: tuple[int, int] | None = None

    def given(self) -> list[str]:
        """Return the names of what is set."""
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]

    def only(self, names: tuple[str, ...]) -> Settings:
        """Return these settings without those of other names."""
        return replace(self, **{name: None for name in self.given() if name not in names})


@dataclass(frozen=True)
class Method:
    """A method by name.

    Attributes:
        label: what is shown.
        make: builds it from what is set.
        takes: names of the settings that mean something to it.
        compared: whether ``compare`` and ``demo`` carry it out when no methods are named.
        long: whether it takes hundreds of products with the sensor, so that it is not carried out on very many pixels unasked.
        windowed: whether it needs samples along two spatial frequencies, so that it is not carried out on others unasked.
        caveat: what a reader must know of its numbers, a sentence, or empty.
    """

    label: str
    make: Callable[[Settings], Reconstructor]
    takes: tuple[str, ...] = ()
    compared: bool = True
    long: bool = False
    windowed: bool = False
    caveat: str = ""

    def build(self, settings: Settings | None = None) -> Reconstructor:
        """Return the reconstructor; raises UsageError when something is set that it does not take."""
        settings = settings or Settings()
        check_taken((self,), settings)
        return self.make(settings)

    def titled(self, settings: Settings) -> str:
        """Return the label, with the name of the weights or the looks where it has some."""
        if "looks" in self.takes:
            pulses, frequencies = settings.looks or LOOKS
            return f"{self.label}, {pulses} × {frequencies} looks"
        if "weights" in self.takes:
            return f"{self.label} ({Path(settings.weights or WEIGHTS).name})"
        return self.label


def check_taken(methods: tuple[Method, ...], settings: Settings) -> None:
    """Raise UsageError when something is set that none of the methods takes."""
    for name in settings.given():
        if not any(name in method.takes for method in methods):
            takers = ", ".join(key for key, method in METHODS.items() if name in method.takes)
            labels = ", ".join(method.label for method in methods)
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{labels} takes no {option}; leave it out, or choose one of {takers}")


def _backprojection(_: Settings) -> Reconstructor:
    from echoform.recon.classical.matched_filter import MatchedFilter

    return MatchedFilter()


def _backprojection_taylor(settings: Settings) -> Reconstructor:
    from echoform.recon.classical.matched_filter import MatchedFilter
    from echoform.recon.classical.window import Taylor

    window = Taylor() if settings.side_lobe_db is None else Taylor(settings.side_lobe_db)
    window.taps(2)  # loads what it needs now, so that it is not counted in the method's time
    return MatchedFilter(window)


def _multilook(settings: Settings) -> Reconstructor:
    from echoform.recon.classical.multilook import Looks, MultilookMatchedFilter
    from echoform.recon.classical.window import Taylor

    window = None if settings.side_lobe_db is None else Taylor(settings.side_lobe_db)
    return MultilookMatchedFilter(Looks(*(settings.looks or LOOKS)), window=window)


def _tikhonov(settings: Settings) -> Reconstructor:
    from echoform.recon.classical.tikhonov import Tikhonov

    return Tikhonov(settings.weight)


def _sparse(settings: Settings) -> Reconstructor:
    from echoform.recon.classical.sparse import SparseL1

    return SparseL1(settings.weight)


def _total_variation(settings: Settings) -> Reconstructor:
    from echoform.recon.classical.magnitude_total_variation import MagnitudeTotalVariation

    return MagnitudeTotalVariation(settings.weight)


def _complex_total_variation(settings: Settings) -> Reconstructor:
    from echoform.recon.classical.total_variation import TotalVariation

    return TotalVariation(settings.weight)


def _network(settings: Settings) -> Reconstructor:
    from echoform.recon.network import NetworkReconstructor

    return NetworkReconstructor(network_of(settings))


def _refined(settings: Settings) -> Reconstructor:
    from echoform.recon.refined import RefinedNetwork

    try:
        return RefinedNetwork(network_of(settings))
    except ValueError as error:
        raise UsageError(str(error)) from error


def _posterior(settings: Settings) -> Reconstructor:
    from echoform.recon.diffusion.posterior import PosteriorSampler, Trajectory

    try:
        trajectory = Trajectory(settings.steps or STEPS)
        return PosteriorSampler(network_of(settings), samples=settings.samples or SAMPLES, trajectory=trajectory)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _plug_and_play(settings: Settings) -> Reconstructor:
    from echoform.nets.denoiser import RAMDenoiser
    from echoform.recon.plug_and_play import PlugAndPlayHalfQuadratic

    return PlugAndPlayHalfQuadratic(RAMDenoiser(network_of(settings)))


def _closure(settings: Settings) -> Reconstructor:
    from echoform.recon.closure_imaging import SkyPrior
    from echoform.recon.closure_reconstructor import ClosureReconstructor
    from echoform.scene.sky import MICROARCSECOND_RAD

    flux_jy = SKY_FLUX_JY if settings.sky_flux_jy is None else settings.sky_flux_jy
    fwhm_uas = SKY_FWHM_UAS if settings.sky_fwhm_uas is None else settings.sky_fwhm_uas
    for option, value in (("--sky-flux-jy", flux_jy), ("--sky-fwhm-uas", fwhm_uas)):
        if not 0 < value < float("inf"):
            raise UsageError(f"{option} must be a positive number, got {value}")
    return ClosureReconstructor(SkyPrior(flux_jy, fwhm_uas * MICROARCSECOND_RAD))


def network_of(settings: Settings) -> RAM:
    """Return the network with the weights named: a name, a .safetensors file beside its card, or an official checkpoint.

    Raises:
        UsageError: there are no such weights, or they are damaged.
    """
    from echoform.nets import weights
    from echoform.nets.checkpoint import read_official
    from echoform.nets.ram import channels_last

    named = settings.weights or WEIGHTS
    path = Path(named)
    try:
        if path.suffix == ".safetensors":
            return weights.load(path.stem, where=path.parent)
        if path.is_file():
            return channels_last(read_official(path).network).eval()
        return weights.load(named)
    except weights.WeightsError as error:
        raise UsageError(f"--weights: {error}" if settings.weights else str(error)) from error


METHODS: dict[str, Method] = {
    "backprojection": Method("Backprojection", _backprojection),
    "backprojection-taylor": Method("Backprojection, Taylor", _backprojection_taylor, ("side_lobe_db",), windowed=True),
    "backprojection-multilook": Method(
        "Backprojection",
        _multilook,
        ("looks", "side_lobe_db"),
        compared=False,
        windowed=True,
        caveat="an image without phase, so its misfit, prediction error and NMSE say nothing.",
    ),
    "tikhonov": Method("Tikhonov", _tikhonov, ("weight",), long=True),
    "l1": Method("Sparse l1", _sparse, ("weight",), long=True),
    "tv": Method("TV of magnitude", _total_variation, ("weight",), compared=False, long=True),
    "tv-complex": Method("TV, complex", _complex_total_variation, ("weight",), compared=False, long=True),
    "closure": Method(
        "Closure quantities",
        _closure,
        ("sky_flux_jy", "sky_fwhm_uas"),
        compared=False,
        caveat="stations are uncalibrated, so misfit and prediction error of its image say nothing; its chi-squares do. The "
        "prior decides what the data leave open, and the default one was chosen knowing the published ring of M87*: with 60 "
        "microarcseconds a ghost ring fits as well (benchmarks/eht.py). Try others: --sky-fwhm-uas, --sky-flux-jy.",
    ),
    "pnp": Method("Plug and play", _plug_and_play, ("weights",), compared=False, long=True),
    "posterior": Method("Posterior mean", _posterior, ("weights", "samples", "steps"), compared=False, long=True),
    "ram": Method("RAM", _network, ("weights",)),
    "ram-refined": Method("RAM refined", _refined, ("weights",), long=True),
}

#: methods of ``echoform compare`` and ``demo`` when none are named
COMPARED = tuple(name for name, method in METHODS.items() if method.compared)


#: pixels up to which a method that takes hundreds of products with the sensor is carried out unasked
MOST_PIXELS = 2**21


def is_large(measurement: Measurement) -> bool:
    """Whether the image has so many pixels that only quick methods are carried out unasked."""
    return math.prod(measurement.operator.domain_shape) > MOST_PIXELS


def default_method(measurement: Measurement) -> str:
    """Return the method of ``echoform reconstruct`` when none is named, by what is known of the image.

    Uncalibrated stations leave closure quantities; where neighbouring pixels share their phase (MRI, a dielectric body's
    contrast) differences of complex values are sparse; where each has its own (radar) only magnitudes can be, and bright points
    are few. Of very many pixels the backprojection alone takes seconds instead of hours.
    """
    if measurement.metadata.sky is not None:
        return "closure"
    if is_large(measurement):
        return "backprojection"
    return "tv-complex" if measurement.metadata.smooth_phase else "l1"


def compared_methods(measurement: Measurement) -> tuple[str, ...]:
    """Return the methods of ``echoform compare`` when none are named: the usual ones and the default of this measurement.

    Of very many pixels those that take hundreds of products with the sensor are left out; windows, where the samples do not lie
    along two spatial frequencies.
    """
    usual = tuple(dict.fromkeys((*COMPARED, default_method(measurement))))
    return tuple(name for name in usual if name not in _unfit(measurement))


def left_out(measurement: Measurement) -> tuple[str, ...]:
    """Return a sentence for each reason why :func:`compared_methods` leaves out usual methods, or nothing."""
    unfit = _unfit(measurement)
    long = [name for name in unfit if METHODS[name].long]
    windowed = [name for name in unfit if METHODS[name].windowed]
    pixels = math.prod(measurement.operator.domain_shape) / 1e6
    found = []
    if long:
        found.append(
            f"{_labels(long)}: left out, for an image of {pixels:.1f} million pixels takes hundreds of products with the sensor; "
            f"ask for them with --methods {' '.join(long)}."
        )
    if windowed:
        found.append(f"{_labels(windowed)}: left out, for these samples do not lie along two spatial frequencies.")
    return tuple(found)


def _unfit(measurement: Measurement) -> list[str]:
    """The usual methods that this measurement is not compared by unasked."""
    large, windows = is_large(measurement), measurement.operator.frequency_axes()
    return [name for name in COMPARED if (METHODS[name].long and large) or (METHODS[name].windowed and not windows)]


def _labels(names: list[str]) -> str:
    return ", ".join(METHODS[name].label for name in names)
