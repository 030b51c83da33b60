"""Distances of points to their neighbours."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree
from torch import Tensor


def mean_squared_distance(points: Float[Tensor, "n 3"], neighbors: int = 3) -> Float[Tensor, " n"]:
    """Return the mean of the squared distances to the nearest other points, as simple-knn's distCUDA2 does.

    On a CUDA device that package does it where it is installed, for three neighbours; else a k-d tree on the host.
    """
    if points.is_cuda and neighbors == 3 and len(points) > neighbors:
        try:
            from simple_knn._C import distCUDA2  # type: ignore[import-not-found]
        except ImportError:
            pass
        else:
            nearest: Float[Tensor, " n"] = distCUDA2(points.float().contiguous()).to(points)
            return nearest
    count = min(neighbors, len(points) - 1)
    if count < 1:
        return torch.zeros(len(points), device=points.device)
    x = points.detach().double().cpu().numpy()
    distance, _ = cKDTree(x).query(x, k=[*range(2, count + 2)], workers=-1)
    return torch.from_numpy(np.square(distance).mean(axis=1)).to(points)
