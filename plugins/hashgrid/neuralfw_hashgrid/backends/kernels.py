"""The hash grid's loops, compiled by numba for a CPU and for a number of features.

All take points `u (n, 3)` of the unit cube, and the grid as `scales (levels,)` with `layout (levels, 5)` of resolution,
entries, offset, hashed, smooth. The eight corners of a cell are written out: a loop over them is several times slower.
What only reads the table takes an equal share of the points per thread, level by level, so that a level stays in the
cache; what adds to it gives each level to one thread, so that no sum depends on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, no_type_check

import numpy as np
from numba import njit, prange

from neuralfw.prefetch import prefetch

from ..grid import PRIMES

_PRIME_Y, _PRIME_Z = np.uint64(PRIMES[1]), np.uint64(PRIMES[2])
_ONE, _ZERO = np.uint64(1), np.uint64(0)
_AHEAD = 16

_part: Any = njit(fastmath={"contract"})
_loop: Any = njit(parallel=True, cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")


class Kernels(NamedTuple):
    """The loops for one number of features; the last argument of each receives the result."""

    encode: Callable[..., None]
    pullback: Callable[..., None]
    scatter: Callable[..., None]
    tangent: Callable[..., None]
    bend: Callable[..., None]


@_part
@no_type_check
def _axis(u, scale, smooth):
    """The cell of a coordinate, and the weight of its right vertex with its first two derivatives.

    NaN is put into cell 0 and has the weight NaN.
    """
    one = type(scale)(1)
    y = u * scale + one / (one + one)
    cell = np.uint64(y) if y > 0 else _ZERO
    f = y - np.floor(y)
    if not smooth:
        return cell, f, scale, scale - scale
    e = one - f
    six = type(scale)(6)
    return cell, f * f * (one + e + e), six * f * e * scale, six * (e - f) * scale * scale


@_part
@no_type_check
def _wrapped(row, entries):
    """The row modulo the entries of a dense level, which no point of the cube exceeds twice."""
    return row - entries if row >= entries else row


@_part
@no_type_check
def _rows(x, y, z, layout):
    """The rows of the eight vertices of a cell, x changing fastest."""
    entries, offset = layout[1], layout[2]
    if layout[3]:
        mask = entries - _ONE
        y0, z0 = y * _PRIME_Y, z * _PRIME_Z
        y1, z1 = y0 + _PRIME_Y, z0 + _PRIME_Z
        x1 = x + _ONE
        a, b, c, d = y0 ^ z0, y1 ^ z0, y0 ^ z1, y1 ^ z1
        return (
            offset + ((x ^ a) & mask), offset + ((x1 ^ a) & mask), offset + ((x ^ b) & mask), offset + ((x1 ^ b) & mask),
            offset + ((x ^ c) & mask), offset + ((x1 ^ c) & mask), offset + ((x ^ d) & mask), offset + ((x1 ^ d) & mask),
        )  # fmt: skip
    across = layout[0]
    first = x + across * (y + across * z)
    above, behind = first + across, first + across * across
    beyond = behind + across
    return (
        offset + _wrapped(first, entries), offset + _wrapped(first + _ONE, entries),
        offset + _wrapped(above, entries), offset + _wrapped(above + _ONE, entries),
        offset + _wrapped(behind, entries), offset + _wrapped(behind + _ONE, entries),
        offset + _wrapped(beyond, entries), offset + _wrapped(beyond + _ONE, entries),
    )  # fmt: skip


@_part
@no_type_check
def _fetch(table, u, i, scale, layout):
    """Begin to bring the vertices around the point that is due in a while into the cache."""
    i = min(i + _AHEAD, len(u) - 1)
    x, _, _, _ = _axis(u[i, 0], scale, layout[4])
    y, _, _, _ = _axis(u[i, 1], scale, layout[4])
    z, _, _, _ = _axis(u[i, 2], scale, layout[4])
    for row in _rows(x, y, z, layout):
        prefetch(table, row)


@_part
@no_type_check
def _weights(x, y, z):
    """The weights of the eight vertices, given those of the right ones of each axis."""
    one = type(x)(1)
    w, v, u = one - x, one - y, one - z
    a, b, c, d = v * u, y * u, v * z, y * z
    return w * a, x * a, w * b, x * b, w * c, x * c, w * d, x * d


@_part
@no_type_check
def _changes(x, y, z, dx, dy, dz):
    """How the eight weights change where those of the right vertices change by dx, dy, dz."""
    one = type(x)(1)
    w, v, u = one - x, one - y, one - z
    a, b, c, d = v * u, y * u, v * z, y * z
    da, db, dc, dd = -dy * u - dz * v, dy * u - dz * y, dz * v - dy * z, dy * z + dz * y
    return (
        w * da - dx * a, x * da + dx * a, w * db - dx * b, x * db + dx * b,
        w * dc - dx * c, x * dc + dx * c, w * dd - dx * d, x * dd + dx * d,
    )  # fmt: skip


@_part
@no_type_check
def _slopes(q, x, y, z):
    """The derivatives of the trilinear interpolation of eight values."""
    q0, q1, q2, q3, q4, q5, q6, q7 = q
    x0, x1, x2, x3 = q1 - q0, q3 - q2, q5 - q4, q7 - q6
    y0, y1 = x0 + y * (x1 - x0), x2 + y * (x3 - x2)
    a, b, c, d = q0 + x * x0, q2 + x * x1, q4 + x * x2, q6 + x * x3
    e, f = b - a, d - c
    return y0 + z * (y1 - y0), e + z * (f - e), c + y * f - a - y * e


@_part
@no_type_check
def _mixed(q, x, y, z):
    """The second derivatives ∂x∂y, ∂x∂z, ∂y∂z of the same."""
    q0, q1, q2, q3, q4, q5, q6, q7 = q
    front, back = q3 - q2 - q1 + q0, q7 - q6 - q5 + q4
    low, high = q5 - q4 - q1 + q0, q7 - q6 - q3 + q2
    left, right = q6 - q4 - q2 + q0, q7 - q5 - q3 + q1
    return front + z * (back - front), low + y * (high - low), left + x * (right - left)


@cache
def kernels(features: int) -> Kernels:
    """Return the loops for a number of features; they compile, or are read from numba's cache, when first called."""

    @_part
    @no_type_check
    def contracted(table, rows, g, i, first):
        """The eight vertices' features, each times g."""
        r0, r1, r2, r3, r4, r5, r6, r7 = rows
        q0 = q1 = q2 = q3 = q4 = q5 = q6 = q7 = table.dtype.type(0)
        for k in range(features):
            h = g[i, first + k]
            q0 += h * table[r0, k]
            q1 += h * table[r1, k]
            q2 += h * table[r2, k]
            q3 += h * table[r3, k]
            q4 += h * table[r4, k]
            q5 += h * table[r5, k]
            q6 += h * table[r6, k]
            q7 += h * table[r7, k]
        return q0, q1, q2, q3, q4, q5, q6, q7

    @_part
    @no_type_check
    def gather(table, rows, weights, out, i, first):
        """out = Σ weight · features over the vertices."""
        r0, r1, r2, r3, r4, r5, r6, r7 = rows
        w0, w1, w2, w3, w4, w5, w6, w7 = weights
        for k in range(features):
            out[i, first + k] = (
                w0 * table[r0, k] + w1 * table[r1, k] + w2 * table[r2, k] + w3 * table[r3, k]
            ) + (w4 * table[r4, k] + w5 * table[r5, k] + w6 * table[r6, k] + w7 * table[r7, k])  # fmt: skip

    @_part
    @no_type_check
    def add(table, rows, weights, g, i, first):
        """table += weight · g at the vertices."""
        r0, r1, r2, r3, r4, r5, r6, r7 = rows
        w0, w1, w2, w3, w4, w5, w6, w7 = weights
        for k in range(features):
            h = g[i, first + k]
            table[r0, k] += w0 * h
            table[r1, k] += w1 * h
            table[r2, k] += w2 * h
            table[r3, k] += w3 * h
            table[r4, k] += w4 * h
            table[r5, k] += w5 * h
            table[r6, k] += w6 * h
            table[r7, k] += w7 * h

    @_loop
    @no_type_check
    def encode(u, scales, layout, threads, table, out):
        """The features."""
        for share in prange(threads):
            for level in range(len(scales)):
                scale, at = scales[level], layout[level]
                for i in range(share * len(u) // threads, (share + 1) * len(u) // threads):
                    _fetch(table, u, i, scale, at)
                    x, fx, _, _ = _axis(u[i, 0], scale, at[4])
                    y, fy, _, _ = _axis(u[i, 1], scale, at[4])
                    z, fz, _, _ = _axis(u[i, 2], scale, at[4])
                    gather(table, _rows(x, y, z, at), _weights(fx, fy, fz), out, i, level * features)

    @_loop
    @no_type_check
    def pullback(u, scales, layout, threads, table, g, out):
        """Jᵀg for the Jacobian J of the features."""
        for share in prange(threads):
            for level in range(len(scales)):
                scale, at = scales[level], layout[level]
                for i in range(share * len(u) // threads, (share + 1) * len(u) // threads):
                    _fetch(table, u, i, scale, at)
                    x, fx, dx, _ = _axis(u[i, 0], scale, at[4])
                    y, fy, dy, _ = _axis(u[i, 1], scale, at[4])
                    z, fz, dz, _ = _axis(u[i, 2], scale, at[4])
                    q = contracted(table, _rows(x, y, z, at), g, i, level * features)
                    sx, sy, sz = _slopes(q, fx, fy, fz)
                    if level == 0:
                        out[i, 0], out[i, 1], out[i, 2] = dx * sx, dy * sy, dz * sz
                    else:
                        out[i, 0] += dx * sx
                        out[i, 1] += dy * sy
                        out[i, 2] += dz * sz

    @_loop
    @no_type_check
    def scatter(u, scales, layout, g, out):
        """The gradient of the table, for the gradient g of the features."""
        for level in prange(len(scales)):
            scale, at = scales[level], layout[level]
            out[at[2] : at[2] + at[1]] = 0
            for i in range(len(u)):
                _fetch(out, u, i, scale, at)
                x, fx, _, _ = _axis(u[i, 0], scale, at[4])
                y, fy, _, _ = _axis(u[i, 1], scale, at[4])
                z, fz, _, _ = _axis(u[i, 2], scale, at[4])
                add(out, _rows(x, y, z, at), _weights(fx, fy, fz), g, i, level * features)

    @_loop
    @no_type_check
    def tangent(u, scales, layout, table, g, v, through, out):
        """J v, and the gradient of <v, Jᵀg> in the table."""
        for level in prange(len(scales)):
            scale, at = scales[level], layout[level]
            out[at[2] : at[2] + at[1]] = 0
            for i in range(len(u)):
                _fetch(table, u, i, scale, at)
                _fetch(out, u, i, scale, at)
                x, fx, dx, _ = _axis(u[i, 0], scale, at[4])
                y, fy, dy, _ = _axis(u[i, 1], scale, at[4])
                z, fz, dz, _ = _axis(u[i, 2], scale, at[4])
                rows = _rows(x, y, z, at)
                weights = _changes(fx, fy, fz, dx * v[i, 0], dy * v[i, 1], dz * v[i, 2])
                gather(table, rows, weights, through, i, level * features)
                add(out, rows, weights, g, i, level * features)

    @_loop
    @no_type_check
    def bend(u, scales, layout, threads, table, g, v, out):
        """The gradient of <v, Jᵀg> in the points."""
        for share in prange(threads):
            first, last = share * len(u) // threads, (share + 1) * len(u) // threads
            out[first:last] = 0
            for level in range(len(scales)):
                scale, at = scales[level], layout[level]
                for i in range(first, last):
                    _fetch(table, u, i, scale, at)
                    x, fx, dx, ddx = _axis(u[i, 0], scale, at[4])
                    y, fy, dy, ddy = _axis(u[i, 1], scale, at[4])
                    z, fz, dz, ddz = _axis(u[i, 2], scale, at[4])
                    q = contracted(table, _rows(x, y, z, at), g, i, level * features)
                    sx, sy, sz = _slopes(q, fx, fy, fz)
                    xy, xz, yz = _mixed(q, fx, fy, fz)
                    ax, ay, az = dx * v[i, 0], dy * v[i, 1], dz * v[i, 2]
                    out[i, 0] += ddx * v[i, 0] * sx + dx * (ay * xy + az * xz)
                    out[i, 1] += ddy * v[i, 1] * sy + dy * (ax * xy + az * yz)
                    out[i, 2] += ddz * v[i, 2] * sz + dz * (ax * xz + ay * yz)

    return Kernels(encode, pullback, scatter, tangent, bend)
