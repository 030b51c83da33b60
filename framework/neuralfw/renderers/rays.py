"""Rays of posed images, in either layout, from the cameras of the batch or from those that the scene learns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..components import Quantities
from ..scene import SceneView


@dataclass(frozen=True)
class Rays:
    """Half lines from cameras through pixel centres.

    Attributes:
        origins: the cameras' centres.
        directions: unit vectors.
        cosine: of the angle to the optical axis: depth is distance times this.
        shape: of the pixels: (rays,), or (views, height, width).
    """

    origins: Float[Tensor, "n 3"]
    directions: Float[Tensor, "n 3"]
    cosine: Float[Tensor, " n"]
    shape: tuple[int, ...]

    def points(self, t: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
        """Return the points at distances."""
        return self.origins + t[:, None] * self.directions

    def per_ray(self, values: Tensor) -> Tensor:
        """Return one row for each ray of values that are given for each pixel, view or ray."""
        if values.shape[: len(self.shape)] == self.shape:
            return values.reshape(-1, *values.shape[len(self.shape) :])
        return values.repeat_interleave(self.shape[1] * self.shape[2], dim=0)

    def imaged(self, values: Tensor) -> Tensor:
        """Return values of rays in the layout of the pixels."""
        return values.reshape(*self.shape, *values.shape[1:])

    def part(self, rows: slice) -> Rays:
        """Return some of the rays, as single ones."""
        origins = self.origins[rows]
        return Rays(origins, self.directions[rows], self.cosine[rows], (len(origins),))


def rays_of(scene: SceneView, batch: Quantities) -> Rays:
    """Return the rays of a batch: its single pixels where it has `pixels`, else all of its images."""
    pose, intrinsics = poses_of(scene, batch), batch["intrinsics"]
    shape: tuple[int, ...]
    if "pixels" in batch:
        pixels, shape = batch["pixels"], (len(pose),)
    else:
        height, width = (int(edge) for edge in batch["size"])
        pixels, shape = _pixel_centers(height, width, pose), (len(pose), height, width)
        intrinsics = intrinsics[:, None]
    offset = (pixels - intrinsics[..., 2:]) / intrinsics[..., :2]
    local = torch.cat([offset, torch.ones_like(offset[..., :1])], dim=-1)
    local = local.reshape(len(pose), math.prod(local.shape[1:-1]), 3)
    length = local.norm(dim=-1, keepdim=True)
    rotation = pose[:, :3, :3]
    directions = (local / length) @ rotation
    origins = -(pose[:, None, :3, 3] @ rotation).expand_as(directions)
    return Rays(origins.reshape(-1, 3), directions.reshape(-1, 3), 1.0 / length.flatten(), shape)


def poses_of(scene: SceneView, batch: Quantities) -> Float[Tensor, "v 4 4"]:
    """Return what the scene's cameras say of the batch's views, else what the batch says."""
    if scene.has("cameras") and "view" in batch:
        return scene.evaluate({"view": batch["view"]}, frozenset({"world_to_camera"}))["world_to_camera"]
    return batch["world_to_camera"]


def _pixel_centers(height: int, width: int, like: Tensor) -> Float[Tensor, "1 pixels 2"]:
    y, x = (torch.arange(n, dtype=like.dtype, device=like.device) + 0.5 for n in (height, width))
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=-1).reshape(1, -1, 2)


@dataclass(frozen=True)
class Span:
    """The part of each ray in which a surface may lie: from `near` to `far`, both 0 where `valid` is false."""

    near: Float[Tensor, " n"]
    far: Float[Tensor, " n"]
    valid: Bool[Tensor, " n"]


def sphere_span(origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"], radius: float) -> Span:
    """Return the part of each ray inside a sphere about the origin and in front of its start."""
    middle = -(origins * directions).sum(dim=1)
    squared = middle.square() - origins.square().sum(dim=1) + radius * radius
    half = squared.clamp_min(0.0).sqrt()
    return _span(middle - half, middle + half, squared > 0.0)


def box_span(origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"], box: Float[Tensor, "2 3"]) -> Span:
    """Return the part of each ray inside a box and in front of its start."""
    inverse = 1.0 / torch.where(directions.abs() < 1e-12, torch.full_like(directions, 1e-12), directions)
    crossings = (box[:, None] - origins) * inverse
    near, far = crossings.amin(dim=0).amax(dim=1), crossings.amax(dim=0).amin(dim=1)
    return _span(near, far, near < far)


def _span(near: Tensor, far: Tensor, valid: Tensor) -> Span:
    near, far = near.clamp_min(0.0), far.clamp_min(0.0)
    valid = valid & (near < far)
    zero = torch.zeros_like(near)
    return Span(torch.where(valid, near, zero), torch.where(valid, far, zero), valid)
