"""Data and loss keep the contracts of their kinds; bounds are those of a sphere seen by pinhole cameras."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from nfw_depth_fusion.config import DepthMapsConfig

from neuralfw.components import Draw
from neuralfw.errors import UserError
from neuralfw.geometry import Camera, read_mesh
from neuralfw.session import train
from neuralfw.testing import build_component

RADIUS, BOUND = 0.8, "depth_fusion/bound"
CENTERS = 3.0 * np.array([[1, 0, 0.1], [-1, 0, 0.1], [0, 1, 0.1], [0, -1, 0.1], [0.1, 0, 1], [0.1, 0, -1]])


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Depth maps of a sphere from six sides; beside it rays meet nothing, and one pixel was not measured."""
    cameras = [Camera.look_at(c, [0, 0, 0], [0.3, 0.2, 1], focal=90.0, width=48, height=48) for c in CENTERS]
    depth = np.stack([sphere_depth(camera) for camera in cameras])
    depth[0, 24, 24] = 0.0
    path = tmp_path_factory.mktemp("scan") / "scan.npz"
    pose, lens = (np.stack([getattr(c, key) for c in cameras]) for key in ("world_to_camera", "intrinsics"))
    np.savez(path, depth=depth, world_to_camera=pose, intrinsics=lens)
    return path


def sphere_depth(camera: Camera) -> np.ndarray:
    origin, directions = camera.rays()
    along = directions @ origin
    under = along**2 - origin @ origin + RADIUS**2
    distance = np.where(under > 0, -along - np.sqrt(np.maximum(under, 0)), np.inf)
    return distance * (directions @ camera.axis)


def recipe(scan: Path, tmp_path: Path) -> Path:
    text = Path(__file__).parents[1].joinpath("recipe.toml").read_text().replace("spot_depth.npz", str(scan))
    (tmp_path / "recipe.toml").write_text(text)
    return tmp_path / "recipe.toml"


def test_contract(contract: Callable[[], None]) -> None:
    contract()


def test_bounds_are_distances_to_the_sphere_with_their_side(scan: Path) -> None:
    data = build_component("dataset", "depth_maps", {"path": str(scan)})
    center = torch.from_numpy(data.frame.to_training(np.zeros((1, 3)))).float()
    batch = data.sample(drawn(4000))
    sdf = (batch["points"] - center).norm(dim=1) - RADIUS * data.frame.scale
    bound = batch[BOUND]
    assert (bound.abs() >= sdf.abs() - 1e-3).all()  # the nearest point that was met is no nearer than the surface
    assert (bound.abs() - sdf.abs()).max() < 0.05
    assert ((bound > 0) == (sdf > 0)).float().mean() > 0.97  # behind what a grazing ray met there may be air again
    assert (bound[2000:] > 0).all()


def drawn(batch: int) -> Draw:
    options = DepthMapsConfig.Draw(batch=batch)
    return Draw("train", options, 0, lambda count: torch.Generator().manual_seed(count), None)  # type: ignore[arg-type]


def test_the_true_distance_costs_nothing_and_another_does() -> None:
    loss = build_component("loss", "depth_bounds", {"truncation": 0.1, "near_weight": 2.0, "steepness": 5.0})
    bound = torch.tensor([0.05, -0.05, 0.5, -0.5])
    assert loss({"sdf": bound}, {BOUND: bound}) == 0
    assert loss({"sdf": torch.tensor([0.1, -0.1, 0.2, 3.0])}, {BOUND: bound}) == pytest.approx(2 * 0.1 / 4)
    assert loss({"sdf": torch.tensor([0.05, -0.05, 0.7, 3.0])}, {BOUND: bound}) == pytest.approx(0.2 / 4)
    below = float(torch.expm1(torch.tensor(1.0)))
    assert loss({"sdf": torch.tensor([0.05, -0.05, -0.2, 3.0])}, {BOUND: bound}) == pytest.approx(below / 4)


def test_a_sphere_comes_back(scan: Path, tmp_path: Path) -> None:
    short = ["stages.fit.steps=150", "fields.sdf.width=32", "fields.sdf.layers=2", "export.mesher.resolution=32"]
    run = train(recipe(scan, tmp_path), short, out=tmp_path / "run")
    distance = np.linalg.norm(read_mesh(run / "meshes/mesh.ply").vertices, axis=1)
    assert np.abs(distance - RADIUS).mean() < 0.02


@pytest.mark.parametrize("content", [{}, {"depth": np.zeros((1, 4, 4))}])
def test_what_is_no_scan_is_refused(content: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.savez(tmp_path / "scan.npz", **content)
    with pytest.raises(UserError, match=r"scan\.npz: expected an npz file"):
        build_component("dataset", "depth_maps", {"path": str(tmp_path / "scan.npz")})
