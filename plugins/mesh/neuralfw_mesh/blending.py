"""Blending across silhouettes, with gradients (nvdiffrast's antialias: Laine et al. 2020, arXiv 2011.03277, §3.6)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from .contract import View


@dataclass(frozen=True, eq=False)
class Crossings:
    """Pairs of neighbouring pixels between whose centres a silhouette edge passes.

    Attributes:
        pixels: the left or upper pixel, then the other; row times width plus column.
        ends: the vertices of the edge.
        second: whether the edge is of what lies in the second pixel.
    """

    pixels: Int64[Tensor, "m 2"]
    ends: Int64[Tensor, "m 2"]
    second: Bool[Tensor, " m"]


def projected(positions: Float[Tensor, "n 3"], view: View) -> Float[Tensor, "n 2"]:
    """Return the pixel coordinates of positions in camera axes; those of what is not seen mean nothing."""
    fx, fy, cx, cy = view.intrinsics
    depth = torch.where(positions[:, 2:] >= view.near, positions[:, 2:], torch.ones_like(positions[:, 2:]))
    return positions[:, :2] / depth * positions.new_tensor([fx, fy]) + positions.new_tensor([cx, cy])


def blend(image: Float[Tensor, "h w c"], screen: Float[Tensor, "n 2"], crossings: Crossings) -> Float[Tensor, "h w c"]:
    """Return the image with the colours of each pair blended by where the edge passes between the two centres.

    Half way it changes nothing; a pixel of which the edge covers less, or more, takes up to half of its neighbour's.
    """
    _, width, channels = image.shape
    flat, (first, second) = image.reshape(-1, channels), crossings.pixels.unbind(1)
    owner = torch.where(crossings.second, second, first)
    center = torch.stack([owner % width, owner // width], dim=1).to(screen) + 0.5
    across = (second - first != 1) if width > 1 else torch.ones_like(crossings.second)
    ends = screen[crossings.ends.flatten()].reshape(-1, 2, 2) - center[:, None]
    (x1, y1), (x2, y2) = (torch.where(across[:, None], e.flip(1), e).unbind(1) for e in ends.unbind(1))
    side = torch.where(crossings.second, -1.0, 1.0).to(screen)
    toward = (side * (x1 * y2 - x2 * y1) / (y2 - y1)).clamp(0.0, 1.0)
    alpha = (side * (0.5 - toward)).to(image)
    change = alpha[:, None] * (flat.index_select(0, second) - flat.index_select(0, first))
    return flat.index_add(0, torch.where(alpha > 0.0, first, second), change).reshape(image.shape)
