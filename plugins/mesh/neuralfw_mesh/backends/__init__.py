"""The backends of `mesh`, by name."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from neuralfw.errors import UserError

from ..contract import Backend, Silhouettes

NAMES = ("nvdiffrast", "cpu", "plain")


def module(name: str) -> ModuleType:
    """Import the module of a backend; what it stands on is imported when it draws."""
    return import_module(f"{__name__}.{name}")


def chosen(name: str, device: str) -> str:
    """Return the backend that "auto", or a name, means for scenes on a device.

    Raises:
        UserError: a named one does not work here; the message says why.
    """
    if name == "auto":
        return "nvdiffrast" if device.startswith("cuda") and module("nvdiffrast").unavailable() is None else "cpu"
    if reason := module(name).unavailable():
        raise UserError(f'mesh with backend = "{name}": {reason}; backend = "auto" takes one that works')
    return name


def silhouettes(name: str, backend: str) -> Silhouettes:
    """Return the silhouettes that "auto", or a name, means for a backend.

    Raises:
        UserError: the backend cannot find them.
    """
    known: frozenset[Silhouettes] = module(backend).SILHOUETTES
    if name not in ("auto", *known):
        raise UserError(
            f'mesh with backend = "{backend}" has no silhouettes = "{name}", only "{min(known)}"; '
            'backend = "cpu" has all'
        )
    return "shown" if name == "shown" or "all" not in known else "all"


def drawer(name: str) -> Backend:
    """Return what a backend draws with."""
    drawing: Backend = module(name).Drawing
    return drawing
