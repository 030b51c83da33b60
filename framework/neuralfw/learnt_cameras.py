"""Judges the cameras that a run learnt by the true ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .data.images import Images
from .errors import UserError
from .fields.appearance_config import CameraPosesConfig
from .metrics.cameras import CameraErrors, Poses, camera_errors, centers_of, summary
from .metrics.figure import figure

if TYPE_CHECKING:
    from .run import Run

_KNOWN = 1e-6
"""Errors before training below this, degrees or share of the distance, are those of cameras that are known."""

_ALIGNED = "after the similarity that brings the cameras onto the true ones (IDR, arXiv 2003.09852)"


def learnt_cameras(run: Run) -> str | None:
    """Return the name of the run's field of learnt cameras, or None."""
    found = (name for name, spec in run.recipe.fields.items() if isinstance(spec.config, CameraPosesConfig))
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
    field, config = run.scene.fields[name], run.recipe.fields[name].config
    assert isinstance(config, CameraPosesConfig)
    data = run.data(config.data)
    assert isinstance(data, Images)
    members = data.members("train")
    truth = data.capture.true_cameras or data.capture.cameras
    true = np.stack([truth[i].world_to_camera for i in members])
    with torch.no_grad():
        found = field(torch.tensor(members, device=run.scene.device)).double().cpu().numpy()
        start = field.start[members].double().cpu().numpy()  # type: ignore[index]
    after, before = camera_errors(found, true), camera_errors(start, true)
    return _facts(after, before, true, len(members))


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
