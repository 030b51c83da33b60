"""Plugins: found without import, contained when they fail, refused when they clash."""

import sys
import textwrap
import tomllib
import warnings

import pytest

from neuralfw.errors import UserError
from neuralfw.hooks import hook_manager
from neuralfw.manifest import API
from neuralfw.registry import Ambiguous, NotFound, discover, recipes_folder

COMPONENT = """
[[component]]
kind = "encoder"
name = "{name}"
class = "{package}.code:Doubled"
config = "{package}.options:DoubledConfig"
summary = "twice the coordinates"
"""
OPTIONS = """
from neuralfw.config import ComponentConfig, Option

class DoubledConfig(ComponentConfig):
    factor: float = Option(2.0, description="what the coordinates are multiplied with")
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a fake distribution: a package with a manifest, seen through an entry point."""
    monkeypatch.syspath_prepend(str(tmp_path))
    packages = set()

    def make(package, manifest="", *, owner=None, name="doubled", hooks="", version="1.2", **modules):
        owner, folder = owner or package, tmp_path / package
        folder.mkdir()
        packages.add(package)
        (folder / "__init__.py").write_text("")
        for module, text in {"options": OPTIONS, **modules}.items():
            (folder / f"{module}.py").write_text(textwrap.dedent(text))
        head = f'api = {API}\nowner = "{owner}"\n' + (f'hooks = "{package}.{hooks}"\n' if hooks else "")
        component = COMPONENT.format(name=name, package=package) if name else ""
        (folder / "neuralfw.toml").write_text(manifest or head + component)
        info = tmp_path / f"neuralfw_{package}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: neuralfw-{package}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[neuralfw]\n{package} = {package}\n")
        return folder

    yield make
    for module in [m for m in sys.modules if m.partition(".")[0] in packages]:
        del sys.modules[module]


def reasons(registry):
    return {b.plugin: b.reason for b in registry.broken}


def test_a_plugin_is_found_and_described_without_import(install):
    install("toy", __init__="raise RuntimeError('imported')")
    registry = discover()
    component = registry.find("encoder", "doubled")
    assert (component.full_name, component.plugin) == ("toy/doubled", "neuralfw-toy")
    assert next(m.version for m in registry.manifests if m.plugin == "neuralfw-toy") == "1.2"
    assert "toy" not in sys.modules and not registry.broken


def test_core_comes_through_the_same_door_and_first():
    assert discover().manifests[0].owner == "core"
    assert "core" not in {m.owner for m in discover(exclude=["core"]).manifests}


@pytest.mark.parametrize("name", ["neuralfw-toy", "toy"])
def test_an_excluded_plugin_is_not_there_and_said_so(install, name):
    install("toy")
    registry = discover(exclude=[name])
    with pytest.raises(NotFound):
        registry.find("encoder", "doubled")
    assert reasons(registry) == {"neuralfw-toy": "left out by --no-plugin"}


def test_excluding_what_is_not_installed_is_a_mistake():
    with pytest.raises(UserError, match="--no-plugin toyy: no such plugin is installed; installed: core"):
        discover(exclude=["toyy"])


def test_short_names_work_until_they_are_ambiguous(install):
    install("toy")
    assert discover().find("encoder", "doubled").owner == "toy"
    install("zoo")
    registry = discover()
    with pytest.raises(Ambiguous, match="say toy/doubled or zoo/doubled"):
        registry.find("encoder", "doubled")
    assert registry.find("encoder", "zoo/doubled").plugin == "neuralfw-zoo"


def test_a_plugin_cannot_take_the_short_name_of_a_component_of_core(install):
    install("toy", name="frequency")
    registry = discover()
    with pytest.raises(Ambiguous, match="say core/frequency or toy/frequency"):
        registry.find("encoder", "frequency")


def test_of_two_plugins_with_one_owner_the_second_is_refused_and_said_so(install):
    install("toy")
    install("zoo", owner="toy", name="other")
    registry = discover()
    assert "owner 'toy' is already taken by neuralfw-toy" in reasons(registry)["neuralfw-zoo"]
    assert [c.name for c in registry.components("encoder") if c.owner == "toy"] == ["doubled"]


def test_one_name_twice_in_one_plugin_is_refused(install):
    component = COMPONENT.format(name="doubled", package="toy")
    install("toy", manifest=f'api = {API}\nowner = "toy"\n{component}{component}')
    assert "'doubled' twice" in reasons(discover())["neuralfw-toy"]


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ("api = [", "neuralfw.toml"),
        (f'api = {API + 6}\nowner = "toy"\n', f"API level {API + 6}"),
        (f'api = {API}\nowner = "toy"\n[[component]]\nname = "x"\n', "lacks"),
    ],
)
def test_a_broken_manifest_is_noted_and_breaks_nothing_else(install, manifest, reason):
    install("toy", manifest=manifest)
    install("zoo")
    registry = discover()
    assert reason in reasons(registry)["neuralfw-toy"]
    assert next(b.remedy for b in registry.broken) == "pip install --force-reinstall neuralfw-toy"
    assert registry.find("encoder", "doubled").owner == "zoo"
    assert registry.find("field", "mlp_sdf").owner == "core"


def test_an_entry_point_to_a_package_that_is_gone_is_noted(install):
    folder = install("toy")
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert "toy is not installed" in reasons(discover())["neuralfw-toy"]


def test_an_entry_point_inside_a_package_that_fails_is_noted(install, tmp_path):
    folder = install("toy")
    (folder / "__init__.py").write_text("raise RuntimeError('no luck')")
    (tmp_path / "neuralfw_toy-1.2.dist-info" / "entry_points.txt").write_text("[neuralfw]\ntoy = toy.inner\n")
    assert "package toy.inner cannot be found: no luck" in reasons(discover())["neuralfw-toy"]


def test_a_component_that_cannot_be_imported_says_why_and_how_to_mend_it(install):
    extras = COMPONENT.format(name="doubled", package="toy") + 'extras = ["cuda"]\n'
    install("toy", manifest=f'api = {API}\nowner = "toy"\n{extras}', code="import gsplat_that_is_not_there\n")
    registry = discover()
    component = registry.find("encoder", "doubled")
    assert registry.config(component).__name__ == "DoubledConfig"
    with pytest.raises(UserError, match=r"(?s)ModuleNotFoundError.*gsplat_that.*pip install 'neuralfw-toy\[cuda\]'"):
        registry.load(component)
    assert "toy/doubled: ModuleNotFoundError" in reasons(registry)["neuralfw-toy"]
    assert registry.load(registry.find("encoder", "frequency")).__name__ == "Frequency"


def test_options_that_cannot_be_imported_are_the_same(install):
    install("toy", options="raise ValueError('no options today')")
    registry = discover()
    with pytest.raises(UserError, match="neuralfw-toy cannot be imported: ValueError: no options"):
        registry.config(registry.find("encoder", "doubled"))


def test_an_unknown_name_brings_the_nearest_and_the_plugin_that_has_it():
    with pytest.raises(NotFound, match="closest: frequency"):
        discover().find("encoder", "frequencys")
    with pytest.raises(NotFound, match="comes with neuralfw-n4de: pip install neuralfw-n4de"):
        discover().find("field", "mesh_sequence")


def test_the_catalogue_agrees_with_the_plugins_that_are_installed():
    catalogue = tomllib.loads((recipes_folder() / "plugins.toml").read_text())
    published = {name: plugin for plugin, names in catalogue.items() for name in names}
    assert len(published) == sum(map(len, catalogue.values()))
    for component in discover().components():
        expected = None if component.owner == "core" else component.plugin
        assert published.get(component.name) == expected, component.full_name


# -- hooks -------------------------------------------------------------------------------------------------------


def call_step_end(manager):
    manager.hook.neuralfw_scalars(trainer=None, step=1, values={})


HOOKS = """
    from neuralfw.hooks import hook
    seen = []

    @hook
    def neuralfw_scalars(step):
        {body}
"""


def test_hooks_take_part(install):
    install("toy", hooks="events", name="", events=HOOKS.format(body="seen.append(step)"))
    registry = discover()
    call_step_end(hook_manager(registry))
    assert sys.modules["toy.events"].seen == [1] and not registry.broken


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ("import gsplat_that_is_not_there", "ModuleNotFoundError"),
        (HOOKS.format(body="pass").replace("step)", "stepp)"), "PluginValidationError"),
        (HOOKS.format(body="pass").replace("neuralfw_scalars", "neuralfw_scalar"), "PluginValidationError"),
    ],
    ids=["import", "argument", "name"],
)
def test_hooks_that_do_not_fit_are_noted_and_left_out(install, events, reason):
    install("toy", hooks="events", events=events)
    install("zoo", hooks="events", name="other", events=HOOKS.format(body="seen.append(step)"))
    registry = discover()
    call_step_end(hook_manager(registry))
    assert reason in reasons(registry)["neuralfw-toy"]
    assert sys.modules["zoo.events"].seen == [1]
    assert registry.find("encoder", "doubled").owner == "toy"


def test_a_hook_that_raises_is_silenced_with_a_warning_and_the_others_go_on(install):
    install("toy", hooks="events", events=HOOKS.format(body="seen.append(step); raise OSError('tracker is offline')"))
    install("zoo", hooks="events", name="other", events=HOOKS.format(body="seen.append(step)"))
    registry = discover()
    manager = hook_manager(registry)
    with pytest.warns(RuntimeWarning, match="neuralfw-toy is left out from here on.*tracker is offline"):
        call_step_end(manager)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call_step_end(manager)
    assert sys.modules["toy.events"].seen == [1] and sys.modules["zoo.events"].seen == [1, 1]
    assert "hook neuralfw_scalars: OSError: tracker is offline" in reasons(registry)["neuralfw-toy"]


def test_a_user_error_of_a_hook_reaches_the_user(install):
    body = "from neuralfw.errors import UserError; raise UserError('log in first')"
    install("toy", hooks="events", events=HOOKS.format(body=body))
    with pytest.raises(UserError, match="log in first"):
        call_step_end(hook_manager(discover()))
