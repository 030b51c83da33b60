"""The verb doctor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..columns import columns
from ..manifest import API
from . import options as o
from .app import app
from .tables import write, write_json


@app.command()
def doctor(as_json: o.AsJson = False) -> None:
    """Say what works on this machine, and how to mend what does not."""
    from ..doctor import examine
    from ..hooks import hook_manager
    from ..registry import discover

    registry = discover()
    hook_manager(registry)
    found = examine(registry)
    write_json(found) if as_json else write(_text(found))


def _text(found: dict[str, Any]) -> Iterator[str]:
    yield from columns(found["environment"].items())
    yield ""
    yield "plugins"
    counts = {p["plugin"]: f"{len(p['components'])} components" for p in found["plugins"]}
    rows = [(p["plugin"], p["version"], f"API {p['api']}", counts[p["plugin"]], p["path"]) for p in found["plugins"]]
    yield from columns(rows, "  ")
    for old in (p for p in found["plugins"] if p["api"] < API):
        yield f"  {old['plugin']} is deprecated: written for API level {old['api']}, the present one is {API}"
    for broken in found["unavailable"]:
        yield f"  {broken['plugin']} is unavailable: {broken['reason']}"
        if broken["remedy"]:
            yield f"    to mend it: {broken['remedy']}"
    yield ""
    yield "packages"
    yield from columns(found["packages"].items(), "  ")
    yield from columns(found["optional"].items(), "  ")
