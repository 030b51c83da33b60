"""Nearest neighbours between sets of points, on the device where they are."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

CHUNK = 4096


def nearest(points: Float[Tensor, "n 3"], targets: Float[Tensor, "m 3"]) -> Int[Tensor, " n"]:
    """Return which of the targets is nearest to each point: by a k-d tree on a CPU, by all distances elsewhere."""
    with torch.no_grad():
        if points.device.type == "cpu":
            _, found = cKDTree(targets.detach().numpy()).query(points.detach().numpy(), workers=-1)
            return torch.from_numpy(found)
        return torch.cat([torch.cdist(part, targets).argmin(dim=1) for part in torch.split(points, CHUNK)])


def spacing(points: Float[Tensor, "n 3"], neighbors: int) -> Float[Tensor, " n"]:
    """Return the distance of each point to its k-th nearest other one, or to the farthest where there are fewer."""
    at = points.detach().cpu()
    k = min(neighbors + 1, len(at))
    distance, _ = cKDTree(at.numpy()).query(at.numpy(), k=[k], workers=-1)
    return torch.from_numpy(np.asarray(distance)[:, 0]).to(points)
