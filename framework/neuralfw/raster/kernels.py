"""The loops of the rasteriser, compiled by numba.

A pixel's ray is d = (x, y, 1) in camera axes. Of a triangle (v0, v1, v2) with det = v0·(v1 × v2), the functions
e0 = d·(v1 × v2), e1 = d·(v2 × v0) and e2 = d·(v0 × v1) are linear in the pixel; the ray meets the triangle in front of
the camera where all three have the sign of det. There they are in the ratio of the barycentric coordinates (corrected
for perspective), and their sum over det is the inverse depth (Olano and Greer 1997). So nothing is divided before it is
drawn, and no triangle is cut: the near plane is a bound on the inverse depth of each pixel.
"""

from typing import Any, no_type_check

import numpy as np
from numba import njit, prange

BIN_ROWS = 8
_SLACK = 1e-3  # pixels by which a box is larger than its triangle, far above rounding
_LEAST = 1e-300  # an edge function of an edge that is not the triangle's own must reach it

_loop: Any = njit(cache=True, nogil=True, error_model="numpy")
_parallel: Any = njit(parallel=True, cache=True, nogil=True, error_model="numpy")


@_loop
@no_type_check
def _span(low, high, size):
    """The pixels, from the first to beyond the last, whose centres lie between two coordinates."""
    first = np.ceil(min(max(low - 0.5 - _SLACK, 0.0), float(size)))
    beyond = np.floor(min(max(high - 0.5 + _SLACK, -1.0), size - 1.0)) + 1.0
    return np.int32(first), np.int32(beyond)


@_loop
@no_type_check
def _box(corners, intrinsics, size, near):
    """The pixels x0, x1, y0, y1 that the part of a triangle beyond the near plane may cover."""
    fx, fy, cx, cy = intrinsics
    left = top = np.inf
    right = bottom = -np.inf
    for i in range(3):
        x, y, z = corners[i]
        if z >= near:
            u, v = fx * x / z + cx, fy * y / z + cy
            left, right, top, bottom = min(left, u), max(right, u), min(top, v), max(bottom, v)
        x2, y2, z2 = corners[(i + 1) % 3]
        if (z < near) != (z2 < near):
            t = (near - z) / (z2 - z)
            u, v = fx * (x + t * (x2 - x)) / near + cx, fy * (y + t * (y2 - y)) / near + cy
            left, right, top, bottom = min(left, u), max(right, u), min(top, v), max(bottom, v)
    x0, x1 = _span(left, right, size[1])
    y0, y1 = _span(top, bottom, size[0])
    return x0, x1, y0, y1


@_parallel
@no_type_check
def set_up(vertices, faces, intrinsics, size, near, planes, boxes):
    """Write each face's edge functions, as ax + by + c of pixel coordinates, with the sign that is positive inside,
    then 1/|det|: `planes (f, 10)`; and the pixels x0, x1, y0, y1 that it may cover: `boxes (f, 4)`."""
    fx, fy, cx, cy = intrinsics
    for f in prange(len(faces)):
        corners = np.empty((3, 3))
        for i in range(3):
            corners[i] = vertices[faces[f, i]]
        boxes[f] = 0
        x0, x1, y0, y1 = _box(corners, intrinsics, size, near)
        if x0 >= x1 or y0 >= y1:
            continue
        for i in range(3):
            p, q = corners[(i + 1) % 3], corners[(i + 2) % 3]
            a = (p[1] * q[2] - p[2] * q[1]) / fx
            b = (p[2] * q[0] - p[0] * q[2]) / fy
            c = p[0] * q[1] - p[1] * q[0]
            planes[f, 3 * i] = a
            planes[f, 3 * i + 1] = b
            planes[f, 3 * i + 2] = c - a * cx - b * cy
            if i == 0:
                o = corners[0]
                planes[f, 9] = a * fx * o[0] + b * fy * o[1] + c * o[2]
        det = planes[f, 9]
        if not (det > 0.0 or det < 0.0) or np.isinf(det):
            continue
        if det < 0.0:
            planes[f] *= -1.0
        planes[f, 9] = 1.0 / abs(det)
        boxes[f, 0], boxes[f, 1], boxes[f, 2], boxes[f, 3] = x0, x1, y0, y1


@_loop
@no_type_check
def sort_into_bins(boxes, bins):
    """Return the faces of each bin in their order, one bin after another, and where each bin begins."""
    starts = np.zeros(bins + 1, dtype=np.int64)
    for f in range(len(boxes)):
        if boxes[f, 1] > boxes[f, 0]:
            for b in range(boxes[f, 2] // BIN_ROWS, (boxes[f, 3] - 1) // BIN_ROWS + 1):
                starts[b + 1] += 1
    for b in range(bins):
        starts[b + 1] += starts[b]
    members = np.empty(starts[bins], dtype=np.int32)
    place = starts[:-1].copy()
    for f in range(len(boxes)):
        if boxes[f, 1] > boxes[f, 0]:
            for b in range(boxes[f, 2] // BIN_ROWS, (boxes[f, 3] - 1) // BIN_ROWS + 1):
                members[place[b]] = f
                place[b] += 1
    return members, starts


@_loop
@no_type_check
def _least(a, b, c):
    """What an edge function must reach: 0 belongs to one of the two triangles that share the edge, not to both."""
    own = a > 0.0 or (a == 0.0 and (b > 0.0 or (b == 0.0 and c > 0.0)))
    return 0.0 if own else _LEAST


@_loop
@no_type_check
def _draw(f, planes, box, first, beyond, farthest, face, nearness):
    """Draw a face into the rows from `first` to before `beyond`."""
    a0, b0, c0, a1, b1, c1, a2, b2, c2, scale = planes[f]
    least0, least1, least2 = _least(a0, b0, c0), _least(a1, b1, c1), _least(a2, b2, c2)
    for y in range(max(box[2], first), min(box[3], beyond)):
        row = y + 0.5
        r0, r1, r2 = b0 * row + c0, b1 * row + c1, b2 * row + c2
        for x in range(box[0], box[1]):
            column = x + 0.5
            e0, e1, e2 = a0 * column + r0, a1 * column + r1, a2 * column + r2
            if e0 >= least0 and e1 >= least1 and e2 >= least2:
                near = (e0 + e1 + e2) * scale
                if near > nearness[y, x] and near <= farthest:
                    nearness[y, x] = near
                    face[y, x] = f


@_parallel
@no_type_check
def draw(planes, boxes, members, starts, order, nearest, face, nearness, barycentric):
    """Draw the bins in `order`: the front-most face of each pixel, its inverse depth, its barycentric coordinates.

    Of faces at the same depth the first is kept. A bin is drawn by one thread, so the result does not depend on how
    many there are.
    """
    height, width = face.shape
    for k in prange(len(order)):
        b = order[k]
        first, beyond = b * BIN_ROWS, min((b + 1) * BIN_ROWS, height)
        for i in range(starts[b], starts[b + 1]):
            f = members[i]
            _draw(f, planes, boxes[f], first, beyond, nearest, face, nearness)
        for y in range(first, beyond):
            for x in range(width):
                if face[y, x] >= 0:
                    p = planes[face[y, x]]
                    e0 = p[0] * (x + 0.5) + (p[1] * (y + 0.5) + p[2])
                    e1 = p[3] * (x + 0.5) + (p[4] * (y + 0.5) + p[5])
                    e2 = p[6] * (x + 0.5) + (p[7] * (y + 0.5) + p[8])
                    total = e0 + e1 + e2
                    barycentric[y, x, 0], barycentric[y, x, 1] = e0 / total, e1 / total
                    barycentric[y, x, 2] = e2 / total
