"""What meshing returns: a surface with the record of how it was found, or the reason why there is none."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh
from neuralfw.geometry.cleaning import parts, select_faces

from .grid import GridField


@dataclass(frozen=True)
class ExtractionStats:
    """How a surface was found.

    `spacing` is the cell edge in the field's space; `evaluations` were made on a grid of `nodes`; `lipschitz` is the
    bound on the field's slope that the sparse search rests on, None where every node was evaluated. A surface that
    `leaves_bounds` is open where the box cuts it. `components` and `components_kept` are counted by clean-up.
    """

    method: str
    level: float
    cells: tuple[int, int, int]
    spacing: float
    nodes: int
    evaluations: int
    lipschitz: float | None
    leaves_bounds: bool
    components: int | None = None
    components_kept: int | None = None


@dataclass(frozen=True)
class Surface:
    """A triangle mesh in the field's space; faces are counter-clockwise seen from where the field is positive."""

    vertices: Float64[np.ndarray, "v 3"]
    faces: Int64[np.ndarray, "f 3"]
    stats: ExtractionStats


class EmptySurfaceError(UserError):
    """The field never crosses the level in the grid. The message gives its range, its sign and what to change."""


def empty_surface(field: GridField) -> EmptySurfaceError:
    """The error for a field that was evaluated and has no crossing."""
    grid = field.grid
    low, high = field.lowest + field.level, field.highest + field.level
    corners = grid.points(np.array([[0, 0, 0], grid.cells]))
    box = " to ".join("({:.4g}, {:.4g}, {:.4g})".format(*corner) for corner in corners)
    nearest = "({:.4g}, {:.4g}, {:.4g})".format(*field.nearest_point)
    if low == high:
        return EmptySurfaceError(
            f"There is no surface at level {field.level:g}. The field is constant, {low:.4g}, at"
            f" {field.evaluations} points of the box {box}: it has not been trained, or it does not read its input."
        )
    if low >= field.level:
        side = (
            "The field is above the level everywhere, so all of the box is outside: the surface lies elsewhere, is"
            " thinner than a cell, or the field never learnt an inside."
        )
    else:
        side = (
            "The field is below the level everywhere, so all of the box is inside: it is too small to reach the"
            " surface, or the field's sign is reversed (negative must be inside)."
        )
    return EmptySurfaceError(
        f"There is no surface at level {field.level:g}. {side} Field values run from {low:.4g} to {high:.4g} at"
        f" {field.evaluations} points of the box {box}, cell {grid.spacing:.4g}; they come nearest to the level at"
        f" {nearest}. Change the bounds, raise the resolution, or choose a level"
        f" between {low:.4g} and {high:.4g}."
    )


def largest_components(surface: Surface, count: int) -> Surface:
    """The `count` connected components of the largest area, without the others' vertices; order is kept."""
    if count < 1:
        raise UserError(f"components = {count} would leave no surface; keep at least 1.")
    mesh = Mesh(surface.vertices, surface.faces)
    of_face = parts(mesh)
    found, kept = int(of_face.max(initial=-1)) + 1, select_faces(mesh, of_face < count)
    stats = replace(surface.stats, components=found, components_kept=min(count, found))
    return Surface(kept.vertices, kept.faces, stats)
