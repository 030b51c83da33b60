"""Samples around Gaussians: where they lie, what they remember."""

from __future__ import annotations

import pytest
import torch
from known_gaussians import DiskGaussians, World, sphere_world
from torch.testing import assert_close

from neuralfw.errors import UserError
from neuralfw_gs_pull import config as c
from neuralfw_gs_pull.near import NearGaussians


def sampler(world: World, **options: object) -> NearGaussians:
    return NearGaussians(c.NearGaussiansConfig.model_validate(options), world.build())


def gaussians(world: World) -> DiskGaussians:
    field = world.fields["gaussians"]
    assert isinstance(field, DiskGaussians)
    return field


def test_near_samples_are_spread_by_the_density_and_know_their_nearest_centre() -> None:
    world = sphere_world(500)
    batch = sampler(world, neighbors=20).sample(world.draw(batch=20_000))
    means = gaussians(world).means.detach()
    distance = torch.cdist(batch["points"], means)
    assert_close(batch["nearest"], means[distance.argmin(dim=1)])
    assert_close(means[batch["gs_pull/index"]], batch["nearest"])
    sigma = torch.cdist(means, means).sort(dim=1).values[:, 20].mean()
    off = batch["points"].norm(dim=1) - 0.5
    assert off.std().item() == pytest.approx(0.25 * sigma.item(), rel=0.05)


def test_far_and_uniform_shares() -> None:
    world = sphere_world(500)
    plain = sampler(world, neighbors=20).sample(world.draw(batch=8000))["points"]
    far = sampler(world, neighbors=20, far=0.5).sample(world.draw(batch=8000))["points"]
    spread = [(points.norm(dim=1) - 0.5).abs().mean() for points in (plain, far[:4000], far[4000:])]
    assert spread[1] / spread[0] == pytest.approx(3.0, rel=0.1) and spread[2] / spread[0] == pytest.approx(1.0, rel=0.1)
    points = sampler(world, uniform=1.0 - 1e-9, padding=0.1).sample(world.draw(batch=8000))["points"]
    assert points.abs().max() <= 0.6 and points.abs().max() > 0.59
    assert_close(points.abs().mean(dim=0), torch.full((3,), 0.3), atol=0.01, rtol=0)


def test_the_draw_alone_decides_what_is_drawn() -> None:
    world = sphere_world(100)
    first, second = sampler(world), sampler(world)
    assert_close(first.sample(world.draw(index=3, batch=50)), second.sample(world.draw(index=3, batch=50)))
    other = first.sample(world.draw(index=4, batch=50))["points"]
    assert not torch.equal(other, first.sample(world.draw(index=3, batch=50))["points"])


def test_a_snapshot_is_taken_anew_at_its_steps_alone() -> None:
    world = sphere_world(100)
    near = sampler(world, refresh=[0, 10])
    before = gaussians(world).means.detach().clone()
    near.sample(world.draw("centers", batch=5))
    gaussians(world).means.data *= 2.0
    for step, moved in ((5, False), (10, True), (11, True)):
        world.clock.run = world.clock.stage = step
        batch = near.sample(world.draw("centers", batch=20))
        assert_close(batch["points"], before[batch["gs_pull/index"]] * (2.0 if moved else 1.0))
    gaussians(world).means.data *= 2.0
    world.clock.run, world.clock.stage = 12, 0  # another stage has begun
    batch = near.sample(world.draw("centers", batch=20))
    assert_close(batch["points"], before[batch["gs_pull/index"]] * 4.0)


def test_a_snapshot_goes_through_a_checkpoint() -> None:
    world = sphere_world(100)
    near = sampler(world)
    near.sample(world.draw(batch=5))
    gaussians(world).means.data *= 2.0
    world.clock.run = world.clock.stage = 7
    again = sampler(world)
    again.load_state({k: v.clone() for k, v in near.state().items()})
    assert_close(again.sample(world.draw(batch=50)), near.sample(world.draw(batch=50)))
    assert sampler(world).state() == {}


def test_centres_follow_surgery() -> None:
    world = sphere_world(100)
    near = sampler(world)
    near.sample(world.draw(batch=5))
    before = gaussians(world).means.detach().clone()
    keep = torch.arange(10, 100).flip(0)
    index = torch.full((100,), -1)
    index[keep] = torch.arange(90)
    near.renumber("other", index, 90)
    near.renumber("gaussians", index, 90)
    batch = near.sample(world.draw(batch=2000))
    assert_close(batch["nearest"], before[keep][batch["gs_pull/index"]])
    assert batch["gs_pull/index"].max() < 90


def test_centres_outside_of_the_sdfs_box_and_faint_ones_do_not_count() -> None:
    world = sphere_world(1000)
    box = torch.tensor([[-1.0, -1.0, 0.0], [1.0, 1.0, 1.0]])
    world.fields["sdf"].register_buffer("box", box)
    with torch.no_grad():
        gaussians(world).opacities[gaussians(world).means[:, 0] < 0] = 0.1
    batch = sampler(world, min_opacity=0.5).sample(world.draw("centers", batch=1000))
    assert batch["points"][:, 2].min() >= 0.0 and batch["points"][:, 0].min() >= 0.0
    assert_close(gaussians(world).means.detach()[batch["gs_pull/index"]], batch["points"])


def test_no_gaussians_left_is_an_error() -> None:
    world = sphere_world(10)
    with pytest.raises(UserError, match="of 10 Gaussians 0 are left"):
        sampler(world, min_opacity=0.95).sample(world.draw(batch=5))
