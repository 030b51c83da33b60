"""Whatever is wrong with a file, the answer is one UserError that names it; nothing is allocated on its word."""

import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralfw.errors import UserError
from neuralfw.geometry import POINT_CLOUD_ENDINGS, clean, read_mesh, read_point_cloud, write_mesh, write_points

PCD = "VERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH {n}\nHEIGHT 1\nPOINTS {n}\nDATA {how}\n"
PLY = "ply\nformat {how} 1.0\nelement vertex {n}\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
FACES = PLY.replace("end_header", "element face {f}\nproperty list uchar int vertex_indices\nend_header")
TRIANGLE = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
HUGE = 10**15


def refuse(path, says, read=read_point_cloud):
    tracemalloc.start()
    with pytest.raises(UserError, match=says) as refusal:
        read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(path.name) in str(refusal.value)
    assert peak < 20e6


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("empty.pts", "", "no points"),
        ("comments.xyz", "# nothing\n\n", "no points"),
        ("word.pts", "1 2 3\n4 five 6\n", r"line 2: 'five' is not a number"),
        ("words.txt", "hello world\n", r"line 1: 'hello' is not a number"),
        ("ragged.pts", "# c\n1 2 3\n4 5\n", r"line 3: 2 columns, but the first line of data has 3"),
        ("narrow.xyz", "1 2\n3 4\n", "2 columns"),
        ("wide.xyz", "1 2 3 4 5 6 7 8 9 10 11 12\n" * 3, "12 columns"),
        ("doubtful.xyz", "0 0 0 -3 1 1 1 -5 1\n" * 3, "look like normals"),
        ("names.csv", "x,y,z\n1,2\n", "names 3 columns"),
        ("count.pcd", PCD.format(n=HUGE, how="binary"), "promises"),
        ("count.pcd", PCD.format(n=HUGE, how="ascii") + "1 2 3\n", "promises"),
        ("short.pcd", PCD.format(n=2, how="binary_compressed") + "\1\0\0\0\30\0\0\0\0", "corrupt"),
        ("cut.pcd", PCD.format(n=2, how="binary_compressed") + "\1", "promises"),
        ("word.pcd", PCD.format(n=1, how="ascii") + "1 2 x", "not a number"),
        ("fields.pcd", PCD.format(n=1, how="ascii").replace("x y z", "a b c") + "1 2 3", "no fields x, y and z"),
        ("sizes.pcd", PCD.format(n=1, how="ascii").replace("SIZE 4 4 4", "SIZE 4 4"), "differ in length"),
        ("types.pcd", PCD.format(n=1, how="binary").replace("SIZE 4", "SIZE 3"), "SIZE 3"),
        ("wide.pcd", PCD.format(n=1, how="binary").replace("COUNT 1", f"COUNT {HUGE}"), "COUNT"),
        ("head.pcd", "FIELDS x y z\n", "not a PCD"),
        ("zero.pcd", PCD.format(n=0, how="ascii"), "0 points"),
        ("head.ply", "hello", "not a PLY"),
        ("count.ply", PLY.format(n=HUGE, how="binary_little_endian") + "abc", "truncated"),
        ("count.ply", PLY.format(n=HUGE, how="ascii") + "1 2 3\n", "truncated"),
        ("digits.ply", PLY.format(n=10**30, how="ascii"), "not understood"),
        ("minus.ply", PLY.format(n=-1, how="ascii"), "not understood"),
        ("format.ply", PLY.format(n=1, how="binary_middle_endian"), "not understood"),
        ("twice.ply", PLY.format(n=1, how="ascii").replace("float y", "float x"), "not understood"),
        ("noxyz.ply", PLY.format(n=1, how="ascii").replace("float z", "float w") + "1 2 3", "x, y and z"),
        ("none.ply", PLY.format(n=0, how="ascii"), "no points"),
        ("word.ply", PLY.format(n=1, how="ascii") + "1 2 x", "not a number"),
        ("faces.ply", FACES.format(n=3, f=HUGE, how="ascii") + "0 0 0 1 0 0 0 1 0 3 0 1 2 4 0 1 2 2", "truncated"),
        ("list.ply", FACES.format(n=1, f=1, how="ascii") + "0 0 0 1e9 0", "truncated"),
        ("list.ply", FACES.format(n=1, f=1, how="ascii") + "0 0 0 1.5 0 0", "length 1.5"),
        ("index.ply", FACES.format(n=3, f=1, how="ascii") + "0 0 0 1 0 0 0 1 0 3 0 1 3", "outside 0..2"),
        ("nan.ply", FACES.format(n=3, f=1, how="ascii") + "0 0 0 1 0 0 0 nan 0 3 0 1 2", "not finite"),
        ("index.obj", "v 0 0 0\nf 1 2 3\n", "outside 0..0"),
        ("zero.obj", "v 0 0 0\nf 0 1 1\n", "line 2"),
        ("word.obj", "v 0 0 x\n", "not a number"),
        ("narrow.obj", "v 0 0\n", "must all hold"),
        ("far.obj", "v 0 0 0\nf 1 1 99999999999999999999999999\n", "line 2"),
        ("head.off", "COFFEE\n", "not an OFF"),
        ("count.off", f"OFF\n{HUGE} {HUGE} 0\n0 0 0\n", "truncated"),
        ("size.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n4 0 1 2\n", "as many corners"),
        ("word.off", "OFF\nthree 1 0\n", "numbers of vertices and faces"),
        ("head.stl", "hello", "no STL"),
        ("count.stl", "x" * 80 + "\xff\xff\xff\x7f", "truncated"),
        ("cut.stl", "solid s\nvertex 0 0 0\nvertex 1 0 0\n", "truncated"),
        ("flat.stl", "solid s\n" + "vertex 0 0 0\n" * 3, "no face has an area"),
        ("head.npy", "hello", "NumPy"),
        ("head.npz", "hello", "NumPy archive"),
        ("known.plyy", "", r"Did you mean \.ply\?"),
    ],
)
def test_a_faulty_file_is_explained(tmp_path, name, text, says):
    path = tmp_path / name
    path.write_bytes(text.encode("latin-1"))
    refuse(path, says)


def test_a_misspelt_path_names_its_neighbour(tmp_path):
    write_points(tmp_path / "bunny.pts", np.eye(3))
    refuse(tmp_path / "buny.pts", r"Did you mean bunny\.pts\?")
    refuse(tmp_path / "nowhere" / "bunny.pts", "no folder")
    (tmp_path / "folder.ply").mkdir()
    refuse(tmp_path / "folder.ply", "not a file")


def test_objects_and_bombs_in_numpy_files_are_refused(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refuse(tmp_path / "objects.npy", "pickle|[Oo]bject")
    np.savez(tmp_path / "objects.npz", points=np.array([{"a": 1}], dtype=object))
    refuse(tmp_path / "objects.npz", "pickle|[Oo]bject")
    np.save(tmp_path / "small.npy", np.zeros((4, 3)))
    data = (tmp_path / "small.npy").read_bytes()
    inflated = data.replace(b"(4, 3), }" + b" " * 12, b"(4000000000000, 3), }")
    assert len(inflated) == len(data)
    (tmp_path / "count.npy").write_bytes(inflated)
    refuse(tmp_path / "count.npy", "NumPy array")
    with zipfile.ZipFile(tmp_path / "count.npz", "w") as archive:
        archive.writestr("points.npy", inflated)
    refuse(tmp_path / "count.npz", "announces")
    np.save(tmp_path / "text.npy", np.array([["a", "b", "c"]]))
    refuse(tmp_path / "text.npy", "must be numbers")
    np.savez(tmp_path / "keys.npz", left=np.eye(3), right=np.eye(3))
    refuse(tmp_path / "keys.npz", "an array 'points'")
    np.savez(tmp_path / "rows.npz", points=np.eye(3), normals=np.eye(3)[:2])
    refuse(tmp_path / "rows.npz", "3 points")


@pytest.mark.parametrize(
    ("text", "says"),
    [("v 0 0 0\nv 1 0 0\n", "no faces"), ("v 0 0 0\nv 1 0 0\nv 0 inf 0\nf 1 2 3\n", "not finite")],
)
def test_no_mesh_is_no_mesh(tmp_path, text, says):
    (tmp_path / "mesh.obj").write_text(text)
    refuse(tmp_path / "mesh.obj", says, read_mesh)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """One valid file of every kind, to be damaged."""
    folder = tmp_path_factory.mktemp("samples")
    points = np.random.default_rng(0).normal(size=(12, 3))
    for ending in (".ply", ".npz", ".xyz", ".pts"):
        write_points(folder / f"a{ending}", points, normals=points)
    np.save(folder / "a.npy", points)
    (folder / "b.txt").write_text("x,y,z\n" + "1,2,3\n" * 9)
    (folder / "b.csv").write_text("x,y,z\n" + "1,2,3\n" * 9)
    (folder / "b.pcd").write_bytes(PCD.format(n=12, how="binary").encode() + points.astype("<f4").tobytes())
    (folder / "c.pcd").write_bytes(PCD.format(n=3, how="ascii").encode() + b"1 2 3\n" * 3)
    for ending in (".obj", ".stl", ".ply"):
        write_mesh(folder / f"m{ending}", TRIANGLE, np.array([[0, 1, 2]]))
    (folder / "m.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    (folder / "f.ply").write_text(FACES.format(n=3, f=2, how="ascii") + "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n4 0 1 2 2\n")
    files = sorted(folder.iterdir())
    assert {f.suffix for f in files} == set(POINT_CLOUD_ENDINGS)
    return [(f.suffix, f.read_bytes()) for f in files]


@given(data=st.data())
@settings(max_examples=400)
def test_damage_never_escapes_as_anything_but_a_user_error(tmp_path_factory, samples, data):
    ending, content = data.draw(st.sampled_from(samples))
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, max(len(damaged) - 1, 0)))
        match data.draw(st.sampled_from(["cut", "flip", "insert", "delete"])):
            case "cut":
                del damaged[at:]
            case "flip" if damaged:
                damaged[at] = data.draw(st.integers(0, 255))
            case "insert":
                damaged[at:at] = data.draw(st.binary(max_size=8) | st.sampled_from([b"nan", b" 9999999999 ", b"-1 "]))
            case "delete":
                del damaged[at : at + data.draw(st.integers(1, 30))]
    path = tmp_path_factory.getbasetemp() / f"damaged{ending}"
    path.write_bytes(damaged)
    try:
        cloud = read_point_cloud(path, samples=20)
    except UserError as error:
        assert path.name in str(error)
        return
    try:
        cleaned = clean(cloud)
    except UserError as error:
        assert "usable points" in str(error)
    else:
        assert np.isfinite(cleaned.points).all() and 8 <= len(cleaned) <= len(cloud)
