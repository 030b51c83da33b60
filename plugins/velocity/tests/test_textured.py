"""A carried mesh keeps the texture of its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from known_pairs import ball, turned, write_recipe
from PIL import Image
from typer.testing import CliRunner

from neuralfw.cli import app
from neuralfw.errors import UserError
from neuralfw.session import train
from neuralfw_velocity.textured import is_textured, write_moved


def write_textured(folder: Path, picture: str = "look.png") -> Path:
    """The ball with a texture coordinate for each vertex, in an order of its own, a material and a picture."""
    vertices, faces = ball()
    order = np.random.default_rng(0).permutation(len(vertices))
    uv = np.stack([np.arctan2(vertices[:, 1], vertices[:, 0]) / 7.0 + 0.5, vertices[:, 2] / 6.0 + 0.3], axis=1)
    lines = [
        "mtllib look.mtl",
        "o ball",
        *(f"v {x} {y} {z}" for x, y, z in vertices),
        *(f"vn {k} 0 0" for k in (1, -1)),
    ]
    lines += [f"vt {u} {v}" for u, v in uv[order]]
    place = np.argsort(order)
    lines += ["usemtl look", *("f " + " ".join(f"{k + 1}/{place[k] + 1}/1" for k in face) for face in faces)]
    (folder / "ball.obj").write_text("\n".join(lines))
    (folder / "look.mtl").write_text(f"newmtl look\nmap_Kd {picture}\n")
    rgb = np.random.default_rng(1).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(folder / "look.png")
    return folder / "ball.obj"


def seen(file: Path) -> trimesh.Trimesh:
    return trimesh.load(file, process=False, force="mesh")


def test_a_carried_mesh_looks_as_its_source(tmp_path):
    source = write_textured(tmp_path)
    target = tmp_path / "turned.obj"
    write_moved(target, source, turned(ball()[0]))
    run = train(write_recipe(tmp_path, source, target, steps=100), out=tmp_path / "run")
    done = CliRunner().invoke(app, ["deform", str(run), "--times", "0,1"])
    assert done.exit_code == 0, done.output
    before, start, end = (
        seen(source),
        seen(run / "deformed/source_t0.000.obj"),
        seen(run / "deformed/source_t1.000.obj"),
    )
    for mesh in (start, end):
        np.testing.assert_array_equal(mesh.faces, before.faces)
        np.testing.assert_allclose(mesh.visual.uv, before.visual.uv)
        picture = mesh.visual.material.image
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(before.visual.material.image))
    assert np.abs(start.vertices - before.vertices).max() < 1e-4
    assert np.abs(end.vertices - seen(target).vertices).max() < 0.2


def test_another_number_of_vertices_is_refused(tmp_path):
    source = write_textured(tmp_path)
    assert is_textured(source)
    for count, word in ((641, "more"), (643, "fewer")):
        with pytest.raises(UserError, match=f"has {word} vertices than were carried: {count}"):
            write_moved(tmp_path / "out.obj", source, np.zeros((count, 3)))


def test_nothing_outside_of_the_source_s_folder_is_copied(tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "secret.png")
    source = write_textured(tmp_path / "in", picture="../secret.png")
    write_moved(tmp_path / "out/moved.obj", source, ball()[0])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["look.mtl", "moved.obj"]
