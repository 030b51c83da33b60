"""Photographs of every format, written in the layout of IDR: read again by our reader and as its own code reads it."""

import numpy as np
import pytest
from PIL import Image
from scipy.linalg import rq

from neuralfw.errors import UserError
from neuralfw.geometry import Camera
from neuralfw.metrics.cameras import camera_errors, centers_of
from neuralfw.photos.convert import Noise, convert
from neuralfw.photos.hull import Hull
from neuralfw.photos.idr import NOISY
from neuralfw.photos.masks import mask_source, parse_box
from neuralfw.photos.pictures import read_mask, read_picture
from neuralfw.photos.sniff import read_capture
from neuralfw.photos.sphere import outside

from . import scenes

CAMERAS = scenes.ring(8, 48, 36, 60.0)
IMAGES = scenes.pictures(CAMERAS)
BLACK = [np.where(image[..., 3:] > 0, image[..., :3], np.uint8(0)) for image in IMAGES]
MASKS = [image[..., 3] for image in IMAGES]


def written(folder, target, masks=None, **options):
    capture = read_capture(folder)
    notes = convert(capture, target, mask_source(capture, masks, options.get("box")), **options)
    return capture, read_capture(target), notes


def blender(folder):
    scenes.write_blender(folder, CAMERAS, IMAGES)


def transforms(folder):
    scenes.write_transforms(folder, CAMERAS, IMAGES)


def idr(folder):
    scenes.write_idr(folder, CAMERAS, BLACK, MASKS)


def colmap(folder):
    scenes.write_colmap(folder, CAMERAS, BLACK)
    scenes.save(folder / "masks_of_mine", MASKS)


SOURCES = {"blender": None, "transforms": "alpha", "idr": None, "colmap": "masks_of_mine"}


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_written_is_read_again(tmp_path, name):
    source, target = tmp_path / "source", tmp_path / "target"
    globals()[name](source)
    masks = SOURCES[name]
    masks = str(source / masks) if name == "colmap" else masks
    before, after, _ = written(source, target, masks)
    assert len(after.views) == len(CAMERAS) and after.frame is not None
    for old, new, mask in zip(before.views, after.views, MASKS, strict=True):
        assert np.allclose(new.camera.world_to_camera, old.camera.world_to_camera, atol=1e-6)
        assert np.allclose(new.camera.intrinsics, old.camera.intrinsics, atol=1e-4)
        size = (48, 36)
        assert np.array_equal(read_picture(new.image, size), read_picture(old.image, size)[..., :3])
        assert np.array_equal(read_mask(new.mask, size), mask)
    assert outside(after.frame, after.cameras, MASKS) is None


def test_it_is_read_as_the_released_code_reads_it(tmp_path):
    """Pose and calibration of world_mat · scale_mat; rays through integer pixels meet the ball where masks are."""
    blender(tmp_path / "source")
    written(tmp_path / "source", tmp_path / "target")
    arrays = np.load(tmp_path / "target" / "cameras.npz")
    scale_mat = arrays["scale_mat_0"].astype(np.float32)
    for index, camera in enumerate(CAMERAS):
        P = (arrays[f"world_mat_{index}"].astype(np.float32) @ scale_mat)[:3].astype(np.float64)
        K, R = rq(P[:, :3])
        signs = np.diag(np.sign(np.diag(K)))
        K, R = K @ signs / K[2, 2] * signs[2, 2], signs @ R
        assert np.allclose(K, camera.matrix - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]], atol=1e-2)
        assert np.allclose(R, camera.world_to_camera[:3, :3], atol=1e-4)
        center = -np.linalg.inv(P[:, :3]) @ P[:, 3]
        assert np.allclose(scale_mat[:3, :3] @ center + scale_mat[:3, 3], camera.center, atol=1e-3)
        mask = np.asarray(Image.open(tmp_path / "target" / "mask" / f"{index:03}.png"))
        assert mask.ndim == 3 and np.array_equal(mask.max(axis=2) > 127.5, MASKS[index] > 127)
        y, x = np.mgrid[:36, :48]
        rays = np.stack([(x - K[0, 2]) / K[0, 0], (y - K[1, 2]) / K[1, 1], np.ones_like(x)], axis=-1) @ R
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        origin, radius = center - (np.zeros(3) - scale_mat[:3, 3]) / scale_mat[0, 0], 1.0 / scale_mat[0, 0]
        meets = (rays @ origin) ** 2 - origin @ origin + radius**2 > 0
        assert (meets == (MASKS[index] > 127)).mean() > 0.999


def test_silhouettes_give_the_normalisation(tmp_path):
    """Of a ball of radius 1: its centre, and three times the mean distance from there, which is 3/4."""
    blender(tmp_path / "source")
    _, after, notes = written(tmp_path / "source", tmp_path / "target")
    assert np.linalg.norm(after.frame.center) < 0.1
    assert 1.0 / after.frame.scale == pytest.approx(2.25, rel=0.15)
    assert any("unit sphere" in note for note in notes)


def test_a_normalisation_that_comes_with_the_photographs_is_kept_unless_the_object_leaves_it(tmp_path):
    idr(tmp_path / "good")
    _, after, notes = written(tmp_path / "good", tmp_path / "kept")
    assert 1.0 / after.frame.scale == pytest.approx(2.0) and "that of the source" in notes[1]
    scenes.write_idr(tmp_path / "bad", CAMERAS, BLACK, MASKS, radius=0.5)
    before, after, _ = written(tmp_path / "bad", tmp_path / "mended")
    assert "look past it" in outside(before.frame, before.cameras, MASKS)
    assert outside(after.frame, after.cameras, MASKS) is None


def test_a_threshold_takes_the_largest_part_without_shadows(tmp_path):
    images = [image.copy() for image in BLACK]
    for image, mask in zip(images, MASKS, strict=True):
        image[mask > 0] = np.maximum(image[mask > 0], 30)
        image[1:3, 1:3] = 200
        middle = np.argwhere(mask > 0).mean(axis=0).astype(int)
        image[tuple(middle)] = 0
    scenes.write_transforms(tmp_path / "source", CAMERAS, images)
    _, after, _ = written(tmp_path / "source", tmp_path / "target", "threshold=18")
    assert all(np.array_equal(read_mask(v.mask, (48, 36)), m) for v, m in zip(after.views, MASKS, strict=True))


def test_a_box_cuts_off_what_lies_outside_of_it(tmp_path):
    blender(tmp_path / "source")
    box = parse_box("-1,-1,-1,1,1,0")
    _, after, _ = written(tmp_path / "source", tmp_path / "target", box=box)
    size = [
        (read_mask(view.mask, (48, 36)) > 127).sum() / (mask > 127).sum()
        for view, mask in zip(after.views, MASKS, strict=True)
    ]
    assert max(size) < 0.9
    masks = [read_mask(view.mask, (48, 36)) for view in after.views]
    assert Hull(after.cameras, masks).bounds[1, 2] < 0.5
    with pytest.raises(UserError, match="six numbers were expected"):
        parse_box("1,1,1,0,0,0")


def test_noise_of_cameras_is_independent_and_of_the_size_asked_for(tmp_path):
    blender(tmp_path / "source")
    for target, seed in (("a", 0), ("again", 0), ("b", 1)):
        written(tmp_path / "source", tmp_path / target, noise=Noise.parse(f"degrees=2, distance=0.02, seed={seed}"))
    noisy = read_capture(tmp_path / "a", cameras=NOISY)
    assert noisy.true_cameras is not None and read_capture(tmp_path / "a").true_cameras is None
    poses, true = (np.stack([c.world_to_camera for c in some]) for some in (noisy.cameras, noisy.true_cameras))
    assert np.allclose(true, [c.world_to_camera for c in CAMERAS], atol=1e-6)
    turns = np.arccos((np.einsum("vij,vij->v", poses[:, :3, :3], true[:, :3, :3]) - 1.0) / 2.0)
    assert np.allclose(np.degrees(turns), 2.0, atol=1e-3)
    moved = centers_of(poses) - centers_of(true)
    distance = np.linalg.norm(centers_of(true) - (0.1, -0.05, 0.02), axis=1)
    assert np.allclose(np.linalg.norm(moved, axis=1) / distance, 0.02, atol=1e-4)
    assert np.abs(np.corrcoef(moved)).mean() < 0.8
    assert 0.5 < camera_errors(poses, true).rotation.mean() < 2.5
    again, other = (read_capture(tmp_path / name, cameras=NOISY).cameras[0].world_to_camera for name in ("again", "b"))
    assert np.array_equal(again, noisy.cameras[0].world_to_camera) and not np.allclose(other, again, atol=1e-3)


def test_rough_poses_need_not_satisfy_every_mask(tmp_path):
    blender(tmp_path / "source")
    written(tmp_path / "source", tmp_path / "target", noise=Noise(degrees=9.0))
    rough = read_capture(tmp_path / "target", cameras=NOISY)
    hull = Hull.agreed(rough.cameras, MASKS)
    assert hull.votes < 1.0 and Hull.agreed(CAMERAS, MASKS).votes == 1.0
    assert hull.explained() > 0.8


@pytest.mark.parametrize("text", ["degree=2", "degrees=two", "degrees=-1", "degrees", "seed=0.5"])
def test_noise_that_is_none(text):
    with pytest.raises(UserError, match="--camera-noise"):
        Noise.parse(text)


def test_masks_that_are_not_there(tmp_path):
    scenes.write_colmap(tmp_path, CAMERAS, BLACK)
    scenes.save(tmp_path / "some", MASKS[:7])
    capture = read_capture(tmp_path)
    for wanted, message in {
        None: "000.png has no mask",
        "alpha": "000.png has no alpha channel",
        "threshold=high": "a number from 0 to 255",
        str(tmp_path / "none"): "a folder of masks was expected",
        str(tmp_path / "some"): "has no mask for 007.png",
    }.items():
        with pytest.raises(UserError, match=message):
            mask_source(capture, wanted)


def test_what_cannot_be_written(tmp_path):
    blender(tmp_path / "source")
    with pytest.raises(UserError, match="source is not empty"):
        written(tmp_path / "source", tmp_path / "source")
    with pytest.raises(UserError, match=r"mask of .*r_0.png is all black"):
        written(tmp_path / "source", tmp_path / "dark", "threshold=255")
    with pytest.raises(UserError, match="different sizes"):
        convert_two_sizes(tmp_path)


def convert_two_sizes(folder):
    images = [image.copy() for image in IMAGES]
    images[3] = np.array(Image.fromarray(images[3]).resize((24, 18)))
    scenes.write_transforms(folder / "two", CAMERAS, images)
    written(folder / "two", folder / "target")


def test_a_camera_looks_at_a_box_from_within():
    from neuralfw.photos.masks import projected

    camera = Camera.look_at((0, 0, 0), (1, 0, 0), (0, 0, 1), focal=20.0, width=8, height=6)
    assert projected(np.array([[-1.0] * 3, [1.0] * 3]), camera).all()


@pytest.mark.parametrize(
    ("behind", "wanted"), [(255, "background=white"), (255, "background=auto"), (40, "background=#283028,20")]
)
def test_masks_by_the_colour_behind_the_object(tmp_path, behind, wanted):
    """Soft noise behind the ball, a stray speck beside it, and a highlight of the background's colour on it."""
    rng = np.random.default_rng(0)
    noisy = []
    for ball, mask in zip(scenes.pictures(CAMERAS), MASKS, strict=True):
        grey = np.clip(behind + rng.integers(-8, 8, (*mask.shape, 1)), 0, 255)
        image = np.where(mask[..., None] > 0, ball[..., :3], grey).astype(np.uint8)
        row, column = np.argwhere(mask > 0).mean(axis=0).astype(int)
        image[0:2, 0:2], image[row, column] = 128, behind
        noisy.append(image)
    scenes.write_colmap(tmp_path, CAMERAS, noisy)
    capture = read_capture(tmp_path)
    masks = mask_source(capture, wanted)
    shares = [((masks(view) > 127) == (mask > 127)).mean() for view, mask in zip(capture.views, MASKS, strict=True)]
    assert min(shares) > 0.98
    middle = [np.argwhere(mask > 0).mean(axis=0).astype(int) for mask in MASKS]
    assert all(
        masks(view)[0, 0] == 0 and masks(view)[tuple(m)] == 255 for view, m in zip(capture.views, middle, strict=True)
    )


@pytest.mark.parametrize("wanted", ["background=", "background=whitish", "background=white,much"])
def test_a_colour_that_is_none(tmp_path, wanted):
    scenes.write_colmap(tmp_path, CAMERAS, scenes.pictures(CAMERAS))
    with pytest.raises(UserError, match="a colour was expected, such as background=white"):
        mask_source(read_capture(tmp_path), wanted)
