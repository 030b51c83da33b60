"""The schema in taplo, which validates and completes TOML in editors: recipes that work pass, a slip is named."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from neuralfw.registry import discover
from neuralfw.schema import recipe_schema
from neuralfw.shipped import find_recipe, shipped_recipes

TAPLO = shutil.which("taplo") or shutil.which("taplo", path=Path(sys.executable).parent)
needs_taplo = pytest.mark.skipif(TAPLO is None, reason="taplo is not installed: pip install taplo")


@pytest.fixture(scope="module")
def schema():
    return recipe_schema(discover())


@pytest.fixture(scope="module")
def url(schema, tmp_path_factory):
    """Where the schema lies, as after `neuralfw schema > recipe.schema.json`."""
    file = tmp_path_factory.mktemp("schema") / "recipe.schema.json"
    file.write_text(json.dumps(schema))
    return file.as_uri()


def lint(url, *files):
    """Return the exit status of taplo, and what it says."""
    command = [TAPLO, "lint", "--colors=never", "--no-auto-config", f"--schema={url}", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr + done.stdout


@needs_taplo
def test_every_shipped_recipe_passes(url):
    status, told = lint(url, *map(find_recipe, shipped_recipes()))
    assert (status, re.findall("^error.*", told, re.MULTILINE)) == (0, [])


UNEXPECTED = "Additional properties are not allowed ('{}' was unexpected)"


@needs_taplo
@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("seeed = 1", UNEXPECTED.format("seeed")),
        ("seed = -1", "-1 is less than the minimum of 0"),
        ('[fields.sdf]\ntype = "mlp_sdf"\nwidht = 3', UNEXPECTED.format("widht")),
        ('[fields.sdf]\ntype = "mlp_sdf"\nwidth = "wide"', '"wide" is not of type "integer"'),
        ('[fields.sdf]\ntype = "mlp_sfd"', '"mlp_sfd" is not one of'),
        ('[fields.sdf]\ntype = "mlp_sdf"\nencoder = { type = "frequency", band = 6 }', UNEXPECTED.format("band")),
        ('[data.points]\ntype = "points"', '"path" is a required property'),
        ('[[stages]]\nlosses = [{ type = "eikonal", weigth = 1.0 }]', UNEXPECTED.format("weigth")),
        (
            '[[stages]]\nlosses = [{ type = "eikonal", weight = { type = "linear", start = 1.0 } }]',
            '"end" is a required property',
        ),
        ("[[stages]]\ntrain = { sdf = { lrr = 1e-3 } }", UNEXPECTED.format("lrr")),
        ('[[stages]]\npasses = { all = { dat = "points" } }', UNEXPECTED.format("dat")),
        ("[export]\nmesher = { type = 'marching_cubes', resolutoin = 9 }", UNEXPECTED.format("resolutoin")),
    ],
    ids=str,
)
def test_a_slip_is_named(url, tmp_path, broken, told):
    file = tmp_path / "broken.toml"
    file.write_text(f"{broken}\n")
    status, text = lint(url, file)
    faults = {*re.findall("^error: (.*)", text, re.MULTILINE)}
    assert status != 0 and len(faults) == 1, text
    assert faults.pop().startswith(told)


def offered(schema, node, path):
    """Yield the keys that taplo completes a path with: of all that anyOf, oneOf, allOf and references lead to."""
    if "$ref" in node:
        yield from offered(schema, schema["$defs"][node["$ref"].removeprefix("#/$defs/")], path)
        return
    for alternative in (part for word in ("anyOf", "oneOf", "allOf") for part in node.get(word, ())):
        yield from offered(schema, alternative, path)
    if not path:
        yield from node.get("properties", ())
        return
    head, *rest = path
    named = [node.get("properties", {}).get(head), node.get("additionalProperties")]
    for child in [node.get("items")] if head == 0 else named:
        yield from offered(schema, child, rest) if isinstance(child, dict) else ()


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ([], ["name", "extends", "stages", "export"]),
        (["data", "points"], ["type", "path"]),
        (["fields", "sdf"], ["type", "width", "encoder"]),
        (["fields", "sdf", "encoder"], ["type", "bands"]),
        (["stages", 0], ["steps", "losses", "passes", "train"]),
        (["stages", 0, "passes", "all"], ["data", "renderer", "batch"]),
        (["stages", 0, "losses", 0], ["type", "on", "weight", "to"]),
        (["stages", 0, "losses", 0, "weight"], ["type", "start", "end", "until"]),
        (["stages", 0, "train", "sdf"], ["lr", "betas"]),
    ],
    ids=str,
)
def test_an_editor_has_what_it_completes(schema, path, keys):
    assert {*keys} <= {*offered(schema, schema, path)}
