"""Curves as SVG: lines over steps with the spread of what each point stands for."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Float64, Int64

WIDTH, HEIGHT = 560, 230
LEFT, RIGHT, TOP, BOTTOM = 58, 10, 12, 26
POINTS = 240
"""At most so many points of a line: each is the mean of the values of neighbouring steps."""

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f5fc7", "#8c6d31")
"""Told apart by colour-blind eyes (Okabe and Ito, 2008), two more besides."""

DECADES = 1.5
"""From so many powers of ten between its values on, positive ones have a logarithmic axis."""


@dataclass(frozen=True, eq=False)
class Line:
    """One curve of a chart: its name in the legend, steps (ascending) and finite values."""

    name: str
    steps: Int64[np.ndarray, " n"]
    values: Float64[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class _Binned:
    steps: Float64[np.ndarray, " m"]
    mean: Float64[np.ndarray, " m"]
    low: Float64[np.ndarray, " m"]
    high: Float64[np.ndarray, " m"]


def line_chart(lines: Sequence[Line], *, marks: Sequence[tuple[float, str]] = ()) -> str:
    """Return curves as an SVG element; "" where no curve has a point.

    Args:
        lines: drawn as means of neighbouring steps, with a band from the least to the largest of their values.
        marks: steps with a vertical line, each with its label, such as the starts of stages.
    """
    shown = [line for line in lines if len(line.steps)]
    if not shown:
        return ""
    binned = [_binned(line) for line in shown]
    every = np.concatenate([line.values for line in shown])
    log = bool(every.min() > 0) and math.log10(every.max() / every.min()) > DECADES
    low, high = _range(every, log)
    first, last = 0.0, float(max(line.steps[-1] for line in shown)) or 1.0

    def across(steps: Float64[np.ndarray, " m"]) -> Float64[np.ndarray, " m"]:
        return LEFT + (steps - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def down(values: Float64[np.ndarray, " m"]) -> Float64[np.ndarray, " m"]:
        share = ((np.log10(values) if log else values) - low) / (high - low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [*_grid(low, high, log, first, last)]
    for step, label in marks:
        at = float(across(np.array([step]))[0])
        parts.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text class="mark" x="{at + 3:.1f}" y="{TOP + 9}">{escape(label)}</text>')
    for index, bins in enumerate(binned):
        color, x = COLORS[index % len(COLORS)], across(bins.steps)
        edges = [down(bins.low), down(bins.high)[::-1]]
        band = _points(np.concatenate([x, x[::-1]]), np.concatenate(edges))
        parts.append(f'<polygon fill="{color}" opacity="0.16" points="{band}"/>')
        curve = _points(x, down(bins.mean))
        parts.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.5" points="{curve}"/>')
    series = [[line.name, _rounded(bins.steps), _rounded(bins.mean)] for line, bins in zip(shown, binned, strict=True)]
    data = escape(json.dumps({"first": first, "last": last, "series": series}), quote=True)
    label = escape(", ".join(line.name for line in shown), quote=True)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}" data-chart="{data}">'
        + "".join(parts)
        + "</svg>"
    )


def _binned(line: Line) -> _Binned:
    edges = np.unique(np.linspace(0, len(line.steps), min(POINTS, len(line.steps)) + 1).round().astype(int))
    starts, counts = edges[:-1], np.diff(edges)
    return _Binned(
        np.add.reduceat(line.steps.astype(np.float64), starts) / counts,
        np.add.reduceat(line.values, starts) / counts,
        np.minimum.reduceat(line.values, starts),
        np.maximum.reduceat(line.values, starts),
    )


def _range(values: Float64[np.ndarray, " n"], log: bool) -> tuple[float, float]:
    """Return the ends of the vertical axis, in powers of ten if it is logarithmic."""
    low, high = (float(v) for v in ((np.log10([values.min(), values.max()])) if log else (values.min(), values.max())))
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def _grid(low: float, high: float, log: bool, first: float, last: float) -> list[str]:
    parts = []
    for level in _decades(low, high) if log else _round_numbers(low, high):
        y = HEIGHT - BOTTOM - (level - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
        text = number(10.0**level if log else level)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 5}" y="{y + 3:.1f}" text-anchor="end">{text}</text>')
    for step in _round_numbers(first, last):
        x = LEFT + (step - first) / (last - first) * (WIDTH - LEFT - RIGHT)
        parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 9}" text-anchor="middle">{step:,.6g}</text>')
    return parts


def _decades(low: float, high: float) -> list[float]:
    """Return powers of ten between two, every so many-th of many; halves of decades where there is but one."""
    whole = [float(n) for n in range(math.ceil(low), math.floor(high) + 1)]
    if len(whole) < 2:
        steps = (math.log10(m) + n for n in range(math.floor(low), math.ceil(high) + 1) for m in (1.0, 2.0, 5.0))
        return [step for step in steps if low <= step <= high]
    return whole[:: -(-len(whole) // 6)]


def _round_numbers(low: float, high: float, about: int = 6) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten between two numbers."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= raw * 0.999)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def number(value: float) -> str:
    """Return a number with at most four digits that count."""
    return f"{value:.4g}".replace("e-0", "e-").replace("e+0", "e")


def _points(x: Float64[np.ndarray, " p"], y: Float64[np.ndarray, " p"]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _rounded(values: Float64[np.ndarray, " m"]) -> list[float]:
    return [float(f"{v:.5g}") for v in values]
