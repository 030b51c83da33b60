"""Stanford PLY, ASCII and binary of either byte order, read with the precision that the file has."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from neuralfw.errors import UserError

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_ASCII = "ascii"
_BYTE_ORDERS = {"ascii": _ASCII, "binary_little_endian": "<", "binary_big_endian": ">"}
_POLYGON_NAMES = {"vertex_indices", "vertex_index"}
_HEADER_LIMIT = 1 << 16


@dataclass
class _Property:
    name: str
    dtype: str
    count_dtype: str | None = None


@dataclass
class _Element:
    name: str
    count: int
    properties: list[_Property] = field(default_factory=list)

    def add(self, new: _Property) -> None:
        if any(new.name == item.name for item in self.properties):
            raise ValueError(new.name)
        self.properties.append(new)


@dataclass
class Ply:
    """The vertices of a PLY file by property name, and its faces (polygons cut into fans of triangles)."""

    vertex: dict[str, Shaped[np.ndarray, "n"]]
    faces: Int64[np.ndarray, "f 3"]

    @property
    def points(self) -> Float64[np.ndarray, "n 3"]:
        """Positions of the vertices."""
        return np.stack([self.vertex[name].astype(np.float64) for name in "xyz"], axis=1)

    def columns(self, *names: str) -> Float64[np.ndarray, "n k"] | None:
        """The named vertex properties side by side, or None where one is absent."""
        if not all(name in self.vertex for name in names):
            return None
        return np.stack([self.vertex[name].astype(np.float64) for name in names], axis=1)

    @property
    def colors(self) -> Float64[np.ndarray, "n 3"] | None:
        """RGB in [0, 1]; integers are read as full scale of their type."""
        for names in (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue")):
            rgb = self.columns(*names)
            if rgb is not None:
                dtype = self.vertex[names[0]].dtype
                return rgb / np.iinfo(dtype).max if dtype.kind in "iu" else rgb
        return None


def read_ply(path: Path) -> Ply:
    """Read vertices and faces; other elements are skipped.

    Raises:
        UserError: no PLY file, a faulty header, fewer data than the header promises, or no x, y, z.
    """
    data = path.read_bytes()
    order, elements, start = _read_header(path, data)
    vertex: dict[str, Shaped[np.ndarray, "n"]] = {}
    faces = np.zeros((0, 3), dtype=np.int64)
    body = _Body(path, data[start:], order)
    for element in elements:
        scalars, polygons = body.read(element)
        if element.name == "vertex":
            vertex = scalars
        elif element.name == "face":
            faces = triangulate(*polygons)
    ply = Ply(vertex, faces)
    if not {"x", "y", "z"} <= vertex.keys():
        raise UserError(f"{path} has no vertices with x, y and z: {', '.join(vertex) or 'nothing'} found.")
    return ply


def encode_ply(vertex: dict[str, Shaped[np.ndarray, "n"]], faces: Int64[np.ndarray, "f 3"] | None = None) -> bytes:
    """A binary PLY file with these vertex properties (float64, float32 or uint8) and, unless None, these triangles."""
    names = {"f8": "double", "f4": "float", "u1": "uchar"}
    count = len(next(iter(vertex.values())))
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {count}"]
    header += [f"property {names[column.dtype.str[1:]]} {name}" for name, column in vertex.items()]
    rows = np.zeros(count, np.dtype([(name, column.dtype.newbyteorder("<")) for name, column in vertex.items()]))
    for name, column in vertex.items():
        rows[name] = column
    triangles = np.zeros(0 if faces is None else len(faces), np.dtype([("size", "u1"), ("corners", "<i4", 3)]))
    if faces is not None:
        header += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
        triangles["size"], triangles["corners"] = 3, faces
    return "\n".join([*header, "end_header", ""]).encode() + rows.tobytes() + triangles.tobytes()


def triangulate(sizes: Int64[np.ndarray, "p"], corners: Int64[np.ndarray, "c"]) -> Int64[np.ndarray, "f 3"]:
    """Cut polygons, given by their sizes and all their corners in a row, into fans of triangles."""
    first = np.cumsum(sizes) - sizes
    fans = np.maximum(sizes - 2, 0)
    within = np.arange(fans.sum()) - np.repeat(np.cumsum(fans) - fans, fans)
    start = np.repeat(first, fans)
    return np.stack([corners[start], corners[start + within + 1], corners[start + within + 2]], axis=1)


def _read_header(path: Path, data: bytes) -> tuple[str, list[_Element], int]:
    end = data.find(b"end_header", 0, _HEADER_LIMIT)
    newline = data.find(b"\n", end)
    if not data.startswith(b"ply") or end < 0:
        raise UserError(f"{path} is not a PLY file: it must begin with 'ply' and have an 'end_header' line.")
    start = newline + 1 if newline >= 0 else len(data)
    order, elements = "", []
    for line in data[:end].decode("ascii", "replace").splitlines()[1:]:
        try:
            match line.split():
                case ["format", name, _]:
                    order = _BYTE_ORDERS[name]
                case ["element", name, count]:
                    elements.append(_Element(name, natural_number(count)))
                case ["property", "list", count_dtype, dtype, name]:
                    elements[-1].add(_Property(name, _TYPES[dtype], _integer_type(count_dtype)))
                case ["property", dtype, name]:
                    elements[-1].add(_Property(name, _TYPES[dtype]))
                case ["comment" | "obj_info", *_] | []:
                    pass
                case _:
                    raise ValueError
        except (KeyError, IndexError, ValueError) as error:
            raise UserError(f"{path}: the PLY header line {line!r} is not understood.") from error
    if not order:
        raise UserError(f"{path}: the PLY header names no format (ascii or binary_little_endian 1.0).")
    return order, elements, start


def natural_number(text: str) -> int:
    """The number that a header writes as plain digits; ValueError for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError(text)
    return int(text)


def _integer_type(name: str) -> str:
    dtype = _TYPES[name]
    if dtype.startswith("f"):
        raise ValueError(name)
    return dtype


_Polygons = tuple[Int64[np.ndarray, "p"], Int64[np.ndarray, "c"]]
_NO_POLYGONS = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


class _Body:
    """A cursor over the data after the header; ASCII numbers are turned into one row of float64 first."""

    def __init__(self, path: Path, data: bytes, order: str) -> None:
        self.path, self.order, self.position = path, order, 0
        self.data = self._numbers(data) if order == _ASCII else data

    def _numbers(self, text: bytes) -> bytes:
        try:
            return np.array(text.split(), dtype=np.bytes_).astype(np.float64).tobytes()
        except ValueError as error:
            raise UserError(f"{self.path}: the data hold something that is not a number: {error}.") from error

    def read(self, element: _Element) -> tuple[dict[str, Shaped[np.ndarray, "n"]], _Polygons]:
        """The element's scalar columns and its polygons, where it has any of either."""
        if not (element.properties and element.count):
            return {item.name: np.zeros(0) for item in element.properties}, _NO_POLYGONS
        sizes = self._first_list_sizes(element)
        dtype = self._row(element, sizes)
        if self.position + element.count * dtype.itemsize <= len(self.data):
            rows = np.frombuffer(self.data, dtype, count=element.count, offset=self.position)
            if all((rows[f"count of {name}"] == size).all() for name, size in sizes.items()):
                self.position += rows.nbytes
                return self._scalars(element, rows), self._equal_polygons(rows, sizes)
        if not sizes:
            raise self._truncated(element)
        return {}, self._mixed_polygons(element)

    def _row(self, element: _Element, sizes: dict[str, int]) -> np.dtype[np.void]:
        fields: list[tuple[str, str] | tuple[str, str, tuple[int]]] = []
        for item in element.properties:
            if item.count_dtype:
                fields.append((f"count of {item.name}", self._stored(item.count_dtype)))
                fields.append((item.name, self._stored(item.dtype), (sizes[item.name],)))
            else:
                fields.append((item.name, self._stored(item.dtype)))
        return np.dtype(fields)

    def _stored(self, dtype: str) -> str:
        return "=f8" if self.order == _ASCII else self.order + dtype

    def _first_list_sizes(self, element: _Element) -> dict[str, int]:
        if not any(item.count_dtype for item in element.properties):
            return {}
        start = self.position
        sizes = {name: len(values) for name, values in self._read_row(element).items()}
        self.position = start
        return sizes

    def _read_row(self, element: _Element) -> dict[str, Shaped[np.ndarray, "k"]]:
        lists = {}
        for item in element.properties:
            count = 1
            if item.count_dtype:
                size = float(self._take(element, item.count_dtype, 1)[0])
                if not (size >= 0 and size.is_integer()):
                    raise UserError(f"{self.path}: a list of {element.name} has the length {size}.")
                count = int(size)
            values = self._take(element, item.dtype, count)
            if item.count_dtype:
                lists[item.name] = values
        return lists

    def _take(self, element: _Element, dtype: str, count: int) -> Shaped[np.ndarray, "k"]:
        stored = np.dtype(self._stored(dtype))
        if self.position + count * stored.itemsize > len(self.data):
            raise self._truncated(element)
        values = np.frombuffer(self.data, stored, count=count, offset=self.position)
        self.position += values.nbytes
        return values

    def _truncated(self, element: _Element) -> UserError:
        return UserError(
            f"{self.path} is truncated: its header promises {element.count} of '{element.name}', but the data end "
            "before that. Copy the file again, or correct the count."
        )

    def _scalars(self, element: _Element, rows: Shaped[np.ndarray, "n"]) -> dict[str, Shaped[np.ndarray, "n"]]:
        columns = {}
        for item in element.properties:
            if not item.count_dtype:
                column = rows[item.name]
                if self.order == _ASCII and item.dtype[0] in "iu":
                    limits = np.iinfo(item.dtype)
                    column = np.nan_to_num(column).clip(limits.min, limits.max).astype(item.dtype)
                columns[item.name] = column
        return columns

    def _equal_polygons(self, rows: Shaped[np.ndarray, "n"], sizes: dict[str, int]) -> _Polygons:
        for name in sizes.keys() & _POLYGON_NAMES:
            return np.full(len(rows), sizes[name], dtype=np.int64), self._indices(rows[name].ravel())
        return _NO_POLYGONS

    def _mixed_polygons(self, element: _Element) -> _Polygons:
        polygons = []
        for _ in range(element.count):
            lists = self._read_row(element)
            polygons += [lists[name] for name in lists.keys() & _POLYGON_NAMES]
        if not polygons:
            return _NO_POLYGONS
        return np.array([len(p) for p in polygons], dtype=np.int64), self._indices(np.concatenate(polygons))

    def _indices(self, values: Shaped[np.ndarray, "c"]) -> Int64[np.ndarray, "c"]:
        if values.dtype.kind == "f" and not (np.abs(values) < 2**53).all():
            raise UserError(f"{self.path}: a face holds something that is not a vertex index.")
        return values.astype(np.int64)
