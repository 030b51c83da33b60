"""The application: its verbs, those of plugins where somebody asks, and what each failure does to the exit status."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from ..errors import UserError
from ..version import __version__

ORDER = (
    "run",
    "resume",
    "check",
    "list",
    "describe",
    "schema",
    "eval",
    "export",
    "render",
    "view",
    "report",
    "compare",
    "transfer",
    "data",
    "bench",
    "doctor",
    "plugin",
)
"""Verbs as `--help` shows them."""

BUG = "This is a bug of neuralfw, not a mistake of yours: please report the lines above and the command."


class Verbs(TyperGroup):
    """Core's verbs; those of plugins are looked for only when `--help` or an unknown verb asks."""

    _added: dict[str, Any] | None = None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _overrides_last(args))

    def list_commands(self, ctx: Any) -> list[str]:
        own = sorted(super().list_commands(ctx), key=ORDER.index)
        return [*own, *(name for name in self._of_plugins() if name not in own)]

    def get_command(self, ctx: Any, name: str) -> Any:
        return super().get_command(ctx, name) or self._of_plugins().get(name)

    def _of_plugins(self) -> dict[str, Any]:
        if self._added is None:
            from .plugins import commands

            self._added = commands()
        return self._added

    def invoke(self, ctx: Any) -> Any:
        from ..training.signals import Interrupted

        try:
            return super().invoke(ctx)
        except UserError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from None
        except Interrupted as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(error.exit_status) from None
        except KeyboardInterrupt as error:
            typer.echo(str(error) or "interrupted", err=True)
            raise typer.Exit(130) from None


def _overrides_last(args: list[str]) -> list[str]:
    """Return the arguments with each `--set KEY=VALUE` that stands before the verb moved to the end."""
    moved: list[str] = []
    while args and (args[0] == "--set" or args[0].startswith("--set=")):
        count = 2 if args[0] == "--set" else 1
        moved, args = [*moved, *args[:count]], args[count:]
    return [*args, *moved]


app = typer.Typer(
    name="neuralfw",
    cls=Verbs,
    help="Neural surface reconstruction from plugins and recipes.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> bool:
    if asked:
        typer.echo(f"neuralfw {__version__}")
        raise typer.Exit
    return asked


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main() -> None:
    """Run the command line: exit status 0, 2 for a user's mistake, 1 for ours, 128 + signal when interrupted."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's and numba's threads take turns; none must spin
    try:
        app()
    except Exception:
        traceback.print_exc()
        typer.echo(BUG, err=True)
        sys.exit(1)
