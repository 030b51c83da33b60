"""Writes the small shapes that the recipes with latent codes use: superquadrics (Barr 1981), a torus and a double one.

    python tools/make_shapes.py

The files lie in recipes/data: `shapes/` is the class, `unseen.ply` another member of it, and `unseen_front.ply` those
of its points that a sensor at (0, 0, 3) sees, in the unit sphere of radius 1/1.03; `pair/` are two shapes of different
genus. They are in the public domain (CC0).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Float32, Float64

from neuralfw.geometry import Frame, Mesh, sample_surface
from neuralfw.geometry.ply import encode_ply
from neuralfw.meshing import extract

FOLDER = Path(__file__).resolve().parents[1] / "recipes" / "data"
SENSOR = np.array([0.0, 0.0, 3.0])
FRONT_POINTS = 1000

SHAPES = {
    "ball": ((1.0, 1.0, 1.0), 1.0, 1.0),
    "box": ((0.9, 0.7, 0.5), 0.3, 0.3),
    "bar": ((0.35, 0.35, 1.0), 0.3, 0.3),
    "cylinder": ((0.6, 0.6, 0.9), 0.3, 1.0),
    "disc": ((1.0, 1.0, 0.3), 0.5, 1.0),
    "egg": ((0.7, 0.6, 1.0), 1.0, 1.0),
    "octahedron": ((1.0, 1.0, 1.0), 1.7, 1.7),
    "pillow": ((1.0, 1.0, 0.45), 1.3, 0.4),
}
UNSEEN = ((0.7, 0.55, 0.9), 0.6, 0.7)


def superquadric(axes: tuple[float, float, float], vertical: float, horizontal: float, subdivisions: int = 3) -> Mesh:
    """Return ((x/a)^(2/h) + (y/b)^(2/h))^(h/v) + (z/c)^(2/v) = 1, meshed as an icosphere is."""
    sphere = trimesh.creation.icosphere(subdivisions)
    directions: Float64[np.ndarray, "n 3"] = np.asarray(sphere.vertices)
    x, y, z = np.abs(directions / axes).T
    waist = (x ** (2 / horizontal) + y ** (2 / horizontal)) ** (horizontal / vertical)
    radius = (waist + z ** (2 / vertical)) ** (-vertical / 2)
    return Mesh(directions * radius[:, None], np.asarray(sphere.faces))


def torus(x: Float64[np.ndarray, "n 3"], center: float, radius: float, tube: float) -> Float64[np.ndarray, "n"]:
    """Return the signed distance to a torus about the axis through (center, 0, 0) along z."""
    return np.hypot(np.hypot(x[:, 0] - center, x[:, 1]) - radius, x[:, 2]) - tube


def double_torus(x: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n"]:
    """Return about the signed distance to two tori side by side, their seam rounded."""
    a, b = torus(x, -0.48, 0.35, 0.15), torus(x, 0.48, 0.35, 0.15)
    rounded = np.maximum(0.1 - np.abs(a - b), 0.0) ** 2 / 0.4
    return np.minimum(a, b) - rounded


def meshed(distance: Callable[[Float64[np.ndarray, "n 3"]], Float64[np.ndarray, "n"]], cells: int) -> Mesh:
    """Return the surface of a signed distance in [-1, 1]³."""

    def sdf(x: Float[torch.Tensor, "n 3"]) -> Float[torch.Tensor, "n"]:
        return torch.from_numpy(distance(x.double().numpy())).to(x.dtype)

    surface = extract(sdf, (-np.ones(3), np.ones(3)), cells)
    return Mesh(surface.vertices, surface.faces)


def columns(names: str, rows: Float64[np.ndarray, "n 3"]) -> dict[str, Float32[np.ndarray, "n"]]:
    """Return vectors as PLY's columns."""
    return {name: column.astype(np.float32) for name, column in zip(names.split(), rows.T, strict=True)}


def main() -> None:
    (FOLDER / "shapes").mkdir(parents=True, exist_ok=True)
    for name, shape in {**{f"shapes/{n}": s for n, s in SHAPES.items()}, "unseen": UNSEEN}.items():
        mesh = superquadric(*shape)
        (FOLDER / f"{name}.ply").write_bytes(encode_ply(columns("x y z", mesh.vertices), mesh.faces))
    (FOLDER / "pair").mkdir(exist_ok=True)
    pair = {"torus": lambda x: torus(x, 0.0, 0.7, 0.23), "double_torus": double_torus}
    for name, distance in pair.items():
        mesh = meshed(distance, 36)
        (FOLDER / "pair" / f"{name}.ply").write_bytes(encode_ply(columns("x y z", mesh.vertices), mesh.faces))
    mesh = superquadric(*UNSEEN)
    points, normals = sample_surface(mesh, 4 * FRONT_POINTS, np.random.default_rng(0))
    points = Frame.fit(mesh.vertices, "sphere", 1 / 1.03).to_training(points)
    seen = np.flatnonzero(((SENSOR - points) * normals).sum(axis=1) > 0)[:FRONT_POINTS]
    vertex = columns("x y z", points[seen]) | columns("nx ny nz", normals[seen])
    (FOLDER / "unseen_front.ply").write_bytes(encode_ply(vertex))


if __name__ == "__main__":
    main()
