"""Silhouettes that say which balls they touch: the loop over points and cameras, compiled by numba."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Bool, Float64, Int32
from numba import njit, prange

from neuralfw.geometry.camera import Camera
from neuralfw.threads import numba_threads

_parallel: Any = njit(parallel=True, cache=True, nogil=True, error_model="numpy")


class Silhouettes:
    """Masks side by side, each as the sums over all rectangles from its corner, with their cameras."""

    def __init__(self, cameras: Sequence[Camera], sums: Sequence[Int32[np.ndarray, "_ _"]]) -> None:
        self._poses = np.stack([c.world_to_camera for c in cameras])
        self._intrinsics = np.stack([c.intrinsics for c in cameras])
        self._sizes = np.array([[c.width, c.height] for c in cameras])
        self._sums = np.concatenate([s.ravel() for s in sums])
        self._starts = np.cumsum([0, *(s.size for s in sums[:-1])])

    def touch(
        self, points: Float64[np.ndarray, "n 3"], radius: float, spared: int, least: float
    ) -> Bool[np.ndarray, "n"]:
        """Mark balls that touch all silhouettes but so many that are spared, of the images in which their centres fall.

        Args:
            points: centres of the balls.
            radius: of all of them.
            spared: how many silhouettes need not be touched.
            least: in how many images a centre must fall.
        """
        marked = np.empty(len(points), dtype=bool)
        with numba_threads():
            _touch(
                points, radius, spared, least, self._poses, self._intrinsics, self._sizes, self._sums, self._starts,
                marked,
            )  # fmt: skip
        return marked


@_parallel
@no_type_check
def _touch(points, radius, spared, least, poses, intrinsics, sizes, sums, starts, marked):
    for i in prange(len(points)):
        p, q, r = points[i]
        seen = missed = 0
        for c in range(len(poses)):
            pose = poses[c]
            x = pose[0, 0] * p + pose[0, 1] * q + pose[0, 2] * r + pose[0, 3]
            y = pose[1, 0] * p + pose[1, 1] * q + pose[1, 2] * r + pose[1, 3]
            z = pose[2, 0] * p + pose[2, 1] * q + pose[2, 2] * r + pose[2, 3]
            if z <= 0.0:
                continue
            fx, fy, cx, cy = intrinsics[c]
            width, height = sizes[c]
            u, v = x / z * fx + cx, y / z * fy + cy
            if not (0.0 <= u < width and 0.0 <= v < height):
                continue
            seen += 1
            reach = max(fx, fy) * radius / max(z - radius, 1e-3 * z)
            x0, y0 = int(max(u - reach, 0.0)), int(max(v - reach, 0.0))
            x1, y1 = int(min(u + reach + 1.0, width)), int(min(v + reach + 1.0, height))
            top, bottom = starts[c] + y0 * (width + 1), starts[c] + y1 * (width + 1)
            if sums[bottom + x1] - sums[top + x1] - sums[bottom + x0] + sums[top + x0] == 0:
                missed += 1
                if missed > spared:
                    break
        marked[i] = missed <= spared and seen >= least
