"""Every point-cloud format reads back what was written, in full precision, by writers independent of the readers."""

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuralfw.errors import UserError
from neuralfw.geometry import read_point_cloud, write_points
from neuralfw.geometry.pcd import lzf_decompress

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(40, 3)) + np.array([512183.0, 5403259.0, 316.0])
NORMALS = (lambda n: n / np.linalg.norm(n, axis=1, keepdims=True))(RNG.normal(size=(40, 3)))
COLORS = RNG.integers(0, 256, (40, 3))

finite = st.floats(-1e9, 1e9, allow_subnormal=False)


def text_table(*columns, separator=" "):
    return "".join(separator.join(repr(v) for v in row) + "\n" for row in np.hstack(columns).tolist())


@pytest.mark.parametrize("ending", [".ply", ".npz", ".xyz", ".pts"])
@given(points=arrays(np.float64, (9, 3), elements=finite))
@settings(max_examples=20)
def test_written_points_read_back_bit_for_bit(tmp_path_factory, ending, points):
    path = tmp_path_factory.getbasetemp() / f"cloud{ending}"
    write_points(path, points, normals=NORMALS[:9], colors=COLORS[:9] / 255)
    cloud = read_point_cloud(path)
    assert np.array_equal(cloud.points, points)
    assert np.array_equal(cloud.normals, NORMALS[:9])
    np.testing.assert_allclose(cloud.colors, COLORS[:9] / 255, atol=1e-12)


@pytest.mark.parametrize(
    ("columns", "normals", "colors"),
    [
        ([POINTS], False, False),
        ([POINTS, RNG.uniform(0, 2000, (40, 1))], False, False),
        ([POINTS, NORMALS], True, False),
        ([POINTS, 7.0 * NORMALS], True, False),
        ([POINTS, COLORS], False, True),
        ([POINTS, COLORS / 255], False, True),
        ([POINTS, RNG.integers(-2000, 2000, (40, 1)), COLORS], False, True),
        ([POINTS, NORMALS, RNG.uniform(0, 9, (40, 1))], True, False),
        ([POINTS, NORMALS, COLORS], True, True),
        ([POINTS, COLORS, NORMALS], True, True),
    ],
)
@pytest.mark.parametrize("form", ["text", "npy"])
def test_columns_after_xyz_are_recognised(tmp_path, columns, normals, colors, form):
    if form == "npy":
        np.save(tmp_path / "cloud.npy", np.hstack(columns))
        cloud = read_point_cloud(tmp_path / "cloud.npy")
    else:
        (tmp_path / "cloud.xyz").write_text(text_table(*columns))
        cloud = read_point_cloud(tmp_path / "cloud.xyz")
    assert np.array_equal(cloud.points, POINTS)
    assert (cloud.normals is not None) == normals
    assert (cloud.colors is not None) == colors
    if normals:
        length = np.linalg.norm(cloud.normals, axis=1, keepdims=True)
        np.testing.assert_allclose(cloud.normals / length, NORMALS, atol=1e-12)
    if colors:
        np.testing.assert_allclose(cloud.colors, COLORS / 255, atol=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "1 2 3\n4 5 6\n7 8 9\n",
        "3\n1 2 3\n4 5 6\n7 8 9",
        "\ufeff1 2 3\r\n4 5 6\r\n7 8 9\r\n",
        "# made by hand\n\n1\t2\t3\n// note\n  4   5 6  # inline\n% end\n7 8 9\n\n",
        "1,2,3\n4, 5, 6\n7,8,9\n",
        "1;2;3\n4;5;6\n7;8;9\n",
        "x,y,z\n1,2,3\n4,5,6\n7,8,9\n",
        "id z y x intensity\n0 3 2 1 9\n1 6 5 4 9\n2 9 8 7 9\n",
        "1e0 +2. 3.0\n4 5 6\n7 8 9\n",
    ],
)
@pytest.mark.parametrize("ending", [".pts", ".txt", ".csv"])
def test_habits_of_text_files(tmp_path, text, ending):
    path = tmp_path / f"cloud{ending}"
    path.write_bytes(text.encode())
    assert np.array_equal(read_point_cloud(path).points, np.arange(1.0, 10.0).reshape(3, 3))


def test_a_wrong_count_line_is_noted(tmp_path):
    (tmp_path / "cloud.pts").write_text("5\n1 2 3\n4 5 6\n")
    assert read_point_cloud(tmp_path / "cloud.pts").notes == ("the first line promises 5 points, 2 were found",)


PLY_TYPES = {"f8": "double", "f4": "float", "u1": "uchar", "i4": "int"}


def ply(columns, order, faces=()):
    """A PLY file written property by property, with an element before and one after the vertices."""
    name = {"=": "ascii", "<": "binary_little_endian", ">": "binary_big_endian"}[order]
    head = f"ply\nformat {name} 1.0\ncomment by hand\nelement camera 2\nproperty float f\n"
    head += f"element vertex {len(next(iter(columns.values())))}\n"
    head += "".join(f"property {PLY_TYPES[c.dtype.str[1:]]} {n}\n" for n, c in columns.items())
    head += f"element face {len(faces)}\nproperty list uchar int vertex_indices\nproperty uchar flags\nend_header\n"
    if order == "=":
        rows = [[0.5], [0.5], *(list(row) for row in zip(*(c.tolist() for c in columns.values()), strict=True))]
        rows += [[len(face), *face, 7] for face in faces]
        return (head + "".join(" ".join(map(repr, row)) + "\n" for row in rows)).encode()
    body = struct.pack(order + "2f", 0.5, 0.5)
    for row in zip(*columns.values(), strict=True):
        body += b"".join(np.array([v], v.dtype.newbyteorder(order)).tobytes() for v in row)
    for face in faces:
        body += struct.pack(f"{order}B{len(face)}iB", len(face), *face, 7)
    return head.encode() + body


@pytest.mark.parametrize("order", ["=", "<", ">"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_ply_in_every_encoding(tmp_path, order, dtype):
    columns = dict(zip(("x", "y", "z"), POINTS.T.astype(dtype), strict=True))
    columns |= zip(("nx", "ny", "nz"), NORMALS.T.astype(dtype), strict=True)
    columns |= zip(("red", "green", "blue"), COLORS.T.astype(np.uint8), strict=True)
    (tmp_path / "cloud.ply").write_bytes(ply(columns, order))
    cloud = read_point_cloud(tmp_path / "cloud.ply")
    assert np.array_equal(cloud.points, POINTS.astype(dtype))
    assert np.array_equal(cloud.normals, NORMALS.astype(dtype))
    np.testing.assert_allclose(cloud.colors, COLORS / 255, atol=1e-12)


def lzf_compress(data):
    """LibLZF's format from its documentation: greedy matches of 3 to 264 bytes at most 8192 back, else literals."""
    out, literals, table, i = bytearray(), bytearray(), {}, 0

    def flush():
        while literals:
            run = literals[:32]
            out.append(len(run) - 1)
            out.extend(run)
            del literals[:32]

    while i < len(data):
        key = data[i : i + 3]
        start = table.get(key, -1)
        table[key] = i
        if len(key) == 3 and start >= 0 and i - start <= 8192:
            length = 3
            while length < 264 and i + length < len(data) and data[start + length] == data[i + length]:
                length += 1
            flush()
            distance = i - start - 1
            if length - 2 < 7:
                out.append((length - 2) << 5 | distance >> 8)
            else:
                out.extend([7 << 5 | distance >> 8, length - 2 - 7])
            out.append(distance & 255)
            i += length
        else:
            literals.append(data[i])
            i += 1
    flush()
    return bytes(out)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=40), st.integers(1, 300))
def test_lzf_undoes_an_independent_compressor(parts, repeats):
    data = b"".join(parts) * repeats
    data = data[:20000]
    assert lzf_decompress(lzf_compress(data), len(data)) == data


@given(st.binary(max_size=300), st.integers(0, 1000))
def test_lzf_never_yields_another_size(garbage, size):
    with contextlib.suppress(ValueError):
        assert len(lzf_decompress(garbage, size)) == size


def pcd(columns, encoding, viewpoint="0 0 0 1 0 0 0"):
    """A PCD file with a padding field of three floats between the others."""
    n = len(next(iter(columns.values())))
    columns = dict(list(columns.items())[:3]) | {"_": np.zeros((n, 3), np.float32)} | dict(list(columns.items())[3:])
    kinds = {"f": "F", "u": "U", "i": "I"}
    head = "# .PCD v0.7\nVERSION 0.7\nFIELDS " + " ".join(columns)
    head += "\nSIZE " + " ".join(str(c.dtype.itemsize) for c in columns.values())
    head += "\nTYPE " + " ".join(kinds[c.dtype.kind] for c in columns.values())
    head += "\nCOUNT " + " ".join(str(c.shape[1] if c.ndim > 1 else 1) for c in columns.values())
    head += f"\nWIDTH {n}\nHEIGHT 1\nVIEWPOINT {viewpoint}\nPOINTS {n}\nDATA {encoding}\n"
    if encoding == "ascii":
        rows = zip(*(np.atleast_2d(c.T).T.tolist() for c in columns.values()), strict=True)
        return (head + "".join(" ".join(repr(v) for cell in row for v in cell) + "\n" for row in rows)).encode()
    if encoding == "binary":
        return head.encode() + b"".join(b"".join(c[i].tobytes() for c in columns.values()) for i in range(n))
    raw = b"".join(c.tobytes() for c in columns.values())
    packed = lzf_compress(raw)
    return head.encode() + struct.pack("<II", len(packed), len(raw)) + packed


@pytest.mark.parametrize("encoding", ["ascii", "binary", "binary_compressed"])
@pytest.mark.parametrize("packed_as", [np.uint32, np.float32])
def test_pcd_in_every_encoding(tmp_path, encoding, packed_as):
    red, green, blue = COLORS.T.astype(np.uint32)
    rgb = (red << 16 | green << 8 | blue).view(packed_as)
    columns = dict(zip(("x", "y", "z"), POINTS.T.copy(), strict=True)) | {"rgb": rgb}
    columns |= zip(("normal_x", "normal_y", "normal_z"), NORMALS.T.copy(), strict=True)
    (tmp_path / "cloud.pcd").write_bytes(pcd(columns, encoding, "1 2 3 1 0 0 0"))
    cloud = read_point_cloud(tmp_path / "cloud.pcd")
    assert np.array_equal(cloud.points, POINTS)
    assert np.array_equal(cloud.normals, NORMALS)
    assert np.array_equal(cloud.colors, COLORS / 255)
    assert cloud.viewpoint.tolist() == [1, 2, 3]


def test_npz_keys(tmp_path):
    np.savez(tmp_path / "a.npz", points=POINTS.astype(np.float32), normals=NORMALS, colors=COLORS.astype(np.uint8))
    cloud = read_point_cloud(tmp_path / "a.npz")
    assert np.array_equal(cloud.points, POINTS.astype(np.float32)) and np.array_equal(cloud.colors, COLORS / 255)
    np.savez(tmp_path / "b.npz", np.hstack([POINTS, NORMALS]))
    assert np.array_equal(read_point_cloud(tmp_path / "b.npz").normals, NORMALS)


SQUARE = np.array([[0.0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0]])


@pytest.mark.parametrize("ending", [".ply", ".obj", ".off", ".stl"])
def test_a_mesh_is_sampled_uniformly_in_area(tmp_path, ending):
    path = tmp_path / f"square{ending}"
    if ending == ".ply":
        path.write_bytes(ply(dict(zip("xyz", SQUARE.T, strict=True)), "<", [[0, 1, 2, 3]]))
    elif ending == ".obj":
        path.write_text("v 0 0 0\nv 2 0 0\nv 2 1 0\nv 0 1 0\nvn 0 0 1\nvt 0 0\nf 1/1/1 2/1/1 3/1/1 4/1/1\n")
    elif ending == ".off":
        path.write_text("OFF\n# square\n4 1 0\n0 0 0\n2 0 0\n2 1 0\n0 1 0\n4 0 1 2 3 255 0 0\n")
    else:
        facets = ((0, 1, 2), (0, 2, 3))
        lines = ["vertex " + " ".join(map(str, SQUARE[i])) for facet in facets for i in facet]
        path.write_text("solid s\n" + "\n".join(lines) + "\nendsolid")
    cloud = read_point_cloud(path, samples=20000, seed=1)
    assert len(cloud) == 20000 and "uniform in area" in cloud.notes[-1]
    assert np.array_equal(cloud.normals, np.tile([0.0, 0, 1], (20000, 1)))
    counts, _, _ = np.histogram2d(cloud.points[:, 0], cloud.points[:, 1], bins=(8, 4), range=((0, 2), (0, 1)))
    assert counts.sum() == 20000
    assert np.abs(counts - 625).max() < 5 * 25
    assert np.array_equal(read_point_cloud(path, samples=20000, seed=1).points, cloud.points)
    assert not np.array_equal(read_point_cloud(path, samples=20000, seed=2).points, cloud.points)


def test_an_obj_without_faces_is_a_cloud(tmp_path):
    (tmp_path / "cloud.obj").write_text("v 1 2 3 1 0 0\nv 4 5 6 0 1 0\n")
    cloud = read_point_cloud(tmp_path / "cloud.obj")
    assert cloud.points.tolist() == [[1, 2, 3], [4, 5, 6]] and cloud.colors.tolist() == [[1, 0, 0], [0, 1, 0]]


REAL = {
    "kinect_milk/milk.pcd": (12575, False, True),
    "lidar_samp31/samp31-utm.pcd": (28862, False, False),
    "srb_anchor/scan/anchor.ply": (85127, True, False),
    "pts_with_normals/bunny-1000.pts": (1002, True, False),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(shapes, name):
    cloud = read_point_cloud(shapes / name)
    count, normals, colors = REAL[name]
    assert (len(cloud), cloud.normals is not None, cloud.colors is not None) == (count, normals, colors)


@pytest.mark.parametrize(
    ("folder", "pcd_name", "ply_name", "shift"),
    [
        ("kinect_milk", "milk.pcd", "milk.ply", (0, 0, 0)),
        ("lidar_samp31", "samp31-utm.pcd", "samp31-utm.ply", (512183, 5403259, 316)),
    ],
)
def test_compressed_pcd_equals_its_published_ply_copy(shapes, folder, pcd_name, ply_name, shift):
    from_pcd = read_point_cloud(shapes / folder / pcd_name)
    from_ply = read_point_cloud(shapes / folder / ply_name)
    np.testing.assert_allclose(from_pcd.points - shift, from_ply.points, atol=2e-5)
    if from_ply.colors is not None:
        assert np.array_equal(from_pcd.colors, from_ply.colors)


def test_writing_keeps_the_old_file_when_it_fails(tmp_path):
    write_points(tmp_path / "cloud.xyz", POINTS)
    before = (tmp_path / "cloud.xyz").read_bytes()
    with pytest.raises(UserError, match="Did you mean"):
        write_points(tmp_path / "cloud.xyzz", POINTS)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_points(tmp_path / "file" / "cloud.ply", POINTS)
    assert (tmp_path / "cloud.xyz").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cloud.xyz", "file"]
