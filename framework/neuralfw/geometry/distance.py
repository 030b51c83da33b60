"""Exact distances from points to a mesh, and on which side of it they lie.

Both walk one tree of bounding boxes for many points at once, level by level: the pairs (point, node) that still matter
are the rows of two arrays, and each level replaces a node by its two children.
"""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from scipy.spatial import cKDTree

from neuralfw.errors import UserError
from neuralfw.geometry.mesh import Mesh, boundary_edges, flipped_edges

_CHUNK = 8192  # points that walk the tree together: small enough for the cache, large enough for NumPy
_MOST_PAIRS = 1 << 21

_Index = Int64[np.ndarray, "p"]
_Touches = Callable[[_Index, Float64[np.ndarray, "p 3"], Float64[np.ndarray, "p 3"]], Bool[np.ndarray, "p"]]


def point_to_mesh_distance(points: Float[np.ndarray, "n 3"], mesh: Mesh) -> Float64[np.ndarray, "n"]:
    """Exact Euclidean distance from each point to the nearest point of the mesh's triangles.

    Raises:
        UserError: the mesh has no faces.
    """
    return TriangleTree(mesh).distance(points.astype(np.float64))


def signed_distance(mesh: Mesh, points: Float[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n"]:
    """Exact distance to the mesh, negative inside (see `contains`).

    Raises:
        UserError: the mesh has no faces.
    """
    tree, x = TriangleTree(mesh), points.astype(np.float64)
    distance = tree.distance(x)
    return np.where(_inside(mesh, tree, x), -distance, distance)


def contains(mesh: Mesh, points: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, "n"]:
    """Mark the points that lie inside a mesh, by its faces above them.

    Where neighbouring faces agree about the outside, these are the points with a winding number other than 0, also
    where the mesh cuts itself; where they disagree, those with an odd number of faces above them. For a closed mesh the
    answer is exact, wherever its edges lie. A mesh with holes is asked along x, y and z, and two of three decide.

    Raises:
        UserError: the mesh has no faces.
    """
    return _inside(mesh, TriangleTree(mesh), points.astype(np.float64))


def _inside(mesh: Mesh, tree: "TriangleTree", points: Float64[np.ndarray, "n 3"]) -> Bool[np.ndarray, "n"]:
    oriented = flipped_edges(mesh) == 0
    votes = np.zeros(len(points))
    axes = (2,) if boundary_edges(mesh) == 0 else (0, 1, 2)
    for axis in axes:
        up, down = tree.crossings(points, axis)
        votes += (up != down) if oriented else (up + down) % 2 == 1
    inside: Bool[np.ndarray, "n"] = votes > 0.5 * len(axes)
    return inside


class TriangleTree:
    """A balanced binary tree of boxes over the triangles of a mesh: node i has the children 2i and 2i + 1 below."""

    def __init__(self, mesh: Mesh) -> None:
        n = len(mesh.faces)
        if n == 0:
            raise UserError("the mesh has no faces, so nothing has a distance to it.")
        self._triangles = mesh.triangles
        self._centers = cKDTree(mesh.triangles.mean(axis=1))
        padded = np.arange(1 << (n - 1).bit_length()) % n
        order = cKDTree(self._centers.data[padded], leafsize=1, compact_nodes=False).indices
        self._leaf = padded[order]
        filler = order >= n  # has an empty box, which nothing touches
        low = np.where(filler[:, None], np.inf, mesh.triangles.min(axis=1)[self._leaf])
        high = np.where(filler[:, None], -np.inf, mesh.triangles.max(axis=1)[self._leaf])
        self._levels = [(low, high)]
        while len(low) > 1:
            low, high = low.reshape(-1, 2, 3).min(axis=1), high.reshape(-1, 2, 3).max(axis=1)
            self._levels.insert(0, (low, high))

    def distance(self, points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n"]:
        """Distance from each point to the nearest triangle."""
        if len(points) > _CHUNK:
            return np.concatenate([self.distance(part) for part in np.array_split(points, len(points) // _CHUNK + 1)])
        _, first = self._centers.query(points)
        best = squared_distance(points, self._triangles[first])

        def touches(
            query: _Index, low: Float64[np.ndarray, "p 3"], high: Float64[np.ndarray, "p 3"]
        ) -> Bool[np.ndarray, "p"]:
            x = points[query]
            gap = np.maximum(np.maximum(low - x, x - high), 0.0)
            near: Bool[np.ndarray, "p"] = np.einsum("ij,ij->i", gap, gap) < best[query]
            return near

        for query, face in self._touched(*_roots(points), 0, touches):
            np.minimum.at(best, query, squared_distance(points[query], self._triangles[face]))
        distance: Float64[np.ndarray, "n"] = np.sqrt(best)
        return distance

    def crossings(
        self, points: Float64[np.ndarray, "n 3"], axis: int
    ) -> tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "n"]]:
        """How many faces the ray from each point along +axis leaves through, and how many it enters through."""
        if len(points) > _CHUNK:
            parts = [self.crossings(part, axis) for part in np.array_split(points, len(points) // _CHUNK + 1)]
            return np.concatenate([up for up, _ in parts]), np.concatenate([down for _, down in parts])
        u, v = (axis + 1) % 3, (axis + 2) % 3

        def touches(
            query: _Index, low: Float64[np.ndarray, "p 3"], high: Float64[np.ndarray, "p 3"]
        ) -> Bool[np.ndarray, "p"]:
            x = points[query]
            over = (low <= x)[:, (u, v)].all(axis=1) & (x <= high).all(axis=1)
            return np.asarray(over)

        up, down = np.zeros(len(points), dtype=np.int64), np.zeros(len(points), dtype=np.int64)
        for query, face in self._touched(*_roots(points), 0, touches):
            turn = _ray_crosses(points[query][:, (u, v, axis)], self._triangles[face][:, :, (u, v, axis)])
            up += np.bincount(query[turn > 0], minlength=len(points))
            down += np.bincount(query[turn < 0], minlength=len(points))
        return up, down

    def _touched(self, query: _Index, node: _Index, depth: int, touches: _Touches) -> Iterator[tuple[_Index, _Index]]:
        """All pairs (point, face) below these nodes whose boxes `touches` accepts, in batches that fit the memory."""
        low, high = self._levels[depth]
        keep = touches(query, low[node], high[node])
        query, node = query[keep], node[keep]
        if depth == len(self._levels) - 1:
            yield query, self._leaf[node]
            return
        for part in np.array_split(np.arange(len(query)), len(query) // _MOST_PAIRS + 1):
            children = (2 * node[part][:, None] + np.arange(2)).ravel()
            yield from self._touched(np.repeat(query[part], 2), children, depth + 1, touches)


def _roots(points: Float64[np.ndarray, "n 3"]) -> tuple[_Index, _Index]:
    return np.arange(len(points)), np.zeros(len(points), dtype=np.int64)


def squared_distance(
    points: Float64[np.ndarray, "n 3"], triangles: Float64[np.ndarray, "n 3 3"]
) -> Float64[np.ndarray, "n"]:
    """Squared distance from each point to its triangle: to the plane where the foot lies inside, else to an edge."""
    sides = triangles[:, [1, 2, 0]] - triangles
    offset = points[:, None] - triangles
    length = np.einsum("nej,nej->ne", sides, sides)
    t = np.einsum("nej,nej->ne", offset, sides) / np.where(length > 0.0, length, 1.0)
    from_edge = offset - np.clip(t, 0.0, 1.0)[:, :, None] * sides
    to_edge = np.einsum("nej,nej->ne", from_edge, from_edge).min(axis=1)
    normal = np.cross(sides[:, 0], sides[:, 1])
    area = np.einsum("nj,nj->n", normal, normal)
    height = np.einsum("nj,nj->n", offset[:, 0], normal)
    inwards = np.einsum("nej,nej->ne", np.cross(normal[:, None], sides), offset)
    over = (inwards > 0.0).all(axis=1)
    squared: Float64[np.ndarray, "n"] = np.where(over, height**2 / np.where(over, area, 1.0), to_edge)
    return squared


def _ray_crosses(points: Float64[np.ndarray, "n 3"], triangles: Float64[np.ndarray, "n 3 3"]) -> Int64[np.ndarray, "n"]:
    """1 where the ray along +z leaves through the triangle, -1 where it enters, 0 where it misses.

    A ray through an edge shared by two triangles crosses exactly one: edges are half open in y, and the side of an edge
    is computed from its lower end, hence to the same bits for both.
    """
    turn = np.zeros(len(points), dtype=np.int64)
    for corner in range(3):
        a, b = triangles[:, corner], triangles[:, (corner + 1) % 3]
        rises = a[:, 1] <= b[:, 1]
        low, high = np.where(rises[:, None], a, b), np.where(rises[:, None], b, a)
        spans = (low[:, 1] <= points[:, 1]) & (points[:, 1] < high[:, 1])
        run, climb = high[:, 0] - low[:, 0], high[:, 1] - low[:, 1]
        right = run * (points[:, 1] - low[:, 1]) > (points[:, 0] - low[:, 0]) * climb
        turn += np.where(spans & right, np.where(rises, 1, -1), 0)
    side = triangles - points[:, None]
    return np.where(_det(side) * turn > 0.0, turn, 0)


def _det(rows: Float64[np.ndarray, "n 3 3"]) -> Float64[np.ndarray, "n"]:
    det: Float64[np.ndarray, "n"] = np.einsum("nj,nj->n", rows[:, 0], np.cross(rows[:, 1], rows[:, 2]))
    return det
