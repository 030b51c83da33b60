"""Reading meshes: .ply .obj .off .stl, with vertices in the order of the file and polygons cut into triangles."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from neuralfw.errors import UserError
from neuralfw.geometry.files import did_you_mean, existing_file
from neuralfw.geometry.mesh import Mesh, boundary_edges, flipped_edges
from neuralfw.geometry.ply import Ply, read_ply, triangulate
from neuralfw.geometry.point_cloud import usable

STL_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("unused", "<u2")])


def read_mesh(path: str | Path) -> Mesh:
    """Read and validate a mesh; what is odd but usable (open, flipped, inside out, no area) becomes a note.

    Raises:
        UserError: the file is absent, of an unknown kind, malformed or truncated; a vertex is not finite; a face
            names a vertex that does not exist; or there are no faces.
    """
    path = existing_file(path)
    reader = MESH_READERS.get(path.suffix.lower())
    if reader is None:
        near = did_you_mean(path.suffix.lower(), MESH_READERS)
        known = " ".join(MESH_READERS)
        raise UserError(f"{path}: {path.suffix or 'no ending'} is no mesh file.{near} Known: {known}.")
    try:
        mesh = reader(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    return validate(mesh, path)


def validate(mesh: Mesh, path: Path) -> Mesh:
    """Refuse a mesh without faces or area or with vertices that are not finite; note what is odd but usable."""
    if len(mesh.vertices) == 0:
        raise UserError(f"{path} is empty: it has no vertices and no faces. Leave it out.")
    if len(mesh.faces) == 0:
        raise UserError(f"{path} has {len(mesh.vertices):,} vertices but no faces: it is a point cloud, not a mesh.")
    bad = int((~usable(mesh.vertices)).sum())
    if bad:
        raise UserError(f"{path}: {bad:,} vertices are not finite (NaN or infinite). Repair the mesh first.")
    if mesh.area == 0.0:
        raise UserError(f"{path}: no face has an area. Check the mesh.")
    return replace(mesh, notes=(*mesh.notes, *_remarks(mesh)))


def ply_mesh(ply: Ply, path: Path) -> Mesh:
    """The vertices and faces of a PLY file that has been read."""
    return _checked(path, ply.points, ply.faces, ply.colors)


def read_obj(path: Path) -> Mesh:
    """Wavefront OBJ: `v` (with colours where given) and `f`; texture and normals are passed over."""
    vertices: list[list[str]] = []
    corners: list[int] = []
    sizes: list[int] = []
    for number, line in enumerate(_lines(path), 1):
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices.append(words[1:])
        elif words[0] == "f":
            relative = [_obj_index(path, number, word, len(vertices)) for word in words[1:]]
            corners += relative
            sizes.append(len(relative))
    widths = {len(v) for v in vertices}
    if not widths <= {3, 4, 6, 7} or len(widths) > 1:
        raise UserError(f"{path}: 'v' lines must all hold x y z, optionally with a weight or r g b.")
    table = _floats(path, [word for v in vertices for word in v]).reshape(len(vertices), max(widths, default=3))
    faces = triangulate(np.array(sizes, dtype=np.int64), np.array(corners, dtype=np.int64))
    colors = table[:, 3:6].clip(0.0, 1.0) if table.shape[1] >= 6 else None
    return _checked(path, table[:, :3], faces, colors)


def read_off(path: Path) -> Mesh:
    """Object File Format; colours after the corners of a face are passed over."""
    lines = [line.split("#")[0].split() for line in _lines(path)]
    rows = [words for words in lines if words]
    if not rows or rows[0][0].upper().lstrip("ST4NC") not in ("OFF",):
        raise UserError(f"{path} is not an OFF file: it must begin with 'OFF'.")
    head = rows[0][1:] or (rows[1] if len(rows) > 1 else [])
    body = rows[1 if rows[0][1:] else 2 :]
    if len(head) < 2 or not all(word.isdigit() for word in head[:2]):
        raise UserError(f"{path}: after 'OFF' the numbers of vertices and faces were expected.")
    n, f = int(head[0][:18]), int(head[1][:18])
    if len(body) < n + f:
        raise UserError(f"{path} is truncated: {n} vertices and {f} faces are promised, {len(body)} lines follow.")
    if any(len(words) < 3 for words in body[:n]):
        raise UserError(f"{path}: a vertex line has fewer than three numbers.")
    vertices = _floats(path, [word for words in body[:n] for word in words[:3]]).reshape(n, 3)
    sizes: list[int] = []
    corners: list[str] = []
    for words in body[n : n + f]:
        size = int(words[0]) if words[0].isdigit() and len(words[0]) < 9 else -1
        if not 0 <= size < len(words):
            raise UserError(f"{path}: the face line {' '.join(words)[:40]!r} does not hold as many corners as it says.")
        sizes.append(size)
        corners += words[1 : size + 1]
    return _checked(path, vertices, triangulate(np.array(sizes, dtype=np.int64), _indices(path, corners)))


def read_stl(path: Path) -> Mesh:
    """STL, binary or ASCII; corners at exactly the same place become one vertex."""
    data = path.read_bytes()
    count = int.from_bytes(data[80:84], "little")
    if len(data) >= 84 and len(data) == 84 + 50 * count:
        rows = np.frombuffer(data, STL_FACET, offset=84)
        corners = rows["corners"].astype(np.float64).reshape(-1, 3)
    elif data.lstrip().startswith(b"solid"):
        words = data.split()
        starts = [i + 1 for i, word in enumerate(words) if word == b"vertex"]
        corners = _floats(path, [word for i in starts for word in words[i : i + 3]])
        if len(corners) % 9 or len(starts) % 3 or len(corners) != 3 * len(starts):
            raise UserError(f"{path} is truncated: an STL facet has three vertices of three numbers.")
        corners = corners.reshape(-1, 3)
    else:
        need = 84 + 50 * count
        raise UserError(f"{path} is no STL file, or truncated: {count} facets need {need} bytes, not {len(data)}.")
    if not usable(corners).all():
        raise UserError(f"{path}: some vertices are not finite (NaN or infinite). Repair the mesh first.")
    vertices, inverse = np.unique(corners, axis=0, return_inverse=True)
    return _checked(path, vertices, inverse.reshape(-1, 3).astype(np.int64))


MESH_READERS: dict[str, Callable[[Path], Mesh]] = {
    ".ply": lambda path: ply_mesh(read_ply(path), path),
    ".obj": read_obj,
    ".off": read_off,
    ".stl": read_stl,
}


def _lines(path: Path) -> list[str]:
    return path.read_bytes().decode("utf-8-sig", "replace").splitlines()


def _obj_index(path: Path, number: int, word: str, known: int) -> int:
    try:
        index = int(word.split("/")[0])
    except ValueError as error:
        raise UserError(f"{path}, line {number}: {word[:40]!r} is not a vertex index.") from error
    if index == 0 or abs(index) > 2**62:
        raise UserError(f"{path}, line {number}: OBJ counts vertices from 1, so {word[:40]!r} names none.")
    return index - 1 if index > 0 else known + index


def _floats(path: Path, words: list[str] | list[bytes]) -> Float64[np.ndarray, "n"]:
    try:
        return np.array(words, dtype=np.bytes_).astype(np.float64)
    except (ValueError, UnicodeEncodeError) as error:
        raise UserError(f"{path} holds something that is not a number: {error}.") from error


def _indices(path: Path, words: list[str]) -> Int64[np.ndarray, "n"]:
    try:
        return np.array([int(word) for word in words], dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{path} holds something that is not a vertex index: {error}.") from error


def _checked(
    path: Path,
    vertices: Float64[np.ndarray, "v 3"],
    faces: Int64[np.ndarray, "f 3"],
    colors: Float64[np.ndarray, "v 3"] | None = None,
) -> Mesh:
    if len(faces) and not (faces.min() >= 0 and faces.max() < len(vertices)):
        raise UserError(f"{path}: a face names a vertex outside 0..{len(vertices) - 1} (counted from 0).")
    return Mesh(vertices, faces, colors)


def _remarks(mesh: Mesh) -> list[str]:
    remarks = []
    empty = int((mesh.face_areas == 0.0).sum())
    if empty:
        remarks.append(f"{empty:,} of {len(mesh.faces):,} faces have no area")
    if flipped := flipped_edges(mesh):
        remarks.append(f"neighbouring faces disagree about the outside at {flipped:,} edges")
    if open_edges := boundary_edges(mesh):
        remarks.append(f"the mesh is not closed: {open_edges:,} edges do not have exactly two faces")
    elif not flipped and mesh.volume < 0.0:
        remarks.append("the faces of this closed mesh look inwards")
    return remarks
