"""A ray-traced room (sionna-rt) imaged by the FMCW MIMO operator, its ghost targets beside mirror images; a set for training.

    python benchmarks/sionna_multipath.py [--set N FILE]

A 60 GHz radar of 3 x 8 antennas and 2 GHz bandwidth in a room of concrete with a metal panel to its right; one target of 1 m^2.
Paths go over at most one surface on each leg; what walls alone send back is left out, as practice subtracts it.
Figures: traced against closed-form path lengths and radar equation (direct path), and where peaks stand in the picture
(Taylor weights) against predictions:

    target         its place
    mirror image   both legs over the panel: the target's image in the panel
    one leg        range (d + d') / 2. Receivers see sin theta_r, transmitters sin theta_t: the peak stands at the sine nearest to
                   theta_r that transmitters R lambda / 2 apart confuse with theta_t.

Writes docs/multipath.png and benchmarks/results/sionna_multipath.json.

--set   N rooms of random sizes with one to four targets on pixels, as one native file: samples with all paths, without noise
        (sigma is the tracer's error, 1e-3 of the rms); the truth is the direct paths alone, so that ghosts are errors. The
        operator is the near-range one: the far field starts behind the nearest pixels. train/problems/recorded.py reads it.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from echoform.measure.measurement import Measurement, Metadata
from echoform.measure.native import save as save_measurement
from echoform.physics.kronecker import KroneckerOperator
from echoform.physics.near_range_array import NearRangeArray, near_range_array
from echoform.physics.noise import GaussianNoise
from echoform.physics.range_angle_doppler import mimo_radar
from echoform.recon.classical.window import Taylor
from echoform.scene.array import filled_array, polar_positions_m
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.random_source import RandomSource
from echoform.scene.ray_traced_room import TracedPaths, Wall, WallMaterial, trace
from echoform.scene.waveform import FmcwWaveform
from record import save

SEED = 1
CONSOLE = Console(width=130)
PICTURE = Path(__file__).parents[1] / "docs" / "multipath.png"
CARRIER_HZ, STEP_HZ, SAMPLES = 60e9, 2e9 / 128, 128
WAVELENGTH_M = SPEED_OF_LIGHT_M_S / CARRIER_HZ
TRANSMITTERS, RECEIVERS = 3, 8
ARRAY = filled_array(TRANSMITTERS, RECEIVERS, WAVELENGTH_M / 2)
PERIOD_S = torch.tensor([1e-7], dtype=torch.float64)
WAVEFORM = FmcwWaveform(
    carrier_hz=torch.tensor([CARRIER_HZ], dtype=torch.float64),
    slope_hz_per_s=STEP_HZ / PERIOD_S,
    sample_period_s=PERIOD_S,
    samples=SAMPLES,
    chirp_period_s=2 * SAMPLES * PERIOD_S,
    transmitter_slots=(0,) * TRANSMITTERS,
)
CELL_M = SPEED_OF_LIGHT_M_S / (2 * SAMPLES * STEP_HZ)
#: left, right, back, front, floor, ceiling of the room and x of the panel, metres from the radar
ROOM = (-2.4, 2.8, -0.4, 6.5, -1.2, 1.4)
PANEL = (2.0, 1.0, 4.5)
TARGET = (0.6, 3.1, 0.0)
#: shape of the training set's images: angles (uniform in their sine) and ranges
SHAPE, FIRST_RANGE_M, LARGEST_SINE = (32, 64), 1.0, 0.85


def rectangle(axis: int, at: float, room: tuple[float, ...], material: WallMaterial) -> Wall:
    """A face of a box: axis 0, 1 or 2 at a coordinate, across the other two."""
    (a, b), corners = (n for n in range(3) if n != axis), []
    for i, j in ((0, 0), (1, 0), (1, 1), (0, 1)):
        corner = [0.0, 0.0, 0.0]
        corner[axis], corner[a], corner[b] = at, room[2 * a + i], room[2 * b + j]
        corners.append((corner[0], corner[1], corner[2]))
    return Wall(tuple(corners), material)


def furnished(room: tuple[float, ...], panel: tuple[float, float, float]) -> tuple[Wall, ...]:
    """Six faces of concrete, and a metal panel at x from y to y."""
    faces = tuple(rectangle(n // 2, room[n], room, WallMaterial.CONCRETE) for n in range(6))
    part = (*room[:2], *panel[1:], *room[4:])
    return (*faces, rectangle(0, panel[0], part, WallMaterial.METAL))


def direct_amplitude(sigma_m2: float, range_m: float) -> float:
    return math.sqrt(WAVELENGTH_M**2 * sigma_m2 / (4 * math.pi) ** 3) / range_m**2


# --- one room --------------------------------------------------------------------------------------------------------------


def seen_from(place: tuple[float, float, float]) -> tuple[float, float]:
    """Range and sine of the angle at the array's centre; the height counts in the range."""
    centre = ARRAY.centre_m()[0].tolist()
    range_m = math.dist(place, centre)
    return range_m, (place[0] - centre[0]) / range_m


def predictions() -> dict[str, tuple[float, float]]:
    """Range and sine of target and ghosts of the panel."""
    near, far = seen_from(TARGET), seen_from((2 * PANEL[0] - TARGET[0], *TARGET[1:]))
    repeat, middle = 2 / RECEIVERS, (near[0] + far[0]) / 2

    def mixed(transmit: float, receive: float) -> tuple[float, float]:
        return middle, transmit + repeat * round((receive - transmit) / repeat)

    return {
        "target": near,
        "mirror image": far,
        "one leg, sent over the panel": mixed(far[1], near[1]),
        "one leg, received over the panel": mixed(near[1], far[1]),
    }


def mirror_lengths() -> Tensor:
    """Half of all path lengths from the first antennas, over no or one surface on each leg, sorted."""
    places = [TARGET]
    for n, at in [*enumerate(ROOM), (0, PANEL[0])]:
        place = list(TARGET)
        place[n // 2] = 2 * at - place[n // 2]
        places.append((place[0], place[1], place[2]))
    legs = torch.tensor([math.dist(p, (0.0, 0.0, 0.0)) for p in places], dtype=torch.float64)
    return ((legs[:, None] + legs) / 2).flatten().sort().values


def picture_of(samples: Tensor, operator: KroneckerOperator) -> Tensor:
    window = Taylor()
    weight = window.taps(ARRAY.elements)[:, None] * window.taps(SAMPLES)
    return operator.adjoint((samples * weight)[None])[0, 0].abs() / weight.sum()


def one_room() -> None:
    """Trace one room and image it, with and without walls."""
    walls, place = furnished(ROOM, PANEL), torch.tensor([TARGET])
    start = time.perf_counter()
    paths = trace(place, torch.ones(1), ARRAY, walls, carrier_hz=CARRIER_HZ)
    first, start = time.perf_counter() - start, time.perf_counter()
    paths = trace(place, torch.ones(1), ARRAY, walls, carrier_hz=CARRIER_HZ)
    again = time.perf_counter() - start
    ranges = torch.arange(1.0, 8.5, 0.01, dtype=torch.float64)
    sines = torch.arange(-0.95, 0.9501, 0.005, dtype=torch.float64)
    axes = {"ranges_m": ranges[None], "angles_rad": torch.asin(sines)[None]}
    operator = mimo_radar(WAVEFORM, ARRAY, **axes, dtype=torch.complex128)
    images = {
        "free space": picture_of(paths.up_to(0).samples(WAVEFORM), operator),
        "room": picture_of(paths.samples(WAVEFORM), operator),
    }
    results = {
        "trace_seconds": {"first": first, "again": again},
        "paths_a_pair": int((paths.amplitude[0] != 0).sum()),
        "direct_amplitude_error": float(paths.up_to(0).amplitude[0].abs().sum())
        / direct_amplitude(1.0, math.dist(TARGET, (0, 0, 0)))
        - 1,
        "longest_distance_to_a_mirror_path_m": furthest_from_prediction(paths),
        "range_cell_m": CELL_M,
        "sine_cell": 2 / ARRAY.elements,
        "peaks": peaks(images["room"], ranges, sines),
    }
    CONSOLE.print(results)
    draw(images, ranges, sines)
    save("sionna_multipath", seed=SEED, results=results)


def furthest_from_prediction(paths: TracedPaths) -> float:
    """Largest distance of a traced path, between the first antennas, from the nearest mirror-image path; metres of range."""
    there = paths.amplitude[0] != 0
    half = paths.delay_s[0, there] * SPEED_OF_LIGHT_M_S / 2
    return float((half[:, None] - mirror_lengths()).abs().amin(1).max())


def peaks(image: Tensor, ranges: Tensor, sines: Tensor) -> dict[str, dict[str, float]]:
    """The highest point within one cell (two in sine) of each prediction."""
    found, top = {}, float(image.max())
    for name, (range_m, sine) in predictions().items():
        near = ((ranges - range_m).abs() <= CELL_M) & ((sines - sine).abs() <= 4 / ARRAY.elements)[:, None]
        row, column = divmod(int((image * near).argmax()), len(ranges))
        found[name] = {
            "range_m": range_m,
            "sine": sine,
            "range_error_m": float(ranges[column]) - range_m,
            "sine_error": float(sines[row]) - sine,
            "level_db": 20 * math.log10(float(image[row, column]) / top),
        }
    return found


def draw(images: dict[str, Tensor], ranges: Tensor, sines: Tensor) -> None:
    """Draw the images over range and angle."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    cosines = (1 - sines.square()).sqrt()
    x, y = (ranges * s[:, None] for s in (sines, cosines))
    figure, axes = plt.subplots(1, 2, figsize=(12.5, 6.2), constrained_layout=True)
    shown = None
    for axis, (name, image) in zip(axes, images.items(), strict=True):
        level = 20 * torch.log10(image / image.max())
        shown = axis.pcolormesh(x, y, level, cmap="magma", vmin=-45, vmax=0, shading="gouraud", rasterized=True)
        left, right, back, front = ROOM[:4]
        axis.plot([left, right, right, left, left], [back, back, front, front, back], color="white", linewidth=0.8)
        axis.plot([PANEL[0]] * 2, PANEL[1:], color="cyan", linewidth=2.5, label="metal panel")
        for (label, (r, s)), marker in zip(predictions().items(), "os^v", strict=True):
            axis.plot(
                r * s, r * math.sqrt(1 - s * s), marker, mfc="none", mec="lime", ms=13, label=f"predicted: {label}"
            )
        axis.set(title=name, xlabel="x (m)", ylabel="y (m)", xlim=(-4.5, 4.5), ylim=(-0.6, 8), aspect="equal")
    axes[1].legend(loc="lower left", fontsize=8)
    assert shown is not None
    figure.colorbar(shown, ax=axes, label="dB below the peak")
    figure.savefig(PICTURE, dpi=80)
    CONSOLE.print(PICTURE, f"{PICTURE.stat().st_size / 1000:.0f} kB")


# --- a set -----------------------------------------------------------------------------------------------------------------


def write_set(count: int, path: Path) -> None:
    """Write a set of traced rooms to one file."""
    source = RandomSource(torch.Generator().manual_seed(SEED))
    ranges = FIRST_RANGE_M + CELL_M * torch.arange(SHAPE[1], dtype=torch.float64)
    sines = torch.linspace(-LARGEST_SINE, LARGEST_SINE, SHAPE[0], dtype=torch.float64)
    places = polar_positions_m(ARRAY, ranges_m=ranges[None], angles_rad=torch.asin(sines)[None])
    operator = near_range_array(WAVEFORM, ARRAY, positions_m=places)
    samples, truths, misfits, start = [], [], [], time.perf_counter()
    for _ in range(count):
        y, truth, misfit = problem(source, operator, ranges, sines)
        samples.append(y)
        truths.append(truth)
        misfits.append(misfit)
    clean, truth = torch.stack(samples), torch.stack(truths)
    rms = clean.abs().square().flatten(1).mean(1).sqrt()
    noise = GaussianNoise(1e-3 * rms)
    metadata = Metadata(
        title="ray-traced rooms",
        source="benchmarks/sionna_multipath.py",
        truth=truth,
        notes={"truth": "direct paths alone: ghosts are errors", "noise": "none; sigma is 1e-3 of the rms"},
    )
    save_measurement(Measurement(clean, operator, noise, metadata), path)
    direct = torch.tensor(misfits)
    CONSOLE.print(
        f"{count} rooms, {(time.perf_counter() - start) / count:.2f} s each; {path} {path.stat().st_size / 1e6:.2f} MB\n"
        f"|A x - y| / |y|, direct paths alone: median {float(direct[:, 0].median()):.3f}, worst {float(direct[:, 0].max()):.3f}; "
        f"all paths: median {float(direct[:, 1].median()):.2f}"
    )


def problem(
    source: RandomSource, operator: NearRangeArray, ranges: Tensor, sines: Tensor
) -> tuple[Tensor, Tensor, tuple[float, float]]:
    """Samples of one room, its truth, and how far the truth is from direct and from all samples."""
    left, right, front = (float(source.uniform((), *b)) for b in ((1.5, 4.0), (1.5, 4.0), (4.0, 9.0)))
    room = (-left, right, -0.4, front, -1.2, 1.4)
    panel = (right - float(source.uniform((), 0.1, 0.5)), *sorted(source.uniform((2,), 0.3, front - 0.2).tolist()))
    centre, truth = ARRAY.centre_m()[0], torch.zeros(1, *SHAPE, dtype=torch.complex64)
    wanted = int(source.integers((), 1, 5))
    places, sections = [], []
    while len(places) < wanted:
        row, column = (int(source.integers((), 0, n)) for n in SHAPE)
        range_m, sine = float(ranges[column]), float(sines[row])
        x, y = float(centre[0]) + range_m * sine, range_m * math.sqrt(1 - sine**2)
        if -left + 0.2 < x < panel[0] - 0.2 and y < front - 0.2 and truth[0, row, column] == 0:
            sigma = float(source.log_uniform((), 0.05, 5.0))
            phase = 4 * math.pi * math.fmod(range_m, WAVELENGTH_M / 2) / WAVELENGTH_M
            truth[0, row, column] = torch.polar(torch.tensor(direct_amplitude(sigma, range_m)), torch.tensor(phase))
            places.append((x, y, 0.0))
            sections.append(sigma)
    paths = trace(torch.tensor(places), torch.tensor(sections), ARRAY, furnished(room, panel), carrier_hz=CARRIER_HZ)
    image = operator(truth[None])[0]
    every, direct = (p.samples(WAVEFORM).to(torch.complex64) for p in (paths, paths.up_to(0)))
    misfit = tuple(float((image - y).norm() / y.norm()) for y in (direct, every))
    return every, truth, (misfit[0], misfit[1])


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", nargs=2, metavar=("N", "FILE"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.set:
        write_set(int(arguments.set[0]), Path(arguments.set[1]))
    else:
        one_room()


if __name__ == "__main__":
    main()
