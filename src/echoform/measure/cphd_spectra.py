"""The samples of a CPHD channel as spectra, S[p, n] at the frequencies f_pn, from either signal domain.

    FX:   f_pn = SC0_p + n SCSS_p
    TOA:  S[p, k] = M^-1/2 sum_m s[p, m] exp(+i SGN 2 pi (f_pk - f_c) t_pm),     t_pm = SC0_p + m SCSS_p,
          f_pk = f_c + (k - M // 2) / (M SCSS_p),     f_c = (FX1_p + FX2_p) / 2

In the TOA domain a target at dTOA is a main lobe there with the phase SGN f_c dTOA at its peak (cycles): what is stored is the
transform of the spectrum about f_c, and the sum above inverts it exactly, a DFT of M samples with a phase for where they
begin. It is unitary, so the noise of a sample keeps its level. Frequencies that agree from pulse to pulse to 1/1000 of their step
are made one set. Samples outside FX1 to FX2 are missing.

Source: NGA.STND.0068-1, CPHD Design & Implementation Description 1.1.0; phase of the peak as stated in the documentation of
sarpy's CPHD Global/SGN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echoform.measure.cphd_channel import Channel, text_at
from echoform.measure.errors import quote
from echoform.measure.gotcha import HIGHEST_HZ

#: largest departure of a pulse's frequencies from the first pulse's, as a share of their step, for them to be one set
FREQUENCY_SHARE = 1e-3
#: longest delay from the reference point, seconds
LONGEST_S = 1.0
SCALARS = ("SC0", "SCSS", "FX1", "FX2")


@dataclass(frozen=True)
class Spectra:
    """Samples by frequency.

    Attributes:
        samples: S, shape (P, F), complex64, sign of the file.
        frequency_hz: f, shape (1, F) where all pulses share them, else (P, F), rising.
        inside: which samples were measured, shape (P, F).
    """

    samples: np.ndarray
    frequency_hz: np.ndarray
    inside: np.ndarray

    def step_hz(self) -> float:
        """Return the widest step of any pulse, which sets the range at which echoes repeat."""
        return float((self.frequency_hz[:, 1] - self.frequency_hz[:, 0]).max())


def sign_of(channel: Channel) -> int:
    """Return SGN, +1 or -1."""
    sign = text_at(channel.root, "Global/SGN")
    if sign not in ("+1", "1", "-1"):
        raise channel.wrong("SGN", f"= {quote(sign)}", "+1 or -1")
    return int(sign)


def spectra(channel: Channel, heard: np.ndarray) -> Spectra:
    """Return the spectra of a channel.

    Args:
        channel: as stored.
        heard: which vectors hold the echo of a pulse, (P,).

    Raises:
        MeasurementFileError: a parameter cannot be right.
    """
    domain = text_at(channel.root, "Global/DomainType")
    band = [_scalar(channel, name, heard, (0.0, HIGHEST_HZ)) for name in ("FX1", "FX2")]
    if domain == "FX":
        start, step = (_scalar(channel, name, heard, (0.0, HIGHEST_HZ)) for name in ("SC0", "SCSS"))
        samples = channel.signal
    elif domain == "TOA":
        first_s = _scalar(channel, "SC0", heard, (-LONGEST_S, LONGEST_S))
        step_s = _scalar(channel, "SCSS", heard, (0.0, LONGEST_S))
        samples, start, step = _from_delays(channel, first_s, step_s, (band[0] + band[1]) / 2)
        if start[heard].min() <= 0:
            got = f"= {step_s[heard].min():.4g} s, for frequencies below zero"
            raise channel.wrong("SCSS", got, "steps of about 1 / (FX2 - FX1)")
    else:
        raise channel.wrong("signal domain", quote(domain), "FX or TOA")
    frequency_hz = _one_set(start[:, None] + step[:, None] * np.arange(samples.shape[1]), step, heard)
    margin = step[:, None] / 2
    inside = (frequency_hz >= band[0][:, None] - margin) & (frequency_hz <= band[1][:, None] + margin) & heard[:, None]
    used = inside.any(0)
    if used.sum() < 2:
        raise channel.wrong("FX1 to FX2", "holds fewer than two samples", "a band that the samples cover")
    if not inside[heard].any(1).all():
        got = "holds no sample of a pulse with signal"
        raise channel.wrong("FX1 to FX2", got, "a band that SC0 and SCSS reach")
    if domain == "TOA":
        _check_middle(channel, samples, inside, heard)
    return Spectra(samples[:, used], frequency_hz[:, used], inside[:, used])


def _scalar(channel: Channel, name: str, heard: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Return a parameter of each vector, (P,), above the lower limit and at most the upper, in hertz or seconds.

    Vectors without signal, where it may be anything, take that of the first with signal unless their own can be right.
    """
    values = np.asarray(channel.vectors[name], dtype=np.float64)
    if values.shape != heard.shape:
        raise channel.wrong(name, f"of shape {values.shape}", f"({len(heard)},)")
    low, high = limits
    good = (values > low) & (values <= high)
    if not good[heard].all():
        raise channel.wrong(name, "not finite, not positive or too large", f"above {low:g}, at most {high:g}")
    return np.where(good, values, values[np.flatnonzero(heard)[0]])


def _from_delays(
    channel: Channel, first_s: np.ndarray, step_s: np.ndarray, middle_hz: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the spectra (P, M) of delay profiles, and the first frequency and the step of each, (P,)."""
    count, sign = channel.signal.shape[1], sign_of(channel)
    k = np.arange(count) - count // 2
    transform = np.fft.ifft if sign > 0 else np.fft.fft
    values = np.fft.fftshift(transform(channel.signal, axis=1, norm="ortho"), axes=1)
    step_hz = 1 / (count * step_s)
    turn = np.exp(2j * np.pi * sign * (step_hz * first_s)[:, None] * k)
    return (values * turn).astype(np.complex64), middle_hz - (count // 2) * step_hz, step_hz


def _one_set(frequency_hz: np.ndarray, step_hz: np.ndarray, heard: np.ndarray) -> np.ndarray:
    """Return the first pulse's frequencies, (1, F), where all others agree with them, or those of all pulses."""
    first = int(np.flatnonzero(heard)[0])
    departure = np.abs(frequency_hz - frequency_hz[first])[heard].max()
    return frequency_hz[first : first + 1] if departure <= FREQUENCY_SHARE * step_hz[first] else frequency_hz


def _check_middle(channel: Channel, samples: np.ndarray, inside: np.ndarray, heard: np.ndarray) -> None:
    """Refuse delay profiles whose spectrum lies elsewhere than FX1 to FX2 about the carrier."""
    outside = heard[:, None] & ~inside
    if not outside.any():
        return
    with np.errstate(over="ignore", invalid="ignore"):
        there, here = (float(np.square(np.abs(samples[marks], dtype=np.float64)).mean()) for marks in (outside, inside))
    if there > here:
        remedy = "write the vectors again as the standard has it, the carrier at the middle of FX1 and FX2"
        raise channel.wrong("the signal", "with more power outside FX1 to FX2 than within", "a band about f_c", remedy)
