"""The mesh through Gaussians' centres, on a sphere of flat Gaussians; without Open3D, what is said of it."""

import importlib
from typing import Any

import numpy as np
import pytest
import torch

from neuralfw.errors import UserError
from neuralfw.geometry import Camera, Mesh
from neuralfw_gaussians import poisson
from neuralfw_gaussians.poisson import find_open3d, reconstructed, shortest_axes, turned_to

SHORT = torch.tensor([0.2, 0.2, 0.01])


def works() -> bool:
    try:
        importlib.import_module("open3d")
    except (ImportError, OSError):
        return False
    return True


def ring() -> list[Camera]:
    eyes = np.concatenate([4.0 * np.eye(3), -4.0 * np.eye(3)])
    return [Camera.look_at(e, [0.0] * 3, [0.3, 0.5, 0.8], focal=50.0, width=64, height=64) for e in eyes]


def flat_gaussians(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Centres, scales and rotations of disks on the unit sphere; half of their axes look inwards."""
    k = np.arange(count) + 0.5
    height, angle = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    around = np.sqrt(1 - height**2)
    centers = torch.from_numpy(np.stack([around * np.cos(angle), around * np.sin(angle), height], axis=1)).float()
    x, y, z = (torch.where(torch.arange(count) % 2 == 0, 1.0, -1.0)[:, None] * centers).unbind(dim=1)
    turns = torch.stack([1 + z, -y, x, torch.zeros(count)], dim=1)  # brings the z axis to (x, y, z)
    return centers, SHORT.expand(count, 3), torch.nn.functional.normalize(turns, dim=1)


def test_axes_are_turned_to_the_cameras() -> None:
    centers, scales, rotations = flat_gaussians(200)
    normals, outwards = shortest_axes(scales, rotations), centers.double().numpy()
    assert (np.einsum("ij,ij->i", normals, outwards) < -0.99).sum() == 100
    np.testing.assert_allclose(turned_to(outwards, normals, ring()), outwards, atol=1e-5)


def test_without_open3d_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ImportError("No module named 'open3d'")

    monkeypatch.setattr(poisson.importlib, "import_module", absent)
    with pytest.raises(UserError, match=r"No module named 'open3d'\nto mend it: pip install open3d"):
        find_open3d()


@pytest.mark.skipif(not works(), reason="Open3D is not installed, or does not work here")
def test_a_sphere_of_gaussians_becomes_a_sphere() -> None:
    centers, scales, rotations = flat_gaussians(2000)
    points = centers.double().numpy()
    normals = turned_to(points, shortest_axes(scales, rotations), ring())
    mesh = Mesh(*reconstructed(find_open3d(), points, normals, 6, 0.0))
    assert np.abs(np.linalg.norm(mesh.vertices, axis=1) - 1.0).max() < 0.03
    assert mesh.volume == pytest.approx(4 / 3 * np.pi, rel=0.02)
    again = Mesh(*reconstructed(find_open3d(), points, normals, 6, 0.0))
    np.testing.assert_array_equal(mesh.vertices, again.vertices)
    upper = points[:, 2] > 0
    counts = [len(reconstructed(find_open3d(), points[upper], normals[upper], 6, trim)[0]) for trim in (0.0, 0.2)]
    assert counts[1] == pytest.approx(0.8 * counts[0], rel=0.01)
