"""The pluggy hooks by which plugins take part in what cuts across components."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pluggy

from .registry import Registry, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    import typer

    from .train.step import StepContext
    from .train.trainer import Trainer

spec = pluggy.HookspecMarker("neuralfw")
hook = pluggy.HookimplMarker("neuralfw")
"""Marks a plugin's implementation of a hook."""


class Hooks:
    """Every hook, with its arguments."""

    @spec
    def neuralfw_run_start(self, trainer: Trainer) -> None:
        """A run starts or goes on; the scene is built, no step is done."""

    @spec
    def neuralfw_stage_start(self, trainer: Trainer, stage: str, steps: int) -> None:
        """A stage of so many steps starts or goes on."""

    @spec
    def neuralfw_step_end(self, trainer: Trainer, ctx: StepContext) -> None:
        """A step is done; `ctx.logged` holds the values of its terms."""

    @spec
    def neuralfw_scalars(self, trainer: Trainer, step: int, values: dict[str, Any]) -> None:
        """A line of metrics.jsonl was written: other loggers write theirs."""

    @spec
    def neuralfw_run_end(self, trainer: Trainer) -> None:
        """Training ended, however it did."""

    @spec
    def neuralfw_commands(self, app: typer.Typer) -> None:
        """Add sub-commands to the command line."""

    @spec(firstresult=True)
    def neuralfw_sniff(self, path: Path) -> str | None:
        """Name the dataset component that opens a path, for `data inspect`, or None."""


def hook_manager(registry: Registry) -> pluggy.PluginManager:
    """Return a manager with the hooks of every plugin that declares some; one that fails is noted as broken."""
    manager = pluggy.PluginManager("neuralfw")
    manager.add_hookspecs(Hooks)
    for manifest in registry.manifests:
        if not manifest.hooks:
            continue
        try:
            module = import_module(manifest.hooks)
            manager.register(module, name=manifest.plugin)
            manager.check_pending()
        except Exception as error:
            if manager.has_plugin(manifest.plugin):
                manager.unregister(name=manifest.plugin)
            reason = f"hooks {manifest.hooks}: {type(error).__name__}: {error}"
            registry.broken.append(Unavailable(manifest.plugin, reason, f"neuralfw run --no-plugin {manifest.plugin}"))
    return manager
