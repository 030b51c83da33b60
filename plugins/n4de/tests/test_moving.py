"""A scene that moves under the level-set update: what is drawn of it while it trains, and afterwards."""

from pathlib import Path

import pytest
import torch
import trimesh
from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator

import neuralfw
from neuralfw.geometry.mesh_sequence import find_meshes
from neuralfw.photos.rendered import photograph

SMALL = [
    "fields.sdf.time=raw", "fields.sdf.encoder=frequency", "fields.sdf.width=16", "data.space.batch=64",
    "renderers.main.resolution=16", "renderers.surface.resolution=16", "export.mesher.resolution=16",
    "evaluate.views=false",
    *(
        f"stages.{stage}.{setting}"
        for stage in ("hull", "evolve")
        for setting in ("time=cycle", "update.off_surface=64", "passes.views.views=2", "passes.space.time=0.5")
    ),
    "stages.hull.passes.hull.views=2", "stages.hull.steps=3", "stages.evolve.steps=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ball")
    (folder / "meshes").mkdir()
    for number, radius in enumerate((0.8, 1.0, 1.2)):
        trimesh.creation.icosphere(2, radius).export(folder / "meshes" / f"{number}.ply")
    photograph(find_meshes(folder / "meshes"), folder / "images", views=6, size=32)
    return folder / "images"


@pytest.mark.slow
def test_pictures_change_nothing_that_is_learnt(images: Path, tmp_path: Path) -> None:
    same = [*SMALL, f"data.images.path={images}"]
    plain = [*same, "log.tensorboard=false", "log.report=false"]
    quiet = neuralfw.train("nie", plain, out=tmp_path / "quiet", device="cpu")
    shown = neuralfw.train("nie", [*same, "log.pictures=1"], out=tmp_path / "shown", device="cpu")
    for name, value in quiet.scene.state_dict().items():
        assert torch.equal(value, shown.scene.state_dict()[name])
    told = EventAccumulator(str(shown.folder.root / "tensorboard"), size_guidance={"images": 0, TENSORS: 0})
    told.Reload()
    assert sorted(told.Tags()["images"]) == ["view/t0.000", "view/t0.500", "view/t1.000"]
    assert [event.step for event in told.Tensors("mesh/t0.500_VERTEX")] == [1, 2, 3, 4, 5]
