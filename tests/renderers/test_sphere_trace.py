"""The surface renderer: what it gives, in both layouts, and its gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor

from neuralfw.components import Quantities
from neuralfw.geometry.camera import Camera
from neuralfw.geometry.rotation import quaternion_of_matrix
from neuralfw.scene import Scene
from neuralfw.testing import ExactSphere, Sphere, directional_derivatives, image_batch, pixel_batch

from .shapes import RADIUS, sphere

BuildScene = Callable[..., Scene]
CAMERA = Camera.look_at([0.3, -2.2, 0.6], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0], focal=20.0, width=16, height=12)
EXACT = 'search = "dense"\nthreshold = 1e-12\niterations = 60\nsecant_iterations = 60\nmin_slope = 0.0'
CAMERAS = '[fields.cameras]\ntype = "camera_poses"\n'


def render(scene: Scene, batch: Quantities, *want: str) -> Quantities:
    return scene.renderers["main"](scene.view(), batch, frozenset(want))


def with_ball(scene: Scene) -> Scene:
    scene.fields["sdf"] = ExactSphere(RADIUS)
    return scene


@pytest.mark.parametrize("search", ["guided", "dense"])
@pytest.mark.parametrize("bounds", ["sphere", "box"])
def test_an_image_of_a_sphere(build_scene: BuildScene, search: str, bounds: str) -> None:
    scene = with_ball(
        build_scene(f'search = "{search}"\nbounds = "{bounds}"\nthreshold = 1e-6\niterations = 40\nchunk = 50')
    )
    with torch.no_grad():
        seen = render(scene, image_batch(CAMERA), "rgb", "alpha", "depth", "normal", "points", "hit")
    origin, directions = (torch.from_numpy(a) for a in CAMERA.rays())
    hit, distance, _ = (torch.from_numpy(a) for a in Sphere(RADIUS).seen_by(CAMERA))
    assert seen["rgb"].shape == (1, 12, 16, 3) and seen["alpha"].shape == (1, 12, 16)
    assert torch.equal(seen["hit"][0], hit) and torch.equal(seen["alpha"][0], hit.double())
    depth = distance * (directions @ torch.from_numpy(CAMERA.axis))
    torch.testing.assert_close(seen["depth"][0][hit], depth[hit], atol=1e-4, rtol=0)
    points = origin + distance[..., None] * directions
    torch.testing.assert_close(seen["points"][0][hit], points[hit], atol=1e-4, rtol=0)
    torch.testing.assert_close(seen["normal"][0][hit], points[hit] / RADIUS, atol=1e-3, rtol=0)
    assert not seen["normal"][0][~hit].any() and not seen["depth"][0][~hit].any()
    torch.testing.assert_close(seen["rgb"][0][~hit], image_batch(CAMERA)["background"].expand(int((~hit).sum()), 3))
    color = scene.fields["color"]
    expected = color(points[hit], -directions[hit], points[hit] / RADIUS, points.new_zeros(int(hit.sum()), 4))
    torch.testing.assert_close(seen["rgb"][0][hit], expected, atol=1e-3, rtol=0)


def test_single_rays_are_pixels_of_the_image(build_scene: BuildScene) -> None:
    scene = build_scene()
    with torch.no_grad():
        image = render(scene, image_batch(CAMERA), "rgb", "depth", "alpha")
        rays = render(scene, pixel_batch(CAMERA, [(8.5, 5.5), (3.5, 6.5), (0.5, 0.5)]), "rgb", "depth", "alpha")
    for q, values in rays.items():
        torch.testing.assert_close(values, image[q][0, [5, 6, 0], [8, 3, 0]], atol=1e-6, rtol=0)


def test_opacity_of_rays_to_learn_from(build_scene: BuildScene) -> None:
    """The object's rays that hit are certain; the others follow the least distance, by the sharpness of the moment."""
    sharpness = 'sharpness = { type = "steps", start = 50.0, factor = 2.0, at = [10, 20] }'
    scene = with_ball(build_scene(sharpness))
    places, mask = [(8.0, 6.0), (8.0, 6.0), (0.5, 6.0), (0.5, 6.0)], torch.tensor([1.0, 0.0, 1.0, 0.0])
    for step, alpha in ((0, 50.0), (10, 100.0), (25, 200.0)):
        scene.clock.stage = scene.clock.run = step
        seen = render(scene, pixel_batch(CAMERA, places, mask=mask), "alpha", "alpha_logit", "points", "hit")
        least = sphere(seen["points"])
        assert seen["hit"].tolist() == [True, True, False, False]
        assert seen["alpha"][0] == 1.0
        assert least[1] == pytest.approx(-RADIUS, abs=0.02)  # a background ray is judged inside, in the centre
        torch.testing.assert_close(seen["alpha_logit"][1:], -alpha * least[1:])
        torch.testing.assert_close(seen["alpha"][1:], torch.sigmoid(-alpha * least[1:]))


def test_masks_do_not_change_a_rendering(build_scene: BuildScene) -> None:
    scene = build_scene()
    with torch.no_grad():
        plain = render(scene, image_batch(CAMERA), "rgb", "alpha")
        masked = render(scene, image_batch(CAMERA, mask=torch.zeros(1, 12, 16)), "rgb", "alpha")
    assert torch.equal(plain["rgb"], masked["rgb"]) and torch.equal(plain["alpha"], masked["alpha"])


def worst_error(parameters: Iterable[Tensor], weigh: Callable[[], Tensor]) -> float:
    """The largest relative error of the gradient along random directions of each parameter."""
    found = directional_derivatives([*parameters], weigh)
    return max(abs(d.exact - d.difference) / max(abs(d.difference), 1e-3) for d in found)


PLACES = [(7.5, 6.5), (8.5, 5.5), (6.5, 5.0), (9.0, 7.0)]


@pytest.mark.parametrize("quantity", ["depth", "rgb", "normal"])
def test_gradients_of_the_intersection_in_the_fields(build_scene: BuildScene, quantity: str) -> None:
    scene = build_scene(EXACT)
    batch = pixel_batch(CAMERA, PLACES, mask=torch.ones(4, dtype=torch.float64))
    weights = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def weigh() -> Tensor:
        with torch.enable_grad():
            seen = render(scene, batch, quantity, "hit")
        assert seen["hit"].all()
        return (seen[quantity].reshape(4, -1) * weights[:, : seen[quantity].reshape(4, -1).shape[1]]).sum()

    assert worst_error([*scene.fields["sdf"].parameters()][:-1], weigh) < 1e-5


@pytest.mark.parametrize("form", ["absolute", "increment"])
@pytest.mark.parametrize("quantity", ["depth", "rgb"])
def test_gradients_of_the_intersection_in_origin_and_direction(
    build_scene: BuildScene, quantity: str, form: str
) -> None:
    """Quaternions and centres, or rotation vectors and shifts, move the rays."""
    scene = build_scene(EXACT, CAMERAS + f'form = "{form}"')
    cameras = scene.fields["cameras"]
    pose = torch.from_numpy(CAMERA.world_to_camera)
    if form == "absolute":
        cameras.quaternions.data = 1.7 * quaternion_of_matrix(pose[None, :3, :3].transpose(1, 2))
        cameras.centers.data = torch.from_numpy(CAMERA.center)[None]
    else:
        cameras.start.data = pose[None]
        cameras.turns.data += 0.02
        cameras.orbits.data -= 0.03
    batch = pixel_batch(CAMERA, PLACES, mask=torch.ones(4, dtype=torch.float64))
    batch["world_to_camera"] = torch.eye(4, dtype=torch.float64).expand(4, 4, 4)  # the field knows better

    def weigh() -> Tensor:
        with torch.enable_grad():
            seen = render(scene, batch, quantity, "hit")
        assert seen["hit"].all()
        return (seen[quantity].reshape(4, -1) * torch.arange(1.0, 5.0, dtype=torch.float64)[:, None]).sum()

    assert worst_error(cameras.parameters(), weigh) < 1e-5


def test_the_mask_term_moves_cameras_too(build_scene: BuildScene) -> None:
    """With the least distance at t, d/dc f(c + t v) is its gradient: t itself does not matter there."""
    scene = with_ball(build_scene(cameras=CAMERAS))
    cameras = scene.fields["cameras"]
    pose = torch.from_numpy(CAMERA.world_to_camera)
    cameras.quaternions.data = quaternion_of_matrix(pose[None, :3, :3].transpose(1, 2))
    cameras.centers.data = torch.from_numpy(CAMERA.center)[None]
    seen = render(scene, pixel_batch(CAMERA, [(0.5, 6.0)], mask=torch.ones(1)), "alpha_logit", "points")
    seen["alpha_logit"].sum().backward()
    point = seen["points"].detach()
    gradient = cameras.centers.grad.to_dense()
    torch.testing.assert_close(gradient, -50.0 * point / point.norm(), atol=1e-6, rtol=1e-6)


def test_a_nearly_grazing_slope_is_bounded(build_scene: BuildScene) -> None:
    """The derivative of depth in the level is -1/(grad f . v); where that product is small it is clamped."""
    ray = pixel_batch(CAMERA, [(8.0, 6.0)], mask=torch.ones(1))
    for least, bound in ((0.0, 1.0), (4.0, 0.25)):
        scene = with_ball(build_scene(f"threshold = 1e-9\nmin_slope = {least}"))
        depth = render(scene, ray, "depth")["depth"]
        depth.sum().backward()
        cosine = float(depth.detach()) / (float(torch.from_numpy(CAMERA.center).norm()) - RADIUS)
        assert float(scene.fields["sdf"].level.grad) == pytest.approx(bound * cosine, rel=1e-2)


def test_the_grid_is_made_anew_in_turn_and_kept_between(build_scene: BuildScene) -> None:
    scene = build_scene("resolution = 16\nrefresh = 5")
    renderer, batch = scene.renderers["main"], pixel_batch(CAMERA, PLACES, mask=torch.ones(4))
    made = []
    for step in range(11):
        scene.clock.run = step
        render(scene, batch, "depth")
        made.append(renderer.refreshed > 0)
    assert [step for step, fresh in enumerate(made) if fresh] == [0, 5, 10]
    kept = renderer.grid.clone()
    with torch.no_grad():
        render(scene, image_batch(CAMERA), "depth")
    assert torch.equal(renderer.grid, kept)  # a rendering does not touch what training uses
