"""Scenes of several kinds in one batch: what one kind's truth has and another's lacks is filled up with things not present."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TypeVar

import torch
from torch import Tensor

from echoform.scene.scene import Centres, Objects, Scene

Truth = TypeVar("Truth", Centres, Objects)


def joined(scenes: Sequence[Scene]) -> Scene:
    """Return the batches one after another.

    Added centres have amplitude zero and no owner, added objects are not present, masks of classes a batch lacks are empty.

    Args:
        scenes: batches whose images have one shape and dtype.

    Raises:
        ValueError: some batches are pairs with an interferogram and others are not.
    """
    if len(scenes) == 1:
        return scenes[0]
    image = torch.cat([scene.image for scene in scenes])
    centres = _joined(Centres, [s.centres for s in scenes], scenes, "amplitude", {"owner": -1})
    objects = _joined(Objects, [s.objects for s in scenes], scenes, "present", {})
    labels = dict.fromkeys(label for scene in scenes for label in scene.masks)
    masks = {}
    for label in labels:
        parts = [s.masks.get(label, s.image.new_zeros(s.batch, *s.image.shape[-2:], dtype=torch.bool)) for s in scenes]
        masks[label] = torch.cat(parts)
    return Scene(image, centres, objects, masks, _interferogram(scenes))


def _interferogram(scenes: Sequence[Scene]) -> Tensor | None:
    """Return those of all batches, or None where no batch has one."""
    found = [scene.interferogram for scene in scenes if scene.interferogram is not None]
    if found and len(found) < len(scenes):
        raise ValueError(f"{len(found)} of {len(scenes)} batches have an interferogram: join pairs with pairs only")
    return torch.cat(found) if found else None


def _joined(
    kind: type[Truth],
    truths: Sequence[Truth | None],
    scenes: Sequence[Scene],
    counted: str,
    filling: dict[str, int],
) -> Truth | None:
    """Return truths as long as the longest; ``counted`` is a field of shape (B, entries), ``filling`` what is not zero."""
    known = [truth for truth in truths if truth is not None]
    if not known:
        return None
    most = max(getattr(truth, counted).shape[1] for truth in known)

    def column(name: str) -> Tensor:
        """Return one field of every truth, filled up to the longest."""
        like = getattr(known[0], name)
        parts = []
        for truth, scene in zip(truths, scenes, strict=True):
            full = like.new_full((scene.batch, most, *like.shape[2:]), filling.get(name, 0))
            if truth is not None:
                full[:, : getattr(truth, counted).shape[1]] = getattr(truth, name)
            parts.append(full)
        return torch.cat(parts)

    return kind(*(column(f.name) for f in fields(kind)))
