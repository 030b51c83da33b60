"""Who computes the hash grid: modules of one contract, chosen by name.

A backend module has `encode(grid, u, table)` and `pullback(grid, u, table, g)`; `plain` documents both.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.errors import UserError

from ..grid import Grid

_MODULES = {"cpu": "cpu", "torch": "plain", "tinycudann": "tinycudann"}
_ONLY_THREE = "written for three dimensions"
_WIDEST = 128


@runtime_checkable
class Backend(Protocol):
    """What a backend module offers."""

    def encode(self, grid: Grid, u: Float[Tensor, "n d"], table: Float[Tensor, "entries f"]) -> Tensor: ...

    def pullback(self, grid: Grid, u: Float[Tensor, "n d"], table: Float[Tensor, "entries f"], g: Tensor) -> Tensor: ...


def choose(name: str, device: torch.device, dimensions: int = 3, width: int = 1) -> tuple[str, str]:
    """Return the backend that a name means on a device for grids of so many features in all, and why.

    Raises:
        UserError: the one that is named does not work there.
    """
    if name != "auto":
        if reason := _unfit(name, device, dimensions, width):
            raise UserError(f"hash_grid: backend {name!r} does not work here: {reason}; use 'auto' or 'torch'")
        return name, "as asked for"
    if device.type == "cpu":
        return ("cpu", "the device is a CPU") if dimensions == 3 else ("torch", f"the loops of cpu are {_ONLY_THREE}")
    if reason := _unfit("tinycudann", device, dimensions, width):
        return "torch", f"tinycudann does not work here: {reason}"
    return "tinycudann", "it is installed"


def load(name: str) -> Backend:
    """Return a backend that was chosen; its module is imported only now."""
    return cast(Backend, importlib.import_module(f"{__name__}.{_MODULES[name]}"))


def _unfit(name: str, device: torch.device, dimensions: int, width: int) -> str | None:
    if name == "cpu" and dimensions != 3:
        return f"its loops are {_ONLY_THREE}"
    if name == "cpu" and device.type != "cpu":
        return f"it computes on a CPU and the run is on {device.type}"
    if name != "tinycudann":
        return None
    if device.type != "cuda":
        return f"it needs CUDA and the run is on {device.type}"
    if width > _WIDEST:
        return f"it has at most {_WIDEST} features, levels times features, and {width} are asked for"
    if importlib.util.find_spec("tinycudann") is None:
        return "tinycudann is not installed: pip install git+https://github.com/NVlabs/tiny-cuda-nn/#subdirectory=bindings/torch"
    return None
