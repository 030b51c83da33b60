"""What passes are asked for, what is missing and what is only unwise, before any data is read."""

from typing import Any

import pytest

from neuralfw.recipe.supply import lacks, taken

Check = Any
Refuse = Any

HEAD = """\
[data]
points = { type = "points", path = "scan.ply" }
box = { type = "uniform" }
photos = { type = "idr", path = "photos" }
frames = { type = "mesh_sequence", path = "frames" }
shapes = { type = "sdf_samples", path = "shapes" }
pair = { type = "shape_pair", source = "x.ply", target = "y.ply" }

[fields]
sdf = { type = "mlp_sdf" }
"""


def recipe(passes: str, losses: str, more: str = "", train: str = '["sdf"]') -> str:
    stage = f'[[stages]]\nname = "fit"\nsteps = 10\ntrain = {train}\npasses = {{ {passes} }}\nlosses = [{losses}]\n'
    return f"{HEAD}{more}\n{stage}"


# ---------------------------------------------------------------- quantities through fields


def test_a_chain_of_needs_is_followed_to_what_is_missing_first() -> None:
    given = {"rgb": ("normal", "mask?"), "normal": ("gradient",), "gradient": ("points", "latent")}
    given["latent"] = ("index",)
    assert lacks("rgb", given, frozenset({"points", "index"})) == {}
    assert lacks("rgb", given, frozenset({"points"})) == {"index": ("rgb", "normal", "gradient", "latent")}
    assert lacks("rgb", given, frozenset({"gradient"})) == {}
    assert lacks("depth", given, frozenset()) == {"depth": ()}


def test_needs_that_go_in_a_circle_are_missing() -> None:
    given = {"a": ("b",), "b": ("a",)}
    assert lacks("a", given, frozenset()) == {"a": ("a", "b")}
    assert taken(["a"], given, frozenset({"b"})) == {"b"}


def test_only_inputs_that_lead_to_something_asked_are_taken() -> None:
    given = {"rgb": ("points", "time?"), "sdf": ("points", "latent")}
    inputs = frozenset({"points", "time", "latent"})
    assert taken(["rgb"], given, inputs) == {"points", "time"}
    assert taken(["rgb?"], given, inputs - {"time"}) == {"points"}


# ---------------------------------------------------------------- what is asked for


def test_a_pass_is_asked_for_what_its_losses_need(check: Check) -> None:
    text = recipe(
        'surface = { data = "points" }, space = { data = "box" }',
        '{ type = "normal", on = "surface" }, { type = "off_surface", on = "space" }',
    )
    checked = check(text)
    assert checked.wired("fit", "surface").want == {"sdf_gradient"}
    assert checked.wired("fit", "space").want == {"sdf"}
    assert checked.wired("fit", "space").predicted == {"sdf", "sdf_gradient", "normal"}


def test_a_pass_that_is_read_is_asked_for_what_the_reader_takes_and_no_more(check: Check) -> None:
    more = 'velocity = { type = "mlp_velocity", time = "raw" }\n'
    text = recipe(
        'third = { data = "along", renderer = "query" }, along = { data = "paths", renderer = "transport" },'
        ' paths = { data = "pair.matches", renderer = "advect" }',
        '{ type = "off_surface", on = "third" }',
        more,
    )
    checked = check(text)
    assert list(checked.plan.stages[0].passes) == ["paths", "along", "third"]
    assert checked.wired("fit", "paths").want == {"points", "time"}  # time for the renderer of `along`
    assert checked.wired("fit", "along").want == frozenset()
    assert checked.wired("fit", "third").want == {"sdf"}


def test_what_a_loss_compares_with_may_be_what_another_pass_predicts(check: Check) -> None:
    text = recipe(
        'shaded = { data = "frames.cameras", renderer = "mesh" }, again = { data = "shaded", renderer = "mesh" }',
        '{ type = "l1", on = "again" }',
    )
    checked = check(text)
    assert checked.wired("fit", "shaded").want == {"rgb"}


def test_an_observation_does_not_stand_in_for_a_prediction(refuse: Refuse) -> None:
    text = recipe('samples = { data = "shapes" }', '{ type = "clamped_l1" }', train='["colour"]').replace(
        'sdf = { type = "mlp_sdf" }', 'colour = { type = "idr_color" }'
    )
    (fault,) = refuse(text).faults
    assert fault.message == 'no field gives sdf, which renderer "query" needs for loss "clamped_l1"'
    assert fault.hint.startswith("fields that give sdf: mlp_sdf")


def test_an_optional_quantity_may_be_absent(check: Check) -> None:
    text = recipe('pictures = { data = "frames", renderer = "mesh" }', '{ type = "l1" }')
    assert "mask" in check(text).wired("fit", "pictures").observed
    without = text.replace('data = "frames"', 'data = "frames.cameras"').replace("l1", "laplacian")
    assert "mask" not in check(without).wired("fit", "pictures").observed


def test_a_quantity_missing_for_several_losses_is_one_fault(refuse: Refuse) -> None:
    text = recipe(
        'surface = { data = "points" }', '{ type = "sdf_zero" }, { type = "normal" }, { type = "eikonal" }'
    ).replace('"mlp_sdf"', '"mlp_sdf", latent = "codes"')
    (fault,) = refuse(text + '[fields.codes]\ntype = "latents"\nper = "points"\n').faults
    assert fault.message == (
        'data "points" gives no index, which field "codes" needs for loss "sdf_zero", loss "normal", loss "eikonal"'
    )


# ---------------------------------------------------------------- time, roles, facts of fields


def test_a_pass_may_fix_the_time_of_a_field_that_moves(check: Check, refuse: Refuse) -> None:
    text = recipe('surface = { data = "points" }', '{ type = "sdf_zero" }')
    text = text.replace('"mlp_sdf"', '"mlp_sdf", time = "raw"')
    (fault,) = refuse(text).faults
    assert fault.message == 'data "points" gives no time, which field "sdf" needs for loss "sdf_zero"'
    assert fault.hint.startswith("say time = 0.5 in the pass to fix one; data that give time:")
    assert "time" in check(text, "stages.fit.passes.surface.time=0.25").wired("fit", "surface").observed


@pytest.mark.parametrize(
    ("fields", "passes", "plays"),
    [
        ('a = { type = "mlp_sdf" }', "", "a"),
        ('a = { type = "mlp_sdf" }\nsdf = { type = "mlp_sdf" }', "", "sdf"),
        ('a = { type = "mlp_sdf" }\nsdf = { type = "mlp_sdf" }', ', fields = { sdf = "a" }', "a"),
        ('a = { type = "mlp_sdf" }\nb = { type = "mlp_sdf" }', ', fields = { sdf = "b" }', "b"),
    ],
)
def test_who_plays_a_role(check: Check, fields: str, passes: str, plays: str) -> None:
    text = recipe(f'space = {{ data = "box"{passes} }}', '{ type = "eikonal" }', train=f'["{plays}"]')
    text = text.replace('sdf = { type = "mlp_sdf" }', fields)
    assert check(text).wired("fit", "space").roles == {"sdf": plays}


def test_a_field_that_plays_the_role_but_gives_less_than_another(refuse: Refuse) -> None:
    more = 'fine = { type = "mlp_sdf", features = 8 }\ncolor = { type = "idr_color" }\n'
    text = recipe('pixels = { data = "photos", renderer = "sphere_trace" }', '{ type = "rgb_l1" }', more)
    (fault,) = refuse(text).faults
    assert fault.message.startswith('field "sdf", which plays the role sdf here, gives no feature')
    assert fault.hint == 'fields = { sdf = "fine" } in the pass takes one that does'


def test_facts_that_are_required_are_refused_and_those_advised_are_warned_of_once(check: Check, refuse: Refuse) -> None:
    text = recipe(
        'one = { data = "frames", renderer = "mesh" }, two = { data = "frames", renderer = "mesh" }',
        '{ type = "laplacian", on = ["one", "two"] }',
    )
    lost = [
        f'stage "fit": loss "laplacian" moves vertices of "{name}", which update "gradient" does not carry on to "sdf"'
        for name in ("one", "two")
    ]
    assert check(text).plan.warnings == lost
    warned = check(text, "fields.sdf.activation=relu")
    assert [warning for warning in warned.plan.warnings if warning not in lost] == [
        'loss "laplacian" is meant for a field that is second_order; field "sdf" (fake/mlp_sdf) as set here is not'
    ]
    faults = refuse(text, "fields.sdf.type=mlp_udf").faults
    assert [fault.message for fault in faults] == [
        'renderer "mesh" needs a field that is signed; field "sdf" (fake/mlp_udf) as set here is not'
    ] * 2
    assert faults[0].hint == "with their default options these are: mlp_sdf, deepsdf_decoder"


def test_the_update_looks_at_the_field_that_it_names(refuse: Refuse, check: Check) -> None:
    more = 'outer = { type = "mlp_udf" }\n'
    text = recipe('surface = { renderer = "curvature_flow" }', "", more)
    assert check(text, "stages.fit.update=level_set").wired("fit", "surface").want == {"flow"}
    (fault,) = refuse(text, 'stages.fit.update={ type = "level_set", field = "outer" }').faults
    assert fault.message.startswith('update "level_set" needs a field that is signed; field "outer"')


# ---------------------------------------------------------------- losses on fields, idle parts


def test_a_loss_on_a_field_is_given_what_the_field_gives_by_itself(check: Check, refuse: Refuse) -> None:
    more = 'gaussians = { type = "gaussians" }\n'
    text = recipe('space = { data = "box" }', '{ type = "thin", on = "gaussians" }', more, train='["gaussians"]')
    assert check(text).plan.warnings == ['stage "fit": pass "space" feeds no loss and no other pass']
    (fault,) = refuse(text, 'stages.fit.losses=[{ type = "eikonal", on = "sdf" }]').faults
    assert fault.message == 'loss "eikonal" needs sdf_gradient, which "sdf" (fake/mlp_sdf) does not give by itself'
    (fault,) = refuse(text, 'stages.fit.losses=[{ type = "l1", on = "gaussians" }]').faults[:1]
    assert 'loss "l1" needs rgb, which "gaussians"' in fault.message


def test_fields_that_nobody_trains_or_uses_are_no_fault(check: Check) -> None:
    text = recipe('space = { data = "box" }', '{ type = "eikonal" }', 'other = { type = "gaussians" }\n')
    assert check(text).plan.warnings == []


def test_a_receiver_may_be_a_part_of_what_is_trained(check: Check, refuse: Refuse) -> None:
    text = recipe('space = { data = "box" }', '{ type = "eikonal", to = ["sdf.layers"] }')
    assert check(text).recipe.stages[0].losses[0].to == ("sdf.layers",)
    (fault,) = refuse(text, 'stages.fit.train=["sdf.encoder"]').faults
    assert 'sends its gradient to "sdf.layers", which this stage does not train' in fault.message


def test_a_skipped_stage_may_be_unfinished(check: Check, refuse: Refuse) -> None:
    text = recipe('space = { data = "box" }', "")
    assert refuse(text).faults[0].message == 'stage "fit" trains sdf, but has no losses'
    assert check(text, "stages.fit.steps=0").plan.warnings == []


# ---------------------------------------------------------------- export


def test_a_mesh_is_exported_by_default_where_there_is_one(check: Check, refuse: Refuse) -> None:
    text = recipe('space = { data = "box" }', '{ type = "eikonal" }')
    assert check(text).recipe.export.mesher.short == "marching_cubes"
    unsigned = check(text, "fields.sdf=mlp_udf")
    assert unsigned.recipe.export is None
    assert unsigned.notes == [
        'no mesh is exported: mesher "marching_cubes" needs a field that is signed;'
        ' field "sdf" (fake/mlp_udf) as set here is not'
    ]
    (fault,) = refuse(text, "fields.sdf=mlp_udf", "export.format=obj").faults
    assert fault.message.startswith('mesher "marching_cubes" needs a field that is signed')
