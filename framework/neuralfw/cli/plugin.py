"""The verbs for authors of plugins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UserError
from . import options as o
from .app import app
from .tables import write, write_json

if TYPE_CHECKING:
    from ..testing.kit import Outcome

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


@plugin.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the component and its owner, such as soft_query.")],
    kind: Annotated[str, typer.Option("--kind", help="encoder, field, renderer, loss, dataset, sampler, …")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Absent or empty; default: nfw-NAME.")
    ] = None,
) -> None:
    """Write an installable package: manifest, one working component, recipe, tests, CI file.

    It passes `plugin check` as it is; the component is there to be changed.
    """
    from ..scaffold import write_package

    folder = out or Path(f"nfw-{name.replace('_', '-')}")
    for file in write_package(name, kind, folder):
        typer.echo(file)
    typer.echo(f"next: pip install -e '{folder}[dev]', then neuralfw plugin check {folder}")


@plugin.command("check")
def check_(
    name: Annotated[str, typer.Argument(metavar="NAME|DIR", help="An installed plugin, or the folder of a package.")],
    as_json: o.AsJson = False,
) -> None:
    """Check every component of a plugin against the contracts of its kind and capabilities.

    Exit status 2 where one is broken. A component that its defaults do not build is checked as far as that goes; the
    manifest's `example` gives it options.
    """
    from ..manifest_writer import open_package
    from ..registry import discover
    from ..testing.kit import FAILED, PASSED, SKIPPED, cases, outcome, subjects

    if Path(name).is_dir():
        registry, manifest = open_package(Path(name))
    else:
        registry = discover()
        known = {m.plugin: m for m in registry.manifests} | {m.owner: m for m in registry.manifests}
        if name not in known:
            names = ", ".join(m.plugin for m in registry.manifests)
            raise UserError(f"no plugin {name!r} is installed; these are: {names}")
        manifest = known[name]
    found = [outcome(subject, check) for subject, check in cases(subjects(registry, manifest))]
    if as_json:
        facts = ("component", "result", "reason")
        write_json([{"check": f.check.name, **{key: getattr(f, key) for key in facts}} for f in found])
    else:
        write(_told(found))
        counts = [f"{sum(f.result == result for f in found)} {result}" for result in (PASSED, FAILED, SKIPPED)]
        typer.echo(f"{manifest.plugin}: {', '.join(counts)}")
    if any(f.result == FAILED for f in found):
        raise typer.Exit(2)


def _told(found: Sequence[Outcome]) -> Iterator[str]:
    """Yield a line for each failure, one for each reason to skip, one for each component all of whose checks passed."""
    for component in dict.fromkeys(f.component for f in found):
        here = [f for f in found if f.component == component]
        failed = [f"  {f.check.name}: {f.check.text}\n    {f.reason}" for f in here if f.result == "failed"]
        skipped = dict.fromkeys(f.reason.partition("\n")[0] for f in here if f.result == "skipped")
        passed = sum(f.result == "passed" for f in here)
        yield f"{component}: {passed} of {len(here)} checks passed"
        yield from failed
        yield from (f"  not tried: {reason}" for reason in skipped)
