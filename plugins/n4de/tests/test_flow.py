"""Speeds along the normals against closed forms, on spheres as marching cubes meshes them, slivers included."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from neuralfw.meshing import extract
from neuralfw_mesh.shape_losses import face_vectors
from neuralfw_n4de.flow import mean_edge, normal_speed

RADIUS = 0.6


@pytest.fixture(scope="module")
def sphere() -> tuple[Tensor, Tensor, Tensor]:
    """Return vertices, faces and normals."""
    found = extract(lambda x: x.norm(dim=1) - RADIUS, ([-1.0] * 3, [1.0] * 3), 40)
    vertices = torch.from_numpy(found.vertices)
    return vertices, torch.from_numpy(found.faces), vertices / vertices.norm(dim=1, keepdim=True)


def gradient_of(energy: Tensor, vertices: Tensor) -> Tensor:
    return torch.autograd.grad(energy, vertices)[0]


def volume(vertices: Tensor, faces: Tensor) -> Tensor:
    return (face_vectors(vertices, faces) * vertices[faces[:, 0]]).sum() / 3.0


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_flow_of_the_volume_has_speed_minus_one_however_it_is_meshed(sphere, smoothing: float) -> None:
    vertices, faces, normals = sphere
    x = vertices.clone().requires_grad_()
    speed = normal_speed(vertices, faces, normals, gradient_of(volume(x, faces), x), smoothing)
    assert (speed + 1.0).abs().mean() < 0.01
    assert speed.median() == pytest.approx(-1.0, abs=0.01)


def test_the_flow_of_the_area_is_that_by_mean_curvature(sphere) -> None:
    vertices, faces, normals = sphere
    x = vertices.clone().requires_grad_()
    speed = normal_speed(vertices, faces, normals, gradient_of(face_vectors(x, faces).norm(dim=1).sum(), x), 0.1)
    assert speed.mean() == pytest.approx(-2.0 / RADIUS, rel=0.02)
    assert speed.std() < 0.1 * 2.0 / RADIUS


def test_smoothing_damps_a_harmonic_as_the_operator_says(sphere) -> None:
    """z is an eigenfunction of the sphere's Laplacian, with eigenvalue 2 / r²: it comes out over 1 + 2 ℓ² / r²."""
    vertices, faces, normals = sphere
    mass = vertices.new_zeros(len(vertices)).index_add(
        0, faces.flatten(), (face_vectors(vertices, faces).norm(dim=1) / 3.0).repeat_interleave(3)
    )
    wanted = vertices[:, 2]
    gradient = -(mass * wanted)[:, None] * normals
    for smoothing in (0.0, 0.2, 0.5):
        speed = normal_speed(vertices, faces, normals, gradient, smoothing)
        damped = (speed * mass * wanted).sum() / (wanted.square() * mass).sum()
        assert damped == pytest.approx(1.0 / (1.0 + 2.0 * smoothing**2 / RADIUS**2), rel=0.02)


def test_the_mean_edge_of_marching_cubes_is_most_of_a_voxel(sphere) -> None:
    vertices, faces, _ = sphere
    assert mean_edge(vertices, faces) == pytest.approx(0.05, rel=0.25)
