"""Where the object of posed photographs is, and the points to start from: from files, masks, or cameras alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from ..errors import UserError
from ..geometry import Camera, PointCloud, read_point_cloud
from ..geometry.point_cloud import usable
from ..photos.hull import Box, Hull, HullOverTime, mean_color, seen_box
from ..photos.model import Capture
from ..photos.sphere import outside
from .images_config import ImagesConfig
from .photographs import Photographs

_COLOR_VIEWS = 16
"""Photographs from which points of the hull take their colours."""

_FIT_POINTS = 5000
_VIEWS_OF_A_MOMENT = 4
_RANGE = (0.01, 0.99)
"""Quantiles of the points that make their box: a structure from motion has outliers."""


class Whereabouts:
    """All in the world, before there is a frame.

    Attributes:
        cloud: points of files to start from, or None.
        withheld: sparse points kept out of it, or None.
        chosen: what `init_points` comes to: "file", "dense", "sparse", "hull" or "random".
    """

    def __init__(
        self,
        config: ImagesConfig,
        capture: Capture,
        photographs: Photographs,
        cameras: Sequence[Camera],
        members: Sequence[int],
    ) -> None:
        """Read the points, if there are any.

        Args:
            config: the data's options.
            capture: what the reader found.
            photographs: whose masks and colours are asked for only when needed.
            cameras: of all photographs at the size used.
            members: indices of the photographs to train on; no other is looked at.

        Raises:
            UserError: `init_points` asks for what there is not, or a cloud cannot be read.
        """
        self._config, self._capture, self._photographs = config, capture, photographs
        self._members, self._cameras = members, [cameras[i] for i in members]
        self.chosen = "file" if config.init_file is not None else self._choose()
        self.withheld: PointCloud | None = None
        self.cloud = self._from_files()

    def _choose(self) -> str:
        wanted = self._config.init_points
        possible = {
            "dense": self._capture.cloud is not None,
            "sparse": self._capture.points is not None,
            "hull": self._photographs.masked,
            "random": True,
        }
        if wanted == "auto":
            return next(kind for kind, there in possible.items() if there)
        if not possible[wanted]:
            there = ", ".join(kind for kind, able in possible.items() if able)
            raise UserError(f'init_points = "{wanted}": {self._config.path} has none. There are: {there}.')
        return wanted

    def _from_files(self) -> PointCloud | None:
        withheld = self._withheld()
        if self._capture.points is not None and withheld.any():
            self.withheld = self._capture.points.select(withheld)
        if self.chosen == "sparse":
            assert self._capture.points is not None
            return self._capture.points.select(~withheld)
        file = self._config.init_file if self.chosen == "file" else self._capture.cloud
        return _finite(read_point_cloud(file), file) if self.chosen in ("file", "dense") and file is not None else None

    def _withheld(self) -> Bool[np.ndarray, "n"]:
        """Mark the sparse points that are not started from: every so many-th of those seen often enough."""
        every, least = self._config.withholding()
        marked = np.zeros(0 if self._capture.points is None else len(self._capture.points), dtype=bool)
        if every and self._capture.tracks is not None:
            marked[np.flatnonzero(self._capture.tracks.length >= least)[::every]] = True
        if every and not marked.any():
            raise UserError(f"withhold = {every}: no sparse point is seen in {least} photographs or more.")
        return marked

    @cached_property
    def hull(self) -> Hull | HullOverTime | None:
        """The visual hull of the masks, of each moment where several views show it; or None where there are none."""
        if not self._photographs.masked:
            return None
        frame = self._capture.frame
        within = None if frame is None else frame.to_world(np.array([[-1.0] * 3, [1.0] * 3]))
        masks = self._photographs.silhouettes(self._members)
        if frame is not None and (past := outside(frame, self._cameras, masks)) is not None:
            raise UserError(
                f"the normalisation that comes with {self._config.path} (scale_mat) leaves the object outside the unit "
                f"sphere: {past}. Make another: neuralfw data convert {self._config.path} DST"
            )
        moments = self._moments()
        if len(moments) < 2:
            return Hull.agreed(self._cameras, masks, within)
        return HullOverTime(
            [Hull.agreed([self._cameras[i] for i in m], [masks[i] for i in m], within) for m in moments]
        )

    def _moments(self) -> list[list[int]]:
        """Return which of the photographs show one moment, by places among the members; [] unless all are seen often.

        A video of one camera has one photograph for each moment, of which no hull can be made.
        """
        of: dict[float | None, list[int]] = {}
        for place, index in enumerate(self._members):
            of.setdefault(self._capture.views[index].time, []).append(place)
        return [*of.values()] if None not in of and min(map(len, of.values()), default=0) >= _VIEWS_OF_A_MOMENT else []

    @cached_property
    def box(self) -> Box:
        """The box of the points without their outliers; else of the hull; else of what the cameras see."""
        if self.cloud is not None:
            box: Box = np.quantile(self.cloud.points, _RANGE, axis=0)
            return box
        return seen_box(self._cameras) if self.hull is None else self.hull.bounds

    def points_to_fit(self) -> Float64[np.ndarray, "n 3"]:
        """Points that the frame is fitted to, without outliers."""
        if self.cloud is not None:
            inside = ((self.cloud.points >= self.box[0]) & (self.cloud.points <= self.box[1])).all(axis=1)
            return self.cloud.select(inside).points
        if self.hull is not None:
            return self.hull.sample(_FIT_POINTS, np.random.default_rng(0))
        return np.stack(np.meshgrid(*self.box.T), axis=-1).reshape(-1, 3)

    def start(self, generator: np.random.Generator) -> PointCloud:
        """The points to start from, with colours."""
        if self.cloud is not None:
            grey = np.full_like(self.cloud.points, 0.5)
            return self.cloud if self.cloud.colors is not None else replace(self.cloud, colors=grey)
        count = self._config.init_count
        if self.chosen == "hull":
            assert self.hull is not None
            points = self.hull.sample(count, generator)
            return PointCloud(points, colors=self._seen_colors(points))
        points = self.box[0] + generator.random((count, 3)) * (self.box[1] - self.box[0])
        return PointCloud(points, colors=np.full((count, 3), 0.5))

    def _seen_colors(self, points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
        step = max(1, len(self._members) // _COLOR_VIEWS)
        images = [self._photographs[i].rgb.numpy() for i in self._members[::step]]
        return mean_color(points, self._cameras[::step], images)

    def description(self) -> str:
        """Say what is started from."""
        words = {"file": "the file given", "dense": "the dense cloud", "sparse": "the sparse points"}
        if self.cloud is not None:
            return f"starts from {words[self.chosen]}: {len(self.cloud):,} points"
        if self.chosen == "hull" and self.hull is not None:
            rough = f", of which {100 * self.hull.votes:.0f} % must agree, as poses are rough"
            text = f"starts from {self._config.init_count:,} points of the visual hull of the masks"
            return text if self.hull.votes == 1.0 else text + rough
        return f"starts from {self._config.init_count:,} random points, as there are neither points nor masks"


def _finite(cloud: PointCloud, file: Path) -> PointCloud:
    """Return a cloud without the points that are not finite; refuse one of which none is left."""
    keep = usable(cloud.points)
    if not keep.any():
        raise UserError(f"{file} holds no point with finite coordinates.")
    return cloud if keep.all() else cloud.select(keep)
