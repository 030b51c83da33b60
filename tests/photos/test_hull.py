"""The visual hull, against the ball that made the silhouettes."""

import numpy as np
import pytest

from neuralfw.errors import UserError
from neuralfw.geometry import Camera
from neuralfw.photos.hull import COVERED, Hull, mean_color, seen_box, seen_part

from . import scenes


@pytest.fixture(scope="module")
def around():
    """Cameras on all sides, so that the hull of a ball is nearly the ball, and its masks."""
    directions = np.random.default_rng(1).normal(size=(24, 3))
    directions *= 4.0 / np.linalg.norm(directions, axis=1, keepdims=True)
    up = (0.01, 0.02, 1.0)
    cameras = [Camera.look_at(d, (0, 0, 0), up, focal=80.0, width=64, height=56) for d in directions]
    return cameras, [image[..., 3] for image in scenes.pictures(cameras)]


def test_the_hull_of_a_ball(around):
    hull = Hull(*around, cells=48)
    assert (hull.bounds[0] < -0.95).all() and (hull.bounds[1] > 0.95).all() and np.abs(hull.bounds).max() < 1.25
    points = hull.sample(2000, np.random.default_rng(0))
    radius = np.linalg.norm(points, axis=1)
    assert points.shape == (2000, 3) and radius.max() < 1.2 and radius.min() > 0.7, "near the surface"
    inside = np.array([[0.0, 0, 0], [0.9, 0, 0], [1.3, 0, 0], [0, -3.0, 0]])
    assert hull.contains(inside).tolist() == [True, True, False, False]


def test_points_project_into_every_silhouette(around):
    cameras, masks = around
    points = Hull(cameras, masks, cells=48).sample(500, np.random.default_rng(0))
    for camera, mask in zip(cameras, masks, strict=True):
        pixels, depth = camera.project(points)
        assert camera.sees(pixels, depth).all()
        x, y = pixels.astype(int).T
        assert (mask[y, x] >= COVERED).all()


def test_what_only_some_images_show_is_judged_by_them():
    """A camera that looks past the object does not carve it away, as long as half of the cameras see it."""
    cameras = scenes.ring(8, 48, 40, 60.0)
    masks = [image[..., 3] for image in scenes.pictures(cameras)]
    aside = Camera.look_at((0, 0, 5), (6, 0, 0), (0, 1, 0), focal=60.0, width=48, height=40)
    hull = Hull([*cameras, aside], [*masks, np.zeros((40, 48), np.uint8)], cells=32)
    assert hull.contains(np.zeros((1, 3))).all()


def test_within_a_box(around):
    box = np.array([[-1.1, -1.1, -1.1], [1.1, 1.1, 0.0]])
    hull = Hull(*around, within=box, cells=32)
    assert hull.bounds[1, 2] <= 0.0 and hull.bounds[0, 2] < -0.9


def test_the_box_that_cameras_see():
    low, high = seen_box(scenes.ring())
    assert (low < -0.5).all() and (high > 0.5).all() and max(np.abs(low).max(), np.abs(high).max()) < 4.5


def test_the_part_of_a_box_that_a_share_of_the_cameras_see():
    """Two cameras side by side look along z, 90 degrees wide: at depth 1 they share x from 0.5 to 1, from 0 to 1.5."""
    cameras = [
        Camera.look_at((x, 0, 0), (x, 0, 1), (0, -1, 0), focal=20.0, width=40, height=40) for x in (0.0, 0.0, 1.5)
    ]
    box = np.array([[-3.0, -0.1, 0.9], [3.0, 0.1, 1.0]])
    for share, left, right in ((0.3, -1.0, 2.5), (0.6, -1.0, 1.0), (1.0, 0.5, 1.0)):
        (low, high) = seen_part(cameras, box, share)
        assert abs(low[0] - left) < 0.15 and abs(high[0] - right) < 0.15
        assert np.allclose(low[1:], box[0, 1:]) and np.allclose(high[1:], box[1, 1:])


def test_masks_of_other_images():
    cameras = scenes.ring(4, 24, 18)
    masks = [np.zeros((18, 24), np.uint8) for _ in cameras]
    masks[0][:4, :4] = masks[2][-4:, :4] = 255
    with pytest.raises(UserError, match="masks and poses do not match"):
        Hull(cameras, masks, cells=24)


def test_colours_of_points(around):
    cameras, _ = around
    images = [image[..., :3] for image in scenes.pictures(cameras, alpha=False)]
    white = [np.full_like(image, 255) for image in images]
    assert np.allclose(mean_color(np.zeros((1, 3)), cameras, white), 1.0)
    assert np.allclose(mean_color(np.array([[50.0, 50.0, 50.0]]), cameras[:1], images[:1]), 0.5)
