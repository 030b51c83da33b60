"""The losses, against their formulas and against finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from known_gaussians import fibonacci_sphere, sphere_world
from torch import Tensor
from torch.testing import assert_close

from neuralfw.components import Loss, Quantities
from neuralfw.config import ComponentConfig
from neuralfw_gs_pull import config as c
from neuralfw_gs_pull import losses
from neuralfw_gs_pull.disks import PullToDisks

BUILD = sphere_world(4).build()


def value(loss: type[Loss], config: ComponentConfig, outputs: Quantities, batch: Quantities | None = None) -> Tensor:
    return loss(config, BUILD)(outputs, batch or {})


def disk(pulled: Tensor) -> Quantities:
    """Disks about the origin with standard deviations 0.2, 0.1, 0.01; the axes turned by 30 degrees about x."""
    n, s = len(pulled), math.sin(math.pi / 6)
    turned = torch.tensor([[1.0, 0.0, 0.0], [0.0, math.sqrt(0.75), -s], [0.0, s, math.sqrt(0.75)]])
    scales = torch.tensor([0.2, 0.1, 0.01])
    given = {"gs_pull/disk_center": torch.zeros(3), "gs_pull/disk_scales": scales, "gs_pull/disk_axes": turned}
    return {"pulled": pulled} | {q: v.to(pulled).expand(n, *v.shape) for q, v in given.items()}


OFFSETS = torch.tensor([[0.1, 0.05, -0.02], [0.0, 0.3, 0.1], [-0.4, 0.0, 0.0]])


@pytest.mark.parametrize("min_scale", [1e-3, 0.05])
def test_disk_pull_is_half_the_mahalanobis_distance_squared(min_scale: float) -> None:
    given = disk(OFFSETS)
    axes = given["gs_pull/disk_axes"][0].double()
    scales = torch.tensor([0.2, 0.1, max(0.01, min_scale)]).double()
    precision = torch.linalg.inv(axes @ torch.diag(scales**2) @ axes.T)
    d = OFFSETS.double()
    expected = 0.5 * torch.einsum("ni,ij,nj->n", d, precision, d).mean()
    found = value(losses.DiskPull, c.DiskPullConfig(min_scale=min_scale), given)
    assert_close(found.double(), expected, rtol=1e-4, atol=0)


def test_disk_pull_grows_linearly_beyond_its_limit() -> None:
    along = torch.tensor([[0.2, 0.0, 0.0], [0.8, 0.0, 0.0]])  # one and four standard deviations
    found = [value(losses.DiskPull, c.DiskPullConfig(limit=2.0), disk(row[None])) for row in along]
    assert_close(torch.stack(found), torch.tensor([0.5, 2.0 + 2.0 * 2.0]))


@pytest.mark.parametrize("limit", [None, 3.0])
def test_the_gradient_of_disk_pull(limit: float | None) -> None:
    pulled = OFFSETS.double().requires_grad_()
    config = c.DiskPullConfig(limit=limit)
    assert torch.autograd.gradcheck(lambda p: value(losses.DiskPull, config, disk(p)), (pulled,))


PULLED = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
CENTRES = torch.tensor([[0.0, 0.3, 0.0], [5.0, 0.0, 0.0]])


def test_chamfer_pull_is_symmetric_and_not_squared() -> None:
    there = (0.3 + (1.0 + 0.09) ** 0.5) / 2
    back = (0.3 + 4.0) / 2
    found = value(losses.ChamferPull, c.ChamferPullConfig(), {"pulled": PULLED}, {"nearest": CENTRES})
    assert found.item() == pytest.approx(0.5 * (there + back), rel=1e-6)


def test_near_disk_counts_only_what_is_dense_and_survives_when_nothing_is() -> None:
    expected = 1.0 - math.exp(-0.5 * 0.3**2)
    config = c.NearDiskConfig(std=1.0, threshold=0.9)
    assert value(losses.NearDisk, config, {"pulled": PULLED}, {"nearest": CENTRES}).item() == pytest.approx(expected)
    pulled = (PULLED + 100.0).requires_grad_()
    far = value(losses.NearDisk, config, {"pulled": pulled}, {"nearest": CENTRES})
    far.backward()
    assert far.item() == 0.0 and pulled.grad is not None and not pulled.grad.any()


def test_attract_moves_the_gaussians_and_not_the_surface() -> None:
    pulled, center = PULLED.clone().requires_grad_(), CENTRES.clone().requires_grad_()
    found = value(losses.Attract, c.AttractConfig(), {"pulled": pulled, "gs_pull/disk_center": center})
    found.backward()
    assert found.item() == pytest.approx((0.3 + 4.0) / 2)
    assert pulled.grad is None
    assert_close(center.grad, torch.tensor([[0.0, 0.5, 0.0], [0.5, 0.0, 0.0]]))


def test_aligned_does_not_mind_the_side() -> None:
    surface = torch.tensor([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
    normal = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [math.sqrt(0.75), 0.0, 0.5]])
    given = {"gs_pull/surface_normal": surface, "gs_pull/disk_normal": normal}
    assert value(losses.Aligned, c.AlignedConfig(), given).item() == pytest.approx(0.5 / 3)


@pytest.mark.parametrize("loss", [losses.DiskPull, losses.ChamferPull, losses.NearDisk, losses.Attract, losses.Aligned])
def test_a_mean_over_nothing_is_zero(loss: type[Loss]) -> None:
    config = {"DiskPull": c.DiskPullConfig, "ChamferPull": c.ChamferPullConfig, "NearDisk": c.NearDiskConfig}
    config |= {"Attract": c.AttractConfig, "Aligned": c.AlignedConfig}
    nothing = torch.empty(0, 3, requires_grad=True)
    normals = dict.fromkeys(("gs_pull/surface_normal", "gs_pull/disk_normal"), nothing)
    batch = {"nearest": torch.empty(0, 3)}
    found = value(loss, config[loss.__name__](), disk(nothing) | normals, batch)
    assert found.item() == 0.0


def test_queries_meet_the_gaussian_that_their_batch_names() -> None:
    world = sphere_world(50)
    want = frozenset({"pulled", "gs_pull/surface_normal", *c.DISK})
    batch = {"points": 0.8 * fibonacci_sphere(10), "gs_pull/index": torch.arange(10) * 5}
    found = PullToDisks(c.PullToDisksConfig(), world.build())(world, batch, want)
    assert_close(found["pulled"], 0.5 * fibonacci_sphere(10))
    assert_close(found["gs_pull/surface_normal"], fibonacci_sphere(10))
    assert_close(found["gs_pull/disk_center"], 0.5 * fibonacci_sphere(50)[::5])
    assert_close((found["gs_pull/disk_normal"] * fibonacci_sphere(50)[::5]).sum(dim=1).abs(), torch.ones(10))


def test_queries_alone_do_not_ask_for_gaussians() -> None:
    world = sphere_world(50)
    del world.fields["gaussians"]
    batch = {"points": 0.8 * fibonacci_sphere(10), "gs_pull/index": torch.arange(10)}
    found = PullToDisks(c.PullToDisksConfig(), world.build())(world, batch, frozenset({"pulled"}))
    assert "gs_pull/disk_center" not in found


def test_sided_minds_the_wrong_side_and_what_is_not_far_enough() -> None:
    sdf, side = torch.tensor([0.3, -0.1, 0.02, -0.2, 0.5]), torch.tensor([1.0, 1.0, 1.0, -1.0, 0.0])
    found = value(losses.Sided, c.SidedConfig(margin=0.05), {"sdf": sdf}, {"gs_pull/side": side})
    assert found.item() == pytest.approx((0.15 + 0.03) / 4)
    unknown = value(losses.Sided, c.SidedConfig(), {"sdf": sdf}, {"gs_pull/side": torch.zeros(5)})
    assert unknown.item() == 0.0
