"""Measured complex chips of ../shared/data/sar_slc_complex, their scenes, and a sensor of the band that they show.

The Sentinel-1 sets (T) may be looked at for training; TerraSAR-X (E) is for evaluation. Of every set the band and the noise
floor are taken, which belong to the sensor and not to what it saw.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from torch import Tensor

from echoform.assess.chip_features import centred_spectrum
from echoform.physics.fourier_mask import FourierMask

FOLDER = Path(__file__).parents[2] / "shared" / "data" / "sar_slc_complex"
#: chips of 64 pixels whose corners lie this close in both directions, or are so linked, count as one scene
SAME_SCENE_PX = 128
#: bandwidth over sampling rate in range of the three sub-swaths of Sentinel-1 IW (56.5, 48.3, 42.8 of 64.345 MHz)
IW_SHARES = (0.878, 0.751, 0.665)
#: shares of the band that are tried when a band is fitted
SHARES = tuple((share,) for share in np.arange(0.5, 1.001, 1 / 64).tolist())


@dataclass(frozen=True)
class AxisBand:
    """Generalised Hamming weighting w(k) = a + (1 - a) cos(pi k / (s pi)) for |k| < s pi along an axis.

    Attributes:
        shares: s, equally likely.
        hamming: a.
    """

    shares: tuple[float, ...]
    hamming: float

    def weights(self, size: int) -> Tensor:
        """Return w on the centred frequencies of an axis, one row per share, (shares, size), float64."""
        k = (torch.arange(size, dtype=torch.float64) - size // 2) / (size / 2)
        at = k / torch.tensor(self.shares, dtype=torch.float64)[:, None]
        return (self.hamming + (1 - self.hamming) * torch.cos(torch.pi * at)) * (at.abs() <= 1)


@dataclass(frozen=True)
class MeasuredChips:
    """Chips of one sensor.

    Attributes:
        chips: (n, 64, 64) complex64, in counts of the 16-bit samples.
        label: what a chip shows, from its name.
        scene: (n,) int64, over all labels of the file.
        bands: of rows and columns.
        truncated: whether samples are cut towards zero (Sentinel-1: twice as many zeros as ones) or rounded (TerraSAR-X).
    """

    chips: Tensor
    label: list[str]
    scene: Tensor
    bands: tuple[AxisBand, AxisBand]
    truncated: bool

    @cached_property
    def noise_floor(self) -> float:
        """Noise intensity, no more than the 1 % quantile of the chips' median intensities (over ln 2: their means)."""
        medians = self.chips.abs().double().square().flatten(1).median(1).values
        return float(medians.quantile(0.01) / np.log(2))

    def of(self, *labels: str) -> MeasuredChips:
        """Return the chips of some labels, with the bands of all."""
        kept = torch.tensor([label in labels for label in self.label])
        named = [label for label in self.label if label in labels]
        return MeasuredChips(self.chips[kept], named, self.scene[kept], self.bands, self.truncated)


def read_chips(name: str, *, iw: bool = False, truncated: bool = True) -> MeasuredChips:
    """Return the chips of a file; ``iw`` says that its columns have the three bands of Sentinel-1 IW."""
    with np.load(FOLDER / f"{name}.npz") as stored:
        iq, names = stored["iq"], stored["name"].tolist()
    chips = torch.view_as_complex(torch.from_numpy(iq.astype(np.float32)))
    parsed = [re.fullmatch(r"data_slc_(?:data_|TSX_)?([A-Za-z]+)_.*?_x?(\d+)_y?(\d+)\.npy", n) for n in names]
    if None in parsed:
        raise ValueError(f"{name}: a chip's name holds no position: {names[parsed.index(None)]}")
    corner = np.array([[int(m[2]), int(m[3])] for m in parsed if m])
    scene = fcluster(linkage(corner, "single", "chebyshev"), SAME_SCENE_PX, "distance")
    spectrum = centred_spectrum(chips.to(torch.complex128))
    spectrum = (spectrum / spectrum.mean((1, 2), keepdim=True)).mean(0)
    candidates = ((IW_SHARES,), SHARES) if iw else (SHARES, SHARES)
    columns, rows = fit_band(spectrum.mean(0), candidates[0]), fit_band(spectrum.mean(1), candidates[1])
    return MeasuredChips(chips, [m[1] for m in parsed if m], torch.from_numpy(scene).long(), (rows, columns), truncated)


def fit_band(marginal: Tensor, candidates: tuple[tuple[float, ...], ...]) -> AxisBand:
    """Return the band whose power, seen through the Hann window, comes closest to a mean spectrum in least squares of amplitudes.

    In decibels the few frequencies beyond the band's edge, 30 dB down, would decide the shape of its middle.

    Args:
        marginal: centred power spectrum of an axis, (n,).
        candidates: sets of shares to choose from.
    """
    size = len(marginal)
    window = torch.hann_window(size + 2, periodic=False, dtype=torch.float64)[1:-1]
    leakage = torch.fft.fft(window).abs().square()

    def misfit(band: AxisBand) -> float:
        power = band.weights(size).square().mean(0)
        seen = torch.fft.ifft(torch.fft.fft(power) * torch.fft.fft(leakage)).real.clamp_min(1e-9)
        return float(((marginal / marginal.mean()).sqrt() - (seen / seen.mean()).sqrt()).square().mean())

    tried = [AxisBand(s, a) for s in candidates for a in np.arange(0.5, 1.001, 0.02).tolist()]
    return min(tried, key=misfit)


def sensed(images: Tensor, like: MeasuredChips, *, noise: float, by_peak: bool, generator: torch.Generator) -> Tensor:
    """Return W (x + n) in whole counts, W the weighted band of the sensor, (n, H, W).

    Processing weights echoes and noise alike, as water at the noise floor and bright land show: along range their spectra agree.
    Each scene is scaled so that with the noise its median intensity (or its strongest pixel) is that of a measured chip
    drawn at random.

    Args:
        images: scenes x, (n, H, W) complex.
        like: chips of the sensor that show what the scenes show.
        noise: intensity of the noise in the image.
        by_peak: whether the strongest pixels are matched: for scenes without surroundings.
        generator: of the noise, the bands and the levels.
    """
    count, height, width = images.shape
    rows, columns = (band.weights(size) for band, size in zip(like.bands, (height, width), strict=True))
    rows, columns = (w[torch.randint(len(w), (count,), generator=generator)] for w in (rows, columns))
    weights = (rows[:, :, None] * columns[:, None, :])[:, None]
    sensor = FourierMask(weights.sqrt())  # A^H A = W
    clean = sensor.normal(images[:, None].to(torch.complex128))
    chosen = torch.randint(len(like.chips), (count,), generator=generator)
    wanted = _level(like.chips[chosen], by_peak=by_peak)
    if not by_peak:
        wanted = torch.maximum(wanted - noise * np.log(2), 0.1 * wanted)
    gain = (wanted / _level(clean[:, 0], by_peak=by_peak)).sqrt()
    sample = torch.randn((count, 1, height, width), dtype=torch.complex128, generator=generator)
    sigma = (noise / weights.square().mean((1, 2, 3))).sqrt()
    image = gain[:, None, None, None] * clean + sensor.normal(sigma[:, None, None, None] * sample)
    counts = torch.view_as_real(image[:, 0])
    return torch.view_as_complex(counts.trunc() if like.truncated else counts.round())


def _level(images: Tensor, *, by_peak: bool) -> Tensor:
    """Peak or median intensity of each image, (n,)."""
    intensity = images.abs().double().square().flatten(1)
    return intensity.amax(1) if by_peak else intensity.median(1).values
