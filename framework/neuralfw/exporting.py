"""What [export] does to a mesh before it is written, and what photographs say of it: faces seen, colours, masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from .data.images import Images
from .errors import UserError
from .geometry import Camera, Mesh
from .geometry.cleaning import crop, largest_parts, select_faces
from .geometry.splats import read_gaussians, write_splat
from .raster import visible_faces
from .recipe.model import ExportTable

if TYPE_CHECKING:
    from .run import Run

MOST_VIEWS = 100
"""Images from which colours are taken; of more photographs every so many-th is rendered."""


def tidied(mesh: Mesh, table: ExportTable, run: Run) -> Mesh:
    """Return the parts of a mesh that [export] asks for.

    Raises:
        UserError: nothing is left, or faces are to be culled in a run without photographs.
    """
    if table.crop is not None:
        mesh = crop(mesh, *np.array(table.crop))
    if table.cull:
        mesh = select_faces(mesh, visible_faces(mesh, training_cameras(run)))
        if len(mesh.faces) == 0:
            raise UserError("[export] cull = true leaves nothing: no training photograph sees the mesh.")
    return mesh if table.keep == "all" else largest_parts(mesh, 1 if table.keep == "largest" else table.keep)


def training_cameras(run: Run) -> list[Camera]:
    """Return the cameras of the photographs that a run learnt from, in the world.

    Raises:
        UserError: its data hold no photographs, or these are not where they were.
    """
    if run.photographs is None:
        raise UserError("this run has no photographs that could see faces of its mesh: say [export] cull = false.")
    data = run.data(run.photographs)
    assert isinstance(data, Images)
    return [data.cameras[index].to_world(run.frame) for index in data.members("train")]


def as_splat(file: Path) -> Path:
    """Replace a PLY of Gaussians by a .splat, and return that.

    Raises:
        UserError: the file holds no Gaussians, or the other cannot be written.
    """
    target = file.with_suffix(".splat")
    write_splat(target, read_gaussians(file))
    file.unlink()
    return target


def colored(mesh: Mesh, run: Run) -> Mesh:
    """Return a mesh with the colours of the scene, rendered from the cameras of the training photographs.

    Raises:
        UserError: the photographs are not where they were.
    """
    from .coloring import color_vertices

    cameras = training_cameras(run)
    step = -(-len(cameras) // MOST_VIEWS)

    def images() -> Iterator[tuple[Camera, Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]]:
        for camera in cameras[::step]:
            images = run.render(camera)
            yield camera, images["rgb"], images["alpha"]

    return replace(mesh, colors=color_vertices(mesh, images()))
