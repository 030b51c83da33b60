"""The renderer `mesh` in recipes: a sphere whose distance is known, its shading, and what an update finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from neuralfw.components import Quantities
from neuralfw.errors import UserError
from neuralfw.geometry.camera import Camera
from neuralfw.meshing import EmptySurfaceError
from neuralfw.scene import SceneView
from neuralfw.testing import ExactSphere, Sphere, build_scene

RADIUS = 0.6
CAMERAS = [
    Camera.look_at(eye, [0.0, 0.0, 0.0], [0.0, 0.0, 1.0], focal=50.0, width=44, height=36)
    for eye in ([0.3, -2.2, 0.6], [2.0, 0.4, -0.7])
]

SCENE = """
[fields.sdf]
type     = "mlp_sdf"
width    = 16
layers   = 2
features = 4

{color}

[renderers.main]
type       = "mesh"
resolution = 24
{options}
"""
FIT = """
[[stages]]
name   = "fit"
steps  = 1
train  = ["sdf"]
passes = { views = { data = "images", renderer = "main" } }
losses = [{ type = "l1", on = "views" }]
"""
COLOR = '[fields.color]\ntype = "mlp_color"\nwidth = 16\nlayers = 2'


class Ball(ExactSphere):
    """An exact sphere whose features are the positions."""

    def evaluate(self, inputs: Quantities, want: frozenset[str]) -> Quantities:
        x = inputs["points"]
        feature = torch.cat([x, x[:, :1]], dim=1) * (1.0 + self.level)
        found = {**super().evaluate(inputs, want), "feature": feature}
        return {q: found[q] for q in want}


def view_of(options: str = "", color: str = "", level: float = 0.0) -> SceneView:
    scene = build_scene(SCENE.format(options=options, color=color))
    scene.fields["sdf"] = ball = Ball(RADIUS).float()
    ball.level.data.fill_(level)
    return SceneView(scene, scene.roles())


def batch(background: float = 0.25) -> Quantities:
    return {
        "world_to_camera": torch.from_numpy(np.stack([c.world_to_camera for c in CAMERAS])).float(),
        "intrinsics": torch.from_numpy(np.stack([c.intrinsics for c in CAMERAS])).float(),
        "size": torch.tensor([36, 44]),
        "background": torch.full((2, 3), background),
    }


def render(view: SceneView, *want: str) -> Quantities:
    found: Quantities = view.renderer("main")(view, batch(), frozenset(want))
    assert found.keys() == set(want)
    return found


def inner(alpha: Tensor) -> Tensor:
    """The pixels that no silhouette is near to."""
    return (nn.functional.avg_pool2d(alpha[:, None], 3, 1, 1) == 1.0)[:, 0]


def test_a_batch_of_views_shows_the_sphere() -> None:
    found = render(view_of(), "rgb", "alpha", "depth", "normal", "vertices", "faces")
    assert_close(found["vertices"].norm(dim=1), torch.full((len(found["vertices"]),), RADIUS), atol=5e-3, rtol=0.0)
    for i, camera in enumerate(CAMERAS):
        origin, directions = (torch.from_numpy(a).float() for a in camera.rays())
        hit, distance, least = (torch.from_numpy(a).float() for a in Sphere(RADIUS).seen_by(camera))
        assert_close(found["alpha"][i].sum(), hit.sum(), rtol=0.05, atol=0.0)
        sure = inner(found["alpha"])[i] & (least < -0.043)
        points = origin + distance[..., None] * directions
        depth = distance * (directions @ torch.from_numpy(camera.axis).float())
        assert_close(found["depth"][i][sure], depth[sure], atol=0.02, rtol=0)
        assert_close(found["normal"][i][sure], points[sure] / RADIUS, atol=0.1, rtol=0.0)
    assert_close(found["rgb"], 0.25 + 0.75 * found["alpha"][..., None].expand(-1, -1, -1, 3))


@pytest.mark.parametrize("shading", ["head_light", "environment"])
def test_shading_is_that_of_the_normals(shading: str) -> None:
    view = view_of(f'shading = "{shading}"\nalbedo = [0.5, 1.0, 0.25]\nstrength = 0.8')
    if shading == "environment":
        light = view.renderer("main").light
        assert_close(
            render(view, "rgb")["rgb"].amax(dim=(0, 1, 2)), torch.tensor([0.5, 1.0, 0.25]), atol=1e-3, rtol=1e-3
        )
        light.data[3] = 0.7 / 0.48860251  # 1 + 0.7 x
    found = render(view, "rgb", "alpha", "normal")
    sure, n = inner(found["alpha"]), found["normal"]
    if shading == "environment":
        expected = 1.0 + 0.7 * n[..., 0]
        (d,) = torch.autograd.grad(found["rgb"].sum(), light)
        assert d.abs().sum() > 1.0
    else:
        expected = 0.8 * torch.stack([-n[i] @ torch.from_numpy(c.axis).float() for i, c in enumerate(CAMERAS)])
    assert_close(found["rgb"][sure], expected[sure][:, None] * torch.tensor([0.5, 1.0, 0.25]), atol=1e-4, rtol=1e-4)


def test_one_colour_is_taken_in_any_case_where_that_is_said() -> None:
    """With the colour field that the scene has beside it, images are those of a scene without one."""
    options = 'colors = "albedo"\nalbedo = [0.5, 1.0, 0.25]\nshading = "head_light"'
    images = [render(view_of(options, color=color), "rgb")["rgb"] for color in ("", COLOR)]
    assert_close(*images)
    assert images[0].max() > 0.5


def test_images_move_the_vertices_and_the_colors_but_not_the_distance() -> None:
    view = view_of(color=COLOR)
    found = render(view, "rgb", "alpha", "vertices")
    (d,) = torch.autograd.grad(found["alpha"].sum(), found["vertices"], retain_graph=True)
    outward = (d * found["vertices"]).sum(dim=1)
    assert outward.sum() > 1500.0 and outward.min() > -1e-2
    found["rgb"].sum().backward()
    assert view.field("sdf").level.grad is None
    assert all(p.grad is not None and p.grad.any() for n, p in view.field("color").named_parameters() if "bias" in n)
    color = view.evaluate(
        {
            "points": found["vertices"][:5],
            "view_direction": torch.eye(3)[[0] * 5],
            "sdf_gradient": torch.eye(3)[[1] * 5],
        },
        frozenset({"color"}),
    )
    assert color["color"].shape == (5, 3)


def test_passes_of_a_step_share_the_surface() -> None:
    view = view_of()
    first, second = (render(view, "vertices", "alpha")["vertices"] for _ in range(2))
    assert first is second and first.requires_grad and first.is_leaf
    view.scene.graph.clear()
    assert render(view, "vertices")["vertices"] is not first
    with torch.no_grad():
        assert not render(view, "vertices")["vertices"].requires_grad


def test_learnt_cameras_would_get_a_gradient() -> None:
    view, given = view_of(), batch()
    given["world_to_camera"].requires_grad_()
    alpha = view.renderer("main")(view, given, frozenset({"alpha"}))["alpha"]
    columns = torch.arange(44.0)
    (d,) = torch.autograd.grad((alpha * columns).sum(), given["world_to_camera"])
    assert (d[:, 0, 3] > 0.0).all()


def test_an_empty_surface_is_explained() -> None:
    with pytest.raises(EmptySurfaceError, match="above the level everywhere"):
        render(view_of(level=2.0), "rgb")


def test_silhouettes_that_a_backend_cannot_find_are_refused() -> None:
    assert view_of('backend = "plain"').renderer("main").silhouettes == "shown"
    with pytest.raises(UserError, match=r'"plain" has no silhouettes = "all"'):
        view_of('backend = "plain"\nsilhouettes = "all"')


def test_a_backend_that_does_not_work_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="nvdiffrast"):
        view_of('backend = "nvdiffrast"')


def test_under_gradient_the_distance_is_idle_and_refused(tmp_path: Path) -> None:
    import neuralfw
    from neuralfw.shipped import find_recipe

    data = f'[data.images]\ntype = "blender"\npath = "{find_recipe("gs_pull").parent / "data/mic"}"\n'
    path = tmp_path / "mesh.toml"
    path.write_text(data + SCENE.format(options="", color="") + FIT)
    with pytest.raises(
        UserError, match='loss "l1" moves vertices of "views", which update "gradient" does not carry on to "sdf"'
    ):
        neuralfw.train(path, out=tmp_path / "run")
