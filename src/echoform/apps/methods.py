"""The methods a user can name: the only place where a string becomes a reconstructor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from echoform.apps.errors import UsageError

if TYPE_CHECKING:
    from echoform.nets.ram import RAM
    from echoform.recon.reconstructor import Reconstructor


#: shipped weights of the network
WEIGHTS = "echoform-tiny"


@dataclass(frozen=True)
class Method:
    """A method by name.

    Attributes:
        label: what is shown.
        make: builds it, given a regularisation weight or None.
        takes_weight: whether a weight means something to it.
        compared: whether ``compare`` and ``demo`` carry it out when no methods are named.
        holds_phase: whether its image can be held against the samples.
    """

    label: str
    make: Callable[[float | None], Reconstructor]
    takes_weight: bool = False
    compared: bool = True
    holds_phase: bool = True

    def build(self, weight: float | None = None) -> Reconstructor:
        """Return the reconstructor; raises UsageError when a weight is given to a method that has none."""
        if weight is not None and not self.takes_weight:
            takers = ", ".join(name for name, method in METHODS.items() if method.takes_weight)
            raise UsageError(f"{self.label} takes no --weight; leave it out, or choose one of {takers}")
        return self.make(weight)


def _backprojection(_: float | None) -> Reconstructor:
    from echoform.recon.classical.matched_filter import MatchedFilter

    return MatchedFilter()


def _backprojection_taylor(_: float | None) -> Reconstructor:
    from echoform.recon.classical.matched_filter import MatchedFilter
    from echoform.recon.classical.window import Taylor

    window = Taylor()
    window.taps(2)  # loads what it needs now, so that it is not counted in the method's time
    return MatchedFilter(window)


def _multilook(_: float | None) -> Reconstructor:
    from echoform.recon.classical.multilook import MultilookMatchedFilter

    return MultilookMatchedFilter()


def _tikhonov(weight: float | None) -> Reconstructor:
    from echoform.recon.classical.tikhonov import Tikhonov

    return Tikhonov(weight)


def _sparse(weight: float | None) -> Reconstructor:
    from echoform.recon.classical.sparse import SparseL1

    return SparseL1(weight)


def _total_variation(weight: float | None) -> Reconstructor:
    from echoform.recon.classical.magnitude_total_variation import MagnitudeTotalVariation

    return MagnitudeTotalVariation(weight)


def _complex_total_variation(weight: float | None) -> Reconstructor:
    from echoform.recon.classical.total_variation import TotalVariation

    return TotalVariation(weight)


def _network(_: float | None) -> Reconstructor:
    from echoform.recon.network import NetworkReconstructor

    return NetworkReconstructor(_shipped_network())


def _plug_and_play(_: float | None) -> Reconstructor:
    from echoform.nets.denoiser import RAMDenoiser
    from echoform.recon.plug_and_play import PlugAndPlayHalfQuadratic

    return PlugAndPlayHalfQuadratic(RAMDenoiser(_shipped_network()))


def _shipped_network() -> RAM:
    from echoform.nets import weights

    try:
        return weights.load(WEIGHTS)
    except weights.WeightsError as error:
        raise UsageError(str(error)) from error


METHODS: dict[str, Method] = {
    "backprojection": Method("Backprojection", _backprojection),
    "backprojection-taylor": Method("Backprojection, Taylor", _backprojection_taylor),
    "backprojection-multilook": Method("Backprojection, 2 × 2 looks", _multilook, compared=False, holds_phase=False),
    "tikhonov": Method("Tikhonov", _tikhonov, takes_weight=True),
    "l1": Method("Sparse l1", _sparse, takes_weight=True),
    "tv": Method("TV of magnitude", _total_variation, takes_weight=True, compared=False),
    "tv-complex": Method("TV, complex", _complex_total_variation, takes_weight=True, compared=False),
    "pnp": Method(f"Plug and play ({WEIGHTS})", _plug_and_play, compared=False),
    "ram": Method(f"RAM ({WEIGHTS})", _network),
}

#: methods of ``echoform compare`` and ``demo`` when none are named
COMPARED = tuple(name for name, method in METHODS.items() if method.compared)

#: method of ``echoform reconstruct`` when none is named
DEFAULT_METHOD = "l1"
