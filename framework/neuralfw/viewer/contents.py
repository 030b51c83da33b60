"""What of a run can be looked at in a browser, as arrays in its world. Knows nothing of the viewer."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8
from PIL import Image

from ..data.config import PointsConfig
from ..data.images import Images
from ..data.points import Points
from ..film.shots import photographed
from ..geometry import Camera, Mesh, read_mesh
from ..geometry.rotation import matrix_of_quaternion
from ..geometry.splats import Stored, read_gaussians
from ..meshing import EmptySurfaceError
from ..pages.pictures import ramp
from ..pages.surface_error import surface_error, truth_at
from ..pages.surfaces import exported
from ..picture import COLOR

if TYPE_CHECKING:
    from ..run import Run

MOST_CAMERAS = 60
MOST_POINTS = 100_000
PICTURE = 160
"""Longer edge of a photograph at its camera, pixels."""

SLICE = 96
"""Cells along each side of a slice of the SDF."""

BANDS = 0.05
"""Distance between the lines of a slice, as a share of the box's longest edge."""


@dataclass(frozen=True, eq=False)
class Slice:
    """The SDF on a plane through the box: blue inside, red outside, lines of equal distance, black at zero.

    Attributes:
        image: rows downwards.
        center: of the plane, world units.
        across, down: edges of the image, world units; orthogonal.
    """

    image: UInt8[np.ndarray, "h w 3"]
    center: Float64[np.ndarray, "3"]
    across: Float64[np.ndarray, "3"]
    down: Float64[np.ndarray, "3"]


class Contents:
    """The parts of a run that a viewer shows; each is found when it is asked for.

    Attributes:
        run: that is looked at.
        resolution: of meshes that are made for the viewer, where none is exported.
    """

    def __init__(self, run: Run, *, reference: Path | None = None, resolution: int = 64) -> None:
        self.run, self.resolution = run, resolution
        self._reference = reference or run.reference
        self._meshes: dict[float | None, Mesh | None] = {}

    @cached_property
    def box(self) -> Float64[np.ndarray, "2 3"]:
        """Lower and upper corner of what the run learnt, in its world."""
        bounds = self.run.scene.bounds.double().numpy()
        corners = self.run.frame.to_world(np.stack(np.meshgrid(*bounds.T), axis=-1).reshape(-1, 3))
        return np.stack([corners.min(axis=0), corners.max(axis=0)])

    @cached_property
    def files(self) -> dict[str, Path]:
        """The exported meshes by label, or one mesh of each shape."""
        return {file.label or "mesh": file.path for file in exported(self.run)}

    @property
    def moves(self) -> bool:
        """Whether it has a mesh at any time."""
        return self.run.timed and self.run.recipe.export is not None

    def mesh(self, time: float | None = None) -> Mesh | None:
        """Return the surface: the exported one where there is one, else it is made; None where it is empty.

        Raises:
            UserError: it has no surface at all.
        """
        if time not in self._meshes:
            file = self.files.get("mesh" if time is None else f"t = {time:.3f}")
            try:
                self._meshes[time] = read_mesh(file) if file else self.run.mesh(time, self.resolution)
            except EmptySurfaceError:
                self._meshes[time] = None
        return self._meshes[time]

    def painted(self, mesh: Mesh, look: str, time: float | None = None) -> Mesh:
        """Return a mesh with the colours of a look: "shape", "colors", "normals" or "error"."""
        if look == "normals":
            return replace(mesh, colors=0.5 * (mesh.vertex_normals + 1.0))
        if look == "error" and self._reference is not None and (truth := truth_at(self._reference, time)) is not None:
            error = surface_error(mesh, truth)
            return replace(mesh, colors=ramp(error.distance / error.scale))
        if look == "colors" and mesh.colors is not None:
            return mesh
        return replace(mesh, colors=np.tile(COLOR, (len(mesh.vertices), 1)))

    @property
    def looks(self) -> list[str]:
        """What its mesh can be painted by."""
        return ["shape", "colors", "normals", *(["error"] if self._reference is not None else [])]

    @cached_property
    def gaussians(self) -> Stored | None:
        """The Gaussians that the run exported, in its world; None where it has none."""
        files = sorted(self.run.folder.root.glob("gaussians/*.ply"))
        return read_gaussians(files[0]) if files else None

    @cached_property
    def cameras(self) -> list[tuple[Camera, UInt8[np.ndarray, "h w 3"]]]:
        """Cameras of the photographs learnt from, as they were learnt, with small pictures; [] where there are none.

        Raises:
            UserError: the photographs are not where they were.
        """
        if self.run.photographs is None:
            return []
        data = self.run.data(self.run.photographs)
        assert isinstance(data, Images)
        shots, members = photographed(self.run, "train"), data.members("train")
        order = sorted(members, key=lambda index: data.views[index].time or 0.0)
        step = -(-len(order) // MOST_CAMERAS)
        pairs = [*zip(shots, order, strict=True)][::step]
        return [(shot.camera, _small(data.view_batch(index)["rgb"][0].numpy())) for shot, index in pairs]

    @cached_property
    def points(self) -> Float[np.ndarray, "n 3"] | None:
        """The points that the run learnt from, at most so many; None where it learnt from none.

        Raises:
            UserError: they are not where they were.
        """
        for name, spec in self.run.recipe.data.items():
            if isinstance(spec.config, PointsConfig):
                data = self.run.data(name)
                assert isinstance(data, Points)
                points = data.points[:: -(-len(data.points) // MOST_POINTS)].double().numpy()
                return self.run.frame.to_world(points)
        return None

    @cached_property
    def steps(self) -> dict[int, Path]:
        """Meshes that were saved while it trained, by step: those of one time, the first, of a scene that moves."""
        files = sorted((self.run.folder.meshes / "steps").glob("*.ply"), reverse=True)
        return {int(m[1]): file for file in files if (m := re.match(r"(\d+)_", file.name))}

    def sliced(self, axis: int, share: float, time: float | None = None) -> Slice:
        """Return the SDF on a plane across an axis of the world, at a share of the box from 0 to 1."""
        low, high = self.box
        others = [(axis + 1) % 3, (axis + 2) % 3]
        size = high - low
        across, down = (np.eye(3)[other] * size[other] for other in others)
        center = 0.5 * (low + high)
        center[axis] = low[axis] + share * size[axis]
        grid = (np.arange(SLICE) + 0.5) / SLICE - 0.5
        points = center + grid[None, :, None] * across + grid[:, None, None] * down
        values = self.run.sdf(points.reshape(-1, 3), time).reshape(SLICE, SLICE)
        return Slice(distance_colors(values, float(size.max())), center, across, down)


def distance_colors(values: Float[np.ndarray, "h w"], length: float) -> UInt8[np.ndarray, "h w 3"]:
    """Return signed distances as colours: blue inside, red outside, lines every BANDS of a length, black at 0."""
    share = np.abs(values) / length
    tint = np.where(values[..., None] < 0.0, [0.25, 0.45, 0.85], [0.88, 0.42, 0.30])
    colors = 1.0 - (1.0 - tint) * np.exp(-3.0 * share)[..., None]
    cells = np.floor(values / (BANDS * length))
    lines = np.zeros(values.shape, bool)
    zero = np.zeros(values.shape, bool)
    for axis in (0, 1):
        here, there = (np.take(cells, range(start, values.shape[axis] - 1 + start), axis) for start in (0, 1))
        sides = [np.take(values < 0.0, range(start, values.shape[axis] - 1 + start), axis) for start in (0, 1)]
        within = (slice(None, -1), slice(None)) if axis == 0 else (slice(None), slice(None, -1))
        lines[within] |= here != there
        zero[within] |= sides[0] != sides[1]
    colors[lines] *= 0.8
    colors[zero] = 0.0
    levels: UInt8[np.ndarray, "h w 3"] = np.round(255.0 * colors).astype(np.uint8)
    return levels


def covariances(gaussians: Stored) -> Float64[np.ndarray, "g 3 3"]:
    """Return R diag(s²) Rᵀ of each."""
    rotations = matrix_of_quaternion(torch.from_numpy(gaussians.quaternions).double()).numpy()
    scaled = rotations * np.exp(gaussians.log_scales.astype(np.float64))[:, None, :]
    found: Float64[np.ndarray, "g 3 3"] = scaled @ scaled.transpose(0, 2, 1)
    return found


def _small(image: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
    picture = Image.fromarray(np.round(255.0 * image).clip(0, 255).astype(np.uint8))
    picture.thumbnail((PICTURE, PICTURE))
    return np.asarray(picture)
