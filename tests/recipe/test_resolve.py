"""From text to a resolved recipe: options as written or by default, components by name, and back to text."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from neuralfw import registry as registry_module
from neuralfw.manifest import read_manifest
from neuralfw.recipe.faults import RecipeError
from neuralfw.recipe.model import dump
from neuralfw.recipe.resolve import resolve
from neuralfw.recipe.source import load
from neuralfw.recipe.toml_writer import dumps
from neuralfw.registry import Registry, Unavailable, recipes_folder
from neuralfw.schedules import Cosine
from neuralfw.session import check as check_installed

HERE = Path(__file__).parent
SHIPPED = sorted(path for path in recipes_folder().glob("**/*.toml") if path.name != "plugins.toml")

Check = Any
Refuse = Any

WHOLE = (HERE / "broken" / "whole.toml").read_text(encoding="utf-8")


def edited(*edits: tuple[str, str]) -> str:
    text = WHOLE
    for old, new in edits:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


def messages(error: RecipeError) -> list[str]:
    return [fault.message for fault in error.faults]


# ---------------------------------------------------------------- and back


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_recipe_written_out_resolves_to_itself(path: Path, tmp_path: Path) -> None:
    first = check_installed(path)
    written = tmp_path / "elsewhere" / "recipe.toml"
    written.parent.mkdir()
    written.write_text(dumps(dump(first.recipe)), encoding="utf-8")
    again = check_installed(written)
    assert again.recipe == first.recipe and again.plan == first.plan
    assert all(Path(value).is_absolute() for value in paths(dump(first.recipe)))


def paths(tree: Any) -> list[str]:
    if isinstance(tree, dict):
        own = [value for key, value in tree.items() if key == "path" and isinstance(value, str)]
        return own + [value for child in tree.values() for value in paths(child)]
    return [value for child in tree for value in paths(child)] if isinstance(tree, list) else []


def test_every_default_is_written_out(check: Check) -> None:
    written = dump(check(WHOLE).recipe)
    assert written["fields"]["sdf"]["encoder"] == {"type": "fake/frequency", "bands": 6, "include_input": True}
    assert written["data"]["box"] == {"type": "fake/uniform", "batch": 16384, "time": False}
    assert written["stages"][0]["train"]["sdf"]["betas"] == [0.9, 0.999]
    assert written["stages"][0]["losses"][0]["weight"] == 1.0
    assert written["export"]["mesher"]["type"] == "fake/marching_cubes"


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("written", "value"), [("1000", 1000), ("1e3", 1000), ('"20 epochs"', "20 epochs"), ('"1 epoch"', "1 epoch")]
)
def test_lengths(check: Check, written: str, value: int | str) -> None:
    steps = check(edited(("steps = 1000", f"steps = {written}"))).recipe.stages[0].steps
    assert steps == value and type(steps) is type(value)


def test_a_whole_number_is_a_number_but_no_text_is(check: Check, refuse: Refuse) -> None:
    weight = check(edited(("weight = 0.1", "weight = 1"))).recipe.stages[0].losses[2].weight
    assert weight == 1.0 and isinstance(weight, float)
    (message,) = messages(refuse(edited(("weight = 0.1", 'weight = "1"'))))
    assert message == 'stages.fit.losses.eikonal.weight: expected a number or a schedule, found the text "1"'


def test_paths_start_from_their_file(check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "base.toml").write_text(WHOLE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/nobody")
    text = 'extends = "deep/base.toml"\ndata.far = { type = "points", path = "far.ply" }\n'
    text += 'data.home = { type = "points", path = "~/x.ply" }\n'
    data = check(text, 'data.near={ type = "points", path = "near.ply" }').recipe.data
    assert data["points"].config.path == tmp_path / "deep" / "scan.ply"
    assert data["far"].config.path == tmp_path / "far.ply"
    assert data["near"].config.path == tmp_path / "near.ply"
    assert data["home"].config.path == Path("/home/nobody/x.ply")


def test_a_key_called_like_a_word_of_python(check: Check) -> None:
    path = HERE / "on_paper" / "velocity.toml"
    changed = check(path, "stages.implicit.losses.level_set_residual.lambda=0.5").recipe.stages[1]
    assert changed.losses[2].loss.config.strength == 0.5
    assert dump(changed)["losses"][2]["lambda"] == 0.5


# ---------------------------------------------------------------- misspelt keys


def test_a_misspelt_key_is_one_fault_and_its_value_is_still_read(refuse: Refuse) -> None:
    assert messages(refuse(edited(('path = "scan.ply"', 'pth = "scan.ply"')))) == [
        '[data.points] has no key "pth"          (fake/points)'
    ]
    assert messages(refuse(edited(("[fields.sdf]", "[feilds.sdf]")))) == ['the recipe has no key "feilds"']
    error = refuse(edited(("[fields.sdf]", "[feilds.sdf]"), ("bands = 6", 'bnads = "six"')))
    assert messages(error) == [
        'the recipe has no key "feilds"',
        '[fields.sdf.encoder] has no key "bnads"          (fake/frequency)',
        'fields.sdf.encoder.bands: expected a whole number, at least 1, found the text "six"',
    ]
    assert [fault.origin.line for fault in error.faults] == [10, 12, 12]


def test_a_name_misspelt_where_it_is_changed_is_likened_to_what_is_there(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "whole.toml").write_text(WHOLE, encoding="utf-8")
    head = 'extends = "whole.toml"\n'
    for change, closest in [
        ('[data.point]\nnormals = "none"\n', "points"),
        ("[stages.fit.passes.surfac]\nbatch = 3\n", "surface"),
        ("[stages.fit]\nlosses = [{ nam = 'normal', weight = 2.0 }]\n", "name"),
        ("[[stages]]\nnam = 'fit'\nremove = true\n", "name"),
        ("[stages.fit.losses.normal]\nremov = true\n", "remove"),
    ]:
        assert refuse(head + change).faults[0].closest[0] == closest


def test_faults_of_the_wiring_are_told_with_those_of_names_where_both_are_known(refuse: Refuse) -> None:
    bare = ('path = "scan.ply"', 'path = "scan.ply"\nnormals = "none"')
    text = edited(bare, ("steps = 1000", "steps = 1000\nclipp = 1"))
    assert messages(refuse(text)) == ['[stages.fit] has no key "clipp"']
    text = edited(bare, ('name = "scan"', 'name = "scan"\nsed = 1'))
    assert messages(refuse(text)) == [
        'the recipe has no key "sed"',
        'loss "normal" compares with normal, which data "points" does not give',
    ]


# ---------------------------------------------------------------- components by name


def test_a_component_may_be_a_bare_name_short_or_full(check: Check) -> None:
    for written in ('"hash_grid"', '"fake/hash_grid"', '{ type = "fake/hash_grid" }'):
        recipe = check(edited(('{ type = "frequency", bands = 6 }', written))).recipe
        assert recipe.fields["sdf"].config.encoder.name == "fake/hash_grid"


def test_assigning_only_a_type_keeps_what_fits_and_says_what_is_dropped(check: Check, refuse: Refuse) -> None:
    changed = check(edited(("bands = 6", "bands = 6, include_input = false")), "fields.sdf.encoder.type=hash_grid")
    assert changed.notes == ["fields.sdf.encoder is now fake/hash_grid, which has no bands, include_input: dropped"]
    assert check(WHOLE, "fields.sdf.encoder=hash_grid").notes == []
    swap = ("fields.sdf.encoder.type=hash_grid", "fields.sdf.encoder.bands=3")
    assert messages(refuse(WHOLE, *swap)) == ['[fields.sdf.encoder] has no key "bands"          (fake/hash_grid)']


def resolved(text: str, registry: Registry, folder: Path) -> Any:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return resolve(load(path), registry)


def refused(text: str, registry: Registry, folder: Path) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        resolved(text, registry, folder)
    return caught.value


def manifest(folder: Path, owner: str, *components: str) -> Any:
    path = folder / f"{owner}.toml"
    path.write_text(f'api = 1\nowner = "{owner}"\ncomponent = [\n{",".join(components)}\n]\n', encoding="utf-8")
    return read_manifest(path, f"neuralfw-{owner}")


FOURIER = '{ kind = "encoder", name = "frequency", class = "m:C", config = "m:C", summary = "" }'


def test_a_short_name_that_two_plugins_bring_must_be_said_in_full(fake: Registry, tmp_path: Path) -> None:
    both = Registry([*fake.manifests, manifest(tmp_path, "other", FOURIER)])
    (fault,) = refused(WHOLE, both, tmp_path).faults
    assert fault.message == 'several plugins bring an encoder "frequency"'
    assert fault.allowed == ("fake/frequency", "other/frequency")
    recipe, _ = resolved(edited(('"frequency"', '"fake/frequency"')), both, tmp_path)
    assert recipe.fields["sdf"].config.encoder.name == "fake/frequency"


def test_a_renderer_named_by_its_type_has_its_faults_where_it_is_named(fake: Registry, tmp_path: Path) -> None:
    lens = '{ kind = "renderer", name = "%s", class = "m:C", config = "fake_plugin.scene:Decoder", summary = "" }'
    both = Registry([*fake.manifests, manifest(tmp_path, "other", lens % "lens", lens % "query")])
    passes = 'passes = { surface = { data = "points", renderer = "lens" }, space = { data = "box" } }'
    old = 'passes = { surface = { data = "points" }, space = { data = "box" } }'
    error = refused(edited((old, passes)), both, tmp_path)
    assert messages(error) == [
        '[renderers.lens] lacks the key "latent": field of codes          (other/lens)',
        'several plugins bring a renderer "query"',
    ]
    assert [fault.origin.line for fault in error.faults] == [18, 18]


def test_options_that_cannot_be_imported_are_a_fault_at_the_name(fake: Registry, tmp_path: Path) -> None:
    broken = FOURIER.replace('"frequency"', '"fourier"').replace("m:C", "no_such_module:C")
    both = Registry([*fake.manifests, manifest(tmp_path, "other", broken)])
    (fault,) = refused(edited(('"frequency"', '"fourier"')), both, tmp_path).faults
    assert fault.message.startswith("encoder other/fourier of plugin neuralfw-other cannot be imported: ")
    assert fault.origin.text[fault.origin.column - 1 : fault.origin.end_column - 1] == '"fourier"'


def test_who_would_bring_a_component(fake: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "_catalogue", lambda: {"fourier": "neuralfw-fourier"})
    text = edited(('"frequency"', '"fourier"'))
    (fault,) = refused(text, fake, tmp_path).faults
    assert fault.hint == "it comes with neuralfw-fourier: pip install neuralfw-fourier"
    unusable = Unavailable("neuralfw-fourier", "written for API level 9", "upgrade neuralfw")
    (fault,) = refused(text, Registry(fake.manifests, [unusable]), tmp_path).faults
    reason = "written for API level 9\nupgrade neuralfw"
    assert fault.hint == f"it comes with neuralfw-fourier, which is installed but cannot be used: {reason}"


# ---------------------------------------------------------------- stages


def test_what_moves_may_be_a_list_or_a_table_of_optimisers(check: Check) -> None:
    train = "train = { sdf = { lr = 1e-3 } }"
    assert check(edited((train, 'train = ["sdf"]'))).recipe.stages[0].train == {"sdf": None}
    assert check(edited((train, "train = { sdf = {} }"))).recipe.stages[0].train == {"sdf": None}
    assert check(edited((train, 'train = { sdf = "sparse_adam" }'))).recipe.stages[0].train["sdf"].lr == 1e-3
    cosine = check(edited((train, 'train = { "sdf.layers" = { lr = { type = "cosine", start = 1 } } }'))).recipe
    assert cosine.stages[0].train["sdf.layers"].lr == Cosine(start=1.0)


def test_a_loss_is_named_by_its_type_and_on_the_first_pass_where_nothing_is_said(check: Check) -> None:
    recipe = check(edited(('{ type = "normal", on = "surface" }', '"fake/normal"'))).recipe
    assert (recipe.stages[0].losses[1].name, recipe.stages[0].losses[1].on) == ("normal", ("surface",))


@pytest.mark.parametrize("clock", ["stage", "run", "own", "surface", "space"])
def test_clocks_that_a_rate_may_count(check: Check, clock: str) -> None:
    rate = f'lr = {{ type = "linear", start = 1.0, end = 0.0, until = 9, clock = "{clock}" }}'
    assert check(edited(("lr = 1e-3", rate))).recipe.stages[0].train["sdf"].lr.clock == clock


@pytest.mark.parametrize(("clock", "closest"), [("own", ()), ("spac", ("space",)), ("sdf", ())])
def test_clocks_that_a_weight_may_not_count(refuse: Refuse, clock: str, closest: tuple[str, ...]) -> None:
    weight = f'weight = {{ type = "linear", start = 1.0, end = 0.0, until = 9, clock = "{clock}" }}'
    (fault,) = refuse(edited(("weight = 0.1", weight))).faults
    assert f'there is no clock "{clock}" here' in fault.message
    assert (fault.closest, fault.allowed) == (closest, ("stage", "run", "surface", "space"))


def test_names_in_options_of_any_component_are_checked(refuse: Refuse) -> None:
    callback = 'callbacks = [{ type = "fit_box", field = "sfd", to = "sdf" }]\nsteps = 1000'
    assert messages(refuse(edited(("steps = 1000", callback)))) == [
        'there is no field "sfd" in this recipe',
        'field "sdf" has the role sdf; expected one of role gaussians',
    ]
    update = 'update = { type = "level_set", field = "sfd" }\nsteps = 1000'
    assert messages(refuse(edited(("steps = 1000", update)))) == ['there is no field "sfd" in this recipe']


# ---------------------------------------------------------------- the command


def test_a_wrong_key_and_a_wrong_type_are_refused_before_torch_is_loaded(tmp_path: Path) -> None:
    code = """if True:
        import json, sys, time
        started = time.process_time()
        from neuralfw.errors import UserError
        from neuralfw.session import check
        try:
            check(sys.argv[1])
        except UserError as error:
            print(json.dumps([str(error), "torch" in sys.modules, time.process_time() - started]))
        """
    shipped = (recipes_folder() / "igr.toml").read_text(encoding="utf-8")
    assert "\n[data.points]\n" in shipped
    for line, said in [("pth = 'x.ply'", 'has no key "pth"'), ("samples = 'many'", "expected a whole number")]:
        path = tmp_path / "recipe.toml"
        path.write_text(shipped.replace("\n[data.points]\n", f"\n[data.points]\n{line}\n"), encoding="utf-8")
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
        message, torch_loaded, seconds = json.loads(done.stdout)
        assert said in message and not torch_loaded and seconds < 1.0
