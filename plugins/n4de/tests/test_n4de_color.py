"""The recipe n4de_color: each renderer takes another's place by one line; photographs without stamps are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from typer.testing import CliRunner

from neuralfw.cli import app
from neuralfw.geometry import Camera, write_mesh
from neuralfw.geometry.splats import read_gaussians
from neuralfw.photos.rendered import photograph
from neuralfw.session import check


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of a ball, red above and blue below, and of the same turned over."""
    folder = tmp_path_factory.mktemp("ball")
    ball = trimesh.creation.icosphere(3)
    above = ball.vertices[:, 2:] > 0.0
    for index, top in enumerate((above, ~above)):
        colors = np.where(top, [[0.9, 0.2, 0.1]], [[0.1, 0.3, 0.9]])
        write_mesh(folder / f"meshes/{index}.ply", ball.vertices, ball.faces, colors=colors)
    photograph(sorted((folder / "meshes").iterdir()), folder / "images", views=8, size=40)
    return folder / "images"


@pytest.mark.parametrize("renderer", ["mesh", "splat", "neus", "volsdf"])
def test_renderers_fit(renderer: str) -> None:
    recipe = check("n4de_color", [f"renderers.main.type={renderer}"]).recipe
    assert recipe.renderers["main"].short == renderer


def test_photographs_without_time_stamps_are_refused(sequence: Path, tmp_path: Path) -> None:
    for name in ("train", "test"):
        document = json.loads((sequence / f"transforms_{name}.json").read_text())
        frames = [{k: v for k, v in frame.items() if k != "time"} for frame in document["frames"]]
        (tmp_path / name).symlink_to(sequence / name)
        (tmp_path / f"transforms_{name}.json").write_text(json.dumps(document | {"frames": frames}))
    result = CliRunner().invoke(app, ["check", "n4de_color", "--set", f"data.images.path={tmp_path}"])
    assert result.exit_code == 2
    assert "time" in result.output


@pytest.mark.parametrize("recipe", ["n4de", "n4de_color"])
def test_one_camera_that_moves_and_no_masks_is_refused(recipe: str, tmp_path: Path) -> None:
    """NR-NeRF's layout, a moment for each photograph: before the first step, and by what is missing."""
    poses = []
    (tmp_path / "images").mkdir()
    for index in range(4):
        camera = Camera.look_at([0.2 * index, -3.0, 0.0], [0.0] * 3, [0.0, 0.0, 1.0], focal=20.0, width=16, height=12)
        right, down, forward = camera.world_to_camera[:3, :3]
        poses.append(np.stack([right, -down, -forward, camera.center, [12.0, 16.0, 20.0]], axis=1).tolist())
        Image.new("RGB", (16, 12), (90, 60, 30)).save(tmp_path / f"images/{index}.png")
    (tmp_path / "precomputed.json").write_text(json.dumps({"poses": poses, "i_test": 2}))
    given = ["--set", f"data.images.path={tmp_path}", "--set", "data.images.type=llff", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, ["run", recipe, *given])
    assert result.exit_code == 2
    assert 'compares with mask, which data "images" does not give' in result.output


def test_splats_are_written_at_the_times_that_are_asked_for(sequence: Path, tmp_path: Path) -> None:
    steps = {"hull": 4, "albedo": 0, "evolve": 0, "color": 2}
    quick = [f"stages.{name}.steps={n}" for name, n in steps.items()]
    quick += [f"data.images.path={sequence}", "evaluate.views=false", "log.tensorboard=false"]
    quick += [
        f"{x}.resolution=16" for x in ("renderers.geometry", "renderers.surface", "fields.splats", "export.mesher")
    ]
    arguments = ["run", "n4de_color", "--out", str(tmp_path / "run"), *(x for o in quick for x in ("--set", o))]
    trained = CliRunner().invoke(app, arguments)
    assert trained.exit_code == 0, trained.output
    kept = sorted(path.name for path in (tmp_path / "run/gaussians").iterdir())
    assert kept == [f"splats_t{t}.ply" for t in ("0.000", "0.500", "1.000")]
    export = ["export", str(tmp_path / "run"), "--what", "gaussians", "-o"]
    found = CliRunner().invoke(app, [*export, str(tmp_path / "some"), "--times", "0,0.25"])
    assert found.exit_code == 0, found.output
    assert [line.rsplit("/", 1)[1] for line in found.output.split()] == ["splats_t0.000.ply", "splats_t0.250.ply"]
    first, second = (read_gaussians(path) for path in sorted((tmp_path / "some").iterdir()))
    assert first.means.shape != second.means.shape or np.abs(first.means - second.means).max() > 0.0
    alone = CliRunner().invoke(app, [*export, str(tmp_path / "end.ply"), "--times", "1"])
    assert alone.exit_code == 0 and len(read_gaussians(tmp_path / "end.ply").means) > 100
