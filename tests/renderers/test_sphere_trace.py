"""The surface renderer: what it gives, in both layouts, and its gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from neuralfw.components import Quantities, SdfField
from neuralfw.geometry.camera import Camera
from neuralfw.geometry.rotation import quaternion_of_matrix
from neuralfw.scene import Scene

from .shapes import RADIUS, sphere

BuildScene = Callable[..., Scene]
CAMERA = Camera.look_at([0.3, -2.2, 0.6], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0], focal=20.0, width=16, height=12)
EXACT = 'search = "dense"\nthreshold = 1e-12\niterations = 60\nsecant_iterations = 60\nmin_slope = 0.0'
CAMERAS = '[fields.cameras]\ntype = "camera_poses"\n'


def images(**more: Tensor) -> Quantities:
    return {
        "view": torch.tensor([0]),
        "world_to_camera": torch.from_numpy(CAMERA.world_to_camera)[None],
        "intrinsics": torch.from_numpy(CAMERA.intrinsics)[None],
        "size": torch.tensor([CAMERA.height, CAMERA.width]),
        "background": torch.tensor([[0.2, 0.3, 0.4]], dtype=torch.float64),
        **more,
    }


def pixels(places: list[tuple[float, float]], **more: Tensor) -> Quantities:
    n = len(places)
    whole = images()
    return {
        **{q: whole[q].expand(n, *whole[q].shape[1:]) for q in ("view", "world_to_camera", "intrinsics", "background")},
        "pixels": torch.tensor(places, dtype=torch.float64),
        **more,
    }


def render(scene: Scene, batch: Quantities, *want: str) -> Quantities:
    return scene.renderers["main"](scene.view(), batch, frozenset(want))


class Ball(SdfField):
    """Stands in for the SDF network: an exact sphere, and a level that may be moved."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.level = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def evaluate(self, inputs: Quantities, want: frozenset[str]) -> Quantities:
        x = inputs["points"]
        gradient = x / x.norm(dim=1, keepdim=True)
        return {"sdf": sphere(x) + self.level, "sdf_gradient": gradient, "feature": x.new_zeros(len(x), 4)}


def with_ball(scene: Scene) -> Scene:
    scene.fields["sdf"] = Ball()
    return scene


@pytest.mark.parametrize("search", ["guided", "dense"])
@pytest.mark.parametrize("bounds", ["sphere", "box"])
def test_an_image_of_a_sphere(build_scene: BuildScene, search: str, bounds: str) -> None:
    scene = with_ball(
        build_scene(f'search = "{search}"\nbounds = "{bounds}"\nthreshold = 1e-6\niterations = 40\nchunk = 50')
    )
    with torch.no_grad():
        seen = render(scene, images(), "rgb", "alpha", "depth", "normal", "points", "hit")
    origin, directions = (torch.from_numpy(a) for a in CAMERA.rays())
    middle = -(directions @ origin)
    squared = middle.square() - origin.square().sum() + RADIUS**2
    hit, distance = squared > 0, middle - squared.clamp_min(0.0).sqrt()
    assert seen["rgb"].shape == (1, 12, 16, 3) and seen["alpha"].shape == (1, 12, 16)
    assert torch.equal(seen["hit"][0], hit) and torch.equal(seen["alpha"][0], hit.double())
    depth = distance * (directions @ torch.from_numpy(CAMERA.axis))
    torch.testing.assert_close(seen["depth"][0][hit], depth[hit], atol=1e-4, rtol=0)
    points = origin + distance[..., None] * directions
    torch.testing.assert_close(seen["points"][0][hit], points[hit], atol=1e-4, rtol=0)
    torch.testing.assert_close(seen["normal"][0][hit], points[hit] / RADIUS, atol=1e-3, rtol=0)
    assert not seen["normal"][0][~hit].any() and not seen["depth"][0][~hit].any()
    torch.testing.assert_close(seen["rgb"][0][~hit], images()["background"].expand(int((~hit).sum()), 3))
    color = scene.fields["color"]
    expected = color(points[hit], -directions[hit], points[hit] / RADIUS, points.new_zeros(int(hit.sum()), 4))
    torch.testing.assert_close(seen["rgb"][0][hit], expected, atol=1e-3, rtol=0)


def test_single_rays_are_pixels_of_the_image(build_scene: BuildScene) -> None:
    scene = build_scene()
    with torch.no_grad():
        image = render(scene, images(), "rgb", "depth", "alpha")
        rays = render(scene, pixels([(8.5, 5.5), (3.5, 6.5), (0.5, 0.5)]), "rgb", "depth", "alpha")
    for q, values in rays.items():
        torch.testing.assert_close(values, image[q][0, [5, 6, 0], [8, 3, 0]], atol=1e-6, rtol=0)


def test_opacity_of_rays_to_learn_from(build_scene: BuildScene) -> None:
    """The object's rays that hit are certain; the others follow the least distance, by the sharpness of the moment."""
    sharpness = 'sharpness = { type = "steps", start = 50.0, factor = 2.0, at = [10, 20] }'
    scene = with_ball(build_scene(sharpness))
    places, mask = [(8.0, 6.0), (8.0, 6.0), (0.5, 6.0), (0.5, 6.0)], torch.tensor([1.0, 0.0, 1.0, 0.0])
    for step, alpha in ((0, 50.0), (10, 100.0), (25, 200.0)):
        scene.clock.stage = scene.clock.run = step
        seen = render(scene, pixels(places, mask=mask), "alpha", "alpha_logit", "points", "hit")
        least = sphere(seen["points"])
        assert seen["hit"].tolist() == [True, True, False, False]
        assert seen["alpha"][0] == 1.0
        assert least[1] == pytest.approx(-RADIUS, abs=0.02)  # a background ray is judged inside, in the centre
        torch.testing.assert_close(seen["alpha_logit"][1:], -alpha * least[1:])
        torch.testing.assert_close(seen["alpha"][1:], torch.sigmoid(-alpha * least[1:]))


def test_masks_do_not_change_a_rendering(build_scene: BuildScene) -> None:
    scene = build_scene()
    with torch.no_grad():
        plain = render(scene, images(), "rgb", "alpha")
        masked = render(scene, images(mask=torch.zeros(1, 12, 16)), "rgb", "alpha")
    assert torch.equal(plain["rgb"], masked["rgb"]) and torch.equal(plain["alpha"], masked["alpha"])


def derivative_errors(scene: Scene, parameters: list[Tensor], weigh: Callable[[], Tensor]) -> list[float]:
    """Relative errors of the gradient along random directions of each parameter, against central differences."""
    random = torch.Generator().manual_seed(0)
    for p in parameters:
        p.requires_grad_(True)
    gradients = torch.autograd.grad(weigh(), parameters)
    errors = []
    for p, g in zip(parameters, gradients, strict=True):
        g = g.to_dense() if g.is_sparse else g
        along = torch.randn(p.shape, generator=random, dtype=p.dtype)
        along /= along.norm()
        values = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                p += step * along
                values.append(weigh().detach())
                p -= step * along
        expected = (values[0] - values[1]) / 2e-5
        errors.append(float(((g * along).sum() - expected).abs() / expected.abs().clamp_min(1e-3)))
    return errors


PLACES = [(7.5, 6.5), (8.5, 5.5), (6.5, 5.0), (9.0, 7.0)]


@pytest.mark.parametrize("quantity", ["depth", "rgb", "normal"])
def test_gradients_of_the_intersection_in_the_fields(build_scene: BuildScene, quantity: str) -> None:
    scene = build_scene(EXACT)
    batch = pixels(PLACES, mask=torch.ones(4, dtype=torch.float64))
    weights = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def weigh() -> Tensor:
        with torch.enable_grad():
            seen = render(scene, batch, quantity, "hit")
        assert seen["hit"].all()
        return (seen[quantity].reshape(4, -1) * weights[:, : seen[quantity].reshape(4, -1).shape[1]]).sum()

    assert max(derivative_errors(scene, [*scene.fields["sdf"].parameters()][:-1], weigh)) < 1e-5


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
        cameras.rotations.data += 0.02
    batch = pixels(PLACES, mask=torch.ones(4, dtype=torch.float64))
    batch["world_to_camera"] = torch.eye(4, dtype=torch.float64).expand(4, 4, 4)  # the field knows better

    def weigh() -> Tensor:
        with torch.enable_grad():
            seen = render(scene, batch, quantity, "hit")
        assert seen["hit"].all()
        return (seen[quantity].reshape(4, -1) * torch.arange(1.0, 5.0, dtype=torch.float64)[:, None]).sum()

    assert max(derivative_errors(scene, [*cameras.parameters()], weigh)) < 1e-5


def test_the_mask_term_moves_cameras_too(build_scene: BuildScene) -> None:
    """With the least distance at t, d/dc f(c + t v) is its gradient: t itself does not matter there."""
    scene = with_ball(build_scene(cameras=CAMERAS))
    cameras = scene.fields["cameras"]
    pose = torch.from_numpy(CAMERA.world_to_camera)
    cameras.quaternions.data = quaternion_of_matrix(pose[None, :3, :3].transpose(1, 2))
    cameras.centers.data = torch.from_numpy(CAMERA.center)[None]
    seen = render(scene, pixels([(0.5, 6.0)], mask=torch.ones(1)), "alpha_logit", "points")
    seen["alpha_logit"].sum().backward()
    point = seen["points"].detach()
    gradient = cameras.centers.grad.to_dense()
    torch.testing.assert_close(gradient, -50.0 * point / point.norm(), atol=1e-6, rtol=1e-6)


def test_a_nearly_grazing_slope_is_bounded(build_scene: BuildScene) -> None:
    """The derivative of depth in the level is -1/(grad f . v); where that product is small it is clamped."""
    ray = pixels([(8.0, 6.0)], mask=torch.ones(1))
    for least, bound in ((0.0, 1.0), (4.0, 0.25)):
        scene = with_ball(build_scene(f"threshold = 1e-9\nmin_slope = {least}"))
        depth = render(scene, ray, "depth")["depth"]
        depth.sum().backward()
        cosine = float(depth.detach()) / (float(torch.from_numpy(CAMERA.center).norm()) - RADIUS)
        assert float(scene.fields["sdf"].level.grad) == pytest.approx(bound * cosine, rel=1e-2)


def test_the_grid_is_made_anew_in_turn_and_kept_between(build_scene: BuildScene) -> None:
    scene = build_scene("resolution = 16\nrefresh = 5")
    renderer, batch = scene.renderers["main"], pixels(PLACES, mask=torch.ones(4))
    made = []
    for step in range(11):
        scene.clock.run = step
        render(scene, batch, "depth")
        made.append(renderer.refreshed > 0)
    assert [step for step, fresh in enumerate(made) if fresh] == [0, 5, 10]
    kept = renderer.grid.clone()
    with torch.no_grad():
        render(scene, images(), "depth")
    assert torch.equal(renderer.grid, kept)  # a rendering does not touch what training uses
