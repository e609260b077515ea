"""Images made of ellipses whose values add, with soft edges one pixel wide.

Coordinates run from -1 to 1 across the image (x to the right, y with the rows). The share of a pixel that an ellipse covers is
taken from the distance to its edge, (1 - rho^2) / |grad rho^2| in pixels, with rho the elliptic radius.
"""

from __future__ import annotations

import torch
from torch import Tensor


def coverage(centre: Tensor, axes: Tensor, angle_rad: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return the share of every pixel that each ellipse covers, (B, E, H, W).

    Args:
        centre: (x, y), (B, E, 2).
        axes: half axes, (B, E, 2).
        angle_rad: from +x towards +y, (B, E), radians.
        shape: (H, W).
    """
    height, width = shape
    y = (torch.arange(height, device=centre.device) - height // 2)[:, None] * (2 / height)
    x = (torch.arange(width, device=centre.device) - width // 2) * (2 / width)
    c, s = (f(angle_rad)[..., None, None] for f in (torch.cos, torch.sin))
    a, b = axes[..., 0, None, None], axes[..., 1, None, None]
    dx, dy = x - centre[..., 0, None, None], y - centre[..., 1, None, None]
    p2 = (dx * (c / a) + dy * (s / a)).square_()
    q2 = (dy * (c / b) - dx * (s / b)).square_()
    pixel = 2 / min(height, width)
    slope = (p2 * (2 * pixel / a).square()).addcmul_(q2, (2 * pixel / b).square()).sqrt_()
    inward = p2.add_(q2).neg_().add_(1)
    return inward.div_(slope.clamp_min_(1e-6)).add_(0.5).clamp_(0, 1)


def sum_of_ellipses(centre: Tensor, axes: Tensor, angle_rad: Tensor, value: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return the sum of value times coverage, (B, H, W); ``value`` is (B, E), the rest as in :func:`coverage`."""
    return torch.einsum("be,behw->bhw", value, coverage(centre, axes, angle_rad, shape).to(value.dtype))


def painted(levels: Tensor, covers: Tensor) -> Tensor:
    """Return ellipses painted over one another, the last on top, (B, H, W).

    Args:
        levels: value of each, (B, E).
        covers: from :func:`coverage`, (B, E, H, W).
    """
    image = torch.zeros_like(covers[:, 0]).to(levels.dtype)
    for value, cover in zip(levels.unbind(1), covers.unbind(1), strict=True):
        image = torch.lerp(image, value[:, None, None].expand_as(image), cover.to(image.dtype))
    return image
