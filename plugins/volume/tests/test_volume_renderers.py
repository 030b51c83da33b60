"""The volume renderers: what they give against exact shapes, in both layouts, and gradients against differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from known_volumes import CAMERA, RADIUS, images, known_hits, pixels, render, scene_of
from torch import Tensor

from neuralfw.geometry.rotation import quaternion_of_matrix
from neuralfw.testing import directional_derivatives

KINDS = ["neus", "volsdf"]
SHARP = {"neus": "start = 2000.0", "volsdf": "start = 0.001"}
FEW = "resolution = 24\nplaces = 24\nsamples = 12"
CAMERAS = '[fields.cameras]\ntype = "camera_poses"\n'


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampling", ["grid", "network"])
@pytest.mark.parametrize("bounds", ["sphere", "box"])
def test_an_image_of_a_sphere(kind: str, sampling: str, bounds: str) -> None:
    options = f'{SHARP[kind]}\nsampling = "{sampling}"\nbounds = "{bounds}"\nchunk = 50\nsamples = 32'
    scene = scene_of(kind, options, exact=True)
    with torch.no_grad():
        seen = render(scene, images(), "rgb", "alpha", "depth", "normal")
    hit, distance, least = known_hits()
    clear = least.abs() > 0.02
    assert seen["rgb"].shape == (1, 12, 16, 3) and seen["depth"].shape == (1, 12, 16)
    torch.testing.assert_close(seen["alpha"][0][clear], hit.double()[clear], atol=1e-3, rtol=0)
    origin, directions = (torch.from_numpy(a) for a in CAMERA.rays())
    depth = distance * (directions @ torch.from_numpy(CAMERA.axis))
    inner = hit & clear
    torch.testing.assert_close(seen["depth"][0][inner], depth[inner], atol=5e-3, rtol=0)
    normals = (origin + distance[..., None] * directions) / RADIUS
    torch.testing.assert_close(seen["normal"][0][inner], normals[inner], atol=2e-2, rtol=0)
    outer = ~hit & clear
    torch.testing.assert_close(seen["rgb"][0][outer], images()["background"].expand(int(outer.sum()), 3))
    color = scene.fields["color"]
    points = RADIUS * normals[inner]
    expected = color(points, -directions[inner], normals[inner], points.new_zeros(len(points), 4))
    torch.testing.assert_close(seen["rgb"][0][inner], expected, atol=1e-2, rtol=0)


def test_depth_has_no_bias() -> None:
    """Over pixels, the errors of a wide density of NeuS have no preferred sign beyond the surface's curvature."""
    scene = scene_of("neus", "start = 100.0\nsamples = 48", exact=True)
    hit, distance, least = known_hits()
    inner = hit & (least < -0.2)
    with torch.no_grad():
        depth = render(scene, images(), "depth")["depth"][0]
    _, directions = (torch.from_numpy(a) for a in CAMERA.rays())
    error = (depth / (directions @ torch.from_numpy(CAMERA.axis)) - distance)[inner]
    assert abs(float(error.mean())) < 2e-3


def test_single_rays_are_pixels_of_the_image() -> None:
    scene = scene_of(options=FEW)
    with torch.no_grad():
        image = render(scene, images(), "rgb", "depth", "alpha", "alpha_logit")
        rays = render(scene, pixels([(8.5, 5.5), (3.5, 6.5), (0.5, 0.5)]), "rgb", "depth", "alpha", "alpha_logit")
    for q, values in rays.items():
        torch.testing.assert_close(values, image[q][0, [5, 6, 0], [8, 3, 0]], atol=1e-9, rtol=0)
    torch.testing.assert_close(rays["alpha"], rays["alpha_logit"].sigmoid())


def test_rays_of_the_object_are_sampled_whatever_they_pass() -> None:
    """Away from the surface the opacity's logit is that of the least distance, as IDR has it: it shows the way."""
    scene = scene_of(options="start = 50.0", exact=True)
    places, mask = [(0.5, 6.0), (0.5, 6.0), (8.0, 6.0)], torch.tensor([1.0, 0.0, 0.0])
    seen = render(scene, pixels(places, mask=mask), "alpha_logit", "points", "sdf_gradient")
    assert seen["points"].shape == (48, 3) == seen["sdf_gradient"].shape  # of the first ray and the last
    nearest = float((seen["points"][:24].norm(dim=1) - RADIUS).min().detach())
    assert float(seen["alpha_logit"][0].detach()) == pytest.approx(-50.0 * nearest, rel=0.05)
    assert float(seen["alpha_logit"][1].detach()) < -60.0
    (gradient,) = torch.autograd.grad(seen["alpha_logit"][0], scene.fields["sdf"].level)
    assert float(gradient) == pytest.approx(-50.0, rel=0.1)


def test_masks_do_not_change_a_rendering() -> None:
    scene = scene_of(options=FEW)
    with torch.no_grad():
        plain = render(scene, images(), "rgb", "alpha")
        masked = render(scene, images(mask=torch.ones(1, 12, 16)), "rgb", "alpha")
    assert torch.equal(plain["rgb"], masked["rgb"]) and torch.equal(plain["alpha"], masked["alpha"])


@pytest.mark.parametrize("kind", KINDS)
def test_draws_are_those_of_the_step(kind: str) -> None:
    """The same step repeats bit for bit; another step samples elsewhere; a rendering draws nothing."""
    scene = scene_of(kind, FEW)
    batch = pixels([(8.5, 5.5), (7.5, 6.5)])
    first, again = (render(scene, batch, "rgb", "points") for _ in range(2))
    assert torch.equal(first["points"], again["points"]) and torch.equal(first["rgb"], again["rgb"])
    scene.clock.run = 1
    assert not torch.equal(render(scene, batch, "points")["points"], first["points"])
    with torch.no_grad():
        one = render(scene, batch, "points")["points"]
        scene.clock.run = 2
        assert torch.equal(render(scene, batch, "points")["points"], one)


def test_the_grid_follows_the_distance_every_so_often() -> None:
    scene = scene_of(options=f"{FEW}\nrefresh = 10", exact=True)
    renderer = scene.renderers["main"]
    for step, expected in ((0, 0.0), (9, 0.0), (10, 0.25), (12, 0.25)):
        scene.clock.run = step
        render(scene, pixels([(8.5, 5.5)]), "alpha")
        center = renderer.grid[12, 12, 12] - torch.tensor([1.0 / 23.0] * 3).norm() + RADIUS
        assert float(center) == pytest.approx(expected, abs=1e-6)
        with torch.no_grad():
            scene.fields["sdf"].level.fill_(0.25)


def test_a_learned_background_shows_where_nothing_is() -> None:
    scene = scene_of(options=f'{FEW}\n{SHARP["neus"]}\nbackground = "learned"', exact=True)
    hit, _, least = known_hits()
    outer, inner = ~hit & (least > 0.05), hit & (least < -0.05)
    seen = render(scene, images(), "rgb")["rgb"][0]
    origin, directions = (torch.from_numpy(a) for a in CAMERA.rays())
    expected = scene.renderers["main"].background(origin.expand(int(outer.sum()), 3), directions[outer])
    torch.testing.assert_close(seen[outer], expected)
    weight = scene.renderers["main"].background.mlp.layers[0].weight
    assert torch.autograd.grad(seen[outer].sum(), weight, retain_graph=True)[0].abs().max() > 0.0
    assert torch.autograd.grad(seen[inner].sum(), weight)[0].abs().max() < 1e-3


def test_rays_that_miss_the_bounds_show_the_background() -> None:
    scene = scene_of(options=f"{FEW}\nradius = 0.05")
    seen = render(scene, pixels([(0.5, 0.5), (1.5, 0.5)]), "rgb", "alpha", "depth", "points")
    torch.testing.assert_close(seen["rgb"], images()["background"].expand(2, 3))
    assert not seen["alpha"].any() and not seen["depth"].any() and len(seen["points"]) == 0


def worst_error(parameters: Sequence[Tensor], weigh: Callable[[], Tensor]) -> float:
    """The largest error of the gradient along random directions of each parameter, per the gradient's length."""
    found = directional_derivatives(parameters, weigh)
    return max(abs(d.exact - d.difference) / max(d.length, 1e-6) for d in found)


@pytest.fixture
def held_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples stay where they were first put: their places carry no gradient, so differences must not move them."""
    from neuralfw_volume.renderer import Volume

    place, kept = Volume._samples, {}

    def once(self: Volume, scene: object, rays: object, rows: object, recorded: bool) -> object:
        if not kept:
            kept["samples"] = place(self, scene, rays, rows, recorded)
        return kept["samples"]

    monkeypatch.setattr(Volume, "_samples", once)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["idr", "no_normal"])
def test_gradients_reach_everything(held_samples: None, kind: str, mode: str) -> None:
    scene = scene_of(kind, f'{FEW}\nmin_weight = 0.0\nbackground = "learned"', mode=mode)
    batch = pixels([(8.5, 5.5), (4.5, 5.5), (6.5, 8.5)], mask=torch.ones(3))

    def weigh() -> Tensor:
        with torch.enable_grad():
            seen = render(scene, batch, "rgb", "depth", "alpha_logit", "normal", "sdf_gradient")
        return sum(values.sin().sum() for values in seen.values())  # type: ignore[return-value]

    fields = scene.fields
    learnt = [
        p for m in (fields["sdf"], fields["color"], scene.renderers["main"]) for p in m.parameters() if p.dim() != 1
    ]
    assert worst_error(learnt, weigh) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_cameras(held_samples: None, kind: str) -> None:
    scene = scene_of(kind, FEW + "\nmin_weight = 0.0", cameras=CAMERAS)
    cameras = scene.fields["cameras"]
    pose = torch.from_numpy(CAMERA.world_to_camera)
    with torch.no_grad():
        cameras.quaternions.copy_(quaternion_of_matrix(pose[None, :3, :3].transpose(1, 2)))
        cameras.centers.copy_(torch.from_numpy(CAMERA.center)[None])
    batch = pixels([(8.5, 5.5), (4.5, 5.5)], mask=torch.ones(2))

    def weigh() -> Tensor:
        with torch.enable_grad():
            seen = render(scene, batch, "rgb", "depth", "alpha_logit")
        return sum(values.sin().sum() for values in seen.values())  # type: ignore[return-value]

    assert worst_error([cameras.quaternions, cameras.centers], weigh) < 1e-5
