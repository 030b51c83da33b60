"""Adapter to nvdiffrast (NVIDIA's licence: research and evaluation), on CUDA devices."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..contract import Triangles, View

SILHOUETTES = frozenset({"shown"})


def unavailable() -> str | None:
    """Say why the backend does not work here, or None."""
    if importlib.util.find_spec("nvdiffrast") is None:
        return "nvdiffrast is not installed: pip install --no-build-isolation git+https://github.com/NVlabs/nvdiffrast"
    return None if torch.cuda.is_available() else "nvdiffrast needs a CUDA device"


class Drawing:
    """See `neuralfw_mesh.contract`."""

    def __init__(self, positions: Float[Tensor, "n 3"], triangles: Triangles, view: View) -> None:
        self._clip = clip(positions.float(), view)[None].contiguous()
        self._faces = triangles.once("int32", lambda: triangles.faces.to(positions.device, torch.int32).contiguous())
        self._rast, _ = _package().rasterize(
            _context(positions.device), self._clip, self._faces, resolution=[view.height, view.width], grad_db=False
        )
        self._triangles = triangles
        self.hit = self._rast[0, ..., 3] > 0

    def interpolate(self, values: Float[Tensor, "n c"]) -> Float[Tensor, "h w c"]:
        image: Tensor = _package().interpolate(values.float()[None].contiguous(), self._rast, self._faces)[0]
        return image[0].to(values)

    def antialias(self, image: Float[Tensor, "h w c"]) -> Float[Tensor, "h w c"]:
        package = _package()
        topology = self._triangles.once("topology", lambda: package.antialias_construct_topology_hash(self._faces))
        blended: Tensor = package.antialias(
            image.float()[None].contiguous(), self._rast, self._clip, self._faces, topology_hash=topology
        )
        return blended[0].to(image)


def clip(positions: Float[Tensor, "n 3"], view: View) -> Float[Tensor, "n 4"]:
    """Return OpenGL's clip coordinates of positions in camera axes, with row 0 of the image at -1."""
    fx, fy, cx, cy = view.intrinsics
    x, y, z = positions.unbind(1)
    far = max(2.0 * float(z.detach().max()), 2.0 * view.near)
    depth = ((far + view.near) * z - 2.0 * far * view.near) / (far - view.near)
    return torch.stack(
        [
            2.0 * fx / view.width * x + (2.0 * cx / view.width - 1.0) * z,
            2.0 * fy / view.height * y + (2.0 * cy / view.height - 1.0) * z,
            depth,
            z,
        ],
        dim=1,
    )


def _package() -> Any:
    import nvdiffrast.torch as package  # type: ignore[import-not-found]

    return package


@cache
def _context(device: torch.device) -> Any:
    return _package().RasterizeCudaContext(device=device)
