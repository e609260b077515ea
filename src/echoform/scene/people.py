"""People before a MIMO radar, as a cube of velocity, angle and range.

A person is a dozen scattering centres. The body moves at velocity w along its heading; limb l swings about it,

    offset  a_l sin(phase + phase_l),      velocity  w (1 + b_l cos(phase + phase_l)),

and the radar sees the part along the line of sight, positive when receding. Who stands still breathes. The cube holds one frame,
short against a stride, so that every centre has one velocity; velocities beyond the axis fold back, as Doppler does.

Source: Chen, The Micro-Doppler Effect in Radar (2019), chapter 4 (which limbs move how fast).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Centres, ObjectKind, Objects, Scene, both

#: of each centre: place across the body and swing along it, metres; swing of the velocity; phase; level in dB
BODY = (
    (0.0, 0.0, 0.05, 0.0, 0.0),  # chest
    (0.1, 0.0, 0.08, 0.0, -4.0),
    (-0.1, 0.0, 0.08, 0.0, -4.0),
    (0.0, 0.02, 0.05, 0.0, -8.0),  # head
    (0.25, 0.15, 0.45, math.pi, -12.0),  # elbows and hands
    (-0.25, 0.15, 0.45, 0.0, -12.0),
    (0.28, 0.3, 0.9, math.pi, -16.0),
    (-0.28, 0.3, 0.9, 0.0, -16.0),
    (0.1, 0.2, 0.6, 0.0, -9.0),  # knees and feet
    (-0.1, 0.2, 0.6, math.pi, -9.0),
    (0.1, 0.4, 1.3, 0.0, -13.0),
    (-0.1, 0.4, 1.3, math.pi, -13.0),
)


@dataclass(frozen=True)
class CubeAxes:
    """What the cube's pixels stand for; each axis is evenly spaced.

    Attributes:
        velocities_m_s: (B, C), metres per second, positive when receding.
        angles_rad: (B, H), radians, positive to the right.
        ranges_m: (B, W), metres.
    """

    velocities_m_s: Tensor
    angles_rad: Tensor
    ranges_m: Tensor


def draw_cube_axes(source: RandomSource, batch: int, shape: tuple[int, int, int]) -> CubeAxes:
    """Return axes of (C, H, W): velocities to 2 to 6 m/s either way, angles to 40 to 70 degrees, ranges to 5 to 30 m."""
    pulses, angles, ranges = shape
    top, wide = source.uniform((batch, 1), 2, 6), torch.deg2rad(source.uniform((batch, 1), 40, 70))
    c, h, w = (torch.arange(n, device=source.place) for n in shape)
    return CubeAxes(
        (c - pulses // 2) * (2 * top / pulses),
        (h - (angles - 1) / 2) * (2 * wide / angles),
        (w + 1) * (source.log_uniform((batch, 1), 5, 30) / ranges),
    )


def people(source: RandomSource, axes: CubeAxes, *, most: int = 4, furniture: int = 16) -> Scene:
    """Return one to ``most`` people among still things; centres carry range and angle as (x, y), and radial velocity.

    Args:
        source: of randomness.
        axes: of the cube.
        most: N, greatest number of people.
        furniture: greatest number of still scatterers.
    """
    batch = axes.ranges_m.shape[0]
    objects = _layout(source, axes, most)
    centres = both(limbs(source, objects), _furniture(source, axes, furniture))
    floor = source.decibels((batch, 1, 1, 1), -75, -55)
    pixels = (batch, axes.velocities_m_s.shape[1], axes.angles_rad.shape[1], axes.ranges_m.shape[1])
    return Scene(render_cube(centres, axes) + floor * source.white(pixels), centres, objects)


def render_cube(centres: Centres, axes: CubeAxes) -> Tensor:
    """Return the sum of amplitude h(c - c_q) h(i - i_q) h(j - j_q), (B, C, H, W) complex64, h of a Hamming-weighted band.

    Where there is a single velocity, all centres are seen alike whatever theirs is.
    """
    x, y = centres.position_m.unbind(-1)
    angle, distance = torch.atan2(x, y), torch.hypot(x, y)
    pulses = axes.velocities_m_s.shape[1]
    row, column = _index(axes.angles_rad, angle), _index(axes.ranges_m, distance)
    inside = (row > -0.5) & (row < axes.angles_rad.shape[1] - 0.5)
    inside = inside & (column > -0.5) & (column < axes.ranges_m.shape[1] - 0.5)

    def away(at: Tensor, count: int) -> Tensor:
        return torch.arange(count, device=at.device) - at[..., None]

    if pulses > 1:
        velocity = _index(axes.velocities_m_s, centres.velocity_m_s)
        doppler = hamming_response(torch.remainder(away(velocity, pulses) + pulses / 2, pulses) - pulses / 2)
    else:
        doppler = torch.ones_like(centres.velocity_m_s)[..., None]
    rows = hamming_response(away(row, axes.angles_rad.shape[1]))
    columns = hamming_response(away(column, axes.ranges_m.shape[1]))
    left = torch.einsum("bq,bqc,bqh->bchq", centres.amplitude * inside, doppler, rows).flatten(1, 2)
    image = torch.matmul(left, columns.to(left.dtype))
    return image.unflatten(1, (pulses, -1))


def hamming_response(offset: Tensor) -> Tensor:
    """Return sinc(t) + (0.23 / 0.54) (sinc(t - 1) + sinc(t + 1)), one at its peak, at offsets t in pixels."""
    return torch.sinc(offset) + (0.23 / 0.54) * (torch.sinc(offset - 1) + torch.sinc(offset + 1))


def _index(axis: Tensor, value: Tensor) -> Tensor:
    """Position of values (B, Q) on an evenly spaced axis (B, n), in steps."""
    return (value - axis[:, :1]) / (axis[:, 1:2] - axis[:, :1])


def _layout(source: RandomSource, axes: CubeAxes, most: int) -> Objects:
    shape = (axes.ranges_m.shape[0], most)
    near, far = axes.ranges_m[:, :1], axes.ranges_m[:, -1:]
    distance = near + (far - near) * source.uniform(shape, 0.1, 0.95)
    angle = source.uniform(shape, -0.9, 0.9) * axes.angles_rad[:, -1:]
    position = distance[..., None] * torch.stack([torch.sin(angle), torch.cos(angle)], -1)
    heading = source.uniform(shape, 0, 2 * math.pi)
    speed = torch.where(source.chance(shape, 0.3), 0.0, source.uniform(shape, 0.5, 2.0))
    velocity = speed[..., None] * torch.stack([torch.cos(heading), torch.sin(heading)], -1)
    size = torch.stack(
        [0.3 * torch.ones_like(speed), source.uniform(shape, 0.4, 0.6), source.uniform(shape, 1.5, 1.9)], -1
    )
    kind = torch.full(shape, ObjectKind.PERSON.value, device=source.place)
    return Objects(kind, source.present(*shape), position, heading, size, velocity)


def limbs(source: RandomSource, objects: Objects) -> Centres:
    """Return the centres of :data:`BODY` for every object as if it were a person, object after object, (B, N len(BODY))."""
    shape = tuple(objects.present.shape)
    across, swing, quick, lag, level = torch.tensor(BODY, device=source.place).T
    phase = source.uniform((*shape, 1), 0, 2 * math.pi) + lag
    forward = torch.stack([torch.cos(objects.heading_rad), torch.sin(objects.heading_rad)], -1)[:, :, None]
    left = torch.stack([-forward[..., 1], forward[..., 0]], -1)
    speed = objects.velocity_m_s.norm(dim=-1)[..., None]
    walking = (speed > 0).float()
    position = objects.position_m[:, :, None] + across[:, None] * left
    position = position + (walking * swing * torch.sin(phase))[..., None] * forward
    motion = speed * (1 + quick * torch.cos(phase))
    sight = position / position.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    breath = (1 - walking) * 0.01 * source.normal((*shape, len(BODY)))
    radial = motion * (forward * sight).sum(-1) + breath
    strength = (
        source.decibels((*shape, 1), -25, 0) * 10 ** (level / 20) * source.exponential((*shape, len(BODY))).sqrt()
    )
    amplitude = (strength * objects.present[..., None]).flatten(1)
    owner = torch.arange(shape[1], device=source.place)[None, :, None].expand(radial.shape).flatten(1)
    return Centres(position.flatten(1, 2), amplitude * source.phase(tuple(amplitude.shape)), owner, radial.flatten(1))


def _furniture(source: RandomSource, axes: CubeAxes, most: int) -> Centres:
    shape = (axes.ranges_m.shape[0], most)
    distance = axes.ranges_m[:, :1] + (axes.ranges_m[:, -1:] - axes.ranges_m[:, :1]) * source.uniform(shape)
    angle = source.uniform(shape, -1, 1) * axes.angles_rad[:, -1:]
    wall = source.uniform((shape[0], 1), 0.4, 1.0) * axes.ranges_m[:, -1:] / torch.cos(angle)
    straight = (torch.arange(most, device=source.place) % 2 == 0) & source.chance((shape[0], 1), 0.6)
    distance = torch.where(straight, wall, distance)
    position = distance[..., None] * torch.stack([torch.sin(angle), torch.cos(angle)], -1)
    amplitude = source.decibels(shape, -50, 5) * source.phase(shape) * source.present(*shape, 0)
    owner = torch.full(shape, -1, device=source.place)
    return Centres(position, amplitude, owner, torch.zeros_like(distance))
