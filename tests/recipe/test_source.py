"""Recipes as written: what extends and overrides make of them, where each value comes from, what is refused."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralfw.recipe.faults import RecipeError
from neuralfw.recipe.positions import MAX_DEPTH
from neuralfw.recipe.source import MAX_BYTES, MAX_CHAIN, Source, load

BASE = """\
name = "base"
seed = 0

[data.points]
type = "cloud"
path = "scan.ply"

[fields.sdf]
type = "mlp_sdf"
width = 256
skip = [4]
encoder = { type = "frequency", bands = 6 }
time = "raw"

[[stages]]
name = "appearance"
steps = 7000
train = ["sdf", "color"]
passes = { views = { data = "images", renderer = "splat" }, space = { data = "box" } }
losses = [{ type = "l1", on = "views", weight = 0.8 }, { name = "far", type = "l1", on = "space" }]
callbacks = ["densify"]

[[stages]]
name = "geometry"
steps = 8000
update = { type = "level_set", dt = 1e-4, inner_steps = 1 }
losses = [{ type = "eikonal", on = "space", weight = 0.1 }]
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write recipe files by name into an empty working directory; return the path of the last."""
    monkeypatch.chdir(tmp_path)

    def write_files(**texts: str) -> Path:
        path = tmp_path
        for name, text in texts.items():
            path = tmp_path / f"{name}.toml"
            path.write_text(dedent(text), encoding="utf-8")
        return path

    return write_files


def child(write: Write, text: str, *overrides: str) -> Source:
    return load(write(base=BASE, child='extends = "base.toml"\n' + dedent(text)), overrides)


def overridden(write: Write, *overrides: str) -> Source:
    return load(write(base=BASE), overrides)


def stage(source: Source, name: str) -> dict[str, Any]:
    assert not source.faults, str(RecipeError(source.faults))
    return next(stage for stage in source.tree["stages"] if stage["name"] == name)


def told(source: Source) -> str:
    return str(RecipeError(source.faults))


def refusal(path: Path | str, **options: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        load(path, **options)
    return str(caught.value)


# ---------------------------------------------------------------- one file


def test_a_file_alone_is_what_tomllib_reads(write: Write) -> None:
    source = load(write(base=BASE))
    expected = tomllib.loads(BASE)
    expected["stages"][0]["callbacks"] = [{"type": "densify"}]
    assert source.tree == expected
    assert source.files == (Path.cwd() / "base.toml",)
    assert not source.faults and not source.swapped


def test_places_of_keys_values_and_of_what_is_absent(write: Write) -> None:
    source = load(write(base=BASE))
    key = source.origin(("fields", "sdf", "encoder", "bands"))
    assert (key.label, key.line, key.column, key.end_column) == ("base.toml", 12, 33, 38)
    assert key.text == 'encoder = { type = "frequency", bands = 6 }'
    value = source.value_origin(("stages", 0, "losses", 1, "type"))
    assert value.text[value.column - 1 : value.end_column - 1] == '"l1"'
    assert source.origin(("fields", "sdf", "encoder", "wrong", 3)) == source.origin(("fields", "sdf", "encoder"))
    assert source.origin(("nothing",)).line == 0


def test_a_file_below_the_working_directory_is_shown_relative_to_it(write: Write, tmp_path: Path) -> None:
    path = write(base=BASE)
    assert load(path).origin(("name",)).label == "base.toml"
    (tmp_path / "elsewhere").mkdir()
    os.chdir(tmp_path / "elsewhere")
    assert load(path).origin(("name",)).label == str(path)


# ---------------------------------------------------------------- extends


def test_tables_merge_deep_and_lists_are_replaced(write: Write) -> None:
    source = child(write, "seed = 3\n[fields.sdf]\nskip = [2, 6]\n[fields.color]\ntype = 'mlp_color'\n")
    assert source.tree["seed"] == 3 and source.tree["name"] == "base"
    assert source.tree["fields"]["sdf"] == {**tomllib.loads(BASE)["fields"]["sdf"], "skip": [2, 6]}
    assert source.tree["fields"]["color"] == {"type": "mlp_color"}
    assert "extends" not in source.tree
    assert [file.name for file in source.files] == ["child.toml", "base.toml"]


def test_values_know_the_file_that_wrote_them(write: Write, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    path = write(
        base=BASE, **{"deep/child": 'extends = "../base.toml"\ndata.images = { type = "colmap", path = "x" }\n'}
    )
    source = load(path, ["data.mesh.path=y"])
    assert source.base(("data", "points", "path")).resolve() == tmp_path
    assert source.base(("data", "images", "path")) == tmp_path / "deep"
    assert source.base(("data", "mesh", "path")) == tmp_path
    assert source.origin(("data", "images", "path")).label == "deep/child.toml"
    assert source.origin(("data", "points", "path")).label == "base.toml"
    assert source.origin(("data", "mesh", "path")).label == "override 1"


def test_stages_losses_and_callbacks_change_in_place_by_name(write: Write) -> None:
    source = child(
        write,
        """
        [[stages]]
        name = "geometry"
        steps = 60000
        losses = [{ type = "eikonal", weight = 0.01 }, { type = "thin", on = "views" }]
        [[stages]]
        name = "appearance"
        losses = [{ name = "far", weight = 3.0 }]
        callbacks = [{ type = "densify", every = 500 }, "snapshot"]
        """,
    )
    assert [s["name"] for s in source.tree["stages"]] == ["appearance", "geometry"]
    geometry = stage(source, "geometry")
    assert geometry["steps"] == 60000 and geometry["update"]["type"] == "level_set"
    assert geometry["losses"] == [{"type": "eikonal", "on": "space", "weight": 0.01}, {"type": "thin", "on": "views"}]
    appearance = stage(source, "appearance")
    assert appearance["losses"][1] == {"name": "far", "type": "l1", "on": "space", "weight": 3.0}
    assert appearance["callbacks"] == [{"type": "densify", "every": 500}, {"type": "snapshot"}]


def test_new_stages_are_appended_or_put_before_another(write: Write) -> None:
    source = child(
        write,
        """
        [[stages]]
        name = "opacity"
        before = "geometry"
        [[stages]]
        name = "last"
        [[stages]]
        name = "polish"
        before = "geometry"
        [[stages]]
        name = "first"
        before = "warmup"
        [[stages]]
        name = "warmup"
        before = "appearance"
        """,
    )
    names = [s["name"] for s in source.tree["stages"]]
    assert names == ["first", "warmup", "appearance", "opacity", "polish", "geometry", "last"]
    assert not any("before" in s for s in source.tree["stages"])


def test_remove_drops_entries_and_tables(write: Write) -> None:
    source = child(
        write,
        """
        data.points.remove = true
        fields.sdf.time = { remove = true }
        [[stages]]
        name = "geometry"
        remove = true
        [[stages]]
        name = "appearance"
        losses = [{ name = "l1", remove = true }]
        callbacks = [{ type = "densify", remove = true }]
        passes.space.remove = true
        """,
    )
    assert source.tree["data"] == {}
    assert "time" not in source.tree["fields"]["sdf"]
    assert [s["name"] for s in source.tree["stages"]] == ["appearance"]
    appearance = stage(source, "appearance")
    assert [loss["name"] for loss in appearance["losses"]] == ["far"]
    assert appearance["callbacks"] == [] and list(appearance["passes"]) == ["views"]


def test_a_chain_of_three_and_shipped_recipes_by_name(write: Write, tmp_path: Path) -> None:
    (tmp_path / "shipped").mkdir()
    write(**{"shipped/base": BASE, "shipped/middle": 'extends = "base.toml"\nseed = 1\n'})
    shipped = {path.stem: path for path in (tmp_path / "shipped").glob("*.toml")}
    for name in ("middle", "middle.toml"):
        source = load(write(child=f'extends = "{name}"\nfields.sdf.width = 8\n'), find=shipped.get)
        assert (source.tree["seed"], source.tree["fields"]["sdf"]["width"]) == (1, 8)
        assert [file.name for file in source.files] == ["child.toml", "middle.toml", "base.toml"]
    assert load("base", find=shipped.get).tree["name"] == "base"


def test_a_file_goes_before_a_shipped_recipe_of_its_name(write: Write) -> None:
    write(base="seed = 1")
    assert load("base.toml", find={"base": Path("/nowhere.toml")}.get).tree == {"seed": 1}


# ---------------------------------------------------------------- components


ENCODER = ("fields", "sdf", "encoder")


@pytest.mark.parametrize(
    ("override", "expected", "is_swap"),
    [
        ("fields.sdf.encoder.type=hash_grid", {"type": "hash_grid", "bands": 6}, True),
        ('fields.sdf.encoder={type="hash_grid"}', {"type": "hash_grid", "bands": 6}, True),
        ("fields.sdf.encoder.type=frequency", {"type": "frequency", "bands": 6}, False),
        ("fields.sdf.encoder=hash_grid", "hash_grid", False),
        ('fields.sdf.encoder={type="hash_grid", levels=4}', {"type": "hash_grid", "levels": 4}, False),
        ('fields.sdf.encoder={type="frequency", levels=4}', {"type": "frequency", "levels": 4}, False),
        ("fields.sdf.encoder.bands=4", {"type": "frequency", "bands": 4}, False),
        ("fields.sdf.encoder={bands=4}", {"type": "frequency", "bands": 4}, False),
    ],
)
def test_assigning_a_component(write: Write, override: str, expected: Any, is_swap: bool) -> None:
    text = override.replace("=hash_grid", '="hash_grid"').replace("=frequency", '="frequency"')
    for source in (overridden(write, override), child(write, text)):
        assert source.tree["fields"]["sdf"]["encoder"] == expected
        assert source.swapped == ({ENCODER: frozenset({"bands"})} if is_swap else {})
        assert not source.faults


def test_only_options_of_the_earlier_type_count_as_inherited(write: Write) -> None:
    swap = "fields.sdf.encoder.type=hash_grid"
    for overrides in ([swap, "fields.sdf.encoder.levels=4"], ["fields.sdf.encoder.levels=4", swap]):
        assert overridden(write, *overrides).swapped == {ENCODER: frozenset({"bands"})}
    assert overridden(write, swap, "fields.sdf.encoder.bands=4").swapped == {ENCODER: frozenset()}
    assert overridden(write, swap, 'fields.sdf.encoder={type="x", y=1}').swapped == {}
    later = child(write, "fields.sdf.encoder.type = 'hash_grid'", "fields.sdf.width=8")
    assert later.swapped == {ENCODER: frozenset({"bands"})}


def test_a_bare_string_becomes_a_table_when_an_option_is_set(write: Write) -> None:
    source = load(write(base='fields.sdf.encoder = "frequency"'), ["fields.sdf.encoder.bands=4"])
    assert source.tree["fields"]["sdf"]["encoder"] == {"type": "frequency", "bands": 4}
    assert source.value_origin((*ENCODER, "type")).text == 'fields.sdf.encoder = "frequency"'
    swapped = load(write(base='fields.sdf.encoder = "frequency"'), ["fields.sdf.encoder.type=hash_grid"])
    assert swapped.tree["fields"]["sdf"]["encoder"] == {"type": "hash_grid"}


def test_a_component_inside_a_stage_is_replaced_or_swapped(write: Write) -> None:
    swapped = overridden(write, "stages.geometry.update.type=mesh_sdf")
    assert stage(swapped, "geometry")["update"] == {"type": "mesh_sdf", "dt": 1e-4, "inner_steps": 1}
    assert swapped.swapped == {("stages", 1, "update"): frozenset({"dt", "inner_steps"})}
    assert stage(overridden(write, "stages.geometry.update=gradient"), "geometry")["update"] == "gradient"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": "far", "weight": 2}, {"name": "far", "type": "l1", "on": "space", "weight": 2}),
        ({"name": "far", "type": "l1", "weight": 2}, {"name": "far", "type": "l1", "on": "space", "weight": 2}),
        ({"name": "far", "type": "l2"}, {"name": "far", "type": "l2", "on": "space"}),
        ({"name": "far", "type": "l2", "weight": 2}, {"name": "far", "type": "l2", "weight": 2}),
    ],
)
def test_a_loss_of_the_same_type_merges_and_another_replaces(write: Write, change: Any, expected: Any) -> None:
    inline = ", ".join(
        f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}" for key, value in change.items()
    )
    source = child(write, f'[[stages]]\nname = "appearance"\nlosses = [{{ {inline} }}]')
    assert stage(source, "appearance")["losses"][1] == expected


def test_a_loss_named_by_its_type_keeps_the_name_under_another_type(write: Write) -> None:
    for override in ("stages.appearance.losses.l1.type=l2", 'stages.appearance.losses.l1={type="l2"}'):
        loss = stage(overridden(write, override), "appearance")["losses"][0]
        assert loss == {"name": "l1", "type": "l2", "on": "views", "weight": 0.8}
    whole = stage(
        overridden(write, "stages.appearance.losses.l1=l2", "stages.appearance.losses.l1.weight=3"), "appearance"
    )
    assert whole["losses"][0] == {"name": "l1", "type": "l2", "on": "views", "weight": 3}


# ---------------------------------------------------------------- overrides


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("3", 3),
        ("1e-3", 1e-3),
        ("1e-3x", "1e-3x"),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ('"3"', "3"),
        ("data/my scan.ply", "data/my scan.ply"),
        ("100 epochs", "100 epochs"),
        ("a=b", "a=b"),
        ("#7", "#7"),
        ("", ""),
        ("1\nseed = 2", "1\nseed = 2"),
    ],
)
def test_the_value_of_an_override_is_toml_or_text(write: Write, raw: str, value: Any) -> None:
    source = overridden(write, f"new.key={raw}")
    assert source.tree["new"] == {"key": value}
    assert source.tree["seed"] == 0
    assert repr(source.tree["new"]["key"]) == repr(value)


def test_overrides_address_stages_losses_and_train_by_name(write: Write) -> None:
    source = overridden(
        write,
        "stages.appearance.losses.far.weight=0.7",
        "stages.appearance.callbacks.densify.every=10",
        "stages.appearance.train.sdf.lr=1e-3",
        "stages.geometry.steps=5",
        "stages.geometry.losses.eikonal.remove=true",
        'data."my.cloud".path=x',
    )
    appearance = stage(source, "appearance")
    assert appearance["losses"][1]["weight"] == 0.7
    assert appearance["callbacks"] == [{"type": "densify", "every": 10}]
    assert appearance["train"] == {"sdf": {"lr": 1e-3}, "color": {}}
    assert stage(source, "geometry")["steps"] == 5 and stage(source, "geometry")["losses"] == []
    assert source.tree["data"]["my.cloud"] == {"path": "x"}
    assert source.value_origin(("stages", 0, "losses", 1, "weight")).label == "override 1"


def test_later_overrides_win(write: Write) -> None:
    assert overridden(write, "seed=1", "seed=2").tree["seed"] == 2


def test_a_table_in_a_file_addresses_stages_like_an_override(write: Write) -> None:
    source = child(write, "[stages.geometry]\nsteps = 5\nlosses.eikonal.weight = 7")
    assert stage(source, "geometry")["steps"] == 5
    assert stage(source, "geometry")["losses"] == [{"type": "eikonal", "on": "space", "weight": 7}]


def test_the_text_of_the_recipe_names_its_overrides(write: Write) -> None:
    source = overridden(write, "seed=3", "name=a\nseed=9")
    assert source.text == "# --set seed=3\n# --set name=a\\nseed=9\n" + BASE
    assert tomllib.loads(source.text) == tomllib.loads(BASE)


# ---------------------------------------------------------------- faults


def test_faults_of_files_and_overrides_are_collected(write: Write) -> None:
    source = child(
        write,
        """
        data.point.remove = true
        [[stages]]
        name = "opacity"
        before = "geometri"
        [[stages]]
        name = "appearance"
        losses = [
          { name = "fra", weight = 2 },
          { name = "l1", remove = true },
          { name = "l1" },
        ]
        """,
        "stages.geometri.steps=3",
        "stages.appearance.losses.faar.weight=3",
        "seed",
        "stages.geometry.name=g",
    )
    assert told(source) == dedent(
        """\
        child.toml:3:6  [data] has no "point" to remove
             3 | data.point.remove = true
               |      ^^^^^  closest: points      allowed: points
        child.toml:6:10  no stage "geometri" for "opacity" to stand before
             6 | before = "geometri"
               |          ^^^^^^^^^^  closest: geometry      allowed: appearance, geometry, opacity
        child.toml:10:12  no loss "fra" in stage "appearance"
            10 |   { name = "fra", weight = 2 },
               |            ^^^^^  closest: far      allowed: l1, far
               | a new loss needs a type
        child.toml:12:12  a second loss named "l1" in stage "appearance"
            12 |   { name = "l1" },
               |            ^^^^  give one of them a name: a loss without one is named by its type
        override 1  --set stages.geometri.steps=3   no stage "geometri"
                    closest: geometry      allowed: appearance, geometry, opacity
        override 2  --set stages.appearance.losses.faar.weight=3   no loss "faar" in stage "appearance"
                    closest: far      allowed: far
        override 3  --set seed   expected key=value
                    for example --set stages.fit.steps=100
        override 4  --set stages.geometry.name=g   "geometry" cannot be renamed
        4 faults in child.toml, 4 on the command line; nothing was started."""
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[stages]]\nname = "a"\n[[stages]]\nname = "a"', 'base.toml:4:8  a second stage named "a"'),
        ('[stages.fit]\nsteps = 3', "a new stage begins with [[stages]] and its name"),
        ('seed.remove = true', 'base.toml:1:1  the recipe has no "seed" to remove'),
        ('[[stages]]\nname = "a"\nbefore = 3', 'no stage "3" for "a" to stand before'),
        ('[[stages]]\nname = "a"\nremove = true', 'no stage "a" to remove'),
        ('[[stages]]\nname = "a"\nbefore = "a"', 'base.toml:3:10  "a" would stand before itself'),
        ('stages = [{name = "a", before = "b"}, {name = "b", before = "a"}]', '"b" would stand before itself'),
    ],
)  # fmt: skip
def test_faults_of_one_file(write: Write, text: str, message: str) -> None:
    assert message in told(load(write(base=text)))


@pytest.mark.parametrize("override", ["", "=3", "a b=3", "a..b=3", "a.=3", "a", ".".join("a" * 100) + "=1"])
def test_an_override_that_is_none_is_a_fault(write: Write, override: str) -> None:
    assert "expected key=value" in told(overridden(write, override))


@pytest.mark.parametrize("override", ["a={type=x}", "a=[1, b]", 'a="x', "a=" + "[" * 200 + "]" * 200])
def test_an_override_whose_quotes_the_shell_took_is_explained(write: Write, override: str) -> None:
    assert "is not a TOML value" in told(overridden(write, override))


@pytest.mark.parametrize(
    "text",
    [
        "stages = 3",
        "stages = [1, 'a', {}]",
        "[[stages]]\nlosses = 3",
        "[[stages]]\nname = 3\nlosses = [1, {}]",
        "fields = 1",
    ],
)
def test_wrong_shapes_are_left_to_whoever_reads_the_tree(write: Write, text: str) -> None:
    source = load(write(base=text, child="extends = 'base.toml'\n" + text))
    assert source.tree.keys() == tomllib.loads(text).keys()
    assert not source.faults


# ---------------------------------------------------------------- files that cannot be read


def test_a_missing_recipe_names_the_nearest(write: Write) -> None:
    write(igr="", neural_pull="")
    assert refusal("igrr.toml", names=["igr", "deepsdf"]).startswith(
        "igrr.toml  no such recipe\n       closest: igr.toml, igr\n"
    )
    assert "closest: deepsdf" in refusal("deepsd", names=["igr", "deepsdf"])
    assert "there is no folder nowhere" in refusal("nowhere/igr.toml")


def test_a_missing_base_is_told_where_it_is_named(write: Write) -> None:
    message = refusal(write(gs_pull="", child='# mine\nextends = "gs_pul.toml"'))
    assert message.startswith("child.toml:2:11  no such recipe\n")
    assert "^^^^^^^^^^^^^  closest: gs_pull.toml\n" in message


def test_a_folder_is_no_recipe(write: Write, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert "run  is a folder, not a recipe\n" in refusal("run")
    write(**{"run/recipe": ""})
    assert "it holds run/recipe.toml" in refusal("run")


def test_text_that_is_not_toml_is_told_with_its_place(write: Write) -> None:
    message = refusal(write(base="seed = 1\npath = data/scan\n"))
    assert message.startswith("base.toml:2:8  is not TOML: no value begins like this (text is written in quotes)\n")
    assert "     2 | path = data/scan\n       |        ^\n" in message
    assert f"nested more than {MAX_DEPTH} levels" in refusal(write(base="a = " + "[" * 5000))
    assert "base.toml:1:" in refusal(write(base="a." * 400_000 + "a = 1"))


def test_what_is_not_text_is_refused(write: Write, tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes("a = 1\nb = 'é'\n".encode("latin-1"))
    assert "latin.toml  is not UTF-8 text (line 2)" in refusal("latin.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * (MAX_BYTES + 1))
    assert "larger than 1 MiB" in refusal("large.toml")
    (tmp_path / "zero.toml").write_bytes(b"a = 1\0")
    assert "is not TOML" in refusal("zero.toml")
    assert "cannot be read" in refusal("x" * 5000)
    assert "no such recipe" in refusal("a\0b.toml")


def test_a_byte_order_mark_and_dos_lines_are_read(write: Write, tmp_path: Path) -> None:
    (tmp_path / "dos.toml").write_bytes(b"\xef\xbb\xbfseed = 1\r\nname = 'x'\r\n")
    source = load("dos.toml")
    assert source.tree == {"seed": 1, "name": "x"}
    assert source.origin(("seed",)).column == 1 and source.origin(("name",)).text == "name = 'x'"


def test_circles_and_endless_chains_are_refused(write: Write) -> None:
    path = write(a='extends = "b.toml"', b='seed = 1\nextends = "c.toml"', c='extends = "a.toml"')
    assert "b.toml:2:11  extends itself: c.toml -> a.toml -> b.toml -> c.toml\n" in refusal(path)
    chain = {f"f{n}": f'extends = "f{n + 1}.toml"' for n in range(MAX_CHAIN + 1)}
    write(**chain)
    assert f"extends more than {MAX_CHAIN - 1} files" in refusal("f0.toml")
    write(**{f"f{MAX_CHAIN - 1}": "seed = 5"})
    assert len(load("f0.toml").files) == MAX_CHAIN


def test_extends_is_one_name(write: Write) -> None:
    assert "child.toml:1:11  extends expected the name of one recipe file" in refusal(
        write(child="extends = ['a', 'b']")
    )


# ---------------------------------------------------------------- properties


NAMES = st.sampled_from(["a", "b", "c", "d.e", "losses"])
VALUES = st.integers(0, 3) | st.booleans() | st.lists(st.integers(0, 9), max_size=2)
PLAIN = st.dictionaries(
    NAMES, st.recursive(VALUES, lambda t: st.dictionaries(NAMES, t, max_size=3), max_leaves=8), max_size=4
)


def toml(tree: Any) -> str:
    if isinstance(tree, dict):
        return "{" + ", ".join(f'"{name}" = {toml(child)}' for name, child in tree.items()) + "}"
    return str(tree).lower()


def layered(base: Any, child: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(child, dict)):
        return child
    return {**base, **{name: layered(base.get(name), value) for name, value in child.items()}}


@settings(max_examples=60, deadline=None)
@given(PLAIN, PLAIN, PLAIN)
def test_plain_tables_merge_like_dictionaries(
    tmp_path_factory: pytest.TempPathFactory,
    base: Mapping[str, Any],
    child: Mapping[str, Any],
    override: Mapping[str, Any],
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    for name, tree, first in [("base", base, ""), ("child", child, 'extends = "base.toml"\n')]:
        lines = [f'"{key}" = {toml(value)}\n' for key, value in tree.items()]
        (folder / f"{name}.toml").write_text(first + "".join(lines))
    source = load(folder / "child.toml", [f'"{key}"={toml(value)}' for key, value in override.items()])
    assert source.tree == layered(layered(base, child), override)
    assert not source.faults


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text('stagefi.="{}[]1 \\\n', max_size=25), max_size=3))
def test_any_override_is_used_or_refused(tmp_path_factory: pytest.TempPathFactory, overrides: list[str]) -> None:
    path = tmp_path_factory.mktemp("any") / "base.toml"
    path.write_text(BASE)
    source = load(path, [*overrides, "stages.geometry.steps=1"])
    assert source.tree["stages"][-1].get("steps") == 1 or source.faults
    for fault in source.faults:
        assert fault.origin.label.startswith("override ")


def test_reading_is_fast_and_loads_neither_torch_nor_pydantic(write: Write) -> None:
    write(base=BASE, child='extends = "base.toml"\nseed = 1')
    code = """if True:
        import sys, timeit
        from neuralfw.recipe.source import load
        print(min(timeit.repeat(lambda: load("child.toml", ["seed=2"]), number=1, repeat=20)))
        print({"torch", "pydantic", "numpy"} & set(sys.modules))
    """
    seconds, modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert float(seconds) < 0.01
    assert modules == "set()"
