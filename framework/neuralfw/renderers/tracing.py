"""Where rays meet the zero level set of a signed distance, as IDR searches it (arXiv 2003.09852, supplementary).

No gradients pass through a search. Rays that are done leave it, so that each evaluation is of those that go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .rays import Rays, Span
from .trace_config import SphereTraceConfig

Sdf = Callable[..., Tensor]
EVALUATED_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Trace:
    """What a search found.

    Attributes:
        t: distance along each ray: of the intersection; of the least signed distance where there is none, or where
            the ray belongs to the background; of the point nearest to the origin where the ray misses the bounds.
        hit: whether the ray meets the surface.
    """

    t: Float[Tensor, " n"]
    hit: Bool[Tensor, " n"]


class AlongRays:
    """A signed distance as a function of (ray, distance along it). `evaluations` counts the points."""

    def __init__(self, sdf: Sdf, rays: Rays, more: Mapping[str, Tensor] | None = None) -> None:
        self._sdf, self.rays, self._more = sdf, rays, more or {}
        self.evaluations = 0

    def __call__(self, index: Int[Tensor, " m"], t: Float[Tensor, "m *k"]) -> Float[Tensor, "m *k"]:
        """Return the signed distance on rays `index` at distances `t`, one or several for each."""
        self.evaluations += t.numel()
        rows = index if t.dim() == 1 else index.repeat_interleave(t.shape[1])
        values = [
            self._sdf(self.rays.origins[i] + s[:, None] * self.rays.directions[i], **self._at(i))
            for i, s in zip(rows.split(EVALUATED_AT_ONCE), t.reshape(-1).split(EVALUATED_AT_ONCE), strict=True)
        ]
        return torch.cat(values).reshape(t.shape)

    def _at(self, index: Int[Tensor, " m"]) -> dict[str, Tensor]:
        return {name: values[index] for name, values in self._more.items()}


class _Front:
    """Where a search along the rays stands, from one side: `sign` 1 from the start forward, -1 from the end back."""

    def __init__(self, f: AlongRays, t: Float[Tensor, " n"], valid: Bool[Tensor, " n"], sign: float) -> None:
        self.t, self.open, self._sign = t.clone(), valid.clone(), sign
        self._value = torch.zeros_like(t)
        index = valid.nonzero()[:, 0]
        self._value[index] = f(index, t[index])

    def settle(self, threshold: float) -> None:
        """Close those rays that have come to the surface, or past it."""
        self.open &= self._value > threshold

    def advance(self, f: AlongRays, options: SphereTraceConfig) -> None:
        """Step by the distance; take back part of a step that crossed the surface."""
        index = self.open.nonzero()[:, 0]
        step = self._value[index]
        t = self.t[index] + self._sign * step
        value = f(index, t)
        back = (1.0 - options.line_search_step) * self._sign * step
        for _ in range(options.line_search_iterations):
            crossed = (value < 0.0).nonzero()[:, 0]
            if len(crossed) == 0:
                break
            t[crossed] -= back[crossed]
            value[crossed] = f(index[crossed], t[crossed])
            back = 0.5 * back
        self.t[index], self._value[index] = t, value


def dense_search(
    f: AlongRays,
    span: Span,
    options: SphereTraceConfig,
    foreground: Bool[Tensor, " n"] | None,
    generator: torch.Generator,
) -> Trace:
    """Trace from both ends of each ray; sample what does not come to an end; and look for least distances.

    Args:
        f: the signed distance along the rays.
        span: where to search.
        options: the numbers of steps.
        foreground: whether each ray's pixel shows the object: least distances are wanted where it does not, and where
            the ray misses. None renders: intersections alone are wanted.
        generator: of the places at which least distances are looked for, shared by all rays.
    """
    start, end = _Front(f, span.near, span.valid, 1.0), _Front(f, span.far, span.valid, -1.0)
    for _ in range(options.iterations):
        start.settle(options.threshold)
        end.settle(options.threshold)
        if not bool((start.open | end.open).any()):
            break
        start.advance(f, options)
        end.advance(f, options)
        apart = start.t < end.t
        start.open &= apart
        end.open &= apart
    start.settle(options.threshold)
    t, hit, sampled = start.t, start.t < end.t, start.open
    index = sampled.nonzero()[:, 0]
    if len(index):
        shown = None if foreground is None else foreground[index]
        t[index], hit[index] = _sampled(f, index, t[index], end.t[index], options, shown)
    if foreground is not None:
        left = ~(hit & foreground) & ~sampled
        t = torch.where(left & ~span.valid, -(f.rays.origins * f.rays.directions).sum(dim=1), t)
        index = (left & span.valid).nonzero()[:, 0]
        if len(index):
            begin = torch.where(hit, t, span.near)[index]
            places = torch.rand(options.samples, generator=generator).to(t)
            at = begin[:, None] + places * (span.far[index] - begin)[:, None]
            t[index] = _chosen(at, f(index, at).argmin(dim=1))
    return Trace(t, hit)


def _sampled(
    f: AlongRays,
    index: Int[Tensor, " m"],
    begin: Float[Tensor, " m"],
    end: Float[Tensor, " m"],
    options: SphereTraceConfig,
    shown: Bool[Tensor, " m"] | None,
) -> tuple[Float[Tensor, " m"], Bool[Tensor, " m"]]:
    """Return the first crossing among equidistant samples, or the sample of least distance; and whether one crosses."""
    steps = torch.linspace(0.0, 1.0, options.samples, dtype=begin.dtype, device=begin.device)
    at = begin[:, None] + steps * (end - begin)[:, None]
    values = f(index, at)
    inside = values < 0.0
    found, first = inside.any(dim=1), inside.int().argmax(dim=1)
    t = _chosen(at, values.argmin(dim=1))
    crossing = found if shown is None else found & shown
    t = torch.where(crossing & (first == 0), begin, t)
    rows = (crossing & (first > 0)).nonzero()[:, 0]
    if len(rows):
        high = first[rows]
        ends = Bracket(*(_chosen(v[rows], k) for k in (high - 1, high) for v in (at, values)))
        t[rows] = root(f, index[rows], ends, options)
    return t, found


class Bracket(NamedTuple):
    """Two places of each ray, with the distance there: positive at `low`, not so at `high`, which is farther."""

    low: Float[Tensor, " m"]
    f_low: Float[Tensor, " m"]
    high: Float[Tensor, " m"]
    f_high: Float[Tensor, " m"]

    def secant(self, rows: Int[Tensor, " k"] | slice = slice(None)) -> Float[Tensor, " k"]:
        """Return where the straight line between the two ends crosses zero."""
        low, f_low, high, f_high = (v[rows] for v in self)
        return low + f_low / (f_low - f_high).clamp_min(1e-30) * (high - low)


def root(f: AlongRays, index: Int[Tensor, " m"], bracket: Bracket, options: SphereTraceConfig) -> Float[Tensor, " m"]:
    """Return where f crosses zero on rays `index`.

    Secants (regula falsi) that halve the value of an end which stays (the Illinois rule); a ray is done at a
    distance of a fiftieth of the threshold.
    """
    ends = Bracket(*(v.clone() for v in bracket))
    low, f_low, high, f_high = ends
    t = ends.secant()
    stayed = torch.zeros_like(t)
    rows = torch.arange(len(t), device=t.device)
    for _ in range(options.secant_iterations):
        value = f(index[rows], t[rows])
        going = value.abs() > options.threshold / 50.0
        rows, value = rows[going], value[going]
        if len(rows) == 0:
            break
        before = stayed[rows]
        side = torch.where(value > 0.0, 1.0, -1.0).to(t)
        positive, negative = rows[side > 0], rows[side < 0]
        low[positive], f_low[positive] = t[positive], value[side > 0]
        high[negative], f_high[negative] = t[negative], value[side < 0]
        f_high[rows[(side > 0) & (before > 0)]] *= 0.5
        f_low[rows[(side < 0) & (before < 0)]] *= 0.5
        stayed[rows] = side
        t[rows] = ends.secant(rows)
    return t


def _chosen(values: Float[Tensor, "m k"], column: Int[Tensor, " m"]) -> Float[Tensor, " m"]:
    return values.gather(1, column[:, None])[:, 0]
