"""The methods a user can name: the only place where a string becomes a reconstructor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from echoform.apps.errors import UsageError

if TYPE_CHECKING:
    from echoform.recon.reconstructor import Reconstructor


#: shipped weights of the network
WEIGHTS = "echoform-tiny"


@dataclass(frozen=True)
class Method:
    """A method by name: the label shown, how to build it, and whether it takes a regularisation weight."""

    label: str
    make: Callable[[float | None], Reconstructor]
    takes_weight: bool = False

    def build(self, weight: float | None = None) -> Reconstructor:
        """Return the reconstructor; raises UsageError when a weight is given to a method that has none."""
        if weight is not None and not self.takes_weight:
            raise UsageError(f"{self.label} takes no --weight; leave it out, or choose tikhonov or l1")
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


def _tikhonov(weight: float | None) -> Reconstructor:
    from echoform.recon.classical.tikhonov import Tikhonov

    return Tikhonov(weight)


def _sparse(weight: float | None) -> Reconstructor:
    from echoform.recon.classical.sparse import SparseL1

    return SparseL1(weight)


def _network(_: float | None) -> Reconstructor:
    from echoform.nets import weights
    from echoform.recon.network import NetworkReconstructor

    try:
        return NetworkReconstructor(weights.load(WEIGHTS))
    except weights.WeightsError as error:
        raise UsageError(str(error)) from error


METHODS: dict[str, Method] = {
    "backprojection": Method("Backprojection", _backprojection),
    "backprojection-taylor": Method("Backprojection, Taylor", _backprojection_taylor),
    "tikhonov": Method("Tikhonov", _tikhonov, takes_weight=True),
    "l1": Method("Sparse l1", _sparse, takes_weight=True),
    "ram": Method(f"RAM ({WEIGHTS})", _network),
}

#: method of ``echoform reconstruct`` when none is named
DEFAULT_METHOD = "l1"
