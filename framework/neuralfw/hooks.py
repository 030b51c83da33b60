"""The pluggy hooks by which plugins take part in what cuts across components."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pluggy

from .errors import UserError
from .manifest import Manifest
from .registry import Registry, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    import typer

    from .training.step import StepContext
    from .training.trainer import Trainer

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

    @spec(firstresult=True)
    def neuralfw_convert(self, source: Path, target: Path, photographs: Path | None) -> list[str] | None:
        """Make a run in `target` of what another program trained on photographs; return notes.

        None where `source` is not such a thing, for `data convert`.
        """


def hook_manager(registry: Registry) -> pluggy.PluginManager:
    """Return a manager with the hooks of every plugin that declares some.

    A plugin whose hooks cannot be registered is noted as broken. One whose hook raises later is warned of and left out
    from there on; a UserError it raises is the user's to see.
    """
    manager = pluggy.PluginManager("neuralfw")
    manager.add_hookspecs(Hooks)
    for manifest in registry.manifests:
        if not manifest.hooks:
            continue
        try:
            manager.register(_contained(manager, registry, manifest), name=manifest.plugin)
            manager.check_pending()
        except Exception as error:
            if manager.has_plugin(manifest.plugin):
                manager.unregister(name=manifest.plugin)
            _note(registry, manifest.plugin, f"hooks {manifest.hooks}", error)
    return manager


def _note(registry: Registry, plugin: str, what: str, error: Exception) -> Unavailable:
    noted = Unavailable(plugin, f"{what}: {type(error).__name__}: {error}", f"leave it out: --no-plugin {plugin}")
    registry.broken.append(noted)
    return noted


def _contained(manager: pluggy.PluginManager, registry: Registry, manifest: Manifest) -> object:
    """Import a plugin's hooks and return them so that they cannot break a run: the first that raises silences all."""
    module = import_module(manifest.hooks)
    silenced: list[Unavailable] = []

    def contained(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any) -> Any:
            if silenced:
                return None
            try:
                return function(*args)
            except UserError:
                raise
            except Exception as error:
                silenced.append(_note(registry, manifest.plugin, f"hook {function.__name__}", error))
                text = f"{manifest.plugin} is left out from here on: {silenced[0].reason}"
                warnings.warn(text, RuntimeWarning, stacklevel=2)
                return None

        call.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
        return call

    hooks = SimpleNamespace()
    for name in dir(module):
        if marks := manager.parse_hookimpl_opts(module, name):
            function = getattr(module, name)
            setattr(hooks, name, function if marks["wrapper"] or marks["hookwrapper"] else contained(function))
    return hooks
