"""The recipe n4de_color: each renderer takes another's place by one line; photographs without stamps are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from typer.testing import CliRunner

from neuralfw.cli import app
from neuralfw.geometry import write_mesh
from neuralfw.photos.rendered import photograph
from neuralfw.session import check
from neuralfw_gaussians.ply import read_gaussians


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
