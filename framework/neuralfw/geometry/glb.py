"""glTF 2.0 in its binary container: a mesh with colours, and one that moves with its faces as they are."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64, Shaped

from neuralfw.geometry.files import write_file
from neuralfw.geometry.mesh import Mesh

_FLOAT, _INDEX = 5126, 5125


class _Document:
    """A glTF document with its binary part: arrays become accessors, each with a view of its own."""

    def __init__(self) -> None:
        self.accessors: list[dict[str, Any]] = []
        self._blocks: list[bytes] = []

    def add(self, array: Shaped[np.ndarray, "..."], kind: str, *, bounds: bool = False) -> int:
        """Store an array of float32 or uint32 and return the number of its accessor."""
        accessor = {
            "bufferView": len(self._blocks),
            "componentType": _INDEX if array.dtype == np.uint32 else _FLOAT,
            "count": array.size if kind == "SCALAR" else len(array),
            "type": kind,
        }
        if bounds:
            rows = array.reshape(-1, 1) if kind == "SCALAR" else array
            accessor |= {"min": rows.min(axis=0, initial=np.inf).tolist() if len(rows) else [0.0] * rows.shape[1]}
            accessor |= {"max": rows.max(axis=0, initial=-np.inf).tolist() if len(rows) else [0.0] * rows.shape[1]}
        self.accessors.append(accessor)
        self._blocks.append(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return len(self.accessors) - 1

    def encode(self, **tables: Any) -> bytes:
        starts = np.cumsum([0, *map(len, self._blocks)]).tolist()
        views = [
            {"buffer": 0, "byteOffset": start, "byteLength": len(block)}
            for start, block in zip(starts, self._blocks, strict=False)
        ]
        document = {
            "asset": {"version": "2.0", "generator": "neuralfw"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "accessors": self.accessors,
            "bufferViews": views,
            "buffers": [{"byteLength": starts[-1]}],
            **tables,
        }
        text = json.dumps(document).encode()
        text += b" " * (-len(text) % 4)
        binary = b"".join(self._blocks)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def encode_glb(mesh: Mesh) -> bytes:
    """Return a mesh as glTF 2.0: one node, translated to the centre, so that float32 suffices."""
    document = _Document()
    center, primitive = _primitive(document, mesh)
    node = {"mesh": 0, "translation": center.tolist()}
    return document.encode(nodes=[node], meshes=[{"primitives": [primitive]}])


def write_animation(
    path: Path, mesh: Mesh, times: Sequence[float], places: Sequence[Float[np.ndarray, "v 3"]], *, seconds: float = 2.0
) -> None:
    """Write a mesh that moves, as one .glb with a morph target for each time: its faces are the same throughout.

    Args:
        path: the file.
        mesh: at the first of the times.
        times: in [0, 1], ascending; between two of them each vertex moves on a straight line.
        places: of the vertices at each time, world units.
        seconds: that the way from time 0 to 1 takes.

    Raises:
        UserError: it cannot be written.
    """
    document = _Document()
    center, primitive = _primitive(document, mesh)
    moves = [(place - mesh.vertices).astype(np.float32) for place in places[1:]]
    primitive["targets"] = [{"POSITION": document.add(move, "VEC3", bounds=True)} for move in moves]
    moments = seconds * np.asarray(times, np.float32)
    weights = np.eye(len(times), dtype=np.float32)[:, 1:]  # the first is the mesh itself
    sampler = {
        "input": document.add(moments.astype(np.float32), "SCALAR", bounds=True),
        "output": document.add(weights.reshape(-1), "SCALAR"),
        "interpolation": "LINEAR",
    }
    animation = {"samplers": [sampler], "channels": [{"sampler": 0, "target": {"node": 0, "path": "weights"}}]}
    node = {"mesh": 0, "translation": center.tolist()}
    meshes = [{"primitives": [primitive], "weights": [0.0] * len(moves)}]
    write_file(path, document.encode(nodes=[node], meshes=meshes, animations=[animation]))


def _primitive(document: _Document, mesh: Mesh) -> tuple[Float[np.ndarray, "3"], dict[str, Any]]:
    center = mesh.vertices.mean(axis=0) if len(mesh.vertices) else np.zeros(3)
    local = (mesh.vertices - center).astype(np.float32)
    attributes = {"POSITION": document.add(local, "VEC3", bounds=True)}
    faces: Int64[np.ndarray, "f 3"] = mesh.faces
    indices = document.add(faces.astype(np.uint32).reshape(-1), "SCALAR")
    if mesh.colors is not None:
        attributes["COLOR_0"] = document.add(mesh.colors.astype(np.float32), "VEC3")
    return center, {"attributes": attributes, "indices": indices}
