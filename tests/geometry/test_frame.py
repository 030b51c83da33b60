"""The frame is an exact similarity: it inverts, keeps angles, scales lengths, and survives its file."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from neuralfw.errors import UserError
from neuralfw.geometry import Frame

coordinates = arrays(np.float64, (5, 3), elements=st.floats(-1.0, 1.0))


@st.composite
def frames(draw):
    """Frames as they occur: anywhere on Earth (UTM metres), from microns to kilometres, any orientation."""
    center = draw(arrays(np.float64, 3, elements=st.floats(-6e6, 6e6)))
    scale = 10.0 ** draw(st.floats(-6.0, 6.0))
    angles = draw(arrays(np.float64, 3, elements=st.floats(-3.0, 3.0)))
    return Frame(center, scale, Rotation.from_rotvec(angles).as_matrix())


@given(frames(), coordinates)
def test_a_round_trip_returns_the_points(frame, unit):
    world = frame.center + unit / frame.scale
    tolerance = 1e-9 / frame.scale + 4 * np.spacing(np.abs(world).max())
    np.testing.assert_allclose(frame.to_world(frame.to_training(world)), world, rtol=0, atol=tolerance)
    np.testing.assert_allclose(
        frame.to_training(frame.to_world(unit)), unit, rtol=0, atol=1e-9 + tolerance * frame.scale
    )


@given(frames(), coordinates)
def test_lengths_scale_and_angles_stay(frame, unit):
    edges = unit / frame.scale
    np.testing.assert_allclose(frame.vectors_to_training(edges), frame.to_training(frame.center + edges), atol=1e-2)
    np.testing.assert_allclose(
        np.linalg.norm(frame.vectors_to_training(edges), axis=1),
        [frame.length_to_training(length) for length in np.linalg.norm(edges, axis=1)],
        atol=1e-12,
    )
    turned = frame.directions_to_training(unit)
    np.testing.assert_allclose(turned @ turned.T, unit @ unit.T, atol=1e-12)
    np.testing.assert_allclose(frame.directions_to_world(turned), unit, atol=1e-12)
    np.testing.assert_allclose(
        frame.vectors_to_world(frame.vectors_to_training(edges)), edges, rtol=1e-9, atol=1e-12 / frame.scale
    )


@given(frames())
def test_a_saved_frame_loads_bit_for_bit(tmp_path_factory, frame):
    path = tmp_path_factory.getbasetemp() / "frame.json"
    frame.save(path)
    loaded = Frame.load(path)
    assert loaded.scale == frame.scale
    assert np.array_equal(loaded.center, frame.center) and np.array_equal(loaded.rotation, frame.rotation)


@pytest.mark.parametrize("offset", [0.0, 5.4e6])
def test_each_fit_does_what_it_says(offset):
    box = np.array([[0.0, 0, 0], [4, 0, 0], [4, 2, 0], [0, 2, 1]]) + offset
    sphere = Frame.fit(box, "sphere", 1 / 1.03)
    np.testing.assert_allclose(sphere.center - offset, [2, 1, 0.5])
    assert np.linalg.norm(sphere.to_training(box), axis=1).max() == pytest.approx(1 / 1.03)
    longest = Frame.fit(box, "box", 1.7)
    assert np.ptp(longest.to_training(box), axis=0).max() == pytest.approx(1.7)
    about_mean = Frame.fit(box, "centroid_sphere")
    np.testing.assert_allclose(about_mean.to_training(box).mean(axis=0), 0, atol=1e-8)
    assert np.linalg.norm(about_mean.to_training(box), axis=1).max() == pytest.approx(1.0)
    area = Frame.fit(box, "area", area=16.0)
    assert area.scale == pytest.approx(0.25)
    assert np.array_equal(Frame.fit(box, "none").to_training(box), box)


def test_single_precision_input_is_computed_in_double():
    frame = Frame(center=np.array([512183.0, 5403259.0, 316.0]), scale=0.01)
    training = np.array([[0.1, -0.2, 0.3]], dtype=np.float32)
    world = frame.to_world(training)
    assert world.dtype == np.float64
    np.testing.assert_allclose((world - frame.center) * frame.scale, training, atol=1e-9)


@pytest.mark.parametrize(
    ("points", "arguments", "says"),
    [
        (np.zeros((0, 3)), {}, "no points"),
        (np.ones((4, 3)), {}, "coincide"),
        (np.array([[0.0, 0, 0], [1, np.nan, 0]]), {}, "not finite"),
        (np.eye(3), {"how": "area"}, "surface area"),
        (np.eye(3), {"how": "area", "area": -1.0}, "surface area"),
    ],
)
def test_what_cannot_be_fitted_is_refused(points, arguments, says):
    with pytest.raises(UserError, match=says):
        Frame.fit(points, **arguments)


GOOD = {"format": 1, "center": [0.0, 0.0, 0.0], "scale": 2.0, "rotation": np.eye(3).tolist()}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "format 2"),
        ({"scale": -1.0}, "positive"),
        ({"scale": "2"}, "numbers"),
        ({"scale": float("nan")}, "positive"),
        ({"center": [0.0, 0.0]}, "shape"),
        ({"center": [[0.0], 1.0, 2.0]}, "ragged"),
        ({"center": [0.0, float("inf"), 0.0]}, "finite"),
        ({"rotation": np.diag([1.0, 1.0, -1.0]).tolist()}, "mirror"),
        ({"rotation": (2 * np.eye(3)).tolist()}, "orthonormal"),
        ({"rotation": None}, "numbers"),
    ],
)
def test_a_tampered_file_is_refused(tmp_path, change, says):
    path = tmp_path / "frame.json"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(UserError, match=says) as refusal:
        Frame.load(path)
    assert str(path) in str(refusal.value)


@given(st.binary(max_size=200))
def test_garbage_is_refused(tmp_path_factory, garbage):
    path = tmp_path_factory.getbasetemp() / "garbage.json"
    path.write_bytes(garbage)
    with pytest.raises(UserError):
        Frame.load(path)


def test_an_absent_file_is_named_with_its_neighbour(tmp_path):
    Frame.identity().save(tmp_path / "frame.json")
    with pytest.raises(UserError, match=r"Did you mean frame\.json\?"):
        Frame.load(tmp_path / "fram.json")
