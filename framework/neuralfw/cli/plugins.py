"""Verbs that plugins add through the hook `neuralfw_commands`."""

from __future__ import annotations

import warnings
from typing import Any

import typer

from ..hooks import hook_manager
from ..registry import discover


def commands() -> dict[str, Any]:
    """Return the plugins' verbs by name; a plugin that cannot be used is named on stderr and left out."""
    registry = discover()
    manager = hook_manager(registry)
    app = typer.Typer(rich_markup_mode=None)
    app.callback()(lambda: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        manager.hook.neuralfw_commands(app=app)
    for broken in registry.broken:
        typer.echo(f"{broken.plugin} is left out: {broken.reason}", err=True)
    return dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
