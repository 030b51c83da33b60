"""The cameras that a run learnt: how far they are from the true ones, and where they leave the photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .data.images import Images
from .errors import UserError
from .fields.appearance_config import CameraPosesConfig
from .geometry import Camera, Frame
from .metrics.cameras import CameraErrors, Poses, align, camera_errors, centers_of, summary
from .metrics.figure import figure

if TYPE_CHECKING:
    from .run import Run

_KNOWN = 1e-6
"""Errors before training below this, degrees or share of the distance, are those of cameras that are known."""

_ALIGNED = "after the similarity that brings the cameras onto the true ones (IDR, arXiv 2003.09852)"


def learnt_cameras(run: Run, table: str | None = None) -> str | None:
    """Return the name of the run's field of learnt cameras, or None; those of one data table where that is given."""
    fields = ((name, spec.config) for name, spec in run.recipe.fields.items())
    found = (n for n, c in fields if isinstance(c, CameraPosesConfig) and table in (None, c.data))
    return next(found, None)


def evaluate_cameras(run: Run) -> dict[str, Any]:
    """Compare the cameras of the training photographs with the true ones, before and after training.

    The true ones are those that the photographs bring: in IDR's layout cameras.npz beside cameras_linear_init.npz, else
    the cameras themselves, which the field may have started from with noise.

    Raises:
        UserError: the run learns no cameras, or there is one camera alone.
    """
    name = learnt_cameras(run)
    if name is None:
        raise UserError("protocol cameras: this run learns no cameras. fields.cameras.type = camera_poses does.")
    config = run.recipe.fields[name].config
    assert isinstance(config, CameraPosesConfig)
    data = run.data(config.data)
    assert isinstance(data, Images)
    members = data.members("train")
    true = _true(data, members)
    start = run.scene.fields[name].start[members].double().cpu().numpy()  # type: ignore[index]
    after, before = camera_errors(_learnt(run, name, members), true), camera_errors(start, true)
    return _facts(after, before, true, len(members))


def cameras_of(run: Run, table: str, set_name: str) -> dict[int, Camera]:
    """Return the cameras of a set of a data table, by index, in the training space of the scene as it was learnt.

    Those that were learnt are the field's. Of other photographs they are the true ones after the similarity that brings
    the true cameras of the training photographs onto the learnt ones: nothing else holds a scene in its place whose
    cameras moved.
    """
    name, data = learnt_cameras(run, table), run.data(table)
    assert isinstance(data, Images)
    members = data.members(set_name)
    if name is None:
        return {i: data.cameras[i] for i in members}
    train = data.members("train")
    learnt = _learnt(run, name, train)
    if set_name == "train":
        poses = dict(zip(train, learnt, strict=True))
    else:
        found = align(learnt, _true(data, train))
        there = Frame(center=found.translation, scale=1.0 / found.scale, rotation=found.rotation.T)
        poses = {i: _truth(data)[i].in_training(there).world_to_camera for i in members}
    return {i: replace(data.cameras[i], world_to_camera=pose) for i, pose in poses.items()}


def _truth(data: Images) -> Sequence[Camera]:
    return data.capture.true_cameras or data.capture.cameras


def _true(data: Images, members: Sequence[int]) -> Poses:
    return np.stack([_truth(data)[i].world_to_camera for i in members])


def _learnt(run: Run, name: str, members: list[int]) -> Poses:
    with torch.no_grad():
        found: Poses = run.scene.fields[name](torch.tensor(members, device=run.scene.device)).double().cpu().numpy()
    return found


def _facts(after: CameraErrors, before: CameraErrors, true: Poses, views: int) -> dict[str, Any]:
    distance = float(np.linalg.norm(centers_of(true) - centers_of(true).mean(axis=0), axis=1).mean())
    values, started = summary(after), summary(before)
    metrics, omitted = {}, {}
    for what, unit, text in (
        ("rotation", "degrees", "Angle between a camera's axes and the true ones"),
        ("center", "world units", "Distance of a camera's centre from the true one"),
    ):
        for how in ("mean", "median"):
            definition = f"{text}, {how} over the training photographs, {_ALIGNED}."
            metrics[f"{what}_{how}"] = figure(values[f"{what}_{how}"], unit, "lower", definition)
        begun = started[f"{what}_mean"]
        metrics[f"{what}_before"] = figure(begun, unit, "lower", "The same mean of the cameras that were started from.")
        if begun > _KNOWN * (1.0 if what == "rotation" else distance):
            removed = 1.0 - values[f"{what}_mean"] / begun
            metrics[f"{what}_removed"] = figure(removed, "1", "higher", "1 - mean after training / mean before.")
        else:
            omitted[f"{what}_removed"] = "the cameras started where the true ones are"
    share = values["center_mean"] / distance
    text = "center_mean over the mean distance of the true centres from their mean."
    metrics["center_relative"] = figure(share, "1", "lower", text)
    return {
        "protocol": "cameras",
        "summary": "learnt cameras against the true ones, up to a similarity",
        "views": views,
        "metrics": metrics,
        "omitted": omitted,
    }
