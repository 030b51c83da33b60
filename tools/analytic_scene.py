"""Writes photographs of a scene whose truth is known in closed form: a sphere, a torus and a box with smooth colours.

    python tools/analytic_scene.py OUT [--size 200] [--views 40] [--camera-noise degrees=2,distance=0.02,seed=0]

OUT gets the layout of IDR with the unit sphere as it is, the noisy cameras beside the true ones, and truth.ply. Each
pixel is the colour of the one point that the ray through its centre meets, by sphere tracing in double precision.
"""

from __future__ import annotations

import argparse
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, UInt8
from PIL import Image
from skimage.measure import marching_cubes

from neuralfw.geometry import Camera, Frame, write_mesh
from neuralfw.geometry.files import write_file
from neuralfw.photos.convert import Noise, write_cameras

DISTANCE, FOCAL = 3.0, 1.75
"""Distance of the cameras from the origin; focal length over the width of a picture."""

_WAVES = np.array([[7.0, 3.0, -2.0], [-3.0, 6.0, 4.0], [2.0, -5.0, 7.0]])
_PHASES = np.array([0.3, 1.9, 4.1])
_MET, _STEPS, _BOUND = 1e-10, 4000, 0.8

Points = Float64[np.ndarray, "n 3"]


def sdf(x: Points) -> Float64[np.ndarray, " n"]:
    """Signed distance of the union, exact outside of it."""
    ball = np.linalg.norm(x - (0.0, 0.0, 0.1), axis=1) - 0.35
    around = np.linalg.norm(x[:, :2], axis=1) - 0.42
    ring = np.hypot(around, x[:, 2] - 0.1) - 0.1
    beyond = np.abs(x - (0.0, 0.0, -0.3)) - (0.45, 0.35, 0.15)
    block = np.linalg.norm(np.maximum(beyond, 0.0), axis=1) + np.minimum(beyond.max(axis=1), 0.0)
    return np.minimum(np.minimum(ball, ring), block)


def color(x: Points) -> Points:
    """Colours in [0.1, 0.9], with waves of a third and of an eighth of the scene's size."""
    coarse, fine = np.sin(x @ _WAVES.T + _PHASES), np.sin(3.0 * x @ _WAVES[::-1].T - _PHASES)
    shown: Points = 0.5 + 0.25 * coarse + 0.15 * fine
    return shown


def trace(
    origin: Float64[np.ndarray, "3"], directions: Points
) -> tuple[Float64[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Return the distance along each ray at which it meets the scene, and whether it does."""
    middle = -directions @ origin
    half = np.sqrt(np.maximum(_BOUND**2 - origin @ origin + middle**2, 0.0))
    t, far = middle - half, middle + half
    going = np.flatnonzero(half)
    hit = np.zeros(len(directions), dtype=bool)
    for _ in range(_STEPS):
        value = sdf(origin + t[going, None] * directions[going])
        hit[going[value < _MET]] = True
        t[going] += np.maximum(value, 0.0)
        going = going[(value >= _MET) & (t[going] < far[going])]
        if len(going) == 0:
            break
    return t, hit


def photograph(camera: Camera) -> UInt8[np.ndarray, "h w 4"]:
    """Return what a camera sees, with the mask as alpha."""
    origin, rays = camera.rays()
    directions = rays.reshape(-1, 3)
    t, hit = trace(origin, directions)
    picture = np.zeros((len(directions), 4))
    picture[hit, :3] = color(origin + t[hit, None] * directions[hit])
    picture[hit, 3] = 1.0
    return (255.0 * picture).round().astype(np.uint8).reshape(camera.height, camera.width, 4)


def cameras(count: int, size: int) -> list[Camera]:
    """Return cameras spread evenly over a sphere, that look at the origin."""
    heights = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    angles = np.pi * (3.0 - 5.0**0.5) * np.arange(count)
    around = np.sqrt(1.0 - heights**2)
    centers = DISTANCE * np.stack([around * np.cos(angles), around * np.sin(angles), heights], axis=1)
    return [
        Camera.look_at(center, (0.0, 0.0, 0.0), (0.0, 0.0, 1.0), focal=FOCAL * size, width=size, height=size)
        for center in centers
    ]


def write(folder: Path, *, size: int = 200, views: int = 40, noise: Noise | None = None, cells: int = 160) -> None:
    """Write the scene; `cells` of truth.ply lie along each edge of the cube of edge 1.6."""
    seen = cameras(views, size)
    for index, camera in enumerate(seen):
        picture = photograph(camera)
        for name, pixels in (("image", picture[..., :3]), ("mask", np.repeat(picture[..., 3:], 3, axis=2))):
            encoded = BytesIO()
            Image.fromarray(pixels).save(encoded, "PNG")
            write_file(folder / name / f"{index:03}.png", encoded.getvalue())
    write_cameras(folder, seen, Frame.identity(), noise)
    axis = np.linspace(-0.8, 0.8, cells + 1)
    nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    found, faces, _, _ = marching_cubes(sdf(nodes).reshape([cells + 1] * 3), 0.0)
    write_mesh(folder / "truth.ply", found.astype(np.float64) * (1.6 / cells) - 0.8, faces.astype(np.int64))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--views", type=int, default=40)
    parser.add_argument("--camera-noise", type=Noise.parse)
    given = parser.parse_args()
    write(given.out, size=given.size, views=given.views, noise=given.camera_noise)


if __name__ == "__main__":
    main()
