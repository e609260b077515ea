"""Real data: the four RADARSAT-1 raw scenes, focused by the adjoint of the raw stripmap operators.

    python benchmarks/radarsat.py            # focus, widths, times, docs/radarsat.png
    python benchmarks/radarsat.py sparse     # l1 from half of the pulses of a block, judged on the others (minutes)

Entropy of |x|^2 (nats) of the raw echoes, of the echoes compressed in range, and of the focused image, all three 1536 x 2048.
Widths are of the six brightest ships at anchor in English Bay (scene 5), on each axis of those whose cut stands alone there
(side lobes below -10 dB). Beside them theory: along the track the transform of the squared two-way pattern of a 15 m antenna
over one PRF (the echoes carry it once, the adjoint once more); in range 0.886 F_s / B of the flat chirp band, and the same of
the band as it was received, the root of the mean echo spectrum above the noise (its level tilts by some 8 dB).
"""

from __future__ import annotations

import io
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
from echoform.physics.stripmap_omega_k import StripmapOmegaK
from echoform.physics.stripmap_range_doppler import StripmapRangeDoppler
from echoform.recon.classical.sparse import SparseL1
from record import save

DATA = Path(__file__).parents[2] / "shared" / "data" / "sar_raw_radarsat1"
PICTURE = Path(__file__).parents[1] / "docs" / "radarsat.png"
#: the bay in scene 5, rows and columns; how many ships, how far apart, and their side lobes at most
BAY, SHIPS, APART, SIDE_LOBE_DB = (slice(560, 1500), slice(450, 1350)), 6, 40, -10.0
#: the half-pulse experiment: English Bay, ships
BLOCK = (slice(500, 884), slice(100, 2048))


def azimuth_width_px(prf_hz: float) -> float:
    """-3 dB width of the transform of w^2, w = sinc^2(L f / 2 v) the two-way pattern, over one PRF."""
    doppler = torch.linspace(-0.5, 0.5, 2001, dtype=torch.float64) * prf_hz
    weight = torch.sinc(ANTENNA_M * doppler / (2 * SPEED_M_S)).pow(4)
    row = torch.arange(-96, 97, dtype=torch.float64) / 32
    response = (weight * torch.exp(2j * math.pi * row[:, None] * doppler / prf_hz)).sum(1)
    return cut_response(response.abs(), near=96, oversampling=32).width_px


def received_width_px(raw: RawEchoes) -> float:
    """-3 dB width in range of a target whose echo has the scene's own mean spectrum, after the matched filter."""
    count = raw.samples.shape[1]
    power = torch.fft.fft(raw.samples, norm="ortho").abs().double().square().mean(0)
    weight = (power - raw.sigma**2).clamp_min(0).sqrt() * torch.fft.fft(raw.pulse[0], n=count).abs()
    cell = torch.arange(-96, 97, dtype=torch.float64) / 32
    frequency = torch.fft.fftfreq(count, dtype=torch.float64)
    response = (weight * torch.exp(2j * math.pi * cell[:, None] * frequency)).sum(1)
    return cut_response(response.abs(), near=96, oversampling=32).width_px


def ships(image: torch.Tensor) -> list[dict[str, float]]:
    """Position, widths (pixels) and side lobes (dB) of the brightest ships in the bay."""
    power, found = image[BAY].abs().clone(), []
    for _ in range(SHIPS):
        row, column = divmod(int(power.argmax()), power.shape[1])
        power[max(row - APART, 0) : row + APART, max(column - APART, 0) : column + APART] = 0
        row, column = row + BAY[0].start, column + BAY[1].start
        part = image[row - APART : row + APART, column - APART : column + APART]
        seen = point_target_response(part, pixel=(APART, APART))
        found.append(
            {
                "row": row,
                "column": column,
                "width_along_px": seen.rows.width_px,
                "side_lobe_along_db": seen.rows.pslr_db,
                "width_range_px": seen.columns.width_px,
                "side_lobe_range_db": seen.columns.pslr_db,
            }
        )
    return found


def median_width(found: list[dict[str, float]], axis: str) -> float:
    """Median width of the ships whose cut along one axis stands alone."""
    return statistics.median(s[f"width_{axis}_px"] for s in found if s[f"side_lobe_{axis}_db"] < SIDE_LOBE_DB)


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
    figures: dict[str, object] = {
        "doppler_centroid_hz": raw.doppler_centroid_hz,
        "entropy_raw": float(entropy(m.y)),
        "entropy_range_compressed": float(entropy(raw.compressed()[None, None])),
        "entropy_omega_k": float(entropy(image)),
        "entropy_range_doppler": float(entropy(fast)),
        "range_doppler_against_omega_k_db": float(20 * torch.log10((fast - image).norm() / image.norm())),
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
    top = largest_eigenvalue(kept.operator.normal, kept.operator.probe(), ndim=3, tolerance=1e-2).below
    back = kept.operator.adjoint(kept.y)
    scaled = back * (back.abs().square().sum() / kept.operator(back).abs().square().sum())
    found: dict[str, object] = {}
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
    """The four scenes, four pixels averaged in power, each from 8 dB below its median to 16 dB above."""
    import matplotlib.pyplot as plt
    from PIL import Image

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
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100)
    Image.open(drawn).convert("L").quantize(20).save(PICTURE, optimize=True)
    plt.close(figure)


def main() -> None:
    """Carry out the command in the module's text."""
    console = Console(width=150)
    files = sorted(DATA.glob("*data1.mat"))
    if sys.argv[1:] == ["sparse"]:
        result = sparse(read_raw(files[-1]))
        console.print(result)
        print(save("radarsat_sparse", seed=0, results=result))
        return
    table = Table("scene", "entropy raw", "range only", "omega-K", "range-Doppler", "difference, dB")
    results: dict[str, object] = {}
    images: dict[str, torch.Tensor] = {}
    for file in files:
        figures, image = focus(read_raw(file))
        name = file.stem.removesuffix("_CDdata1").replace("_", " ")
        results[name], images[name] = figures, image
        columns = ("entropy_raw", "entropy_range_compressed", "entropy_omega_k", "entropy_range_doppler")
        difference = f"{figures['range_doppler_against_omega_k_db']:.1f}"
        table.add_row(name, *(f"{figures[c]:.2f}" for c in columns), difference)
    console.print(table)
    picture(images)
    raw = read_raw(files[-1])
    found = ships(list(images.values())[-1])
    widths = {
        "along the track": {"ships": median_width(found, "along"), "theory": azimuth_width_px(raw.prf_hz)},
        "range": {
            "ships": median_width(found, "range"),
            "theory, flat band": 0.8859 * raw.sample_rate_hz / abs(raw.chirp_rate_hz_s * raw.chirp_s),
            "theory, received band": received_width_px(raw),
        },
    }
    console.print(found, widths)
    results |= {"ships": found, "widths_px": widths, "parameters": parameters_matter(raw), "seconds": times(raw)}
    console.print(results["parameters"], results["seconds"])
    print(save("radarsat", seed=0, results=results))


if __name__ == "__main__":
    with torch.no_grad():
        main()
