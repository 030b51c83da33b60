"""Two shapes in one space: points that correspond, and points of both surfaces."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor

from neuralfw.components import Draw, Quantities
from neuralfw.data.batches import Epochs
from neuralfw.geometry import Frame, Mesh, PointCloud, read_shape, sample_surface, with_normals
from neuralfw.metrics.registration import apply

from .config import NEIGHBOR, TARGET_NORMAL, ShapePairConfig
from .matches import alignment, corners, find_matches


class Pair:
    """Source at time 0 and target at time 1, the target laid onto the source, and what a step draws of both.

    Attributes:
        name: both shapes' names.
        file: that of the source.
        source, target: the shapes, in the source's world.
        alignment: similarity (4, 4) from the target's world to the source's.
        surfaces: points (n, 3) of source and target, training space.
        matches: points of the source with those of the target that correspond, training space; none where not known.
        notes: what was found on opening, in words.
    """

    def __init__(
        self, config: ShapePairConfig, source: Mesh | PointCloud, frame: Frame, generator: torch.Generator
    ) -> None:
        self.name, self.file = f"{config.source.stem}-{config.target.stem}", config.source
        self._frame = frame
        self.source, self.target = source, with_directions(read_shape(config.target))
        self.alignment, chosen = np.eye(4), None
        if config.matches != "none":
            chosen = find_matches(config, len(corners(self.source)), len(corners(self.target)))
            pairs = corners(self.source)[chosen.source], corners(self.target)[chosen.target]
            self.alignment = alignment(config, *pairs)
            self.target = moved(self.target, self.alignment)
        rng = np.random.default_rng(generator.initial_seed() % 2**63)
        drawn = [_surface(shape, config.samples, rng) for shape in (self.source, self.target)]
        self.surfaces = [self._to_training(points) for points, _ in drawn]
        self._normals = [self._directions(normals) for _, normals in drawn]
        self.matches: Quantities = {}
        self._neighbors = config.neighbors
        if chosen is not None:
            count = max(1, round(config.share * len(chosen.source)))
            kept = torch.randperm(len(chosen.source), generator=generator)[:count]
            self.matches = self._matched(chosen.source[kept.numpy()], chosen.target[kept.numpy()])
        self._anchors = self.matches or {"points": self.surfaces[0], "normal": self._normals[0]}
        counts = {"matches": len(self.matches.get("points", ())), "neighbors": len(self._anchors["points"])}
        counts |= {"source": len(self.surfaces[0]), "target": len(self.surfaces[1])}
        counts |= {
            "neighbors": counts["neighbors"] * (counts["neighbors"] > 1),
            "surfaces": min(map(len, self.surfaces)),
        }
        self.epochs = {name: Epochs(count) for name, count in counts.items() if count}
        self.notes = (
            f"{config.source.name} and {config.target.name}, {counts['matches']:,} matches",
            *(chosen.notes if chosen else ()),
            *(f"{p.name}: {note}" for p, s in ((config.source, self.source), (config.target, self.target))
              for note in (*s.notes, *_parts(s))),
        )  # fmt: skip

    @property
    def target_frame(self) -> Frame:
        """The similarity from the target's own world to the training space."""
        turned, shift = self.alignment[:3, :3], self.alignment[:3, 3]
        scale = float(np.cbrt(np.linalg.det(turned)))
        center = np.linalg.solve(turned, self._frame.center - shift)
        return Frame(center, self._frame.scale * scale, self._frame.rotation @ turned / scale)

    def _to_training(self, points: Float64[np.ndarray, "n 3"]) -> Float[Tensor, "n 3"]:
        return torch.from_numpy(self._frame.to_training(points)).float()

    def _directions(self, normals: Float64[np.ndarray, "n 3"]) -> Float[Tensor, "n 3"]:
        return torch.from_numpy(self._frame.directions_to_training(normals)).float()

    def _matched(self, source: np.ndarray, target: np.ndarray) -> Quantities:
        return {
            "points": self._to_training(corners(self.source)[source]),
            "normal": self._directions(_normals(self.source)[source]),
            "target": self._to_training(corners(self.target)[target]),
            TARGET_NORMAL: self._directions(_normals(self.target)[target]),
        }

    @cached_property
    def near(self) -> Int64[Tensor, "m k"]:
        """The matches that are nearest to each in the source, itself left out; its points, where none are known."""
        points = self._anchors["points"].numpy()
        count = min(self._neighbors, len(points) - 1)
        found = np.asarray(cKDTree(points).query(points, count + 1)[1])
        own = found == np.arange(len(points))[:, None]
        own[~own.any(axis=1), -1] = True  # more than count others in the same place
        return torch.from_numpy(found[~own].reshape(len(points), count))

    def sample(self, name: str, request: Draw, size: int) -> Quantities:
        """Return so many points of a set, but no more than it has."""
        if name == "neighbors":
            return self._neighboring(request, size)
        if name == "matches":
            chosen = self.epochs[name].draw(request, size)
            return {"time": torch.zeros(len(chosen)), **{q: v[chosen] for q, v in self.matches.items()}}
        ends = {"source": (0,), "target": (1,)}.get(name, (0, 1))
        chosen = self.epochs[name].draw(request, max(1, size // len(ends)))
        return {
            "points": torch.cat([self.surfaces[k][chosen] for k in ends]),
            "normal": torch.cat([self._normals[k][chosen] for k in ends]),
            "time": torch.tensor(ends).repeat_interleave(len(chosen)).float(),
        }

    def _neighboring(self, request: Draw, size: int) -> Quantities:
        """Return matches or points, and beside each a neighbour of it: rows k and k + n/2 are each other's."""
        chosen = self.epochs["neighbors"].draw(request, max(1, size // 2))
        column = torch.randint(self.near.shape[1], (len(chosen),), generator=request.generator)
        rows = torch.cat([chosen, self.near[chosen, column]])
        drawn = {q: v[rows] for q, v in self._anchors.items()}
        return {**drawn, "time": torch.zeros(len(rows)), NEIGHBOR: torch.arange(len(rows)).roll(len(chosen))}


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
