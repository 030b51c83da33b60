"""Models of IDR's released code become runs with the same distance and colours; its networks are written down anew."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from neuralfw.cli import app
from neuralfw.geometry.rotation import quaternion_of_matrix
from neuralfw.photos.convert import Noise, convert
from neuralfw.photos.idr import NOISY
from neuralfw.photos.masks import mask_source
from neuralfw.photos.sniff import read_capture
from neuralfw.run import Run

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
MIC = Path(__file__).resolve().parents[3] / "recipes" / "data" / "mic"
WIDTH = 48


def octaves(x: Tensor, bands: int) -> Tensor:
    waves = [wave(x * 2.0**k) for k in range(bands) for wave in (torch.sin, torch.cos)]
    return torch.cat([x, *waves], dim=-1)


class Network(nn.Module):
    """Layers lin0, lin1, … with weight normalisation, as the released code names them."""

    def __init__(self, sizes: list[tuple[int, int]]) -> None:
        super().__init__()
        for k, (inputs, outputs) in enumerate(sizes):
            setattr(self, f"lin{k}", nn.utils.weight_norm(nn.Linear(inputs, outputs)))


class Released(nn.Module):
    """f(x) with 3 octaves and a skip connection, and M(x, v, n, z), as in its implicit_differentiable_renderer.py."""

    def __init__(self, mode: str = "idr", features: int = 8, bands: int = 2) -> None:
        super().__init__()
        self.mode, self.bands = mode, bands
        inputs = 21
        sizes = [(inputs, WIDTH), (WIDTH, WIDTH - inputs), (WIDTH, WIDTH), (WIDTH, 1 + features)]
        self.implicit_network = Network(sizes)
        seen = 3 + features + 3 * (mode != "no_normal") + (3 + 6 * bands) * (mode != "no_view_dir")
        self.rendering_network = Network([(seen, WIDTH), (WIDTH, WIDTH), (WIDTH, 3)])

    def geometry(self, x: Tensor) -> Tensor:
        coded = octaves(x, 3)
        h, layers = coded, self.implicit_network
        for k in range(4):
            h = torch.cat([h, coded], dim=1) / math.sqrt(2.0) if k == 2 else h
            h = getattr(layers, f"lin{k}")(h)
            h = nn.functional.softplus(h, beta=100) if k < 3 else h
        return h

    def color(self, x: Tensor, v: Tensor) -> Tensor:
        """Colours in [-1, 1], with the gradient as it is for a normal."""
        x = x.clone().requires_grad_()
        out = self.geometry(x)
        (normal,) = torch.autograd.grad(out[:, 0].sum(), x, retain_graph=True)
        parts = {
            "idr": [x, octaves(v, self.bands), normal],
            "no_view_dir": [x, normal],
            "no_normal": [x, octaves(v, self.bands)],
        }
        h = torch.cat([*parts[self.mode], out[:, 1:]], dim=1)
        for k in range(3):
            h = getattr(self.rendering_network, f"lin{k}")(h)
            h = torch.relu(h) if k < 2 else torch.tanh(h)
        return h.detach()


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scan") / "scan"
    capture = read_capture(MIC)
    convert(capture, folder, mask_source(capture, None), noise=Noise(degrees=1.0, distance=0.01))
    return folder


def saved(folder: Path, model: Released, poses: Tensor | None = None, epoch: int = 30) -> Path:
    """An experiment as the released code leaves it."""
    checkpoints = folder / "dtu_65" / "2020" / "checkpoints"
    (checkpoints / "ModelParameters").mkdir(parents=True)
    torch.save(
        {"epoch": epoch, "model_state_dict": model.state_dict()}, checkpoints / "ModelParameters" / f"{epoch}.pth"
    )
    if poses is not None:
        (checkpoints / "CamParameters").mkdir()
        table = {"epoch": epoch, "pose_vecs_state_dict": {"weight": poses}}
        torch.save(table, checkpoints / "CamParameters" / f"{epoch}.pth")
    return folder / "dtu_65"


def cli(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    ("mode", "features", "bands"), [("idr", 8, 2), ("no_view_dir", 8, 0), ("no_normal", 8, 2), ("idr", 0, 4)]
)
def test_distance_and_colours_are_the_same(mode: str, features: int, bands: int, scan: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Released(mode, features, bands)
    output = cli("data", "convert", saved(tmp_path, model), tmp_path / "run", "--photographs", scan)
    assert "epoch 30" in output
    run = Run(tmp_path / "run")
    x = 2.0 * torch.rand(500, 3) - 1.0
    v = nn.functional.normalize(torch.randn(500, 3), dim=1)
    ours = run.view.evaluate({"points": x, "view_direction": v}, frozenset({"sdf", "color"}))
    assert (ours["sdf"] - model.geometry(x)[:, 0]).abs().max() < 1e-5
    assert (2.0 * ours["color"] - 1.0 - model.color(x, v)).abs().max() < 1e-5
    frame = read_capture(scan).frame
    assert frame is not None and run.frame == frame
    world = frame.to_world(x.double().numpy())
    assert np.abs(run.sdf(world) * frame.scale - model.geometry(x)[:, 0].detach().numpy()).max() < 1e-5
    assert run.scene.clock.run == 30 * 70


def test_trained_poses_are_those_of_the_run(scan: Path, tmp_path: Path) -> None:
    true = read_capture(scan)
    assert true.frame is not None
    cameras = [camera.in_training(true.frame) for camera in true.cameras]
    turned = torch.stack([torch.from_numpy(c.world_to_camera[:3, :3].T) for c in cameras])
    centers = torch.stack([torch.from_numpy(c.center) for c in cameras])
    poses = torch.cat([2.0 * quaternion_of_matrix(turned), centers], dim=1).float()
    experiment = saved(tmp_path, Released(), poses)
    assert "70 cameras" in cli("data", "convert", experiment, tmp_path / "run", "--photographs", scan)
    run = Run(tmp_path / "run")
    found = run.view.evaluate({"view": torch.arange(70)}, frozenset({"world_to_camera"}))["world_to_camera"]
    assert np.allclose(found, np.stack([c.world_to_camera for c in cameras]), atol=1e-5)
    assert run.recipe.data["images"].config.cameras == NOISY


def test_its_mesh_lies_where_its_distance_is_zero(scan: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Released()
    with torch.no_grad():
        model.implicit_network.lin3.bias[0] -= model.geometry(torch.rand(200, 3) - 0.5)[:, 0].median()
    cli("data", "convert", saved(tmp_path, model), tmp_path / "run", "--photographs", scan)
    run = Run(tmp_path / "run")
    points = torch.from_numpy(run.frame.to_training(run.mesh(resolution=24).vertices)).float()
    assert len(points) > 50 and model.geometry(points)[:, 0].abs().max() < 0.02


@pytest.mark.parametrize("content", ["text", "other", "pickle", "code"])
def test_what_is_no_model_is_refused(content: str, scan: Path, tmp_path: Path) -> None:
    file = tmp_path / "2000.pth"
    if content == "text":
        file.write_text("no tensors")
    elif content == "other":
        torch.save({"epoch": 1, "model_state_dict": {"conv.weight": torch.zeros(3)}}, file)
    elif content == "pickle":
        torch.save({"epoch": 1, "model_state_dict": Path("x")}, file)
    else:
        torch.save({"epoch": 1}, file)
    result = CliRunner().invoke(app, ["data", "convert", str(file), str(tmp_path / "run"), "--photographs", str(scan)])
    assert result.exit_code == 2 and str(file) in result.output and not (tmp_path / "run").exists()


def test_the_photographs_must_be_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["data", "convert", str(saved(tmp_path, Released())), str(tmp_path / "run")])
    assert result.exit_code == 2 and "add --photographs SCAN" in result.output
