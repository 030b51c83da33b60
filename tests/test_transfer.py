"""A run that starts from another: which field starts as which, whose frame and box hold, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from neuralfw.errors import UserError
from neuralfw.run import Run
from neuralfw.session import resume, train

RECIPE = """
name = "tiny"

[data.points]
type = "points"
path = "{cloud}"
clean = false

[fields.{field}]
type   = "mlp_sdf"
width  = {width}
layers = 2

[[stages]]
steps  = 2
train  = {{ {field} = {{ lr = {lr} }} }}
passes = {{ surface = {{ data = "points" }} }}
losses = [{{ type = "sdf_zero", on = "surface" }}]

[log]
tensorboard = false
report = false
"""


def cloud(path: Path, scale: float, center: float = 0.0) -> Path:
    directions = np.random.default_rng(0).normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    np.savetxt(path, np.hstack([scale * directions + center, directions]))
    return path


def start(
    folder: Path, name: str, *, scale: float = 1.0, field: str = "sdf", width: int = 16, lr: float = 0.0,
    start_from: str | None = None, more: str = "",
) -> Run:  # fmt: skip
    """Train for two steps; with the learning rate 0 the weights stay those that the run began with."""
    recipe = folder / f"{name}.toml"
    points = cloud(folder / f"{name}.pts", scale)
    recipe.write_text(RECIPE.format(cloud=points, field=field, width=width, lr=lr) + more, encoding="utf-8")
    said: list[str] = []
    root = train(recipe, ["export.mesher.resolution=8"], out=folder / name, start_from=start_from, say=said.append)
    run = Run(root)
    run.__dict__["said"] = said
    return run


@pytest.fixture(scope="module", autouse=True)
def _no_pictures() -> Iterator[None]:
    """Drawing the meshes takes longer than these runs; it has tests of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neuralfw.run.save_picture", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return start(tmp_path_factory.mktemp("first"), "first", lr=1e-3)


def parameters(run: Run, field: str = "sdf") -> dict[str, torch.Tensor]:
    return run.scene.fields[field].state_dict()


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def test_a_field_starts_as_the_one_of_its_name(first: Run, tmp_path: Path) -> None:
    assert equal(parameters(start(tmp_path, "second", start_from=str(first.folder.root))), parameters(first))
    assert not equal(parameters(start(tmp_path, "fresh")), parameters(first))


def test_a_field_of_another_name_starts_as_the_only_one_of_its_role(first: Run, tmp_path: Path) -> None:
    other = start(tmp_path, "other", field="shape", start_from=f"{first.folder.root}:sdf")
    assert equal(parameters(other, "shape"), parameters(first))


def test_the_frame_and_the_box_are_those_of_the_first_run(first: Run, tmp_path: Path) -> None:
    second = start(tmp_path, "second", scale=3.0, start_from=str(first.folder.root))
    assert second.frame == first.frame
    assert float((second.scene.bounds[1] - second.scene.bounds[0]).min()) > 5.0  # three times as large as its space
    assert any("frame" in line for line in second.__dict__["said"])
    x = np.array([[0.3, 0.2, -0.1], [2.0, 0.0, 0.0]])
    assert second.sdf(x) == pytest.approx(first.sdf(x), abs=1e-6)


def test_a_smaller_cloud_keeps_the_box_of_the_first_run(first: Run, tmp_path: Path) -> None:
    small = start(tmp_path, "small", scale=0.2, start_from=str(first.folder.root))
    assert torch.allclose(small.scene.bounds, first.scene.bounds)


def test_parameters_of_other_sizes_are_refused(first: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"sdf cannot start as .*first:sdf: .*is \(24, .* here, \(16, .* there"):
        start(tmp_path, "wide", width=24, start_from=str(first.folder.root))


def test_parameters_of_other_names_are_refused(first: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gain on one side only"):
        more = "[fields.sdf]\nweight_norm = true\n"
        recipe = tmp_path / "normed.toml"
        recipe.write_text(f'extends = "{first.folder.recipe}"\n{more}', encoding="utf-8")
        train(recipe, out=tmp_path / "normed", start_from=str(first.folder.root))


def test_an_absent_run_or_field_is_refused_before_anything_is_written(first: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no field 'sfd'; closest: sdf"):
        start(tmp_path, "second", start_from=f"{first.folder.root}:sfd")
    with pytest.raises(UserError, match="is not a run directory"):
        start(tmp_path, "second", start_from=str(tmp_path / "nowhere"))
    assert not (tmp_path / "second").exists()


def test_a_run_with_nothing_that_fits_is_refused(first: Run, tmp_path: Path) -> None:
    codes = '[fields.codes]\ntype = "latents"\nper = "points"\n'
    both = start(tmp_path, "both", start_from=str(first.folder.root), more=codes)
    assert equal(parameters(both), parameters(first))
    with pytest.raises(UserError, match=r"nothing of .* fits this recipe: it has the fields sdf \(sdf\), codes"):
        start(tmp_path, "third", start_from=f"{both.folder.root}:codes")


def test_a_field_that_nothing_gives_values_is_named(first: Run, tmp_path: Path) -> None:
    codes = '[fields.codes]\ntype = "latents"\nper = "points"\n'
    run = start(tmp_path, "idle", start_from=str(first.folder.root), more=codes)
    assert [line for line in run.__dict__["said"] if "no stage trains" in line] == [
        "no stage trains codes, so it stays as it begins: --from RUN:codes would give it another start"
    ]


def test_the_new_run_goes_on_without_the_old_one(first: Run, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(first.folder.root, old)
    second = start(tmp_path, "second", scale=3.0, start_from=str(old))
    shutil.rmtree(old)
    resume(second.folder.root)
    assert Run(second.folder.root).frame == first.frame
