"""Pairs of shapes as data, one or each of a sequence with the next, and samples in the space about them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neuralfw.components import Build, Data, Draw, Quantities
from neuralfw.errors import UserError
from neuralfw.geometry import Frame, Mesh, PointCloud, read_shape

from .config import NEIGHBOR, NearSurfaceConfig, PairingConfig
from .matches import corners
from .pair import Pair, with_directions
from .sequence import pairs_of


class ShapePairs(Data):
    """Pairs of which each begins with the shape that the one before ends with, in the frame of the first of all.

    A batch has as many points of each pair, with the pair's number as `index`.

    Attributes:
        pairs: the pairs; a shape that is laid onto another stays there for the pair that it begins.
    """

    frame: Frame

    def __init__(self, config: PairingConfig, build: Build) -> None:
        super().__init__(config, build)
        meant = pairs_of(config)
        shape = with_directions(read_shape(meant[0].source))
        self.frame, self.pairs = _frame(shape, build), list[Pair]()
        for each in meant:
            self.pairs.append(Pair(each, shape, self.frame, build.generator))
            shape = self.pairs[-1].target
        points = torch.cat([points for pair in self.pairs for points in pair.surfaces])
        self.bounds = torch.stack([points.amin(dim=0), points.amax(dim=0)])
        self.shapes = tuple(pair.name for pair in self.pairs)
        self.worlds = {"target": tuple(pair.target_frame for pair in self.pairs)}
        self.notes = tuple(dict.fromkeys(note for pair in self.pairs for note in pair.notes))

    def holds(self, set_name: str) -> bool:
        return all(set_name in pair.epochs for pair in self.pairs)

    def batches(self, set_name: str, draw: Any) -> int:
        name = self._named(set_name)
        return max(pair.epochs[name].batches(self._size(draw.batch)) for pair in self.pairs)

    def _size(self, batch: int) -> int:
        return max(1, batch // len(self.pairs))

    def _named(self, set_name: str) -> str:
        return set_name or next(name for name in ("matches", "surfaces") if self.holds(name))

    def sample(self, request: Draw) -> Quantities:
        name, size = self._named(request.set), self._size(request.options.batch)
        drawn = [pair.sample(name, request, size) for pair in self.pairs]
        counts = torch.tensor([len(rows["points"]) for rows in drawn])
        found = {q: torch.cat([rows[q] for rows in drawn]) for q in drawn[0]}
        if NEIGHBOR in found:
            found[NEIGHBOR] += (counts.cumsum(dim=0) - counts).repeat_interleave(counts)
        return {**found, "index": torch.arange(len(drawn)).repeat_interleave(counts)}


class NearSurface(Data):
    """Samples about the surfaces of pairs, spread by a Gaussian, and uniform in their box, each at its own time."""

    def __init__(self, config: NearSurfaceConfig, build: Build) -> None:
        super().__init__(config, build)
        shapes = build.scene.data[config.data]
        if not isinstance(shapes, ShapePairs):
            raise UserError(
                f"{build.place} needs pairs of shapes: name a data table of type shape_pair or shape_sequence"
            )
        assert shapes.bounds is not None
        self._config, self._points = config, [torch.cat(pair.surfaces) for pair in shapes.pairs]
        lower, upper = shapes.bounds
        margin = config.padding * (upper - lower).max()
        self._box = torch.stack([lower - margin, upper + margin])

    def batches(self, set_name: str, draw: Any) -> int:
        return 1

    def sample(self, request: Draw) -> Quantities:
        count, generator = self._config.batch, request.generator
        far = round(count * self._config.uniform)
        index = torch.arange(count) % len(self._points)
        near = self._near(index[: count - far], generator)
        lower, upper = self._box
        points = torch.cat([near, lower + (upper - lower) * torch.rand(far, 3, generator=generator)])
        return {"points": points, "time": torch.rand(count, generator=generator), "index": index}

    def _near(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """Return a point about a surface of each pair that is named."""
        points = torch.empty(len(index), 3)
        for number, surfaces in enumerate(self._points):
            rows = index == number
            points[rows] = surfaces[torch.randint(len(surfaces), (int(rows.sum()),), generator=generator)]
        return points + torch.randn(points.shape, generator=generator) * self._config.spread


def _frame(source: Mesh | PointCloud, build: Build) -> Frame:
    fit = build.frame_fit
    if fit.fit == "area" and isinstance(source, Mesh):
        return Frame.fit(source.vertices, "area", fit.size, area=source.area)
    return build.frame_of(corners(source))
