"""Structural similarity (Wang et al. 2004) and its gradient in the first image, both in one go.

Windows are Gaussian, 11 × 11, σ = 1.5, over images padded by zeros, as in 3D Gaussian splatting. The filter is
separable: rows, then columns, sixteen pixels at a time.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Float32
from numba import njit, prange

from .vector import LANES, full, load, store, total

RADIUS = 5
SIGMA = 1.5
C1, C2 = np.float32(0.01**2), np.float32(0.03**2)


def window() -> Float32[np.ndarray, "11"]:
    """Return the filter's eleven weights, which sum to 1."""
    weights = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    normalized: Float32[np.ndarray, "11"] = (weights / weights.sum()).astype(np.float32)
    return normalized


def room_for(channels: int, height: int, width: int) -> int:
    """Return how many numbers `ssim` needs room for."""
    return 8 * channels * height * (-(-width // LANES) * LANES)


@njit(inline="always")
@no_type_check
def _along_row(padded, width, weights, out, at):
    """Filter a padded row into `out` from an index on; both hold whole vectors."""
    for x in range(0, width, LANES):
        filtered = load(padded, x) * weights[0]
        for k in range(1, 2 * RADIUS + 1):
            filtered = filtered + load(padded, x + k) * weights[k]
        store(out, at + x, filtered)


@njit(inline="always")
@no_type_check
def _across_rows(rows, first, stride, height, y, x, weights):
    """Return the filtered columns x to x + 15 of an image at row y; its rows are `stride` apart, from `first` on."""
    filtered = full(0.0)
    for k in range(max(0, RADIUS - y), min(2 * RADIUS + 1, height + RADIUS - y)):
        filtered = filtered + load(rows, first + (y + k - RADIUS) * stride + x) * weights[k]
    return filtered


@njit(parallel=True, cache=True)
@no_type_check
def ssim(a, b, weights, share, room, by_row, gradient):
    """Write the sums of `share` times the similarity, row by row, and their gradient in the image a.

    All images are (channels, height, width) float32; `share` (height, width) weighs the pixels; `room` holds what comes
    between, see `room_for`.
    """
    channels, height, width = a.shape
    stride = (width + LANES - 1) // LANES * LANES
    plane = height * stride
    moments, partial = room[: 5 * channels * plane], room[5 * channels * plane :]
    for job in prange(channels * height):
        c, y = job // height, job % height
        padded = np.zeros((5, stride + 2 * LANES), np.float32)
        for x in range(width):
            p, q = a[c, y, x], b[c, y, x]
            padded[0, RADIUS + x], padded[1, RADIUS + x] = p, q
            padded[2, RADIUS + x], padded[3, RADIUS + x], padded[4, RADIUS + x] = p * p, q * q, p * q
        for k in range(5):
            _along_row(padded[k], width, weights, moments, (k * channels + c) * plane + y * stride)
    for job in prange(channels * height):
        c, y = job // height, job % height
        shares, sums = np.zeros(stride, np.float32), full(0.0)
        shares[:width] = share[y]
        for x in range(0, width, LANES):
            u = _across_rows(moments, c * plane, stride, height, y, x, weights)
            v = _across_rows(moments, (channels + c) * plane, stride, height, y, x, weights)
            aa = _across_rows(moments, (2 * channels + c) * plane, stride, height, y, x, weights)
            bb = _across_rows(moments, (3 * channels + c) * plane, stride, height, y, x, weights)
            ab = _across_rows(moments, (4 * channels + c) * plane, stride, height, y, x, weights)
            n1, n2 = u * v * 2.0 + C1, (ab - u * v) * 2.0 + C2
            e1, e2 = u * u + v * v + C1, aa - u * u + bb - v * v + C2
            s = load(shares, x) / (e1 * e2)
            value = n1 * n2 * s
            sums = sums + value
            at = c * plane + y * stride + x
            store(partial, at, s * v * (n2 - n1) * 2.0 - u * value * (1.0 / e1 - 1.0 / e2) * 2.0)
            store(partial, channels * plane + at, (value / e2) * -1.0)
            store(partial, 2 * channels * plane + at, n1 * s * 2.0)
        by_row[job] = total(sums)
    for job in prange(channels * height):
        c, y = job // height, job % height
        padded = np.zeros(stride + 2 * LANES, np.float32)
        for k in range(3):
            at = (k * channels + c) * plane + y * stride
            padded[RADIUS : RADIUS + width] = partial[at : at + width]
            _along_row(padded, width, weights, moments, at)
    for job in prange(channels * height):
        c, y = job // height, job % height
        p, q, out = np.zeros(stride, np.float32), np.zeros(stride, np.float32), np.empty(stride, np.float32)
        p[:width], q[:width] = a[c, y], b[c, y]
        for x in range(0, width, LANES):
            d_mean = _across_rows(moments, c * plane, stride, height, y, x, weights)
            d_square = _across_rows(moments, (channels + c) * plane, stride, height, y, x, weights)
            d_product = _across_rows(moments, (2 * channels + c) * plane, stride, height, y, x, weights)
            store(out, x, d_mean + load(p, x) * d_square * 2.0 + load(q, x) * d_product)
        gradient[c, y] = out[:width]
