"""Values of vertices at pixels, and the way back.

With d the ray of a pixel in camera axes and v0, v1, v2 the corners, the barycentric coordinates are in the ratio of
e0 = det(d, v1, v2), e1 = det(d, v2, v0) and e2 = det(d, v0, v1): perspective is in them, nothing is projected.
"""

from typing import Any, no_type_check

import numpy as np
from numba import njit, prange

BANDS = 4
"""Rows are added up in so many bands, whatever the number of threads, so that this does not change the sums."""

_loop: Any = njit(cache=True, nogil=True, error_model="numpy")
_parallel: Any = njit(parallel=True, cache=True, nogil=True, error_model="numpy")


@_loop
@no_type_check
def _det(dx, dy, a, b):
    """The determinant of (dx, dy, 1), a and b."""
    return dx * (a[1] * b[2] - a[2] * b[1]) + dy * (a[2] * b[0] - a[0] * b[2]) + (a[0] * b[1] - a[1] * b[0])


@_parallel
@no_type_check
def interpolate(positions, values, faces, face, intrinsics, image):
    fx, fy, cx, cy = intrinsics
    height, width = face.shape
    for y in prange(height):
        dy = (y + 0.5 - cy) / fy
        for x in range(width):
            f = face[y, x]
            if f < 0:
                for c in range(values.shape[1]):
                    image[y, x, c] = 0.0
                continue
            dx = (x + 0.5 - cx) / fx
            i, j, k = faces[f]
            p, q, r = positions[i], positions[j], positions[k]
            e0, e1, e2 = _det(dx, dy, q, r), _det(dx, dy, r, p), _det(dx, dy, p, q)
            scale = 1.0 / (e0 + e1 + e2)
            for c in range(values.shape[1]):
                image[y, x, c] = scale * (e0 * values[i, c] + e1 * values[j, c] + e2 * values[k, c])


@_loop
@no_type_check
def _add_cross(total, weight, a, dx, dy):
    """Add weight · (d × a) to a row."""
    total[0] += weight * (dy * a[2] - a[1])
    total[1] += weight * (a[0] - dx * a[2])
    total[2] += weight * (dx * a[1] - dy * a[0])


@_parallel
@no_type_check
def interpolate_backward(positions, values, faces, face, intrinsics, d_image, d_positions, d_values):
    """Add to `d_positions (bands, n, 3)` and `d_values (bands, n, c)`."""
    fx, fy, cx, cy = intrinsics
    height, width = face.shape
    bands = len(d_values)
    for band in prange(bands):
        to_positions, to_values = d_positions[band], d_values[band]
        for y in range(band * height // bands, (band + 1) * height // bands):
            dy = (y + 0.5 - cy) / fy
            for x in range(width):
                f = face[y, x]
                if f < 0:
                    continue
                dx = (x + 0.5 - cx) / fx
                i, j, k = faces[f]
                p, q, r = positions[i], positions[j], positions[k]
                e0, e1, e2 = _det(dx, dy, q, r), _det(dx, dy, r, p), _det(dx, dy, p, q)
                scale = 1.0 / (e0 + e1 + e2)
                b0, b1, b2 = scale * e0, scale * e1, scale * e2
                g0 = g1 = g2 = 0.0
                for c in range(values.shape[1]):
                    g = d_image[y, x, c]
                    g0 += g * values[i, c]
                    g1 += g * values[j, c]
                    g2 += g * values[k, c]
                    to_values[i, c] += b0 * g
                    to_values[j, c] += b1 * g
                    to_values[k, c] += b2 * g
                mean = b0 * g0 + b1 * g1 + b2 * g2
                h0, h1, h2 = scale * (g0 - mean), scale * (g1 - mean), scale * (g2 - mean)
                _add_cross(to_positions[i], h1, r, dx, dy)
                _add_cross(to_positions[i], -h2, q, dx, dy)
                _add_cross(to_positions[j], h2, p, dx, dy)
                _add_cross(to_positions[j], -h0, r, dx, dy)
                _add_cross(to_positions[k], h0, q, dx, dy)
                _add_cross(to_positions[k], -h1, p, dx, dy)


def sums(count: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return zeros for `interpolate_backward` to add to."""
    return np.zeros((BANDS, count, 3)), np.zeros((BANDS, count, channels))
