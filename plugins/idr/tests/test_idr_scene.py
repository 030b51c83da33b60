"""The method on a sphere whose colours are its normals, photographed exactly: surface, resume, cameras."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from neuralfw.geometry.camera import Camera
from neuralfw.metrics.cameras import camera_errors
from neuralfw.run import Run
from neuralfw.session import resume, train

CENTER, RADIUS, SIZE, VIEWS = np.array([3.0, -1.0, 2.0]), 1.5, 64, 16
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
    root = tmp_path_factory.mktemp("sphere")
    (root / "train").mkdir()
    frames = []
    for index, place in enumerate(spread(VIEWS)):
        camera = Camera.look_at(
            CENTER + 5.0 * place, CENTER, np.array([0.1, 0.2, 1.0]), focal=1.2 * SIZE, width=SIZE, height=SIZE
        )
        Image.fromarray(photograph(camera), "RGBA").save(root / "train" / f"{index}.png")
        pose = np.linalg.inv(camera.world_to_camera) @ np.diag([1.0, -1.0, -1.0, 1.0])
        frames.append({"file_path": f"./train/{index}", "transform_matrix": pose.tolist()})
    angle = 2.0 * np.arctan(0.5 / 1.2)
    (root / "transforms_train.json").write_text(json.dumps({"camera_angle_x": angle, "frames": frames}))
    return root


def spread(count: int) -> np.ndarray:
    """Directions that cover the sphere evenly (Fibonacci's lattice)."""
    z = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    angle = np.pi * (1.0 + 5.0**0.5) * np.arange(count)
    ring = np.sqrt(1.0 - z * z)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1)


def photograph(camera: Camera) -> np.ndarray:
    """What the camera sees, by the intersection of its rays with the sphere."""
    origin, directions = camera.rays()
    middle = -directions @ (origin - CENTER)
    squared = middle**2 - ((origin - CENTER) ** 2).sum() + RADIUS**2
    t = middle - np.sqrt(np.maximum(squared, 0.0))
    normal = (origin + t[..., None] * directions - CENTER) / RADIUS
    image = np.concatenate([0.5 + 0.5 * normal, np.ones((SIZE, SIZE, 1))], axis=-1)
    return (255.0 * np.clip(image, 0.0, 1.0) * (squared > 0.0)[..., None]).round().astype(np.uint8)


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
    deviation = np.abs(np.linalg.norm(mesh.vertices - CENTER, axis=1) - RADIUS)
    assert deviation.mean() < 0.005 * 2.0 * RADIUS * 3.0**0.5
    assert mesh.vertices.min(axis=0) == pytest.approx(CENTER - RADIUS, abs=0.1)
    camera = Camera.look_at(
        CENTER + np.array([0.0, -5.0, 1.0]),
        CENTER,
        np.array([0.0, 0.0, 1.0]),
        focal=1.2 * SIZE,
        width=SIZE,
        height=SIZE,
    )
    expected = photograph(camera) / 255.0
    seen = run.render(camera)
    assert np.mean((seen["alpha"] > 0.5) != (expected[..., 3] > 0.5)) < 0.02
    assert np.abs(seen["rgb"] - expected[..., :3])[(expected[..., 3] > 0.5) & (seen["alpha"] > 0.5)].mean() < 0.05


def test_a_resumed_run_goes_on_bit_for_bit(photographs: Path, tmp_path: Path) -> None:
    """The guiding grid, the schedules of sharpness and weight and the rows of the cameras go on where they stood."""
    recipe, short = "idr_trained_cameras", {"stages.fit.losses.mask_bce.weight": 1.0}
    sharpness = '{ type = "steps", start = 50.0, factor = 2.0, at = [3, 7] }'
    given = overrides(photographs, 10, **{**short, "renderers.main.sharpness": sharpness, "renderers.main.refresh": 4})
    whole = train(recipe, given, out=tmp_path / "whole", device="cpu")
    broken = interrupted(recipe, given, tmp_path / "broken", after=6)
    resume(broken, device="cpu")
    ours, theirs = (Run(root).scene.state_dict() for root in (whole, broken))
    assert "renderers.main.grid" in ours
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def interrupted(recipe: str, given: list[str], out: Path, after: int) -> Path:
    """A run that is stopped after some steps."""
    import os
    import signal

    from neuralfw.hooks import hook
    from neuralfw.training.signals import Interrupted

    class Stop:
        @hook
        def neuralfw_step_end(self, trainer: object, ctx: object) -> None:
            if trainer.clock.run == after:  # type: ignore[attr-defined]
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        train(recipe, given, out=out, device="cpu", watchers=[Stop()])
    return out


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
