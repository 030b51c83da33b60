"""Surface rendering: each ray is as bright as the point in which it first meets the zero level set."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..components import Build, Quantities, Renderer
from ..nn.mlp import held
from ..scene import SceneView
from ..streams import stream
from .guide import Guide, bounding, grid_of, guided_search, near_surface
from .points import unit
from .rays import Rays, Span, box_span, rays_of, sphere_span
from .trace_config import SphereTraceConfig
from .tracing import AlongRays, Trace, dense_search

_CERTAIN = 100.0
"""Logit of an opacity of 0 or 1."""

_ALONG = ("time", "latent")
"""Coordinates besides the points, which a batch may fix for each ray."""


class SphereTrace(Renderer):
    """IDR's surface renderer (Yariv et al. 2020, arXiv 2003.09852), on any signed distance.

    Gradients reach the distance, and cameras that are learnt, through the intersection (§3.1, eq. 3):
    x(θ) = c + t v - v (f(c + t v; θ) - f₀) / (∇f₀ · v), with t and what has the index 0 held constant.

    A batch with masks is one to learn from where gradients are recorded, or where it is of single rays. Then a ray of
    the object that meets the surface has opacity 1, any other sigmoid(-sharpness · f) with f the least distance along
    it; `points` are the places where f was taken, for terms such as `eikonal`. Else the opacity is 1 where the surface
    is met and 0 elsewhere.

    Attributes:
        evaluations: points at which the last forward pass asked for the distance in search of the surface, without
            gradients and without those of the grid; `rays` is the number of its rays, `refreshed` that of the grid's
            nodes where it was made anew.
    """

    grid: Float[Tensor, "r r r"]
    grid_facts: Float[Tensor, "2"]

    def __init__(self, config: SphereTraceConfig, build: Build) -> None:
        super().__init__(config, build)
        self._options, self._seed, self._place = config, build.scene.recipe.seed, build.place
        self.evaluations = self.rays = self.refreshed = 0
        edge = config.resolution if config.search == "guided" else 0
        self.register_buffer("grid", torch.zeros(edge, edge, edge))
        self.register_buffer("grid_facts", torch.full((2,), -1.0))  # step of the last refresh, margin

    def forward(self, scene: SceneView, batch: Quantities, want: frozenset[str]) -> Quantities:
        rays = rays_of(scene, batch)
        recorded = torch.is_grad_enabled()
        learns = "mask" in batch and (recorded or len(rays.shape) == 1)
        rows = {q: rays.per_ray(batch[q]) for q in ("background", "mask", *_ALONG) if q in batch}
        if not learns:
            rows.pop("mask", None)
        self.evaluations, self.rays, self.refreshed = 0, len(rays.origins), 0
        chunk = self.rays if recorded else self._options.chunk
        parts = [slice(first, first + chunk) for first in range(0, max(1, self.rays), max(1, chunk))]
        outputs = [self._render(scene, rays.part(s), {q: v[s] for q, v in rows.items()}, want) for s in parts]
        return {q: rays.imaged(torch.cat([part[q] for part in outputs])) for q in outputs[0]}

    def _render(self, scene: SceneView, rays: Rays, rows: Quantities, want: frozenset[str]) -> Quantities:
        """Return the wanted quantities of single rays; `rows` holds what the batch says of each."""
        more = {q: rows[q] for q in _ALONG if q in rows}
        shown = rows["mask"] > 0.5 if "mask" in rows else None
        trace = self._trace(scene, rays, more, shown)
        counted = trace.hit if shown is None else trace.hit & shown
        t, outputs = trace.t, {"hit": trace.hit, "points": rays.points(trace.t)}
        if shown is None:
            outputs["alpha_logit"] = torch.where(trace.hit, _CERTAIN, -_CERTAIN).to(t.dtype)
        if shown is not None or torch.is_grad_enabled():
            at = self._at_points(scene, outputs["points"], more)
            t = t - self._shift(at, rays)
            outputs["sdf_gradient"] = at["sdf_gradient"]
            if shown is not None:
                soft = -self.now(self._options.sharpness) * at["sdf"]
                outputs["alpha_logit"] = torch.where(counted, torch.full_like(soft, _CERTAIN), soft)
        elif "sdf_gradient" in want:
            outputs["sdf_gradient"] = self._at_points(scene, outputs["points"], more)["sdf_gradient"]
        if "alpha" in want:
            outputs["alpha"] = outputs["alpha_logit"].sigmoid() if shown is not None else trace.hit.to(t.dtype)
        if "depth" in want:
            outputs["depth"] = torch.where(counted, t * rays.cosine, torch.zeros_like(t))
        outputs |= self._shade(scene, rays, t, counted, more, rows.get("background"), want)
        return {q: v for q, v in outputs.items() if q in want}

    def _at_points(self, scene: SceneView, points: Float[Tensor, "n 3"], more: Quantities) -> Quantities:
        """Return distance and gradient at constant points; the distance follows the points where they are learnt."""
        fixed = points.detach()
        at = scene.evaluate({"points": fixed, **more}, frozenset({"sdf", "sdf_gradient"}))
        if points.requires_grad:
            at["sdf"] = at["sdf"] + (at["sdf_gradient"].detach() * (points - fixed)).sum(dim=1)
        return at

    def _shift(self, at: Quantities, rays: Rays) -> Float[Tensor, " n"]:
        """Return by how much the intersections come nearer: 0, with the derivative of the implicit function."""
        slope = (at["sdf_gradient"].detach() * rays.directions.detach()).sum(dim=1)
        least = torch.where(slope < 0.0, -1.0, 1.0).to(slope.dtype) * max(self._options.min_slope, 1e-30)
        slope = torch.where(slope.abs() < self._options.min_slope, least, slope)
        return (at["sdf"] - at["sdf"].detach()) / slope

    def _shade(
        self, scene: SceneView, rays: Rays, t: Float[Tensor, " n"], counted: Bool[Tensor, " n"], more: Quantities,
        background: Float[Tensor, "n 3"] | None, want: frozenset[str],
    ) -> Quantities:  # fmt: skip
        """Return what the surface looks like where the rays that count meet it."""
        asked = frozenset({"rgb": "color", "normal": "sdf_gradient"}[q] for q in want & {"rgb", "normal"})
        if not asked:
            return {}
        rows = counted.nonzero()[:, 0]
        inputs = {"points": rays.points(t)[rows], "view_direction": -rays.directions[rows]}
        found = scene.evaluate({**inputs, **{q: v[rows] for q, v in more.items()}}, asked)
        empty, outputs = torch.zeros_like(rays.directions), {}
        if "rgb" in want:
            behind = empty if background is None else background.to(empty)
            outputs["rgb"] = behind.index_copy(0, rows, found["color"].to(empty.dtype))
        if "normal" in want:
            outputs["normal"] = empty.index_copy(0, rows, unit(found["sdf_gradient"]))
        return outputs

    # -- the search ----------------------------------------------------------------------------------------------

    def _trace(self, scene: SceneView, rays: Rays, more: Quantities, shown: Bool[Tensor, " n"] | None) -> Trace:
        options = self._options
        recorded = torch.is_grad_enabled()
        with torch.no_grad(), held(scene.field("sdf")):
            fixed = Rays(rays.origins.detach(), rays.directions.detach(), rays.cosine.detach(), rays.shape)
            span = self._span(scene, fixed)
            f = AlongRays(lambda x, **at: scene.sdf(x, **at), fixed, more)
            if options.search == "guided" and not more:
                guide = self._guide(scene) if recorded else scene.once(self._place, lambda: self._fresh(scene))
                trace = guided_search(f, span, guide, options, shown)
            else:
                generator = stream(self._seed, f"{self._place}/samples", step=scene.clock.run)
                trace = dense_search(f, span, options, shown, generator)
        self.evaluations += f.evaluations
        return trace

    def _span(self, scene: SceneView, rays: Rays) -> Span:
        if self._options.bounds == "box":
            return box_span(rays.origins, rays.directions, scene.box.to(rays.origins))
        return sphere_span(rays.origins, rays.directions, self._options.radius)

    def _box(self, scene: SceneView) -> Float[Tensor, "2 3"]:
        if self._options.bounds == "box":
            return scene.box.to(self.grid)
        return self._options.radius * self.grid.new_tensor([[-1.0] * 3, [1.0] * 3])

    def _values(self, scene: SceneView) -> Float[Tensor, "r r r"]:
        radius = self._options.radius if self._options.bounds == "sphere" else None
        return grid_of(scene.sdf, self._box(scene), self._options.resolution, radius)

    def _fresh(self, scene: SceneView) -> Guide:
        """Return a guide for the distance as it is now, for a rendering that learns nothing."""
        values, box = self._values(scene), self._box(scene)
        return Guide(values, box, bounding(values, box))

    def _guide(self, scene: SceneView) -> Guide:
        """Return the guide of training. Its margin allows for what the distance moved by from refresh to refresh."""
        box, step = self._box(scene), scene.clock.run
        made = float(self.grid_facts[0])
        if made < 0 or step - made >= self._options.refresh:
            values = self._values(scene)
            near = near_surface(values, box)
            moved = torch.where(near, (values - self.grid).abs(), torch.zeros_like(values)).max()
            bound = bounding(values, box)
            self.grid.copy_(values)
            self.grid_facts.copy_(torch.tensor([step, bound + (bound if made < 0 else float(moved))]))
            self.refreshed = self.grid.numel()
        return Guide(self.grid, box, float(self.grid_facts[1]))
