"""A search for the zero level set that a coarse grid of the distance guides: most of a ray needs no network.

Where the grid bounds the distance away from zero there is no surface, and where it is smallest along a ray the least
distance is near. So a ray is marched only through the places that may hold a surface, with the samples that
`neuralfw.renderers.tracing.dense_search` would take there, and the result is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from .rays import Span
from .trace_config import SphereTraceConfig
from .tracing import EVALUATED_AT_ONCE, AlongRays, Bracket, Trace, root

_NEAR = 4.0
"""Nodes closer to the surface than so many spacings say how fast the distance changes there."""

_HALVINGS = 9
"""How often the step is halved in search of a crossing between two places on the outside."""

_NARROWED = 4
"""How often the step to both sides of a least distance is halved, where a parabola does not find it."""

_KINK = 0.01
"""Distance by which a parabola may miss, in its steps; where it misses by more, it is not what the distance is like."""

_OUTSIDE = 1e3


@dataclass(frozen=True)
class Guide:
    """Signed distances at the nodes of a grid.

    Attributes:
        values: one for each node; nodes beyond the bounds hold a large number.
        box: corners of the grid.
        margin: the distance is nowhere smaller than the interpolated value less this.
    """

    values: Float[Tensor, "r r r"]
    box: Float[Tensor, "2 3"]
    margin: float

    def __call__(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
        """Return the interpolated values."""
        scaled = 2.0 * (points - self.box[0]) / (self.box[1] - self.box[0]) - 1.0
        found = functional.grid_sample(
            self.values[None, None], scaled.flip(-1).reshape(1, -1, 1, 1, 3), padding_mode="border", align_corners=True
        )
        return found.reshape(points.shape[:-1])


def grid_of(
    sdf: Callable[[Tensor], Tensor], box: Float[Tensor, "2 3"], resolution: int, radius: float | None
) -> Float[Tensor, "r r r"]:
    """Return the distances at the nodes of a grid; those of a sphere about the origin alone, where there is one."""
    axes = [torch.linspace(float(low), float(high), resolution) for low, high in box.t()]
    nodes = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).to(box).reshape(-1, 3)
    wanted = torch.ones(len(nodes), dtype=torch.bool, device=box.device)
    if radius is not None:
        wanted = nodes.norm(dim=1) <= radius + float(_spacing(box, resolution).norm())
    values = torch.full_like(nodes[:, 0], _OUTSIDE)
    values[wanted] = torch.cat([sdf(part) for part in nodes[wanted].split(EVALUATED_AT_ONCE)])
    return values.reshape(resolution, resolution, resolution)


def bounding(values: Float[Tensor, "r r r"], box: Float[Tensor, "2 3"]) -> float:
    """Return how far below the interpolated values the distance may lie: half a cell's diagonal times the slope.

    The slope is the largest between neighbouring nodes near the surface.
    """
    spacing = _spacing(box, len(values))
    near = near_surface(values, box)
    slope = 0.0
    for axis in range(3):
        count = len(values) - 1
        low, high = values.narrow(axis, 0, count), values.narrow(axis, 1, count)
        counts = near.narrow(axis, 0, count) & (high < _OUTSIDE)
        steepest = torch.where(counts, (high - low).abs(), torch.zeros_like(low)).max() / spacing[axis]
        slope = max(slope, float(steepest))
    return 0.5 * slope * float(spacing.norm())


def near_surface(values: Float[Tensor, "r r r"], box: Float[Tensor, "2 3"]) -> Bool[Tensor, "r r r"]:
    """Mark the nodes that lie within a few spacings of the surface."""
    return values.abs() < _NEAR * float(_spacing(box, len(values)).max())


def _spacing(box: Float[Tensor, "2 3"], resolution: int) -> Float[Tensor, "3"]:
    return (box[1] - box[0]) / (resolution - 1)


def guided_search(
    f: AlongRays, span: Span, guide: Guide, options: SphereTraceConfig, foreground: Bool[Tensor, " n"] | None
) -> Trace:
    """Find intersections and least distances; arguments and result are those of `dense_search`."""
    t = torch.zeros_like(span.near)
    hit = torch.zeros_like(span.valid)
    if foreground is not None:
        t = torch.where(span.valid, t, -(f.rays.origins * f.rays.directions).sum(dim=1))
    index = span.valid.nonzero()[:, 0]
    if len(index) == 0:
        return Trace(t, hit)
    march = _March(f, span, guide, options, index)
    march.run()
    march.look_between()
    hit[index], t[index] = march.found, march.intersections()
    if foreground is not None:
        rows = (~(march.found & foreground[index])).nonzero()[:, 0]
        if len(rows):
            t[index[rows]] = march.least(rows, t[index[rows]])
    return Trace(t, hit)


class _March:
    """The rays that meet the bounds, each with equidistant places, and where it stands.

    Attributes:
        found: whether a crossing lies between `low`, where the distance is positive, and `high`.

    Between two places a ray may cut through a corner. `_passed` is the least distance, of those in front of the
    crossing behind which the distance grows again, at `_passed_at`.
    """

    def __init__(
        self, f: AlongRays, span: Span, guide: Guide, options: SphereTraceConfig, index: Int[Tensor, " m"]
    ) -> None:
        self._f, self._options, self._index = f, options, index
        near, far = span.near[index], span.far[index]
        self._spacing = (far - near) / (options.samples - 1)
        steps = torch.arange(options.samples, dtype=near.dtype, device=near.device)
        self._near, self._far = near, far
        self._at = near[:, None] + steps * self._spacing[:, None]
        origins, directions = f.rays.origins[index], f.rays.directions[index]
        self._guess = guide(origins[:, None] + self._at[..., None] * directions[:, None])
        self._close = self._guess <= guide.margin
        self._cell = float(_spacing(guide.box, len(guide.values)).max())
        self.found = torch.zeros_like(index, dtype=torch.bool)
        self.low, self.f_low = near.clone(), torch.full_like(near, _OUTSIDE)
        self.high, self.f_high = near.clone(), torch.zeros_like(near)
        self._least, self._least_at = torch.full_like(near, _OUTSIDE), near.clone()
        self._passed, self._passed_at = torch.full_like(near, _OUTSIDE), near.clone()

    def run(self) -> None:
        """March all rays until they cross, leave what may hold a surface, or took their steps; sample the last."""
        ahead = self._next_close()
        rows = (ahead[:, 0] < self._options.samples).nonzero()[:, 0]
        t = self._enter(rows, ahead[rows, 0])
        for _ in range(self._options.iterations):
            if len(rows) == 0:
                return
            value = self._f(self._index[rows], t)
            self._note(rows, t, value)
            goes_on = value > 0.0
            rows, t, value = rows[goes_on], t[goes_on], value[goes_on]
            self._pass(rows, value)
            self.low[rows], self.f_low[rows] = t, value
            rows, t = self._onward(rows, t + torch.maximum(value, self._spacing[rows]), ahead)
        self._sample(rows)

    def _next_close(self) -> Int[Tensor, "m places"]:
        """Return, for each place and the one after the last, the first from there on that may hold a surface."""
        count = self._options.samples
        marked = torch.where(self._close, torch.arange(count, device=self._close.device), count)
        first = marked.flip(1).cummin(dim=1).values.flip(1)
        return functional.pad(first, (0, 1), value=count)

    def _enter(self, rows: Int[Tensor, " k"], place: Int[Tensor, " k"]) -> Float[Tensor, " k"]:
        """Put rays to a place that may hold a surface, coming from the one before, which does not."""
        before = (place - 1).clamp_min(0)
        self._pass(rows, self._guess[rows, before])
        self.low[rows], self.f_low[rows] = self._at[rows, before], self._guess[rows, before]
        return self._at[rows, place]

    def _onward(
        self, rows: Int[Tensor, " k"], t: Float[Tensor, " k"], ahead: Int[Tensor, "m places"]
    ) -> tuple[Int[Tensor, " l"], Float[Tensor, " l"]]:
        """Return which rays go on, and from where: past what holds no surface; none leaves its bounds."""
        count = self._options.samples
        place = ((t - self._near[rows]) / self._spacing[rows]).ceil().long().clamp(1, count)
        stays = self._close[rows, place - 1] & (t <= self._far[rows])
        target = ahead[rows, place]
        jumps = ~stays & (target < count)
        t = t.clone()
        t[jumps] = self._enter(rows[jumps], target[jumps])
        goes_on = stays | jumps
        return rows[goes_on], t[goes_on]

    def _pass(self, rows: Int[Tensor, " k"], ahead: Float[Tensor, " k"]) -> None:
        """Keep where rays stand, at `low`, if the distance ahead is larger and theirs the least of such so far."""
        value = self.f_low[rows]
        passed = rows[(value < ahead) & (value < self._passed[rows])]
        self._passed[passed], self._passed_at[passed] = self.f_low[passed], self.low[passed]

    def _note(self, rows: Int[Tensor, " k"], t: Float[Tensor, " k"], value: Float[Tensor, " k"]) -> None:
        """Keep what an evaluation says: a crossing behind, a new least distance."""
        inside, smaller = value <= 0.0, value < self._least[rows]
        crossed, least = rows[inside], rows[smaller]
        self.found[crossed] = True
        self.high[crossed], self.f_high[crossed] = t[inside], value[inside]
        self._least[least], self._least_at[least] = value[smaller], t[smaller]

    def _sample(self, rows: Int[Tensor, " k"]) -> None:
        """Evaluate at once all that may hold a surface ahead of rays."""
        wanted = self._close[rows] & (self._at[rows] > self.low[rows, None])
        ray, place = wanted.nonzero(as_tuple=True)
        values = torch.where(self._close[rows], torch.full_like(self._at[rows], _OUTSIDE), self._guess[rows])
        values[ray, place] = self._f(self._index[rows[ray]], self._at[rows[ray], place])
        inside = wanted & (values <= 0.0)
        first, least = inside.int().argmax(dim=1), torch.where(wanted, values, _OUTSIDE).argmin(dim=1)
        line = torch.arange(len(rows), device=rows.device)
        self._note(rows, self._at[rows, least], torch.where(wanted, values, _OUTSIDE)[line, least])
        self._pass(rows, values[line, wanted.int().argmax(dim=1)])
        grows = functional.pad(values[:, :-1] < values[:, 1:], (0, 1), value=True)
        passed, place = torch.where(wanted & grows & (inside.cumsum(dim=1) == 0), values, _OUTSIDE).min(dim=1)
        less = passed < self._passed[rows]
        self._passed[rows[less]], self._passed_at[rows[less]] = passed[less], self._at[rows, place][less]
        crosses = inside.any(dim=1).nonzero()[:, 0]
        chosen, place = rows[crosses], first[crosses]
        before = (place - 1).clamp_min(0)
        later = (self._at[chosen, before] > self.low[chosen]) & (place > 0)
        self.low[chosen] = torch.where(later, self._at[chosen, before], self.low[chosen])
        self.f_low[chosen] = torch.where(later, values[crosses, before], self.f_low[chosen])
        self.high[chosen], self.f_high[chosen] = self._at[chosen, place], values[crosses, place]

    def look_between(self) -> None:
        """Find the crossings of rays that only graze the surface, between two places on their sides of it.

        A ray that met nothing may do so about its least distance, and a distance of the threshold is enough; any other,
        in front of what it met.
        """
        least = torch.where(self.found, self._passed, self._least)
        at = torch.where(self.found, self._passed_at, self._least_at)
        rows = (least < 0.5 * self._spacing).nonzero()[:, 0]
        step = self._spacing[rows]
        for _ in range(_HALVINGS):
            if len(rows) == 0:
                break
            step = 0.5 * step
            middle, before = at[rows], least[rows]
            sides = torch.stack([(middle - step).clamp_min(0.0), middle + step], dim=1)
            value, side = self._f(self._index[rows], sides).min(dim=1)
            t = sides.gather(1, side[:, None])[:, 0]
            nearer = value < before
            least[rows[nearer]], at[rows[nearer]] = value[nearer], t[nearer]
            inside = (value <= 0.0).nonzero()[:, 0]
            met = rows[inside]
            self._note(met, t[inside], value[inside])
            behind = 2.0 * step[inside] * (side[inside] == 0)
            self.low[met], self.f_low[met] = middle[inside] - behind, before[inside]
            goes_on = ((value > 0.0) & (torch.minimum(value, before) < 0.5 * step)).nonzero()[:, 0]
            rows, step = rows[goes_on], step[goes_on]
        touched = (~self.found & (least <= self._options.threshold)).nonzero()[:, 0]
        self.found[touched], self.high[touched], self.f_high[touched] = True, at[touched], least[touched]
        self._least, self._least_at = least, at

    def _refined(
        self, rows: Int[Tensor, " k"], t: Float[Tensor, " k"], step: Float[Tensor, " k"]
    ) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
        """Return where the distance is least within t ± step, and how much it is.

        Most often that is the vertex of the parabola through three places. A fourth, at the vertex but not too near to
        the others, tells where a parabola is not what the distance is like (it has kinks inside of shapes): there, and
        where the distance still falls at an end, steps are halved instead.
        """
        places = torch.stack([t - step, t, t + step], dim=1)
        low, middle, high = self._f(self._index[rows], places).unbind(1)
        bend, slope = (low - 2.0 * middle + high).clamp_min(1e-12), 0.5 * (high - low)
        offset = torch.where(slope > 0.0, -1.0, 1.0) * (slope.abs() / bend).clamp(0.25, 0.9)
        places = torch.cat([places, (t + offset * step)[:, None]], dim=1)
        vertex = self._f(self._index[rows], places[:, 3])
        least, which = torch.stack([low, middle, high, vertex], dim=1).min(dim=1)
        at = places.gather(1, which[:, None])[:, 0]
        expected = middle + (slope + 0.5 * bend * offset) * offset
        falls = (which == 0) | (which == 2)
        unlike = (falls | ((vertex - expected).abs() > _KINK * step)).nonzero()[:, 0]
        width = torch.where(falls, 2.0 * step, step)
        at[unlike], least[unlike] = self._halved(rows[unlike], at[unlike], least[unlike], width[unlike])
        return at, least

    def _halved(
        self, rows: Int[Tensor, " k"], t: Float[Tensor, " k"], least: Float[Tensor, " k"], step: Float[Tensor, " k"]
    ) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
        """Return where the distance is least within t ± step, by steps to both sides that are halved each time."""
        near, far = self._near[rows], self._far[rows]
        for _ in range(_NARROWED if len(rows) else 0):
            step = 0.5 * step
            sides = torch.stack([torch.maximum(t - step, near), torch.minimum(t + step, far)], dim=1)
            values = torch.cat([least[:, None], self._f(self._index[rows], sides)], dim=1)
            least, which = values.min(dim=1)
            t = torch.cat([t[:, None], sides], dim=1).gather(1, which[:, None])[:, 0]
        return t, least

    def intersections(self) -> Float[Tensor, " m"]:
        """Return where the rays meet the surface; where a ray does not, where it came nearest so far."""
        t = torch.where(self.found, self.high, self._least_at)
        rows = (self.found & (self.low < self.high) & (self.f_high < 0.0) & (self.f_low > 0.0)).nonzero()[:, 0]
        if len(rows):
            ends = Bracket(*(v[rows] for v in (self.low, self.f_low, self.high, self.f_high)))
            t[rows] = root(self._f, self._index[rows], ends, self._options)
        return t

    def least(self, rows: Int[Tensor, " k"], met: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
        """Return where the distance is least along rays, behind the surface on those that meet it."""
        begin = torch.where(self.found[rows], met, self._near[rows])
        ahead = torch.where(self._at[rows] >= begin[:, None], self._guess[rows], _OUTSIDE)
        near, far = self._near[rows], self._far[rows]
        step = (0.5 * (far - near)).clamp_max(self._cell)
        t = self._at[rows].gather(1, ahead.argmin(dim=1)[:, None])[:, 0].clamp(near + step, far - step)
        t, value = self._refined(rows, t, step)
        earlier = ~self.found[rows] & (self._least[rows] < value)
        return torch.where(earlier, self._least_at[rows], t)
