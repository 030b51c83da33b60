"""doctor: what works here, what does not, and the command that mends it."""

import json

import pytest

from neuralfw.doctor import examine
from neuralfw.manifest import API
from neuralfw.registry import discover


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A plugin that is installed and whose only component cannot be imported."""
    package, info = tmp_path / "toy_of_doctor", tmp_path / "neuralfw_toy-3.4.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").write_text("")
    (package / "neuralfw.toml").write_text(
        f'api = {API}\nowner = "toy"\n[[component]]\nkind = "renderer"\nname = "fast"\nsummary = "fast"\n'
        'class = "toy_of_doctor.code:Fast"\nconfig = "toy_of_doctor.code:FastConfig"\nextras = ["cuda"]\n'
    )
    (package / "code.py").write_text("import package_that_is_not_there\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: neuralfw-toy\nVersion: 3.4\n")
    (info / "entry_points.txt").write_text("[neuralfw]\ntoy = toy_of_doctor\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def test_plugins_packages_and_kernel(cli):
    text = cli("doctor").stdout
    for manifest in discover().manifests:
        assert any(line.split()[:4] == [manifest.plugin, manifest.version, "API", "1"] for line in text.splitlines())
    assert "network kernel" in text and "cuda" in text and "torch" in text
    facts = json.loads(cli("doctor", "--json").stdout)
    assert {"torch", "numpy", "pydantic", "typer"} <= {*facts["packages"]} and facts["unavailable"] == []
    assert not [version for version in facts["packages"].values() if version.startswith("missing")]


def test_a_plugin_of_an_older_level_works_and_is_told_of(cli, monkeypatch):
    for module in ("manifest", "cli.examining"):
        monkeypatch.setattr(f"neuralfw.{module}.API", API + 1)
    assert "neuralfw-idr is deprecated: written for API level 1, the present one is 2" in cli("doctor").stdout
    monkeypatch.setattr("neuralfw.manifest.OLDEST_API", API + 1)
    text = cli("doctor").stdout
    assert (
        "neuralfw-idr is unavailable: written for API level 1, this neuralfw offers level 2; upgrade neuralfw-idr"
        in text
    )


def test_a_plugin_that_cannot_be_imported(cli, toy):
    text = cli("doctor").stdout
    assert "neuralfw-toy is unavailable: toy/fast: ModuleNotFoundError" in text
    assert "to mend it: pip install 'neuralfw-toy[cuda]'" in text


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "works"),
        ("raise OSError('libusb-1.0.so.0: cannot open shared object file')", "apt-get install libusb-1.0-0"),
        ("raise ImportError('broken wheel')", "installed, but cannot be imported: ImportError: broken wheel"),
        ("import os; os._exit(9)", "installed, but cannot be imported: status 9"),
    ],
    ids=["works", "libusb", "fails", "crashes"],
)
def test_an_optional_package(tmp_path, monkeypatch, source, said):
    (tmp_path / "open3d.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert said in examine(discover(exclude=["core", "deepsdf"]))["optional"]["open3d"]
