"""Depth images fused into a truncated signed distance on a grid (Curless and Levoy 1996), and its mesh."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Float, Float32
from numba import njit, prange

from neuralfw.geometry import Camera
from neuralfw.threads import numba_threads

from .cells import CrossedCells, frontier, triangulate
from .grid import CORNERS, Grid
from .surface import EmptySurfaceError, ExtractionStats, Surface

_parallel: Any = njit(parallel=True, cache=True, nogil=True, error_model="numpy")


class Fusion:
    """The running mean, at each node of a grid, of what depth images say: distance to the surface along the optical
    axis over the truncation, 1 in front of it, negative behind; nothing farther behind than the truncation."""

    def __init__(self, grid: Grid, truncation: float) -> None:
        self.grid, self.truncation = grid, truncation
        self._value = np.zeros(grid.node_shape, dtype=np.float32)
        self._weight = np.zeros(grid.node_shape, dtype=np.float32)
        self.views = 0

    def add(
        self, camera: Camera, depth: Float32[np.ndarray, "h w"], alpha: Float32[np.ndarray, "h w"], min_alpha: float
    ) -> None:
        """Fuse an image.

        Args:
            camera: in the grid's space.
            depth: along the optical axis.
            alpha: opacity; where it is below `min_alpha` all of the ray is taken to be empty.
            min_alpha: see there.
        """
        pose = np.concatenate([camera.world_to_camera[:3].ravel(), camera.intrinsics])
        shown = np.where(alpha >= min_alpha, depth, np.float32(np.inf))
        with numba_threads():
            _fuse(self._value, self._weight, shown, pose, self.grid.origin, self.grid.spacing, self.truncation)
        self.views += 1

    def surface(self) -> Surface:
        """The zero level set among the nodes that some image saw; open where none did.

        Raises:
            EmptySurfaceError: there is none.
        """
        cells = _crossed_cells(self._value, self._weight)
        if len(cells) == 0:
            seen = float((self._weight > 0).mean())
            raise EmptySurfaceError(
                f"The depth of {self.views} images has no surface in the box: {seen:.0%} of its nodes were seen, all of"
                " them empty or all behind a surface. Raise the resolution, or look at what the scene renders."
            )
        corners = cells[:, None] + CORNERS
        crossing = CrossedCells(cells, self._value[tuple(np.moveaxis(corners, -1, 0))].astype(np.float64))
        vertices, faces = triangulate(self.grid, crossing)
        stats = ExtractionStats(
            method="fusion",
            level=0.0,
            cells=self.grid.cells,
            spacing=self.grid.spacing,
            nodes=self.grid.node_count,
            evaluations=self.grid.node_count * self.views,
            lipschitz=None,
            leaves_bounds=frontier(self.grid, crossing)[1] > 0,
        )
        return Surface(vertices, faces, stats)


def fuse(
    grid: Grid,
    images: Iterable[tuple[Camera, Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]],
    *,
    truncation: float,
    min_alpha: float = 0.5,
) -> Surface:
    """Fuse depth images and mesh the result.

    Args:
        grid: where.
        images: cameras in the grid's space with depth along the optical axis and alpha.
        truncation: distance behind the surface up to which nodes are behind it, in the grid's units.
        min_alpha: below it a pixel is empty.

    Raises:
        EmptySurfaceError: the images have no surface in the grid.
    """
    fusion = Fusion(grid, truncation)
    for camera, depth, alpha in images:
        fusion.add(camera, depth.astype(np.float32), alpha.astype(np.float32), min_alpha)
    return fusion.surface()


def _crossed_cells(value: Float32[np.ndarray, "x y z"], weight: Float32[np.ndarray, "x y z"]) -> Any:
    """The cells that the level set crosses and all of whose corners were seen, (m, 3), slab by slab."""
    found = []
    for x in range(len(value) - 1):
        inside, seen = value[x : x + 2] < 0, weight[x : x + 2] > 0
        if not (inside & seen).any():
            continue
        corners = [np.s_[c[0], c[1] : inside.shape[1] - 1 + c[1], c[2] : inside.shape[2] - 1 + c[2]] for c in CORNERS]
        count = sum(inside[part].astype(np.int8) for part in corners)
        whole = np.logical_and.reduce([seen[part] for part in corners])
        y, z = np.nonzero(whole & (count > 0) & (count < 8))
        found.append(np.stack([np.full_like(y, x), y, z], axis=1))
    return np.concatenate(found) if found else np.zeros((0, 3), dtype=np.int64)


@_parallel
@no_type_check
def _fuse(value, weight, depth, pose, origin, spacing, truncation):
    """Add what a depth image says to the nodes; depth is inf where the ray is empty."""
    height, width = depth.shape
    fx, fy, cx, cy = pose[12], pose[13], pose[14], pose[15]
    for i in prange(value.shape[0]):
        x = origin[0] + spacing * i
        for j in range(value.shape[1]):
            y = origin[1] + spacing * j
            start_x = pose[0] * x + pose[1] * y + pose[2] * origin[2] + pose[3]
            start_y = pose[4] * x + pose[5] * y + pose[6] * origin[2] + pose[7]
            start_z = pose[8] * x + pose[9] * y + pose[10] * origin[2] + pose[11]
            for k in range(value.shape[2]):
                along = spacing * k
                z = start_z + pose[10] * along
                if z <= 0.0:
                    continue
                u = fx * (start_x + pose[2] * along) / z + cx
                v = fy * (start_y + pose[6] * along) / z + cy
                if not (0.0 <= u < width and 0.0 <= v < height):
                    continue
                distance = depth[int(v), int(u)] - z
                if abs(distance) < 2.0 * truncation:
                    distance = _depth_at(depth, u, v, truncation) - z
                if distance >= -truncation:
                    signed = np.float32(min(distance / truncation, 1.0))
                    before = weight[i, j, k]
                    value[i, j, k] = (value[i, j, k] * before + signed) / (before + np.float32(1.0))
                    weight[i, j, k] = before + np.float32(1.0)


@njit(cache=True, nogil=True, error_model="numpy")
@no_type_check
def _depth_at(depth, u, v, step):
    """Depth between pixel centres, linearly interpolated; where it jumps by more than a step, the nearest pixel's."""
    height, width = depth.shape
    column, row = min(max(u - 0.5, 0.0), width - 1.0), min(max(v - 0.5, 0.0), height - 1.0)
    x, y = min(int(column), max(width - 2, 0)), min(int(row), max(height - 2, 0))
    x1, y1 = min(x + 1, width - 1), min(y + 1, height - 1)
    a, b, c, d = depth[y, x], depth[y, x1], depth[y1, x], depth[y1, x1]
    if max(max(a, b), max(c, d)) - min(min(a, b), min(c, d)) <= step:
        s, t = column - x, row - y
        return (a * (1.0 - s) + b * s) * (1.0 - t) + (c * (1.0 - s) + d * s) * t
    return float(depth[int(v), int(u)])
