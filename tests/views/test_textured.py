"""Meshes with a texture, of the ball that toy components make: charts, colours of texels, the files in trimesh."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from scipy.ndimage import map_coordinates
from typer.testing import CliRunner

import neuralfw
from neuralfw.cli import app
from neuralfw.errors import UserError
from neuralfw.geometry import Mesh
from neuralfw.raster import rasterize
from neuralfw.run import Run
from neuralfw.texturing import atlas as charts
from neuralfw.texturing.files import export_textured

from .conftest import CENTER, RADIUS, camera, covered

pytest.importorskip("xatlas", reason="xatlas is not installed: pip install 'neuralfw[uv]'")

Write = Callable[..., Path]
FIELD = '\n[fields.color]\ntype = "mlp_color"\nwidth = 16\nlayers = 2\n'
NO_VIEWS = "\n[evaluate]\nviews = false\n"


def ball(subdivisions: int) -> Mesh:
    made = trimesh.creation.icosphere(subdivisions)
    return Mesh(np.asarray(made.vertices, float), np.asarray(made.faces, np.int64))


def shown(obj: Path, k: int) -> tuple[np.ndarray, np.ndarray]:
    """What a camera sees of a file that trimesh opened: the points, the colours of the texture there."""
    read = trimesh.load(obj, process=False, force="mesh")
    picture = np.asarray(read.visual.material.image.convert("RGB"), float) / 255.0
    faces = np.asarray(read.faces, np.int64)
    seen = rasterize(np.asarray(read.vertices), faces, camera(k))
    uv = seen.interpolate(np.asarray(read.visual.uv, float), faces)[seen.hit]
    height, width = picture.shape[:2]
    place = np.stack([(1.0 - uv[:, 1]) * height - 0.5, uv[:, 0] * width - 0.5])
    colors = [map_coordinates(channel, place, order=1, mode="nearest") for channel in picture.transpose(2, 0, 1)]
    return seen.interpolate(np.asarray(read.vertices), faces)[seen.hit], np.stack(colors, axis=1)


def stripes(points: np.ndarray) -> np.ndarray:
    """A colour for each point of the ball, which changes over it."""
    colors: np.ndarray = 0.5 + 0.35 * np.sin(3.0 * (points - CENTER) / RADIUS + [0.0, 1.0, 2.0])
    return colors


def test_an_atlas_keeps_the_mesh_and_its_texels_lie_on_it() -> None:
    mesh = ball(3)
    atlas = charts.unwrap(mesh, 128)
    assert atlas.corners.shape == mesh.faces.shape and atlas.covered.mean() > 0.4
    assert (atlas.uv >= 0.0).all() and (atlas.uv <= 1.0).all()
    radii = np.linalg.norm(atlas.points, axis=1)
    assert radii.min() > 0.98 and radii.max() < 1.0 + 1e-6
    np.testing.assert_allclose(atlas.normals, atlas.points / radii[:, None], atol=0.02)
    flat = atlas.uv[atlas.corners]
    (ax, ay), (bx, by) = (flat[:, 1] - flat[:, 0]).T, (flat[:, 2] - flat[:, 0]).T
    areas = 0.5 * np.abs(ax * by - ay * bx)
    assert areas.sum() == pytest.approx(atlas.covered.mean(), rel=0.1)  # nothing lies over another
    share = areas / mesh.face_areas
    assert np.percentile(share, 95) < 2.0 * np.percentile(share, 5)  # all faces have about as many texels


def test_the_time_of_unwrapping_is_told_of_large_meshes_alone() -> None:
    assert charts.seconds_of(ball(3), 256) == 0.0
    assert 0.0 < charts.seconds_of(ball(5), 256) < 600.0


def test_the_texture_shows_what_the_field_of_colour_says(recipe: Write, tmp_path: Path) -> None:
    run = neuralfw.train(recipe(FIELD + NO_VIEWS), out=tmp_path / "run", device="cpu")
    with torch.no_grad():
        for parameter in run.scene.fields["color"].parameters():
            parameter.mul_(2.0)
    said: list[str] = []
    (obj,) = export_textured(run, 512, output=tmp_path / "ball.obj", say=said.append)
    with Image.open(obj.with_suffix(".png")) as picture:
        assert picture.size == (512, 512)
    assert any("texels by the field of colour: about" in line for line in said)
    for k in (0, 2, 4):
        points, colors = shown(obj, k)
        assert len(points) > 100
        asked = torch.from_numpy(run.frame.to_training(points)).float()
        inputs = {"points": asked, "view_direction": torch.nn.functional.normalize(asked, dim=1)}
        with torch.no_grad():
            truth = run.view.evaluate(inputs, frozenset({"color"}))["color"].numpy()
        assert np.ptp(truth, axis=0).max() > 0.1
        apart = np.abs(colors - truth)
        assert apart.mean() < 0.004 and np.percentile(apart, 99) < 0.015 and apart.max() < 0.06


def painted_photographs(folder: Path) -> None:
    """Replace the photographs to learn from by those of a ball whose colour changes over it."""
    for k in range(6):
        eye = camera(k)
        origin, rays = eye.rays()
        along, hit = rays @ (CENTER - origin), covered(eye)
        root = np.sqrt(np.maximum(along**2 - ((CENTER - origin) ** 2).sum() + RADIUS**2, 0.0))
        points = origin + (along - root)[..., None] * rays
        pixels = np.zeros((*hit.shape, 4), np.uint8)
        pixels[hit] = np.concatenate([255.0 * stripes(points[hit]), np.full((hit.sum(), 1), 255.0)], axis=1).round()
        Image.fromarray(pixels).save(folder / "train" / f"r_{k}.png")


def test_without_such_a_field_the_texture_shows_what_photographs_do(
    recipe: Write, ball_folder: Path, tmp_path: Path
) -> None:
    painted_photographs(ball_folder)
    run = neuralfw.train(recipe(NO_VIEWS), out=tmp_path / "run", device="cpu")
    said: list[str] = []
    (obj,) = export_textured(run, 256, say=said.append)
    assert obj == run.folder.meshes / "mesh.obj" and any("from 6 photographs: about" in line for line in said)
    for k in (0, 3, 5):
        points, colors = shown(obj, k)
        origin = camera(k).center
        sight = (origin - points) / np.linalg.norm(origin - points, axis=1, keepdims=True)
        frontal = ((points - CENTER) / RADIUS * sight).sum(axis=1) > 0.5
        apart = np.abs(colors - stripes(points))[frontal]
        assert frontal.sum() > 100 and apart.mean() < 0.015 and np.percentile(apart, 99) < 0.06


def test_the_verb_writes_what_clean_up_left(recipe: Write, tmp_path: Path) -> None:
    run = neuralfw.train(recipe(FIELD + NO_VIEWS), out=tmp_path / "run", device="cpu")
    obj = tmp_path / "ball.obj"
    command = ["export", str(run.folder.root), "--uv", "--texture=64", "--resolution=16", "--keep=1", "-o", str(obj)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert done.stdout.split() == [str(obj)] and obj.with_suffix(".mtl").is_file()
    faces = json.loads((tmp_path / "ball.obj.json").read_text())["steps"][-1]["faces"]
    assert len(trimesh.load(obj, process=False, force="mesh").faces) == faces


def test_what_has_no_colours_or_another_ending_is_refused(
    recipe: Write, tiny_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = neuralfw.train(tiny_recipe(), out=tmp_path / "bare", device="cpu")
    with pytest.raises(UserError, match="neither a field of colour nor photographs"):
        export_textured(bare, 64)
    run: Run = neuralfw.train(recipe(FIELD + NO_VIEWS), out=tmp_path / "run", device="cpu")
    with pytest.raises(UserError, match=r"written as \.obj"):
        export_textured(run, 64, output=tmp_path / "mesh.ply")

    def absent(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(UserError, match=r"pip install 'neuralfw\[uv\]'"):
        export_textured(run, 64)
