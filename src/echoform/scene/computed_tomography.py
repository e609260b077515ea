"""Attenuation maps for X-ray tomography: bodies with lungs, spine and ribs, and test objects with rods. Real, never negative.

Values are relative to water: air 0, lung 0.25, fat 0.92, soft tissue 1.05, bone 1.4 to 2, metal to 6.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.scene.ellipses import coverage, painted
from echoform.scene.random_fields import rough_field
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene, SceneClass

#: ribs that a section cuts
RIBS = 10


def thorax(source: RandomSource, batch: int, shape: tuple[int, int]) -> Scene:
    """Return cross sections of a chest, (B, 1, H, W) float32, with masks TISSUE, LUNG, BONE and LESION.

    Args:
        source: of randomness.
        batch: number of scenes.
        shape: (H, W).
    """
    body = torch.cat([source.uniform((batch, 1, 1), 0.78, 0.92), source.uniform((batch, 1, 1), 0.52, 0.72)], -1)
    wall = body - source.uniform((batch, 1, 1), 0.04, 0.12)
    hand = torch.tensor([1.0, -1.0], device=source.place)
    lung_at = torch.stack([hand * source.uniform((batch, 1), 0.34, 0.42), 0.05 * source.normal((batch, 2))], -1)
    lung = source.uniform((batch, 2, 2), 0.75, 1.0) * torch.tensor([0.28, 0.42], device=source.place)
    heart_at = torch.stack([source.uniform((batch, 1), 0, 0.2), source.uniform((batch, 1), -0.05, 0.2)], -1)
    heart = source.uniform((batch, 1, 2), 0.14, 0.26)
    spine_at = torch.stack([0.02 * source.normal((batch, 1)), source.uniform((batch, 1), -0.45, -0.35)], -1)
    spine = source.uniform((batch, 1, 2), 0.07, 0.12)
    canal = 0.4 * spine
    nodule_at = lung_at + 0.5 * lung * source.uniform((batch, 2, 2), -1, 1)
    nodule = source.log_uniform((batch, 2, 1), 0.02, 0.1).expand(-1, -1, 2) * source.present(batch, 2, 0)[..., None]
    rib_at, rib, rib_angle = _ribs(source, batch, wall)
    middle = torch.zeros_like(heart_at)
    groups = [(middle, body), (middle, wall), (lung_at, lung), (heart_at, heart), (spine_at, spine)]
    groups += [(spine_at, canal), (rib_at, rib), (nodule_at, nodule.clamp_min(1e-3))]
    centre, axes = (torch.cat([group[i] for group in groups], 1) for i in (0, 1))
    levels = _levels(source, batch)
    angle = 0.15 * source.normal(tuple(axes.shape[:2]))
    angle[:, 1], angle[:, 6], angle[:, 7 : 7 + RIBS] = angle[:, 0], angle[:, 5], rib_angle
    covers = coverage(centre, axes, angle, shape)
    inside = covers[:, 0] > 0.5
    grain = 1 + source.uniform((batch, 1, 1), 0, 0.05) * rough_field(source, batch, shape)
    image = (painted(levels, covers) * grain).clamp_min(0)
    lungs = (covers[:, 2:4] > 0.5).any(1) & ~(covers[:, 4:] > 0.5).any(1)
    bone = ((covers[:, 5] > 0.5) & (covers[:, 6] <= 0.5)) | (covers[:, 7 : 7 + RIBS] > 0.5).any(1)
    lesion = (covers[:, 7 + RIBS :] > 0.5).any(1)
    masks = {SceneClass.TISSUE: inside & ~(lungs | bone | lesion), SceneClass.LUNG: lungs, SceneClass.BONE: bone}
    return Scene(image[:, None], masks=masks | {SceneClass.LESION: lesion})


def rods(source: RandomSource, batch: int, shape: tuple[int, int], *, most: int = 16) -> Scene:
    """Return a disc of plastic or water with rods and holes, some of metal, (B, 1, H, W) float32, masks TISSUE and INSERT.

    Args:
        source: of randomness.
        batch: number of scenes.
        shape: (H, W).
        most: greatest number of rods.
    """
    outer = source.uniform((batch, 1, 1), 0.6, 0.95) * torch.where(source.chance((batch, 1, 2), 0.7), 1.0, 0.8)
    spread = torch.sqrt(source.uniform((batch, most))) * 0.85
    around = source.uniform((batch, most), 0, 2 * math.pi)
    ring = source.chance((batch, 1), 0.4)
    spread = torch.where(ring, 0.65, spread)
    around = torch.where(ring, 2 * math.pi / most * torch.arange(most, device=source.place), around)
    centre = torch.stack([torch.cos(around), torch.sin(around)], -1) * spread[..., None] * outer
    size = source.log_uniform((batch, most, 1), 0.015, 0.15).expand(-1, -1, 2)
    value = torch.where(
        source.chance((batch, most), 0.15), source.uniform((batch, most), 3, 6), source.uniform((batch, most), 0, 2)
    )
    covers = coverage(
        torch.cat([0 * centre[:, :1], centre], 1),
        torch.cat([outer, size], 1),
        torch.zeros(batch, most + 1, device=source.place),
        shape,
    )
    present = torch.cat([torch.ones_like(ring), source.present(batch, most)], 1)
    covers = covers * present[..., None, None]
    image = painted(torch.cat([source.uniform((batch, 1), 0.8, 1.3), value], 1), covers)
    insert = (covers[:, 1:] > 0.5).any(1)
    return Scene(image[:, None], masks={SceneClass.TISSUE: (covers[:, 0] > 0.5) & ~insert, SceneClass.INSERT: insert})


def _ribs(source: RandomSource, batch: int, wall: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Centres, half axes and angles of ribs cut aslant, along the chest's wall."""
    step = 2 * math.pi / RIBS
    around = step * (torch.arange(RIBS, device=source.place) + 0.5) + 0.2 * source.normal((batch, RIBS))
    c, s = torch.cos(around), torch.sin(around)
    centre = 0.94 * wall * torch.stack([c, s], -1)
    along = torch.atan2(wall[..., 1] * c, -wall[..., 0] * s)
    axes = [source.uniform((batch, RIBS), 0.04, 0.16), source.uniform((batch, RIBS), 0.02, 0.035)]
    return centre, torch.stack(axes, -1), along


def _levels(source: RandomSource, batch: int) -> Tensor:
    """Attenuation of body, wall, lungs, heart, spine, canal, ribs and nodules, (B, 9 + RIBS)."""
    ranges = [(0.88, 0.95), (1.0, 1.08), (0.18, 0.35), (0.18, 0.35), (1.02, 1.1), (1.3, 1.7), (0.98, 1.05)]
    ranges += [(1.4, 2.0)] * RIBS + [(0.7, 1.2)] * 2
    low, high = torch.tensor(ranges, device=source.place).T
    return low + (high - low) * source.uniform((batch, len(ranges)))
