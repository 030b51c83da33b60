"""Two shapes as data: points that correspond, points of both surfaces, and samples about them."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor

from neuralfw.components import Build, Data, Draw, Quantities
from neuralfw.data.batches import Epochs
from neuralfw.errors import UserError
from neuralfw.geometry import Frame, Mesh, PointCloud, read_shape, sample_surface, with_normals
from neuralfw.metrics.registration import apply

from .config import NEIGHBOR, TARGET_NORMAL, NearSurfaceConfig, ShapePairConfig
from .matches import alignment, corners, find_matches


class ShapePair(Data):
    """Source at time 0 and target at time 1, the target laid onto the source, both in the training space.

    Attributes:
        source, target: the shapes in the source's world.
        alignment: similarity (4, 4) from the target's world to the source's.
        surfaces: points (n, 3) of source and target, training space.
    """

    frame: Frame

    def __init__(self, config: ShapePairConfig, build: Build) -> None:
        super().__init__(config, build)
        self.source, self.target = (with_directions(read_shape(path)) for path in (config.source, config.target))
        self.alignment, chosen = np.eye(4), None
        if config.matches != "none":
            chosen = find_matches(config, len(corners(self.source)), len(corners(self.target)))
            pairs = corners(self.source)[chosen.source], corners(self.target)[chosen.target]
            self.alignment = alignment(config, *pairs)
            self.target = moved(self.target, self.alignment)
        self.frame = _frame(self.source, build)
        rng = np.random.default_rng(build.generator.initial_seed() % 2**63)
        drawn = [_surface(shape, config.samples, rng) for shape in (self.source, self.target)]
        self.surfaces = [self._to_training(points) for points, _ in drawn]
        self._normals = [self._directions(normals) for _, normals in drawn]
        self.bounds = torch.stack([torch.cat(self.surfaces).amin(dim=0), torch.cat(self.surfaces).amax(dim=0)])
        self._matches: Quantities = {}
        self._neighbors = config.neighbors
        if chosen is not None:
            count = max(1, round(config.share * len(chosen.source)))
            kept = torch.randperm(len(chosen.source), generator=build.generator)[:count]
            self._matches = self._matched(chosen.source[kept.numpy()], chosen.target[kept.numpy()])
        counts = {"matches": len(self._matches.get("points", ())), "source": len(self.surfaces[0])}
        counts["neighbors"] = counts["matches"] * (counts["matches"] > 1)
        counts["surfaces"] = min(len(points) for points in self.surfaces)
        self._epochs = {name: Epochs(count) for name, count in counts.items() if count}
        self.notes = (
            f"{config.source.name} and {config.target.name}, {counts['matches']:,} matches",
            *(chosen.notes if chosen else ()),
            *(f"{p.name}: {note}" for p, s in ((config.source, self.source), (config.target, self.target))
              for note in (*s.notes, *_parts(s))),
        )  # fmt: skip

    def _to_training(self, points: Float64[np.ndarray, "n 3"]) -> Float[Tensor, "n 3"]:
        return torch.from_numpy(self.frame.to_training(points)).float()

    def _directions(self, normals: Float64[np.ndarray, "n 3"]) -> Float[Tensor, "n 3"]:
        return torch.from_numpy(self.frame.directions_to_training(normals)).float()

    def _matched(self, source: np.ndarray, target: np.ndarray) -> Quantities:
        return {
            "points": self._to_training(corners(self.source)[source]),
            "normal": self._directions(_normals(self.source)[source]),
            "target": self._to_training(corners(self.target)[target]),
            TARGET_NORMAL: self._directions(_normals(self.target)[target]),
        }

    @cached_property
    def _near(self) -> Int64[Tensor, "m k"]:
        """The matches that are nearest to each in the source, itself left out."""
        points = self._matches["points"].numpy()
        count = min(self._neighbors, len(points) - 1)
        found = np.asarray(cKDTree(points).query(points, count + 1)[1])
        own = found == np.arange(len(points))[:, None]
        own[~own.any(axis=1), -1] = True  # more than count others in the same place
        return torch.from_numpy(found[~own].reshape(len(points), count))

    def _neighboring(self, request: Draw) -> Quantities:
        """Return matches, and beside each a neighbour of it: rows k and k + n/2 are each other's."""
        chosen = self._epochs["neighbors"].draw(request, max(1, request.options.batch // 2))
        column = torch.randint(self._near.shape[1], (len(chosen),), generator=request.generator)
        rows = torch.cat([chosen, self._near[chosen, column]])
        drawn = {q: v[rows] for q, v in self._matches.items()}
        return {**drawn, "time": torch.zeros(len(rows)), NEIGHBOR: torch.arange(len(rows)).roll(len(chosen))}

    def holds(self, set_name: str) -> bool:
        return set_name in self._epochs

    def batches(self, set_name: str, draw: Any) -> int:
        return self._epochs[self._named(set_name)].batches(draw.batch)

    def _named(self, set_name: str) -> str:
        return set_name or next(name for name in ("matches", "surfaces") if name in self._epochs)

    def sample(self, request: Draw) -> Quantities:
        name = self._named(request.set)
        if name == "neighbors":
            return self._neighboring(request)
        if name == "matches":
            chosen = self._epochs[name].draw(request, request.options.batch)
            return {"time": torch.zeros(len(chosen)), **{q: v[chosen] for q, v in self._matches.items()}}
        ends = (0,) if name == "source" else (0, 1)
        size = max(1, request.options.batch // len(ends))
        chosen = self._epochs[name].draw(request, size)
        return {
            "points": torch.cat([self.surfaces[k][chosen] for k in ends]),
            "normal": torch.cat([self._normals[k][chosen] for k in ends]),
            "time": torch.arange(len(ends)).repeat_interleave(len(chosen)).float(),
        }


class NearSurface(Data):
    """Samples about both surfaces, spread by a Gaussian, and uniform in their box, each at a time of its own."""

    def __init__(self, config: NearSurfaceConfig, build: Build) -> None:
        super().__init__(config, build)
        pair = build.scene.data[config.data]
        if not isinstance(pair, ShapePair):
            raise UserError(f"{build.place} needs a pair of shapes: name a data table of type shape_pair")
        assert pair.bounds is not None
        self._config, self._points = config, torch.cat(pair.surfaces)
        lower, upper = pair.bounds
        margin = config.padding * (upper - lower).max()
        self._box = torch.stack([lower - margin, upper + margin])

    def batches(self, set_name: str, draw: Any) -> int:
        return 1

    def sample(self, request: Draw) -> Quantities:
        count, generator = self._config.batch, request.generator
        far = round(count * self._config.uniform)
        chosen = torch.randint(len(self._points), (count - far,), generator=generator)
        near = self._points[chosen] + torch.randn(count - far, 3, generator=generator) * self._config.spread
        lower, upper = self._box
        points = torch.cat([near, lower + (upper - lower) * torch.rand(far, 3, generator=generator)])
        return {"points": points, "time": torch.rand(count, generator=generator)}


def with_directions(shape: Mesh | PointCloud) -> Mesh | PointCloud:
    """Return a shape whose points have normals, estimated where a cloud has none."""
    return shape if isinstance(shape, Mesh) or shape.normals is not None else with_normals(shape)


def moved(shape: Mesh | PointCloud, similarity: Float64[np.ndarray, "4 4"]) -> Mesh | PointCloud:
    """Return a shape moved by a similarity."""
    if isinstance(shape, Mesh):
        return replace(shape, vertices=apply(similarity, shape.vertices))
    turned = similarity[:3, :3] / np.cbrt(np.linalg.det(similarity[:3, :3]))
    normals = None if shape.normals is None else shape.normals @ turned.T
    return replace(shape, points=apply(similarity, shape.points), normals=normals)


def _frame(source: Mesh | PointCloud, build: Build) -> Frame:
    fit = build.frame_fit
    if fit.fit == "area" and isinstance(source, Mesh):
        return Frame.fit(source.vertices, "area", fit.size, area=source.area)
    return build.frame_of(corners(source))


def _surface(
    shape: Mesh | PointCloud, samples: int, rng: np.random.Generator
) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"]]:
    if isinstance(shape, Mesh):
        return sample_surface(shape, samples, rng)
    chosen = rng.permutation(len(shape))[:samples]
    return shape.points[chosen], _normals(shape)[chosen]


def _normals(shape: Mesh | PointCloud) -> Float64[np.ndarray, "n 3"]:
    if isinstance(shape, Mesh):
        return shape.vertex_normals
    assert shape.normals is not None
    return shape.normals


def _parts(shape: Mesh | PointCloud) -> list[str]:
    """Say where a mesh hangs together in more than one part."""
    if not isinstance(shape, Mesh):
        return []
    a, b = shape.faces.ravel(), np.roll(shape.faces, 1, axis=1).ravel()
    count = len(shape.vertices)
    parts = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(count, count)), directed=False)[0]
    return [f"it has {parts} parts that do not hang together; each is carried by itself"] if parts > 1 else []
