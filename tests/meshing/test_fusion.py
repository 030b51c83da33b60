"""Fused depth images against the sphere and the wall that they show."""

import numpy as np
import pytest

from neuralfw.geometry import Camera, Mesh
from neuralfw.meshing import EmptySurfaceError
from neuralfw.meshing.fusion import fuse
from neuralfw.meshing.grid import Grid

RADIUS = 0.7


def eyes(count: int) -> list[Camera]:
    """Cameras spread evenly over the sphere of radius 3, looking at the origin."""
    k = np.arange(count) + 0.5
    height, angle = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - height**2)
    places = 3.0 * np.stack([ring * np.cos(angle), height, ring * np.sin(angle)], axis=1)
    return [Camera.look_at(p, [0.0] * 3, [0.01, 1.0, 0.02], focal=110.0, width=96, height=90) for p in places]


def ball(camera: Camera, radius: float = RADIUS) -> tuple[Camera, np.ndarray, np.ndarray]:
    """Depth and alpha of a ball about the origin, in closed form."""
    origin, rays = camera.rays()
    along = -rays @ origin
    root = along**2 - (origin @ origin - radius**2)
    hit = root > 0
    return camera, (along - np.sqrt(np.maximum(root, 0))) * (rays @ camera.axis) * hit, 0.9 * hit


@pytest.mark.parametrize("resolution", [32, 64])
def test_a_sphere_is_found_to_a_fraction_of_a_cell(resolution: int) -> None:
    grid = Grid.over(([-1.0] * 3, [1.0] * 3), resolution)
    surface = fuse(grid, map(ball, eyes(24)), truncation=4 * grid.spacing)
    mesh = Mesh(surface.vertices, surface.faces)
    error = np.abs(np.linalg.norm(mesh.vertices, axis=1) - RADIUS)
    assert mesh.is_closed and mesh.volume > 0
    assert np.sqrt((error**2).mean()) < 0.15 * grid.spacing
    assert error.max() < 0.8 * grid.spacing
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.04)
    assert surface.stats.method == "fusion" and not surface.stats.leaves_bounds


def test_a_wall_seen_from_one_side_stays_open() -> None:
    grid = Grid.over(([-1.0, -1.0, 1.0], [1.0, 1.0, 3.0]), 40)
    camera = Camera(np.eye(4), 60.0, 60.0, 32.0, 32.0, 64, 64)
    seen = np.ones((64, 64))
    seen[:, :16] = 0.0
    surface = fuse(grid, [(camera, np.full((64, 64), 2.013), seen)], truncation=3 * grid.spacing)
    open_side = surface.vertices[:, 0] > -0.3  # towards -x a side joins it to what is empty
    np.testing.assert_allclose(surface.vertices[open_side, 2], 2.013, atol=1e-4)
    reach = 2.013 * 32 / 60
    assert surface.vertices[:, 0].max() == pytest.approx(min(reach, 1.0), abs=grid.spacing)
    assert surface.vertices[:, 0].min() == pytest.approx(-reach / 2, abs=2 * grid.spacing)
    normals = Mesh(surface.vertices, surface.faces).face_normals
    np.testing.assert_allclose(normals[open_side[surface.faces].all(axis=1), 2], -1.0, atol=1e-3)  # to the camera
    assert surface.stats.leaves_bounds


def test_an_empty_view_carves_and_nothing_seen_is_an_error() -> None:
    grid = Grid.over(([-1.0] * 3, [1.0] * 3), 24)
    nothing = [(c, np.zeros((90, 96)), np.zeros((90, 96))) for c in eyes(3)]
    with pytest.raises(EmptySurfaceError, match="3 images has no surface"):
        fuse(grid, nothing, truncation=0.2)
    away = Camera.look_at([0.0, 0.0, -3.0], [0.0, 0.0, -9.0], [0.0, 1.0, 0.0], focal=50.0, width=20, height=20)
    with pytest.raises(EmptySurfaceError, match="0% of its nodes"):
        fuse(grid, [(away, np.ones((20, 20)), np.ones((20, 20)))], truncation=0.2)
