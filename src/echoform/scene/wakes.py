"""Wakes of ships under way, as factors of the sea's intensity before speckle.

Seen from a ship at speed U, its waves stand still. Behind it, d astern and v to the side,

    transverse waves    crests across the track, length  L = 2 pi U^2 / g
    cusps               along |v| = d tan 19.47 degrees, where crests of length 2 L / 3 meet at 54.7 degrees to the track
    turbulent wake      a strip of width w (1 + (d / l)^(1/2)) / 2 about the track, w and l the ship's beam and length, mostly
                        darker than the sea and at times with a bright edge

Waves die down over some ship lengths, the turbulent strip over many more. A ship that moves in range appears displaced along
the track of the radar by (R / V) v_r, and its wake does not: it stands apart from the ship, or outside the picture.

Source: Lyden et al. (1988), J. Geophys. Res. 93(C10) (what radars see of wakes); Ulaby and Long (2014), section 16-7.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.scene.frame import Frame, Illumination
from echoform.scene.outline import to_body
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Objects

#: standard gravity, metres per second squared
GRAVITY_M_S2 = 9.80665
#: angles from the track: of the cusps, and of the way that their waves run, radians
CUSP, CREST = math.asin(1 / 3), math.atan(1 / math.sqrt(2))
#: range over velocity of the radar, seconds: from aircraft nearby to satellites
RANGE_OVER_VELOCITY_S = (5.0, 120.0)
#: ship lengths over which waves and strip fall to 1 / e
WAVES, STRIP = (1.0, 4.0), (3.0, 15.0)
#: share of ships whose wake can be seen at all
VISIBLE = 0.7


def wakes(source: RandomSource, frame: Frame, illumination: Illumination, ships: Objects) -> tuple[Tensor, Tensor]:
    """Return the factor of the sea's intensity, (B, H, W), and the pixels that it changes by more than a fifth, bool.

    Args:
        source: of randomness.
        frame: pixels.
        illumination: where the radar is.
        ships: with their velocities, where they appear.
    """
    shape = tuple(ships.present.shape)
    u, v = to_body(frame, ships.position_m - displacement_m(source, illumination, ships), ships.heading_rad)
    length, beam = (ships.size_m[..., i, None, None] for i in (0, 1))
    speed = ships.velocity_m_s.norm(dim=-1)[..., None, None]
    under_way = ships.present & (ships.velocity_m_s.norm(dim=-1) > 0) & source.chance(shape, VISIBLE)
    astern = (-u - length / 2).clamp_min(0)
    behind = (-u > length / 2) & under_way[..., None, None]
    log = torch.zeros((shape[0], *frame.shape), device=frame.spacing_m.device)
    pixel = frame.spacing_m.amax(1)[:, None, None, None]
    for part in (_waves(source, astern, v, length, speed, pixel), _strip(source, astern, v, length, beam)):
        log = log + (part * behind).sum(1)
    return torch.exp(log), log.abs() > math.log(1.2)


def displacement_m(source: RandomSource, illumination: Illumination, ships: Objects) -> Tensor:
    """Return by how much each ship appears displaced, (B, N, 2), metres: (R / V) v_r along the radar's track, v_r receding."""
    towards = illumination.towards()[:, None]
    receding = -(ships.velocity_m_s * towards).sum(-1, keepdim=True)
    along = torch.stack([-towards[..., 1], towards[..., 0]], -1)
    return source.log_uniform((towards.shape[0], 1, 1), *RANGE_OVER_VELOCITY_S) * receding * along


def _waves(source: RandomSource, astern: Tensor, v: Tensor, length: Tensor, speed: Tensor, pixel: Tensor) -> Tensor:
    """Logarithm of the intensity of transverse waves and cusps, (B, N, H, W); no crests where pixels do not resolve them."""
    lead = tuple(length.shape)
    number = GRAVITY_M_S2 / speed.clamp_min(0.5).square()
    fade = torch.exp(-astern / (length * source.uniform(lead, *WAVES)))
    inside = v.abs() < astern * math.tan(CUSP)
    resolved = 1.5 * number * pixel < 0.8 * math.pi
    across = source.uniform(lead, 0, 0.5) * inside * resolved * torch.cos(number * astern)
    thick = 0.1 * length + 0.03 * astern
    arm = torch.exp(-((v.abs() - astern * math.tan(CUSP)) / thick).square())
    crests = torch.cos(1.5 * number * (math.cos(CREST) * astern + math.sin(CREST) * v.abs()))
    hand = torch.where(v > 0, source.uniform(lead, 0, 1.5), source.uniform(lead, 0, 1.5))
    return fade * (across + hand * arm * (0.5 + resolved * crests))


def _strip(source: RandomSource, astern: Tensor, v: Tensor, length: Tensor, beam: Tensor) -> Tensor:
    """Logarithm of the intensity of the turbulent wake, (B, N, H, W)."""
    lead = tuple(length.shape)
    half = beam * (1 + (astern / length).sqrt()) / 2
    fade = torch.exp(-astern / (length * source.uniform(lead, *STRIP)))
    dark = source.uniform(lead, -2.5, -0.3) * torch.exp(-(v / half).pow(4))
    edge = torch.exp(-((v.abs() - 1.2 * half) / (0.4 * half)).square())
    bright = source.uniform(lead, 0.3, 1.5) * source.chance(lead, 0.4)
    return fade * (dark + bright * edge * (v * (source.uniform(lead) - 0.5) > 0))
