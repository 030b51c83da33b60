"""Bad photographs, and what goes wrong while training, as a user of `gs_pull` sees it: one message, status 2."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from neuralfw.cli import app
from neuralfw.geometry import write_points

MIC = Path(__file__).resolve().parents[3] / "recipes" / "data" / "mic"
SHORT = ["data.images.scale=0.1", "stages.appearance.steps=4", "stages.geometry.steps=2", "export.mesher.resolution=16"]
KEPT = ["checkpoint.every=1", "log.tensorboard=false", "log.report=false"]


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A copy of four photographs for training and one held out, which a test may damage."""
    folder = tmp_path / "scene"
    for split, count in (("train", 4), ("test", 1)):
        table = json.loads((MIC / f"transforms_{split}.json").read_text())
        table["frames"] = table["frames"][:count]
        for frame in table["frames"]:
            file = (folder / frame["file_path"]).with_suffix(".png")
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy((MIC / frame["file_path"]).with_suffix(".png"), file)
        (folder / f"transforms_{split}.json").write_text(json.dumps(table))
    return folder


def change(scene: Path, edit: Callable[[dict], None]) -> None:
    file = scene / "transforms_train.json"
    table = json.loads(file.read_text())
    edit(table)
    file.write_text(json.dumps(table))


def photograph(scene: Path) -> Path:
    return sorted(scene.glob("train/*.png"))[0]


def no_images(scene: Path) -> None:
    for file in scene.glob("*/*.png"):
        file.unlink()


def colmap(model: str) -> Callable[[Path], None]:
    def write(scene: Path) -> None:
        files = {
            "cameras": f"1 {model} 800 800 1111 400 400\n",
            "images": "1 1 0 0 0 0 0 4 1 a.png\n\n2 0.9 0.1 0 0 0 0 4 1 b.png\n\n",
            "points3D": "1 0 0 0 200 200 200 0.1 1 0\n",
        }
        sparse = scene / "sparse" / "0"
        sparse.mkdir(parents=True)
        (scene / "images").mkdir()
        for name, text in files.items():
            (sparse / f"{name}.txt").write_text(text)
        for name in ("a.png", "b.png"):
            shutil.copy(photograph(scene), scene / "images" / name)
        for file in scene.glob("transforms_*.json"):
            file.unlink()

    return write


def refused(scene: Path, *more: str) -> str:
    """Run `gs_pull` and return the message with which it ends."""
    settings = [f"data.images.path={scene}", *SHORT, *KEPT, *more]
    arguments = ["run", "gs_pull", "--out", str(scene.parent / "run"), *(f"--set={s}" for s in settings)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (no_images, ["transforms_train.json", "none of its 4 images exists"]),
        (lambda scene: photograph(scene).write_bytes(b"no image"), ["cannot be read", ".png"]),
        (lambda scene: photograph(scene).write_bytes(photograph(scene).read_bytes()[:500]), [".png"]),
        (lambda scene: change(scene, lambda t: t["frames"][0].update(transform_matrix=[[1.0]])), ["transform_matrix"]),
        (lambda scene: change(scene, lambda t: t.update(frames=[])), ["transforms_train.json lists no images"]),
        (colmap("CATADIOPTRIC"), ["CATADIOPTRIC is not known", "a.png"]),
    ],
    ids=["no images", "no image", "half an image", "a pose that is none", "no poses", "unknown camera model"],
)
def test_faults_of_photographs_are_told_before_training(
    damage: Callable[[Path], None], told: list[str], scene: Path
) -> None:
    damage(scene)
    message = refused(scene)
    for part in told:
        assert part in message, message
    assert not (scene.parent / "run/checkpoints").exists()


def test_an_empty_cloud_is_told(scene: Path) -> None:
    write_points(scene / "none.ply", np.zeros((0, 3)))
    message = refused(scene, "fields.gaussians.init=file", f"fields.gaussians.file={scene / 'none.ply'}")
    assert "none.ply" in message, message


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ('stages.appearance.callbacks=[{ type = "prune", min_opacity = 0.9999, every = 3 }]', "min_opacity = 0.9999"),
        ("stages.appearance.losses.l1.weight={ type = 'steps', start = 1, factor = 1e38, at = [2] }", "became"),
        ("stages.appearance.train={ gaussians = { lr = 1e30 } }", "became nan"),
    ],
    ids=["all pruned", "losses overflow", "gradients become nan"],
)
def test_what_was_trained_before_a_failure_is_kept(setting: str, told: str, scene: Path) -> None:
    message = refused(scene, setting)
    assert told in message, message
    assert "neuralfw resume" in message
    assert (scene.parent / "run/checkpoints/latest").exists()
