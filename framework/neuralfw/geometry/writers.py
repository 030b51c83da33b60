"""Writing meshes (.ply .obj .glb .stl) and points (.ply .xyz .pts .npz); an existing file is replaced as a whole."""

import io
import struct
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64, Integer, Shaped, UInt8

from neuralfw.errors import UserError
from neuralfw.geometry.files import did_you_mean, write_file
from neuralfw.geometry.glb import encode_glb
from neuralfw.geometry.mesh import Mesh
from neuralfw.geometry.mesh_readers import STL_FACET
from neuralfw.geometry.ply import encode_ply
from neuralfw.geometry.point_cloud import PointCloud


def write_mesh(
    path: str | Path,
    vertices: Float[np.ndarray, "v 3"],
    faces: Integer[np.ndarray, "f 3"],
    *,
    colors: Float[np.ndarray, "v 3"] | None = None,
) -> None:
    """Write a mesh as the ending of `path` says.

    PLY (binary) and OBJ keep every bit of float64. GLB keeps float32 about a centre that it stores in float64, so that
    map coordinates survive. STL keeps float32 and no colours.

    Args:
        path: ends in .ply, .obj, .glb or .stl; missing folders are made.
        vertices: positions in world units.
        faces: counter-clockwise seen from outside.
        colors: RGB of each vertex in [0, 1], kept to 1/255 in PLY.

    Raises:
        UserError: another ending, or the file cannot be written.
    """
    path = Path(path)
    _check_ending(path, _MESH_ENCODERS)
    mesh = Mesh(vertices.astype(np.float64), faces.astype(np.int64), _double(colors))
    write_file(path, _MESH_ENCODERS[path.suffix.lower()](mesh))


def write_points(
    path: str | Path,
    points: Float[np.ndarray, "n 3"],
    *,
    normals: Float[np.ndarray, "n 3"] | None = None,
    colors: Float[np.ndarray, "n 3"] | None = None,
) -> None:
    """Write points in full precision as the ending of `path` says; `read_point_cloud` reads each of them back.

    Args:
        path: ends in .ply (binary), .npz, or .xyz or .pts (text: x y z, then nx ny nz, then r g b in 0..255).
        points: positions in world units.
        normals: unit normals.
        colors: RGB in [0, 1], kept to 1/255 except in .npz.

    Raises:
        UserError: another ending, or the file cannot be written.
    """
    path = Path(path)
    _check_ending(path, _POINT_ENCODERS)
    cloud = PointCloud(points.astype(np.float64), _double(normals), _double(colors))
    write_file(path, _POINT_ENCODERS[path.suffix.lower()](cloud))


def encode_npz(arrays: dict[str, Shaped[np.ndarray, "..."]]) -> bytes:
    """A compressed .npz archive of these arrays."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _check_ending(path: Path, known: Iterable[str]) -> None:
    ending = path.suffix.lower()
    if ending not in known:
        near = did_you_mean(ending, known)
        raise UserError(f"{path}: the ending must be one of {' '.join(known)}, not {ending or 'absent'}.{near}")


def _double(rows: Float[np.ndarray, "n 3"] | None) -> Float64[np.ndarray, "n 3"] | None:
    return None if rows is None else rows.astype(np.float64)


def _bytes(colors: Float64[np.ndarray, "n 3"]) -> UInt8[np.ndarray, "n 3"]:
    return np.round(colors.clip(0.0, 1.0) * 255.0).astype(np.uint8)


def _columns(
    positions: Float64[np.ndarray, "n 3"],
    normals: Float64[np.ndarray, "n 3"] | None,
    colors: Float64[np.ndarray, "n 3"] | None,
) -> dict[str, Shaped[np.ndarray, "n"]]:
    columns: dict[str, Shaped[np.ndarray, "n"]] = dict(zip("xyz", positions.T, strict=True))
    if normals is not None:
        columns |= zip(("nx", "ny", "nz"), normals.T, strict=True)
    if colors is not None:
        columns |= zip(("red", "green", "blue"), _bytes(colors).T, strict=True)
    return columns


def _ply_mesh(mesh: Mesh) -> bytes:
    return encode_ply(_columns(mesh.vertices, None, mesh.colors), mesh.faces)


def _obj(mesh: Mesh) -> bytes:
    rows = mesh.vertices if mesh.colors is None else np.hstack([mesh.vertices, mesh.colors])
    lines = ["v " + " ".join(map(repr, row)) for row in rows.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (mesh.faces + 1).tolist()]
    return ("\n".join(lines) + "\n").encode()


def _stl(mesh: Mesh) -> bytes:
    facets = np.zeros(len(mesh.faces), STL_FACET)
    facets["normal"], facets["corners"] = mesh.face_normals, mesh.triangles
    return b"neuralfw".ljust(80) + struct.pack("<I", len(facets)) + facets.tobytes()


def _ply_points(cloud: PointCloud) -> bytes:
    return encode_ply(_columns(cloud.points, cloud.normals, cloud.colors))


def _text_points(cloud: PointCloud) -> bytes:
    table = np.stack([c.astype(object) for c in _columns(cloud.points, cloud.normals, cloud.colors).values()], axis=1)
    return "".join(" ".join(map(str, row)) + "\n" for row in table.tolist()).encode()


def _npz_points(cloud: PointCloud) -> bytes:
    arrays = {"points": cloud.points, "normals": cloud.normals, "colors": cloud.colors}
    return encode_npz({name: values for name, values in arrays.items() if values is not None})


_MESH_ENCODERS: dict[str, Callable[[Mesh], bytes]] = {".ply": _ply_mesh, ".obj": _obj, ".glb": encode_glb, ".stl": _stl}
_POINT_ENCODERS: dict[str, Callable[[PointCloud], bytes]] = {
    ".ply": _ply_points,
    ".npz": _npz_points,
    ".xyz": _text_points,
    ".pts": _text_points,
}
MESH_ENDINGS = tuple(_MESH_ENCODERS)
POINT_ENDINGS = tuple(_POINT_ENCODERS)
