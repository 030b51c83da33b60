"""Judges a run by the photographs that were held out, and shows some of them beside what the run makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from .components import Quantities
from .data.images import Images
from .errors import UserError
from .geometry import Camera, Mesh
from .geometry.files import write_file
from .metrics.views import HeldOutView, evaluate_views
from .raster import rasterize

if TYPE_CHECKING:
    from .run import Run

SHOWN = 3


def evaluate_held_out(run: Run) -> dict[str, Any]:
    """Compare renderings and the mesh with the photographs held out; see `neuralfw.metrics.views`.

    The first, middle and last of them go to the run's images/ as test_000.png and so on: the photograph, the
    rendering, the normals of the mesh in camera axes.

    Raises:
        UserError: no photographs are held out.
    """
    if run.held_out is None:
        raise UserError(
            "protocol views: this run has no photographs held out. holdout = 8 of its data keeps every 8th as set test."
        )
    data = run.data(run.held_out)
    assert isinstance(data, Images)
    mesh = run.mesh() if run.recipe.export is not None and not run.timed else None
    members = data.members("test")
    shown = {members[round(k * (len(members) - 1) / (SHOWN - 1))] for k in range(SHOWN)}

    def views() -> Iterator[HeldOutView]:
        for number, index in enumerate(members):
            view = _view(run, data, index)
            if index in shown:
                picture = Image.fromarray(_side_by_side(view, mesh))
                encoded = BytesIO()
                picture.save(encoded, "PNG", optimize=True)
                write_file(run.folder.images / f"test_{number:03}.png", encoded.getvalue())
            yield view

    corners = data.bounds.double().numpy()
    diagonal = float(np.linalg.norm(corners[1] - corners[0])) / run.frame.scale
    return evaluate_views(views(), mesh, diagonal=diagonal)


def _view(run: Run, data: Images, index: int) -> HeldOutView:
    batch: Quantities = data.view_batch(index)
    render = None if run.pictures is None else run.pictures(batch)["rgb"][0]
    depth = batch["depth"][0] / run.frame.scale if "depth" in batch else None
    return HeldOutView(
        camera=data.cameras[index].to_world(run.frame),
        photograph=batch["rgb"][0],
        render=render,
        mask=batch["mask"][0] if "mask" in batch else None,
        valid=batch["valid"][0] if "valid" in batch else None,
        depth=depth,
    )


def _side_by_side(view: HeldOutView, mesh: Mesh | None) -> UInt8[np.ndarray, "h w 3"]:
    panels = [view.photograph.numpy()]
    if view.render is not None:
        panels.append(view.render.clamp(0.0, 1.0).numpy())
    if mesh is not None:
        panels.append(normal_picture(mesh, view.camera))
    picture: UInt8[np.ndarray, "h w 3"] = (np.concatenate(panels, axis=1) * 255.0).round().astype(np.uint8)
    return picture


def normal_picture(mesh: Mesh, camera: Camera) -> Float[np.ndarray, "h w 3"]:
    """Return the mesh's normals as colours on white: right, up and towards the camera, -1 to 1, as red, green, blue."""
    seen = rasterize(mesh.vertices, mesh.faces, camera)
    axes = camera.world_to_camera[:3, :3] * np.array([[1.0], [-1.0], [-1.0]])
    normals = seen.interpolate(mesh.vertex_normals @ axes.T, mesh.faces)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    return np.where(seen.hit[..., None], 0.5 * (normals + 1.0), 1.0)
