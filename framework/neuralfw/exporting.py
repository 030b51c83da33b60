"""What [export] does to a mesh before it is written, and what photographs say of it: faces seen, colours, masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from .data.images import Images
from .errors import UserError
from .geometry import Camera, Mesh
from .geometry.cleaning import crop, largest_parts, select_faces
from .geometry.splats import read_gaussians, write_splat
from .meshing import EmptySurfaceError
from .raster import visible_faces
from .recipe.model import ExportTable

if TYPE_CHECKING:
    from .geometry.cleanup import Cleanup
    from .run import Run

MOST_VIEWS = 100
"""Images from which colours are taken; of more photographs every so many-th is rendered."""


@dataclass(frozen=True, eq=False)
class Exported:
    """A mesh that is to be written, in world units.

    Attributes:
        stem: what its file is called, without its ending.
        mesh: after clean-up.
        time: in [0, 1]; None of a scene that does not move.
        shape: name of one shape of several, or "A:B:0.3"; None where there is one alone.
        record: what the clean-up did; None where there was none.
        alone: whether it is the only one.
    """

    stem: str
    mesh: Mesh
    time: float | None
    shape: str | None
    record: dict[str, Any] | None
    alone: bool

    def path(self, output: Path | None, folder: Path, ending: str) -> Path:
        """Return its file: `output` of the only mesh, else one in `output`, else one in `folder`."""
        if output is not None and self.alone:
            return output
        return (output or folder) / f"{self.stem}.{ending}"


def surfaces(
    run: Run, *, resolution: int | None, times: Sequence[float], shape: str | None, cleanup: Cleanup | None,
    say: Callable[[str], None], world: str | None = None,
) -> Iterator[Exported]:  # fmt: skip
    """Yield the meshes of a run's shapes and times; see `Run.export`.

    Raises:
        EmptySurfaceError: there is no surface, at the only time asked for.
    """
    chosen = _between(shape) if shape else [None] if len(run.shapes) < 2 else [*run.shapes]
    moments: Sequence[float | None] = times or ((0.0, 0.5, 1.0) if run.timed else (None,))
    for name in chosen:
        for t in moments:
            try:
                mesh = run.mesh(t, resolution, shape=name, world=world)
            except EmptySurfaceError as error:
                if len(moments) == 1:
                    raise
                say(f"no mesh at time {t:g}: {error}")
                continue
            mesh, record = cleanup(mesh) if cleanup else (mesh, None)
            stem = "mesh" + (f"_{file_name(name)}" if name else "") + (f"_t{t:.3f}" if t is not None else "")
            yield Exported(stem, mesh, t, name, record, len(chosen) * len(moments) == 1)


def file_name(name: str) -> str:
    """Return a name of the user's with nothing in it that a file system would mind."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)


def _between(shape: str) -> list[str | None]:
    """Return the names that "A:B:n" stands for, n from one to the other; another name stands for itself."""
    parts = shape.split(":")
    if len(parts) != 3 or not parts[2].isdigit() or int(parts[2]) < 2:
        return [shape]
    count = int(parts[2])
    return [f"{parts[0]}:{parts[1]}:{k / (count - 1):.6g}" for k in range(count)]


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
