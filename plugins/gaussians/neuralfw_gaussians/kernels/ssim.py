"""Structural similarity (Wang et al. 2004), absolute differences, and their gradient in the first image, in one go.

Windows are Gaussian, 11 × 11, σ = 1.5, over images padded by zeros, as in 3D Gaussian splatting. The filter is
separable: down the columns, sixteen numbers at a time, then along the row. Channels stay interleaved: along a row the
taps are as far apart as there are channels.

A thread takes blocks of rows from top to bottom. It keeps what a row passes on to the gradient of the rows around it
for as long as they need it, so that nothing between images and gradient leaves the cache. Rows beside a block are
computed twice, to the same bits: the result does not depend on the number of threads.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Float32
from numba import njit, prange

from .vector import LANES, absolute, full, load, select, store, total

RADIUS = 5
SIGMA = 1.5
C1, C2 = np.float32(0.01**2), np.float32(0.03**2)
_TAPS = 2 * RADIUS + 1


def window() -> Float32[np.ndarray, "11"]:
    """Return the filter's eleven weights, which sum to 1."""
    weights = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    normalized: Float32[np.ndarray, "11"] = (weights / weights.sum()).astype(np.float32)
    return normalized


@njit(inline="always")
@no_type_check
def _along_row(row, x, channels, weights):
    """Return numbers x to x + 15 of a row, filtered; the row begins and ends with room for the window."""
    filtered = load(row, x) * weights[0]
    for k in range(1, _TAPS):
        filtered = filtered + load(row, x + k * channels) * weights[k]
    return filtered


@njit(cache=True)
@no_type_check
def _moments(a, b, y, weights, rows, margin):
    """Filter a, b, a², b² and ab down the columns at row y, into five rows from their margin on."""
    height, count = a.shape
    first, end = max(0, RADIUS - y), min(_TAPS, height + RADIUS - y)
    p, q = a.reshape(-1), b.reshape(-1)
    whole = count // LANES * LANES
    for x in range(0, whole, LANES):
        u, v, aa, bb, ab = full(0.0), full(0.0), full(0.0), full(0.0), full(0.0)
        for k in range(first, end):
            at = (y + k - RADIUS) * count + x
            left, right = load(p, at), load(q, at)
            some_left, some_right = left * weights[k], right * weights[k]
            u, v = u + some_left, v + some_right
            aa, bb, ab = aa + some_left * left, bb + some_right * right, ab + some_left * right
        at = margin + x
        store(rows[0], at, u)
        store(rows[1], at, v)
        store(rows[2], at, aa)
        store(rows[3], at, bb)
        store(rows[4], at, ab)
    for x in range(whole, count):  # what is left of a row is less than a vector
        rows[:, margin + x] = np.float32(0.0)
        for k in range(first, end):
            left, right, weight = a[y + k - RADIUS, x], b[y + k - RADIUS, x], weights[k]
            rows[0, margin + x] += weight * left
            rows[1, margin + x] += weight * right
            rows[2, margin + x] += weight * left * left
            rows[3, margin + x] += weight * right * right
            rows[4, margin + x] += weight * left * right


@njit(cache=True)
@no_type_check
def _compare(rows, shares, channels, weights, partial):
    """Return the sum of share × similarity over a row; write its derivatives in the mean of a, of a² and of ab."""
    sums, one = full(0.0), full(1.0)
    for x in range(0, len(shares), LANES):
        u, v = _along_row(rows[0], x, channels, weights), _along_row(rows[1], x, channels, weights)
        aa, bb = _along_row(rows[2], x, channels, weights), _along_row(rows[3], x, channels, weights)
        ab, uv, squares = _along_row(rows[4], x, channels, weights), u * v, u * u + v * v
        n1, n2 = uv * 2.0 + C1, (ab - uv) * 2.0 + C2
        r1, r2 = one / (squares + C1), one / (aa + bb - squares + C2)
        s = load(shares, x) * r1 * r2
        value = n1 * n2 * s
        sums = sums + value
        store(partial[0], x, s * v * (n2 - n1) * 2.0 - u * value * (r1 - r2) * 2.0)
        store(partial[1], x, value * r2 * -2.0)
        store(partial[2], x, n1 * s * 2.0)
    return total(sums)


@njit(cache=True)
@no_type_check
def _gradient(partials, y, height, channels, weights, rows, margin, p, q, out):
    """Filter the derivatives around row y and put the gradient in the row p of a together, q being that of b."""
    flat, length = partials.reshape(-1), len(out)
    first, end = max(0, RADIUS - y), min(_TAPS, height + RADIUS - y)
    places = np.empty(_TAPS, np.int64)
    for k in range(first, end):
        places[k] = (y + k - RADIUS) % _TAPS * 3 * length
    for x in range(0, length, LANES):
        mean, square, product = full(0.0), full(0.0), full(0.0)
        for k in range(first, end):
            at = places[k] + x
            mean = mean + load(flat, at) * weights[k]
            square = square + load(flat, at + length) * weights[k]
            product = product + load(flat, at + 2 * length) * weights[k]
        store(rows[0], margin + x, mean)
        store(rows[1], margin + x, square)
        store(rows[2], margin + x, product)
    for x in range(0, len(out), LANES):
        mean, square = _along_row(rows[0], x, channels, weights), _along_row(rows[1], x, channels, weights)
        product = _along_row(rows[2], x, channels, weights)
        store(out, x, mean + load(p, x) * square + load(q, x) * product)


@njit(cache=True)
@no_type_check
def _differ(p, q, shares, scale, out):
    """Return the sum of share × scale × |p - q| over a row; take its gradient in p away from `out`."""
    sums, zero = full(0.0), full(0.0)
    for x in range(0, len(out), LANES):
        apart, share = load(p, x) - load(q, x), load(shares, x) * scale
        sums = sums + share * absolute(apart)
        sign = select(apart > zero, share, select(apart < zero, zero - share, zero))
        store(out, x, load(out, x) - sign)
    return total(sums)


@njit(cache=True)
@no_type_check
def _spread(share, channels, shares):
    """Let each channel of a pixel have its share."""
    for x in range(len(share)):
        for channel in range(channels):
            shares[x * channels + channel] = share[x]


@njit(parallel=True, cache=True)
@no_type_check
def compare(a, b, channels, weights, share, difference, blocks, by_row, gradient):
    """Write the sums of share × (similarity - difference × |a - b|), row by row, and their gradient in the image a.

    Images are (height, width × channels) float32, C-contiguous; `share` (height, width) weighs the pixels, `difference`
    is a number. `blocks` is how many parts the rows are dealt out in.
    """
    height, count = a.shape
    length, margin = (count + LANES - 1) // LANES * LANES, RADIUS * channels
    for block in prange(blocks):
        top, end = block * height // blocks, (block + 1) * height // blocks
        rows = np.zeros((5, length + 2 * margin), np.float32)
        others = np.zeros((3, length + 2 * margin), np.float32)
        partials = np.zeros((_TAPS, 3, length), np.float32)
        shares, p, q, out = (
            np.zeros(length, np.float32), np.zeros(length, np.float32),
            np.zeros(length, np.float32), np.zeros(length, np.float32),
        )  # fmt: skip
        for y in range(max(0, top - RADIUS), end + RADIUS):
            if y < height:
                _spread(share[y], channels, shares)
                _moments(a, b, y, weights, rows, margin)
                similar = _compare(rows, shares, channels, weights, partials[y % _TAPS])
                if top <= y < end:
                    by_row[y] = similar
            done = y - RADIUS
            if done >= top:
                p[:count], q[:count] = a[done], b[done]
                _gradient(partials, done, height, channels, weights, others, margin, p, q, out)
                if difference > 0.0:
                    _spread(share[done], channels, shares)
                    by_row[done] -= _differ(p, q, shares, difference, out)
                gradient[done] = out[:count]
