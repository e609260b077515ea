"""What a radar hears of point targets in a room of flat walls, by ray tracing; needs the extra ``sim`` (sionna-rt) and LLVM 19.

    h_q(f) = sum_p a_qp exp(-i 2 pi f tau_qp),       |a| = sqrt(lambda^2 sigma / ((4 pi)^3 R^4)) for a direct path of 2 R

A path goes from a transmitter to a target and from there to a receiver; each leg may be reflected by walls on its way. Antennas
are isotropic and polarised along z. sionna-rt traces in float32: a delay is good to about 1e-7 of itself (2 mrad at 77 GHz and
5 m). Walls are thin slabs of a named material; what the walls alone send back is no part of this.

Source: Hoydis et al. (2023), Sionna RT, IEEE Globecom Workshops (the ray tracer); Skolnik (2001), equation 1.7.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from echoform.scene.array import MimoArray
from echoform.scene.waveform import RangingWaveform

#: where Debian puts the compiler that drjit works with
LLVM = Path("/usr/lib/x86_64-linux-gnu/libLLVM-19.so")
#: the variable that names it to drjit
LLVM_VARIABLE = "DRJIT_LIBLLVM_PATH"
#: rays sent from each target to find candidate walls
RAYS = 20_000
#: thickness of walls, metres
WALL_M = 0.2
#: sionna-rt's numbers of a reflection by a wall and of the scattering at a target
SPECULAR, SENSING = 1, 16


class RayTracingUnavailableError(ImportError):
    """sionna-rt or its compiler is missing; the message is one line that says how to get it."""


class WallMaterial(Enum):
    """Materials of ITU-R P.2040; values are sionna-rt's names."""

    METAL = "metal"
    CONCRETE = "concrete"
    PLASTERBOARD = "plasterboard"


@dataclass(frozen=True)
class Wall:
    """A flat rectangle.

    Attributes:
        corners_m: its corners (x, y, z) in order, metres.
        material: what it is made of.
    """

    corners_m: tuple[tuple[float, float, float], ...]
    material: WallMaterial


@dataclass(frozen=True)
class TracedPaths:
    """The paths of each pair of antennas, q = i R + j for transmitter i and receiver j.

    Attributes:
        amplitude: a, zero where there is no path, (Q, P), complex128.
        delay_s: tau, (Q, P), seconds, float64.
        reflections: how often walls reflected the path, (Q, P), int64.
    """

    amplitude: Tensor
    delay_s: Tensor
    reflections: Tensor

    def up_to(self, reflections: int) -> TracedPaths:
        """Return the paths with at most that many reflections."""
        kept = self.reflections <= reflections
        return TracedPaths(self.amplitude * kept, self.delay_s, self.reflections)

    def samples(self, waveform: RangingWaveform) -> Tensor:
        """Return one pulse's samples, (1, Q, N), complex128: h for OFDM, its conjugate for FMCW (beat = tx rx*)."""
        frequency = waveform.carrier_hz.double()[:1, None] + waveform.offset_hz()[:1]
        turns = self.delay_s[..., None] * frequency
        phase = 2 * torch.pi * (turns - turns.round())
        channel = (self.amplitude[..., None] * torch.polar(torch.ones_like(phase), -phase)).sum(1)
        return (channel.conj() if waveform.phase_sign > 0 else channel)[None]


def ray_tracer() -> Any:
    """Return the module ``sionna.rt``, its compiler found first.

    Raises:
        RayTracingUnavailableError: the extra or LLVM 19 is missing.
    """
    if LLVM_VARIABLE not in os.environ:
        if not LLVM.exists():
            raise RayTracingUnavailableError(
                f"ray tracing needs LLVM 19, not found at {LLVM}: apt-get install libllvm19, or set {LLVM_VARIABLE}"
            )
        os.environ[LLVM_VARIABLE] = str(LLVM)
    try:
        import sionna.rt as tracer  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise RayTracingUnavailableError(f"ray tracing: {error}: pip install 'echoform[sim]'") from error
    return tracer


def trace(
    position_m: Tensor,
    cross_section_m2: Tensor,
    array: MimoArray,
    walls: tuple[Wall, ...],
    *,
    carrier_hz: float,
    leg_reflections: int = 1,
    seed: int = 1,
) -> TracedPaths:
    """Return the paths over point targets of constant cross section, all antennas placed one by one.

    Args:
        position_m: targets (x, y, z), (K, 3), metres.
        cross_section_m2: sigma, (K,), square metres.
        array: transmitters and receivers, batch 1, metres.
        walls: of the room.
        carrier_hz: where materials and wavelength are taken.
        leg_reflections: most reflections of each of a path's two legs.
        seed: of the rays.

    Raises:
        RayTracingUnavailableError: the extra or LLVM 19 is missing.
        ValueError: no path was found.
    """
    rt = ray_tracer()
    from sionna.rt.rcs import ConstantRCSSensingTarget, RCSSolver  # pyright: ignore[reportMissingImports]

    scene = rt.load_scene()
    scene.frequency = carrier_hz
    scene.tx_array = scene.rx_array = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="V")
    for i, place in enumerate(array.transmitter_m[0].tolist()):
        scene.add(rt.Transmitter(f"t{i}", position=place))
    for j, place in enumerate(array.receiver_m[0].tolist()):
        scene.add(rt.Receiver(f"r{j}", position=place))
    materials = {m: rt.ITURadioMaterial(m.value, m.value, WALL_M) for m in {wall.material for wall in walls}}
    targets = [
        ConstantRCSSensingTarget(f"s{k}", sigma=sigma, position=place, length=0.02, width=0.02, height=0.02)
        for k, (place, sigma) in enumerate(zip(position_m.tolist(), cross_section_m2.tolist(), strict=True))
    ]
    scene.edit(add=[_object(rt, f"w{n}", wall, materials[wall.material]) for n, wall in enumerate(walls)] + targets)
    paths = RCSSolver(deterministic=True)(
        scene,
        max_depth=1 + 2 * leg_reflections,
        samples_per_sp=RAYS,
        synthetic_array=False,
        refraction=False,
        seed=seed,
    )
    return _gathered(paths, leg_reflections)


def _object(rt: Any, name: str, wall: Wall, material: Any) -> Any:
    import mitsuba as mi  # pyright: ignore[reportMissingImports]

    mesh = mi.Mesh(name, vertex_count=4, face_count=2, has_vertex_normals=False, has_vertex_texcoords=False)
    parameters = mi.traverse(mesh)
    parameters["vertex_positions"] = np.asarray(wall.corners_m, dtype=np.float32).ravel()
    parameters["faces"] = np.array([0, 1, 2, 0, 2, 3], dtype=np.uint32)
    parameters.update()
    return rt.SceneObject(mi_mesh=mesh, name=name, radio_material=material)


def _gathered(paths: Any, leg_reflections: int) -> TracedPaths:
    """Turn sionna's [receiver, 1, transmitter, 1, path] into (Q, P), without paths that have a leg reflected too often."""
    real, imaginary = (torch.from_numpy(np.array(part)).double() for part in paths.a)
    if not real.numel():
        raise ValueError("no path was found: do the walls enclose radar and targets?")
    amplitude = torch.complex(real, imaginary)[:, 0, :, 0].transpose(0, 1).flatten(0, 1)
    delay = torch.from_numpy(np.array(paths.tau)).double()[:, 0, :, 0].transpose(0, 1).flatten(0, 1)
    kinds = torch.from_numpy(np.array(paths.interactions).astype(np.int64))[:, :, 0, :, 0].transpose(1, 2).flatten(1, 2)
    there = (kinds == SENSING).cumsum(0) > 0
    out, back = (((kinds == SPECULAR) & leg).sum(0) for leg in (~there, there))
    return TracedPaths(amplitude * ((out <= leg_reflections) & (back <= leg_reflections)), delay, out + back)
