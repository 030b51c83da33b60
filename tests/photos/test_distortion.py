"""Each camera model against its formula written out for one point, its inverse, and the undistorted image."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralfw.errors import UserError
from neuralfw.geometry import Camera
from neuralfw.photos import MODELS, Distortion
from neuralfw.photos.distortion import split_parameters
from neuralfw.photos.pictures import Remap

COEFFICIENTS = {
    "SIMPLE_RADIAL": (-0.05,),
    "RADIAL": (-0.05, 0.02),
    "OPENCV": (-0.05, 0.02, 0.003, -0.002),
    "OPENCV_FISHEYE": (0.02, -0.01, 0.004, -0.001),
    "FULL_OPENCV": (-0.05, 0.02, 0.003, -0.002, 0.004, 0.01, -0.003, 0.002),
    "FOV": (0.9,),
    "SIMPLE_RADIAL_FISHEYE": (0.02,),
    "RADIAL_FISHEYE": (0.02, -0.01),
    "THIN_PRISM_FISHEYE": (0.02, -0.01, 0.003, -0.002, 0.004, -0.001, 0.005, -0.004),
}


def by_hand(model, k, x, y):
    """COLMAP's formulas (src/colmap/sensor/models.h) for one point."""
    r = math.hypot(x, y)
    if "FISHEYE" in model:
        theta = math.atan(r)
        x, y, r = (x * theta / r, y * theta / r, theta) if r else (x, y, r)
    match model:
        case "SIMPLE_RADIAL" | "SIMPLE_RADIAL_FISHEYE":
            s = 1 + k[0] * r**2
            return x * s, y * s
        case "RADIAL" | "RADIAL_FISHEYE":
            s = 1 + k[0] * r**2 + k[1] * r**4
            return x * s, y * s
        case "OPENCV_FISHEYE":
            s = 1 + k[0] * r**2 + k[1] * r**4 + k[2] * r**6 + k[3] * r**8
            return x * s, y * s
        case "FOV":
            s = math.atan(2 * r * math.tan(k[0] / 2)) / (r * k[0])
            return x * s, y * s
        case "OPENCV":
            s, sx, sy = 1 + k[0] * r**2 + k[1] * r**4, 0.0, 0.0
        case "FULL_OPENCV":
            s = (1 + k[0] * r**2 + k[1] * r**4 + k[4] * r**6) / (1 + k[5] * r**2 + k[6] * r**4 + k[7] * r**6)
            sx = sy = 0.0
        case "THIN_PRISM_FISHEYE":
            s = 1 + k[0] * r**2 + k[1] * r**4 + k[4] * r**6 + k[5] * r**8
            sx, sy = k[6] * r**2, k[7] * r**2
    p1, p2 = k[2], k[3]
    dx = 2 * p1 * x * y + p2 * (r**2 + 2 * x**2) + sx
    dy = 2 * p2 * x * y + p1 * (r**2 + 2 * y**2) + sy
    return x * s + dx, y * s + dy


@pytest.mark.parametrize("model", COEFFICIENTS)
@given(x=st.floats(-0.7, 0.7), y=st.floats(-0.7, 0.7))
def test_the_formula_and_its_inverse(model, x, y):
    lens = Distortion(model, COEFFICIENTS[model])
    point = np.array([[x, y]])
    seen = lens.distort(point)
    if math.hypot(x, y) > 1e-6:
        assert np.allclose(seen, [by_hand(model, COEFFICIENTS[model], x, y)], rtol=0.0, atol=1e-12)
    assert np.allclose(lens.undistort(seen), point, rtol=0.0, atol=1e-8)


def test_all_models_are_covered():
    assert {*COEFFICIENTS} == {*MODELS} - {"PINHOLE", "SIMPLE_PINHOLE"}


@pytest.mark.parametrize("model", MODELS)
def test_parameters_in_the_order_of_colmap(model):
    known = MODELS[model]
    parameters = [30.0, 10.0, 9.0] if known.single_focal else [30.0, 31.0, 10.0, 9.0]
    pinhole, lens = split_parameters(model, (*parameters, *COEFFICIENTS.get(model, ())), "here")
    assert pinhole == ((30.0, 30.0, 10.0, 9.0) if known.single_focal else (30.0, 31.0, 10.0, 9.0))
    assert lens == (Distortion(model, COEFFICIENTS[model]) if model in COEFFICIENTS else None)


def test_coefficients_that_bend_nothing():
    assert split_parameters("OPENCV", (1.0, 1.0, *[0.0] * 6), "here")[1] is None
    assert split_parameters("SIMPLE_RADIAL_FISHEYE", (1.0, 0.0, 0.0, 0.0), "here")[1] is not None


@pytest.mark.parametrize(
    ("model", "parameters", "message"),
    [
        ("OPENCVV", (1.0,), "here: the camera model OPENCVV is not known. Did you mean OPENCV"),
        ("PINHOLE", (1.0,), "PINHOLE has 4 parameters, but 1 are given"),
        ("SIMPLE_RADIAL", (1.0, 2.0, 3.0, math.nan), "not finite"),
    ],
)
def test_refused(model, parameters, message):
    with pytest.raises(UserError, match=message):
        split_parameters(model, parameters, "here")


def _pattern(xy):
    """A smooth picture of the plane at depth 1."""
    x, y = xy[..., 0], xy[..., 1]
    return np.stack([127.0 + 100.0 * np.sin(4.0 * x), 127.0 + 100.0 * np.cos(3.0 * y), 127.0 + 90.0 * x * y], axis=-1)


@pytest.mark.parametrize("model", COEFFICIENTS)
def test_the_undistorted_image_is_that_of_the_pinhole_camera(model):
    """The file shows the pattern through the lens; undistorted it must be the pattern itself, where `valid`."""
    camera = Camera(np.eye(4), 90.0, 85.0, 41.0, 29.0, 80, 60)
    lens = Distortion(model, COEFFICIENTS[model])
    y, x = np.mgrid[:60, :80]
    plane = np.stack([(x + 0.5 - 41.0) / 90.0, (y + 0.5 - 29.0) / 85.0], axis=-1)
    stored = _pattern(lens.undistort(plane.reshape(-1, 2)).reshape(plane.shape))
    remap = Remap.of(camera, lens)
    assert 0.5 < remap.valid.mean() <= 1.0
    found = remap(stored.round().astype(np.uint8)).astype(float)
    assert np.abs(found - _pattern(plane))[remap.valid].max() < 2.5


def test_colours_are_weighted_by_alpha():
    """A red half plane on transparent black: undistorted, no edge pixel darkens."""
    camera = Camera(np.eye(4), 40.0, 40.0, 20.0, 20.0, 40, 40)
    picture = np.zeros((40, 40, 4), dtype=np.uint8)
    picture[:, 12:] = (255, 0, 0, 255)
    found = Remap.of(camera, Distortion("SIMPLE_RADIAL", (0.1,)))(picture)
    edge = (found[..., 3] > 20) & (found[..., 3] < 235)
    assert edge.any() and (found[..., 0][edge] > 250).all()


def test_beyond_the_fold_nothing_is_valid():
    """r (1 - r²) turns back at r = 0.577: what lies farther out would show the picture once more."""
    lens = Distortion("SIMPLE_RADIAL", (-1.0,))
    assert lens.reaches(np.array([[0.55, 0.0], [0.0, 0.6], [0.9, 0.9]])).tolist() == [True, False, False]
    camera = Camera(np.eye(4), 10.0, 10.0, 10.0, 10.0, 20, 20)
    valid = Remap.of(camera, lens).valid
    y, x = np.mgrid[:20, :20] + 0.5 - 10.0
    assert not valid[np.hypot(x, y) > 5.8].any() and valid[np.hypot(x, y) < 5.6].all()


def test_no_inverse_is_nan():
    assert np.isnan(Distortion("SIMPLE_RADIAL", (-1.0,)).undistort(np.array([[2.0, 0.0]]))).all()
