"""Volume rendering of any signed distance: `neus` and `volsdf`."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from neuralfw.components import Build, Quantities, Renderer
from neuralfw.nn.mlp import held
from neuralfw.renderers.guide import Guide, grid_of
from neuralfw.renderers.points import unit
from neuralfw.renderers.rays import Rays, Span, box_span, rays_of, sphere_span
from neuralfw.renderers.tracing import AlongRays
from neuralfw.scene import SceneView
from neuralfw.streams import stream

from .background import LightField
from .config import NeusConfig, VolsdfConfig, VolumeConfig
from .places import Along, edges, equidistant, shares
from .weights import composite, neus_depth, volsdf_depth

_EMPTY = 1e-3
"""A ray of less optical depth, as far as the places tell, is not sampled."""

_NOTHING = math.log(1e-30)
"""Logit of the opacity of such a ray."""

_ALONG = ("time", "latent")
"""Coordinates besides the points, which a batch may fix for each ray."""

_PER_SAMPLE = ("points", "sdf_gradient")

_PACE = 10.0
"""The parameter is the logarithm divided by this, as in NeuS, so that it keeps step with networks under Adam."""


class _Samples(NamedTuple):
    """The rays that are sampled, by row, and the distances along them at which they are."""

    rows: Int[Tensor, " m"]
    t: Float[Tensor, "m k"]


class Volume(Renderer):
    """A renderer whose density follows the signed distance; subclasses say how.

    Samples of a ray are placed by the weights that the distance has on a grid, or that it has itself, with a density
    widened to what these can resolve. Fields are then evaluated once at the samples, with gradients; the ends of a
    sample's section are half way to its neighbours, and the distance there is the mean of the two. Rays that pass
    nothing are not sampled, except those of the object where a batch with masks is one to learn from.

    `points` and `sdf_gradient` hold one row for each sample, ray after ray.
    """

    grid: Float[Tensor, "r r r"]
    grid_step: Float[Tensor, ""]

    def __init__(self, config: VolumeConfig, build: Build) -> None:
        super().__init__(config, build)
        self._options, self._seed, self._place = config, build.scene.recipe.seed, build.place
        edge = config.resolution if config.sampling == "grid" else 0
        self.register_buffer("grid", torch.zeros(edge, edge, edge))
        self.register_buffer("grid_step", torch.tensor(-1.0))
        self.background = LightField(build.generator) if config.background == "learned" else None

    def depths(
        self,
        before: Float[Tensor, "n k"],
        after: Float[Tensor, "n k"],
        length: Float[Tensor, "n k"],
        width: float = 0.0,
    ) -> Float[Tensor, "n k"]:
        """Return the optical depths of sections, with a density at least so wide (scene units)."""
        raise NotImplementedError(type(self).__name__)

    def forward(self, scene: SceneView, batch: Quantities, want: frozenset[str]) -> Quantities:
        rays = rays_of(scene, batch)
        recorded = torch.is_grad_enabled()
        rows = {q: rays.per_ray(batch[q]) for q in ("background", "mask", *_ALONG) if q in batch}
        if not recorded and len(rays.shape) > 1:
            rows.pop("mask", None)
        count = len(rays.origins)
        chunk = max(1, count if recorded else self._options.chunk)
        parts = [slice(first, first + chunk) for first in range(0, max(1, count), chunk)]
        outputs = []
        for part in parts:
            own, along = {q: v[part] for q, v in rows.items()}, rays.part(part)
            outputs.append(self._render(scene, along, own, self._samples(scene, along, own, recorded), want))
        joined = {q: torch.cat([part[q] for part in outputs]) for q in outputs[0]}
        return {q: v if q in _PER_SAMPLE else rays.imaged(v) for q, v in joined.items()}

    def _render(
        self, scene: SceneView, rays: Rays, rows: Quantities, samples: _Samples, want: frozenset[str]
    ) -> Quantities:
        """Return the wanted quantities of single rays; `rows` holds what the batch says of each."""
        live, t = samples
        shape = t.shape
        directions = rays.directions[live].repeat_interleave(shape[1], dim=0)
        points = rays.origins[live].repeat_interleave(shape[1], dim=0) + t.reshape(-1, 1) * directions
        inputs = {
            "points": points,
            **{q: rows[q][live].repeat_interleave(shape[1], dim=0) for q in _ALONG if q in rows},
        }
        at = scene.evaluate(inputs, self._asked(scene, want))
        borders = edges(at["sdf"].reshape(shape))
        seen = composite(self.depths(borders[:, :-1], borders[:, 1:], edges(t).diff(dim=1)))
        count = len(rays.origins)
        alpha = t.new_zeros(count).index_copy(0, live, seen.alpha)
        outputs = {**at, "points": points, "alpha": alpha}
        if "alpha_logit" in want:
            outputs["alpha_logit"] = t.new_full((count,), _NOTHING).index_copy(0, live, seen.logit)
        if "depth" in want:
            mean = (seen.weights * t).sum(dim=1) / seen.alpha
            outputs["depth"] = t.new_zeros(count).index_copy(0, live, mean * rays.cosine[live])
        shaded = self._shaded(scene, {**inputs, **at, "view_direction": -directions}, seen.weights, want)
        outputs |= {q: t.new_zeros(count, 3).index_copy(0, live, v) for q, v in shaded.items()}
        if "rgb" in want:
            outputs["rgb"] = outputs["rgb"] + (1.0 - alpha)[:, None] * self._behind(rays, rows.get("background"))
        return {q: v for q, v in outputs.items() if q in want}

    def _asked(self, scene: SceneView, want: frozenset[str]) -> frozenset[str]:
        """Return what the distance is asked for at all samples: while training also what those are shaded with.

        A rendering asks for that only where it is shaded.
        """
        asked = {"sdf", *(want & {"sdf_gradient"})}
        if torch.is_grad_enabled():
            asked |= scene.taken_from("sdf", "color") if "rgb" in want else set()
            asked |= {"sdf_gradient"} if "normal" in want else set()
        return frozenset(asked)

    def _shaded(
        self, scene: SceneView, inputs: Quantities, weights: Float[Tensor, "m k"], want: frozenset[str]
    ) -> Quantities:
        """Return the weighted sums of colours and normals along rays, over the samples that count."""
        asked = {q: {"rgb": "color", "normal": "sdf_gradient"}[q] for q in want & {"rgb", "normal"}}
        ray, place = (weights.detach() >= self._options.min_weight).nonzero(as_tuple=True)
        rows = ray * weights.shape[1] + place
        found = {q: v[rows] for q, v in inputs.items()} if asked else {}
        found |= scene.evaluate(found, frozenset(asked.values()).difference(found))
        sums = {}
        for quantity, source in asked.items():
            values = unit(found[source]) if quantity == "normal" else found[source]
            weighed = weights[ray, place][:, None] * values
            sums[quantity] = weighed.new_zeros(len(weights), 3).index_add(0, ray, weighed)
        return sums

    def _behind(self, rays: Rays, given: Float[Tensor, "n 3"] | None) -> Float[Tensor, "n 3"]:
        if self.background is not None:
            return self.background(rays.origins, rays.directions)  # type: ignore[no-any-return]
        return torch.zeros_like(rays.directions) if given is None else given.to(rays.directions)

    # -- where the samples go ------------------------------------------------------------------------------------

    @torch.no_grad()
    def _samples(self, scene: SceneView, rays: Rays, rows: Quantities, recorded: bool) -> _Samples:
        """Place the samples: at random while training, else in the middle of equal shares of the weight."""
        options = self._options
        fixed = Rays(rays.origins.detach(), rays.directions.detach(), rays.cosine.detach(), rays.shape)
        span = self._span(scene, fixed)
        met = span.valid.nonzero()[:, 0]
        t = equidistant(span.near[met], span.far[met], options.places)
        more = {q: rows[q] for q in _ALONG if q in rows}
        if options.sampling == "grid" and not more:
            guide = self._guide(scene, recorded)
            at = Along(t, guide(fixed.origins[met, None] + t[..., None] * fixed.directions[met, None]))
            width = float((guide.box[1] - guide.box[0]).max()) / (options.resolution - 1)
        else:
            at, width = self._asked_network(scene, fixed, more, met, t)
        depths = at.depths(self.depths, width)
        live = depths.sum(dim=1) >= _EMPTY
        if "mask" in rows:
            live |= rows["mask"][met] > 0.5
        kept = Along(at.t[live], at.values[live])
        generator = stream(self._seed, f"{self._place}/samples", step=scene.clock.run) if recorded else None
        u = shares(len(kept.t), options.samples, t, generator)
        return _Samples(met[live], kept.drawn(depths[live], u))

    def _asked_network(
        self, scene: SceneView, rays: Rays, more: Quantities, met: Int[Tensor, " m"], t: Float[Tensor, "m k"]
    ) -> tuple[Along, float]:
        """Return distances at the places and at those that each round adds; and the width that they resolve."""
        with held(scene.field("sdf")):
            f = AlongRays(lambda x, **at: scene.sdf(x, **at), rays, more)
            at = Along(t, f(met, t))
            width = float(t.diff(dim=1).max()) if len(met) else 0.0
            for _ in range(self._options.rounds):
                added = at.drawn(at.depths(self.depths, width), shares(len(met), max(1, t.shape[1] // 4), t, None))
                at = at.with_more(added, f(met, added))
                width = 0.5 * width
        return at, width

    def _span(self, scene: SceneView, rays: Rays) -> Span:
        if self._options.bounds == "box":
            return box_span(rays.origins, rays.directions, scene.box.to(rays.origins))
        return sphere_span(rays.origins, rays.directions, self._options.radius)

    def _guide(self, scene: SceneView, recorded: bool) -> Guide:
        """Return the distance on the grid: as it was at the last refresh while training, else as it is."""
        box = scene.box.to(self.grid) if self._options.bounds == "box" else self._cube()
        if not recorded:
            return Guide(scene.once(self._place, lambda: self._values(scene, box)), box, 0.0)
        step = scene.clock.run
        if self.grid_step < 0 or step - float(self.grid_step) >= self._options.refresh:
            self.grid.copy_(self._values(scene, box))
            self.grid_step.fill_(step)
        return Guide(self.grid, box, 0.0)

    def _cube(self) -> Float[Tensor, "2 3"]:
        return self._options.radius * self.grid.new_tensor([[-1.0] * 3, [1.0] * 3])

    def _values(self, scene: SceneView, box: Float[Tensor, "2 3"]) -> Float[Tensor, "r r r"]:
        radius = self._options.radius if self._options.bounds == "sphere" else None
        with held(scene.field("sdf")):
            return grid_of(scene.sdf, box, self._options.resolution, radius)


class Neus(Volume):
    """NeuS (Wang et al. 2021, arXiv 2106.10689): the density of which the surface is the most visible place.

    Its sharpness s is learnt: `log_sharpness` is a tenth of its logarithm.
    """

    def __init__(self, config: NeusConfig, build: Build) -> None:
        super().__init__(config, build)
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(config.start) / _PACE))

    @property
    def sharpness(self) -> Float[Tensor, ""]:
        """s, per scene unit."""
        return (_PACE * self.log_sharpness).exp()

    def depths(
        self,
        before: Float[Tensor, "n k"],
        after: Float[Tensor, "n k"],
        length: Float[Tensor, "n k"],
        width: float = 0.0,
    ) -> Float[Tensor, "n k"]:
        sharpness = self.sharpness if width == 0.0 else self.sharpness.clamp_max(2.0 / width)
        return neus_depth(before, after, sharpness)


class Volsdf(Volume):
    """VolSDF (Yariv et al. 2021, arXiv 2106.12052): the density is the distribution function of Laplace's law.

    Its scale β is learnt: `log_beta` is a tenth of the logarithm of what β exceeds the option `least` by.
    """

    def __init__(self, config: VolsdfConfig, build: Build) -> None:
        super().__init__(config, build)
        self._least = config.least
        self.log_beta = nn.Parameter(torch.tensor(math.log(config.start - config.least) / _PACE))

    @property
    def beta(self) -> Float[Tensor, ""]:
        """β, scene units."""
        return self._least + (_PACE * self.log_beta).exp()

    def depths(
        self,
        before: Float[Tensor, "n k"],
        after: Float[Tensor, "n k"],
        length: Float[Tensor, "n k"],
        width: float = 0.0,
    ) -> Float[Tensor, "n k"]:
        return volsdf_depth(before, after, length, self.beta.clamp_min(0.5 * width))
