"""From the gradient at a surface's vertices to the speed with which it moves along its normals."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from scipy import sparse
from scipy.sparse.linalg import cg
from torch import Tensor

_STEPS = 100
"""Of the conjugate gradients, at most; a hundred carry over a hundred edges."""


def mean_edge(vertices: Float[Tensor, "n 3"], faces: Int64[Tensor, "f 3"]) -> float:
    """Return the mean length of the edges of the faces: what a voxel is to an update."""
    corners = vertices[faces.flatten()].reshape(-1, 3, 3)
    return float((corners - corners.roll(1, dims=1)).norm(dim=2).mean())


def normal_speed(
    vertices: Float[Tensor, "n 3"],
    faces: Int64[Tensor, "f 3"],
    normals: Float[Tensor, "n 3"],
    gradient: Float[Tensor, "n 3"],
    smoothing: float = 0.0,
) -> Float[Tensor, " n"]:
    """Return V·n of the flow V = -∂E/∂x per area, positive outwards.

    With the lumped mass matrix M and the cotangent stiffness matrix L of the mesh it is the solution of
    (M + ℓ² L) s = -g·n: the L² gradient, which does not depend on how the surface is meshed, or where ℓ > 0 a Sobolev
    gradient (Renka and Neuberger 1995; "large steps": Nicolet et al. 2021), smooth over lengths below ℓ.

    Args:
        vertices: of the surface.
        faces: of the surface.
        normals: unit, outward.
        gradient: of the energy, by the vertices.
        smoothing: ℓ, scene units.
    """
    x, f = vertices.double().numpy(force=True), faces.numpy(force=True)
    right = -(gradient * normals).sum(dim=1).double().numpy(force=True)
    mass, cotangents = _elements(x, f)
    # Slivers leave vertices next to no area: a thousandth of the mean keeps their speed finite.
    mass = np.maximum(mass, 1e-3 * mass.mean())
    speed = right / mass
    if smoothing > 0.0:
        matrix = sparse.diags_array(mass) + smoothing**2 * _stiffness(f, cotangents, len(x))
        scale = 1.0 / matrix.diagonal()
        speed, _ = cg(matrix, right, speed * 0.0, rtol=1e-3, maxiter=_STEPS, M=sparse.diags_array(scale))
    return torch.from_numpy(speed).to(gradient)


def _elements(
    x: Float64[np.ndarray, "n 3"], faces: Int64[np.ndarray, "f 3"]
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, "f 3"]]:
    """Return the area around each vertex, a third of its faces', and the cotangent of each corner."""
    corners = x[faces]
    edges = np.roll(corners, -1, axis=1) - corners
    double = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    mass = np.bincount(faces.ravel(), np.repeat(double / 6.0, 3), minlength=len(x))
    dots = -(edges * np.roll(edges, 1, axis=1)).sum(axis=2)
    return mass, dots / np.maximum(double, 1e-3 * double.mean())[:, None]


def _stiffness(faces: Int64[np.ndarray, "f 3"], cotangents: Float64[np.ndarray, "f 3"], count: int) -> sparse.csr_array:
    """Return the cotangent matrix, positive semi-definite: ½ Σ cot over the corners that face an edge."""
    i, j = np.roll(faces, -1, axis=1).ravel(), np.roll(faces, 1, axis=1).ravel()
    half = 0.5 * cotangents.ravel()
    rows, columns = np.concatenate([i, j, i, j]), np.concatenate([j, i, i, j])
    values = np.concatenate([-half, -half, half, half])
    return sparse.csr_array((values, (rows, columns)), shape=(count, count))
