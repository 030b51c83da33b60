"""A triangle mesh and what follows from its triangles alone."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64

from neuralfw.errors import UserError


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles; counter-clockwise faces look outwards. Vertex order is that of the file.

    Attributes:
        vertices: positions, world units.
        faces: three vertex indices each.
        colors: RGB of each vertex in [0, 1]; or None.
        notes: what was noticed while reading, one sentence each.
    """

    vertices: Float64[np.ndarray, "v 3"]
    faces: Int64[np.ndarray, "f 3"]
    colors: Float64[np.ndarray, "v 3"] | None = None
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def triangles(self) -> Float64[np.ndarray, "f 3 3"]:
        """The corners of each face."""
        corners: Float64[np.ndarray, "f 3 3"] = self.vertices[self.faces]
        return corners

    @cached_property
    def area_vectors(self) -> Float64[np.ndarray, "f 3"]:
        """Unit normal times area of each face."""
        a, b, c = self.triangles[:, 0], self.triangles[:, 1], self.triangles[:, 2]
        return 0.5 * np.cross(b - a, c - a)

    @cached_property
    def face_areas(self) -> Float64[np.ndarray, "f"]:
        """Area of each face, world units squared."""
        areas: Float64[np.ndarray, "f"] = np.linalg.norm(self.area_vectors, axis=1)
        return areas

    @cached_property
    def face_normals(self) -> Float64[np.ndarray, "f 3"]:
        """Unit normals; zero where a face has no area."""
        return _unit(self.area_vectors)

    @cached_property
    def vertex_normals(self) -> Float64[np.ndarray, "v 3"]:
        """Area-weighted mean of the normals of the faces around each vertex, unit; zero where there is none."""
        return _unit(_scatter(self.faces, self.area_vectors, len(self.vertices)))

    @property
    def area(self) -> float:
        """Surface area, world units squared."""
        return float(self.face_areas.sum())

    @property
    def centroid(self) -> Float64[np.ndarray, "3"]:
        """Area-weighted mean of the surface."""
        return np.average(self.triangles.mean(axis=1), axis=0, weights=self.face_areas)

    @property
    def volume(self) -> float:
        """Signed volume by the divergence theorem; positive where a closed surface looks outwards."""
        center = self.vertices.mean(axis=0)
        return float(((self.triangles[:, 0] - center) * self.area_vectors).sum() / 3.0)

    @property
    def is_closed(self) -> bool:
        """Every edge belongs to exactly two faces, which run through it in opposite directions."""
        return boundary_edges(self) == 0 and flipped_edges(self) == 0 and len(self.faces) > 0


def boundary_edges(mesh: Mesh) -> int:
    """The number of edges that do not belong to exactly two faces."""
    return int((_edge_counts(np.sort(_half_edges(mesh.faces), axis=1)) != 2).sum())


def flipped_edges(mesh: Mesh) -> int:
    """The number of directed edges that two faces share: there, neighbours disagree about the outside."""
    return int((_edge_counts(_half_edges(mesh.faces)) > 1).sum())


def sample_surface(
    mesh: Mesh, n: int, rng: np.random.Generator
) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"]]:
    """Draw `n` points uniform in area, with the normals of their faces.

    Raises:
        UserError: the mesh has no area.
    """
    cumulative = np.cumsum(mesh.face_areas)
    if len(cumulative) == 0 or not cumulative[-1] > 0.0:
        raise UserError("the mesh has no surface area, so no points can be drawn from it.")
    face = np.searchsorted(cumulative, rng.random(n) * cumulative[-1], side="right").clip(max=len(cumulative) - 1)
    u, v = rng.random((2, n, 1))
    beyond = u + v > 1.0
    u, v = np.where(beyond, 1.0 - u, u), np.where(beyond, 1.0 - v, v)
    a, b, c = (mesh.triangles[face, corner] for corner in range(3))
    return a + u * (b - a) + v * (c - a), mesh.face_normals[face]


def _half_edges(faces: Int64[np.ndarray, "f 3"]) -> Int64[np.ndarray, "e 2"]:
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def _edge_counts(edges: Int64[np.ndarray, "e 2"]) -> Int64[np.ndarray, "d"]:
    """How often each distinct pair occurs."""
    key = edges[:, 0] * (edges.max(initial=0) + 1) + edges[:, 1]
    return np.unique(key, return_counts=True)[1]


def _scatter(
    faces: Int64[np.ndarray, "f 3"], values: Float64[np.ndarray, "f 3"], size: int
) -> Float64[np.ndarray, "v 3"]:
    corners, repeated = faces.ravel(), np.repeat(values, 3, axis=0)
    return np.stack([np.bincount(corners, repeated[:, axis], minlength=size) for axis in range(3)], axis=1)


def _unit(vectors: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0.0, length, 1.0)
