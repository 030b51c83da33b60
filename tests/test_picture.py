"""The picture of a mesh: where it is, what is in front, which side faces the eye."""

import numpy as np
from PIL import Image

from neuralfw.geometry import Mesh
from neuralfw.picture import BACKGROUND, draw, save_picture, view_axes


def square(z: float, half: float, flip: bool = False) -> Mesh:
    corners = np.array([[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]], dtype=float)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return Mesh(corners, faces[:, ::-1].copy() if flip else faces)


def joined(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(m.vertices) for m in meshes)])
    faces = [m.faces + s for m, s in zip(meshes, starts, strict=False)]
    return Mesh(np.concatenate([m.vertices for m in meshes]), np.concatenate(faces))


def covered(image: np.ndarray) -> np.ndarray:
    return (image != BACKGROUND).any(axis=2)


def test_a_square_covers_its_area_without_holes() -> None:
    image = draw(square(0.0, 1.0), size=64, azimuth=0.0, elevation=0.0)
    inside = covered(image)
    edge = 64 / np.sqrt(2)
    assert abs(inside.sum() - edge**2) < 3 * edge
    rows, columns = np.nonzero(inside)
    assert inside[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()


def test_the_nearer_surface_hides_the_farther_one() -> None:
    both = joined(square(-0.5, 1.0, flip=True), square(0.5, 0.5))
    image = draw(both, size=64, azimuth=0.0, elevation=0.0)
    assert image[32, 32].sum() > 2 * image[32, 14].sum()


def test_seen_from_inside_is_darker() -> None:
    front = draw(square(0.0, 1.0), size=32, azimuth=0.0, elevation=0.0)[16, 16]
    back = draw(square(0.0, 1.0, flip=True), size=32, azimuth=0.0, elevation=0.0)[16, 16]
    assert front.sum() > 2 * back.sum()


def test_view_axes_are_a_rotation() -> None:
    axes = view_axes(35.0, 20.0)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.isclose(np.linalg.det(axes), 1.0)


def test_the_file_holds_two_views(tmp_path) -> None:
    save_picture(square(0.0, 1.0), tmp_path / "mesh.png", size=32)
    with Image.open(tmp_path / "mesh.png") as image:
        assert image.size == (64, 32)
