"""Projection of Gaussians onto the image (EWA splatting, Zwicker 2002) and their colours, and the gradient of both.

All arithmetic is in double precision: its cost is hidden behind the compositing. Gaussians are taken in fixed chunks,
whose sums for the camera are added up in order, so that the result does not depend on the number of threads.
"""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from numba import njit, prange

from .harmonics import harmonics, harmonics_gradient
from .raster import ALPHA_MIN, HEAD, SUMS

DILATION = 0.3
CHUNK = 1024
_LOG2_E = math.log2(math.e)
_CLAMP = 0.3
_FAINTEST = math.log2(ALPHA_MIN)
_SMALLEST_RATIO = 2.5e-5


@njit(cache=True)
@no_type_check
def _rotation(w, x, y, z):
    """Return the rows of the rotation matrix of a unit quaternion."""
    return (
        1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y),
        2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x),
        2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y),
    )  # fmt: skip


@njit(cache=True)
@no_type_check
def _times(a, b):
    """Return the first two rows of the product of two 3 × 3 matrices, row by row."""
    return (
        a[0] * b[0] + a[1] * b[3] + a[2] * b[6],
        a[0] * b[1] + a[1] * b[4] + a[2] * b[7],
        a[0] * b[2] + a[1] * b[5] + a[2] * b[8],
        a[3] * b[0] + a[4] * b[3] + a[5] * b[6],
        a[3] * b[1] + a[4] * b[4] + a[5] * b[7],
        a[3] * b[2] + a[4] * b[5] + a[5] * b[8],
    )


@njit(cache=True)
@no_type_check
def _limits(camera, width, height):
    """Return the range of x/z and y/z beyond which the Jacobian is that of the border of a widened image."""
    fx, fy, cx, cy = camera
    beyond_x, beyond_y = _CLAMP * width / (2.0 * fx), _CLAMP * height / (2.0 * fy)
    return -cx / fx - beyond_x, (width - cx) / fx + beyond_x, -cy / fy - beyond_y, (height - cy) / fy + beyond_y


@njit(cache=True)
@no_type_check
def _ewa(g, means, scales, rotations, pose, camera, limits):
    """Return what projects a Gaussian: centre in camera axes, clamped x and y, R, M = R diag(s), T = J W, T M."""
    mx, my, mz = means[g, 0], means[g, 1], means[g, 2]
    tx = pose[0, 0] * mx + pose[0, 1] * my + pose[0, 2] * mz + pose[0, 3]
    ty = pose[1, 0] * mx + pose[1, 1] * my + pose[1, 2] * mz + pose[1, 3]
    tz = pose[2, 0] * mx + pose[2, 1] * my + pose[2, 2] * mz + pose[2, 3]
    fx, fy = camera[0], camera[1]
    ux, uy = tz * min(max(tx / tz, limits[0]), limits[1]), tz * min(max(ty / tz, limits[2]), limits[3])
    j00, j02, j11, j12 = fx / tz, -fx * ux / (tz * tz), fy / tz, -fy * uy / (tz * tz)
    T = (
        j00 * pose[0, 0] + j02 * pose[2, 0], j00 * pose[0, 1] + j02 * pose[2, 1], j00 * pose[0, 2] + j02 * pose[2, 2],
        j11 * pose[1, 0] + j12 * pose[2, 0], j11 * pose[1, 1] + j12 * pose[2, 1], j11 * pose[1, 2] + j12 * pose[2, 2],
    )  # fmt: skip
    R = _rotation(rotations[g, 0], rotations[g, 1], rotations[g, 2], rotations[g, 3])
    s0, s1, s2 = scales[g, 0], scales[g, 1], scales[g, 2]
    M = (
        R[0] * s0, R[1] * s1, R[2] * s2, R[3] * s0, R[4] * s1, R[5] * s2, R[6] * s0, R[7] * s1, R[8] * s2
    )  # fmt: skip
    return (tx, ty, tz), (ux, uy), R, M, T, _times(T, M)


@njit(cache=True)
@no_type_check
def _compensation(xx, xy, yy):
    """Return the ratio of the determinants before and after the dilation, and the latter."""
    before = xx * yy - xy * xy
    after = (xx + DILATION) * (yy + DILATION) - xy * xy
    return before / after, after


@njit(parallel=True, cache=True)
@no_type_check
def project(
    means, scales, rotations, opacities, sh, features, pose, camera, center, width, height, near, antialiased,
    with_depth, splats, boxes, depths, radii,
):  # fmt: skip
    """Write what the compositing reads of each Gaussian; one that is not seen gets an empty box."""
    count, limits = len(means), _limits(camera, width, height)
    fx, fy, cx, cy = camera
    extra = 4 if with_depth else 3
    for chunk in prange((count + CHUNK - 1) // CHUNK):
        basis = np.empty(16, np.float64)
        for g in range(chunk * CHUNK, min((chunk + 1) * CHUNK, count)):
            boxes[g, 0] = boxes[g, 1] = boxes[g, 2] = boxes[g, 3] = 0
            radii[g] = 0.0
            depth = pose[2, 0] * means[g, 0] + pose[2, 1] * means[g, 1] + pose[2, 2] * means[g, 2] + pose[2, 3]
            if not depth > near:
                continue
            t, _, _, _, _, A = _ewa(g, means, scales, rotations, pose, camera, limits)
            xx = A[0] * A[0] + A[1] * A[1] + A[2] * A[2]
            xy = A[0] * A[3] + A[1] * A[4] + A[2] * A[5]
            yy = A[3] * A[3] + A[4] * A[4] + A[5] * A[5]
            ratio, determinant = _compensation(xx, xy, yy)
            opacity = opacities[g] * (math.sqrt(max(_SMALLEST_RATIO, ratio)) if antialiased else 1.0)
            if not (opacity > ALPHA_MIN and math.isfinite(determinant)):
                continue
            px, py = fx * t[0] / t[2] + cx, fy * t[1] / t[2] + cy
            peak = math.log2(opacity)
            reach = 2.0 / _LOG2_E * (peak - _FAINTEST)
            rx, ry = math.sqrt(reach * (xx + DILATION)), math.sqrt(reach * (yy + DILATION))
            left, right = max(px - rx - 0.5, 0.0), min(px + rx + 0.5, float(width))
            top, bottom = max(py - ry - 0.5, 0.0), min(py + ry + 0.5, float(height))
            if not (left < right and top < bottom):
                continue
            x0, y0, x1, y1 = math.ceil(left), math.ceil(top), math.floor(right), math.floor(bottom)
            if x0 >= x1 or y0 >= y1:
                continue
            boxes[g, 0], boxes[g, 1], boxes[g, 2], boxes[g, 3] = x0, y0, x1, y1
            depths[g], radii[g] = t[2], max(rx, ry)
            scale = _LOG2_E / determinant
            splats[g, 0], splats[g, 1] = px, py
            splats[g, 2], splats[g, 3] = 0.5 * scale * (yy + DILATION), -scale * xy
            splats[g, 4], splats[g, 5] = 0.5 * scale * (xx + DILATION), peak
            splats[g, 6], splats[g, 7] = y0, y1
            dx, dy, dz = means[g, 0] - center[0], means[g, 1] - center[1], means[g, 2] - center[2]
            length = math.sqrt(dx * dx + dy * dy + dz * dz)
            harmonics(sh.shape[1], dx / length, dy / length, dz / length, basis)
            red = green = blue = 0.5
            for k in range(sh.shape[1]):
                red += basis[k] * sh[g, k, 0]
                green += basis[k] * sh[g, k, 1]
                blue += basis[k] * sh[g, k, 2]
            splats[g, HEAD], splats[g, HEAD + 1], splats[g, HEAD + 2] = max(red, 0.0), max(green, 0.0), max(blue, 0.0)
            if with_depth:
                splats[g, HEAD + 3] = t[2]
            for channel in range(features.shape[1]):
                splats[g, HEAD + extra + channel] = features[g, channel]


@njit(parallel=True, cache=True)
@no_type_check
def project_backward(
    means, scales, rotations, opacities, sh, pose, camera, center, width, height, antialiased, with_depth, boxes,
    splats, sums, d_means, d_scales, d_rotations, d_opacities, d_sh, d_features, d_pose, screen,
):  # fmt: skip
    """Turn the sums of the compositing into gradients, those of each chunk's camera apart."""
    count, limits = len(means), _limits(camera, width, height)
    fx, fy, _, _ = camera
    extra = 4 if with_depth else 3
    for chunk in prange((count + CHUNK - 1) // CHUNK):
        basis, weights = np.empty(16, np.float64), np.empty(16, np.float64)
        W = d_pose[chunk]
        for g in range(chunk * CHUNK, min((chunk + 1) * CHUNK, count)):
            if boxes[g, 0] >= boxes[g, 2]:
                continue
            t, u, R, M, T, A = _ewa(g, means, scales, rotations, pose, camera, limits)
            xx = A[0] * A[0] + A[1] * A[1] + A[2] * A[2]
            xy = A[0] * A[3] + A[1] * A[4] + A[2] * A[5]
            yy = A[3] * A[3] + A[4] * A[4] + A[5] * A[5]
            ratio, determinant = _compensation(xx, xy, yy)
            a, b, c = (yy + DILATION) / determinant, -xy / determinant, (xx + DILATION) / determinant
            total, sx, sy = sums[g, 0], sums[g, 1], sums[g, 2]
            px, py = a * sx + b * sy, b * sx + c * sy
            screen[g, 0] += math.sqrt((0.5 * width * px) ** 2 + (0.5 * height * py) ** 2)
            screen[g, 1] += math.sqrt((0.5 * width * sums[g, 6]) ** 2 + (0.5 * height * sums[g, 7]) ** 2) / _LOG2_E
            qa, qb, qc = -0.5 * sums[g, 3], -sums[g, 4], -0.5 * sums[g, 5]
            # of the covariance: -Q dQ Q, with the off-diagonal entry counted once
            gxx = -(a * a * qa + a * b * qb + b * b * qc)
            gxy = -(2.0 * a * b * qa + (a * c + b * b) * qb + 2.0 * b * c * qc)
            gyy = -(b * b * qa + b * c * qb + c * c * qc)
            d_opacities[g] += total / opacities[g]
            if antialiased and ratio > _SMALLEST_RATIO:
                half = 0.5 * total / ratio  # of the ratio: ln h = ½ ln ρ
                gxx += half * (yy - ratio * (yy + DILATION)) / determinant
                gyy += half * (xx - ratio * (xx + DILATION)) / determinant
                gxy += half * (-2.0 * xy + 2.0 * ratio * xy) / determinant
            # A = T M, covariance A Aᵀ
            dA = (
                2.0 * gxx * A[0] + gxy * A[3], 2.0 * gxx * A[1] + gxy * A[4], 2.0 * gxx * A[2] + gxy * A[5],
                gxy * A[0] + 2.0 * gyy * A[3], gxy * A[1] + 2.0 * gyy * A[4], gxy * A[2] + 2.0 * gyy * A[5],
            )  # fmt: skip
            dT0 = dA[0] * M[0] + dA[1] * M[1] + dA[2] * M[2]
            dT1 = dA[0] * M[3] + dA[1] * M[4] + dA[2] * M[5]
            dT2 = dA[0] * M[6] + dA[1] * M[7] + dA[2] * M[8]
            dT3 = dA[3] * M[0] + dA[4] * M[1] + dA[5] * M[2]
            dT4 = dA[3] * M[3] + dA[4] * M[4] + dA[5] * M[5]
            dT5 = dA[3] * M[6] + dA[4] * M[7] + dA[5] * M[8]
            dM = (
                T[0] * dA[0] + T[3] * dA[3], T[0] * dA[1] + T[3] * dA[4], T[0] * dA[2] + T[3] * dA[5],
                T[1] * dA[0] + T[4] * dA[3], T[1] * dA[1] + T[4] * dA[4], T[1] * dA[2] + T[4] * dA[5],
                T[2] * dA[0] + T[5] * dA[3], T[2] * dA[1] + T[5] * dA[4], T[2] * dA[2] + T[5] * dA[5],
            )  # fmt: skip
            for k in range(3):
                d_scales[g, k] += R[k] * dM[k] + R[3 + k] * dM[3 + k] + R[6 + k] * dM[6 + k]
            s0, s1, s2 = scales[g, 0], scales[g, 1], scales[g, 2]
            h00, h01, h02 = dM[0] * s0, dM[1] * s1, dM[2] * s2
            h10, h11, h12 = dM[3] * s0, dM[4] * s1, dM[5] * s2
            h20, h21, h22 = dM[6] * s0, dM[7] * s1, dM[8] * s2
            w, x, y, z = rotations[g, 0], rotations[g, 1], rotations[g, 2], rotations[g, 3]
            d_rotations[g, 0] += 2.0 * (x * (h21 - h12) + y * (h02 - h20) + z * (h10 - h01))
            d_rotations[g, 1] += 2.0 * (y * (h01 + h10) + z * (h02 + h20) + w * (h21 - h12) - 2.0 * x * (h11 + h22))
            d_rotations[g, 2] += 2.0 * (x * (h01 + h10) + w * (h02 - h20) + z * (h12 + h21) - 2.0 * y * (h00 + h22))
            d_rotations[g, 3] += 2.0 * (w * (h10 - h01) + x * (h02 + h20) + y * (h12 + h21) - 2.0 * z * (h00 + h11))
            # T = J W
            tx, ty, tz = t
            j00, j02, j11, j12 = fx / tz, -fx * u[0] / (tz * tz), fy / tz, -fy * u[1] / (tz * tz)
            g00 = dT0 * pose[0, 0] + dT1 * pose[0, 1] + dT2 * pose[0, 2]
            g02 = dT0 * pose[2, 0] + dT1 * pose[2, 1] + dT2 * pose[2, 2]
            g11 = dT3 * pose[1, 0] + dT4 * pose[1, 1] + dT5 * pose[1, 2]
            g12 = dT3 * pose[2, 0] + dT4 * pose[2, 1] + dT5 * pose[2, 2]
            free_x, free_y = limits[0] < tx / tz < limits[1], limits[2] < ty / tz < limits[3]
            gt0 = fx / tz * px - (fx / (tz * tz) * g02 if free_x else 0.0)
            gt1 = fy / tz * py - (fy / (tz * tz) * g12 if free_y else 0.0)
            gt2 = -(fx * g00 + fy * g11) / (tz * tz) - (fx * tx * px + fy * ty * py) / (tz * tz)
            gt2 += (2.0 if free_x else 1.0) * fx * u[0] / (tz * tz * tz) * g02
            gt2 += (2.0 if free_y else 1.0) * fy * u[1] / (tz * tz * tz) * g12
            if with_depth:
                gt2 += sums[g, SUMS + 3]
            for channel in range(d_features.shape[1]):
                d_features[g, channel] = sums[g, SUMS + extra + channel]
            # colours, and the direction in which they are seen
            mx, my, mz = means[g, 0] - center[0], means[g, 1] - center[1], means[g, 2] - center[2]
            length = math.sqrt(mx * mx + my * my + mz * mz)
            mx, my, mz = mx / length, my / length, mz / length
            harmonics(sh.shape[1], mx, my, mz, basis)
            red = sums[g, SUMS] if splats[g, HEAD] > 0.0 else 0.0
            green = sums[g, SUMS + 1] if splats[g, HEAD + 1] > 0.0 else 0.0
            blue = sums[g, SUMS + 2] if splats[g, HEAD + 2] > 0.0 else 0.0
            for k in range(sh.shape[1]):
                d_sh[g, k, 0], d_sh[g, k, 1], d_sh[g, k, 2] = basis[k] * red, basis[k] * green, basis[k] * blue
                weights[k] = red * sh[g, k, 0] + green * sh[g, k, 1] + blue * sh[g, k, 2]
            gx, gy, gz = harmonics_gradient(sh.shape[1], mx, my, mz, weights)
            along = gx * mx + gy * my + gz * mz
            gx, gy, gz = (gx - along * mx) / length, (gy - along * my) / length, (gz - along * mz) / length
            d_means[g, 0] += pose[0, 0] * gt0 + pose[1, 0] * gt1 + pose[2, 0] * gt2 + gx
            d_means[g, 1] += pose[0, 1] * gt0 + pose[1, 1] * gt1 + pose[2, 1] * gt2 + gy
            d_means[g, 2] += pose[0, 2] * gt0 + pose[1, 2] * gt1 + pose[2, 2] * gt2 + gz
            for k in range(3):
                W[0, k] += gt0 * means[g, k]
                W[1, k] += gt1 * means[g, k]
                W[2, k] += gt2 * means[g, k]
            W[0, 0], W[0, 1], W[0, 2] = W[0, 0] + j00 * dT0, W[0, 1] + j00 * dT1, W[0, 2] + j00 * dT2
            W[1, 0], W[1, 1], W[1, 2] = W[1, 0] + j11 * dT3, W[1, 1] + j11 * dT4, W[1, 2] + j11 * dT5
            W[2, 0], W[2, 1], W[2, 2] = (
                W[2, 0] + j02 * dT0 + j12 * dT3, W[2, 1] + j02 * dT1 + j12 * dT4, W[2, 2] + j02 * dT2 + j12 * dT5
            )  # fmt: skip
            W[0, 3], W[1, 3], W[2, 3] = W[0, 3] + gt0, W[1, 3] + gt1, W[2, 3] + gt2
            W[3, 0], W[3, 1], W[3, 2] = W[3, 0] - gx, W[3, 1] - gy, W[3, 2] - gz
