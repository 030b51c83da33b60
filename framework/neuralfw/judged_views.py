"""Judges a run by its photographs, held out or learnt from, and shows some beside what the run makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .components import Quantities
from .data.images import Images
from .errors import UserError
from .geometry import Camera, Mesh
from .geometry.files import write_file
from .learnt_cameras import cameras_of
from .meshing import EmptySurfaceError
from .metrics.views import JudgedView, evaluate_views
from .raster import rasterize

if TYPE_CHECKING:
    from .run import Run

SHOWN = 3

PANELS = "panels"
"""Key of the text in a PNG that names the pictures side by side in it, with commas between."""

_JUDGED = {"views": ("test", "photographs held out"), "training_views": ("train", "photographs learnt from")}


def evaluate_photographs(run: Run, protocol: str) -> dict[str, Any]:
    """Compare renderings and the mesh with photographs; see `neuralfw.metrics.views`.

    Protocol `views` takes those held out, at the cameras that the data bring; `training_views` those learnt from, at
    the cameras that were learnt with them, if any were. The first, middle and last of them go to the run's images/ as
    test_000.png or train_000.png and so on: the photograph, the rendering, the normals of the mesh in camera axes.

    Raises:
        UserError: the run has no photographs, or none held out.
    """
    name, (chosen, which) = run.photographs, _JUDGED[protocol]
    if name is None:
        raise UserError(f"protocol {protocol}: this run has no photographs.")
    if chosen == "test" and run.held_out is None:
        raise UserError(
            "protocol views: this run has no photographs held out. holdout = 8 of its data keeps every 8th as set test."
        )
    data = run.data(name)
    assert isinstance(data, Images)
    mesh = run.mesh() if run.recipe.export is not None and not run.timed else None
    cameras = cameras_of(run, name, chosen)
    members = sorted(cameras, key=lambda index: data.views[index].time or 0.0)
    shown = _shown(members)

    def views() -> Iterator[JudgedView]:
        for number, index in enumerate(members):
            view = _view(run, data, index, cameras[index])
            if index in shown:
                _save(view, view.mesh or mesh, run.folder.images / f"{chosen}_{number:03}.png")
            yield view

    corners = data.bounds.double().numpy()
    diagonal = float(np.linalg.norm(corners[1] - corners[0])) / run.frame.scale
    edges = {(cameras[index].width, cameras[index].height) for index in members}
    told: dict[str, Any] = {"protocol": protocol, "summary": f"{which}, against renderings and the mesh"}
    told |= {"background": data.background.tolist(), "sizes": sorted(f"{w} x {h}" for w, h in edges)}
    return told | evaluate_views(views(), mesh, diagonal=diagonal)


def show_photographs(run: Run, chosen: str) -> list[Path]:
    """Write the pictures that `evaluate_photographs` leaves of a set, without judging; return their files.

    Raises:
        UserError: the run has no photographs, or no such set.
    """
    name = run.photographs
    if name is None:
        raise UserError("this run has no photographs")
    data = run.data(name)
    assert isinstance(data, Images)
    mesh = run.mesh() if run.recipe.export is not None and not run.timed else None
    cameras = cameras_of(run, name, chosen)
    members = sorted(cameras, key=lambda index: data.views[index].time or 0.0)
    files = []
    for index in sorted(_shown(members), key=members.index):
        view = _view(run, data, index, cameras[index])
        files.append(run.folder.images / f"{chosen}_{members.index(index):03}.png")
        _save(view, view.mesh or mesh, files[-1])
    return files


def _shown(members: list[int]) -> set[int]:
    """Return the first, the last and some between."""
    return {members[round(k * (len(members) - 1) / (SHOWN - 1))] for k in range(SHOWN)}


def _view(run: Run, data: Images, index: int, camera: Camera) -> JudgedView:
    batch: Quantities = data.view_batch(index)
    if camera is not data.cameras[index]:
        batch = {q: v for q, v in batch.items() if q != "view"}
        batch["world_to_camera"] = torch.from_numpy(camera.world_to_camera).float()[None]
    render = None if run.pictures is None else run.pictures(batch)["rgb"][0]
    depth = batch["depth"][0] / run.frame.scale if "depth" in batch else None
    return JudgedView(
        camera=camera.to_world(run.frame),
        photograph=batch["rgb"][0],
        render=render,
        mask=batch["mask"][0] if "mask" in batch else None,
        valid=batch["valid"][0] if "valid" in batch else None,
        depth=depth,
        name=data.views[index].name,
        time=(time := data.views[index].time),
        mesh=_moving(run, time),
    )


def _moving(run: Run, time: float | None) -> Mesh | None:
    """Return the mesh of a time, if the scene moves and has a surface then."""
    if not run.timed or time is None or run.recipe.export is None:
        return None
    try:
        return run.mesh(time)
    except EmptySurfaceError:
        return None


def _save(view: JudgedView, mesh: Mesh | None, file: Path) -> None:
    panels = {"photograph": view.photograph.numpy()}
    if view.render is not None:
        panels["rendering"] = view.render.clamp(0.0, 1.0).numpy()
    if mesh is not None:
        panels["normals"] = normal_picture(mesh, view.camera)
    pixels = (np.concatenate([*panels.values()], axis=1) * 255.0).round().astype(np.uint8)
    names, encoded = PngInfo(), BytesIO()
    names.add_text(PANELS, ",".join(panels))
    Image.fromarray(pixels).save(encoded, "PNG", optimize=True, pnginfo=names)
    write_file(file, encoded.getvalue())


def normal_picture(mesh: Mesh, camera: Camera) -> Float[np.ndarray, "h w 3"]:
    """Return the mesh's normals as colours on white: right, up and towards the camera, -1 to 1, as red, green, blue."""
    seen = rasterize(mesh.vertices, mesh.faces, camera)
    axes = camera.world_to_camera[:3, :3] * np.array([[1.0], [-1.0], [-1.0]])
    normals = seen.interpolate(mesh.vertex_normals @ axes.T, mesh.faces)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    return np.where(seen.hit[..., None], 0.5 * (normals + 1.0), 1.0)
