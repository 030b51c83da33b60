"""The method on a sphere whose colours are its normals, photographed exactly: surface, resume, cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from neuralfw.geometry.camera import Camera
from neuralfw.metrics.cameras import camera_errors
from neuralfw.run import Run
from neuralfw.session import train
from neuralfw.testing import Sphere, check_resume

CENTER, SIZE, VIEWS = np.array([3.0, -1.0, 2.0]), 64, 16
BALL = Sphere(1.5, (3.0, -1.0, 2.0))
SMALL = {
    "fields.sdf.width": 48,
    "fields.sdf.layers": 3,
    "fields.sdf.skip": "[]",
    "fields.sdf.features": 8,
    "fields.sdf.encoder": '"identity"',
    "fields.color.width": 32,
    "fields.color.layers": 2,
    "renderers.main.resolution": 24,
    "renderers.main.refresh": 20,
    "data.space.batch": 128,
    "stages.fit.passes.pixels.rays": 256,
    "stages.fit.losses.mask_bce.weight": '{ type = "steps", start = 2.0, factor = 0.5, at = [100, 200] }',
    "renderers.main.sharpness": '{ type = "steps", start = 50.0, factor = 2.0, at = [100, 200] }',
    "export.mesher.resolution": 48,
    "log.tensorboard": "false",
    "evaluate.views": "false",
}


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuralfw.run.save_picture", lambda *_: None)


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs with masks, in Blender's layout."""
    return BALL.write(tmp_path_factory.mktemp("sphere") / "photographs", views=VIEWS, size=SIZE)


def overrides(photographs: Path, steps: int, **more: object) -> list[str]:
    return [
        f"{key}={value}"
        for key, value in {
            "data.images.path": photographs, **SMALL, "stages.fit.steps": steps, "checkpoint.every": 0, **more,
        }.items()
    ]  # fmt: skip


@pytest.mark.slow
def test_the_surface_of_the_sphere(photographs: Path, tmp_path: Path) -> None:
    run = Run(train("idr", overrides(photographs, 400), out=tmp_path / "run", device="cpu"))
    mesh = run.mesh()
    deviation = np.abs(np.linalg.norm(mesh.vertices - CENTER, axis=1) - BALL.radius)
    assert deviation.mean() < 0.005 * 2.0 * BALL.radius * 3.0**0.5
    assert mesh.vertices.min(axis=0) == pytest.approx(CENTER - BALL.radius, abs=0.1)
    camera = Camera.look_at(
        CENTER + np.array([0.0, -5.0, 1.0]),
        CENTER,
        np.array([0.0, 0.0, 1.0]),
        focal=1.2 * SIZE,
        width=SIZE,
        height=SIZE,
    )
    expected = BALL.photograph(camera) / 255.0
    seen = run.render(camera)
    assert np.mean((seen["alpha"] > 0.5) != (expected[..., 3] > 0.5)) < 0.02
    assert np.abs(seen["rgb"] - expected[..., :3])[(expected[..., 3] > 0.5) & (seen["alpha"] > 0.5)].mean() < 0.05


def test_a_resumed_run_goes_on_bit_for_bit(photographs: Path, tmp_path: Path) -> None:
    """The guiding grid, the schedules of sharpness and weight and the rows of the cameras go on where they stood."""
    recipe, short = "idr_trained_cameras", {"stages.fit.losses.mask_bce.weight": 1.0}
    sharpness = '{ type = "steps", start = 50.0, factor = 2.0, at = [3, 7] }'
    given = overrides(photographs, 10, **{**short, "renderers.main.sharpness": sharpness, "renderers.main.refresh": 4})
    assert "renderers.main.grid" in check_resume(recipe, given, tmp_path, after=6).scene.state_dict()


def test_cameras_start_where_the_noise_put_them_and_only_seen_rows_move(photographs: Path, tmp_path: Path) -> None:
    noise = {"fields.cameras.rotation_noise": 2.0, "fields.cameras.center_noise": 0.02}
    given = overrides(photographs, 1, **noise)
    run = Run(
        train("idr_trained_cameras", [*given, "stages.fit.passes.pixels.views=1"], out=tmp_path / "run", device="cpu")
    )
    true = np.stack([camera.world_to_camera for camera in run.data("images").cameras])  # type: ignore[attr-defined]
    with torch.no_grad():
        learnt = run.scene.fields["cameras"](torch.arange(VIEWS)).double().numpy()
    errors = camera_errors(learnt, true)
    assert 1.0 < errors.rotation.mean() < 2.2
    again = Run(train("idr_trained_cameras", overrides(photographs, 0, **noise), out=tmp_path / "start", device="cpu"))
    with torch.no_grad():
        start = again.scene.fields["cameras"](torch.arange(VIEWS)).double().numpy()
    assert (np.abs(start - learnt).max(axis=(1, 2)) > 0.0).sum() == 1
