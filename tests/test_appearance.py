"""One run's colours on another's shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import neuralfw
from neuralfw.appearance import KEYS, between, wearing
from neuralfw.cli import app
from neuralfw.errors import UserError
from neuralfw.geometry import Camera, read_mesh
from neuralfw.run import Run

TINY = [
    "data.images.max_size=24", "fields.sdf.width=16", "fields.sdf.layers=2", "fields.sdf.skip=[]",
    "fields.sdf.features=4", "fields.color.width=16", "stages.fit.steps=2", "stages.fit.passes.pixels.rays=16",
    "data.space.batch=16", "export.mesher.resolution=12", "export.colors=false", "evaluate.views=false",
    "log.tensorboard=false", "log.report=false",
]  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """Two runs of differently drawn networks, one of them without the direction of view."""
    folder = tmp_path_factory.mktemp("runs")
    more = {"a": ["seed=1"], "b": ["seed=2", "fields.color.mode=no_view_dir", "fields.sdf.radius=0.4"]}
    roots = [neuralfw.train("idr", [*TINY, *own], out=folder / name, device="cpu") for name, own in more.items()]
    return tuple(root if isinstance(root, Run) else Run(root) for root in roots)  # type: ignore[return-value]


def test_the_shape_is_the_one_run_s_and_the_colour_the_other_s(runs: tuple[Run, Run]) -> None:
    shape, look = runs
    data = shape.data("images")
    batch = data.view_batch(0)  # type: ignore[attr-defined]
    assert shape.pictures is not None
    own, worn = shape.pictures(batch), wearing(shape, look)(batch)
    for quantity in ("alpha", "depth", "normal"):
        assert torch.equal(own[quantity], worn[quantity])
    hit = own["alpha"][0] > 0.5
    camera = data.cameras[0]  # type: ignore[attr-defined]
    origin, rays = camera.rays()
    z = rays @ camera.axis
    at = origin + rays * (own["depth"][0].numpy() / z)[..., None]
    x = torch.from_numpy(at[hit.numpy()]).float()
    found = shape.scene.fields["sdf"].evaluate({"points": x}, frozenset({"sdf_gradient", "feature"}))
    gradient = found["sdf_gradient"]
    expected = look.scene.fields["color"](x, None, gradient, found["feature"])
    torch.testing.assert_close(worn["rgb"][0][hit], expected, atol=2e-3, rtol=0)
    assert (worn["rgb"] - own["rgb"])[0][hit].abs().mean() > 1e-3


def test_its_own_colours_change_nothing(runs: tuple[Run, Run]) -> None:
    shape, _ = runs
    batch = shape.data("images").view_batch(1)  # type: ignore[attr-defined]
    assert shape.pictures is not None
    assert torch.equal(wearing(shape, shape)(batch)["rgb"], shape.pictures(batch)["rgb"])


def test_the_command_writes_pictures_and_a_mesh(runs: tuple[Run, Run], tmp_path: Path) -> None:
    words = ["transfer", "--geometry", str(runs[0].folder.root), "--appearance", str(runs[1].folder.root)]
    result = CliRunner().invoke(app, [*words, "--frames", "3", "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["000.png", "001.png", "002.png", "mesh.ply"]
    picture = np.asarray(Image.open(tmp_path / "out" / "000.png"))
    assert picture.shape == (24, 24, 3) and (picture[0, 0] == 255).all() and picture.min() < 250
    mesh = read_mesh(tmp_path / "out" / "mesh.ply")
    assert mesh.colors is not None and mesh.colors.std() > 0.0


def test_what_does_not_fit_is_said(runs: tuple[Run, Run], tmp_path: Path) -> None:
    other = neuralfw.train("idr", [*TINY, "fields.sdf.features=6"], out=tmp_path / "other", device="cpu")
    root = other.folder.root if isinstance(other, Run) else Path(other)
    words = ["transfer", "--geometry", str(runs[0].folder.root), "--appearance", str(root)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "has 4 feature channels" in result.output and "takes 6" in " ".join(result.output.split())


def test_the_path_goes_through_the_key_cameras_and_closes() -> None:
    target = np.zeros(3)
    angles = np.linspace(0.0, 2.0 * np.pi, 16, endpoint=False)
    eyes = [np.array([3.0 * np.cos(a), 3.0 * np.sin(a), 0.5]) for a in angles]
    cameras = [Camera.look_at(eye, target, [0.0, 0.0, 1.0], focal=50.0, width=20, height=20) for eye in eyes]
    path = between(cameras, 10 * KEYS)
    np.testing.assert_allclose(path[0].world_to_camera, cameras[0].world_to_camera, atol=1e-9)
    np.testing.assert_allclose(path[10].world_to_camera, cameras[4].world_to_camera, atol=1e-9)
    steps = [np.linalg.norm(b.center - a.center) for a, b in zip(path, [*path[1:], path[0]], strict=True)]
    assert max(steps) < 1.0
    assert all(np.isclose(np.linalg.det(camera.world_to_camera[:3, :3]), 1.0) for camera in path)
    with pytest.raises(UserError, match="two photographs"):
        between(cameras[:1], 4)
