"""The CPU backend: core's rasteriser and numba kernels behind autograd; scenes elsewhere are copied."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int32, Int64, UInt8
from torch import Tensor
from torch.autograd.function import once_differentiable

from neuralfw.raster import rasterize_local
from neuralfw.threads import numba_threads

from ..blending import Crossings, blend, projected
from ..contract import Triangles, View
from ..kernels import interpolation, silhouettes

SILHOUETTES = frozenset({"all", "shown"})


def unavailable() -> str | None:
    """Say why the backend does not work here, or None."""
    return None


class Drawing:
    """See `neuralfw_mesh.contract`."""

    def __init__(self, positions: Float[Tensor, "n 3"], triangles: Triangles, view: View) -> None:
        self._positions, self._triangles, self._view = positions.cpu(), triangles, view
        self._exact: Float64[np.ndarray, "n 3"] = self._positions.detach().double().numpy()
        self._faces: Int64[np.ndarray, "f 3"] = triangles.once("numpy", lambda: triangles.faces.numpy(force=True))
        size = (view.height, view.width)
        fragments = rasterize_local(self._exact, self._faces, view.intrinsics, size, near=view.near)
        self._face, self._depth = fragments.face, fragments.depth
        self._found: Crossings | None = None
        self.hit = torch.from_numpy(fragments.hit).to(positions.device)

    def interpolate(self, values: Float[Tensor, "n c"]) -> Float[Tensor, "h w c"]:
        image: Tensor = _Interpolate.apply(  # type: ignore[no-untyped-call]
            self._positions, values.cpu(), self._exact, self._faces, self._face, self._view
        )
        return image.to(values.device)

    def antialias(self, image: Float[Tensor, "h w c"]) -> Float[Tensor, "h w c"]:
        if self._found is None:
            self._found = self._crossings()
        return blend(image.cpu(), projected(self._positions, self._view), self._found).to(image.device)

    def _crossings(self) -> Crossings:
        count = len(self._exact)
        wings = self._triangles.once("wings", lambda: silhouettes.wings(self._faces, count))
        screen = projected(self._positions.detach(), self._view).double().numpy()
        marks = np.empty(len(self._faces), np.uint8)
        with numba_threads():
            silhouettes.mark(screen, self._exact[:, 2], self._faces, wings, self._view.near, marks)
            found = self._shown(screen, marks) if self._view.silhouettes == "shown" else self._all(screen, marks)
        rows = torch.from_numpy(found)
        return Crossings(rows[:, :2], rows[:, 2:4], rows[:, 4] > 0)

    def _shown(self, screen: Float64[np.ndarray, "n 2"], marks: UInt8[np.ndarray, " f"]) -> Int64[np.ndarray, "m 5"]:
        height, width = self._face.shape
        counts, found = np.empty(height, np.int64), np.empty((height, 2 * width, 5), np.int64)
        silhouettes.find(self._face, self._depth, screen, self._faces, marks, counts, found)
        rows: Int64[np.ndarray, "m 5"] = silhouettes.gather(counts, found)
        return rows

    def _all(self, screen: Float64[np.ndarray, "n 2"], marks: UInt8[np.ndarray, " f"]) -> Int64[np.ndarray, "m 5"]:
        pairs, width = 2 * self._face.size, self._face.shape[1]
        best, place, rows = np.full(pairs, -1.0), np.empty(pairs, np.int64), np.empty((pairs, 5), np.int64)
        count = silhouettes.trace(
            self._face.ravel(),
            self._depth.ravel(),
            screen,
            self._exact[:, 2],
            self._faces,
            marks,
            best,
            place,
            rows,
            width,
        )
        return rows[:count]


class _Interpolate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        positions: Float[Tensor, "n 3"],
        values: Float[Tensor, "n c"],
        exact: Float64[np.ndarray, "n 3"],
        faces: Int64[np.ndarray, "f 3"],
        face: Int32[np.ndarray, "h w"],
        view: View,
    ) -> Float[Tensor, "h w c"]:
        given = np.ascontiguousarray(values.detach().numpy())
        image = np.empty((*face.shape, given.shape[1]), given.dtype)
        with numba_threads():
            interpolation.interpolate(exact, given, faces, face, view.intrinsics, image)
        ctx.kept = exact, given, faces, face, view.intrinsics, positions.dtype
        return torch.from_numpy(image)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_image: Float[Tensor, "h w c"]) -> Any:
        exact, given, faces, face, intrinsics, dtype = ctx.kept
        d_positions, d_values = interpolation.sums(*given.shape)
        gradient = np.ascontiguousarray(d_image.numpy())
        with numba_threads():
            interpolation.interpolate_backward(exact, given, faces, face, intrinsics, gradient, d_positions, d_values)
        summed = [torch.from_numpy(d.sum(axis=0)) for d in (d_positions, d_values)]
        return summed[0].to(dtype), summed[1].to(d_image.dtype), None, None, None, None
