"""What meshers must hold, on a sphere that is known exactly."""

from __future__ import annotations

import numpy as np
import torch
import trimesh

from ...errors import UserError
from ...meshing import EmptySurfaceError
from ..kit import check
from ..subject import RADIUS, NotBuilt, Subject


@check("mesher")
def a_sphere_is_meshed(subject: Subject) -> None:
    """The mesh of a sphere is closed, faces outward and lies on it."""
    scene = subject.sphere_scene(RADIUS)  # a radius that meets no node of a grid
    try:
        surface = subject.made(scene)(scene.view(), resolution=40)
    except EmptySurfaceError:
        raise
    except UserError as error:
        raise NotBuilt(f"it needs more than a distance: {error}") from error
    vertices, faces = (np.asarray(torch.as_tensor(part)) for part in (surface.vertices, surface.faces))
    mesh = trimesh.Trimesh(vertices, faces, process=True)
    assert len(faces), "there is no surface"
    off = float(np.abs(np.linalg.norm(vertices, axis=1) - RADIUS).max())
    assert off < 0.1 * RADIUS, f"vertices are off the sphere by {off:.3g}"
    assert mesh.is_watertight, "the mesh is not closed"
    assert mesh.volume > 0.0, "its faces look inward"
