"""The CPU backend: numba kernels behind one autograd function."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor
from torch.autograd.function import once_differentiable

from neuralfw.threads import numba_threads

from ..contract import NEAR, Image, Settings, Splats, View
from ..kernels.binning import bins
from ..kernels.projection import CHUNK, project, project_backward
from ..kernels.raster import HEAD, SUMS, add_up, kernels

_scratch: dict[str, Float32[np.ndarray, " n"]] = {}


def unavailable() -> str | None:
    """Say why the backend does not work here, or None."""
    return None


def render(splats: Splats, view: View, settings: Settings, screen: Float[Tensor, "g 2"]) -> Image:
    """Return the image; see `neuralfw_gaussians.contract`."""
    count = len(splats.means)
    features = splats.means.new_empty(count, 0) if settings.features is None else settings.features
    radii = torch.zeros(count)
    image, alpha = _Rasterise.apply(  # type: ignore[no-untyped-call]
        splats.means, splats.scales, splats.rotations, splats.opacities, splats.sh, features, view.world_to_camera,
        view, settings, radii, screen,
    )  # fmt: skip
    extra = 4 if settings.depth else 3
    return Image(
        rgb=image[..., :3],
        alpha=alpha,
        depth=image[..., 3] if settings.depth else None,
        features=None if settings.features is None else image[..., extra:],
        radii=radii,
    )


class _Rasterise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, means, scales, rotations, opacities, sh, features, pose, view, settings, radii, screen):  # type: ignore[no-untyped-def]
        tensors = (means, scales, rotations, opacities, sh, features, pose)
        inputs = [t.detach().numpy(force=True).astype(np.float32, copy=False) for t in tensors]
        inputs = [np.ascontiguousarray(i) for i in inputs]
        count, extra = len(means), 4 if settings.depth else 3
        channels = extra + features.shape[1]
        pose64 = inputs[6].astype(np.float64)
        camera = tuple(float(v) for v in view.intrinsics.tolist())
        center = -pose64[:3, :3].T @ pose64[:3, 3]
        projected = _rows(count, HEAD + channels)
        boxes, depths = np.empty((count, 4), np.int32), np.empty(count, np.float32)
        height, width = view.height, view.width
        image = np.empty((height, width, channels), np.float32)
        lefts, stops = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
        with numba_threads():
            project(
                *inputs[:6], pose64, camera, center, width, height, NEAR, settings.antialiased, settings.depth,
                projected, boxes, depths, radii.numpy(),
            )  # fmt: skip
            binned = bins(depths, boxes, width, height)
            kernels(channels).forward(projected, binned.meetings, binned.starts, width, height, image, lefts, stops)
        ctx.kept = (inputs, pose64, camera, center, projected, boxes, binned, lefts, stops, view, settings, screen)
        return torch.from_numpy(image), 1.0 - torch.from_numpy(lefts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_image: Float[Tensor, "h w c"], d_alpha: Float[Tensor, "h w"]) -> Any:
        inputs, pose64, camera, center, projected, boxes, binned, lefts, stops, view, settings, screen = ctx.kept
        channels = d_image.shape[2]
        slots = _buffer("slots", len(binned.meetings), SUMS + channels)
        sums = _buffer("sums", len(boxes), SUMS + channels)
        grads = [np.zeros_like(i) for i in inputs[:6]]
        d_pose = np.zeros((-(-len(boxes) // CHUNK), 4, 4))
        with numba_threads():
            kernels(channels).backward(
                projected, binned.meetings, binned.starts, view.width, view.height, lefts, stops,
                np.ascontiguousarray(d_image.numpy()), np.ascontiguousarray(d_alpha.numpy()), settings.absolute, slots,
            )  # fmt: skip
            add_up(slots, binned.offsets, sums)
            project_backward(
                *inputs[:5], pose64, camera, center, view.width, view.height, settings.antialiased, settings.depth,
                boxes, projected, sums, *grads, d_pose, screen.numpy(),
            )  # fmt: skip
        pose = torch.from_numpy(_pose_gradient(d_pose.sum(axis=0), pose64)) if ctx.needs_input_grad[6] else None
        return *(torch.from_numpy(g) for g in grads), pose, None, None, None, None


def _pose_gradient(sums: Float64[np.ndarray, "4 4"], pose: Float64[np.ndarray, "4 4"]) -> Float32[np.ndarray, "4 4"]:
    """Add what the camera's centre, -Rᵀt in the last row of the sums, passes on to the pose."""
    gradient = np.zeros((4, 4))
    gradient[:3] = sums[:3]
    gradient[:3, :3] -= np.outer(pose[:3, 3], sums[3, :3])
    gradient[:3, 3] -= pose[:3, :3] @ sums[3, :3]
    return gradient.astype(np.float32)


def _rows(count: int, columns: int) -> Float32[np.ndarray, "{count} _"]:
    """Return rows that begin with lines of the cache."""
    rows: Float32[np.ndarray, "{count} _"] = torch.empty(count, -(-columns // 16) * 16).numpy()
    return rows


def _buffer(name: str, rows: int, columns: int) -> Float32[np.ndarray, "{rows} {columns}"]:
    """Return memory that is kept from call to call: touching fresh pages costs more than the sums."""
    if name not in _scratch or _scratch[name].size < rows * columns:
        _scratch[name] = np.empty(int(1.2 * rows * columns) + 1, np.float32)
    return _scratch[name][: rows * columns].reshape(rows, columns)
