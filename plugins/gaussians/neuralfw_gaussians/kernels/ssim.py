"""Structural similarity (Wang et al. 2004) and its gradient in the first image, both in one go.

Windows are Gaussian, 11 × 11, σ = 1.5, over images padded by zeros, as in 3D Gaussian splatting. The filter is
separable: rows, then columns, over views of rows, which LLVM vectorises.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Float32
from numba import njit, prange

RADIUS = 5
SIGMA = 1.5
C1, C2 = np.float32(0.01**2), np.float32(0.03**2)


def window() -> Float32[np.ndarray, "11"]:
    """Return the filter's eleven weights, which sum to 1."""
    weights = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    normalized: Float32[np.ndarray, "11"] = (weights / weights.sum()).astype(np.float32)
    return normalized


@njit(cache=True, fastmath={"contract", "nsz"})
@no_type_check
def _along_row(row, weights, padded, out):
    """Filter a row into `out`; `padded` is room for the row with zeros at its ends."""
    width = len(row)
    padded[RADIUS : RADIUS + width] = row
    for x in range(width):
        out[x] = np.float32(0.0)
    for k in range(2 * RADIUS + 1):
        part, weight = padded[k : k + width], weights[k]
        for x in range(width):
            out[x] += weight * part[x]


@njit(cache=True, fastmath={"contract", "nsz"})
@no_type_check
def _across_rows(rows, y, weights, out):
    """Filter the columns of an image at row y."""
    for x in range(rows.shape[1]):
        out[x] = np.float32(0.0)
    for k in range(max(0, RADIUS - y), min(2 * RADIUS + 1, rows.shape[0] + RADIUS - y)):
        row, weight = rows[y + k - RADIUS], weights[k]
        for x in range(rows.shape[1]):
            out[x] += weight * row[x]


@njit(parallel=True, cache=True, fastmath={"contract", "nsz"})
@no_type_check
def ssim(a, b, weights, share, by_row, gradient):
    """Write the sums of `share` times the similarity, row by row, and their gradient in the image a.

    All images are (channels, height, width) float32; `share` (height, width) weighs the pixels.
    """
    channels, height, width = a.shape
    moments = np.empty((5, channels, height, width), np.float32)
    partial = np.empty((3, channels, height, width), np.float32)
    for job in prange(channels * height):
        c, y = job // height, job % height
        padded, product = np.zeros(width + 2 * RADIUS, np.float32), np.empty(width, np.float32)
        p, q = a[c, y], b[c, y]
        _along_row(p, weights, padded, moments[0, c, y])
        _along_row(q, weights, padded, moments[1, c, y])
        for x in range(width):
            product[x] = p[x] * p[x]
        _along_row(product, weights, padded, moments[2, c, y])
        for x in range(width):
            product[x] = q[x] * q[x]
        _along_row(product, weights, padded, moments[3, c, y])
        for x in range(width):
            product[x] = p[x] * q[x]
        _along_row(product, weights, padded, moments[4, c, y])
    for job in prange(channels * height):
        c, y = job // height, job % height
        m = np.empty((5, width), np.float32)
        for k in range(5):
            _across_rows(moments[k, c], y, weights, m[k])
        sums = np.float32(0.0)
        ma, mb, aa, bb, ab = m[0], m[1], m[2], m[3], m[4]
        d_mean, d_square, d_product, part = partial[0, c, y], partial[1, c, y], partial[2, c, y], share[y]
        for x in range(width):
            u, v = ma[x], mb[x]
            n1, n2 = 2 * u * v + C1, 2 * (ab[x] - u * v) + C2
            e1, e2 = u * u + v * v + C1, aa[x] - u * u + bb[x] - v * v + C2
            s = part[x] / (e1 * e2)
            value = n1 * n2 * s
            sums += value
            d_mean[x] = 2 * s * v * (n2 - n1) - 2 * u * value * (1 / e1 - 1 / e2)
            d_square[x] = -value / e2
            d_product[x] = 2 * n1 * s
        by_row[job] = sums
    for job in prange(channels * height):
        c, y = job // height, job % height
        padded = np.zeros(width + 2 * RADIUS, np.float32)
        for k in range(3):
            _along_row(partial[k, c, y], weights, padded, moments[k, c, y])
    for job in prange(channels * height):
        c, y = job // height, job % height
        m = np.empty((3, width), np.float32)
        for k in range(3):
            _across_rows(moments[k, c], y, weights, m[k])
        d_mean, d_square, d_product, p, q, out = m[0], m[1], m[2], a[c, y], b[c, y], gradient[c, y]
        for x in range(width):
            out[x] = d_mean[x] + 2 * p[x] * d_square[x] + q[x] * d_product[x]
