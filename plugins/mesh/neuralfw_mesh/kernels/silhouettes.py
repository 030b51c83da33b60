"""Which pairs of neighbouring pixels a silhouette edge passes between (Laine et al. 2020, arXiv 2011.03277, §3.6)."""

from typing import Any, no_type_check

import numpy as np
from numba import njit, prange

_BEYOND = 1.0 / 16.0  # pixels by which an edge may miss the way between the centres

_loop: Any = njit(cache=True, nogil=True, error_model="numpy")
_parallel: Any = njit(parallel=True, cache=True, nogil=True, error_model="numpy")


@_loop
@no_type_check
def wings(faces, count):
    """Return the vertex beyond each edge of each face, edge i being opposite the face's vertex i: the one opposite it
    in the other face that has the edge, or the face's own where none has. Of more than two faces two count."""
    starts = np.zeros(count + 1, dtype=np.int64)
    for f in range(len(faces)):
        for i in range(3):
            starts[min(faces[f, (i + 1) % 3], faces[f, (i + 2) % 3]) + 1] += 1
    for v in range(count):
        starts[v + 1] += starts[v]
    ends = starts[:-1].copy()
    upper = np.empty(starts[count], dtype=np.int64)
    opposite = np.full((starts[count], 2), -1, dtype=np.int64)
    place = np.empty((len(faces), 3), dtype=np.int64)
    for f in range(len(faces)):
        for i in range(3):
            a, b, own = faces[f, (i + 1) % 3], faces[f, (i + 2) % 3], faces[f, i]
            low, high = min(a, b), max(a, b)
            slot = starts[low]
            while slot < ends[low] and upper[slot] != high:
                slot += 1
            if slot == ends[low]:
                ends[low] += 1
                upper[slot], opposite[slot, 0] = high, own
            elif opposite[slot, 1] < 0 and opposite[slot, 0] != own:
                opposite[slot, 1] = own
            place[f, i] = slot
    found = np.empty((len(faces), 3), dtype=np.int64)
    for f in range(len(faces)):
        for i in range(3):
            pair = opposite[place[f, i]]
            other = pair[1] if pair[0] == faces[f, i] else pair[0]
            found[f, i] = faces[f, i] if other < 0 else other
    return found


@_loop
@no_type_check
def _area(a, b, c):
    """Twice the signed area of a triangle on the screen."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


@_parallel
@no_type_check
def mark(screen, depth, faces, wings, near, marks):
    """Set bit i of a face's mark where its edge i is a silhouette: no other face continues the surface beyond it."""
    for f in prange(len(faces)):
        marks[f] = 0
        i, j, k = faces[f]
        seen = min(depth[i], depth[j], depth[k]) >= near
        for e in range(3):
            seen = seen and depth[wings[f, e]] >= near
        if not seen:
            continue
        p, q, r = screen[i], screen[j], screen[k]
        turn = np.signbit(_area(p, q, r))
        if np.signbit(_area(screen[wings[f, 0]], q, r)) == turn:
            marks[f] |= 1
        if np.signbit(_area(p, screen[wings[f, 1]], r)) == turn:
            marks[f] |= 2
        if np.signbit(_area(p, q, screen[wings[f, 2]])) == turn:
            marks[f] |= 4


@_loop
@no_type_check
def _crossing(screen, corners, x, y, across, side):
    """The edge of a face that lies farthest towards the neighbour of the pixel (x, y), where it crosses the line of the
    two centres, and how far along that is; -1 where the edge is not for this direction."""
    best, edge = -np.inf, -1
    for i in range(3):
        a, b = screen[corners[(i + 1) % 3]], screen[corners[(i + 2) % 3]]
        x1, y1, x2, y2 = a[0] - x - 0.5, a[1] - y - 0.5, b[0] - x - 0.5, b[1] - y - 0.5
        if across:
            x1, y1, x2, y2 = y1, x1, y2, x2
        if np.signbit(y1) != np.signbit(y2) and y1 != y2:
            far = side * (x1 * y2 - x2 * y1) / (y2 - y1)
            if far > best:
                best, edge = far, i if abs(y2 - y1) >= abs(x2 - x1) else -1
    return edge if -_BEYOND < best < 1.0 + _BEYOND else -1


@_parallel
@no_type_check
def find(face, depth, screen, faces, marks, counts, found):
    """Write the crossings of each row of pixels: two pixels, two vertices, whether the second pixel's face has them."""
    height, width = face.shape
    for y in prange(height):
        count = 0
        for x in range(width):
            for across in range(2):
                x1, y1 = x + 1 - across, y + across
                if x1 == width or y1 == height:
                    continue
                f0, f1 = face[y, x], face[y1, x1]
                if f0 == f1:
                    continue
                second = f0 < 0 or (f1 >= 0 and not depth[y, x] < depth[y1, x1])
                f = f1 if second else f0
                if marks[f] == 0:
                    continue
                if second:
                    edge = _crossing(screen, faces[f], x1, y1, across == 1, -1.0)
                else:
                    edge = _crossing(screen, faces[f], x, y, across == 1, 1.0)
                if edge >= 0 and marks[f] & (1 << edge):
                    row = found[y, count]
                    row[0], row[1] = y * width + x, y1 * width + x1
                    row[2], row[3] = faces[f, (edge + 1) % 3], faces[f, (edge + 2) % 3]
                    row[4] = second
                    count += 1
        counts[y] = count


@_loop
@no_type_check
def gather(counts, found):
    """Return the crossings of all rows, one row after another."""
    total = 0
    for y in range(len(counts)):
        total += counts[y]
    rows = np.empty((total, 5), dtype=np.int64)
    place = 0
    for y in range(len(counts)):
        for i in range(counts[y]):
            rows[place] = found[y, i]
            place += 1
    return rows


@_loop
@no_type_check
def _note(pair, owner, other, f, edge, toward, inverse, face, depth, faces, best, place, rows, count):
    """Keep an edge for a pair of pixels, if it hides the other and none lies farther towards that; return the count."""
    if face[owner] < 0 or face[owner] == face[other] or depth[other] * inverse <= 1.0 or toward <= best[pair]:
        return count
    if best[pair] < 0.0:
        place[pair] = count
        count += 1
    best[pair] = toward
    row = rows[place[pair]]
    row[0], row[1] = min(owner, other), max(owner, other)
    row[2], row[3] = faces[f, (edge + 1) % 3], faces[f, (edge + 2) % 3]
    row[4] = owner > other
    return count


@_loop
@no_type_check
def trace(face, depth, screen, local_depth, faces, marks, best, place, rows, width):
    """Follow every silhouette edge over the lines between pixel centres; return how many rows were written.

    `find` sees only edges of faces that lie in a pixel's centre, of which finely meshed, round shapes have few at their
    outline. `face` and `depth` are of all pixels in one row, `best (2 pixels)` is -1.
    """
    height, count = len(face) // width, 0
    for f in range(len(marks)):
        for edge in range(3):
            if not marks[f] & (1 << edge):
                continue
            i, j, own = faces[f, (edge + 1) % 3], faces[f, (edge + 2) % 3], faces[f, edge]
            across = abs(screen[j, 1] - screen[i, 1]) < abs(screen[j, 0] - screen[i, 0])
            u, v = (1, 0) if across else (0, 1)
            if screen[i, v] > screen[j, v]:
                i, j = j, i
            low, rise = screen[i, v], screen[j, v] - screen[i, v]
            lines, places = (width, height) if across else (height, width)
            first = int(np.ceil(min(max(low - 0.5, 0.0), float(lines))))
            beyond = int(np.ceil(min(max(screen[j, v] - 0.5, 0.0), float(lines))))
            if first == beyond:
                continue
            slope = (screen[j, u] - screen[i, u]) / rise
            inner = screen[own, u] - screen[i, u] - slope * (screen[own, v] - low) < 0.0
            for line in range(first, beyond):
                at = screen[i, u] + slope * (line + 0.5 - low) - 0.5
                if not 0.0 <= at < places - 1.0:
                    continue
                step = int(at)
                t = (line + 0.5 - low) / rise
                inverse = (1.0 - t) / local_depth[i] + t / local_depth[j]
                here = step * width + line if across else line * width + step
                there = here + (width if across else 1)
                owner, other = (here, there) if inner else (there, here)
                toward = at - step if inner else 1.0 - (at - step)
                pair = 2 * here + across
                count = _note(
                    pair, owner, other, f, edge, toward, inverse, face, depth, faces, best, place, rows, count
                )
    return count
