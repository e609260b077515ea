"""A batch of scenes: the image, and the truth about what was put into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum, auto
from types import MappingProxyType
from typing import Self, TypeVar

import torch
from torch import Tensor


class SceneClass(Enum):
    """What a pixel shows; masks are kept per class and may overlap."""

    WATER = auto()
    BARE = auto()
    CROP = auto()
    GRASS = auto()
    FOREST = auto()
    ROAD = auto()
    URBAN = auto()
    SHADOW = auto()
    VEHICLE = auto()
    SHIP = auto()
    AIRCRAFT = auto()
    BUILDING = auto()
    LAYOVER = auto()
    DOUBLE_BOUNCE = auto()
    INTERFACE = auto()
    PIPE = auto()
    VOID = auto()
    SKIN = auto()
    FAT = auto()
    GLAND = auto()
    TUMOUR = auto()
    DIELECTRIC = auto()
    SKULL = auto()
    FLUID = auto()
    GREY_MATTER = auto()
    WHITE_MATTER = auto()
    LESION = auto()
    TISSUE = auto()
    LUNG = auto()
    BONE = auto()
    INSERT = auto()
    WAKE = auto()


class ObjectKind(Enum):
    """What an object is."""

    CAR = 0
    LORRY = 1
    SHIP = 2
    AIRCRAFT = 3
    BUILDING = 4
    PIPE = 5
    VOID = 6
    TUMOUR = 7
    PERSON = 8
    CYLINDER = 9


class _Moves:
    """Moving every tensor of a frozen dataclass to a device."""

    def to(self, device: torch.device) -> Self:
        """Return the same on ``device``."""
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self)}  # pyright: ignore[reportArgumentType]
        return type(self)(**moved)


@dataclass(frozen=True)
class Centres(_Moves):
    """Scattering centres, each a point of the image.

    Attributes:
        position_m: (x, y) where the centre appears in the image, layover included, (B, Q, 2), metres. In a radar cube
            (R sin(theta), R cos(theta)) about the radar; in a section through soil y is along the rows.
        amplitude: complex value at its peak, (B, Q); zero for a centre that is absent.
        owner: index of the object it belongs to, (B, Q), int64; -1 for none.
        velocity_m_s: dR/dt, positive when receding, (B, Q).
    """

    position_m: Tensor
    amplitude: Tensor
    owner: Tensor
    velocity_m_s: Tensor


@dataclass(frozen=True)
class Objects(_Moves):
    """Things in a scene.

    Attributes:
        kind: value of its :class:`ObjectKind`, (B, N), int64.
        present: (B, N), bool; the others are padding.
        position_m: (x, y) of the middle on the ground, (B, N, 2), metres.
        heading_rad: direction of its length, from +x towards +y, (B, N), radians.
        size_m: (length, width, height), (B, N, 3), metres.
        velocity_m_s: (x, y), (B, N, 2), metres per second.
    """

    kind: Tensor
    present: Tensor
    position_m: Tensor
    heading_rad: Tensor
    size_m: Tensor
    velocity_m_s: Tensor


@dataclass(frozen=True)
class Scene:
    """Images and their truth.

    Attributes:
        image: (B, C, H, W), complex64; float32 for X-ray CT and optics.
        centres: scattering centres put in; None where the scene has none.
        objects: things put in; None where the scene has none.
        masks: which pixels show each class, (B, H, W) bool.
        interferogram: coherence times exp(i phase) of the second of two images against the first, (B, H, W) complex64; None
            where they are not a pair.
    """

    image: Tensor
    centres: Centres | None = None
    objects: Objects | None = None
    masks: Mapping[SceneClass, Tensor] = field(default_factory=lambda: MappingProxyType({}))
    interferogram: Tensor | None = None

    @property
    def batch(self) -> int:
        """Number of scenes."""
        return self.image.shape[0]

    def to(self, device: torch.device) -> Scene:
        """Return the scenes on ``device``."""
        return Scene(
            self.image.to(device),
            self.centres and self.centres.to(device),
            self.objects and self.objects.to(device),
            {label: mask.to(device) for label, mask in self.masks.items()},
            None if self.interferogram is None else self.interferogram.to(device),
        )

    def scaled(self, factor: Tensor) -> Scene:
        """Return the scenes times ``factor`` (B,), real or complex; amplitudes follow."""
        centres = self.centres and replace(self.centres, amplitude=self.centres.amplitude * factor[:, None])
        return replace(self, image=self.image * factor[:, None, None, None], centres=centres)

    def __add__(self, other: Scene) -> Scene:
        """Return the sum of the images, of which none is a pair, with the truth of both; masks of one class are united."""
        masks = dict(self.masks)
        for label, mask in other.masks.items():
            masks[label] = masks[label] | mask if label in masks else mask
        shift = 0 if self.objects is None else self.objects.present.shape[1]
        moved = other.centres
        if moved is not None and shift:
            moved = replace(moved, owner=torch.where(moved.owner < 0, moved.owner, moved.owner + shift))
        image = self.image + other.image
        return Scene(image, join(self.centres, moved), join(self.objects, other.objects), masks)


Truth = TypeVar("Truth", Centres, Objects)


def both(first: Truth, second: Truth) -> Truth:
    """Return the entries of both, the first's before the second's."""
    parts = {f.name: torch.cat([getattr(first, f.name), getattr(second, f.name)], 1) for f in fields(first)}
    return type(first)(**parts)


def join(first: Truth | None, second: Truth | None) -> Truth | None:
    """Return the entries of both where there are two."""
    if first is None or second is None:
        return second if first is None else first
    return both(first, second)


def objects_at_rest(kind: Tensor, present: Tensor, position_m: Tensor, heading_rad: Tensor, size_m: Tensor) -> Objects:
    """Return objects that do not move; arguments as in :class:`Objects`."""
    return Objects(kind, present, position_m, heading_rad, size_m, torch.zeros_like(position_m))


def still_centres(position_m: Tensor, amplitude: Tensor, owner: Tensor) -> Centres:
    """Return centres that do not move; arguments as in :class:`Centres`."""
    return Centres(position_m, amplitude, owner, torch.zeros_like(position_m[..., 0]))


def before(background: Scene, foreground: Scene, *, shadow: Tensor | None = None) -> Scene:
    """Return the foreground before the background, which is dimmed where the foreground's masks say shadow.

    Args:
        background: such as terrain.
        foreground: such as vehicles, whose SHADOW mask is used.
        shadow: amplitude that is left of the background in shadow, (B,); 0 when absent.
    """
    dark = foreground.masks.get(SceneClass.SHADOW)
    if dark is None:
        return background + foreground
    left = torch.zeros(background.batch, device=dark.device) if shadow is None else shadow
    keep = torch.where(dark, left[:, None, None], torch.ones((), device=dark.device))
    return replace(background, image=background.image * keep[:, None]) + foreground
