"""Gaussians in the PLY layout of 3D Gaussian splatting, which viewers and other tools read and write; and as .splat.

One vertex each, all float32: x y z, nx ny nz (zeros), f_dc_0..2, f_rest_* (the coefficients of red, then of green, then
of blue), opacity (logit), scale_0..2 (logarithm), rot_0..3 (w, x, y, z).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from neuralfw.errors import UserError
from neuralfw.geometry.files import write_file
from neuralfw.geometry.ply import Ply, encode_ply, read_ply


@dataclass(frozen=True)
class Stored:
    """Gaussians as they are stored: opacities as logits, scales as logarithms, quaternions of any length."""

    means: Float32[np.ndarray, "g 3"]
    log_scales: Float32[np.ndarray, "g 3"]
    quaternions: Float32[np.ndarray, "g 4"]
    opacity_logits: Float32[np.ndarray, " g"]
    sh: Float32[np.ndarray, "g k 3"]


def write_gaussians(path: Path, gaussians: Stored) -> None:
    """Write a file.

    Raises:
        UserError: it cannot be written.
    """
    columns = dict(zip("xyz", gaussians.means.T, strict=True))
    columns |= dict.fromkeys(("nx", "ny", "nz"), np.zeros(len(gaussians.means), np.float32))
    columns |= {f"f_dc_{i}": gaussians.sh[:, 0, i] for i in range(3)}
    rest = gaussians.sh[:, 1:].transpose(0, 2, 1).reshape(len(gaussians.means), -1)
    columns |= {f"f_rest_{i}": rest[:, i] for i in range(rest.shape[1])}
    columns["opacity"] = gaussians.opacity_logits
    columns |= {f"scale_{i}": gaussians.log_scales[:, i] for i in range(3)}
    columns |= {f"rot_{i}": gaussians.quaternions[:, i] for i in range(4)}
    write_file(path, encode_ply({name: column.astype(np.float32) for name, column in columns.items()}))


def read_gaussians(path: Path) -> Stored:
    """Read a file; of surfels, which have two scales, the third becomes negligible.

    Raises:
        UserError: damaged, not of Gaussians, empty, or with numbers that are not finite.
    """
    ply = read_ply(path)
    means = _columns(path, ply, "x", "y", "z")
    if not len(means):
        raise UserError(f"{path} holds no Gaussians")
    log_scales = [name for name in ("scale_0", "scale_1", "scale_2") if name in ply.vertex]
    scales = _columns(path, ply, *(log_scales if len(log_scales) == 2 else ("scale_0", "scale_1", "scale_2")))
    if scales.shape[1] == 2:
        thin = scales.min(axis=1, keepdims=True) + np.float32(np.log(1e-3))
        scales = np.concatenate([scales, thin], axis=1)
    rest = sum(1 for name in ply.vertex if name.startswith("f_rest_"))
    if rest not in (0, 9, 24, 45):
        raise UserError(f"{path} has {rest} coefficients f_rest_*: 0, 9, 24 or 45 were expected")
    parts = [_columns(path, ply, "f_dc_0", "f_dc_1", "f_dc_2")[:, None, :]]
    if rest:
        table = _columns(path, ply, *(f"f_rest_{i}" for i in range(rest)))
        parts.append(table.reshape(len(table), 3, -1).transpose(0, 2, 1))
    return Stored(
        means=means,
        log_scales=scales,
        quaternions=_columns(path, ply, "rot_0", "rot_1", "rot_2", "rot_3"),
        opacity_logits=_columns(path, ply, "opacity")[:, 0],
        sh=np.concatenate(parts, axis=1),
    )


SH_0 = 0.28209479177387814
"""The constant spherical harmonic."""

SPLAT = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("color", "u1", 4), ("rotation", "u1", 4)])
"""A record of a .splat file, 32 bytes: world units, RGBA, quaternion (w, x, y, z) as 128 q + 128."""


def write_splat(path: Path, gaussians: Stored) -> None:
    """Write the .splat format of web viewers: colours do not depend on the direction, the most visible come first.

    Raises:
        UserError: it cannot be written.
    """
    opacity = 1.0 / (1.0 + np.exp(-gaussians.opacity_logits.astype(np.float64)))
    color = np.clip(0.5 + SH_0 * gaussians.sh[:, 0].astype(np.float64), 0.0, 1.0)
    unit = gaussians.quaternions / np.linalg.norm(gaussians.quaternions, axis=1, keepdims=True)
    records = np.zeros(len(gaussians.means), SPLAT)
    records["mean"], records["scale"] = gaussians.means, np.exp(gaussians.log_scales)
    records["color"] = np.round(255.0 * np.concatenate([color, opacity[:, None]], axis=1))
    records["rotation"] = np.clip(np.round(128.0 * unit + 128.0), 0, 255)
    order = np.argsort(-opacity * np.exp(gaussians.log_scales.astype(np.float64).sum(axis=1)), kind="stable")
    write_file(path, records[order].tobytes())


def _columns(path: Path, ply: Ply, *names: str) -> Float32[np.ndarray, "g c"]:
    missing = [name for name in names if name not in ply.vertex]
    if missing:
        raise UserError(f"{path} is not of Gaussians: it lacks {', '.join(missing)}")
    table = np.stack([ply.vertex[name] for name in names], axis=1).astype(np.float32)
    if not np.isfinite(table).all():
        raise UserError(f"{path}: some of {', '.join(names)} are not finite")
    return table
