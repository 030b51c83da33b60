"""The renderer: background, several views, depth and normals of what is seen, quantities that are wanted."""

from __future__ import annotations

import pytest
import torch
from known_splats import build
from small_scenes import POSE, one, random
from torch import Tensor

from neuralfw.components import Quantities
from neuralfw.errors import UserError
from neuralfw.scene import SceneView
from neuralfw_gaussians import backends
from neuralfw_gaussians.contract import Splats
from neuralfw_gaussians.render_config import SplatConfig
from neuralfw_gaussians.splat import Splat, towards


class Scene(SceneView):
    """Gives Gaussians, as a view of a scene does."""

    def __init__(self, splats: Splats) -> None:
        self._given = {f"gaussians/{name}": value.float() for name, value in vars(splats).items()}

    def evaluate(self, points: Quantities, want: frozenset[str]) -> Quantities:
        return {name: self._given[name] for name in want}


def batch(views: int = 1, pose: Tensor = POSE, **more: Tensor) -> dict[str, Tensor]:
    return {
        "world_to_camera": pose.expand(views, 4, 4).clone(),
        "intrinsics": torch.tensor([40.0, 40.0, 16.5, 16.5]).expand(views, 4),
        "size": torch.tensor([33, 33]),
        **more,
    }


def render(splats: Splats, given: dict[str, Tensor], *want: str, backend: str = "cpu") -> dict[str, Tensor]:
    return Splat(SplatConfig(backend=backend), build())(Scene(splats), given, frozenset(want))


def test_background_fills_what_is_left() -> None:
    colors = torch.tensor([[0.2, 0.4, 1.0], [0.0, 0.0, 0.0]])
    outputs = render(random(30), batch(2, background=colors), "rgb", "alpha")
    black = outputs["rgb"][1]
    expected = black + (1.0 - outputs["alpha"][0])[..., None] * colors[0]
    torch.testing.assert_close(outputs["rgb"][0], expected)
    torch.testing.assert_close(black, render(random(30), batch(), "rgb")["rgb"][0])


def test_depth_and_normal_of_a_disk() -> None:
    disk = one(scales=torch.tensor([[0.4, 0.4, 1e-3]]), opacities=torch.tensor([0.9]))
    outputs = render(disk, batch(pose=torch.eye(4)), "depth", "normal", "alpha")
    seen = outputs["alpha"][0] > 0.1
    torch.testing.assert_close(outputs["depth"][0][seen], torch.full_like(outputs["depth"][0][seen], 2.0))
    towards_camera = outputs["alpha"][0][..., None] * torch.tensor([0.0, 0.0, -1.0])
    torch.testing.assert_close(outputs["normal"][0], towards_camera)


def test_normals_are_thin_axes_on_the_side_of_the_camera() -> None:
    splats = Splats(**{name: value.float() for name, value in vars(random(50)).items()})
    normals = towards(splats, POSE)
    center = -POSE[:3, :3].T @ POSE[:3, 3]
    torch.testing.assert_close(normals.norm(dim=1), torch.ones(50))
    assert (((splats.means - center) * normals).sum(dim=1) <= 0).all()


def test_only_what_is_wanted_comes_and_radii_are_the_largest_over_views() -> None:
    poses = batch(2)
    poses["world_to_camera"][1, 2, 3] = -50.0  # nothing is in front of the second camera
    outputs = render(random(20), poses, "rgb", "gaussians/radii")
    assert outputs.keys() == {"rgb", "gaussians/radii"}
    assert outputs["rgb"].shape == (2, 33, 33, 3) and (outputs["rgb"][1] == 0).all()
    torch.testing.assert_close(
        outputs["gaussians/radii"], render(random(20), batch(), "gaussians/radii")["gaussians/radii"]
    )


@pytest.mark.parametrize("backend", backends.CPU)
def test_screen_gradient_is_filled_by_the_backward(backend: str) -> None:
    leaves = Splats(**{name: value.float().requires_grad_() for name, value in vars(random(20)).items()})
    outputs = Splat(SplatConfig(backend=backend), build())(
        Scene(leaves), batch(), frozenset({"rgb", "gaussians/screen_gradient"})
    )
    screen = outputs["gaussians/screen_gradient"]
    assert (screen == 0).all()
    outputs["rgb"].square().sum().backward()  # type: ignore[no-untyped-call]
    assert (screen[:, 0] > 0).any() and (screen[:, 1] >= screen[:, 0] - 1e-5).all()


def test_a_backend_that_does_not_work_says_why() -> None:
    name = backends.CUDA[0]
    if backends.module(name).unavailable() is None:
        pytest.skip("gsplat works here")
    with pytest.raises(UserError, match="gsplat"):
        Splat(SplatConfig(backend=name), build())
    assert backends.chosen("auto", "cpu") == "cpu"
