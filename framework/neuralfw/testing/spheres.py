"""Spheres that are known exactly: along rays, as a field, as photographs; and batches of a camera's pixels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, UInt8
from PIL import Image
from torch import Tensor, nn

from ..components import Quantities, SdfField
from ..geometry.camera import Camera, evenly_spread


class Sight(NamedTuple):
    """What the rays of a camera's pixels meet.

    Attributes:
        hit: whether they meet the sphere.
        distance: along each, to where it does; where it does not, to where it comes nearest.
        least: the least signed distance to the sphere along each line.
    """

    hit: Bool[np.ndarray, "h w"]
    distance: Float64[np.ndarray, "h w"]
    least: Float64[np.ndarray, "h w"]


@dataclass(frozen=True)
class Sphere:
    """A sphere in the world whose colours are its normals, (1 + n) / 2.

    Attributes:
        center: in world units, as `radius` is.
    """

    radius: float
    center: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def seen_by(self, camera: Camera) -> Sight:
        """Return where a camera's rays meet it."""
        origin, directions = camera.rays()
        away = origin - np.array(self.center)
        middle = -directions @ away
        squared = middle**2 - away @ away + self.radius**2
        least = np.sqrt(np.maximum(self.radius**2 - squared, 0.0)) - self.radius
        return Sight(squared > 0.0, middle - np.sqrt(np.maximum(squared, 0.0)), least)

    def photograph(self, camera: Camera) -> UInt8[np.ndarray, "h w 4"]:
        """Return what a camera sees; alpha is the mask."""
        (origin, directions), sight = camera.rays(), self.seen_by(camera)
        normal = (origin + sight.distance[..., None] * directions - np.array(self.center)) / self.radius
        image = np.concatenate([0.5 + 0.5 * normal, np.ones_like(normal[..., :1])], axis=-1)
        levels = 255.0 * np.clip(image, 0.0, 1.0) * sight.hit[..., None]
        shown: UInt8[np.ndarray, "h w 4"] = levels.round().astype(np.uint8)
        return shown

    def write(self, folder: Path, *, views: int, size: int, distance: float = 5.0) -> Path:
        """Write square photographs from evenly spread cameras around it in Blender's layout; return the folder."""
        (folder / "train").mkdir(parents=True)
        center, frames = np.array(self.center), []
        for index, place in enumerate(evenly_spread(views)):
            camera = Camera.look_at(
                center + distance * place, center, (0.1, 0.2, 1.0), focal=1.2 * size, width=size, height=size
            )
            Image.fromarray(self.photograph(camera), "RGBA").save(folder / "train" / f"{index}.png")
            pose = np.linalg.inv(camera.world_to_camera) @ np.diag([1.0, -1.0, -1.0, 1.0])
            frames.append({"file_path": f"./train/{index}", "transform_matrix": pose.tolist()})
        table = {"camera_angle_x": 2.0 * np.arctan(0.5 / 1.2), "frames": frames}
        (folder / "transforms_train.json").write_text(json.dumps(table), encoding="utf-8")
        return folder


class ExactSphere(SdfField):
    """The distance to a sphere about the origin, exact, in place of a network; its features are 0.

    Attributes:
        level: added to the distance; a parameter.
    """

    def __init__(self, radius: float, features: int = 4) -> None:
        nn.Module.__init__(self)
        self.radius, self.features = radius, features
        self.level = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def evaluate(self, inputs: Mapping[str, Tensor], want: frozenset[str]) -> Quantities:
        x = inputs["points"]
        length = x.norm(dim=1)
        gradient, feature = x / length[:, None], x.new_zeros(len(x), self.features)
        return {"sdf": length - self.radius + self.level, "sdf_gradient": gradient, "feature": feature}


def image_batch(camera: Camera, **more: Tensor) -> Quantities:
    """Return the batch of one view in double precision, on a background that is not grey; `more` is added."""
    return {
        "view": torch.tensor([0]),
        "world_to_camera": torch.from_numpy(camera.world_to_camera)[None],
        "intrinsics": torch.from_numpy(camera.intrinsics)[None],
        "size": torch.tensor([camera.height, camera.width]),
        "background": torch.tensor([[0.2, 0.3, 0.4]], dtype=torch.float64),
        **more,
    }


def pixel_batch(camera: Camera, places: Sequence[tuple[float, float]], **more: Tensor) -> Quantities:
    """Return the batch of single pixels (x, y) of one view; `more` is added."""
    whole = image_batch(camera)
    each = ("view", "world_to_camera", "intrinsics", "background")
    return {
        **{q: whole[q].expand(len(places), *whole[q].shape[1:]) for q in each},
        "pixels": torch.tensor(places, dtype=torch.float64),
        **more,
    }
