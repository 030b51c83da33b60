"""The verbs for authors of plugins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import UserError
from .app import app

plugin = typer.Typer(help="For authors of plugins.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(plugin, name="plugin")


@plugin.callback()
def _group() -> None:
    pass


@plugin.command()
def manifest(
    package: Annotated[
        Path | None,
        typer.Argument(metavar="[PACKAGE_DIR]", help="Folder of the package; with --check, default: every plugin."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail where manifest and code differ.")] = False,
) -> None:
    """Bring a manifest up to its code: needs, observes, provides, role and capabilities of each component.

    They are those of the default options; everything else of neuralfw.toml stays as it is.
    """
    from ..manifest_writer import drift, open_package, write
    from ..registry import discover

    if package is None and not check:
        raise UserError("name the folder of the package whose neuralfw.toml is to be written, or say --check")
    if package is None:
        registry = discover()
        manifests = registry.manifests
    else:
        registry, one = open_package(package)
        manifests = [one]
    if not check:
        changed = write(registry, manifests[0])
        typer.echo(f"{manifests[0].path}: {'brought up to its code' if changed else 'says what its code says'}")
        return
    if differing := [line for m in manifests for line in drift(registry, m)]:
        raise UserError("\n".join([*differing, "to mend it: neuralfw plugin manifest PACKAGE_DIR"]))
    typer.echo(f"{', '.join(m.plugin for m in manifests)}: manifest and code agree")
