"""Changes how many Gaussians there are while they train, through the surgery on parameters and running means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from neuralfw.components import Build, Callback
from neuralfw.errors import UserError

from .config import DensifyConfig, McmcConfig, PruneConfig
from .field import Gaussians
from .rotations import axes

SHRINK = 1.6
RESET_OPACITY = 0.01


class _OnGaussians(Callback):
    """What the callbacks share: the field, and edits of it that leave some Gaussians."""

    def __init__(self, config: DensifyConfig | McmcConfig | PruneConfig, build: Build) -> None:
        super().__init__(config, build)
        self._field = config.field

    def _gaussians(self, ctx: Any) -> Gaussians:
        field = ctx.scene.fields[self._field]
        if not isinstance(field, Gaussians):
            raise UserError(f"field {self._field!r} is made of others: name a field of type gaussians")
        return field

    def _keep(self, ctx: Any, keep: Bool[Tensor, " g"], why: str, copies: Int[Tensor, " c"] | None = None) -> None:
        """Drop what is not kept, and append copies.

        Raises:
            UserError: nothing would be left.
        """
        if not bool(keep.any()) and (copies is None or not len(copies)):
            raise UserError(
                f"all {len(keep):,} Gaussians would be dropped at step {ctx.clock.run}: {why}; "
                "lower that bound, or look whether cameras and photographs belong together"
            )
        if copies is not None or not bool(keep.all()):
            ctx.surgery.edit(self._field, keep.nonzero()[:, 0], copies)


def drawn(field: Gaussians, index: Int[Tensor, " n"], generator: torch.Generator) -> Float[Tensor, "n 3"]:
    """Return a point drawn from each of some Gaussians."""
    noise = torch.randn(len(index), 3, generator=generator).to(field.means.device)
    rotations = torch.nn.functional.normalize(field.quaternions[index], dim=1)
    return field.means[index] + torch.einsum("nij,nj->ni", axes(rotations), field.scales[index] * noise)


class Densify(_OnGaussians):
    """Adaptive density control (3D Gaussian splatting, arXiv 2308.04079, §5).

    Where the mean screen gradient is large, small Gaussians are cloned and large ones split in two; faint and huge ones
    are dropped. It counts at every step and acts every `interval`; give it no `every`.
    """

    def __init__(self, config: DensifyConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config
        self._sums = torch.zeros(0, 2)

    def state(self) -> dict[str, Tensor]:
        return {"sums": self._sums}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self._sums = state["sums"]

    def renumber(self, field: str, index: Int[Tensor, " old"], count: int) -> None:
        if field == self._field and len(self._sums):
            moved = torch.zeros(count, 2)
            moved[index[index >= 0].cpu()] = self._sums[(index >= 0).cpu()]
            self._sums = moved

    @torch.no_grad()
    def __call__(self, ctx: Any) -> None:
        step, config = ctx.clock.stage, self._config
        if step >= config.finish:
            return
        field = self._gaussians(ctx)
        self._count(ctx, len(field.means))
        if step > config.begin and step % config.interval == 0:
            self._act(ctx, field, was_reset=0 < config.reset < step)
        if config.reset and step % config.reset == 0:
            reset_opacities(ctx, field, self._field)

    def _count(self, ctx: Any, count: int) -> None:
        if len(self._sums) != count:
            self._sums = torch.zeros(count, 2)
        for result in ctx.results.values():
            if "gaussians/radii" in result.outputs and "gaussians/screen_gradient" in result.outputs:
                seen = (result.outputs["gaussians/radii"] > 0).cpu()
                screen = result.outputs["gaussians/screen_gradient"][:, int(self._config.absolute)].cpu()
                self._sums[:, 0] += screen
                self._sums[:, 1] += seen

    def _act(self, ctx: Any, field: Gaussians, *, was_reset: bool) -> None:
        config, device = self._config, field.means.device
        gradient = (self._sums[:, 0] / self._sums[:, 1].clamp_min(1.0)).to(device)
        size = field.scales.amax(dim=1)
        chosen = self._most(gradient, len(size))
        large = size > config.split_scale * config.extent
        keep = (field.opacity_logits.sigmoid() >= config.min_opacity) & ~(chosen & large)
        keep &= ~((size > config.max_scale * config.extent) & was_reset)
        cloned, split = (chosen & ~large & keep).nonzero()[:, 0], (chosen & large).nonzero()[:, 0]
        copies = torch.cat([cloned, split, split])
        placed = drawn(field, copies, ctx.generator("densify"))
        if config.clone == "copy":
            placed[: len(cloned)] = field.means[cloned]
        why = f"their opacity is below min_opacity = {config.min_opacity}"
        self._keep(ctx, keep, why, copies)
        field.means[len(field.means) - len(copies) :] = placed
        field.log_scales[len(field.means) - 2 * len(split) :] -= math.log(SHRINK)
        self._sums = torch.zeros(len(field.means), 2)
        ctx.logged["gaussians"] = float(len(field.means))

    def _most(self, gradient: Float[Tensor, " g"], count: int) -> Bool[Tensor, " g"]:
        """Return which have a large gradient; the largest of them where not all may have more."""
        chosen = gradient >= self._config.gradient
        room = self._config.max_count - count
        if int(chosen.sum()) > room:
            chosen = torch.zeros_like(chosen)
            if room > 0:
                largest = gradient.topk(room).indices
                chosen[largest] = gradient[largest] >= self._config.gradient
        return chosen


@torch.no_grad()
def reset_opacities(ctx: Any, field: Gaussians, name: str) -> None:
    """Bring opacities down to at most 0.01 and forget their running means."""
    field.opacity_logits.clamp_(max=math.log(RESET_OPACITY / (1.0 - RESET_OPACITY)))
    every = torch.arange(len(field.opacity_logits), device=field.opacity_logits.device)
    ctx.optimisers.edit(f"fields.{name}.opacity_logits", every[:0], every)


class Prune(_OnGaussians):
    """Drops Gaussians that are faint or huge."""

    def __init__(self, config: PruneConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config

    @torch.no_grad()
    def __call__(self, ctx: Any) -> None:
        field = self._gaussians(ctx)
        keep = field.opacity_logits.sigmoid() >= self._config.min_opacity
        if self._config.max_scale is not None:
            keep &= field.scales.amax(dim=1) <= self._config.max_scale
        why = f"opacity below min_opacity = {self._config.min_opacity} or scale above {self._config.max_scale}"
        self._keep(ctx, keep, why)


class Mcmc(_OnGaussians):
    """Gaussians as samples of a Markov chain (Kheradmand et al. 2024, arXiv 2404.09591).

    Faint ones move to where opaque ones are, their number grows to a bound, and noise that depends on their covariance
    lets them explore. Losses `opacity` and `scale` with small weights belong to it.
    """

    def __init__(self, config: McmcConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config

    @torch.no_grad()
    def __call__(self, ctx: Any) -> None:
        step, config = ctx.clock.stage, self._config
        field = self._gaussians(ctx)
        if config.begin < step < config.finish and step % config.interval == 0:
            self._relocate(ctx, field)
            self._grow(ctx, field)
            ctx.logged["gaussians"] = float(len(field.means))
        self._shake(ctx, field)

    def _relocate(self, ctx: Any, field: Gaussians) -> None:
        opacities = field.opacity_logits.sigmoid()
        dead = opacities <= self._config.min_opacity
        if not bool(dead.any()) or bool(dead.all()):
            return
        alive = (~dead).nonzero()[:, 0]
        sources = alive[self._picked(ctx, opacities[alive], int(dead.sum()), "relocate")]
        self._share(field, sources)
        self._keep(ctx, ~dead, "", sources)

    def _grow(self, ctx: Any, field: Gaussians) -> None:
        count = len(field.means)
        more = min(self._config.max_count, int((1.0 + self._config.growth) * count)) - count
        if more > 0:
            sources = self._picked(ctx, field.opacity_logits.sigmoid(), more, "grow")
            self._share(field, sources)
            self._keep(ctx, torch.ones(count, dtype=torch.bool, device=field.means.device), "", sources)

    @staticmethod
    def _picked(ctx: Any, weights: Float[Tensor, " n"], count: int, place: str) -> Int[Tensor, " c"]:
        index = torch.multinomial(weights.cpu(), count, replacement=True, generator=ctx.generator(f"mcmc/{place}"))
        return index.to(weights.device)

    @staticmethod
    def _share(field: Gaussians, sources: Int[Tensor, " c"]) -> None:
        """Give each source the opacity and scales with which it and its copies together look as it did (eq. 9)."""
        times = torch.bincount(sources, minlength=len(field.means)) + 1
        index = sources.unique()
        count, old = times[index].clamp_max(51), field.opacity_logits[index].double().sigmoid()
        new = 1.0 - (1.0 - old) ** (1.0 / count)
        total = torch.zeros_like(new)
        for i in range(1, int(count.max()) + 1):
            terms = (math.comb(i - 1, k) * (-1) ** k * new ** (k + 1) / math.sqrt(k + 1) for k in range(i))
            total += torch.where(count >= i, torch.stack([*terms]).sum(dim=0), torch.zeros_like(new))
        field.log_scales[index] += (old / total).log().float()[:, None]
        new = new.clamp(0.005, 1.0 - 1e-6)
        field.opacity_logits[index] = (new / (1.0 - new)).log().float()

    def _shake(self, ctx: Any, field: Gaussians) -> None:
        rates = ctx.optimisers.learning_rates()
        rate = rates.get(f"{self._field}.means", rates.get(self._field, 0.0))
        gate = torch.sigmoid(-100.0 * (field.opacity_logits.sigmoid() - self._config.min_opacity))
        everyone = torch.arange(len(field.means), device=field.means.device)
        offset = drawn(field, everyone, ctx.generator("mcmc/noise")) - field.means
        rotations = axes(torch.nn.functional.normalize(field.quaternions, dim=1))
        along = torch.einsum("nji,nj->ni", rotations, offset) * field.scales
        field.means.add_(self._config.noise * rate * gate[:, None] * torch.einsum("nij,nj->ni", rotations, along))
