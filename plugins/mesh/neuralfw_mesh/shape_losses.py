"""Energies of a surface, as functions of its vertices: what an update makes a flow of."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import grid_sample

from neuralfw.components import Build, Loss, Quantities

from .config import AreaConfig, CarveConfig, LaplacianConfig


class Laplacian(Loss):
    """Σ |x_i - x_j|² over the edges, which is tr(XᵀLX) of the graph's Laplacian (Mehta et al. 2022); a sum, no mean."""

    def __init__(self, config: LaplacianConfig, build: Build) -> None:
        super().__init__(config, build)

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        vertices, faces = outputs["vertices"], outputs["faces"]
        ends = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).sort(dim=1).values.unique(dim=0)
        return (vertices[ends[:, 0]] - vertices[ends[:, 1]]).square().sum()


class Area(Loss):
    """The area of the surface, scene units squared. Its flow is that by mean curvature: V = -2 H n."""

    def __init__(self, config: AreaConfig, build: Build) -> None:
        super().__init__(config, build)

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        # The root is of squared areas that are not 0: slivers of marching cubes would have no finite gradient.
        squared = face_vectors(outputs["vertices"], outputs["faces"]).square().sum(dim=1)
        return (squared + 1e-20).sqrt().sum()


class Carve(Loss):
    """The share of the surface that some photograph sees in front of nothing.

    Its gradient is that of the volume known to be empty: with the energy ∫ e(x) dx over the inside, where e is how
    surely the photograph that is most sure of it shows that x is empty, a vertex flows inwards along the normal with
    speed e (space carving: Kutulakos and Seitz 2000). It reaches what silhouettes of the surface do not, the places
    where holes must open.
    """

    def __init__(self, config: CarveConfig, build: Build) -> None:
        super().__init__(config, build)

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        vertices, faces = outputs["vertices"], outputs["faces"]
        if not len(faces) or not len(batch["mask"]):
            return 0.0 * vertices.sum()
        vectors = face_vectors(vertices.detach(), faces)
        empty = emptiness(vertices.detach(), batch)
        at_faces, areas = empty[faces].mean(dim=1), vectors.norm(dim=1)
        share = (at_faces * areas).sum() / areas.sum().clamp_min(1e-20)
        pushed = torch.zeros_like(vertices).index_add(0, faces.flatten(), (vectors / 3.0).repeat_interleave(3, dim=0))
        volume = (empty[:, None] * pushed * vertices).sum()
        carved: Tensor = share + volume - volume.detach()
        return carved


def face_vectors(vertices: Float[Tensor, "n 3"], faces: Int64[Tensor, "f 3"]) -> Float[Tensor, "f 3"]:
    """Return the unit normal times the area of each face."""
    a, b, c = vertices[faces.T.flatten()].reshape(3, -1, 3)
    vectors: Tensor = 0.5 * torch.linalg.cross(b - a, c - a)
    return vectors


def emptiness(points: Float[Tensor, "n 3"], batch: Quantities) -> Float[Tensor, " n"]:
    """Return how surely points are empty: the largest 1 - 2 mask of the photographs that see them, at least 0."""
    masks, poses = batch["mask"], batch["world_to_camera"]
    local = points @ poses[:, :3, :3].mT + poses[:, None, :3, 3]
    depth = local[..., 2:]
    focal, center = batch["intrinsics"][:, None, :2], batch["intrinsics"][:, None, 2:]
    pixels = local[..., :2] / depth.clamp_min(1e-6) * focal + center
    size = pixels.new_tensor([masks.shape[2], masks.shape[1]])
    seen = (depth[..., 0] > 1e-6) & (pixels > 0.0).all(dim=2) & (pixels < size).all(dim=2)
    sampled = grid_sample(
        masks[:, None], (2.0 * pixels / size - 1.0)[:, None], padding_mode="border", align_corners=False
    )
    sure: Tensor = torch.where(seen, (1.0 - 2.0 * sampled[:, 0, 0]).clamp_min(0.0), 0.0).amax(dim=0)
    return sure
