"""Bad input: one clear UserError each, whatever is damaged; nothing else is raised, nothing large is allocated."""

import json
import struct
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from neuralfw.errors import UserError
from neuralfw.photos import json_file, read_capture
from neuralfw.photos.colmap_files import read_cameras, read_images, read_points
from neuralfw.photos.pictures import read_mask, read_picture

from . import scenes

CAMERAS = scenes.ring(3)
IMAGES = scenes.pictures(CAMERAS)
QUIET = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)


def _refused(folder, message, format=None, **options):
    with pytest.raises(UserError, match=message):
        read_capture(folder, format, **options)


# -- each format ---------------------------------------------------------------------------------------------------


def test_images_that_are_missing(tmp_path):
    scenes.write_colmap(tmp_path, CAMERAS, IMAGES)
    _refused(tmp_path, "has no images: a folder photos was expected", images="photos")
    (tmp_path / "images" / "001.png").unlink()
    _refused(tmp_path, r"001.png has a pose, but .* does not exist")
    blender = tmp_path / "blender"
    scenes.write_blender(blender, CAMERAS, IMAGES)
    for path in (blender / "train").iterdir():
        path.unlink()
    _refused(blender, r"none of its 3 images exists; the first is \./train/r_0")
    idr = tmp_path / "idr"
    scenes.write_idr(idr, CAMERAS, IMAGES)
    (idr / "image" / "002.png").unlink()
    _refused(idr, "has 3 cameras, but there are 2 images")
    _refused(idr, "no images: a folder rgb was expected", images="rgb")


def test_poses_of_other_images(tmp_path):
    scenes.write_colmap(tmp_path, CAMERAS, [np.zeros((18, 31, 3), np.uint8)] * 3)
    _refused(tmp_path, "has 31 x 18 pixels, but its camera .* has 24 x 18.*poses belong to other images")


def test_masks_that_do_not_match(tmp_path):
    scenes.write_idr(tmp_path, CAMERAS, IMAGES, [image[..., 3] for image in IMAGES[:2]])
    _refused(tmp_path, "has 2 masks, but there are 3 images")
    with pytest.raises(UserError, match=r"the mask .* is of another size"):
        read_mask(tmp_path / "mask" / "000.png", (24, 30))


@pytest.mark.parametrize("change", ["nan", "mirror", "singular", "shape", "skew", "scale"])
def test_cameras_of_idr(tmp_path, change):
    scenes.write_idr(tmp_path, CAMERAS, IMAGES)
    file = tmp_path / "cameras_sphere.npz"
    arrays = dict(np.load(file))
    world = arrays["world_mat_0"]
    match change:
        case "nan":
            world[0, 0] = np.nan
            message = "world_mat_0: the projection matrix holds numbers that are not finite"
        case "mirror":
            arrays["world_mat_0"] = np.diag([2.0, -2.0, 1.0, 1.0])
            message = ""
        case "singular":
            world[1] = world[0]
            message = "singular"
        case "shape":
            arrays["world_mat_0"] = np.eye(3)
            message = r"world_mat_0 has shape \(3, 3\)"
        case "skew":
            arrays["world_mat_0"] = np.array([[9.0, 4, 0, 0], [0, 9, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
            message = "skewed by 4"
        case "scale":
            arrays["scale_mat_0"] = np.diag([1.0, 2.0, 1.0, 1.0])
            message = "scale_mat_0 must scale by one positive number"
    np.savez(file, **arrays)
    if message:
        _refused(tmp_path, message)
    else:
        assert read_capture(tmp_path).views[0].camera.fy > 0.0


def test_archives_that_would_execute(tmp_path):
    scenes.write_idr(tmp_path, CAMERAS, IMAGES)
    np.savez(tmp_path / "cameras_sphere.npz", world_mat_0=np.array([print], dtype=object))
    _refused(tmp_path, "cannot be read as a NumPy archive")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transform_matrix": [[1.0, 2.0]]}, "must be a matrix of 4 x 4 numbers"),
        ({"transform_matrix": [["a"] * 4] * 4}, "must be a matrix"),
        ({"transform_matrix": (2.0 * np.eye(4)).tolist()}, "no rotation"),
        ({"transform_matrix": [[float("nan")] * 4] * 4}, "not finite"),
        ({"transform_matrix": [[1e300] * 4] * 4}, "no rotation"),
        ({"file_path": 7}, "'file_path' must be text"),
        ({"file_path": "images/\0"}, "'file_path' must be text"),
        ({"camera_model": "EQUIRECTANGULAR"}, "camera model EQUIRECTANGULAR is not known"),
        ({"k4": 0.1}, "k4 belongs to fisheye"),
        ({"fl_x": "wide"}, "'fl_x' must be a finite number"),
        ({"fl_x": 0.0, "fl_y": 0.0}, "no focal length"),
        ({"w": -3}, "no size of an image"),
        ({"w": 1e9}, "no size of an image"),
    ],
)
def test_frames_of_transforms(tmp_path, change, message):
    scenes.write_transforms(tmp_path, CAMERAS, IMAGES)
    file = tmp_path / "transforms.json"
    document = json.loads(file.read_text())
    document["frames"][1] |= change
    file.write_text(json.dumps(document))
    _refused(tmp_path, message)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"frames": 3}', '{"frames": [1]}', '{"frames": []}', "\xff\xfe"])
def test_json_that_is_something_else(tmp_path, text):
    (tmp_path / "transforms.json").write_bytes(text.encode("latin-1"))
    _refused(tmp_path, r"transforms\.json")


def test_middlebury_and_llff(tmp_path):
    scenes.write_middlebury(tmp_path, CAMERAS, IMAGES)
    file = tmp_path / "ball_par.txt"
    good = file.read_text()
    file.write_text(good.replace("3\n", "4\n", 1))
    _refused(tmp_path, "first line must be the number of images, and it has 3")
    file.write_text("1\nball0000.png 1 2 x\n")
    _refused(tmp_path, "9 numbers of K")
    file.write_text(good.replace("ball0001.png", "other.png"))
    _refused(tmp_path, r"other\.png does not exist")
    llff = tmp_path / "llff"
    scenes.write_llff(llff, CAMERAS, IMAGES)
    np.save(llff / "poses_bounds.npy", np.zeros((3, 12)))
    _refused(llff, r"shape \(n, 17\)")
    np.save(llff / "poses_bounds.npy", np.zeros((2, 17)))
    _refused(llff, "has 2 poses, but there are 3 images")
    np.save(llff / "poses_bounds.npy", np.zeros((3, 17)))
    _refused(llff, "pose 0")


def test_an_image_named_twice(tmp_path):
    scenes.write_transforms(tmp_path, CAMERAS, IMAGES)
    file = tmp_path / "transforms.json"
    document = json.loads(file.read_text())
    document["frames"].append(document["frames"][0])
    file.write_text(json.dumps(document))
    _refused(tmp_path, "images/000.png has two poses")


# -- images --------------------------------------------------------------------------------------------------------


def test_images_that_cannot_be_read(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.png").write_text("no image")
    for name in ("cut.png", "text.png"):
        with pytest.raises(UserError, match=f"{name} cannot be read as an image"):
            read_picture(tmp_path / name, (64, 64))
    with pytest.raises(UserError, match="does not exist"):
        read_picture(tmp_path / "gone.png", (64, 64))


@QUIET
@given(data=st.data())
def test_damaged_images(tmp_path, data):
    path = tmp_path / "a.png"
    Image.fromarray(IMAGES[0]).save(path)
    path.write_bytes(_damaged(data, path.read_bytes()))
    try:
        assert read_picture(path, (24, 18)).shape[:2] == (18, 24)
    except UserError as error:
        assert "a.png" in str(error)


# -- damaged files of COLMAP, and of JSON ----------------------------------------------------------------------------

POINTS, COLORS = scenes.cloud(8)
SEEN = scenes.observations(CAMERAS, POINTS)
NAMES = ["000.png", "001.png", "002.png"]
FILES = {
    **scenes.colmap_binary(CAMERAS, NAMES, POINTS, COLORS, SEEN),
    **scenes.colmap_text(CAMERAS, NAMES, POINTS, COLORS, SEEN),
}
READERS = {"cameras": read_cameras, "images": read_images, "points3D": read_points}


def _damaged(data, whole):
    """Cut, overwrite or insert bytes."""
    kind = data.draw(st.sampled_from(["cut", "overwrite", "insert"]))
    at = data.draw(st.integers(0, max(len(whole) - 1, 0)))
    if kind == "cut":
        return whole[:at]
    new = data.draw(
        st.binary(min_size=1, max_size=12) | st.sampled_from([b"\xff" * 8, b"\0" * 8, b"nan", b"1e999", b"\n"])
    )
    return whole[:at] + new + whole[at + (len(new) if kind == "overwrite" else 0) :]


@pytest.mark.parametrize("name", FILES)
@QUIET
@given(data=st.data())
def test_damaged_files_of_colmap(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(_damaged(data, FILES[name]))
    tracemalloc.start()
    try:
        READERS[name.partition(".")[0]](path)
    except UserError as error:
        assert name in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 3_000_000


@pytest.mark.parametrize("text", [False, True])
@QUIET
@given(data=st.data())
def test_damaged_scenes_of_colmap(tmp_path, text, data):
    if not (tmp_path / "sparse").exists():
        scenes.write_colmap(tmp_path, CAMERAS, IMAGES, text=text)
    victim = data.draw(st.sampled_from(sorted((tmp_path / "sparse" / "0").iterdir())))
    whole = victim.read_bytes()
    victim.write_bytes(_damaged(data, whole))
    try:
        capture = read_capture(tmp_path)
        assert all(np.isfinite(view.camera.world_to_camera).all() for view in capture.views)
    except UserError:
        pass
    finally:
        victim.write_bytes(whole)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("cameras.bin", b"", "the data end in the middle of an entry"),
        ("cameras.bin", struct.pack("<QiiQQ", 1, 7, 99, 24, 18), "model number 99, which is not known"),
        ("cameras.bin", struct.pack("<Q", 2**63), "promises 9223372036854775808 cameras"),
        ("cameras.txt", b"7 PINHOLE 24\n", "line 1: expected CAMERA_ID MODEL"),
        (
            "images.bin",
            struct.pack("<Qi7di", 1, 1, 1, 0, 0, 0, 0, 0, 0, 7) + b"a" * 5000,
            "name of an image has no end",
        ),
        ("images.bin", struct.pack("<Qi7di", 1, 1, 1, 0, 0, 0, 0, 0, 0, 7) + b"a\0" + b"\xff" * 8, "a promises"),
        ("images.txt", b"1 1 0 0 0 0 0 0 7 a.png\n1.0 2.0\n", "line 2: expected POINTS2D"),
        ("points3D.bin", struct.pack("<Qq3d3BdQ", 1, 5, 0, 0, 0, 1, 2, 3, 0.5, 2**60), "point 5 promises a track"),
        ("points3D.txt", b"1 0 0 0 1 2 3\n", "line 1: expected POINT3D_ID"),
    ],
)
def test_messages_about_files_of_colmap(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UserError, match=message):
        READERS[name.partition(".")[0]](path)


def test_colmap_without_images_or_points(tmp_path):
    scenes.write_colmap(tmp_path, CAMERAS, IMAGES)
    model = tmp_path / "sparse" / "0"
    (model / "points3D.bin").write_bytes(struct.pack("<Q", 0))
    capture = read_capture(tmp_path)
    assert capture.points is None and "the model has no points" in capture.notes
    (model / "images.bin").write_bytes(struct.pack("<Q", 0))
    _refused(tmp_path, "no images with poses")
    (model / "images.bin").unlink()
    _refused(tmp_path, r"images\.txt does not exist")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
KEYS = ("file_path", "transform_matrix", "fl_x", "w", "h", "cx", "k1", "camera_angle_x", "time", "mask_path", "frames")


@QUIET
@given(key=st.sampled_from(KEYS), value=JSON, inside=st.booleans())
def test_strange_values_in_transforms(tmp_path, key, value, inside):
    scenes.write_transforms(tmp_path, CAMERAS, IMAGES)
    file = tmp_path / "transforms.json"
    document = json.loads(file.read_text())
    (document["frames"][1] if inside else document)[key] = value
    file.write_text(json.dumps(document))
    try:
        read_capture(tmp_path)
    except UserError as error:
        assert str(tmp_path) in str(error)


@QUIET
@given(path=st.lists(st.integers(0, 3), max_size=5), value=JSON)
def test_strange_values_in_sfm_scene(tmp_path, path, value):
    if not (tmp_path / "inputs").exists():
        scenes.write_neilf(tmp_path, CAMERAS, IMAGES)
        (tmp_path / "good.json").write_bytes((tmp_path / "inputs" / "sfm_scene.json").read_bytes())
    document = json_file.read_object(tmp_path / "good.json")
    node = document
    for step in path:
        children = [*node.items()] if isinstance(node, dict) else []
        if not children:
            break
        parent, (key, node) = node, children[step % len(children)]
    else:
        if path:
            parent[key] = value
    (tmp_path / "inputs" / "sfm_scene.json").write_text(json.dumps(document))
    with suppress(UserError):
        read_capture(tmp_path)
