"""What a camera sees of a mesh, as every renderer of posed images gives it; and such images as colours on a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8

from neuralfw.geometry import Camera, Mesh
from neuralfw.picture import COLOR, head_light
from neuralfw.raster import rasterize

FINER = 2
"""Samples along each side of a pixel."""

Images = Mapping[str, Float[np.ndarray, "h w *c"]]
Color = tuple[float, float, float]


def mesh_images(mesh: Mesh, camera: Camera, background: Color = (0.0, 0.0, 0.0)) -> dict[str, np.ndarray]:
    """Return rgb, alpha, depth and normal of a mesh: its own colours, or a grey-blue that a head light shades.

    As of a renderer: rgb on the background, depth along the optical axis over what is covered, normals in world axes
    towards the camera, weighted by the coverage.
    """
    fine = camera.resized(FINER * camera.width, FINER * camera.height)
    seen = rasterize(mesh.vertices, mesh.faces, fine)
    normals = seen.interpolate(mesh.vertex_normals, mesh.faces)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    facing = -np.einsum("hwk,hwk->hw", normals, fine.rays()[1])
    normals = np.where(facing[..., None] < 0.0, -normals, normals)
    color = COLOR * head_light(facing)[..., None] if mesh.colors is None else seen.interpolate(mesh.colors, mesh.faces)
    alpha = _mean(seen.hit.astype(np.float64))
    depth = _mean(np.where(seen.hit, seen.depth, 0.0)) / np.maximum(alpha, 1e-12)
    covered = seen.hit[..., None]
    images = {
        "rgb": _mean(np.where(covered, color, 0.0)) + (1.0 - alpha[..., None]) * np.array(background),
        "alpha": alpha,
        "depth": depth,
        "normal": _mean(np.where(covered, normals, 0.0)),
    }
    return {name: image.astype(np.float32) for name, image in images.items()}


def shown(
    images: Images, what: Sequence[str], camera: Camera, near: float, far: float
) -> UInt8[np.ndarray, "h wide 3"]:
    """Return images side by side as colours.

    Args:
        images: rgb, alpha, depth, normal of one camera.
        what: of rgb, depth (grey from near to far), normal (camera axes, on white), mask (alpha).
        camera: of the world.
        near, far: depths that are light and dark.
    """
    alpha = images["alpha"] if "alpha" in images else np.ones(images["rgb"].shape[:2], np.float32)
    panels = []
    for name in what:
        if name == "rgb":
            panel = images["rgb"]
        elif name == "depth":
            share = np.clip((images["depth"] - near) / max(far - near, 1e-12), 0.0, 1.0)
            panel = _grey(alpha * (1.0 - 0.85 * share) + (1.0 - alpha))
        elif name == "mask":
            panel = _grey(alpha)
        else:
            local = images["normal"] @ (camera.world_to_camera[:3, :3].T * np.array([1.0, -1.0, -1.0]))
            panel = 0.5 * (local + alpha[..., None]) + (1.0 - alpha[..., None])
        panels.append(panel)
    levels = np.round(255.0 * np.clip(np.concatenate(panels, axis=1), 0.0, 1.0))
    picture: UInt8[np.ndarray, "h wide 3"] = levels.astype(np.uint8)
    return picture


def _grey(image: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    return np.repeat(image[..., None], 3, axis=2)


def _mean(image: Float[np.ndarray, "fh fw *c"]) -> Float[np.ndarray, "h w *c"]:
    """Return the means of blocks of FINER x FINER samples."""
    height, width = image.shape[0] // FINER, image.shape[1] // FINER
    blocks: Float[np.ndarray, "h w *c"] = image.reshape(height, FINER, width, FINER, *image.shape[2:]).mean(axis=(1, 3))
    return blocks
