"""What of a mesh the masks of photographs allow: the field culls by them before it scores meshes of DTU."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool
from scipy.ndimage import distance_transform_edt

from neuralfw.errors import UserError
from neuralfw.geometry import Camera, Mesh
from neuralfw.geometry.cleaning import select_faces

MaskedView = tuple[Camera, Bool[np.ndarray, "h w"]]

DILATION = 24 / 1600
"""By how much a mask grows, over the width of the image: 24 pixels of DTU's 1600 (2DGS, PGSR, GS-Pull)."""


def cull_by_masks(mesh: Mesh, views: Iterable[MaskedView], dilation: float = DILATION) -> Mesh:
    """The faces whose corners lie inside the dilated masks of all photographs that have them in the image.

    What lies beside an image or behind its camera counts as inside. Nothing is hidden by anything else: a face behind
    the object stays. As `cull_scan` of 2D Gaussian splatting does, which takes vertices behind a camera as if they were
    in front.

    Args:
        mesh: in the world of the cameras.
        views: cameras, and where their photographs show the object; at least one.
        dilation: radius of the disk by which masks grow, over the width of the image.

    Raises:
        UserError: nothing is left.
    """
    keep = np.ones(len(mesh.vertices), dtype=bool)
    for camera, mask in views:
        pixels, depth = camera.project(mesh.vertices)
        seen = camera.sees(pixels, depth)
        column, row = np.floor(pixels[seen]).astype(np.int64).T
        keep[seen] &= _dilated(mask, dilation * camera.width)[row, column]
    culled = select_faces(mesh, keep[mesh.faces].all(axis=1))
    if len(culled.faces) == 0:
        raise UserError("culling by the masks leaves nothing of the mesh. Does it lie where the cameras look?")
    return culled


def _dilated(mask: Bool[np.ndarray, "h w"], radius: float) -> Bool[np.ndarray, "h w"]:
    """The pixels at most a radius from one of the mask's."""
    if not mask.any():
        return mask
    grown: Bool[np.ndarray, "h w"] = distance_transform_edt(~mask) <= radius
    return grown
