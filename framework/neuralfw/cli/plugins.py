"""Verbs that plugins add through the hook `neuralfw_commands`."""

from __future__ import annotations

from typing import Any

import typer

from ..hooks import hook_manager
from ..registry import Unavailable, discover


def commands() -> dict[str, Any]:
    """Return the plugins' verbs by name; a plugin whose hook fails is named on stderr and left out."""
    registry = discover()
    manager = hook_manager(registry)
    found: dict[str, Any] = {}
    for implementation in manager.hook.neuralfw_commands.get_hookimpls():
        app = typer.Typer(rich_markup_mode=None)
        try:
            implementation.function(app)
            found.update(_commands_of(app))
        except Exception as error:
            reason = f"hook neuralfw_commands: {type(error).__name__}: {error}"
            registry.broken.append(Unavailable(implementation.plugin_name, reason, "neuralfw doctor"))
    for broken in registry.broken:
        typer.echo(f"{broken.plugin} is left out: {broken.reason}; {broken.remedy}", err=True)
    return found


def _commands_of(app: typer.Typer) -> dict[str, Any]:
    if not app.registered_commands and not app.registered_groups:
        return {}
    app.callback()(lambda: None)
    return dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
