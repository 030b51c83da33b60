"""Real spherical harmonics up to degree 3, with the signs that 3D Gaussian splatting stores (arXiv 2308.04079)."""

from __future__ import annotations

from typing import no_type_check

from numba import njit

Y0 = 0.28209479177387814
Y1 = 0.4886025119029199
Y2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
Y3 = (
    -0.5900435899266435, 2.890611442640554, -0.4570457994644658, 0.3731763325901154,
    -0.4570457994644658, 1.445305721320277, -0.5900435899266435,
)  # fmt: skip


@njit(cache=True, inline="never")
@no_type_check
def harmonics(count, x, y, z, out):
    """Write the first `count` (1, 4, 9 or 16) harmonics of a direction."""
    out[0] = Y0
    if count > 1:
        out[1], out[2], out[3] = -Y1 * y, Y1 * z, -Y1 * x
    if count > 4:
        out[4], out[5], out[6] = Y2[0] * x * y, Y2[1] * y * z, Y2[2] * (2.0 * z * z - x * x - y * y)
        out[7], out[8] = Y2[3] * x * z, Y2[4] * (x * x - y * y)
    if count > 9:
        out[9], out[10] = Y3[0] * y * (3.0 * x * x - y * y), Y3[1] * x * y * z
        out[11], out[12] = (
            Y3[2] * y * (4.0 * z * z - x * x - y * y),
            Y3[3] * z * (2.0 * z * z - 3.0 * x * x - 3.0 * y * y),
        )
        out[13], out[14] = Y3[4] * x * (4.0 * z * z - x * x - y * y), Y3[5] * z * (x * x - y * y)
        out[15] = Y3[6] * x * (x * x - 3.0 * y * y)


@njit(cache=True, inline="never")
@no_type_check
def harmonics_gradient(count, x, y, z, weights):
    """Return Σ weights_l ∇Y_l, the harmonics taken as polynomials in x, y and z."""
    gx = gy = gz = 0.0
    if count > 1:
        gx, gy, gz = -Y1 * weights[3], -Y1 * weights[1], Y1 * weights[2]
    if count > 4:
        a, b, c, d, e = (
            Y2[0] * weights[4], Y2[1] * weights[5], Y2[2] * weights[6], Y2[3] * weights[7], Y2[4] * weights[8]
        )  # fmt: skip
        gx += a * y - 2.0 * c * x + d * z + 2.0 * e * x
        gy += a * x + b * z - 2.0 * c * y - 2.0 * e * y
        gz += b * y + 4.0 * c * z + d * x
    if count > 9:
        a, b, c, d = Y3[0] * weights[9], Y3[1] * weights[10], Y3[2] * weights[11], Y3[3] * weights[12]
        e, f, g = Y3[4] * weights[13], Y3[5] * weights[14], Y3[6] * weights[15]
        xx, yy, zz = x * x, y * y, z * z
        gx += 6.0 * a * x * y + b * y * z - 2.0 * c * x * y - 6.0 * d * x * z
        gx += e * (4.0 * zz - 3.0 * xx - yy) + 2.0 * f * x * z + g * (3.0 * xx - 3.0 * yy)
        gy += a * (3.0 * xx - 3.0 * yy) + b * x * z + c * (4.0 * zz - xx - 3.0 * yy) - 6.0 * d * y * z
        gy += -2.0 * e * x * y - 2.0 * f * y * z - 6.0 * g * x * y
        gz += b * x * y + 8.0 * c * y * z + d * (6.0 * zz - 3.0 * xx - 3.0 * yy) + 8.0 * e * x * z
        gz += f * (xx - yy)
    return gx, gy, gz
