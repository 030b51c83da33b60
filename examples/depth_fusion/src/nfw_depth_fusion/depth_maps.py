"""Depth maps as data: samples along the rays of a sensor."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree

from neuralfw.components import Build, Data, Draw, Quantities
from neuralfw.errors import UserError

from .config import BOUND, DepthMapsConfig

KEYS = ("depth", "world_to_camera", "intrinsics")


class DepthMaps(Data):
    """What a depth sensor met, and that its rays were free until there, in the training space.

    A depth of 0 was not measured; infinite is a ray that met nothing, which is free throughout the unit ball. Half of a
    batch lies about the points that rays met, the other half uniformly before them.
    """

    def __init__(self, config: DepthMapsConfig, build: Build) -> None:
        super().__init__(config, build)
        origins, along, depth = _rays(*_read(config.path))
        met = np.isfinite(depth)
        points = origins[met] + depth[met, None] * along[met]
        self.frame, self._spread = build.frame_of(points), config.spread
        points = self.frame.to_training(points)
        self._tree = cKDTree(points)
        self._origins = self.frame.to_training(origins)
        ends = self.frame.to_training(origins + along) - self._origins
        length = np.linalg.norm(ends, axis=1)
        self._along, self._distance = ends / length[:, None], depth * length
        self._met = np.flatnonzero(met)
        self.bounds = torch.from_numpy(np.stack([points.min(axis=0), points.max(axis=0)])).float()
        self.notes = (f"{len(depth):,} rays from {config.path.name}, {len(points):,} of which met something",)

    def holds(self, set_name: str) -> bool:
        return set_name in ("", "train")

    def batches(self, set_name: str, draw: Any) -> int:
        return max(1, len(self._distance) // draw.batch)

    def sample(self, request: Draw) -> Quantities:
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=request.generator)))
        near = request.options.batch // 2
        rays = np.concatenate([rng.choice(self._met, near), rng.integers(len(self._distance), size=near)])
        to_center = -(self._origins[rays] * self._along[rays]).sum(axis=1)  # of the unit ball, along the ray
        end = np.minimum(self._distance[rays], to_center + 1)
        free = np.maximum(to_center - 1, 0)
        t = free + (end - free) * rng.random(len(rays))
        t[:near] = self._distance[rays[:near]] + self._spread * rng.standard_normal(near)
        points = self._origins[rays] + t[:, None] * self._along[rays]
        bound = np.sign(self._distance[rays] - t) * self._tree.query(points)[0]
        return {"points": torch.from_numpy(points).float(), BOUND: torch.from_numpy(bound).float()}


def _read(path: Path) -> list[Float[np.ndarray, "v ..."]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            depth, pose, lens = (np.asarray(file[key], dtype=np.float64) for key in KEYS)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: expected an npz file with {', '.join(KEYS)}: {error}") from error
    if depth.ndim != 3 or pose.shape != (len(depth), 4, 4) or lens.shape != (len(depth), 4):
        raise UserError(f"{path}: shapes of {', '.join(KEYS)} are not (v, h, w), (v, 4, 4), (v, 4)")
    if not (np.isfinite(depth) & (depth > 0)).any():
        raise UserError(f"{path}: no ray met anything")
    return [depth, pose, lens]


def _rays(
    depth: Float[np.ndarray, "v h w"], pose: Float[np.ndarray, "v 4 4"], lens: Float[np.ndarray, "v 4"]
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"], Float[np.ndarray, " n"]]:
    """Return origins, directions of depth 1 and depths of the pixels that were measured, in the world."""
    view, row, column = np.nonzero(depth > 0)
    fx, fy, cx, cy = lens[view].T
    local = np.stack([(column + 0.5 - cx) / fx, (row + 0.5 - cy) / fy, np.ones(len(view))], axis=1)
    turn, shift = pose[:, :3, :3], pose[:, :3, 3]
    centers = -np.einsum("vij,vi->vj", turn, shift)
    return centers[view], np.einsum("nij,ni->nj", turn[view], local), depth[view, row, column]
