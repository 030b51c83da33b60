"""What is wrong with photographs, masks or cameras is told before training, as one message, with exit status 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from neuralfw.cli import app
from neuralfw.photos.convert import convert
from neuralfw.photos.masks import mask_source
from neuralfw.photos.sniff import read_capture

MIC = Path(__file__).resolve().parents[3] / "recipes" / "data" / "mic"
SMALL = [
    "fields.sdf.width=16", "fields.sdf.layers=2", "fields.sdf.skip=[]", "fields.color.width=16",
    "log.tensorboard=false", "log.report=false",
]  # fmt: skip


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scan") / "scan"
    capture = read_capture(MIC)
    convert(capture, folder, mask_source(capture, None))
    return folder


@pytest.fixture
def copy(scan: Path, tmp_path: Path) -> Path:
    """A scan of which any file may be replaced."""
    for file in (*scan.glob("*/*"), *scan.glob("*.npz")):
        target = tmp_path / "scan" / file.relative_to(scan)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(file)
    return tmp_path / "scan"


def replace(path: Path, image: Image.Image) -> None:
    path.unlink()
    image.save(path)


def change_cameras(folder: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    file = folder / "cameras.npz"
    arrays = {name: array.copy() for name, array in np.load(file).items()}
    change(arrays)
    file.unlink()
    np.savez(file, **arrays)


def lack_a_mask(folder: Path) -> None:
    (folder / "mask" / "003.png").unlink()


def lack_cameras(folder: Path) -> None:
    def fewer(arrays: dict[str, np.ndarray]) -> None:
        del arrays["world_mat_0"], arrays["world_mat_69"]

    change_cameras(folder, fewer)


def have_two_sizes(folder: Path) -> None:
    replace(folder / "image" / "004.png", Image.new("RGB", (100, 200)))


def have_a_mask_of_another_size(folder: Path) -> None:
    replace(folder / "mask" / "004.png", Image.new("L", (100, 200), 255))


def be_black(folder: Path) -> None:
    replace(folder / "mask" / "005.png", Image.new("L", (200, 200)))


def leave_the_sphere(folder: Path) -> None:
    def smaller(arrays: dict[str, np.ndarray]) -> None:
        for name in arrays:
            if name.startswith("scale_mat"):
                arrays[name][:3, :3] *= 0.3

    change_cameras(folder, smaller)


def scale_unevenly(folder: Path) -> None:
    change_cameras(folder, lambda arrays: arrays["scale_mat_0"].__setitem__((1, 1), 2.0))


FAULTS: dict[Callable[[Path], None], tuple[str, ...]] = {
    lack_a_mask: ("has 69 masks, but there are 70 images. There is none for 003",),
    lack_cameras: ("cameras.npz has 68 cameras, but there are 70 images",),
    have_two_sizes: ("have different sizes", "000.png has 200 x 200 pixels, 004.png has 100 x 200"),
    have_a_mask_of_another_size: ("004.png is of another size: 100 x 200 pixels do not fit",),
    be_black: ("the mask of 005.png is all black", "leave the photograph out"),
    leave_the_sphere: ("leaves the object outside the unit sphere", "neuralfw data convert"),
    scale_unevenly: ("scale_mat_0 must scale by one positive number",),
}


@pytest.mark.parametrize("recipe", ["idr", "idr_release"])
@pytest.mark.parametrize("damage", FAULTS, ids=lambda damage: damage.__name__)
def test_a_fault_is_told_before_training(
    damage: Callable[[Path], None], recipe: str, copy: Path, tmp_path: Path
) -> None:
    damage(copy)
    settings = [*SMALL, "data.images.type=images", f"data.images.path={copy}", "frame.fit=file"]
    words = [word for setting in settings for word in ("--set", setting)]
    result = CliRunner().invoke(app, ["run", recipe, *words, "--device", "cpu", "--out", str(tmp_path / "run")])
    assert result.exit_code == 2, result.output
    for part in FAULTS[damage]:
        assert part in " ".join(result.output.split())
    assert "Traceback" not in result.output and not (tmp_path / "run" / "metrics.jsonl").exists()
    inspected = CliRunner().invoke(app, ["data", "inspect", str(copy)])
    assert inspected.exit_code == 2
