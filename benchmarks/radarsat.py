"""Real data: the four RADARSAT-1 raw scenes, focused by the adjoint of the raw stripmap operators.

    python benchmarks/radarsat.py            # focus, widths, times, docs/radarsat.png
    python benchmarks/radarsat.py sparse     # l1 from half of the pulses of a block, judged on the others (minutes)

Entropy of |x|^2 (nats) of the raw echoes, of the echoes compressed in range, and of the focused image, all three 1536 x 2048. Targets
are the brightest points apart, with main lobes that stand alone (both side-lobe ratios below -8 dB) - ships at anchor and what shines
ashore; the median of their -3 dB widths is set beside theory: along the track the transform of the squared two-way pattern of a
15 m antenna over one PRF (the echoes carry it once, the adjoint once more), in range 0.886 F_s / B of the flat chirp band.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from echoform.assess.metrics import entropy, prediction_error_db
from echoform.assess.point_target import cut_response, point_target_response
from echoform.linalg.spectrum import largest_eigenvalue
from echoform.measure.radarsat import ANTENNA_M, SPEED_M_S, RawEchoes, measurement_from, read_raw
from echoform.measure.splitting import drop_pulses
from echoform.physics.stripmap import StripmapOperator
from echoform.physics.stripmap_omega_k import StripmapOmegaK
from echoform.physics.stripmap_range_doppler import StripmapRangeDoppler
from echoform.recon.classical.sparse import SparseL1
from record import save

DATA = Path(__file__).parents[2] / "shared" / "data" / "sar_raw_radarsat1"
PICTURE = Path(__file__).parents[1] / "docs" / "radarsat.png"
#: pixels looked at for isolated targets, how far apart and how far from the border, and their side lobes at most
CANDIDATES, APART, SIDE_LOBE_DB = 400, 40, -8.0
#: the half-pulse experiment: English Bay, ships
BLOCK = (slice(500, 884), slice(100, 2048))


def azimuth_width_px(prf_hz: float) -> float:
    """-3 dB width of the transform of w^2, w = sinc^2(L f / 2 v) the two-way pattern, over one PRF."""
    doppler = torch.linspace(-0.5, 0.5, 2001, dtype=torch.float64) * prf_hz
    weight = torch.sinc(ANTENNA_M * doppler / (2 * SPEED_M_S)).pow(4)
    row = torch.arange(-96, 97, dtype=torch.float64) / 32
    response = (weight * torch.exp(2j * math.pi * row[:, None] * doppler / prf_hz)).sum(1)
    return cut_response(response.abs(), near=96, oversampling=32).width_px


def targets(image: torch.Tensor) -> list[tuple[int, int, float, float]]:
    """Row, column, width along the track and in range (pixels) of bright points that stand alone."""
    power, found = image.abs().clone(), []
    for _ in range(CANDIDATES):
        row, column = divmod(int(power.argmax()), power.shape[1])
        power[max(row - APART, 0) : row + APART, max(column - APART, 0) : column + APART] = 0
        if not (APART <= row < image.shape[0] - APART and APART <= column < image.shape[1] - APART):
            continue
        part = image[row - APART : row + APART, column - APART : column + APART]
        seen = point_target_response(part, pixel=(APART, APART))
        if max(seen.rows.pslr_db, seen.columns.pslr_db) < SIDE_LOBE_DB:
            found.append((row, column, seen.rows.width_px, seen.columns.width_px))
    return found


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Median time of a piece of work."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def focus(raw: RawEchoes) -> tuple[dict[str, object], torch.Tensor]:
    """Figures of one scene and its omega-K image."""
    m = measurement_from(raw)
    image = m.operator.adjoint(m.y)
    other = measurement_from(raw, form=StripmapRangeDoppler)
    fast = other.operator.adjoint(other.y)
    found = targets(image[0, 0])
    figures: dict[str, object] = {
        "doppler_centroid_hz": raw.doppler_centroid_hz,
        "entropy_raw": float(entropy(m.y)),
        "entropy_range_compressed": float(entropy(raw.compressed()[None, None])),
        "entropy_omega_k": float(entropy(image)),
        "entropy_range_doppler": float(entropy(fast)),
        "range_doppler_against_omega_k_db": float(20 * torch.log10((fast - image).norm() / image.norm())),
        "targets": len(found),
        "width_along_px": statistics.median(t[2] for t in found),
        "width_range_px": statistics.median(t[3] for t in found),
        "sharpest_target": min(found, key=lambda t: t[2] * t[3]),
    }
    return figures, image[0, 0]


def parameters_matter(raw: RawEchoes) -> dict[str, float]:
    """Entropy when one thing the files do not hold is changed."""

    def of(changed: RawEchoes) -> float:
        m = measurement_from(changed)
        return float(entropy(m.operator.adjoint(m.y)))

    return {
        "as read": of(raw),
        "ambiguity one PRF up": of(replace(raw, doppler_centroid_hz=raw.doppler_centroid_hz + raw.prf_hz)),
        "ambiguity one PRF down": of(replace(raw, doppler_centroid_hz=raw.doppler_centroid_hz - raw.prf_hz)),
        "pulse centred on its delay": of(replace(raw, first_range_m=raw.first_range_m + raw.chirp_s * 299792458.0 / 4)),
        "rising chirp": of(replace(raw, chirp_rate_hz_s=-raw.chirp_rate_hz_s)),
    }


def times(raw: RawEchoes) -> dict[str, dict[str, float]]:
    """Seconds of forward, adjoint and normal of the whole scene, and of the range-compressed operator with its fast normal."""
    found = {}
    for form in (StripmapOmegaK, StripmapRangeDoppler):
        m = measurement_from(raw, form=form)
        image = m.operator.adjoint(m.y)
        found[f"{form.__name__}, raw echoes"] = {
            "forward": seconds(lambda m=m, image=image: m.operator(image)),
            "adjoint": seconds(lambda m=m: m.operator.adjoint(m.y)),
            "normal": seconds(lambda m=m, image=image: m.operator.normal(image)),
        }
    shape = (raw.samples.shape[0], raw.samples.shape[1])
    periodic = StripmapOmegaK(
        raw.collection(), shape, range_spacing_m=raw.cell_m, frequencies=shape[1], azimuth_length=shape[0]
    )
    image = torch.randn(1, 1, *shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    samples = periodic(image)
    found["StripmapOmegaK, compressed, periodic"] = {
        "forward": seconds(lambda: periodic(image)),
        "adjoint": seconds(lambda: periodic.adjoint(samples)),
        "normal": seconds(lambda: periodic.normal(image)),
    }
    return found


def sparse(raw: RawEchoes) -> dict[str, object]:
    """l1 and the matched filter from half of the pulses of a block: prediction error on the other half, and the time."""
    m = measurement_from(raw.block(*BLOCK), form=StripmapOmegaK)
    kept, held_out = drop_pulses(m, 0.5, generator=torch.Generator().manual_seed(0))
    top = largest_eigenvalue(kept.operator.normal, kept.operator.probe(), ndim=3, tolerance=1e-2)
    back = kept.operator.adjoint(kept.y)
    scaled = back * (back.abs().square().sum() / kept.operator(back).abs().square().sum())
    began, found = time.perf_counter(), {}
    found["matched filter, best scale"] = float(prediction_error_db(scaled, held_out.operator, held_out.y))
    found["largest eigenvalue"] = float(top)
    for share in (0.1, 0.03):
        began = time.perf_counter()
        result = SparseL1(share * float(back.abs().amax()), iterations=40, tolerance=1e-3)(kept)
        found[f"l1, weight {share:g} of max |A^H y|"] = {
            "prediction_error_db": float(prediction_error_db(result.mean, held_out.operator, held_out.y)),
            "residual": result.facts["residual"],
            "iterations": result.facts["iterations"],
            "nonzero_share": float((result.mean != 0).double().mean()),
            "seconds": time.perf_counter() - began,
        }
    return found


def picture(images: dict[str, torch.Tensor]) -> None:
    """The four scenes, four pixels averaged in power, each on a scale from its median to 30 dB above."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(10.4, 8.0), layout="constrained")
    for ax, (name, image) in zip(axes.flat, images.items(), strict=True):
        power = torch.nn.functional.avg_pool2d(image.abs().square()[None, None], 4)[0, 0]
        level = 10 * torch.log10(power / power.median())
        extent = (0.0, image.shape[1] * 4.638e-3, 0.0, image.shape[0] * 5.618e-3)
        ax.imshow(level, origin="lower", cmap="gray", vmin=-8, vmax=16, extent=extent, aspect="auto")
        ax.set_title(name, fontsize=10)
        ax.set_xlabel("slant range, km", fontsize=8)
        ax.set_ylabel("along the track, km", fontsize=8)
        ax.tick_params(labelsize=8)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=100)
    plt.close(figure)


def main() -> None:
    console = Console(width=170)
    files = sorted(DATA.glob("*data1.mat"))
    if sys.argv[1:] == ["sparse"]:
        result = sparse(read_raw(files[-1]))
        console.print(result)
        print(save("radarsat_sparse", seed=0, results=result))
        return
    table = Table("scene", "entropy raw", "range only", "omega-K", "range-Doppler", "RD - wK, dB", "targets", "width along, range, px")
    results: dict[str, object] = {}
    images = {}
    for file in files:
        figures, image = focus(read_raw(file))
        name = file.stem.removesuffix("_CDdata1").replace("_", " ")
        results[name], images[name] = figures, image
        columns = ("entropy_raw", "entropy_range_compressed", "entropy_omega_k", "entropy_range_doppler")
        table.add_row(
            name,
            *(f"{figures[c]:.2f}" for c in columns),
            f"{figures['range_doppler_against_omega_k_db']:.1f}",
            str(figures["targets"]),
            f"{figures['width_along_px']:.3f}, {figures['width_range_px']:.3f}",
        )
    raw = read_raw(files[-1])
    theory = {"width_along_px": azimuth_width_px(raw.prf_hz)}
    theory["width_range_px"] = 0.8859 * raw.sample_rate_hz / abs(raw.chirp_rate_hz_s * raw.chirp_s)
    table.add_row("theory", "", "", "", "", "", "", f"{theory['width_along_px']:.3f}, {theory['width_range_px']:.3f}")
    console.print(table)
    results |= {"theory": theory, "parameters": parameters_matter(raw), "seconds": times(raw)}
    console.print(results["parameters"], results["seconds"])
    picture(images)
    print(save("radarsat", seed=0, results=results))


if __name__ == "__main__":
    with torch.no_grad():
        main()
