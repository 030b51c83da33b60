"""Small meshes in front of a camera at the origin, in double precision."""

from __future__ import annotations

import math

import numpy as np
import torch
import trimesh
from torch import Tensor

from neuralfw_mesh.contract import Triangles, View

VIEW = View((60.0, 55.0, 24.3, 18.6), 48, 40, near=0.1)


def ball(subdivisions: int = 1, radius: float = 0.6, depth: float = 2.5) -> tuple[Tensor, Triangles]:
    """Return an icosphere at a depth, a little turned so that nothing lies on a pixel's centre."""
    made = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    turned = np.asarray(made.vertices) @ trimesh.transformations.euler_matrix(0.3, 0.5, 0.7)[:3, :3].T
    return torch.from_numpy(turned + np.array([0.02, -0.01, depth])), Triangles(torch.from_numpy(np.array(made.faces)))


def two_balls() -> tuple[Tensor, Triangles]:
    """Return a ball and, in front of it, a smaller one that hides a part of it."""
    (far, behind), (near, before) = ball(), ball(1, 0.25, 1.6)
    faces = torch.cat([behind.faces, before.faces + len(far)])
    return torch.cat([far, near + torch.tensor([0.25, 0.1, 0.0])]), Triangles(faces)


def disc(corners: int, radius: float, depth: float = 2.0) -> tuple[Tensor, Triangles]:
    """Return a regular polygon that faces the camera."""
    angle = torch.arange(corners, dtype=torch.float64) * (2.0 * math.pi / corners) + 0.1
    rim = torch.stack([radius * angle.cos(), radius * angle.sin(), torch.full_like(angle, depth)], dim=1)
    i = torch.arange(corners)
    faces = torch.stack([torch.full_like(i, corners), i, (i + 1) % corners], dim=1)
    return torch.cat([rim, rim.new_tensor([[0.0, 0.0, depth]])]), Triangles(faces)
