"""Densification: what becomes of each Gaussian, of its running means, and of a run that is killed meanwhile."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from known_splats import build, gaussians

from neuralfw.errors import UserError
from neuralfw.scene import Scene
from neuralfw.training.optimisers import Optimisers
from neuralfw.training.surgery import Surgery
from neuralfw_gaussians.backends import plain
from neuralfw_gaussians.config import DensifyConfig, McmcConfig, OpacityResetConfig, PruneConfig
from neuralfw_gaussians.contract import Settings, Splats, View
from neuralfw_gaussians.densify import Densify, Mcmc, OpacityReset, Prune
from neuralfw_gaussians.render_config import GAUSSIANS


class Alone(Scene):
    """A scene of nothing but Gaussians."""

    def __init__(self, field: Any) -> None:
        torch.nn.Module.__init__(self)
        self.fields = torch.nn.ModuleDict({"gaussians": field})
        self.bounds = torch.tensor([[-1.0] * 3, [1.0] * 3])

    def parameters_of(self, target: str) -> dict[str, torch.nn.Parameter]:
        return {f"fields.gaussians.{n}": p for n, p in self.fields["gaussians"].named_parameters()}


class Means(Optimisers):
    """Optimisers of a scene, as far as surgery knows them: one running mean for each parameter."""

    def __init__(self, parameters: dict[str, torch.Tensor]) -> None:
        self.kept = {name: torch.arange(len(p), dtype=torch.float32) + 1.0 for name, p in parameters.items()}

    def edit(self, name: str, keep: torch.Tensor, copies: torch.Tensor) -> None:
        self.kept[name] = torch.cat([self.kept[name][keep], torch.zeros(len(copies))])

    def learning_rate(self, name: str) -> float:
        return {"fields.gaussians.means": 1e-3}[name]


def stage(field: Any, callback: Any, step: int, gradients: torch.Tensor | None = None) -> SimpleNamespace:
    """Return the context of a step after which the screen gradients are as given."""
    scene = Alone(field)
    means = Means(scene.parameters_of("gaussians"))
    outputs = {}
    if gradients is not None:
        screen = torch.stack([gradients, 3.0 * gradients], dim=1)
        outputs = {"gaussians/screen_gradient": screen, "gaussians/radii": torch.ones(len(gradients))}
    return SimpleNamespace(
        scene=scene,
        optimisers=means,
        surgery=Surgery(scene, means, lambda: [callback]),
        results={"views": SimpleNamespace(outputs=outputs)},
        clock=SimpleNamespace(stage=step, run=step),
        logged={},
        generator=lambda place: torch.Generator().manual_seed(0),
    )


def densify(**options: Any) -> Densify:
    return Densify(DensifyConfig(**options), build())


def four() -> Any:
    """Return four Gaussians: small, large, faint, and one that nothing happens to."""
    field = gaussians(4, 1)
    with torch.no_grad():
        field.log_scales[:] = torch.tensor([0.005, 0.05, 0.005, 0.005]).log()[:, None]
        field.opacity_logits[:] = torch.tensor([2.0, 2.0, -6.0, 2.0])
    return field


def test_clone_split_prune_and_the_running_means() -> None:
    field = four()
    before = {n: p.detach().clone() for n, p in field.named_parameters()}
    callback = densify(begin=0, interval=10, reset=0)
    ctx = stage(field, callback, 10, torch.tensor([1e-3, 1e-3, 1e-3, 1e-5]))
    callback(ctx)
    assert len(field.means) == 1 + 1 + 1 + 2  # small, untouched, the clone, two halves
    torch.testing.assert_close(field.means[:3], before["means"][[0, 3, 0]])
    torch.testing.assert_close(field.sh_rest[3:], before["sh_rest"][[1, 1]])
    torch.testing.assert_close(field.log_scales[3:], before["log_scales"][[1, 1]] - math.log(1.6))
    assert float((field.means[3:].detach() - before["means"][1]).norm(dim=1).max()) < 5 * 0.05
    assert not torch.equal(field.means[3], field.means[4])
    for kept in ctx.optimisers.kept.values():
        assert kept.tolist() == [1.0, 4.0, 0.0, 0.0, 0.0]
    assert callback.state()["sums"].shape == (5, 2)


def test_clones_may_be_drawn_from_the_gaussian() -> None:
    field = four()
    callback = densify(begin=0, interval=10, reset=0, clone="sample")
    callback(stage(field, callback, 10, torch.tensor([1e-3, 0.0, 0.0, 0.0])))
    apart = float((field.means[-1] - field.means[0]).detach().norm())
    assert 0.0 < apart < 5 * 0.005


def test_statistics_are_means_over_the_steps_in_which_it_was_seen() -> None:
    field = four()
    callback = densify(begin=5, interval=10, reset=0)
    for step, seen in ((8, 1.0), (9, 0.0), (10, 1.0)):
        ctx = stage(field, callback, step, torch.tensor([3e-4 * seen, 0.0, 0.0, 0.0]))
        ctx.results["views"].outputs["gaussians/radii"][0] = seen
        callback(ctx)
    assert len(field.means) == 4  # one faint less, one clone more


@pytest.mark.parametrize(("absolute", "count"), [(False, 3), (True, 4)])
def test_absolute_gradients_have_a_column_of_their_own(absolute: bool, count: int) -> None:
    field = four()
    callback = densify(begin=0, interval=10, reset=0, absolute=absolute)
    callback(stage(field, callback, 10, torch.tensor([1e-4, 0.0, 0.0, 0.0])))
    assert len(field.means) == count


def test_the_bound_takes_the_largest_gradients_first() -> None:
    field = gaussians(6, 0)
    with torch.no_grad():
        field.log_scales[:] = math.log(0.001)
        field.opacity_logits[:] = 3.0
    callback = densify(begin=0, interval=10, reset=0, max_count=8)
    callback(stage(field, callback, 10, torch.tensor([1.0, 6.0, 2.0, 5.0, 3.0, 4.0])))
    assert len(field.means) == 8
    torch.testing.assert_close(field.means[6:], field.means[[1, 3]])


def test_statistics_follow_the_surgery_of_others() -> None:
    field, callback = four(), densify(begin=100)
    ctx = stage(field, callback, 1, torch.tensor([1.0, 2.0, 3.0, 4.0]))
    callback(ctx)
    ctx.surgery.edit("gaussians", torch.tensor([3, 1]), torch.tensor([0]))
    assert callback.state()["sums"][:, 0].tolist() == [4.0, 2.0, 0.0]


def test_reset_of_opacities() -> None:
    field, callback = four(), densify(reset=10)
    ctx = stage(field, callback, 10, torch.zeros(4))
    callback(ctx)
    opacities = field.opacity_logits.detach().sigmoid()
    assert float(opacities.max()) == pytest.approx(0.01)
    assert float(opacities[2]) == pytest.approx(1.0 / (1.0 + math.exp(6.0)))
    assert ctx.optimisers.kept["fields.gaussians.opacity_logits"].tolist() == [0.0] * 4
    assert ctx.optimisers.kept["fields.gaussians.means"].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_huge_gaussians_are_dropped_only_after_a_reset() -> None:
    for reset, count in ((0, 4), (5, 3)):
        field = four()
        with torch.no_grad():
            field.log_scales[3] = 0.0
            field.opacity_logits[2] = 2.0
        callback = densify(begin=0, interval=10, reset=reset, finish=100)
        callback(stage(field, callback, 10, torch.zeros(4)))
        assert len(field.means) == count


def test_dropping_all_is_a_clear_message_and_drops_none() -> None:
    field = four()
    callback = Prune(PruneConfig(min_opacity=0.99), build())
    with pytest.raises(UserError, match=r"all 4 Gaussians would be dropped at step 7: .*min_opacity = 0.99"):
        callback(stage(field, callback, 7))
    assert len(field.means) == 4


def test_prune_by_opacity_and_size() -> None:
    field = four()
    callback = Prune(PruneConfig(min_opacity=0.5, max_scale=0.02), build())
    callback(stage(field, callback, 1))
    assert len(field.means) == 2


def test_prune_outside_the_box_by_shares_of_its_edge() -> None:
    field = four()
    with torch.no_grad():
        field.means[:] = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.1, 0.0], [-1.3, 0.0, 0.0], [0.0, 0.0, 9.0]])
    callback = Prune(PruneConfig(outside=0.1), build())
    callback(stage(field, callback, 1))
    assert field.means[:, 1].tolist() == pytest.approx([0.0, 1.1])


def test_faint_gaussians_are_not_split() -> None:
    field = four()
    with torch.no_grad():
        field.opacity_logits[1] = -6.0
    callback = densify(begin=0, interval=10, reset=0)
    callback(stage(field, callback, 10, torch.tensor([0.0, 1.0, 0.0, 0.0])))
    assert len(field.means) == 2


def test_opacity_reset_alone() -> None:
    field = four()
    callback = OpacityReset(OpacityResetConfig(opacity=0.1), build())
    callback(stage(field, callback, 1))
    faint = 1.0 / (1.0 + math.exp(6.0))
    assert field.opacity_logits.detach().sigmoid().tolist() == pytest.approx([0.1, 0.1, faint, 0.1])


# -- Markov chain --------------------------------------------------------------------------------------------------


def image(field: Any) -> torch.Tensor:
    given = field.evaluate({}, frozenset(GAUSSIANS))
    splats = Splats(**{q.removeprefix("gaussians/"): v.detach().double() for q, v in given.items()})
    view = View(torch.eye(4, dtype=torch.float64), torch.tensor([30.0, 30.0, 12.0, 12.0]).double(), 24, 24)
    return plain.render(splats, view, Settings(), torch.zeros(len(splats.means), 2)).rgb


@pytest.mark.parametrize("copies", [1, 2, 4])
def test_copies_together_look_as_the_source_did(copies: int) -> None:
    field = gaussians(1, 0)
    with torch.no_grad():
        field.means[:] = torch.tensor([[0.0, 0.0, 3.0]])
        field.log_scales[:] = math.log(0.3)
        field.opacity_logits[:] = 1.0
        field.sh_dc[:] = 1.0
    before = image(field)
    with torch.no_grad():
        Mcmc._share(field, torch.zeros(copies, dtype=torch.long))
    ctx = stage(field, SimpleNamespace(renumber=lambda *_: None), 1)
    ctx.surgery.edit("gaussians", torch.tensor([0]), torch.zeros(copies, dtype=torch.long))
    after = image(field)
    torch.testing.assert_close(after[12, 12], before[12, 12], rtol=0.02, atol=0)
    assert float((after - before).abs().mean() / before.mean()) < 0.15


@pytest.mark.parametrize(("opacity", "copies"), [(0.3, 1), (0.7, 3), (0.95, 20)])
def test_copies_together_cover_a_line_as_the_source_did(opacity: float, copies: int) -> None:
    field = gaussians(1, 0)
    with torch.no_grad():
        field.opacity_logits[:] = math.log(opacity / (1.0 - opacity))
        field.log_scales[:] = 0.0
        Mcmc._share(field, torch.zeros(copies, dtype=torch.long))
    x = torch.linspace(-20.0, 20.0, 40_001, dtype=torch.float64)
    shared, scale = field.opacity_logits.detach().double().sigmoid(), field.scales.detach()[0, 0].double()
    left = (1.0 - shared * torch.exp(-0.5 * (x / scale).square())) ** (copies + 1)
    assert float(1.0 - left.min()) == pytest.approx(opacity, rel=1e-5)
    assert float(torch.trapezoid(1.0 - left, x)) == pytest.approx(opacity * math.sqrt(2.0 * math.pi), rel=1e-4)


def test_faint_ones_move_to_others_and_the_number_grows_to_its_bound() -> None:
    field = gaussians(10, 0)
    with torch.no_grad():
        field.opacity_logits[:] = 2.0
        field.opacity_logits[:3] = -9.0
    callback = Mcmc(McmcConfig(begin=0, interval=1, max_count=12, growth=0.5, noise=0.0), build())
    alive = field.means[3:].detach().clone()
    callback(stage(field, callback, 1))
    assert len(field.means) == 12
    nearest = torch.cdist(field.means.detach(), alive).amin(dim=1)
    assert float(nearest.max()) == 0.0
    assert float(field.opacity_logits.detach().min()) > -6.0


def test_whoever_shares_starts_with_fresh_running_means() -> None:
    field = gaussians(4, 0)
    with torch.no_grad():
        field.opacity_logits[:] = torch.tensor([9.0, -9.0, -9.0, -4.0])
    callback = Mcmc(McmcConfig(begin=0, interval=1, growth=0.0, noise=0.0), build())
    ctx = stage(field, callback, 1)
    callback(ctx)
    assert ctx.optimisers.kept["fields.gaussians.means"].tolist() == [4.0, 0.0, 0.0, 0.0]


def test_noise_shakes_faint_gaussians_along_their_long_axes() -> None:
    field = gaussians(500, 0)
    with torch.no_grad():
        field.means[:] = 0.0
        field.quaternions[:] = torch.tensor([1.0, 0.0, 0.0, 0.0])
        field.log_scales[:] = torch.tensor([0.1, 0.01, 0.01]).log()
        field.opacity_logits[:250] = -7.0
        field.opacity_logits[250:] = 4.0
    callback = Mcmc(McmcConfig(noise=10.0), build())
    callback(stage(field, callback, 1))
    spread = field.means.detach()[:250].std(dim=0)
    assert float(spread[0] / spread[1]) == pytest.approx(100.0, rel=0.3)
    assert float(field.means.detach()[250:].abs().max()) < 1e-6
