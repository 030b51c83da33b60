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
