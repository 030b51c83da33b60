"""The contract kit: packages from `plugin new` pass it, shipped plugins pass it, each seeded fault fails its check."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from neuralfw.errors import UserError
from neuralfw.manifest_writer import open_package, write
from neuralfw.registry import discover
from neuralfw.scaffold import kinds, write_package
from neuralfw.testing.kit import FAILED, PASSED, SKIPPED, Outcome, cases, outcome, subjects

SLOW = {"it_goes_on_where_it_stopped"}
SHIPPED = [manifest.plugin for manifest in discover().manifests]


class Fault(NamedTuple):
    """A change to a package of `plugin new` that breaks the contract.

    `file` is that of the component unless it says config or manifest; `told` says whether the manifest is brought up
    to the code after the change.
    """

    kind: str
    old: str
    new: str
    check: str
    file: str = ""
    told: bool = True


TRACED = """
from neuralfw.renderers import SphereTrace
from .config import {0}Config


class {0}(SphereTrace):
    def forward(self, scene, batch, want):
        found = super().forward(scene, batch, want)
        {1}
        return found
"""
TRACED_CONFIG = """
from neuralfw.renderers.config import SphereTraceConfig


class {0}Config(SphereTraceConfig):
    pass
"""

FAULTS = {
    "no_summary": Fault("encoder", 'summary = "products', 'summary = ""#', "options_are_described", "manifest"),
    "no_description": Fault("encoder", 'description="factor of the products"', 'description=""', "options_are_described", "config"),
    "torch_in_options": Fault("loss", "from neuralfw", "import torch  # noqa\nfrom neuralfw", "options_load_no_torch", "config"),
    "wrong_provides": Fault("field", '"sdf_gradient"]', '"sdf_gradient", "feature"]', "manifest_is_true", "manifest", told=False),
    "wrong_role": Fault("field", 'role = "sdf"', 'role = "color"', "manifest_is_true", "manifest", told=False),
    "option_that_shifts": Fault(
        "encoder", "    scale:", "    @__import__('pydantic').field_validator('scale')\n    def _shift(cls, v): return v + 1\n    scale:",
        "options_survive_a_recipe", "config",
    ),
    "global_numbers": Fault("encoder", "self.coordinates = 3", "self.coordinates = 3; torch.rand(1)", "global_random_numbers_stay"),
    "no_seed": Fault(
        "encoder", "self.coordinates = 3",
        "self.coordinates = 3; g = torch.Generator(); g.seed(); self.register_buffer('b', torch.rand(3, generator=g))", "seed_decides",
    ),
    "lost_state": Fault("encoder", "self.coordinates = 3", "self.coordinates = 3; self.b = torch.rand(3, generator=build.generator)", "state_is_whole"),
    "width": Fault("encoder", "self.out_dim = 6", "self.out_dim = 5", "encoder_contract"),
    "pullback": Fault("encoder", "roll(1, dims=1)", "roll(2, dims=1)", "encoder_contract"),
    "not_finite_outside": Fault("encoder", "self._scale * x *", "torch.where(x.abs() > 1.2, torch.nan, self._scale) * x *", "coordinates_outside"),
    "depends_on_batch": Fault("encoder", "self._scale * x *", "1e-3 * len(x) + self._scale * x *", "rows_alone"),
    "gradient": Fault("field", "/ length[:, None]", "/ length[:, None] * 1.1", "sdf_gradient"),
    "no_second_order": Fault("field", "* axes.mean(),\n        }", "* axes.mean(),\n        }\n        found['sdf_gradient'] = found['sdf_gradient'].detach()", "capabilities_are_true"),
    "says_features": Fault("field", '"second_order"', '"second_order", "features"', "capabilities_are_true", "config"),
    "says_time": Fault("field", '"second_order"', '"second_order", "time"', "capabilities_are_true", "config"),
    "points_together": Fault("field", "(length - 1.0)", "(length - 1.0 + 0.01 * len(length))", "points_alone"),
    "no_points": Fault("field", "        found = {", "        length.max()\n        found = {", "no_points"),
    "idle_parameter": Fault("field", "- self.center", "- self.center.detach()", "it_learns"),
    "not_given": Fault("renderer", "for quantity in want}", "for quantity in want - {'normal'}}", "what_is_wanted"),
    "not_finite": Fault("renderer", 'found["normal"] = ', 'found["normal"] = torch.nan * ', "what_is_wanted"),
    "depth_of_rays": Fault("renderer", "", "found.update({q: 1.2 * v for q, v in found.items() if q == 'depth'})", "a_sphere_is_a_sphere", "traced"),
    "inward": Fault("renderer", "", "found.update({q: -v for q, v in found.items() if q == 'normal'})", "a_sphere_is_a_sphere", "traced"),
    "no_background": Fault("renderer", "", "found.update({q: v * (v - 0.3).abs().gt(0.11).any(-1, True) for q, v in found.items() if q == 'rgb'})", "background_shows", "traced"),
    "cut_off": Fault("renderer", "", "found.update({q: v.detach() for q, v in found.items() if q == 'depth'})", "gradients_reach_the_surface", "traced"),
    "rays_together": Fault("renderer", "", "found.update({q: v if len(v) != 5 else 0.5 * v for q, v in found.items() if q == 'alpha'})", "rays_alone", "traced"),
    "mean_of_nothing": Fault("loss", "max(1, sdf.numel())", "sdf.numel()", "nothing_is_zero"),
    "detached": Fault("loss", 'sdf = outputs["sdf"]', 'sdf = outputs["sdf"].detach()', "it_has_a_gradient"),
    "in_place": Fault("loss", 'sdf = outputs["sdf"]', 'sdf = outputs["sdf"]; sdf.data.abs_()', "inputs_stay"),
    "throws_dice": Fault("loss", "total / ", "(1.0 + torch.rand(())) * total / ", "it_repeats"),
    "global_draws": Fault("sampler", ", generator=request.generator", "", "draws_repeat"),
    "same_draws": Fault("sampler", "request.generator", "torch.Generator().manual_seed(0)", "draws_differ"),
    "big_batch": Fault("sampler", "self._batch, 3", "self._batch + 1, 3", "batch_size_is_told"),
    "set_not_kept": Fault("sampler", '("points",)', '("points", "normal")', "sets_hold_what_they_say", "config"),
    "unknown_quantity": Fault("dataset", '"normal": self', '"normals": self', "sets_hold_what_they_say"),
    "half_a_step": Fault("integrator", "0.5 * h", "0.25 * h", "it_carries"),
    "drift": Fault("integrator", "(here + there)", "(here + there + 1e-3)", "it_stays_where_nothing_moves"),
    "no_graph": Fault("integrator", "torch.stack(points)", "torch.stack(points).detach()", "it_is_differentiable"),
    "wrong_level": Fault("mesher", "scene.sdf(x, ", "0.1 + scene.sdf(x, ", "a_sphere_is_meshed"),
}  # fmt: skip


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
    folder = package(f"fault_{name}", fault.kind)
    source = folder / f"src/nfw_fault_{name}"
    component = "Fault" + "".join(part.capitalize() for part in name.split("_"))
    if fault.file == "traced":
        (source / "config.py").write_text(TRACED_CONFIG.format(component))
        (source / f"{fault.kind}.py").write_text(TRACED.format(component, fault.new))
    else:
        file = {"config": "config.py", "manifest": "neuralfw.toml"}.get(fault.file, f"{fault.kind}.py")
        text = (source / file).read_text()
        assert fault.old in text, f"the template has changed: {fault.old!r} is not in it"
        (source / file).write_text(
            text.replace(fault.old, fault.new).replace("import Float\n", "import Float\nimport torch\n")
        )
    for module in [m for m in sys.modules if m.startswith(f"nfw_fault_{name}")]:
        del sys.modules[module]
    importlib.invalidate_caches()
    if fault.told:
        write(*open_package(folder))
    assert {f.check.name for f in checked(folder) if f.result == FAILED} == {fault.check}


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
