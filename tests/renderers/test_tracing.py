"""Searches for the surface along rays, against brute force on exact distances."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

from neuralfw.renderers.guide import Guide, bounding, grid_of, guided_search
from neuralfw.renderers.rays import Rays, Span, box_span, sphere_span
from neuralfw.renderers.trace_config import SphereTraceConfig
from neuralfw.renderers.tracing import AlongRays, Trace, dense_search

from .shapes import RADIUS, SHAPES, Sdf, brute_force, random_rays, sphere

COUNT = 600
CUBE = torch.tensor([[-1.0] * 3, [1.0] * 3], dtype=torch.float64)
OPTIONS = SphereTraceConfig()


def search(
    how: str, sdf: Sdf, rays: Rays, shown: Tensor | None = None, options: SphereTraceConfig = OPTIONS
) -> tuple[Trace, float]:
    """What a search finds, and its evaluations per ray."""
    span, f = sphere_span(rays.origins, rays.directions, 1.0), AlongRays(sdf, rays)
    if how == "dense":
        found = dense_search(f, span, options, shown, torch.Generator().manual_seed(0))
    else:
        grid = CUBE.to(rays.origins.dtype)
        values = grid_of(sdf, grid, 64, 1.0)
        found = guided_search(f, span, Guide(values, grid, bounding(values, grid)), options, shown)
    return found, f.evaluations / len(rays.origins)


@cache
def exact(name: str) -> tuple[Tensor, Tensor]:
    """Where the random rays meet a shape, and their least distances."""
    sdf, rays = SHAPES[name], random_rays(COUNT)
    span = sphere_span(rays.origins, rays.directions, 1.0)
    return brute_force(sdf, rays, span.near, span.far)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", SHAPES)
def test_guided_search_meets_the_surface_to_a_ten_thousandth(name: str, dtype: torch.dtype) -> None:
    rays = random_rays(COUNT, dtype)
    truth, least = exact(name)
    found, _ = search("guided", SHAPES[name], rays)
    clear = least.abs() > 1e-3  # whether a ray that all but touches is met is a matter of rounding
    assert torch.equal(found.hit[clear], truth.isfinite()[clear])
    both = found.hit & truth.isfinite() & clear
    assert both.sum() > 150
    assert (found.t - truth)[both].abs().max() < 1e-4


@pytest.mark.parametrize("name", SHAPES)
def test_dense_search_meets_the_surface_as_far_as_its_threshold_says(name: str) -> None:
    rays = random_rays(COUNT)
    truth, least = exact(name)
    found, _ = search("dense", SHAPES[name], rays)
    clear = least.abs() > 1e-3
    assert torch.equal(found.hit[clear], truth.isfinite()[clear])
    both = found.hit & truth.isfinite() & clear
    assert SHAPES[name](rays.points(found.t))[both].abs().max() <= OPTIONS.threshold
    sharp, _ = search("dense", SHAPES[name], rays, options=SphereTraceConfig(threshold=1e-6, iterations=40))
    assert (sharp.t - truth)[both].abs().max() < 1e-4


@pytest.mark.parametrize("name", SHAPES)
def test_both_searches_find_the_same_least_distances_for_the_mask(name: str) -> None:
    sdf, rays = SHAPES[name], random_rays(COUNT)
    shown = torch.rand(COUNT, generator=torch.Generator().manual_seed(1)) > 0.4
    dense, many = search("dense", sdf, rays, shown)
    guided, few = search("guided", sdf, rays, shown)
    span = sphere_span(rays.origins, rays.directions, 1.0)
    misses = span.valid & ~dense.hit & ~guided.hit
    inside = span.valid & dense.hit & guided.hit & ~shown
    _, least = exact(name)
    for part in (misses, inside):
        ours, theirs = (sdf(rays.points(found.t))[part] for found in (guided, dense))
        assert (ours <= theirs + 1e-3).all()
        assert (ours >= least[part] - 1e-3).all()
    assert many > 60.0 and few < 8.0


@pytest.mark.parametrize("how", ["dense", "guided"])
def test_rays_that_graze_a_sphere(how: str) -> None:
    offsets = torch.tensor([-1e-2, -1e-3, -1e-4, 1e-4, 1e-3, 1e-2], dtype=torch.float64)
    origins = torch.stack([RADIUS + offsets, torch.zeros(6), torch.full((6,), -3.0)], dim=1)
    directions = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64).expand(6, 3)
    rays = Rays(origins, directions, torch.ones(6, dtype=torch.float64), (6,))
    options = SphereTraceConfig(threshold=1e-6, iterations=100)
    found, _ = search(how, sphere, rays, options=options)
    assert found.hit.tolist() == [True, True, True, False, False, False]
    depth = 3.0 - (RADIUS**2 - (RADIUS + offsets[:3]) ** 2).sqrt()
    assert (found.t[:3] - depth).abs().max() < 1e-4


@pytest.mark.parametrize("how", ["dense", "guided"])
def test_a_camera_inside_the_bounds_starts_where_it_stands(how: str) -> None:
    rays = Rays(
        torch.tensor([[0.0, 0.0, 0.8], [0.0, 0.0, 0.8], [0.0, 0.0, 0.0]], dtype=torch.float64),
        torch.tensor([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], dtype=torch.float64),
        torch.ones(3, dtype=torch.float64),
        (3,),
    )
    found, _ = search(how, sphere, rays)
    assert found.hit.tolist() == [True, False, True]  # towards it; away from it; from within: met at once
    assert found.t[0] == pytest.approx(0.2, abs=1e-4)
    assert found.t[2] == 0.0


@pytest.mark.parametrize("how", ["dense", "guided"])
def test_a_ray_that_misses_the_bounds_is_judged_nearest_to_the_origin(how: str) -> None:
    rays = Rays(torch.tensor([[2.0, 0.0, -3.0]]), torch.tensor([[0.0, 0.0, 1.0]]), torch.ones(1), (1,))
    found, evaluations = search(how, sphere, rays, torch.tensor([True]))
    assert not found.hit and found.t == 3.0 and evaluations == 0


def test_a_distance_that_overshoots_is_caught_by_the_line_search() -> None:
    """A distance 1.7 times too large steps past the surface; the way back brings it to the right side."""
    rays = random_rays(COUNT)
    truth, least = exact("sphere")
    sharp = SphereTraceConfig(threshold=1e-6, iterations=60)
    found, _ = search("dense", lambda x: 1.7 * sphere(x), rays, options=sharp)
    clear = least.abs() > 1e-2
    both = clear & truth.isfinite()
    assert torch.equal(found.hit[clear], truth.isfinite()[clear])
    assert (found.t - truth)[both].abs().max() < 1e-4


def test_spans_of_sphere_and_box() -> None:
    origins = torch.tensor([[0.0, 0.0, -3.0], [0.0, 0.0, 0.5], [0.0, 2.0, -3.0], [0.0, 0.0, 3.0]])
    directions = torch.tensor([[0.0, 0.0, 1.0]]).expand(4, 3)
    for span in (sphere_span(origins, directions, 1.0), box_span(origins, directions, CUBE.float())):
        assert isinstance(span, Span)
        assert span.valid.tolist() == [True, True, False, False]
        torch.testing.assert_close(span.near, torch.tensor([2.0, 0.0, 0.0, 0.0]))
        torch.testing.assert_close(span.far, torch.tensor([4.0, 0.5, 0.0, 0.0]))


@pytest.mark.parametrize("name", SHAPES)
def test_the_grid_bounds_the_distance_from_below(name: str) -> None:
    sdf = SHAPES[name]
    values = grid_of(sdf, CUBE, 33, None)
    guide = Guide(values, CUBE, bounding(values, CUBE))
    points = 2.0 * torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1.0
    assert (sdf(points) >= guide(points) - guide.margin).all()
    nodes = points.mul(16).round() / 16
    torch.testing.assert_close(guide(nodes), sdf(nodes))
