"""The backends of `splat`, by name."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import torch

from neuralfw.errors import UserError

from ..contract import Backend
from .moved import moved

CPU, CUDA = ("cpu", "plain"), ("gsplat", "diff_gaussian_rasterization")
NAMES = (*CUDA, *CPU)


def module(name: str) -> ModuleType:
    """Import the module of a backend; what it stands on is imported when it renders."""
    return import_module(f"{__name__}.{'inria' if name == 'diff_gaussian_rasterization' else name}")


def chosen(name: str, device: str) -> str:
    """Return the backend that "auto", or a name, means for scenes on a device.

    Raises:
        UserError: a named one does not work here; the message says why.
    """
    if name != "auto":
        if reason := module(name).unavailable():
            raise UserError(f'splat with backend = "{name}": {reason}; backend = "auto" takes one that works')
        return name
    pool = CUDA if device.startswith("cuda") else ()
    return next((b for b in pool if module(b).unavailable() is None), "cpu")


def renderer(name: str, device: torch.device) -> Backend:
    """Return what a backend renders with, for scenes on a device: `cpu` gets copies of what is elsewhere."""
    render: Backend = module(name).render
    return moved(render, torch.device("cpu")) if name == "cpu" and device.type != "cpu" else render
