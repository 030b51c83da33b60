"""Meshing: the sparse search against every node, marching cubes against scikit-image and against closed forms."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
import trimesh
from skimage.measure import marching_cubes
from torch import Tensor

from neuralfw.errors import UserError
from neuralfw.meshing import EmptySurfaceError, Surface, extract, largest_components

BOX = ((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))


def sphere(points: Tensor, radius: float = 0.6, center: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Tensor:
    return (points - points.new_tensor(center)).norm(dim=1) - radius


def torus(points: Tensor) -> Tensor:
    return torch.hypot(points[:, :2].norm(dim=1) - 0.6, points[:, 2]) - 0.25


def box(points: Tensor) -> Tensor:
    return (points.abs() - points.new_tensor([0.5, 0.3, 0.7])).amax(dim=1)


def gyroid(points: Tensor) -> Tensor:
    x, y, z = (7 * points).unbind(1)
    return (x.sin() * y.cos() + y.sin() * z.cos() + z.sin() * x.cos()) / 12


def thin_shell(points: Tensor) -> Tensor:
    return (points.norm(dim=1) - 0.7).abs() - 0.015


def crumbs(points: Tensor) -> Tensor:
    """A sphere and far from it some of 2 to 4 cells."""
    small = [sphere(points, 0.04 + 0.01 * i, (0.9 - 0.1 * i, -0.8, 0.3 * i - 0.8)) for i in range(5)]
    return torch.stack([sphere(points, 0.4, (-0.4, 0.4, 0.2)), *small]).amin(dim=0)


def ridged(points: Tensor) -> Tensor:
    """Three times as steep in one corner as elsewhere, across the surface."""
    bump = torch.exp(-60 * (points - points.new_tensor([0.42, 0.42, 0.1])).square().sum(dim=1))
    return sphere(points) + 0.12 * bump * (40 * points[:, 0]).sin()


def network() -> Callable[[Tensor], Tensor]:
    """A small softplus network near the distance to a sphere, bent by noise in its weights."""
    generator = torch.Generator().manual_seed(3)
    widths = [3, 32, 32, 1]
    weights = [torch.randn(b, a, generator=generator) * (2 / b) ** 0.5 for a, b in pairwise(widths)]
    weights[-1] = torch.full((1, 32), (torch.pi / 32) ** 0.5)
    weights = [w + 0.03 * torch.randn(w.shape, generator=generator) for w in weights]

    def field(points: Tensor) -> Tensor:
        for weight in weights[:-1]:
            points = torch.nn.functional.softplus(points @ weight.T, beta=100)
        return (points @ weights[-1].T)[:, 0] - 0.5

    return field


FIELDS: dict[str, Callable[[Tensor], Tensor]] = {
    "sphere": sphere,
    "torus": torus,
    "box": box,
    "gyroid": gyroid,
    "thin shell": thin_shell,
    "crumbs": crumbs,
    "ridged": ridged,
    "five times too steep": lambda points: 5 * torus(points),
    "flat": lambda points: 1e-4 * torus(points),
    "tanh": lambda points: torch.tanh(12 * torus(points)),
    "clamped": lambda points: torus(points).clamp(-0.1, 0.1),
    "squared": lambda points: points.square().sum(dim=1) - 0.3,
    "open": lambda points: points[:, 2] + 0.3 * (3 * points[:, 0]).sin(),
    "network": network(),
}


def same(a: Surface, b: Surface, tolerance: float = 1e-6) -> bool:
    return np.array_equal(a.faces, b.faces) and bool(np.allclose(a.vertices, b.vertices, rtol=0, atol=tolerance))


def as_trimesh(surface: Surface) -> trimesh.Trimesh:
    return trimesh.Trimesh(surface.vertices, surface.faces, process=False)


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("resolution", [31, 64])
def test_sparse_gives_the_mesh_of_dense(name: str, resolution: int) -> None:
    sparse = extract(FIELDS[name], BOX, resolution)
    dense = extract(FIELDS[name], BOX, resolution, method="dense")
    assert len(dense.faces) > 100
    assert same(sparse, dense)


def test_sparse_gives_the_mesh_of_dense_in_a_flat_box_off_the_origin() -> None:
    bounds = ((0.1, -0.9, -0.3), (1.05, 0.8, 0.33))
    sparse, dense = (extract(torus, bounds, 75, method=method) for method in ("sparse", "dense"))
    assert same(sparse, dense)
    assert sparse.stats.leaves_bounds


@pytest.mark.slow
@pytest.mark.parametrize("name", ["network", "ridged", "crumbs"])
def test_sparse_gives_the_mesh_of_dense_at_256(name: str) -> None:
    sparse, dense = (extract(FIELDS[name], BOX, 256, method=method, chunk=2**16) for method in ("sparse", "dense"))
    assert same(sparse, dense)


@pytest.mark.parametrize("bound", [1e-3, 0.2, 0.7])
def test_a_lipschitz_bound_that_is_too_small_is_noticed_and_raised(bound: float) -> None:
    sparse = extract(torus, BOX, 64, lipschitz=bound)
    assert same(sparse, extract(torus, BOX, 64, method="dense"))
    assert sparse.stats.lipschitz is not None and sparse.stats.lipschitz > 0.9


def test_a_known_lipschitz_bound_suffices_when_it_is_tight() -> None:
    sparse = extract(torus, BOX, 96, lipschitz=1.001)
    assert sparse.stats.lipschitz == 1.001
    assert same(sparse, extract(torus, BOX, 96, method="dense"))


def test_a_wrong_bound_is_noticed_where_the_surface_runs_into_dropped_blocks() -> None:
    """The field is steep only away from its surface and at x > 0, where such a bound lets nothing be looked at."""

    def uneven(points: Tensor) -> Tensor:
        height = points[:, 2] - 0.1
        far = (height.abs() - 0.03).clamp(min=0) * height.sign()
        return 0.3 * height + torch.where(points[:, 0] > 0, 5.0, 0.0) * far

    sparse = extract(uneven, BOX, 64, lipschitz=0.35)
    assert same(sparse, extract(uneven, BOX, 64, method="dense"))


def test_a_wrong_bound_is_noticed_by_the_slopes_at_the_surface() -> None:
    """A second sphere, five times as steep, that such a bound drops whole."""

    def two(points: Tensor) -> Tensor:
        return torch.minimum(sphere(points, 0.3, (-0.4, -0.4, -0.4)), 5 * sphere(points, 0.1, (0.6, 0.9, 0.9)))

    sparse = extract(two, BOX, 64, lipschitz=0.98)
    assert same(sparse, extract(two, BOX, 64, method="dense"))


def test_a_small_clamped_shape_between_the_centres_of_the_largest_blocks_is_found() -> None:
    def small(points: Tensor) -> Tensor:
        return sphere(points, 0.12, (0.02, 0.03, 0.01)).clamp(-0.02, 0.02)

    sparse = extract(small, BOX, 64)
    assert same(sparse, extract(small, BOX, 64, method="dense"))


def test_the_field_is_asked_only_inside_the_grid() -> None:
    def strict(points: Tensor) -> Tensor:
        assert (points.abs() < points.new_tensor([1.0, 0.6, 0.8]) + cell).all()
        return sphere(points, 0.5)

    bounds, cell = ((-1.0, -0.6, -0.8), (1.0, 0.6, 0.8)), 2 / 36
    assert len(extract(strict, bounds, 36).faces) == len(extract(strict, bounds, 36, method="dense").faces)


def test_sparse_evaluates_a_small_part_of_the_grid() -> None:
    stats = extract(torus, BOX, 256).stats
    assert stats.nodes == 257**3
    assert stats.evaluations < 0.035 * stats.nodes


def test_a_surface_that_is_everywhere_costs_little_more_than_the_dense_way() -> None:
    def ripples(points: Tensor) -> Tensor:
        return (40 * points).sin().sum(dim=1) + 0.1

    sparse = extract(ripples, BOX, 48)
    assert sparse.stats.evaluations < 1.5 * sparse.stats.nodes
    assert same(sparse, extract(ripples, BOX, 48, method="dense"))


def test_the_chunk_size_changes_nothing() -> None:
    assert same(extract(gyroid, BOX, 48, chunk=100), extract(gyroid, BOX, 48, chunk=10**6), tolerance=0)


def noise(resolution: int, closed: bool) -> tuple[np.ndarray, Callable[[Tensor], Tensor]]:
    """Random values at the nodes of the unit cube's grid, as a volume and as a field."""
    volume = np.random.default_rng(1).normal(size=(resolution + 1,) * 3).astype(np.float32)
    if closed:
        inner = volume[1:-1, 1:-1, 1:-1].copy()
        volume[:] = 1
        volume[1:-1, 1:-1, 1:-1] = inner
    table = torch.from_numpy(volume)

    def field(points: Tensor) -> Tensor:
        i, j, k = (points * resolution).round().long().unbind(1)
        return table[i, j, k]

    return volume, field


def test_marching_cubes_agrees_with_scikit_image_on_noise() -> None:
    volume, field = noise(16, closed=False)
    surface = extract(field, ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), 16, method="dense")
    vertices, faces, _, _ = marching_cubes(volume, 0.0, method="lorensen")
    ours, theirs = surface.vertices[surface.faces].mean(axis=1), vertices[faces].mean(axis=1) / 16
    assert len(ours) == len(theirs)
    order = [np.lexsort(np.round(centroids, 4).T) for centroids in (ours, theirs)]
    np.testing.assert_allclose(ours[order[0]], theirs[order[1]], atol=1e-5)


def test_noise_gives_a_closed_surface_with_its_normals_outward() -> None:
    _, field = noise(16, closed=True)
    surface = extract(field, ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), 16, method="dense")
    mesh = as_trimesh(surface)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert mesh.volume > 0
    assert not surface.stats.leaves_bounds


def test_sphere_against_its_closed_form() -> None:
    surface = extract(sphere, BOX, 64)
    mesh = as_trimesh(surface)
    assert mesh.is_watertight and mesh.euler_number == 2
    assert np.abs(np.linalg.norm(surface.vertices, axis=1) - 0.6).max() < 0.3 * surface.stats.spacing**2
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.6**3, rel=2e-3)
    assert np.all(np.einsum("ij,ij->i", mesh.face_normals, mesh.triangles_center) > 0)


def test_a_level_offsets_a_distance_field() -> None:
    surface = extract(sphere, BOX, 64, level=0.2)
    assert np.linalg.norm(surface.vertices, axis=1) == pytest.approx(0.8, abs=1e-3)


def test_a_plane_through_the_nodes_is_flat() -> None:
    surface = extract(lambda points: points[:, 2] - 0.25, BOX, 32)
    np.testing.assert_allclose(surface.vertices[:, 2], 0.25, atol=1e-7)
    assert as_trimesh(surface).area == pytest.approx(4.0, rel=1e-6)


@pytest.mark.parametrize(
    ("field", "level", "expected"),
    [
        (lambda points: sphere(points) + 2, 0.0, "above the level everywhere"),
        (lambda points: sphere(points) - 5, 0.0, "below the level everywhere"),
        (lambda points: 0 * points[:, 0] + 0.5, 0.0, "constant, 0.5"),
        (sphere, 3.0, "below the level everywhere"),
    ],
)
@pytest.mark.parametrize("method", ["sparse", "dense"])
def test_an_empty_level_set_is_explained(
    field: Callable[[Tensor], Tensor], level: float, expected: str, method: str
) -> None:
    with pytest.raises(EmptySurfaceError, match=expected) as caught:
        extract(field, BOX, 32, level=level, method=method)
    assert "(-1, -1, -1) to (1, 1, 1)" in str(caught.value)


def test_an_empty_level_set_is_explained_by_range_and_nearest_point() -> None:
    with pytest.raises(EmptySurfaceError) as caught:
        extract(lambda points: sphere(points, 0.0, (0.5, 0.0, -0.25)) + 0.125, BOX, 32, method="dense")
    message = str(caught.value)
    assert "from 0.125 to 2.3" in message
    assert "nearest to the level at (0.5, 0, -0.25)" in message


def test_a_value_that_is_not_finite_is_located() -> None:
    def broken(points: Tensor) -> Tensor:
        return torch.where(points[:, 0] > 0.9, torch.nan, sphere(points))

    with pytest.raises(UserError, match=r"no finite value at \(1, -1, -1\)"):
        extract(broken, BOX, 4, method="dense")


@pytest.mark.parametrize(
    ("bounds", "resolution", "expected"),
    [
        (((0.0, 0.0, 0.0), (1.0, 0.0, 1.0)), 16, "empty"),
        (((0.0, 0.0, 0.0), (1.0, float("inf"), 1.0)), 16, "finite"),
        (((0.0, 0.0), (1.0, 1.0)), 16, "three numbers"),
        (BOX, 1, "resolution = 1"),
    ],
)
def test_bounds_and_resolution_are_checked(bounds: tuple, resolution: int, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        extract(sphere, bounds, resolution)


def test_largest_components_go_by_area_and_are_recorded() -> None:
    surface = extract(crumbs, BOX, 96)
    pieces = sorted(as_trimesh(surface).split(only_watertight=False), key=lambda piece: -piece.area)
    two = largest_components(surface, 2)
    assert as_trimesh(two).area == pytest.approx(pieces[0].area + pieces[1].area)
    assert (two.stats.components, two.stats.components_kept) == (len(pieces), 2) == (6, 2)
    assert as_trimesh(two).is_watertight
    assert len(largest_components(surface, 100).faces) == len(surface.faces)
