"""Clean-up on record, simplification, .splat and animated .glb: each against counts or files read independently."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh
from neuralfw.geometry.cleaning import select_faces
from neuralfw.geometry.cleanup import Cleanup, boundary_loops, fill_holes, simplify
from neuralfw.geometry.glb import encode_glb, write_animation
from neuralfw.geometry.splats import Stored, write_splat


def ball(subdivisions: int = 3, center: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Mesh:
    made = trimesh.creation.icosphere(subdivisions=subdivisions)
    return Mesh(np.asarray(made.vertices, np.float64) + center, np.asarray(made.faces, np.int64))


def torn(mesh: Mesh, *vertices: int) -> Mesh:
    """The mesh without the faces around some vertices."""
    return select_faces(mesh, ~np.isin(mesh.faces, vertices).any(axis=1))


def test_holes_are_found_and_closed_outwards() -> None:
    whole = ball()
    mesh = torn(whole, 0, 700 % len(whole.vertices))
    assert sorted(len(loop) for loop in boundary_loops(mesh)) == [5, 6]
    filled = fill_holes(mesh, 6)
    assert filled.is_closed and boundary_loops(filled) == []
    assert filled.volume == pytest.approx(whole.volume, rel=5e-3)
    assert np.einsum("ij,ij->i", filled.face_normals, filled.triangles.mean(axis=1)).min() > 0.9
    assert [len(loop) for loop in boundary_loops(fill_holes(mesh, 5))] == [6]
    judge = trimesh.Trimesh(filled.vertices, filled.faces, process=False)
    assert judge.is_watertight and judge.is_winding_consistent


def test_loops_that_touch_are_left_alone() -> None:
    """Two faces of an octahedron that share one vertex only are gone: both holes go through it."""
    corners = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], np.float64)
    faces = np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]])
    mesh = Mesh(corners, np.delete(faces, [0, 2], axis=0))
    assert boundary_loops(mesh) == [] and len(fill_holes(mesh, 9).faces) == 6


def test_a_clean_up_is_on_record() -> None:
    pytest.importorskip("fast_simplification", reason="pip install 'neuralfw[simplify]'")
    one, two = torn(ball(), 0), ball(2, (5.0, 0.0, 0.0))
    both = Mesh(
        np.concatenate([one.vertices, two.vertices]), np.concatenate([one.faces, two.faces + len(one.vertices)])
    )
    both = replace(both, colors=np.tile([0.2, 0.4, 0.6], (len(both.vertices), 1)))
    mesh, record = Cleanup(keep=1, fill=10, faces=300)(both)
    told = [(step["step"], step["faces"], step["parts"], step["holes"]) for step in record["steps"]]
    assert told[:3] == [
        ("as extracted", 1275 + 320, 2, 1),
        ("the largest 1 connected parts", 1275, 1, 1),
        ("holes of at most 10 edges closed", 1280, 1, 0),
    ]
    assert told[3][0] == "simplified to about 300 faces" and 290 <= told[3][1] <= 300 and told[3][3] == 0
    assert mesh.is_closed and mesh.volume == pytest.approx(4.0 / 3.0 * np.pi, rel=0.05)
    np.testing.assert_allclose(mesh.colors, np.tile([0.2, 0.4, 0.6], (len(mesh.vertices), 1)))


def test_simplifying_far_from_the_origin_keeps_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fast_simplification", reason="pip install 'neuralfw[simplify]'")
    center = (4.5e5, 5.4e6, 120.0)
    mesh = simplify(ball(3, center), 200)
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices - center, axis=1), 1.0, atol=0.06)
    assert simplify(mesh, 10_000) is mesh


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises(UserError, match=r"pip install 'neuralfw\[simplify\]'"):
        simplify(ball(), 10)


def test_a_splat_file_has_the_most_visible_first(tmp_path: Path) -> None:
    gaussians = Stored(
        means=np.array([[1, 2, 3], [4, 5, 6]], np.float32),
        log_scales=np.log([[0.1] * 3, [0.5] * 3]).astype(np.float32),
        quaternions=np.array([[2, 0, 0, 0], [0, 0, 3, 0]], np.float32), opacity_logits=np.array([0, 0], np.float32),
        sh=(np.array([[[0.5, 0, -0.5]], [[0, 0, 0]]]) / 0.28209479177387814).astype(np.float32),
    )  # fmt: skip
    write_splat(tmp_path / "two.splat", gaussians)
    data = (tmp_path / "two.splat").read_bytes()
    assert len(data) == 64
    np.testing.assert_allclose(struct.unpack("<6f", data[:24]), [4, 5, 6, 0.5, 0.5, 0.5], rtol=1e-6)
    assert [*data[24:32]] == [128, 128, 128, 128, 128, 128, 255, 128]
    assert [*data[32 + 24 : 64]] == [255, 128, 0, 128, 255, 128, 128, 128]


def accessor(data: bytes, number: int) -> tuple[dict[str, Any], np.ndarray]:
    """Read an accessor of a .glb by the letter of glTF's specification; return the document too."""
    (length,) = struct.unpack("<I", data[12:16])
    document = json.loads(data[20 : 20 + length])
    binary = data[28 + length :]
    told = document["accessors"][number]
    view = document["bufferViews"][told["bufferView"]]
    kind = np.dtype("<f4") if told["componentType"] == 5126 else np.dtype("<u4")
    width = {"SCALAR": 1, "VEC3": 3}[told["type"]]
    start = view["byteOffset"]
    assert view["byteLength"] == told["count"] * width * kind.itemsize
    values = np.frombuffer(binary[start : start + view["byteLength"]], kind).reshape(-1, width)
    if "min" in told:
        np.testing.assert_allclose([values.min(axis=0), values.max(axis=0)], [told["min"], told["max"]])
    return document, values


def test_a_glb_is_read_by_trimesh_with_its_colours() -> None:
    mesh = ball(1, (1e6, 0.0, 0.0))
    mesh = replace(mesh, colors=np.linspace(0, 1, 3 * len(mesh.vertices)).reshape(-1, 3))
    read = trimesh.load(BytesIO(encode_glb(mesh)), file_type="glb", process=False).to_geometry()
    np.testing.assert_allclose(read.vertices, mesh.vertices, atol=1e-6)
    np.testing.assert_array_equal(read.faces, mesh.faces)
    np.testing.assert_allclose(read.visual.vertex_colors[:, :3], np.round(255 * mesh.colors), atol=1)


def test_an_animated_glb_moves_with_its_faces_as_they_are(tmp_path: Path) -> None:
    mesh = ball(1, (3.0, 0.0, 0.0))
    places = [mesh.vertices * factor for factor in (1.0, 1.5, 4.0)]
    write_animation(tmp_path / "grows.glb", mesh, (0.0, 0.25, 1.0), places, seconds=2.0)
    read = trimesh.load(tmp_path / "grows.glb", process=False).to_geometry()
    np.testing.assert_allclose(read.vertices, mesh.vertices, atol=1e-6)
    data = (tmp_path / "grows.glb").read_bytes()
    document, _ = accessor(data, 0)
    (primitive,) = document["meshes"][0]["primitives"]
    (animation,) = document["animations"]
    assert animation["channels"] == [{"sampler": 0, "target": {"node": 0, "path": "weights"}}]
    sampler = animation["samplers"][0]
    moments = accessor(data, sampler["input"])[1][:, 0]
    weights = accessor(data, sampler["output"])[1].reshape(3, 2)
    np.testing.assert_allclose(moments, [0.0, 0.5, 2.0])
    base = accessor(data, primitive["attributes"]["POSITION"])[1] + document["nodes"][0]["translation"]
    targets = np.stack([accessor(data, target["POSITION"])[1] for target in primitive["targets"]])
    for weight, place in zip(weights, places, strict=True):
        np.testing.assert_allclose(base + np.einsum("t,tvc->vc", weight, targets), place, atol=1e-5)
