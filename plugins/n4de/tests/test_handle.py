"""Editing by handles: the flow is what it says, a surface goes the whole way, what is far away stays."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from neuralfw.components import Build
from neuralfw.geometry import Frame, Mesh
from neuralfw.meshing import extract
from neuralfw.run import Run
from neuralfw.schedules import Clock
from neuralfw.session import train
from neuralfw_n4de.config import HandleConfig
from neuralfw_n4de.flow import normal_speed
from neuralfw_n4de.losses import Handle

EDIT = """
name = "edit"
checkpoint = {{ every = 0 }}
log = {{ tensorboard = false }}

[data.space]
type  = "uniform"
size  = 1.0
batch = 512

[fields.sdf]
type   = "mlp_sdf"
width  = 32
layers = 2
radius = 0.5
encoder = {{ type = "hash_grid", levels = 4, log2_table_size = 13, base = 8, finest = 32 }}

[renderers.surface]
type       = "surface"
resolution = 24
size       = 1.0

[[stages]]
name   = "edit"
steps  = 10
update = {{ type = "level_set", field = "sdf", dt = 0.1, inner_steps = 40, fit = "l2", off_surface = 2048 }}
train  = {{ sdf = {{ lr = {lr} }} }}
passes = {{ surface = {{ renderer = "surface" }}, space = {{ data = "space" }} }}
losses = [{{ type = "handle", on = "surface", {handle} }}, {{ type = "eikonal", on = "space", weight = 0.01 }}]
"""


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuralfw.run.save_picture", lambda *_: None)


def edited(folder: Path, handle: str, lr: float = 2e-3) -> Mesh:
    """Return the surface after the stage; as it begins, if nothing is learnt."""
    path = folder / "edit.toml"
    path.write_text(EDIT.format(handle=handle, lr=lr))
    return Run(train(path, out=folder / f"run{lr}")).mesh(resolution=32)


def handle(frame: Frame, **options: Any) -> Handle:
    scene: Any = SimpleNamespace(frame=frame)
    made = Build(scene, Clock(), torch.device("cpu"), "losses.handle", None, lambda spec: None, torch.Generator())
    return Handle(HandleConfig(progress=0.5, **options), made)


def test_its_flow_is_its_speed_within_its_radius_in_the_world_of_the_data() -> None:
    """On a sphere: V·n = (1 - r²/R²)² v·n, where the handle is half-way; nothing beyond."""
    frame = Frame(
        center=np.array([1.0, 2.0, 3.0]), scale=0.5, rotation=Rotation.from_rotvec([0.2, 0.4, -0.3]).as_matrix()
    )
    found = extract(lambda x: x.norm(dim=1) - 0.6, ([-1.0] * 3, [1.0] * 3), 40)
    x, faces = torch.from_numpy(found.vertices).float(), torch.from_numpy(found.faces)
    at, move, radius = (1.0, 2.0, 4.1), (0.0, 0.0, 0.2), 0.8
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(
        handle(frame, at=at, move=move, radius=radius)({"vertices": leaf, "faces": faces}, {}), leaf
    )
    normals = torch.nn.functional.normalize(x, dim=1)
    speed = normal_speed(x, faces, normals, gradient)
    world = frame.to_world(x.double().numpy())
    nearness = np.clip(1.0 - np.square((world - [1.0, 2.0, 4.2]) / radius).sum(axis=1), 0.0, None)
    ahead = frame.rotation @ move * frame.scale
    expected = nearness**2 * (normals.double().numpy() @ ahead)
    assert expected.max() > 0.09 and (expected == 0.0).mean() > 0.5
    assert np.median(np.abs(speed.numpy() - expected)) < 1e-6
    assert np.abs(speed.numpy() - expected).mean() < 1e-3


@pytest.mark.slow
def test_a_ball_that_is_held_as_a_whole_goes_the_whole_way(tmp_path: Path) -> None:
    """On cells of a sixth of its radius."""
    held = "at = [0.0, 0.0, 0.0], move = [0.2, 0.0, -0.1], radius = 50.0"
    before, after = edited(tmp_path, held, lr=0.0), edited(tmp_path, held)
    assert after.centroid - before.centroid == pytest.approx([0.2, 0.0, -0.1], abs=0.02)
    assert after.volume == pytest.approx(before.volume, rel=0.05)


@pytest.mark.slow
def test_a_handle_pulls_out_what_is_near_it_and_leaves_the_rest(tmp_path: Path) -> None:
    held = "at = [0.5, 0.0, 0.0], move = [0.2, 0.0, 0.0], radius = 0.4"
    before, after = (KDTree(edited(tmp_path, held, lr=lr).vertices) for lr in (0.0, 2e-3))
    assert after.data[:, 0].max() == pytest.approx(before.data[:, 0].max() + 0.2, abs=0.03)
    behind = after.data[after.data[:, 0] < 0.0]
    assert np.mean(before.query(behind)[0]) < 0.01
