"""Normals of a mesh, and how bright light makes them."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

AMBIENT = 3.5449077
"""Coefficient of degree 0 that lights everything with 1."""


def vertex_normals(vertices: Float[Tensor, "n 3"], faces: Int64[Tensor, "f 3"]) -> Float[Tensor, "n 3"]:
    """Return unit normals: the sums of the normals of the faces around, weighed by their areas."""
    a, b, c = vertices[faces.T.flatten()].reshape(3, -1, 3)
    normals = torch.linalg.cross(b - a, c - a).repeat(3, 1)
    return normalize(torch.zeros_like(vertices).index_add(0, faces.T.flatten(), normals), dim=1, eps=1e-20)


def head_light(normals: Float[Tensor, "n 3"], pose: Float[Tensor, "4 4"]) -> Float[Tensor, "n 1"]:
    """Return the cosine to the direction against the optical axis, 0 where a normal points away."""
    return (-(normals @ pose[2, :3, None])).clamp_min(0.0)


def harmonics(normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 9"]:
    """Return the real spherical harmonics up to degree 2, which is all of a diffuse surface's light that one sees
    (Ramamoorthi and Hanrahan 2001): 1; y, z, x; xy, yz, 3z² - 1, xz, x² - y²."""
    x, y, z = normals.unbind(1)
    one = torch.ones_like(x)
    return torch.stack(
        [
            0.28209479 * one,
            0.48860251 * y, 0.48860251 * z, 0.48860251 * x,
            1.09254843 * x * y, 1.09254843 * y * z, 0.31539157 * (3.0 * z * z - 1.0), 1.09254843 * x * z,
            0.54627422 * (x * x - y * y),
        ],
        dim=1,
    )  # fmt: skip
