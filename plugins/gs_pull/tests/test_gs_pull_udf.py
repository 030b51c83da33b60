"""Meshes of unsigned distances: one sheet and two, closed and open."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from known_gaussians import SphereSdf, World
from torch import Tensor, nn

from neuralfw.components import Quantities, SdfField
from neuralfw.errors import UserError
from neuralfw.geometry import Mesh
from neuralfw.meshing import EmptySurfaceError, Surface
from neuralfw_gs_pull import config as c
from neuralfw_gs_pull.udf import UdfMesher

BOUNDS = torch.tensor([[-0.6] * 3, [0.6] * 3])


class Hemisphere(SdfField):
    """The distance to the half of a sphere of radius 0.5 above z = 0, rim included; without a sign."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def forward(
        self, x: Tensor, t: Tensor | None = None, z: Tensor | None = None, want: frozenset[str] = frozenset({"sdf"})
    ) -> Quantities:
        ring = nn.functional.normalize(x * torch.tensor([1.0, 1.0, 0.0]), dim=1)
        foot = 0.5 * torch.where(x[:, 2:] >= 0, nn.functional.normalize(x, dim=1), ring)
        away = x - foot
        return {"sdf": away.norm(dim=1), "sdf_gradient": nn.functional.normalize(away, dim=1)}


class Unsigned(SphereSdf):
    """The distance to a sphere without a sign."""

    def forward(self, x, t=None, z=None, want=frozenset({"sdf"})):  # type: ignore[no-untyped-def]
        found = super().forward(x, want=frozenset({"sdf", "sdf_gradient"}))
        sign = torch.sign(found["sdf"])
        return {"sdf": found["sdf"].abs(), "sdf_gradient": found["sdf_gradient"] * sign[:, None]}


def meshed(field: SdfField, resolution: int = 32, **options: object) -> Surface:
    world = World({"sdf": field}, BOUNDS)
    mesher = UdfMesher(c.UdfConfig.model_validate({"resolution": resolution, **options}), world.build())
    return mesher(world)


def border_edges(surface: Surface) -> int:
    edges = np.sort(surface.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    return int((np.unique(edges, axis=0, return_counts=True)[1] == 1).sum())


def area(surface: Surface) -> float:
    return float(Mesh(surface.vertices, surface.faces).face_areas.sum())


@pytest.mark.parametrize("resolution", [20, 33])
def test_a_closed_sheet_is_closed_and_lies_on_the_surface(resolution: int) -> None:
    surface = meshed(Unsigned(0.5), resolution)
    assert border_edges(surface) == 0
    assert np.abs(np.linalg.norm(surface.vertices, axis=1) - 0.5).max() < 0.1 * surface.stats.spacing
    assert area(surface) == pytest.approx(np.pi, rel=0.02)


def test_an_open_sheet_stays_open() -> None:
    surface = meshed(Hemisphere())
    spacing = surface.stats.spacing
    assert border_edges(surface) > 20
    assert surface.vertices[:, 2].min() > -spacing
    assert area(surface) == pytest.approx(np.pi / 2, rel=0.08)
    assert np.abs(np.linalg.norm(surface.vertices, axis=1) - 0.5).max() < 0.5 * spacing


def test_normals_of_a_sheet_are_consistent() -> None:
    surface = meshed(Hemisphere())
    a, b, d = (surface.vertices[surface.faces[:, k]] for k in range(3))
    outward = np.einsum("ij,ij->i", np.cross(b - a, d - a), a)
    assert (outward > 0).all() or (outward < 0).all()


def test_two_sheets_coincide_and_have_twice_the_area() -> None:
    one, two = meshed(Unsigned(0.5), 48), meshed(Unsigned(0.5), 48, form="double", level=0.03)
    assert area(two) == pytest.approx(2 * area(one), rel=0.02)
    assert np.abs(np.linalg.norm(two.vertices, axis=1) - 0.5).max() < 2e-3
    assert border_edges(two) == 0


def test_of_a_signed_distance_there_is_one_sheet_in_either_form() -> None:
    assert area(meshed(SphereSdf(0.5), form="double")) == pytest.approx(np.pi, rel=0.02)
    assert area(meshed(SphereSdf(0.5))) == pytest.approx(np.pi, rel=0.02)


def test_only_the_neighbourhood_of_the_surface_is_evaluated() -> None:
    surface = meshed(Unsigned(0.5), 96)
    assert surface.stats.evaluations < 0.5 * surface.stats.nodes


def test_no_surface_in_the_box_is_one_clear_message() -> None:
    with pytest.raises(EmptySurfaceError, match="nowhere below a cell's edge"):
        meshed(Unsigned(5.0))
    with pytest.raises(UserError, match="no finite value"):
        meshed(SphereSdf(float("nan")))
