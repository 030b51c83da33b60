"""PCD, the Point Cloud Library's format (0.7): ascii, binary and binary_compressed (LZF)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Shaped

from neuralfw.errors import UserError
from neuralfw.geometry.ply import natural_number
from neuralfw.geometry.point_cloud import PointCloud

_HEADER_LIMIT = 1 << 16
_KINDS = {"F": "f", "I": "i", "U": "u"}
_SIZES = {"F": ("4", "8"), "I": ("1", "2", "4", "8"), "U": ("1", "2", "4", "8")}

_ORIGIN = ["0", "0", "0", "1", "0", "0", "0"]


@dataclass(frozen=True)
class _Header:
    fields: list[str]
    dtypes: list[str]
    counts: list[int]
    points: int
    viewpoint: list[float]
    encoding: str

    @property
    def row(self) -> np.dtype[np.void]:
        return np.dtype([(f"{i}", d, (c,)) for i, (d, c) in enumerate(zip(self.dtypes, self.counts, strict=True))])


def read_pcd(path: Path) -> PointCloud:
    """Read positions, and normals (`normal_x` …), packed colours (`rgb`, `rgba`) and the viewpoint where stored.

    Raises:
        UserError: a faulty header, fewer data than the header promises, or corrupt compression.
    """
    data = path.read_bytes()
    header, start = _read_header(path, data)
    body = data[start:]
    if header.encoding == "ascii":
        columns = _ascii_columns(path, header, body)
    elif header.encoding == "binary":
        columns = _binary_columns(path, header, body)
    else:
        columns = _compressed_columns(path, header, body)
    points = _stack(columns, "x", "y", "z")
    if points is None:
        raise UserError(f"{path} has no fields x, y and z: {' '.join(header.fields)} found.")
    return PointCloud(
        points,
        normals=_stack(columns, "normal_x", "normal_y", "normal_z"),
        colors=_colors(columns),
        viewpoint=np.array(header.viewpoint[:3]),
    )


def lzf_decompress(data: bytes, size: int) -> bytes:
    """Undo LibLZF (Lehmann), of which PCD's binary_compressed is made.

    Raises:
        ValueError: the stream is cut, points before its beginning, or does not yield `size` bytes.
    """
    out = bytearray()
    position, end = 0, len(data)
    try:
        while position < end and len(out) <= size:
            control = data[position]
            position += 1
            if control < 32:  # a run of literals
                out += data[position : position + control + 1]
                position += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += data[position]
                position += 1
            source = len(out) - ((control & 31) << 8) - data[position] - 1
            position += 1
            if source < 0:
                raise ValueError("a reference before the beginning")
            copied = out[source : source + length + 2]
            repeats = -(-(length + 2) // len(copied))  # the copy may overlap what it writes
            out += (copied * repeats)[: length + 2]
    except IndexError:
        raise ValueError("the stream is cut") from None
    if position != end or len(out) != size:
        raise ValueError(f"{len(out)} bytes instead of {size}")
    return bytes(out)


def _read_header(path: Path, data: bytes) -> tuple[_Header, int]:
    entries: dict[str, list[str]] = {}
    position = 0
    while "DATA" not in entries:
        end = data.find(b"\n", position, _HEADER_LIMIT)
        if end < 0:
            raise UserError(f"{path} is not a PCD file: no line 'DATA ascii|binary|binary_compressed' in its header.")
        words = data[position:end].decode("ascii", "replace").split()
        position = end + 1
        if words and not words[0].startswith("#"):
            entries[words[0].upper()] = words[1:]
    try:
        return _parse_header(entries), position
    except (KeyError, ValueError, IndexError) as error:
        raise UserError(f"{path}: the PCD header is faulty near {error}.") from error


def _parse_header(entries: dict[str, list[str]]) -> _Header:
    fields, sizes, kinds = entries["FIELDS"], entries["SIZE"], entries["TYPE"]
    counts = [natural_number(text) for text in entries.get("COUNT", ["1"] * len(fields))]
    if not len(fields) == len(sizes) == len(kinds) == len(counts):
        raise ValueError("FIELDS, SIZE, TYPE and COUNT, which differ in length")
    if max(counts, default=0) > 1 << 16:
        raise ValueError(f"COUNT {max(counts)}")
    for kind, size in zip(kinds, sizes, strict=True):
        if size not in _SIZES[kind]:
            raise ValueError(f"TYPE {kind} of SIZE {size}")
    points = (
        natural_number(entries["POINTS"][0])
        if "POINTS" in entries
        else natural_number(entries["WIDTH"][0]) * natural_number(entries["HEIGHT"][0])
    )
    encoding = entries["DATA"][0]
    if encoding not in ("ascii", "binary", "binary_compressed"):
        raise ValueError(f"DATA {encoding}")
    viewpoint = [float(text) for text in entries.get("VIEWPOINT", _ORIGIN)]
    if len(viewpoint) != 7 or not np.isfinite(viewpoint).all():
        raise ValueError("VIEWPOINT")
    dtypes = [f"<{_KINDS[kind]}{size}" for kind, size in zip(kinds, sizes, strict=True)]
    return _Header(fields, dtypes, counts, points, viewpoint, encoding)


_Columns = dict[str, Shaped[np.ndarray, "n"]]


def _ascii_columns(path: Path, header: _Header, body: bytes) -> _Columns:
    width = sum(header.counts)
    tokens = body.split()
    if len(tokens) < header.points * width or not tokens:
        raise _truncated(path, header, f"{len(tokens) // max(width, 1)} rows")
    try:
        table = np.array(tokens[: header.points * width], dtype=np.bytes_).astype(np.float64).reshape(-1, width)
    except ValueError as error:
        raise UserError(f"{path}: the data hold something that is not a number: {error}.") from error
    first = np.cumsum(header.counts) - header.counts
    columns = {name: table[:, first[i]] for i, name in enumerate(header.fields) if header.counts[i] == 1}
    for name, dtype in zip(header.fields, header.dtypes, strict=True):
        if name in ("rgb", "rgba") and dtype == "<f4" and name in columns:
            columns[name] = columns[name].astype(np.float32)
    return columns


def _binary_columns(path: Path, header: _Header, body: bytes) -> _Columns:
    if header.points * header.row.itemsize > len(body) or not body:
        raise _truncated(path, header, f"{len(body)} bytes")
    rows = np.frombuffer(body, header.row, count=header.points)
    return {name: rows[f"{i}"][:, 0] for i, name in enumerate(header.fields) if header.counts[i] == 1}


def _compressed_columns(path: Path, header: _Header, body: bytes) -> _Columns:
    if len(body) < 8:
        raise _truncated(path, header, f"{len(body)} bytes")
    packed, size = (int(n) for n in np.frombuffer(body, "<u4", count=2))
    if len(body) < 8 + packed or size != header.points * header.row.itemsize:
        raise _truncated(path, header, f"{size} bytes, of which {packed} compressed")
    try:
        data = lzf_decompress(body[8 : 8 + packed], size)
    except ValueError as error:
        raise UserError(f"{path}: the compressed data are corrupt ({error}). Copy the file again.") from error
    columns, position = {}, 0
    for name, dtype, count in zip(header.fields, header.dtypes, header.counts, strict=True):
        values = np.frombuffer(data[position : position + header.points * count * np.dtype(dtype).itemsize], dtype)
        position += values.nbytes
        if count == 1:
            columns[name] = values
    return columns


def _truncated(path: Path, header: _Header, found: str) -> UserError:
    return UserError(
        f"{path} does not hold what its header promises: {header.points} points of {header.row.itemsize} bytes "
        f"({header.encoding}), but {found} found. Copy the file again, or correct POINTS."
    )


def _stack(columns: _Columns, *names: str) -> Float64[np.ndarray, "n k"] | None:
    if not all(name in columns for name in names):
        return None
    return np.stack([columns[name].astype(np.float64) for name in names], axis=1)


def _colors(columns: _Columns) -> Float64[np.ndarray, "n 3"] | None:
    """PCL packs 0x00RRGGBB into four bytes, which older files declare as a float."""
    packed = columns.get("rgb", columns.get("rgba"))
    if packed is None:
        return None
    if packed.dtype == np.float32:
        bits = packed.view(np.uint32)
    else:
        bits = np.nan_to_num(packed).clip(0, 2**32 - 1).astype(np.uint32)
    return np.stack([(bits >> shift) & 255 for shift in (16, 8, 0)], axis=1) / 255.0
