"""The one call that meshes a field."""

from typing import Literal

import torch

from .cells import frontier, triangulate
from .dense import dense_cells
from .grid import Bounds, Grid, GridField, ScalarField
from .sparse import sparse_cells
from .surface import ExtractionStats, Surface, empty_surface


def extract(
    sdf: ScalarField,
    bounds: Bounds,
    resolution: int,
    *,
    method: Literal["sparse", "dense"] = "sparse",
    level: float = 0.0,
    chunk: int = 8192,
    lipschitz: float | None = None,
    device: torch.device | str = "cpu",
) -> Surface:
    """The level set of a field in a box, by marching cubes (Lorensen and Cline 1987).

    Args:
        sdf: points (n, 3) on `device` in the default float type → values (n,); lower inside than outside.
        bounds: lower and upper corner of the box, in the field's space.
        resolution: cubic cells along the longest edge of the box.
        method: `sparse` evaluates only where the surface may be and gives the same mesh as `dense`.
        level: the value whose level set is wanted.
        chunk: points per call of `sdf`; small ones stay in a CPU's cache, a GPU likes 2**18.
        lipschitz: a bound on the field's slope, if one is known; measured otherwise. `dense` needs none.
        device: where `sdf` computes.

    Raises:
        EmptySurfaceError: the field does not cross the level in the box.
        UserError: empty bounds, a resolution below 2, or a value that is not finite.
    """
    grid = Grid.over(bounds, resolution)
    field = GridField(sdf, grid, level, chunk, device)
    if method == "sparse":
        crossing, bound = sparse_cells(field, lipschitz)
    else:
        crossing, bound = dense_cells(field), None
    if len(crossing) == 0:
        raise empty_surface(field)
    vertices, faces = triangulate(grid, crossing)
    stats = ExtractionStats(
        method=method,
        level=level,
        cells=grid.cells,
        spacing=grid.spacing,
        nodes=grid.node_count,
        evaluations=field.evaluations,
        lipschitz=bound,
        leaves_bounds=frontier(grid, crossing)[1] > 0,
    )
    return Surface(vertices, faces, stats)
