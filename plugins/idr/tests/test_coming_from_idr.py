"""Every row of docs/coming_from/idr.md does here what it says, and every key of the released configuration has one."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from neuralfw.recipe.model import dump
from neuralfw.session import check
from neuralfw.testing.pages import ComingFrom, call, value_at

ROOT = Path(__file__).resolve().parents[3]
MIC = ROOT / "recipes" / "data" / "mic"
PAGE = ComingFrom(ROOT / "docs" / "coming_from" / "idr.md")
KEYS = [
    "--conf", "--scan_id", "--train_cameras", "--nepoch", "--batch_size", "--expname", "--gpu", "--is_continue",
    "--timestamp", "--checkpoint", "--exps_folder", "--resolution", "--eval_cameras", "--eval_rendering",
    "--geometry_id", "--appearance_id", "--is_uniform_grid", "--source_dir", "--use_linear_init", "num_pixels",
    "learning_rate", "learning_rate_cam",
    "sched_milestones", "sched_factor", "alpha_milestones", "alpha_factor", "alpha", "eikonal_weight", "mask_weight",
    "data_dir", "cam_file", "img_res", "feature_vector_size", "dims", "bias", "skip_in", "weight_norm", "multires",
    "geometric_init", "mode", "multires_view", "object_bounding_sphere", "sdf_threshold", "line_search_step",
    "line_step_iters", "sphere_tracing_iters", "n_steps", "n_secant_steps",
]  # fmt: skip
OF_THE_USER = ("data.images", "stages.fit.train.cameras", "stages.fit.steps")


@pytest.mark.parametrize("key", KEYS)
def test_every_flag_and_key_is_on_the_page(key: str) -> None:
    assert PAGE.mentions(key)


@pytest.mark.parametrize("there", PAGE.settings)
def test_a_setting_is_taken_and_is_that_of_the_release(there: str) -> None:
    (override,) = shlex.split(PAGE.settings[there])[1:]
    path = override.partition("=")[0]
    more = ["data.images.type=idr"] if path.startswith("data.images") else []
    more += ["fields.cameras.type=camera_poses"] if "cameras" in path and path.startswith("stages") else []
    changed = dump(check("idr_release", [*more, override.replace("SCAN", str(MIC))]).recipe)
    if not path.startswith(OF_THE_USER):
        assert value_at(changed, path) == value_at(dump(check("idr_release").recipe), path)


TINY = [
    "data.images.max_size=40", "fields.sdf.width=48", "fields.sdf.layers=2", "fields.sdf.skip=[]",
    "fields.color.width=16", "stages.fit.steps=1", "stages.fit.passes.pixels.rays=16", "data.space.batch=16",
    "export.mesher.resolution=12", "export.colors=false", "evaluate.views=false", "log.tensorboard=false",
    "log.report=false",
]  # fmt: skip


@pytest.mark.slow
def test_the_commands_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MODEL is put to the test by test_idr_released; every other row runs here."""
    monkeypatch.chdir(tmp_path)
    noise = ["--camera-noise", "degrees=0.5,distance=0.005"]
    call(["data", "convert", str(MIC), "SCAN", *noise])
    runs = [command for command in PAGE.commands if " run " in command]
    quick = [word for setting in TINY for word in ("--set", setting)]
    for number, command in enumerate(runs):
        call([*shlex.split(command)[1:], *quick, "--device", "cpu", "--out", f"run{number}"])
    for command in (c for c in PAGE.commands if "RUN" in c):
        call(shlex.split(command.replace("RUN", f"run{len(runs) - 1}").replace("512", "12"))[1:])
    for number, command in enumerate(c for c in PAGE.commands if "DST" in c and "MODEL" not in c):
        source = str(MIC) if "alpha" in command else "SCAN"
        call(shlex.split(command.replace("DIR", source).replace("DST", f"dst{number}"))[1:])
