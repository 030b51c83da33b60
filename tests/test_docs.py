"""The pages: quoted files are the files, the quick start runs, recipes and keys that they name exist."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from neuralfw import config
from neuralfw.cli import app
from neuralfw.recipe.faults import RecipeError
from neuralfw.session import check

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples/gaussian_fourier"
FENCE = re.compile(r'^```(\w+)(?: title="([^"]*)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
QUICK = [
    *("stages.fit.steps=2", "data.near.batch=64", "data.space.batch=64", "stages.fit.passes.surface.batch=64"),
    *("fields.sdf.width=32", "fields.sdf.layers=2", "export.mesher.resolution=16"),
    "stages.fit.train.sdf.lr=1e-6",  # the sphere that it starts as stays one
]


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    title: str
    text: str


def blocks(page: Path, *languages: str) -> list[Block]:
    found = [Block(*match.groups("")) for match in FENCE.finditer(page.read_text(encoding="utf-8"))]
    return [block for block in found if block.language in languages or not languages]


def page(name: str) -> Path:
    return ROOT / "docs" / name


# -- pages that quote files --------------------------------------------------------------------------------------------


def quoted() -> list[Block]:
    return [block for block in blocks(page("plugin_authors.md")) if block.title]


@pytest.mark.parametrize("block", quoted(), ids=lambda block: block.title)
def test_the_authors_page_shows_the_files_of_the_example(block):
    assert block.text == (EXAMPLE / block.title).read_text(encoding="utf-8")


def test_the_authors_page_shows_the_whole_example():
    files = {p.relative_to(EXAMPLE).as_posix() for p in EXAMPLE.rglob("*") if p.suffix in (".py", ".toml")}
    assert files - {block.title for block in quoted()} == {"src/nfw_gaussian_fourier/__init__.py"}


def test_the_authors_pages_sketches_are_valid():
    names = {**vars(config), "Mapping": Mapping}
    for block in blocks(page("plugin_authors.md"), "python"):
        if not block.title:
            exec(block.text, names)
    assert names["TangentConfig"]().wiring().needs == ("sdf_gradient",)
    assert names["ScanConfig"](path=Path("scan.ply")).batch_size(names["ScanConfig"].Draw(batch=7)) == 7


# -- commands ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_quick_start_runs_as_it_stands(tmp_path, monkeypatch, sphere_cloud):
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    (tmp_path / "scan.ply").write_bytes(sphere_cloud.read_bytes())
    monkeypatch.chdir(tmp_path)
    for block in blocks(page("quickstart.md"), "bash", "toml", "python"):
        if block.language == "toml":
            Path(block.title).write_text(block.text)
        elif block.language == "python":
            exec(block.text, names := {})
            assert names["distances"].shape == (1,) and len(names["mesh"].faces) > 0
        else:
            for line in block.text.splitlines():
                succeed(shlex.split(line)[1:])
    assert Path("cow.glb").stat().st_size > 0
    assert all(Path(run, "images/mesh.png").is_file() for run in ("cow", "mine", "small"))


def succeed(arguments: list[str]) -> None:
    """Run a command of the quick start, in small: two steps of a tiny network, coarse meshes."""
    coarse = ["--frames=2", "--size=32", "--resolution=16"]
    small = {"run": [f"--set={s}" for s in QUICK], "export": coarse[2:], "render": coarse}.get(arguments[0], [])
    done = CliRunner().invoke(app, [*arguments, *small])
    assert done.exit_code == 0, f"{arguments}\n{done.output}\n{done.exception}"


# -- what pages say is so ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [ROOT / "README.md", page("quickstart.md")], ids=lambda path: path.name)
def test_the_recipe_of_a_page_resolves_and_a_slip_is_told_as_shown(path, tmp_path, monkeypatch):
    (recipe,), (shown,) = blocks(path, "toml"), blocks(path, "text")
    file = shown.text.partition(":")[0]
    monkeypatch.chdir(tmp_path)
    Path(file).write_text(recipe.text)
    assert check(file).recipe.stages[0].name == "fit"
    Path(file).write_text(recipe.text.replace("bands = ", "band = "))
    with pytest.raises(RecipeError) as told:
        check(file)
    assert str(told.value) == shown.text.rstrip()


def test_the_seeds_options_have_the_keys_that_the_page_names():
    rows = re.findall(r"^\| `-.*\| `([\w.]+=.*)` \|$", page("methods/deepsdf.md").read_text(), re.MULTILINE)
    assert len(rows) == 12
    check("deepsdf_paper", rows)


def test_every_recipe_and_benchmark_has_its_place():
    recipes = {p.stem for p in (ROOT / "recipes").glob("*.toml")} - {"plugins"}
    pages = "".join(p.read_text() for p in (ROOT / "docs/methods").glob("*.md"))
    told = {*re.findall(r"`(\w+)`|neuralfw run (\w+)", pages)}
    assert recipes <= {name for names in told for name in names}
    text = page("benchmarks.md").read_text()
    assert [p.name for p in (ROOT / "benchmarks").glob("*.py") if f"benchmarks/{p.name}" not in text] == []
