"""Points of a surface as data, and samples around them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree
from torch import Tensor

from ..components import Build, Data, Draw, Quantities
from ..errors import UserError
from ..geometry import Frame, clean, read_point_cloud, with_normals
from .batches import Epochs
from .config import NearPointsConfig, PointsConfig, UniformConfig


class Points(Data):
    """A point cloud, cleaned, with normals, in the training space.

    Attributes:
        points: (n, 3) float32.
        normals: (n, 3) float32 outward unit normals, or None.
        viewpoint: (3,) float32, where the sensor stood, if the file says so.
    """

    frame: Frame
    points: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"] | None
    viewpoint: Float[Tensor, "3"] | None

    def __init__(self, config: PointsConfig, build: Build) -> None:
        super().__init__(config, build)
        cloud = read_point_cloud(config.path, samples=config.samples)
        cloud = clean(cloud, remove_outliers=config.clean)
        if config.normals == "estimate":
            cloud = replace(cloud, normals=None)
        if config.normals != "none":
            cloud = with_normals(cloud, neighbors=config.neighbors)
        self.frame = build.frame_of(cloud.points)
        self.points = torch.from_numpy(self.frame.to_training(cloud.points)).float()
        used = cloud.normals if config.normals != "none" else None
        self.normals = None if used is None else torch.from_numpy(self.frame.directions_to_training(used)).float()
        seen_from = None if cloud.viewpoint is None else self.frame.to_training(cloud.viewpoint)
        self.viewpoint = None if seen_from is None else torch.from_numpy(seen_from).float()
        self.bounds = torch.stack([self.points.amin(dim=0), self.points.amax(dim=0)])
        self.shapes = (config.path.stem,)
        self.notes = (f"{len(cloud):,} points from {config.path.name}", *cloud.notes)
        order = torch.randperm(len(cloud), generator=build.generator)
        held = round(len(cloud) * config.holdout)
        self._sets = {"val": order[:held].sort().values, "train": order[held:].sort().values}
        self._epochs = {name: Epochs(len(items)) for name, items in self._sets.items()}

    def holds(self, set_name: str) -> bool:
        return len(self._sets.get(set_name, ())) > 0

    def items(self, set_name: str) -> Float[Tensor, "m 3"]:
        """Return the points of a set."""
        return self.points[self._sets[set_name or "train"]]

    def normals_of(self, set_name: str) -> Float[Tensor, "m 3"] | None:
        """Return the normals of a set, if there are any."""
        return None if self.normals is None else self.normals[self._sets[set_name or "train"]]

    def batches(self, set_name: str, draw: Any) -> int:
        return self._epochs[set_name or "train"].batches(draw.batch)

    def sample(self, request: Draw) -> Quantities:
        name = request.set or "train"
        chosen = self._sets[name][self._epochs[name].draw(request, request.options.batch)]
        batch = {"points": self.points[chosen]}
        if self.normals is not None:
            batch["normal"] = self.normals[chosen]
        return batch


def surface_points(build: Build, name: str) -> Points:
    """Return the data table of that name, which must hold points.

    Raises:
        UserError: it holds something else.
    """
    data = build.scene.data[name]
    if not isinstance(data, Points):
        raise UserError(f"{build.place} needs points, but data {name!r} holds none: name a table of type points")
    return data


class NearPoints(Data):
    """Samples near the points, spread by the local density, and some far away (IGR, arXiv 2002.10099, §5; SAL)."""

    def __init__(self, config: NearPointsConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config
        self._points = surface_points(build, config.data).points
        if config.neighbors >= len(self._points):
            raise UserError(f"{build.place}: neighbors = {config.neighbors}, but there are {len(self._points)} points")
        self._tree = cKDTree(self._points.numpy())
        distance, _ = self._tree.query(self._points.numpy(), k=[config.neighbors + 1], workers=-1)
        self._spread = torch.from_numpy(distance).float() * config.spread
        self._near = max(1, min(config.batch, round(config.per_point * len(self._points))))

    def batches(self, set_name: str, draw: Any) -> int:
        return max(1, round(len(self._points) / self._near))

    def sample(self, request: Draw) -> Quantities:
        count, generator = self._near, request.generator
        chosen = torch.randint(len(self._points), (count,), generator=generator)
        near = self._points[chosen] + torch.randn(count, 3, generator=generator) * self._spread[chosen]
        points = torch.cat([near, self._far(round(count * self._config.far), generator)])
        return {"points": points, **(self._nearest(points) if self._config.nearest else {})}

    def _far(self, count: int, generator: torch.Generator) -> Float[Tensor, "m 3"]:
        size = self._config.far_size
        if self._config.far_kind == "box":
            return (torch.rand(count, 3, generator=generator) * 2.0 - 1.0) * size
        chosen = torch.randint(len(self._points), (count,), generator=generator)
        return self._points[chosen] + torch.randn(count, 3, generator=generator) * size

    def _nearest(self, points: Float[Tensor, "m 3"]) -> Quantities:
        distance, index = self._tree.query(points.numpy(), workers=-1)
        return {
            "nearest": self._points[torch.from_numpy(index)],
            "distance": torch.from_numpy(np.asarray(distance, dtype=np.float32)),
        }


class Uniform(Data):
    """Points uniform in a box: the data's, with a margin, or a cube about the origin."""

    def __init__(self, config: UniformConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config
        if config.size is not None:
            self._box = torch.tensor([[-config.size] * 3, [config.size] * 3])
        else:
            lower, upper = build.scene.bounds
            margin = config.padding * (upper - lower).max()
            self._box = torch.stack([lower - margin, upper + margin])

    def batches(self, set_name: str, draw: Any) -> int:
        return 1

    def sample(self, request: Draw) -> Quantities:
        count = self._config.batch
        lower, upper = self._box
        batch = {"points": lower + (upper - lower) * torch.rand(count, 3, generator=request.generator)}
        if self._config.time == "step" and request.time is not None:
            batch["time"] = torch.full((count,), request.time)
        elif self._config.time:
            batch["time"] = torch.rand(count, generator=request.generator)
        return batch
