"""Reads what the released code of IDR trained (github.com/lioryariv/idr) and makes a run of it.

A model lies in EXPERIMENT/TIMESTAMP/checkpoints/ModelParameters/EPOCH.pth; the poses of its cameras, where they were
trained, in CamParameters/EPOCH.pth beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neuralfw.adopting import adopt
from neuralfw.errors import UserError
from neuralfw.photos.idr import NOISY

Tensors = Mapping[str, Tensor]
_POSES = "CamParameters"
_LAYER = re.compile(r"(implicit|rendering)_network\.lin(\d+)\.(weight_v|weight_g|weight|bias)")
_NAMES = {"weight_v": "weight", "weight_g": "gain", "weight": "weight", "bias": "bias"}


def convert(file: Path, target: Path, photographs: Path | None) -> list[str]:
    """Make a run of a model; return notes.

    Args:
        file: of the model.
        target: the run directory, absent or empty.
        photographs: the scan it was trained on, whose `scale_mat` says where its unit sphere lies in the world.

    Raises:
        UserError: no such model, `photographs` is absent, or has another number of cameras than were trained.
    """
    if photographs is None:
        raise UserError(f"{file} does not say what it was trained on: add --photographs SCAN, the folder of its scan.")
    saved = _read(file, "model_state_dict")
    fields = _fields(saved["model_state_dict"], file)
    settings = [*_settings(fields, file), f"data.images.path={photographs.resolve()}"]
    notes = [f"{file.parent.parent}: epoch {int(saved['epoch'])}"]
    poses = file.parent.parent / _POSES / file.name
    if poses.is_file():
        fields["cameras"] = _poses(poses)
        settings += ["fields.cameras.type=camera_poses", 'stages.fit.train.cameras={ type = "sparse_adam", lr = 1e-4 }']
        if (photographs / NOISY).is_file():
            settings.append(f"data.images.cameras={NOISY}")
        notes.append(f"with the poses of {len(fields['cameras']['centers'])} cameras")
    adopt("idr_release", settings, fields, out=target, epochs=int(saved["epoch"]), say=notes.append)
    return notes


def _read(file: Path, key: str) -> dict[str, Any]:
    """Read a checkpoint; nothing in it is executed."""
    try:
        saved = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{file} cannot be read as a checkpoint of tensors: {reason}") from error
    if not (isinstance(saved, dict) and isinstance(saved.get(key), dict) and isinstance(saved.get("epoch"), int)):
        raise UserError(f"{file} is not of IDR's code: epoch and {key} were expected.")
    return saved


def _fields(state: Tensors, file: Path) -> dict[str, dict[str, Tensor]]:
    """Return the parameters of both networks by the names of our fields."""
    fields: dict[str, dict[str, Tensor]] = {"sdf": {}, "color": {}}
    for name, tensor in state.items():
        found = _LAYER.fullmatch(name.removeprefix("module."))
        if found is None:
            raise UserError(f"{file} is not of IDR's networks: {name} is not known.")
        network, layer, kind = found.groups()
        field = "sdf" if network == "implicit" else "color"
        fields[field][f"mlp.layers.{layer}.{_NAMES[kind]}"] = tensor
    if not (fields["sdf"] and fields["color"]):
        raise UserError(f"{file} lacks one of IDR's networks: implicit_network and rendering_network were expected.")
    return fields


def _settings(fields: Mapping[str, Tensors], file: Path) -> list[str]:
    """Return the settings of `idr_release` that give networks of these sizes."""
    sdf, color = (_sizes(fields[name]) for name in ("sdf", "color"))
    features = sdf[-1][1] - 1
    skip = [k for k in range(1, len(sdf)) if sdf[k][0] != sdf[k - 1][1]]
    mode, view_bands = _mode(color[0][0] - features, file)
    return [
        "data.images.type=idr",
        "data.images.holdout=0",
        "frame.fit=file",
        f"fields.sdf.width={sdf[-1][0]}",
        f"fields.sdf.layers={len(sdf) - 1}",
        f"fields.sdf.skip={skip}",
        f"fields.sdf.features={features}",
        f"fields.sdf.weight_norm={_normed(fields['sdf'])}",
        f"fields.sdf.encoder={_encoder((sdf[0][0] - 3) // 6)}",
        f"fields.color.width={color[-1][0]}",
        f"fields.color.layers={len(color) - 1}",
        f"fields.color.mode={mode}",
        f"fields.color.weight_norm={_normed(fields['color'])}",
        f"fields.color.view_encoder={_encoder(view_bands)}",
    ]


def _sizes(parameters: Tensors) -> list[tuple[int, int]]:
    """Return the numbers of inputs and outputs of each layer."""
    count = 1 + max(int(name.split(".")[2]) for name in parameters)
    shapes = (parameters[f"mlp.layers.{k}.weight"].shape for k in range(count))
    return [(inputs, outputs) for outputs, inputs in shapes]


def _normed(parameters: Tensors) -> str:
    return str(any(name.endswith(".gain") for name in parameters)).lower()


def _encoder(bands: int) -> str:
    return f'{{ type = "frequency", bands = {bands} }}' if bands else '{ type = "identity" }'


def _mode(inputs: int, file: Path) -> tuple[str, int]:
    """Return what the colour sees besides features, by the number of channels, and the octaves of its direction."""
    octaves, rest = divmod(inputs - 6, 6)
    if inputs == 6:
        return "no_view_dir", 0
    if rest == 0 and octaves >= 1:
        return "no_normal", octaves
    if rest == 3 and octaves >= 0:
        return "idr", octaves
    raise UserError(f"{file}: a colour network of {inputs} channels besides the features is none of IDR's.")


def _poses(file: Path) -> dict[str, Tensor]:
    table = _read(file, "pose_vecs_state_dict")["pose_vecs_state_dict"].get("weight")
    if not isinstance(table, Tensor) or table.dim() != 2 or table.shape[1] != 7:
        raise UserError(f"{file}: a table of 7 numbers for each camera was expected.")
    return {"quaternions": table[:, :4], "centers": table[:, 4:]}
