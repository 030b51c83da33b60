"""Which side of the surface points are on, as far as photographs tell: space that cameras look through is outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from neuralfw.components import Quantities

CHUNK = 1 << 21  # pairs of a point and a view that are looked at together


@dataclass(frozen=True)
class FreeSpace:
    """How far each pixel of some views looks.

    Attributes:
        poses: world to camera, scene units.
        intrinsics: fx, fy, cx, cy in pixels.
        sizes: height and width.
        starts: where the pixels of a view begin in `limits`.
        limits: depth along the optical axis up to which space is free; infinite where the whole ray is, 0 where nothing
            is known.
    """

    poses: Float[Tensor, "v 4 4"]
    intrinsics: Float[Tensor, "v 4"]
    sizes: Int[Tensor, "v 2"]
    starts: Int[Tensor, " v"]
    limits: Float[Tensor, " pixels"]

    @classmethod
    def of(cls, cameras: Sequence[Quantities], limits: Sequence[Float[Tensor, "_ _"]]) -> FreeSpace:
        """Return the free space of views, given as batches of one view and their limits."""
        counts = torch.tensor([limit.numel() for limit in limits])
        return cls(
            poses=torch.cat([camera["world_to_camera"] for camera in cameras]),
            intrinsics=torch.cat([camera["intrinsics"] for camera in cameras]),
            sizes=torch.tensor([[*limit.shape] for limit in limits]),
            starts=counts.cumsum(0) - counts,
            limits=torch.cat([limit.flatten() for limit in limits]),
        )

    def state(self) -> dict[str, Tensor]:
        """Return the tensors by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def load(cls, state: Mapping[str, Tensor]) -> FreeSpace:
        """Return what `state` kept."""
        return cls(**{f.name: state[f.name] for f in fields(cls)})

    def gaps(self, points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "v n"], Bool[Tensor, "v n"]]:
        """Return how far before the limit of its pixel each point lies in each view, and whether the view knows it.

        Negative gaps are behind the limit; points that a view does not show, or of whose pixel nothing is known, are
        not known to it.
        """
        x, y, z = torch.einsum("vij,nj->ivn", self.poses[:, :3, :3], points) + self.poses[:, :3, 3].T[:, :, None]
        depth = z.clamp(min=1e-6)
        fx, fy, cx, cy = self.intrinsics.T[:, :, None]
        column, row = (fx * x / depth + cx).floor().long(), (fy * y / depth + cy).floor().long()
        height, width = self.sizes.T[:, :, None]
        within = (z > 1e-6) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        place = self.starts[:, None] + row * width + column
        limit = self.limits[torch.where(within, place, 0)]
        return limit - z, within & (limit > 0)

    def sides(self, points: Float[Tensor, "n 3"], tolerance: float, reach: float, votes: int) -> Float[Tensor, " n"]:
        """Return +1 outside, -1 inside, 0 where the views do not tell.

        Args:
            points: scene units.
            tolerance: how far before a limit a point must lie to be in front of it, and how far behind to be behind.
            reach: how far behind a limit a point may lie to count as inside.
            votes: how many views must look through a point that is outside; past the object's mask one is enough.
        """
        parts = []
        for part in torch.split(points, max(1, CHUNK // len(self.poses))):
            gap, known = self.gaps(part)
            through = _through(gap, known, tolerance, votes)
            behind = (known & (gap < -tolerance) & (gap > -reach)).any(dim=0)
            parts.append((through >= votes).float() - (behind & (through == 0)).float())
        return torch.cat(parts)

    def facing(self, points: Float[Tensor, "n 3"], tolerance: float, votes: int) -> Float[Tensor, "n 3"]:
        """Return the sum of the directions to the cameras that see each point, 0 where none does.

        Args:
            points: scene units.
            tolerance: how far from a limit a point may lie to be what is seen there.
            votes: how many views must look through a point that is no surface at all, as in `sides`.
        """
        centers = -torch.einsum("vij,vi->vj", self.poses[:, :3, :3], self.poses[:, :3, 3])
        parts = []
        for part in torch.split(points, max(1, CHUNK // len(self.poses))):
            gap, known = self.gaps(part)
            sees = known & (gap.abs() <= tolerance) & (_through(gap, known, tolerance, votes) < votes)
            direction = functional.normalize(centers[:, None] - part, dim=2)
            parts.append(torch.einsum("vn,vnj->nj", sees.float(), direction))
        return torch.cat(parts)


def _through(gap: Float[Tensor, "v n"], known: Bool[Tensor, "v n"], tolerance: float, votes: int) -> Int[Tensor, " n"]:
    """Return how many views look through each point; one that looks past the object counts as `votes` of them."""
    weight = torch.where(torch.isinf(gap), votes, 1)
    return (weight * (known & (gap > tolerance))).sum(dim=0)
