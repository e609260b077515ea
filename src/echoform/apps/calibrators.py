"""The autofocus methods a user can name: the only place where a string becomes a calibrator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from echoform.recon.calibration.calibration import Calibrator


@dataclass(frozen=True)
class CalibratorChoice:
    """An autofocus method by name: the label shown and how to build it."""

    label: str
    build: Callable[[], Calibrator]


def _phase_gradient() -> Calibrator:
    from echoform.recon.calibration.phase_gradient import PhaseGradient

    return PhaseGradient()


def _minimum_entropy() -> Calibrator:
    from echoform.recon.calibration.sharpness import MinimumEntropy

    return MinimumEntropy()


def _data_fit() -> Calibrator:
    from echoform.recon.calibration.data_fit import DataFit

    return DataFit()


CALIBRATORS: dict[str, CalibratorChoice] = {
    "pga": CalibratorChoice("Phase gradient", _phase_gradient),
    "sharpness": CalibratorChoice("Minimum entropy", _minimum_entropy),
    "data-fit": CalibratorChoice("Sparse data fit", _data_fit),
}

#: method of ``echoform autofocus`` when none is named
DEFAULT_CALIBRATOR = "sharpness"
