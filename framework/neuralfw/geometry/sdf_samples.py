"""Signed-distance samples of a mesh, kept as DeepSDF keeps them: an .npz with `pos` and `neg`, rows x y z sdf."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Shaped

from neuralfw.errors import UserError
from neuralfw.geometry.archive import read_npz
from neuralfw.geometry.distance import signed_distance
from neuralfw.geometry.files import existing_file, write_file
from neuralfw.geometry.mesh import Mesh, sample_surface
from neuralfw.geometry.writers import encode_npz


@dataclass(frozen=True, eq=False)
class SdfSamples:
    """Samples outside (`pos`, sdf ≥ 0) and inside (`neg`, sdf < 0) of one shape, in the space of its mesh."""

    pos: Float32[np.ndarray, "p 4"]
    neg: Float32[np.ndarray, "q 4"]


def sample_sdf(
    mesh: Mesh,
    n: int,
    rng: np.random.Generator,
    *,
    near: float = 47 / 50,
    variances: tuple[float, float] = (0.005, 0.0005),
    bound: float = 1.0,
) -> SdfSamples:
    """Draw DeepSDF's training samples with exact distances (Park et al. 2019, §5; the released 47/50 near the surface).

    The share `near` lies around surface points uniform in area: each is perturbed twice, by isotropic Gaussians of the
    two `variances`. The rest is uniform in the cube [-bound, bound]³. The release labels by the nearest of its rendered
    points and drops samples on whose sign eleven neighbours disagree; here the label is the exact distance.

    Args:
        mesh: in training space (DeepSDF: a ball of radius 1/1.03 about the origin).
        n: number of samples.
        rng: of the draw.
        near: share near the surface.
        variances: of the two perturbations, training units squared.
        bound: half the edge of the cube.

    Raises:
        UserError: the mesh has no faces or no area.
    """
    count = round(n * near / 2)
    surface, _ = sample_surface(mesh, count, rng)
    around = [surface + rng.normal(scale=np.sqrt(variance), size=(count, 3)) for variance in variances]
    points = np.concatenate([*around, rng.uniform(-bound, bound, (n - 2 * count, 3))])
    rows = np.column_stack([points, signed_distance(mesh, points)]).astype(np.float32)
    return SdfSamples(pos=rows[rows[:, 3] >= 0.0], neg=rows[rows[:, 3] < 0.0])


def write_sdf_samples(path: str | Path, samples: SdfSamples) -> None:
    """Write the samples as DeepSDF's .npz, atomically."""
    write_file(path, encode_npz({"pos": samples.pos, "neg": samples.neg}))


def read_sdf_samples(path: str | Path) -> SdfSamples:
    """Read such an .npz, ours or one that DeepSDF's preprocessing wrote; rows that are not finite are left out.

    Raises:
        UserError: the file is absent or damaged, or lacks `pos` or `neg` with rows x y z sdf of that sign.
    """
    path = existing_file(path)
    arrays = read_npz(path)
    if not {"pos", "neg"} <= arrays.keys():
        raise UserError(f"{path} holds {', '.join(arrays) or 'nothing'}; arrays 'pos' and 'neg' were expected.")
    pos, neg = _rows(path, "pos", arrays["pos"]), _rows(path, "neg", arrays["neg"])
    if (pos[:, 3] < 0.0).any() or (neg[:, 3] > 0.0).any():
        raise UserError(f"{path}: 'pos' must hold distances ≥ 0 and 'neg' distances ≤ 0 in the last column.")
    return SdfSamples(pos, neg)


def _rows(path: Path, name: str, array: Shaped[np.ndarray, "..."]) -> Float32[np.ndarray, "n 4"]:
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind != "f":
        raise UserError(f"{path}: '{name}' must be numbers of shape (n, 4), not {array.dtype} of shape {array.shape}.")
    rows = array.astype(np.float32)
    return rows[np.isfinite(rows).all(axis=1)]
