"""Pulled Gaussians, Gaussians with a floor, SDFs in boxes."""

from __future__ import annotations

import pytest
import torch
from known_gaussians import DiskGaussians, SphereSdf, World, fibonacci_sphere, sphere_world
from torch.testing import assert_close

from neuralfw.config import Spec
from neuralfw.errors import UserError
from neuralfw.testing import build_component
from neuralfw.training.step import StepContext
from neuralfw_gs_pull import config as c
from neuralfw_gs_pull.boxes import BoxedSdf, FitBox, Parts
from neuralfw_gs_pull.disks import axes, normals
from neuralfw_gs_pull.gaussians import GaussiansView, PulledGaussians

MEANS = frozenset({"gaussians/means"})
BOTH = frozenset({"sdf", "sdf_gradient"})
SPEC = Spec("field", "mlp_sdf", c.PullToDisksConfig())


def scattered(count: int = 60) -> World:
    """Disks off a sphere of radius 0.5, by up to a fifth of it."""
    world = sphere_world(count)
    gaussians = world.fields["gaussians"]
    assert isinstance(gaussians, DiskGaussians)
    with torch.no_grad():
        gaussians.means *= torch.linspace(0.8, 1.2, count)[:, None]
    return world


def test_pulled_centres_lie_on_the_surface_and_on_their_rays() -> None:
    world = scattered()
    pulled = PulledGaussians(c.PulledGaussiansConfig(), world.build()).evaluate({}, frozenset(c.GAUSSIANS))
    assert_close(pulled["gaussians/means"], 0.5 * fibonacci_sphere(60))
    given = world.fields["gaussians"].evaluate({}, frozenset(c.GAUSSIANS))
    for quantity in c.GAUSSIANS[1:]:
        assert_close(pulled[quantity], given[quantity])


def test_gradients_of_pulled_centres_reach_the_gaussians_and_the_sdf() -> None:
    world = scattered()
    field = PulledGaussians(c.PulledGaussiansConfig(), world.build())
    direction = fibonacci_sphere(60)
    (field.evaluate({}, MEANS)["gaussians/means"] * direction).sum().backward()
    assert_close(world.fields["sdf"].radius.grad, torch.tensor(60.0))  # type: ignore[union-attr]
    along = (world.fields["gaussians"].means.grad * direction).sum(dim=1)  # type: ignore[union-attr, operator]
    assert_close(along, torch.zeros(60), atol=1e-6, rtol=0)


def test_the_sdf_is_evaluated_once_a_step_for_the_same_parameters() -> None:
    world = scattered()
    field, sdf = PulledGaussians(c.PulledGaussiansConfig(), world.build()), world.fields["sdf"]
    assert isinstance(sdf, SphereSdf)
    first = field.evaluate({}, MEANS)["gaussians/means"]
    assert field.evaluate({}, MEANS)["gaussians/means"] is first and sdf.calls == 1
    sdf.radius.requires_grad_(False)
    field.evaluate({}, MEANS)["gaussians/means"].sum().backward()
    assert sdf.calls == 2 and sdf.radius.grad is None
    world.graph.clear()
    field.evaluate({}, MEANS)
    assert sdf.calls == 3


def test_normals_of_disks_and_of_the_surface() -> None:
    world = sphere_world(60)
    field = PulledGaussians(c.PulledGaussiansConfig(), world.build())
    given = field.evaluate({}, frozenset({"gs_pull/disk_normal", "gs_pull/surface_normal"}))
    assert_close((given["gs_pull/disk_normal"] * fibonacci_sphere(60)).sum(dim=1).abs(), torch.ones(60))
    assert_close(given["gs_pull/surface_normal"], fibonacci_sphere(60))


def test_axes_are_rotations_and_the_thinnest_is_the_normal() -> None:
    quaternions = torch.nn.functional.normalize(torch.randn(20, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    turned = axes(quaternions)
    assert_close(turned @ turned.mT, torch.eye(3).expand(20, 3, 3), atol=1e-5, rtol=0)
    assert_close(torch.linalg.det(turned), torch.ones(20))
    assert_close(axes(torch.tensor([[0.5**0.5, 0.0, 0.0, 0.5**0.5]]))[0, :, 0], torch.tensor([0.0, 1.0, 0.0]))
    scales = torch.tensor([[1.0, 0.1, 2.0]]).repeat(20, 1)
    assert_close(normals(scales, quaternions), turned[:, :, 1])


def test_a_view_of_gaussians_raises_faint_ones_alone() -> None:
    world = sphere_world(3)
    gaussians = world.fields["gaussians"]
    with torch.no_grad():
        gaussians.opacities.copy_(torch.tensor([0.1, 0.97, 0.5]))  # type: ignore[operator, union-attr]
    shown = GaussiansView(c.GaussiansViewConfig(opacity_min=0.9), world.build()).evaluate({}, frozenset(c.GAUSSIANS))
    assert_close(shown["gaussians/opacities"].detach(), torch.tensor([0.9, 0.97, 0.9]))
    shown["gaussians/opacities"].sum().backward()
    assert gaussians.opacities.grad.tolist() == [0.0, 1.0, 0.0]  # type: ignore[union-attr, operator]


BOX = ((1.0, -2.0, 0.0), (5.0, 0.0, 2.0))


def test_a_boxed_sdf_has_distances_in_scene_units() -> None:
    world = sphere_world()
    boxed = BoxedSdf(c.BoxedSdfConfig(of=SPEC, box=BOX), world.build(of=lambda: SphereSdf(0.25)))
    x = torch.tensor([[3.0, -1.0, 3.0], [4.5, -1.0, 1.0]])
    found = boxed(x, want=BOTH)
    assert_close(found["sdf"].detach(), torch.tensor([1.0, 0.5]))
    assert_close(found["sdf_gradient"].detach(), torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
    assert "box" in boxed.state_dict()


def test_an_unsigned_sdf_has_no_side() -> None:
    world = sphere_world()
    boxed = BoxedSdf(c.BoxedSdfConfig(of=SPEC, box=BOX, unsigned=True), world.build(of=lambda: SphereSdf(0.25)))
    found = boxed(torch.tensor([[3.0, -1.0, 1.5]]), want=BOTH)
    assert_close(found["sdf"].detach(), torch.tensor([0.5]))
    assert_close(found["sdf_gradient"].detach(), torch.tensor([[0.0, 0.0, -1.0]]))


class _Absolute(SphereSdf):
    """The distance to one sphere of the whole box, whatever the block: what all parts agree on."""

    def __init__(self, lower: torch.Tensor, size: float) -> None:
        super().__init__(0.7)
        self.center, self.size = lower, size

    def forward(self, x, t=None, z=None, want=frozenset({"sdf"})):  # type: ignore[no-untyped-def]
        found = super().forward(x * self.size + self.center, want=want)
        return {q: v / self.size if q == "sdf" else v for q, v in found.items()}


def parts(split: tuple[int, int, int] = (2, 1, 2)) -> Parts:
    world = sphere_world()
    made = Parts(c.PartsConfig(of=SPEC, split=split, overlap=0.1), world.build(of=SphereSdf))
    for k, block in enumerate(made.blocks()):
        made.of[k] = _Absolute(block.mean(dim=0), float((block[1] - block[0]).max()))
    return made


def test_parts_that_agree_give_what_they_agree_on() -> None:
    x = 2.0 * torch.rand(500, 3, generator=torch.Generator().manual_seed(0)) - 1.0
    found = parts()(x, want=BOTH)
    assert_close(found["sdf"], x.norm(dim=1) - 0.7, atol=1e-5, rtol=0)
    assert_close(found["sdf_gradient"], x / x.norm(dim=1, keepdim=True), atol=1e-4, rtol=0)


def test_parts_that_differ_are_blended_without_a_step_and_with_the_true_gradient() -> None:
    made = parts().double()
    for k, part in enumerate(made.of):
        part.radius.data.fill_(0.3 + 0.2 * k)  # type: ignore[union-attr]
    x = torch.tensor([[0.03, 0.2, 0.05], [-0.07, 0.3, 0.5], [0.6, -0.4, -0.02], [1.3, 0.0, 1.2]], dtype=torch.float64)
    gradient = made(x, want=BOTH)["sdf_gradient"]
    for axis in range(3):
        step = 1e-6 * torch.eye(3, dtype=torch.float64)[axis]
        slope = (made(x + step)["sdf"] - made(x - step)["sdf"]) / 2e-6
        assert_close(slope, gradient[:, axis], atol=1e-6, rtol=0)


@pytest.mark.parametrize("activation", ["softplus", "sine"])
def test_parts_begin_as_one_sphere_of_the_whole_box(activation: str) -> None:
    of = {"type": "mlp_sdf", "width": 64, "layers": 3, "radius": 0.3, "activation": activation, "omega": 30.0}
    made = build_component("field", "parts", {"of": of, "box": [[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]})
    x = 0.6 * torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    inside, on, outside = (made(t * x)["sdf"].detach() for t in (0.5, 1.0, 1.5))
    assert on.abs().mean() < 0.15
    assert (inside < 0).all() and (outside > 0).all()


def test_blocks_cover_the_box_and_reach_over_by_their_overlap() -> None:
    blocks = parts((2, 1, 1)).blocks()
    assert_close(blocks[0], torch.tensor([[-1.1, -1.2, -1.2], [0.1, 1.2, 1.2]]))
    assert_close(blocks[1], torch.tensor([[-0.1, -1.2, -1.2], [1.1, 1.2, 1.2]]))


def fitted(world: World, **options: float) -> torch.Tensor:
    boxed = BoxedSdf(c.BoxedSdfConfig(of=SPEC), world.build(of=SphereSdf))
    world.fields["sdf"] = boxed
    ctx = StepContext.__new__(StepContext)
    ctx.scene = world.scene
    FitBox(c.FitBoxConfig(**options), world.build())(ctx)
    return boxed.box


def test_the_box_encloses_the_gaussians() -> None:
    assert_close(fitted(sphere_world(2000)), torch.tensor([[-0.51] * 3, [0.51] * 3]), atol=2e-3, rtol=0)


def test_a_floater_does_not_enlarge_a_box_of_quantiles() -> None:
    world = sphere_world(2000)
    with torch.no_grad():
        world.fields["gaussians"].means[7] = torch.tensor([50.0, -50.0, 50.0])  # type: ignore[operator, index, union-attr]
    assert fitted(world)[1].max() > 40.0
    assert_close(fitted(world, quantile=0.002, margin=0.1), torch.tensor([[-0.6] * 3, [0.6] * 3]), atol=0.01, rtol=0)


def test_faint_gaussians_do_not_count_and_none_at_all_is_an_error() -> None:
    world = sphere_world(100)
    with torch.no_grad():
        world.fields["gaussians"].opacities[:50] = 0.1  # type: ignore[operator, index, union-attr]
    box = fitted(world, min_opacity=0.5)
    assert box[1, 2] < 0.05 and box[0, 2] < -0.45
    with pytest.raises(UserError, match="0 Gaussians"):
        fitted(world, min_opacity=0.99)


def test_a_field_without_a_box_is_refused() -> None:
    with pytest.raises(UserError, match="boxed_sdf"):
        FitBox(c.FitBoxConfig(), sphere_world().build())


@pytest.mark.parametrize("name", ["boxed_sdf", "parts"])
def test_what_the_sdf_in_a_box_has_besides_the_distance_is_handed_on_and_said(name: str) -> None:
    of = {"type": "mlp_sdf", "width": 8, "layers": 1, "features": 3}
    field = build_component("field", name, {"of": of})
    given = field(torch.rand(5, 3), want=frozenset({"sdf", "feature"}))
    assert field.features == given["feature"].shape[1] == 3
