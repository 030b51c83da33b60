"""The contract kit: packages from `plugin new` pass it, shipped plugins pass it, each seeded fault fails its check."""

import importlib
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from neuralfw.errors import UserError
from neuralfw.manifest_writer import open_package, write
from neuralfw.registry import discover
from neuralfw.scaffold import kinds, write_package
from neuralfw.testing.kit import FAILED, PASSED, SKIPPED, Outcome, cases, outcome, subjects

SLOW = {"it_goes_on_where_it_stopped"}
SHIPPED = [manifest.plugin for manifest in discover().manifests]


TRACED = """
from neuralfw.renderers.sphere_trace import SphereTrace
from .config import {0}Config


class {0}(SphereTrace):
    def forward(self, scene, batch, want):
        found = super().forward(scene, batch, want)
        {1}
        return found
"""
TRACED_CONFIG = """
from neuralfw.renderers.trace_config import SphereTraceConfig


class {0}Config(SphereTraceConfig):
    pass
"""

FAULTS = tomllib.loads((Path(__file__).parent / "seeded_faults.toml").read_text(encoding="utf-8"))


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Write a package; what it brings to `sys` is taken away again."""
    path, modules = [*sys.path], {*sys.modules}
    yield lambda name, kind: (write_package(name, kind, tmp_path / name), tmp_path / name)[1]
    sys.path[:] = path
    for module in {*sys.modules} - modules:
        if module.startswith("nfw_"):
            del sys.modules[module]
    importlib.invalidate_caches()


def checked(folder: Path) -> list[Outcome]:
    """Return what comes of every check that is not slow."""
    return [outcome(s, c) for s, c in cases(subjects(*open_package(folder))) if c.name not in SLOW]


@pytest.mark.parametrize("kind", kinds())
def test_a_new_package_passes_untouched(package, kind):
    found = checked(package(f"new_{kind}", kind))
    assert [f"{f.check.name}: {f.reason}" for f in found if f.result != PASSED] == []
    assert len(found) >= 7


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught_by_its_check_alone(package, name):
    fault = FAULTS[name]
    kind, place = fault["kind"], fault.get("file", "component")
    source = package(f"fault_{name}", kind) / f"src/nfw_fault_{name}"
    component = "Fault" + "".join(part.capitalize() for part in name.split("_"))
    if place == "traced":
        (source / "config.py").write_text(TRACED_CONFIG.format(component))
        (source / f"{kind}.py").write_text(TRACED.format(component, fault["new"]))
    else:
        file = source / {"config": "config.py", "manifest": "neuralfw.toml"}.get(place, f"{kind}.py")
        text = file.read_text()
        assert fault["old"] in text, f"the template has changed: {fault['old']!r} is not in it"
        file.write_text(text.replace(fault["old"], fault["new"]))
    for module in [m for m in sys.modules if m.startswith(f"nfw_fault_{name}")]:
        del sys.modules[module]
    importlib.invalidate_caches()
    if place != "manifest":
        write(*open_package(source))
    assert {f.check.name for f in checked(source) if f.result == FAILED} == {fault["check"]}


@pytest.mark.parametrize("plugin", SHIPPED)
def test_a_shipped_plugin_keeps_its_contracts(plugin):
    registry = discover()
    manifest = next(m for m in registry.manifests if m.plugin == plugin)
    found = [outcome(s, c) for s, c in cases(subjects(registry, manifest)) if c.name not in SLOW]
    assert [f"{f.component}, {f.check.name}: {f.reason}" for f in found if f.result == FAILED] == []
    assert any(f.result == PASSED for f in found)


def test_what_cannot_be_built_is_skipped_with_the_reason():
    registry = discover()
    manifest = next(m for m in registry.manifests if m.owner == "core")
    found = [outcome(s, c) for s, c in cases(subjects(registry, manifest)) if s.component.name == "points"]
    reasons = {f.reason.partition(":")[0] for f in found if f.result == SKIPPED}
    assert reasons == {'[data.subject] lacks the key "path"'}


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("Soft-Query", "encoder", "lower-case identifier"),
        ("class", "encoder", "lower-case identifier"),
        ("soft_query", "encodr", "did you mean encoder?"),
        ("soft_query", "metric", "A plugin may have: callback, dataset"),
    ],
)
def test_what_cannot_be_a_plugin_is_refused(tmp_path, name, kind, message):
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        write_package(name, kind, tmp_path / "new")


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        write_package("soft_query", "renderer", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
