"""Packages that neuralfw does without, until somebody asks for what they do."""

from __future__ import annotations

import importlib
from typing import Any

from .errors import UserError


def optional(module: str, extra: str, use: str) -> Any:
    """Return a module of an optional package.

    Args:
        module: its name.
        extra: of neuralfw, which brings the package.
        use: what needs it, the beginning of the message.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.replace("_", "-")
        raise UserError(f"{use} needs the package {package}: pip install 'neuralfw[{extra}]' ({error})") from error
