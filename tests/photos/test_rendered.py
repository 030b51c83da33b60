"""Photographs of meshes: what they show, where their cameras stand, and sequences in one frame."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from typer.testing import CliRunner

from neuralfw.cli import app
from neuralfw.errors import UserError
from neuralfw.geometry import read_mesh, write_mesh
from neuralfw.geometry.mesh_sequence import TRUTH, find_meshes
from neuralfw.photos.hull import Hull
from neuralfw.photos.masks import mask_source
from neuralfw.photos.pictures import read_picture
from neuralfw.photos.rendered import photograph
from neuralfw.photos.sniff import read_capture
from neuralfw.testing import build_component


def sphere(path: Path, radius: float = 2.0, center: tuple[float, float, float] = (5.0, -3.0, 1.0)) -> Path:
    made = trimesh.creation.icosphere(3, radius)
    made.apply_translation(center)
    path.parent.mkdir(exist_ok=True)
    made.export(path)
    return path


def test_a_sphere_fills_its_photographs_as_its_angle_says(tmp_path: Path) -> None:
    notes = photograph([sphere(tmp_path / "ball.ply")], tmp_path / "out", views=6, size=64)
    assert notes == ["6 views of 64 x 64 pixels and 1 held out"]
    capture = read_capture(tmp_path / "out")
    assert {name: len(members) for name, members in capture.split.items()} == {"train": 6, "test": 1}
    for view in capture.views:
        pixels = read_picture(view.image, (64, 64)) / 255.0
        assert pixels[..., 3].sum() == pytest.approx(np.pi * (0.95 * 32) ** 2, rel=0.02)
        assert pixels[32, 32, 0] == pytest.approx(1.0, abs=0.02)
        assert np.linalg.norm(view.camera.center - [5.0, -3.0, 1.0]) == pytest.approx(8.0, rel=1e-3)


def test_the_colours_are_the_cosine_of_the_faces_to_the_image(tmp_path: Path) -> None:
    photograph([sphere(tmp_path / "ball.ply")], tmp_path / "out", views=4, size=64)
    view = read_capture(tmp_path / "out").views[0]
    row = read_picture(view.image, (64, 64))[32, 10:54, 0] / 255.0
    # a ray at the angle t to the axis meets the sphere where its normal is at asin(4 sin t) - t to that ray
    angle = np.arctan((np.arange(10, 54) + 0.5 - 32.0) / view.camera.fx)
    assert row == pytest.approx(np.cos(np.arcsin(4.0 * np.sin(angle)) - angle), abs=0.1)


def test_vertices_lend_their_colours_with_and_without_light(tmp_path: Path) -> None:
    """A ball, red where x > 0 and blue where x < 0: colours are those, times the cosine where it is lit."""
    ball = trimesh.creation.icosphere(4)
    colors = np.where(ball.vertices[:, :1] > 0.0, [[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]])
    write_mesh(tmp_path / "ball.ply", ball.vertices, ball.faces, colors=colors)
    for lit in (True, False):
        photograph([tmp_path / "ball.ply"], tmp_path / f"{lit}", views=4, size=48, lit=lit)
    lit_views, views = (read_capture(tmp_path / f"{lit}").views for lit in (True, False))
    for shaded, plain in zip(lit_views, views, strict=True):
        bright, flat = (read_picture(view.image, (48, 48)) / 255.0 for view in (shaded, plain))
        assert (bright[..., 3] == flat[..., 3]).all() and (flat[..., 1] == 0.0).all()
        inside = flat[..., 3] == 1.0
        assert flat[inside][:, [0, 2]].sum(axis=1) == pytest.approx(1.0, abs=0.01)
        # the sphere's point in a pixel, by the ray's nearer intersection
        origin, rays = plain.camera.rays()
        along = rays @ origin
        points = origin + rays * (-along - np.sqrt(np.maximum(along**2 - origin @ origin + 1.0, 0.0)))[..., None]
        sure = inside & (np.abs(points[..., 0]) > 0.15)
        assert (flat[sure][:, 0] > 0.5).tolist() == (points[sure][:, 0] > 0.0).tolist()
        assert bright[sure][:, [0, 2]].sum(axis=1) == pytest.approx(-points[sure] @ plain.camera.axis, abs=0.06)


def test_the_hull_of_the_masks_holds_the_object(tmp_path: Path) -> None:
    photograph([sphere(tmp_path / "ball.ply")], tmp_path / "out", views=24, size=64)
    capture = read_capture(tmp_path / "out")
    find = mask_source(capture, None)
    hull = Hull.agreed(capture.cameras, [find(view) for view in capture.views], None)
    distance = np.linalg.norm(hull.points - [5.0, -3.0, 1.0], axis=1)
    assert hull.points.mean(axis=0) == pytest.approx([5.0, -3.0, 1.0], abs=0.1)
    assert 1.9 < distance.max() < 3.0


def test_a_sequence_has_one_frame_and_a_stamp_for_each_mesh(tmp_path: Path) -> None:
    folder = tmp_path / "meshes"
    folder.mkdir()
    for number, x in ((2, 0.0), (10, 1.0), (9, 0.5)):
        sphere(folder / f"frame_{number}.obj", 1.0, (x, 0.0, 0.0))
    assert [path.stem for path in find_meshes(folder)] == ["frame_2", "frame_9", "frame_10"]
    photograph(find_meshes(folder), tmp_path / "out", views=5, size=32)
    kept = [read_mesh(path) for path in find_meshes(tmp_path / "out" / TRUTH)]
    assert [mesh.centroid[0] for mesh in kept] == pytest.approx([0.0, 0.5, 1.0])
    frames = json.loads((tmp_path / "out" / "transforms_train.json").read_text())["frames"]
    assert [frame["time"] for frame in frames] == [0.0] * 5 + [0.5] * 5 + [1.0] * 5
    assert frames[0]["transform_matrix"] == frames[5]["transform_matrix"]
    capture = read_capture(tmp_path / "out")
    at = {}
    for view in capture.views[:15:5]:
        mask = mask_source(capture, None)(view)
        x, y = (np.average(np.arange(32) + 0.5, weights=mask.sum(axis=axis)) for axis in (0, 1))
        at[view.time] = np.array([x, y])
    pixels, _ = capture.views[0].camera.project(np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    assert np.stack([*at.values()]) == pytest.approx(pixels, abs=0.5)


def test_what_is_no_sequence_is_told(tmp_path: Path) -> None:
    sphere(tmp_path / "a.ply")
    sphere(tmp_path / "b1.ply")
    with pytest.raises(UserError, match=r"holds 2 meshes, but a.ply has no number: a sequence is numbered"):
        find_meshes(tmp_path)
    (tmp_path / "a.ply").rename(tmp_path / "a01.ply")
    with pytest.raises(UserError, match="two meshes have the number 1, so their order is not known"):
        find_meshes(tmp_path)
    assert find_meshes(tmp_path / "nothing") == []
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").touch()
    with pytest.raises(UserError, match="is not empty"):
        photograph([tmp_path / "b1.ply"], tmp_path / "out")


def test_the_box_of_a_sequence_holds_every_moment(tmp_path: Path) -> None:
    """Masks of one moment agree; those of all moments leave nothing, as the spheres do not overlap."""
    folder = tmp_path / "meshes"
    folder.mkdir()
    for number in range(3):
        sphere(folder / f"{number}.ply", 1.0, (2.5 * number, 0.0, 0.0))
    photograph(find_meshes(folder), tmp_path / "out", views=14, size=64)
    images = build_component("dataset", "blender", {"path": str(tmp_path / "out")})
    lower, upper = images.frame.to_world(images.bounds.double().numpy())
    assert (lower < [-0.9, -0.9, -0.9]).all() and (upper > [5.9, 0.9, 0.9]).all()
    assert (lower > [-2.0, -2.0, -2.0]).all() and (upper < [7.0, 2.0, 2.0]).all()
    points = images.frame.to_world(images.points.double().numpy())
    near = [np.linalg.norm(points - [2.5 * n, 0.0, 0.0], axis=1) < 1.9 for n in range(3)]
    assert np.any(near, axis=0).mean() > 0.9
    assert min(where.mean() for where in near) > 0.2


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda v, f: (v, np.concatenate([f[:1, ::-1], f[1:]])), "1.ply: some faces are flipped: neighbours disagree"),
        (lambda v, f: (np.where(np.arange(len(v))[:, None] == 3, np.nan, v), f), "1.ply: 1 vertices are not finite"),
        (lambda v, f: (v[:0], f[:0]), "1.ply is empty: it has no vertices and no faces"),
        (lambda v, f: (v, f[:0]), "1.ply has 642 vertices but no faces"),
    ],
)
def test_a_bad_mesh_of_a_sequence_is_told_and_nothing_is_written(tmp_path: Path, damage, message: str) -> None:
    for number in range(3):
        mesh = read_mesh(sphere(tmp_path / "meshes" / f"{number}.ply"))
        if number == 1:
            write_mesh(tmp_path / "meshes" / "1.ply", *damage(mesh.vertices, mesh.faces))
    result = CliRunner().invoke(app, ["data", "convert", str(tmp_path / "meshes"), str(tmp_path / "out")])
    assert result.exit_code == 2
    assert message in result.output and len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_closed_mesh_that_looks_inwards_is_turned(tmp_path: Path) -> None:
    mesh = read_mesh(sphere(tmp_path / "ball.ply"))
    write_mesh(tmp_path / "ball.ply", mesh.vertices, mesh.faces[:, ::-1])
    notes = photograph([tmp_path / "ball.ply"], tmp_path / "out", views=4, size=16)
    assert notes[1:] == ["ball.ply: its faces looked inwards and were turned"]
    assert read_mesh(tmp_path / "out" / TRUTH / "0000.ply").volume > 0.0
