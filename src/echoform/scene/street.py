"""What a radar at the roadside or on a car sees: vehicles, people, poles and rails over a weak floor.

The frame is the radar's own (:mod:`echoform.scene.array`): x to the right, y ahead. A vehicle is the edges of a box that face the
radar, with flashes from its corners; its centres move with it but for those of the wheels, whose points move at w (1 + cos phi),
from rest at the ground to 2 w at the top. People swing their limbs as in :mod:`echoform.scene.people`. Rails and walls are lines
of centres.

Source: Chen, The Micro-Doppler Effect in Radar (2019), chapters 2 and 4 (wheels, limbs).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.scene.outline import perimeter, to_ground
from echoform.scene.people import BODY, CubeAxes, limbs, render_cube
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Centres, ObjectKind, Objects, Scene, both

#: centres of a vehicle or person, how many of a vehicle's are on its wheels, and greatest number of rails, poles and the like
OUTLINE, WHEELS, STREET = 16, 4, 48
#: amplitude of a wheel's point over the others', and of people over vehicles, decibels
WHEEL_DB, PERSON_DB = -12.0, -20.0
#: velocities of vehicles, to either side, metres per second
SPEED_M_S = 25.0


def street(source: RandomSource, axes: CubeAxes, *, most: int = 6) -> Scene:
    """Return one to ``most`` vehicles and people on a street; centres carry position and radial velocity.

    Args:
        source: of randomness.
        axes: of the cube; a single velocity shows all alike.
        most: N, greatest number of vehicles and people.
    """
    batch = axes.ranges_m.shape[0]
    objects = _layout(source, axes, most)
    centres = both(_movers(source, objects), _surroundings(source, axes))
    floor = source.decibels((batch, 1, 1, 1), -75, -45)
    pixels = (batch, axes.velocities_m_s.shape[1], axes.angles_rad.shape[1], axes.ranges_m.shape[1])
    return Scene(render_cube(centres, axes) + floor * source.white(pixels), centres, objects)


def _polar(distance_m: Tensor, angle_rad: Tensor) -> Tensor:
    return distance_m[..., None] * torch.stack([torch.sin(angle_rad), torch.cos(angle_rad)], -1)


def _layout(source: RandomSource, axes: CubeAxes, most: int) -> Objects:
    shape = (axes.ranges_m.shape[0], most)
    far = axes.ranges_m[:, -1:]
    position = _polar(
        far * source.uniform(shape, 0.08, 0.95), axes.angles_rad[:, -1:] * source.uniform(shape, -0.9, 0.9)
    )
    person = source.chance(shape, 0.3) | (far < 20)
    along = torch.where(source.chance(shape, 0.75), 0.0, math.pi / 2) + 0.05 * source.normal(shape)
    heading = math.pi / 2 + torch.where(source.chance(shape, 0.5), along, along + math.pi)
    speed = torch.where(source.chance(shape, 0.4), 0.0, source.uniform(shape, 0.05, 1.0))
    speed = speed * torch.where(person, 2.0, SPEED_M_S)
    length = torch.where(person, 0.3, source.uniform(shape, 3.5, 12.0))
    width = torch.where(person, 0.5, source.uniform(shape, 1.6, 2.5))
    kind = torch.where(person, ObjectKind.PERSON.value, ObjectKind.CAR.value)
    velocity = speed[..., None] * torch.stack([torch.cos(heading), torch.sin(heading)], -1)
    size = torch.stack([length, width, torch.full_like(length, 1.7)], -1)
    return Objects(kind, source.present(*shape), position, heading, size, velocity)


def _movers(source: RandomSource, objects: Objects) -> Centres:
    """OUTLINE centres of every vehicle and person."""
    shape = (*objects.present.shape, OUTLINE)
    cars, walkers = _outlines(source, objects), limbs(source, objects)
    person = (objects.kind == ObjectKind.PERSON.value)[..., None]

    def chosen(car: Tensor, walker: Tensor) -> Tensor:
        walker = walker.unflatten(1, (shape[1], len(BODY)))
        spare = walker.new_zeros((*shape[:2], OUTLINE - len(BODY), *walker.shape[3:]))
        of_person = person.reshape(*person.shape, *[1] * (walker.ndim - 3))
        return torch.where(of_person, torch.cat([walker, spare], 2), car.unflatten(1, shape[1:])).flatten(1, 2)

    return Centres(
        chosen(cars.position_m, walkers.position_m),
        chosen(cars.amplitude, 10 ** (PERSON_DB / 20) * walkers.amplitude),
        cars.owner,
        chosen(cars.velocity_m_s, walkers.velocity_m_s),
    )


def _outlines(source: RandomSource, objects: Objects) -> Centres:
    """Centres on the sides that face the radar, the strongest where a side is seen square on; the first are on wheels."""
    shape = (*objects.present.shape, OUTLINE)
    length, width, _ = objects.size_m[..., None].unbind(-2)
    body, normal = perimeter(source.uniform(shape), length, width)
    place = to_ground(objects.position_m, objects.heading_rad, body)
    outward = to_ground(torch.zeros_like(objects.position_m), objects.heading_rad, normal)
    sight = place / place.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    facing = -(sight * outward).sum(-1)
    square_on = 10 ** (0.5 * (facing.clamp(0, 1) - 0.5))
    level = source.decibels((*shape[:2], 1), -25, 5) * torch.where(facing > 0, square_on, 0.03)
    wheel = torch.arange(OUTLINE, device=source.place) < WHEELS
    level = level * torch.where(wheel, 10 ** (WHEEL_DB / 20), 1.0)
    amplitude = level * source.exponential(shape).sqrt() * objects.present[..., None] * source.phase(shape)
    turning = torch.where(wheel, 1 + torch.cos(source.uniform(shape, 0, 2 * math.pi)), 1.0)
    radial = turning * (objects.velocity_m_s[:, :, None] * sight).sum(-1)
    owner = torch.arange(shape[1], device=source.place)[None, :, None].expand(shape)
    return Centres(place.flatten(1, 2), amplitude.flatten(1), owner.flatten(1), radial.flatten(1))


def _surroundings(source: RandomSource, axes: CubeAxes) -> Centres:
    """Poles anywhere, and a rail or wall along the street on one side."""
    shape = (axes.ranges_m.shape[0], STREET)
    far, wide = axes.ranges_m[:, -1:], axes.angles_rad[:, -1:]
    pole = _polar(far * source.uniform(shape, 0.03, 1.0), wide * source.uniform(shape, -1, 1))
    side = source.uniform((shape[0], 1), -0.5, 0.5) * far
    rail = torch.stack([side.expand(shape), far * source.uniform(shape, 0.05, 1.0)], -1)
    on_rail = source.chance(shape, 0.7) & source.chance((shape[0], 1), 0.6)
    position = torch.where(on_rail[..., None], rail, pole)
    level = torch.where(on_rail, source.decibels((shape[0], 1), -45, -15), source.decibels(shape, -55, -5))
    amplitude = level * source.exponential(shape).sqrt() * source.phase(shape) * source.present(*shape, 0)
    owner = torch.full(shape, -1, device=source.place)
    return Centres(position, amplitude, owner, torch.zeros(shape, device=source.place))
