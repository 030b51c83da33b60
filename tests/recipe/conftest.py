"""Recipes of tests are resolved against a plugin of options without code, so that their messages depend on it alone."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from neuralfw.manifest import read_manifest
from neuralfw.recipe.faults import RecipeError
from neuralfw.recipe.model import Recipe
from neuralfw.recipe.resolve import resolve
from neuralfw.recipe.source import load
from neuralfw.recipe.wiring import PassPlan, Plan, wire
from neuralfw.registry import Registry

HERE = Path(__file__).parent


@dataclass
class Checked:
    """A recipe without fault."""

    recipe: Recipe
    plan: Plan
    notes: list[str]

    def wired(self, stage: str, name: str) -> PassPlan:
        return next(s for s in self.plan.stages if s.name == stage).passes[name]


@pytest.fixture(scope="session")
def fake() -> Registry:
    return Registry([read_manifest(HERE / "fake_plugin" / "neuralfw.toml", "fake")])


Check = Callable[..., Checked]


@pytest.fixture
def check(fake: Registry, tmp_path: Path) -> Check:
    """Check a recipe file, or its text, with overrides."""

    def run(recipe: Path | str, *overrides: str) -> Checked:
        if isinstance(recipe, str):
            path = tmp_path / "recipe.toml"
            path.write_text(dedent(recipe), encoding="utf-8")
            recipe = path
        source = load(recipe, overrides)
        resolved, notes = resolve(source, fake)
        return Checked(resolved, wire(resolved, source, fake), notes)

    return run


Refuse = Callable[..., RecipeError]


@pytest.fixture
def refuse(check: Check) -> Refuse:
    """Check a recipe that has faults; return them."""

    def run(recipe: Path | str, *overrides: str) -> RecipeError:
        with pytest.raises(RecipeError) as caught:
            check(recipe, *overrides)
        return caught.value

    return run
