"""Manifests: read as data, refused when malformed, written from the code and held against it."""

import sys
import tomllib

import pytest

from neuralfw.errors import UserError
from neuralfw.manifest import API, KINDS, ManifestError, read_manifest
from neuralfw.manifest_writer import drift, find_manifest, open_package, rewritten, write
from neuralfw.registry import discover

HEAD = f'api = {API}\nowner = "toy"\n'
COMPONENT = """
[[component]]
kind = "loss"
name = "dull"
class = "toy_plugin.losses:Dull"
config = "toy_plugin.config:DullConfig"
summary = "a loss for the test"
"""
CONFIG = """
from neuralfw.config import ComponentConfig, Option, Wiring

class DullConfig(ComponentConfig):
    path: str = Option(description="has no default")
    power: int = Option(1, description="a power")

    def wiring(self):
        return Wiring(needs=("sdf", "normal?"), observes=("points",))
"""


@pytest.mark.parametrize("manifest", discover().manifests, ids=lambda m: m.plugin)
def test_manifest_of_every_installed_plugin_says_what_its_code_says(manifest):
    assert drift(discover(), manifest) == []


@pytest.mark.parametrize("manifest", discover().manifests, ids=lambda m: m.plugin)
def test_every_component_and_quantity_has_a_summary(manifest):
    assert all(c.summary and not c.summary.endswith(".") and c.kind in KINDS for c in manifest.components)
    assert all(q.text and q.shape and q.unit for q in manifest.quantities)


@pytest.fixture
def package(tmp_path):
    """A package outside the tree, not installed."""
    folder = tmp_path / "toy_plugin"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "config.py").write_text(CONFIG)
    (folder / "neuralfw.toml").write_text(HEAD + COMPONENT)
    return folder


@pytest.fixture(autouse=True)
def _clean_imports(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in [n for n in sys.modules if n.partition(".")[0] == "toy_plugin"]:
        del sys.modules[name]


@pytest.mark.parametrize("inside", [True, False], ids=["package", "distribution"])
def test_writes_the_wiring_of_the_default_options(package, inside):
    folder = package if inside else package.parent
    assert [line.partition(":")[0] for line in drift(*open_package(folder))] == ["toy/dull", "toy/dull"]
    assert write(*open_package(folder))
    written = read_manifest(package / "neuralfw.toml", "toy").components[0]
    assert (written.needs, written.observes, written.provides) == (("sdf", "normal?"), ("points",), ())
    assert drift(*open_package(folder)) == []
    assert not write(*open_package(folder))


def test_keeps_everything_that_the_author_wrote():
    text = (
        f'{HEAD}# mine\n[[quantity]]\nname = "toy/t"\nshape = "(n,)"\nunit = "m"\ntext = "[[component]]"\n'
        '[[component]]  # first\nname = "a"\nneeds = [  # old\n  "x", # [\n  "y",\n]\nrole = "sdf"\n\n# about b\n'
        '[[component]]\nneeds=["old"]\nname = "b"\n'
    )
    after = rewritten(text.replace("# [", "#"), [{"needs": ["n"]}, {"provides": ["p", "q"]}])
    components = tomllib.loads(after)["component"]
    assert components == [{"name": "a", "needs": ["n"]}, {"name": "b", "provides": ["p", "q"]}]
    assert tomllib.loads(after)["quantity"] == tomllib.loads(text)["quantity"]
    assert "# mine" in after and "# first" in after and after.index("# about b") < after.index('"b"')


def test_says_which_folder_it_needs(tmp_path):
    with pytest.raises(UserError, match=r"holds no neuralfw\.toml"):
        find_manifest(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "neuralfw.toml").write_text(HEAD)
    with pytest.raises(UserError, match="several manifests"):
        find_manifest(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("api = [", "neuralfw.toml"),
        (f"api = {API + 1}\nowner = 'toy'", f"written for API level {API + 1}.*offers level {API}; upgrade neuralfw"),
        ("owner = 'toy'", "API level None.*; upgrade toy"),
        (f"api = {API}\nowner = 'to y'", "owner must be a plain name"),
        (f"api = {API}", "owner must be a plain name"),
        (HEAD + COMPONENT + "colour = 'red'\n", "'dull' has unknown keys.*colour"),
        (HEAD + COMPONENT.replace('summary = "a loss for the test"\n', ""), "'dull' lacks.*summary"),
        (HEAD + COMPONENT.replace('"loss"', '"lass"'), "unknown kind 'lass'"),
        (HEAD + "[[quantity]]\nname = 'toy/x'\n", "quantity 'toy/x'"),
        (HEAD + "[[quantity]]\nname = 'toy/x'\nshape=''\nunit=''\ntext=''\ncolor=''", "quantity 'toy/x'.*color"),
        ("\x00", "neuralfw.toml"),
    ],
)  # fmt: skip
def test_refuses_a_malformed_manifest_with_the_reason(tmp_path, text, message):
    path = tmp_path / "neuralfw.toml"
    path.write_text(text)
    with pytest.raises(ManifestError, match=message):
        read_manifest(path, "toy")


def test_refuses_a_manifest_that_is_not_text_or_not_there(tmp_path):
    (tmp_path / "neuralfw.toml").write_bytes(b"api = \xff")
    with pytest.raises(ManifestError, match="utf-8"):
        read_manifest(tmp_path / "neuralfw.toml", "toy")
    with pytest.raises(ManifestError, match="no manifest at"):
        read_manifest(tmp_path / "absent.toml", "toy")
