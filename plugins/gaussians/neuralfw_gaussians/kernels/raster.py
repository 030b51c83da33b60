"""Compositing of projected Gaussians, front to back, and its gradient, in tiles of 16 × 16 pixels.

A row of a tile is one vector. Nothing is shared between tiles but what is read: each meeting of a Gaussian and a tile
has its own slot of gradient sums, which are added up Gaussian by Gaussian, so that the result does not depend on the
number of threads.

Of a Gaussian with mean m, conic Q = [[a, b], [b, c]] and opacity o a pixel p sees α = o exp(-½ (p-m)ᵀQ(p-m)), at most
`ALPHA_MAX`; below `ALPHA_MIN` it sees nothing. With the transmittance T before it the weight is w = αT; a pixel ends
before the Gaussian that would bring T below `T_MIN`.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import no_type_check

import numpy as np
from numba import float32, njit, prange

from neuralfw.prefetch import prefetch

from .binning import TILE
from .vector import absolute, both, exp2, full, load, select, smaller, some, steps, store, total

ALPHA_MAX, ALPHA_MIN, T_MIN = 0.99, 1.0 / 255.0, 1e-4
HEAD = 8
"""Numbers of a projected Gaussian before those of its channels: the mean's x and y, ½a, b and ½c times log2(e), log2 of
the opacity, its first row of pixels and the end of its rows. Together they fill a line of the cache."""
SUMS = 8
"""Gradient sums of a slot before those of its channels: of ln α, its moments in x, y, x², xy and y², and, if wanted,
those of the absolute gradients in the mean's x and y, times log2(e)."""

_FAINTEST = float32(np.log2(ALPHA_MIN))
_ALPHA_MAX, _T_MIN = float32(ALPHA_MAX), float32(T_MIN)
_PIXELS = TILE * TILE
_NEVER = float32(np.inf)
_AHEAD = 4
_PRIME = 1_000_003


@njit(cache=True)
@no_type_check
def _tile(job, columns, rows):
    """Return the tiles in an order in which each part has rows from all over the image.

    A thread gets an equal part of the jobs in a row, and some parts of an image hold more Gaussians than others.
    """
    return job // columns * _PRIME % rows * columns + job % columns


@njit(cache=True)
@no_type_check
def _power(dx, dy, a, b, c, peak):
    """Return log2 α of a row of pixels; the conic is scaled by log2(e)/2."""
    return full(peak) - (dx * dx * a + (dx * dy) * b + full(dy * dy * c))


@cache
def kernels(channels: int) -> SimpleNamespace:
    """Return `forward` and `backward` for a number of channels, each compiled when it is first called.

    Both read rows of `HEAD` + channels numbers of Gaussians, and the tiles' lists of `Bins`. The forward writes the
    image, the transmittance that is left of each pixel and at which place of its tile's list it ended, or infinity. The
    backward writes the slots' sums; those of absolute gradients (AbsGS, arXiv 2404.10484) if `with_absolute`.
    """

    @njit(parallel=True, cache=True)
    @no_type_check
    def forward(splats, meetings, starts, width, height, image, lefts, stops):
        columns, rows = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
        for job in prange(columns * rows):
            tile = _tile(job, columns, rows)
            first, end = starts[tile], starts[tile + 1]
            x0, y0 = (tile % columns) * TILE, (tile // columns) * TILE
            light, stop = np.ones(_PIXELS, np.float32), np.full(_PIXELS, _NEVER, np.float32)
            sums = np.zeros(channels * _PIXELS, np.float32)
            lanes = steps() + float32(x0 + 0.5)
            for k in range(first, end):
                prefetch(splats, meetings[min(k + _AHEAD, end - 1), 0])
                g = meetings[k, 0]
                dx = lanes - splats[g, 0]
                a, b, c, peak = splats[g, 2], splats[g, 3], splats[g, 4], splats[g, 5]
                stopped = False
                for row in range(max(int(splats[g, 6]) - y0, 0), min(int(splats[g, 7]) - y0, TILE)):
                    power = _power(dx, float32(y0 + row + 0.5) - splats[g, 1], a, b, c, peak)
                    at = row * TILE
                    before = load(light, at)
                    seen = both(power >= full(_FAINTEST), before > full(0.0))
                    if not some(seen):
                        continue
                    alpha = smaller(exp2(power), full(_ALPHA_MAX))
                    after = before * (full(1.0) - alpha)
                    going = both(seen, after >= full(_T_MIN))
                    weight = select(going, alpha * before, full(0.0))
                    for channel in range(channels):
                        place = channel * _PIXELS + at
                        store(sums, place, load(sums, place) + weight * splats[g, HEAD + channel])
                    ending = both(seen, after < full(_T_MIN))
                    store(light, at, select(going, after, select(ending, full(0.0) - before, before)))
                    if some(ending):
                        stopped = True
                        store(stop, at, select(ending, full(float32(k - first)), load(stop, at)))
                if stopped:
                    alive = False
                    for row in range(TILE):
                        alive = alive or some(load(light, row * TILE) > full(0.0))
                    if not alive:
                        break
            for row in range(min(TILE, height - y0)):
                for column in range(min(TILE, width - x0)):
                    pixel = row * TILE + column
                    for channel in range(channels):
                        image[y0 + row, x0 + column, channel] = sums[channel * _PIXELS + pixel]
                    lefts[y0 + row, x0 + column] = abs(light[pixel])
                    stops[y0 + row, x0 + column] = stop[pixel]

    @njit(parallel=True, cache=True)
    @no_type_check
    def backward(splats, meetings, starts, width, height, lefts, stops, d_image, d_alpha, with_absolute, out):
        columns, rows = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
        for job in prange(columns * rows):
            tile = _tile(job, columns, rows)
            first = starts[tile]
            x0, y0 = (tile % columns) * TILE, (tile // columns) * TILE
            after, behind = np.ones(_PIXELS, np.float32), np.zeros(_PIXELS, np.float32)
            stop = np.zeros(_PIXELS, np.float32)
            up, shares = np.zeros(channels * _PIXELS, np.float32), np.zeros(channels * TILE, np.float32)
            furthest = float32(0.0)
            for row in range(min(TILE, height - y0)):
                for column in range(min(TILE, width - x0)):
                    pixel = row * TILE + column
                    after[pixel], stop[pixel] = lefts[y0 + row, x0 + column], stops[y0 + row, x0 + column]
                    behind[pixel] = -d_alpha[y0 + row, x0 + column] * after[pixel]
                    furthest = max(furthest, stop[pixel])
                    for channel in range(channels):
                        up[channel * _PIXELS + pixel] = d_image[y0 + row, x0 + column, channel]
            lanes = steps() + float32(x0 + 0.5)
            end = starts[tile + 1] if furthest == _NEVER else first + int(furthest)
            for k in range(end, starts[tile + 1]):
                out[meetings[k, 1], :] = 0.0
            for k in range(end - 1, first - 1, -1):
                prefetch(splats, meetings[max(k - _AHEAD, first), 0])
                g = meetings[k, 0]
                dx = lanes - splats[g, 0]
                a, b, c, peak = splats[g, 2], splats[g, 3], splats[g, 4], splats[g, 5]
                s, sy, syy, spread_x, spread_y = full(0.0), full(0.0), full(0.0), full(0.0), full(0.0)
                slot, touched = meetings[k, 1], False
                out[slot, :] = 0.0
                shares[:] = 0.0
                for row in range(max(int(splats[g, 6]) - y0, 0), min(int(splats[g, 7]) - y0, TILE)):
                    dy = float32(y0 + row + 0.5) - splats[g, 1]
                    power = _power(dx, dy, a, b, c, peak)
                    at = row * TILE
                    seen = both(power >= full(_FAINTEST), load(stop, at) > full(float32(k - first)))
                    if not some(seen):
                        continue
                    touched = True
                    raw = exp2(power)
                    alpha = select(seen, smaller(raw, full(_ALPHA_MAX)), full(0.0))
                    inverse = full(1.0) / (full(1.0) - alpha)
                    before = load(after, at) * inverse
                    weight = alpha * before
                    dot = full(0.0)
                    for channel in range(channels):
                        gradient = load(up, channel * _PIXELS + at)
                        dot = dot + gradient * splats[g, HEAD + channel]
                        place = channel * TILE
                        store(shares, place, load(shares, place) + weight * gradient)
                    hidden = load(behind, at)
                    d_power = select(raw <= full(_ALPHA_MAX), alpha * (before * dot - hidden * inverse), full(0.0))
                    store(behind, at, hidden + weight * dot)
                    store(after, at, before)
                    s, sy, syy = s + d_power, sy + d_power * dy, syy + d_power * (dy * dy)
                    if with_absolute:
                        spread_x = spread_x + absolute(d_power * (dx * (a + a) + full(b * dy)))
                        spread_y = spread_y + absolute(d_power * (dx * b + full((c + c) * dy)))
                if touched:
                    out[slot, 0], out[slot, 1], out[slot, 2] = total(s), total(s * dx), total(sy)
                    out[slot, 3], out[slot, 4], out[slot, 5] = total(s * dx * dx), total(sy * dx), total(syy)
                    if with_absolute:
                        out[slot, 6], out[slot, 7] = total(spread_x), total(spread_y)
                    for channel in range(channels):
                        out[slot, SUMS + channel] = total(load(shares, channel * TILE))

    return SimpleNamespace(forward=forward, backward=backward)


@njit(parallel=True, cache=True)
@no_type_check
def add_up(slots, offsets, sums):
    """Add the slots of each Gaussian, in the order of its tiles."""
    for g in prange(len(offsets) - 1):
        sums[g, :] = 0.0
        for slot in range(offsets[g], offsets[g + 1]):
            for k in range(sums.shape[1]):
                sums[g, k] += slots[slot, k]
