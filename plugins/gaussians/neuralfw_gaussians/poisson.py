"""A mesh through the centres of Gaussians by screened Poisson reconstruction (Kazhdan and Hoppe 2013), by Open3D."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.spatial import cKDTree
from torch import Tensor

from neuralfw.components import Build, Mesher
from neuralfw.data.images import Images
from neuralfw.errors import UserError
from neuralfw.geometry import Camera
from neuralfw.meshing import EmptySurfaceError, ExtractionStats, Surface
from neuralfw.scene import SceneView

from .poisson_config import PoissonConfig
from .rotations import axes

_MARGIN = 1.1  # of Open3D's box about the points


class Poisson(Mesher):
    """Centres of Gaussians with their shortest axes, turned to the nearest training camera, as oriented points."""

    def __init__(self, config: PoissonConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config

    def __call__(
        self, scene: SceneView, *, resolution: int | None = None, inputs: dict[str, Tensor] | None = None
    ) -> Surface:
        """Return the surface in the training space; a resolution is rounded up to a power of two.

        Raises:
            EmptySurfaceError: too few Gaussians are opaque enough.
            UserError: Open3D does not work here, or the data are no posed photographs.
        """
        open3d = find_open3d()
        data = scene.scene.open_data(self._config.data.partition(".")[0])
        if not isinstance(data, Images):
            raise UserError(f"mesher poisson: data {self._config.data!r} are no posed photographs with cameras")
        with torch.no_grad():
            given = scene.evaluate(inputs or {}, frozenset(self._config.wiring().needs))
        kept = given["gaussians/opacities"] >= self._config.min_opacity
        points, scales, rotations = (given[f"gaussians/{q}"][kept] for q in ("means", "scales", "rotations"))
        if len(points) < 8:
            raise EmptySurfaceError(f"mesher poisson: {len(points)} of {len(kept)} Gaussians reach the least opacity")
        cameras = [data.cameras[index] for index in data.members("train")]
        depth = self._config.depth if resolution is None else int(np.ceil(np.log2(resolution)))
        centers = points.double().cpu().numpy()
        normals = turned_to(centers, shortest_axes(scales, rotations), cameras)
        vertices, faces = reconstructed(open3d, centers, normals, depth, self._config.trim)
        spacing = _MARGIN * float((centers.max(axis=0) - centers.min(axis=0)).max()) / 2**depth
        stats = ExtractionStats("poisson", 0.0, (2**depth,) * 3, spacing, 0, 0, None, leaves_bounds=False)
        return Surface(vertices, faces, stats)


def find_open3d() -> Any:
    """Import Open3D.

    Raises:
        UserError: it is not installed, or does not work here.
    """
    try:
        return importlib.import_module("open3d")
    except (ImportError, OSError) as error:
        raise UserError(
            f"mesher poisson needs Open3D, which does not work here: {error}\nto mend it: pip install open3d"
        ) from error


def shortest_axes(scales: Float[Tensor, "g 3"], rotations: Float[Tensor, "g 4"]) -> Float64[np.ndarray, "g 3"]:
    """The axis of each Gaussian along which it is thinnest; to either side."""
    all_axes = axes(rotations).double().cpu().numpy()
    shortest = scales.argmin(dim=1).cpu().numpy()
    found: Float64[np.ndarray, "g 3"] = all_axes[np.arange(len(all_axes)), :, shortest]
    return found


def turned_to(
    points: Float64[np.ndarray, "g 3"], normals: Float64[np.ndarray, "g 3"], cameras: list[Camera]
) -> Float64[np.ndarray, "g 3"]:
    """Normals that look to the side of the nearest camera."""
    eyes = np.stack([camera.center for camera in cameras])
    sight = eyes[cKDTree(eyes).query(points)[1]] - points
    return np.where(np.einsum("ij,ij->i", sight, normals)[:, None] < 0, -normals, normals)


def reconstructed(
    open3d: Any, points: Float64[np.ndarray, "g 3"], normals: Float64[np.ndarray, "g 3"], depth: int, trim: float
) -> tuple[Float64[np.ndarray, "v 3"], Any]:
    """Vertices and faces by oriented points, on one thread: with more, the result differs from time to time."""
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    cloud.normals = open3d.utility.Vector3dVector(normals)
    mesh, density = open3d.geometry.TriangleMesh.create_from_point_cloud_poisson(cloud, depth=depth, n_threads=1)
    if trim > 0:
        density = np.asarray(density)
        mesh.remove_vertices_by_mask(density < np.quantile(density, trim))
    return np.array(mesh.vertices, dtype=np.float64), np.array(mesh.triangles, dtype=np.int64)
