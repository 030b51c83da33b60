"""Which side samples are on: a sphere that cameras on a ring see, against its closed form."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float
from known_gaussians import World, sphere_world
from PIL import Image
from torch import Tensor
from torch.testing import assert_close

from neuralfw.components import Quantities, Renderer
from neuralfw.config import Spec
from neuralfw.data.images import Images
from neuralfw.data.images_config import BlenderConfig
from neuralfw.errors import UserError
from neuralfw.geometry.camera import Camera
from neuralfw.recipe.model import FrameTable
from neuralfw_gaussians.render_config import SplatConfig
from neuralfw_gs_pull import config as c
from neuralfw_gs_pull.free_space import FreeSpace
from neuralfw_gs_pull.seen import SeenGaussians

RADIUS, AWAY, SIZE = 0.5, 2.0, 64
CENTERS = AWAY * np.array([[1.0, 0, 0.1], [-1.0, 0, 0.1], [0, 1.0, 0.1], [0, -1.0, 0.1], [0.1, 0, 1.0], [0.1, 0, -1.0]])
CAMERAS = [Camera.look_at(at, [0.0, 0.0, 0.0], [0.3, 0.2, 1.0], focal=80.0, width=SIZE, height=SIZE) for at in CENTERS]


def sphere_depth(camera: Camera) -> Float[Tensor, "h w"]:
    """Depth along the optical axis of the sphere about the origin, 0 beside it."""
    origin, directions = camera.rays()
    along = directions @ origin
    under = along**2 - origin @ origin + RADIUS**2
    distance = -along - np.sqrt(np.maximum(under, 0.0))
    return torch.from_numpy(np.where(under > 0, distance * (directions @ camera.axis), 0.0)).float()


def batch_of(camera: Camera) -> Quantities:
    pose, lens = torch.from_numpy(camera.world_to_camera).float(), torch.from_numpy(camera.intrinsics).float()
    return {"world_to_camera": pose[None], "intrinsics": lens[None]}


def space(*, masked: bool = True) -> FreeSpace:
    depths = [sphere_depth(camera) for camera in CAMERAS]
    limits = [torch.where(depth > 0, depth, torch.inf if masked else 0.0) for depth in depths]
    return FreeSpace.of([batch_of(camera) for camera in CAMERAS], limits)


def scattered(count: int = 4000) -> Tensor:
    return 1.6 * torch.rand(count, 3, generator=torch.Generator().manual_seed(0)) - 0.8


@pytest.mark.parametrize("masked", [True, False])
def test_sides_are_those_of_the_sphere(masked: bool) -> None:
    x = scattered()
    side = space(masked=masked).sides(x, tolerance=0.02, reach=0.2, votes=1)
    distance = x.norm(dim=1) - RADIUS
    assert (side[distance < -0.02] <= 0).all()
    assert (side[distance > 0.05] >= 0).all()
    assert (side[(distance > 0.1)] > 0).float().mean() > (0.95 if masked else 0.1)
    assert (side[(distance < -0.05) & (distance > -0.1)] < 0).float().mean() > 0.9
    assert (side[distance < -0.4] == 0).all()  # too far behind whatever is seen


def test_several_depths_may_have_to_agree_and_one_pixel_off_the_mask_is_enough() -> None:
    x = scattered()
    one, four = (space(masked=False).sides(x, 0.02, 0.2, votes=votes) for votes in (1, 4))
    assert (four > 0).sum() < 0.5 * (one > 0).sum()
    assert not ((four < 0) & (one > 0)).any()
    distance = x.norm(dim=1) - RADIUS
    assert (space().sides(x, 0.02, 0.2, votes=4)[distance > 0.1] > 0).float().mean() > 0.9


def test_a_point_faces_the_cameras_that_see_it() -> None:
    x = RADIUS * torch.tensor([[0.577, 0.577, 0.577], [0.4, 0.0, 0.0], [1.6, 0.0, 0.0]])
    facing = space().facing(x, tolerance=0.03, votes=1)
    cameras = torch.from_numpy(CENTERS[[0, 2, 4]]).float()
    assert_close(facing[0], torch.nn.functional.normalize(cameras - x[0], dim=1).sum(dim=0), atol=1e-4, rtol=0)
    assert not facing[1:].any()  # one is buried, one is looked through


def test_points_behind_a_camera_or_beside_its_picture_are_not_known_to_it() -> None:
    one = FreeSpace.of([batch_of(CAMERAS[0])], [torch.full((SIZE, SIZE), 5.0)])
    x = torch.tensor([[3.0, 0.0, 0.0], [0.0, 1.5, 0.0], [0.0, 0.0, 0.0]])
    assert one.gaps(x)[1][0].tolist() == [False, False, True]
    assert one.gaps(x)[0][0, 2].item() == pytest.approx(5.0 - np.linalg.norm(CENTERS[0]), abs=1e-4)


class SphereDepth(Renderer):
    """Renders the sphere's depth, of whatever Gaussians; notes the sizes it was asked for."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, scene, batch, want):  # type: ignore[no-untyped-def]
        height, width = batch["size"].tolist()
        fx, fy, cx, cy = batch["intrinsics"][0].tolist()
        camera = Camera(batch["world_to_camera"][0].double().numpy(), fx, fy, cx, cy, width, height)
        depth = sphere_depth(camera)
        self.sizes.append((height, width))
        return {"depth": depth[None], "alpha": (depth > 0).float()[None]}


@pytest.fixture
def photographs(tmp_path: Path) -> Images:
    """Photographs of the sphere with their masks, in the layout of NeRF's Blender scenes."""
    frames = []
    for k, camera in enumerate(CAMERAS):
        alpha = (sphere_depth(camera) > 0).numpy() * np.uint8(255)
        picture = np.stack([np.full_like(alpha, 128)] * 3 + [alpha], axis=-1)
        Image.fromarray(picture).save(tmp_path / f"{k}.png")
        pose = np.linalg.inv(camera.world_to_camera) @ np.diag([1.0, -1.0, -1.0, 1.0])
        frames.append({"file_path": f"./{k}", "transform_matrix": pose.tolist()})
    (tmp_path / "transforms_train.json").write_text(json.dumps({"fl_x": 80.0, "frames": frames}))
    build = replace(sphere_world(4).build(), frame_fit=FrameTable(fit="none"))
    return Images(BlenderConfig(path=tmp_path, holdout=0), build)


SPEC = Spec("renderer", "splat", SplatConfig())


def seen(images: Images, world: World, renderer: Renderer, **options: object) -> SeenGaussians:
    world.data["images"] = images
    config = c.SeenGaussiansConfig.model_validate({"renderer": SPEC, **options})
    return SeenGaussians(config, world.build(of=lambda: renderer))


def test_samples_know_their_side(photographs: Images) -> None:
    world = sphere_world(500)
    sampler = seen(photographs, world, SphereDepth())
    for name in ("near", "space"):
        batch = sampler.sample(world.draw(name, batch=2000))
        distance, side = batch["points"].norm(dim=1) - RADIUS, batch["gs_pull/side"]
        assert (side[distance < -0.04] <= 0).all() and (side[distance > 0.04] >= 0).all()
        assert (side > 0).any() and (side < 0).any()


def test_normals_of_centres_face_outward_and_only_what_is_seen_counts(photographs: Images) -> None:
    world = sphere_world(500)
    with torch.no_grad():
        world.fields["gaussians"].means[:250] *= 0.5  # type: ignore[operator, index, union-attr]
    batch = seen(photographs, world, SphereDepth()).sample(world.draw("centers", batch=1000))
    outward = torch.nn.functional.normalize(batch["points"], dim=1)
    assert batch["gs_pull/index"].min() >= 250
    assert_close((batch["normal"] * outward).sum(dim=1), torch.ones(1000), atol=1e-4, rtol=0)


def test_depth_is_rendered_at_a_size_that_fits(photographs: Images) -> None:
    renderer, world = SphereDepth(), sphere_world(200)
    sampler = seen(photographs, world, renderer, max_size=32)
    side = sampler.sample(world.draw("near", batch=500))["gs_pull/side"]
    assert renderer.sizes == [(32, 32)] * len(CAMERAS) and (side > 0).any()


def test_what_was_seen_goes_through_a_checkpoint(photographs: Images) -> None:
    world, renderer = sphere_world(200), SphereDepth()
    first = seen(photographs, world, renderer)
    first.sample(world.draw("near", batch=10))
    again = seen(photographs, world, renderer)
    again.load_state({name: value.clone() for name, value in first.state().items()})
    for name in ("near", "centers", "space"):
        assert_close(again.sample(world.draw(name, batch=200)), first.sample(world.draw(name, batch=200)))
    assert len(renderer.sizes) == len(CAMERAS)


def test_normals_follow_surgery(photographs: Images) -> None:
    world = sphere_world(100)
    sampler = seen(photographs, world, SphereDepth())
    sampler.sample(world.draw("near", batch=10))
    index = torch.full((100,), -1)
    index[50:] = torch.arange(50)
    sampler.renumber("gaussians", index, 50)
    batch = sampler.sample(world.draw("centers", batch=300))
    outward = torch.nn.functional.normalize(batch["points"], dim=1)
    assert_close((batch["normal"] * outward).sum(dim=1), torch.ones(300), atol=1e-4, rtol=0)
    assert batch["gs_pull/index"].max() < 50


def test_data_without_photographs_is_refused() -> None:
    world = sphere_world(10)
    world.data["cloud"] = object()
    with pytest.raises(UserError, match="'cloud' holds no photographs"):
        SeenGaussians(c.SeenGaussiansConfig(renderer=SPEC, images="cloud"), world.build(of=SphereDepth))
