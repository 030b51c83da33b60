"""The optional package viser."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import UserError


def viser() -> Any:
    """Return the module.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module("viser")
    except ImportError as error:
        raise UserError(f"the viewer needs the package viser: pip install 'neuralfw[viewer]' ({error})") from error
