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

from .config import DensifyConfig, McmcConfig, OnGaussiansConfig, OpacityResetConfig, PruneConfig
from .field import Gaussians
from .rotations import axes

SHRINK = 1.6


class OnGaussians(Callback):
    """What the callbacks share: the field, and edits of it that leave some Gaussians."""

    def __init__(self, config: OnGaussiansConfig, build: Build) -> None:
        super().__init__(config, build)
        self._field = config.field

    def gaussians(self, ctx: Any) -> Gaussians:
        """Return the field.

        Raises:
            UserError: it has no parameters of its own.
        """
        field = ctx.scene.fields[self._field]
        if not isinstance(field, Gaussians):
            raise UserError(f"field {self._field!r} is made of others: name a field of type gaussians")
        return field

    def keep(self, ctx: Any, keep: Bool[Tensor, " g"], why: str, copies: Int[Tensor, " c"] | None = None) -> None:
        """Drop what is not kept, and append copies; `why` says by which bound something is dropped.

        Raises:
            UserError: nothing would be left.
        """
        if not bool(keep.any()) and (copies is None or not len(copies)):
            raise UserError(
                f"all {len(keep):,} Gaussians would be dropped at step {ctx.clock.run}: {why}; "
                "loosen that bound, or look whether cameras and photographs belong together"
            )
        if copies is not None or not bool(keep.all()):
            ctx.surgery.edit(self._field, keep.nonzero()[:, 0], copies)

    def _reset(self, ctx: Any, field: Gaussians, opacity: float = 0.01) -> None:
        """Bring opacities down to a bound and forget their running means."""
        field.opacity_logits.clamp_(max=math.log(opacity / (1.0 - opacity)))
        everyone = torch.arange(len(field.opacity_logits), device=field.opacity_logits.device)
        ctx.optimisers.edit(f"fields.{self._field}.opacity_logits", everyone[:0], everyone)


def drawn(field: Gaussians, index: Int[Tensor, " n"], generator: torch.Generator) -> Float[Tensor, "n 3"]:
    """Return a point drawn from each of some Gaussians."""
    noise = torch.randn(len(index), 3, generator=generator).to(field.means.device)
    rotations = torch.nn.functional.normalize(field.quaternions[index], dim=1)
    return field.means[index] + torch.einsum("nij,nj->ni", axes(rotations), field.scales[index] * noise)


class Densify(OnGaussians):
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
            index, moved = index.to(self._sums.device), self._sums.new_zeros(count, 2)
            moved[index[index >= 0]] = self._sums[index >= 0]
            self._sums = moved

    @torch.no_grad()
    def __call__(self, ctx: Any) -> None:
        step, config = ctx.clock.stage, self._config
        if step >= config.finish:
            return
        field = self.gaussians(ctx)
        self._count(ctx, field)
        if step > config.begin and step % config.interval == 0:
            self._act(ctx, field, was_reset=0 < config.reset < step)
        if config.reset and step % config.reset == 0:
            self._reset(ctx, field)

    def _count(self, ctx: Any, field: Gaussians) -> None:
        if len(self._sums) != len(field.means):
            self._sums = torch.zeros(len(field.means), 2)
        self._sums = self._sums.to(field.means.device)
        for result in ctx.results.values():
            if "gaussians/radii" in result.outputs and "gaussians/screen_gradient" in result.outputs:
                self._sums[:, 0] += result.outputs["gaussians/screen_gradient"][:, int(self._config.absolute)]
                self._sums[:, 1] += result.outputs["gaussians/radii"] > 0

    def _act(self, ctx: Any, field: Gaussians, *, was_reset: bool) -> None:
        config, gradient = self._config, self._sums[:, 0] / self._sums[:, 1].clamp_min(1.0)
        size = field.scales.amax(dim=1)
        faint = field.opacity_logits.sigmoid() < config.min_opacity
        huge = (size > config.max_scale * config.extent) & was_reset
        chosen, large = self._most(gradient, len(size)) & ~faint, size > config.split_scale * config.extent
        cloned, split = (chosen & ~large & ~huge).nonzero()[:, 0], (chosen & large).nonzero()[:, 0]
        keep = ~(faint | huge | (chosen & large))
        copies = torch.cat([cloned, split, split])
        placed = drawn(field, copies, ctx.generator("densify"))
        if config.clone == "copy":
            placed[: len(cloned)] = field.means[cloned]
        why = f"their opacities are below min_opacity = {config.min_opacity}"
        if was_reset:
            why += f" or their scales above max_scale = {config.max_scale} times extent = {config.extent}"
        self.keep(ctx, keep, why, copies)
        field.means[len(field.means) - len(copies) :] = placed
        field.log_scales[len(field.means) - 2 * len(split) :] -= math.log(SHRINK)
        self._sums = self._sums.new_zeros(len(field.means), 2)
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


class OpacityReset(OnGaussians):
    """Brings opacities down, so that those that nothing needs stay faint and are dropped (3D Gaussian splatting, §5.2).

    `densify` does the same in its own rhythm.
    """

    def __init__(self, config: OpacityResetConfig, build: Build) -> None:
        super().__init__(config, build)
        self._opacity = config.opacity

    @torch.no_grad()
    def __call__(self, ctx: Any) -> None:
        self._reset(ctx, self.gaussians(ctx), self._opacity)


class Prune(OnGaussians):
    """Drops Gaussians that are faint, huge or far away."""

    def __init__(self, config: PruneConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config

    @torch.no_grad()
    def __call__(self, ctx: Any) -> None:
        field, config = self.gaussians(ctx), self._config
        keep = field.opacity_logits.sigmoid() >= config.min_opacity
        if config.max_scale is not None:
            keep &= field.scales.amax(dim=1) <= config.max_scale
        if config.outside is not None:
            lower, upper = ctx.scene.bounds.to(field.means)
            beyond = torch.maximum(lower - field.means, field.means - upper).amax(dim=1)
            keep &= beyond <= config.outside * (upper - lower).amax()
        bounds = config.model_dump(exclude={"field"}, exclude_none=True)
        self.keep(ctx, keep, ", ".join(f"{name} = {bound}" for name, bound in bounds.items()))


class Mcmc(OnGaussians):
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
        field = self.gaussians(ctx)
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
        self._multiply(ctx, field, sources, ~dead)

    def _grow(self, ctx: Any, field: Gaussians) -> None:
        count = len(field.means)
        more = min(self._config.max_count, int((1.0 + self._config.growth) * count)) - count
        if more > 0:
            sources = self._picked(ctx, field.opacity_logits.sigmoid(), more, "grow")
            self._multiply(ctx, field, sources, sources.new_ones(count, dtype=torch.bool))

    def _multiply(self, ctx: Any, field: Gaussians, sources: Int[Tensor, " c"], keep: Bool[Tensor, " g"]) -> None:
        """Copy sources and drop what is not kept; they and their copies start with fresh running means."""
        self._share(field, sources)
        changed = sources.unique()
        keep = keep.index_fill(0, changed, False)
        self.keep(ctx, keep, "", torch.cat([changed, sources]))

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
        """Move centres at random by Σ times noise, that is R S² η as noise has no direction (eq. 8)."""
        rate = self._config.noise * ctx.optimisers.learning_rate(f"fields.{self._field}.means")
        gate = torch.sigmoid(-100.0 * (field.opacity_logits.sigmoid() - self._config.min_opacity))
        noise = torch.randn(len(gate), 3, generator=ctx.generator("mcmc/noise")).to(gate.device)
        rotations = axes(torch.nn.functional.normalize(field.quaternions, dim=1))
        offsets = torch.einsum("nij,nj->ni", rotations, field.scales.square() * noise)
        field.means.add_(rate * gate[:, None] * offsets)
