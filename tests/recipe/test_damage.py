"""Whatever is done to a recipe's structure, the answer is a recipe or faults in words: never another exception."""

import copy
import random
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from neuralfw.errors import UserError
from neuralfw.recipe.resolve import resolve
from neuralfw.recipe.source import load
from neuralfw.recipe.toml_writer import dumps
from neuralfw.recipe.wiring import wire
from neuralfw.registry import Registry, discover, recipes_folder

HERE = Path(__file__).parent
SHIPPED = sorted(path for path in recipes_folder().glob("**/*.toml") if path.name != "plugins.toml")
ON_PAPER = sorted((HERE / "on_paper").glob("*.toml"))
ODD: list[Any] = [
    True, -1, 0, 1.5, 1e400, float("nan"), 1 << 70, "", "x", "sdf", "points.x.y", "\N{BELL}\n", "renderers.", ".",
    [], {}, [[]], [{}], [1, "x", {}], {"type": []}, {"type": "query"}, {"a": {"b": [1]}}, {"": {"": 1}},
    date(2024, 5, 1),
    {"type": "linear", "start": "x", "end": []}, {"type": "mlp_sdf", "latent": "sdf"}, {"name": 3}, {"remove": "yes"},
]  # fmt: skip


def places(node: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [*([path] if path else []), *(place for key, child in children for place in places(child, (*path, key)))]


def at(tree: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def damaged(tree: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    tree = copy.deepcopy(tree)
    for _ in range(chance.randint(1, 3)):
        if not (anywhere := places(tree)):
            return tree
        *parents, key = chance.choice(anywhere)
        parent = at(tree, tuple(parents))
        match chance.choice(("delete", "replace", "replace", "wrap", "move", "rename", "twice")):
            case "delete":
                del parent[key]
            case "replace":
                parent[key] = copy.deepcopy(chance.choice(ODD))
            case "wrap":
                parent[key] = chance.choice(([parent[key]], {"type": parent[key]}, {"x": parent[key]}))
            case "move":
                parent[key] = copy.deepcopy(at(tree, chance.choice(anywhere)))
            case "rename" if isinstance(parent, dict):
                parent[chance.choice(("type", "name", "data", "stages", "x", "from"))] = parent.pop(key)
            case "twice" if isinstance(parent, list):
                parent.append(copy.deepcopy(parent[key]))
    return tree


@pytest.fixture(scope="module")
def installed() -> Registry:
    return discover()


def refuse_or_take(path: Path, registry: Registry, file: Path, seed: int) -> None:
    chance = random.Random(f"{path.name} {seed}")
    beside = {other.stem: other for other in path.parent.glob("*.toml")}
    file.write_text(dumps(damaged(tomllib.loads(path.read_text(encoding="utf-8")), chance)), encoding="utf-8")
    try:
        source = load(file, find=beside.get)
        wire(resolve(source, registry)[0], source, registry)
    except UserError as error:
        assert str(error)
    except Exception as error:
        raise AssertionError(f"{path.name}, seed {seed}:\n{file.read_text(encoding='utf-8')}") from error


@pytest.mark.parametrize("seeds", [range(3), pytest.param(range(3, 200), marks=pytest.mark.slow)], ids=["few", "many"])
@pytest.mark.parametrize("path", [*SHIPPED, *ON_PAPER], ids=lambda path: path.stem)
def test_a_damaged_recipe(path: Path, seeds: range, installed: Registry, fake: Registry, tmp_path: Path) -> None:
    registry = fake if path in ON_PAPER else installed
    for seed in seeds:
        refuse_or_take(path, registry, tmp_path / "recipe.toml", seed)
