"""Meshes: vertex order and precision survive, faults are noted, quantities agree with an independent library."""

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from neuralfw.geometry import Mesh, read_mesh, write_mesh

UTM = np.array([512183.25, 5403259.5, 316.125])


def sphere():
    """An icosphere, whose vertices the library orders."""
    ball = trimesh.creation.icosphere(subdivisions=2)
    return Mesh(np.array(ball.vertices, dtype=np.float64), np.array(ball.faces, dtype=np.int64))


@pytest.mark.parametrize(("ending", "exact"), [(".ply", True), (".obj", True)])
def test_order_and_every_bit_survive(tmp_path, ending, exact):
    mesh = sphere()
    path = tmp_path / "new" / f"mesh{ending}"
    colors = np.round(np.abs(mesh.vertices) * 255) / 255
    write_mesh(path, mesh.vertices + UTM, mesh.faces, colors=colors)
    back = read_mesh(path)
    assert np.array_equal(back.vertices, mesh.vertices + UTM)
    assert np.array_equal(back.faces, mesh.faces)
    np.testing.assert_allclose(back.colors, colors, atol=1e-12)
    assert back.notes == () and back.is_closed


def test_glb_lies_where_the_mesh_lay_even_in_map_coordinates(tmp_path):
    mesh = sphere()
    write_mesh(tmp_path / "mesh.glb", mesh.vertices + UTM, mesh.faces, colors=np.abs(mesh.vertices))
    scene = trimesh.load_scene(tmp_path / "mesh.glb", process=False)
    ((name, loaded),) = scene.geometry.items()
    transform, _ = scene.graph[scene.graph.geometry_nodes[name][0]]
    np.testing.assert_allclose(loaded.vertices + transform[:3, 3], mesh.vertices + UTM, atol=1e-6)
    assert np.array_equal(loaded.faces, mesh.faces)
    assert loaded.visual.kind == "vertex"


@pytest.mark.parametrize("ending", [".ply", ".obj", ".stl"])
def test_another_library_reads_what_we_write(tmp_path, ending):
    mesh = sphere()
    write_mesh(tmp_path / f"mesh{ending}", mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32))
    other = trimesh.load_mesh(tmp_path / f"mesh{ending}")
    assert other.is_watertight and other.volume == pytest.approx(mesh.volume, rel=1e-6)
    assert read_mesh(tmp_path / f"mesh{ending}").volume == pytest.approx(mesh.volume, rel=1e-6)


def test_stl_corners_become_shared_vertices(tmp_path):
    mesh = sphere()
    write_mesh(tmp_path / "mesh.stl", mesh.vertices, mesh.faces)
    back = read_mesh(tmp_path / "mesh.stl")
    assert len(back.vertices) == len(mesh.vertices) and back.is_closed


def test_quantities_agree_with_another_library():
    mesh = sphere()
    other = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert mesh.area == pytest.approx(other.area)
    assert mesh.volume == pytest.approx(other.volume)
    np.testing.assert_allclose(mesh.centroid, other.centroid, atol=1e-12)
    np.testing.assert_allclose(mesh.face_normals, other.face_normals, atol=1e-12)
    assert (mesh.vertex_normals * mesh.vertices).sum(axis=1).min() > 0.999


def test_volume_keeps_its_precision_far_from_the_origin():
    mesh = sphere()
    assert Mesh(mesh.vertices + 1e6, mesh.faces).volume == pytest.approx(mesh.volume, rel=1e-6)


@given(sizes=st.lists(st.integers(0, 7), max_size=20))
def test_polygons_become_fans(tmp_path_factory, sizes):
    path = tmp_path_factory.getbasetemp() / "fans.obj"
    corners = np.cumsum([0, *sizes])
    total = int(corners[-1]) + 3
    text = "".join(f"v {i} {i * i} 0\n" for i in range(total)) + "f 1 2 3\n"
    for start, size in zip(corners, sizes, strict=False):
        text += "f " + " ".join(str(start + i + 1) for i in range(size)) + "\n"
    path.write_text(text)
    expected = [[0, 1, 2]]
    for start, size in zip(corners, sizes, strict=False):
        expected += [[start, start + i + 1, start + i + 2] for i in range(size - 2)]
    assert read_mesh(path).faces.tolist() == expected


def test_obj_indices_may_count_from_the_end(tmp_path):
    (tmp_path / "mesh.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\nv 0 0 1\nf -1//1 -3/1/1 -4\n")
    assert read_mesh(tmp_path / "mesh.obj").faces.tolist() == [[0, 1, 2], [3, 1, 0]]


@pytest.mark.parametrize(
    ("faces", "note"),
    [
        (sphere().faces[1:], "not closed: 3 edges"),
        (sphere().faces[:, ::-1], "look inwards"),
        (np.vstack([sphere().faces[:1, ::-1], sphere().faces[1:]]), "disagree about the outside at 3 edges"),
        (np.vstack([sphere().faces, [[0, 0, 1]]]), "1 of 321 faces have no area"),
    ],
)
def test_odd_meshes_are_noted(tmp_path, faces, note):
    write_mesh(tmp_path / "mesh.ply", sphere().vertices, np.ascontiguousarray(faces))
    assert any(note in text for text in read_mesh(tmp_path / "mesh.ply").notes)


@pytest.mark.parametrize(
    ("name", "vertices", "faces", "closed"),
    [
        ("spot/spot.obj", 2930, 5856, True),
        ("pts_with_normals/bunny.off", 3485, 6966, True),
        ("genus6/genus6.ply", 1200, 2420, True),
        ("../sequences/horse_gallop/0001.obj", 8431, 16843, False),
    ],
)
def test_real_meshes(shapes, name, vertices, faces, closed):
    mesh = read_mesh(shapes / name)
    assert (len(mesh.vertices), len(mesh.faces), mesh.is_closed) == (vertices, faces, closed)
    assert mesh.volume > 0 and (closed or "not closed" in mesh.notes[0])
