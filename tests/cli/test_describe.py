"""describe and schema: what they say is true, and what they offer to paste is accepted."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from neuralfw.config import options
from neuralfw.describe import describe
from neuralfw.registry import discover
from neuralfw.session import check
from neuralfw.shipped import find_recipe, shipped_recipes

from .schema_validator import InvalidError, validate

COMPONENTS = [*discover().components()]


def by_name(component):
    return f"{component.kind} {component.full_name}"


def test_a_component(cli, snapshot):
    text = cli("describe", "mlp_sdf").stdout
    snapshot("describe_mlp_sdf", re.sub(r"/\S*/neuralfw/fields/mlp_sdf.py:\d+", "FILE:LINE", text))


@pytest.mark.parametrize("component", COMPONENTS, ids=by_name)
def test_every_option_is_told_with_its_text(component):
    registry = discover()
    (facts,) = [f for f in describe(registry, component.full_name) if f.get("kind") == component.kind]
    assert [option["key"] for option in facts["options"]] == [*options(registry.config(component))]
    assert all(option["text"] and option["type"] for option in facts["options"])
    file, _, line = facts["origin"].rpartition(":")
    assert f"class {component.cls.partition(':')[2]}" in Path(file).read_text().splitlines()[int(line) - 1]


BASE = """
[data.points]
type = "points"
path = "x.ply"
[data.images]
type = "images"
path = "x"
[fields.gaussians]
type = "gaussians"
[fields.sdf]
type = "mlp_sdf"
[fields.color]
type = "mlp_color"
[fields.latents]
type = "latents"
per = "points"
[renderers.main]
type = "query"
[renderers.advect]
type = "advect"
[[stages]]
name = "fit"
steps = 1
train = ["sdf"]
passes = { surface = { data = "points", renderer = "main" } }
losses = ["sdf_zero"]
"""


@pytest.mark.parametrize("component", COMPONENTS, ids=by_name)
def test_the_block_to_paste_is_accepted(tmp_path, component):
    """Pasted over what stands in its place in a recipe, it resolves; whether it is wired is the recipe's business."""
    facts = next(f for f in describe(discover(), component.full_name) if f.get("kind") == component.kind)
    pasted = tomllib.loads(facts["toml"].replace("[[stages.", "[[").replace("[stages.", "["))
    for key in ("losses", "callbacks", "update"):
        if key in pasted:
            pasted = {"stages": [{"name": "fit", key: pasted[key]}]}
    changes = [f"{path}={value}" for path, value in flat(pasted)]
    recipe = tmp_path / "base.toml"
    recipe.write_text(BASE)
    try:
        check(recipe, changes)
    except Exception as error:
        faults = [f.message for f in error.faults]
        allowed = r" needs\b| compares with | observes |requires a field|in a circle|no data table| does not carry on"
        assert all(re.search(allowed, text) for text in faults), faults


def flat(tree):
    """Yield what a pasted block says as overrides."""
    from neuralfw.recipe.toml_writer import inline

    for table, named in tree.items():
        if table == "stages":
            stage = named[0]
            (key,) = stage.keys() - {"name"}
            yield f"stages.fit.{key}", inline(stage[key])
        else:
            for name, value in named.items():
                yield f"{table}.{name}", inline(value)


def test_a_quantity_and_a_loss_of_one_name_are_both_described(cli):
    text = cli("describe", "normal").stdout
    assert "core/normal: loss" in text and "normal: quantity (n, 3) float, unit 1" in text
    facts = json.loads(cli("describe", "normal", "--json").stdout)
    assert [f["sort"] for f in facts] == ["component", "quantity"]
    assert "core/points" in facts[1]["provided_by"] and facts[1]["observed_by"] == ["core/normal"]


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe(cli, name):
    (facts,) = (f for f in json.loads(cli("describe", name, "--json").stdout) if f["sort"] == "recipe")
    assert facts["summary"] and facts["stages"] and facts["inputs"]
    assert facts["summary"] in cli("describe", name).stdout


# -- schema ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recipe_schema():
    from neuralfw.schema import recipe_schema

    return recipe_schema(discover())


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_valid(recipe_schema, name):
    validate(recipe_schema, tomllib.loads(find_recipe(name).read_text()))


@pytest.mark.parametrize(
    "change",
    [
        {"seeed": 1},
        {"seed": -1},
        {"fields": {"sdf": {"type": "mlp_sdf", "widht": 3}}},
        {"fields": {"sdf": {"type": "mlp_sdf", "width": "wide"}}},
        {"fields": {"sdf": {"type": "mlp_sdf", "encoder": {"type": "frequency", "bands": 0}}}},
        {"fields": {"sdf": "mlp_sfd"}},
        {"data": {"points": {"type": "points"}}},
        {"stages": [{"losses": [{"type": "eikonal", "weigth": 1.0}]}]},
        {"stages": [{"losses": [{"type": "eikonal", "weight": {"type": "linear", "start": 1.0}}]}]},
        {"stages": [{"train": {"sdf": {"lr": -1.0}}}]},
        {"stages": [{"steps": "many"}]},
    ],
    ids=str,
)
def test_a_fault_is_invalid(recipe_schema, change):
    with pytest.raises(InvalidError):
        validate(recipe_schema, change)


@pytest.mark.parametrize(
    "change",
    [
        {"extends": "igr", "fields": {"sdf": {"width": 64}}},
        {"fields": {"sdf": "core/mlp_sdf"}},
        {"fields": {"sdf": {"type": "mlp_sdf", "encoder": "frequency"}}},
        {
            "stages": [
                {
                    "name": "fit",
                    "steps": "10 epochs",
                    "train": ["sdf"],
                    "losses": ["eikonal", {"name": "x", "remove": True}],
                }
            ]
        },
        {
            "stages": [
                {"losses": [{"type": "eikonal", "weight": {"type": "linear", "start": 1.0, "end": 0.0}, "to": "sdf"}]}
            ]
        },
        {"stages": [{"train": {"sdf": {}}, "passes": {"a": {"data": "points", "batch": 3}}}]},
    ],
    ids=str,
)
def test_what_the_grammar_allows_is_valid(recipe_schema, change):
    validate(recipe_schema, change)


@pytest.mark.parametrize("component", COMPONENTS, ids=by_name)
def test_the_schema_of_a_component_accepts_its_block(component):
    from neuralfw.schema import component_schema

    schema = component_schema(discover(), component)
    facts = next(f for f in describe(discover(), component.full_name) if f.get("kind") == component.kind)
    table = tomllib.loads(re.sub(r"^\[.*\]$", "", facts["toml"], flags=re.MULTILINE))
    validate(schema, table)
    with pytest.raises(InvalidError):
        validate(schema, {**table, "no_such_option": 1})
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_verb_prints_it(cli):
    assert json.loads(cli("schema").stdout)["title"] == "neuralfw recipe"
    assert json.loads(cli("schema", "frequency").stdout)["properties"]["bands"]["minimum"] == 1
