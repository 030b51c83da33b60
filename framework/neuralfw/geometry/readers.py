"""One door for every point-cloud file: the ending chooses the reader."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Shaped

from neuralfw.errors import UserError
from neuralfw.geometry.archive import read_npy, read_npz
from neuralfw.geometry.files import did_you_mean, existing_file
from neuralfw.geometry.mesh import Mesh, sample_surface
from neuralfw.geometry.mesh_readers import ply_mesh, read_obj, read_off, read_stl, validate
from neuralfw.geometry.pcd import read_pcd
from neuralfw.geometry.ply import read_ply
from neuralfw.geometry.point_cloud import PointCloud
from neuralfw.geometry.table import from_table, full_scale, read_text

_POINT_KEYS = ("points", "vertices", "xyz", "positions", "pos")


def read_point_cloud(path: str | Path, *, samples: int = 100_000, seed: int = 0) -> PointCloud:
    """Read a point cloud as it is: .pts .xyz .txt .csv .ply .pcd .npy .npz, or a mesh (.ply .obj .off .stl).

    A mesh gives `samples` points, uniform in area, with the normals of their faces. Nothing is cleaned: see `clean`.

    Args:
        path: the file; positions keep the precision of the file, in float64.
        samples: number of points drawn from a mesh.
        seed: of that draw.

    Raises:
        UserError: the file is absent, of an unknown kind, empty, truncated or malformed.
    """
    found = read_shape(path)
    return found if isinstance(found, PointCloud) else _sampled(found, samples, seed)


def read_shape(path: str | Path) -> Mesh | PointCloud:
    """Read what a file of those of `read_point_cloud` holds: a mesh, validated, where there are faces; else a cloud.

    Raises:
        UserError: as `read_point_cloud`.
    """
    path = existing_file(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        near = did_you_mean(path.suffix.lower(), _READERS)
        known = " ".join(_READERS)
        raise UserError(f"{path}: {path.suffix or 'no ending'} is no point-cloud file.{near} Known: {known}.")
    try:
        found = reader(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    if isinstance(found, Mesh) and len(found.faces):
        return validate(found, path)
    if isinstance(found, Mesh):
        found = PointCloud(found.vertices, colors=found.colors)
    if len(found) == 0:
        raise UserError(f"{path} holds no points.")
    return found


def _sampled(mesh: Mesh, samples: int, seed: int) -> PointCloud:
    points, normals = sample_surface(mesh, samples, np.random.default_rng(seed))
    drawn = f"{samples:,} points were drawn from the {len(mesh.faces):,} faces of a mesh, uniform in area"
    return PointCloud(points, normals, notes=(*mesh.notes, drawn))


def _read_ply(path: Path) -> PointCloud | Mesh:
    ply = read_ply(path)
    if len(ply.faces):
        return ply_mesh(ply, path)
    return PointCloud(ply.points, ply.columns("nx", "ny", "nz"), ply.colors)


def _read_npy(path: Path) -> PointCloud:
    return from_table(_matrix(read_npy(path), str(path)), str(path))


def _read_npz(path: Path) -> PointCloud:
    arrays = read_npz(path)
    name = next((key for key in _POINT_KEYS if key in arrays), None)
    if name is None and len(arrays) == 1:
        name = next(iter(arrays))
    if name is None:
        found = ", ".join(arrays) or "nothing"
        raise UserError(f"{path} holds {found}; an array 'points' of shape (n, 3) was expected.")
    cloud = from_table(_matrix(arrays[name], f"{path}: {name}"), f"{path}: {name}")
    if "normals" in arrays:
        cloud = replace(cloud, normals=_rows_like(cloud, arrays["normals"], f"{path}: normals"))
    if "colors" in arrays:
        cloud = replace(cloud, colors=full_scale(_rows_like(cloud, arrays["colors"], f"{path}: colors")))
    return cloud


def _matrix(array: Shaped[np.ndarray, "..."], source: str) -> Float64[np.ndarray, "n k"]:
    if array.ndim != 2 or array.shape[1] < 3 or array.dtype.kind not in "iuf":
        raise UserError(f"{source} must be numbers of shape (n, 3) or wider, not {array.dtype} of shape {array.shape}.")
    return array.astype(np.float64)


def _rows_like(cloud: PointCloud, array: Shaped[np.ndarray, "..."], source: str) -> Float64[np.ndarray, "n 3"]:
    values = _matrix(array, source)
    if values.shape != cloud.points.shape:
        raise UserError(f"{source} has shape {values.shape}, but there are {len(cloud)} points.")
    return values


_READERS: dict[str, Callable[[Path], PointCloud | Mesh]] = {
    ".pts": read_text,
    ".xyz": read_text,
    ".txt": read_text,
    ".csv": read_text,
    ".ply": _read_ply,
    ".pcd": read_pcd,
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".obj": read_obj,
    ".off": read_off,
    ".stl": read_stl,
}
POINT_CLOUD_ENDINGS = tuple(_READERS)
