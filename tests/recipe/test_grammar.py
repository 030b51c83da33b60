"""The grammar carries every method that the design was made for: each recipe on paper is parsed, merged and wired."""

from pathlib import Path
from typing import Any

import pytest

from neuralfw.recipe.model import dump
from neuralfw.recipe.toml_writer import dumps
from neuralfw.schedules import Exponential, Linear, Steps

ON_PAPER = Path(__file__).parent / "on_paper"

Check = Any
Refuse = Any


@pytest.mark.parametrize("path", sorted(ON_PAPER.glob("*.toml")), ids=lambda path: path.stem)
def test_every_method_on_paper_is_wired_and_written_out_as_itself(check: Check, path: Path) -> None:
    checked = check(path)
    assert checked.notes == [] and checked.plan.warnings == []
    again = check(dumps(dump(checked.recipe)))
    assert again.recipe == checked.recipe and again.plan == checked.plan


# ---------------------------------------------------------------- DeepSDF over several shapes


def test_epochs_schedules_and_drawing_options_of_a_class(check: Check) -> None:
    (stage,) = check(ON_PAPER / "deepsdf_class.toml").recipe.stages
    assert stage.steps == "2001 epochs"
    assert stage.train["codes"].lr == Steps(start=1e-3, factor=0.5, every="500 epochs")
    draw = stage.passes["samples"].draw
    assert (draw.items, draw.points, draw.accumulate) == (64, 16384, 8)
    assert stage.losses[1].weight == Linear(start=0.0, end=1e-4, until="100 epochs")


def test_an_unseen_shape_trains_the_codes_alone(check: Check) -> None:
    checked = check(ON_PAPER / "deepsdf_class.toml", 'stages.decoder.train=["codes"]')
    assert checked.recipe.stages[0].train == {"codes": None}


# ---------------------------------------------------------------- IDR


def test_a_pass_reads_what_another_traced(check: Check) -> None:
    checked = check(ON_PAPER / "idr.toml")
    assert checked.wired("fit", "traced").source == "pixels"
    assert checked.wired("fit", "pixels").want == {"rgb", "alpha", "points"}
    (stage,) = checked.recipe.stages
    assert stage.passes["traced"].detach == ("cameras",)
    assert stage.losses[2].on == ("space", "traced")
    assert stage.train["cameras"].type == "sparse_adam"


def test_another_renderer_by_one_line_shows_what_dies_with_it(refuse: Refuse) -> None:
    error = refuse(ON_PAPER / "idr.toml", "renderers.main=neus")
    (fault,) = error.faults
    assert fault.message == 'pass "pixels" gives no points, which renderer "query" needs'
    assert fault.hint == "renderers that give points: advect, mesh, sphere_trace"
    assert fault.origin.text[fault.origin.column - 1 : fault.origin.end_column - 1] == '"pixels"'


def test_a_renderer_may_be_trained_and_a_loss_may_be_on_it(check: Check) -> None:
    checked = check(
        ON_PAPER / "idr.toml",
        "renderers.main=neus",
        "stages.fit.passes.traced.remove=true",
        'stages.fit.losses.eikonal.on="space"',
        'stages.fit.train={ sdf = {}, "renderers.main" = { lr = 1e-3 } }',
        'stages.fit.losses=[{ type = "sharp", on = "renderers.main", to = "renderers.main" }]',
    )
    (stage,) = checked.recipe.stages
    assert stage.train["renderers.main"].lr == 1e-3
    assert stage.losses[-1].on == stage.losses[-1].to == ("renderers.main",)


# ---------------------------------------------------------------- GS-Pull


def test_fields_made_of_fields_fill_their_role_where_a_pass_says_so(check: Check) -> None:
    checked = check(ON_PAPER / "gs_pull.toml")
    assert checked.wired("appearance", "views").roles["gaussians"] == "gaussians"
    assert checked.wired("geometry", "views").roles["gaussians"] == "pulled"
    assert checked.recipe.fields["pulled"].config.sdf == "sdf"
    geometry = checked.recipe.stages[1]
    assert [t.on for t in geometry.losses if t.name in ("tangent", "thin")] == [("pulled",), ("gaussians",)]
    assert checked.wired("geometry", "queries").want == {"pulled", "sdf_gradient"}


def test_callbacks_have_their_turns(check: Check) -> None:
    densify, box = check(ON_PAPER / "gs_pull.toml").recipe.stages[0].callbacks
    assert (densify.start, densify.every, densify.callback.config.clone) == (3000, 500, "sample")
    assert (box.at, box.callback.config.field, box.callback.config.to) == ("end", "sdf", "gaussians")


def test_the_release_extends_the_paper_in_place(check: Check) -> None:
    recipe = check(ON_PAPER / "gs_pull_release.toml").recipe
    assert [stage.name for stage in recipe.stages] == ["appearance", "opacity", "geometry"]
    opacity, geometry = recipe.stages[1:]
    assert list(opacity.train) == ["gaussians.sh", "gaussians.opacities", "gaussians.scales", "gaussians.rotations"]
    assert geometry.steps == 60000
    views = geometry.passes["views"]
    assert (views.data, views.renderer, views.fields, views.every) == (
        "images.train", "splat", {"gaussians": "floored"}, 10,
    )  # fmt: skip
    assert views.detach == ("gaussians.means",)
    losses = {term.name: term for term in geometry.losses}
    assert list(losses) == ["l1", "dssim", "orthogonal", "tangent", "thin", "chamfer_pull", "attract"]
    assert losses["tangent"].to == ("gaussians.rotations",) and losses["tangent"].start == 10000
    assert losses["tangent"].weight == 0.1
    assert losses["attract"].to == ("gaussians.means",)


# ---------------------------------------------------------------- N4DE and NIE


def test_pictures_of_the_surface_are_data_for_another_renderer(check: Check) -> None:
    checked = check(ON_PAPER / "n4de.toml")
    views = checked.wired("splat_init", "views")
    assert views.source == "shaded" and "rgb" in views.observed
    assert checked.wired("splat_init", "shaded").want == {"rgb"}


def test_the_level_set_update_sees_vertices_and_its_passes_share_a_surface(check: Check) -> None:
    checked = check(ON_PAPER / "n4de.toml")
    evolve = checked.recipe.stages[2]
    assert evolve.update.short == "level_set" and evolve.time == "cycle"
    assert checked.wired("evolve", "geometry").want == {"vertices", "rgb", "points"}
    assert checked.wired("evolve", "skin").want == {"sdf_gradient", "sdf_time_derivative"}
    assert evolve.passes["colour"].repeat == 50 and evolve.passes["colour"].detach == ("sdf",)
    weights = {term.name: term.weight for term in evolve.losses}
    assert weights["time_smoothness"] == Exponential(start=0.05, factor=0.995, per="epoch")
    assert weights["laplacian"] == Steps(start=2e-4, to=0.0, at=("1000 epochs",))
    assert [stage.cache for stage in checked.recipe.stages] == [True, True, False]


def test_components_stand_in_options_of_components(check: Check) -> None:
    recipe = check(ON_PAPER / "n4de.toml").recipe
    mesher = recipe.renderers["mesh"].config.mesher
    assert (mesher.short, mesher.place) == ("marching_cubes", "renderers.mesh.mesher")
    assert mesher.config.resolution == Steps(start=200, to=210, at=("1000 epochs",))
    sdf = recipe.fields["sdf"].config
    assert (sdf.encoder.short, sdf.time.short) == ("hash_grid", "sinusoid")


def test_smoothing_is_a_pass_without_data_whose_renderer_gives_a_flow(check: Check) -> None:
    checked = check("""
        fields.sdf.type = "mlp_sdf"
        [[stages]]
        name = "smooth"
        steps = 100
        update = "level_set"
        train = ["sdf"]
        passes = { surface = { renderer = "curvature_flow" } }
        """)
    assert checked.wired("smooth", "surface").want == {"flow"}
    assert checked.plan.warnings == []


# ---------------------------------------------------------------- deformation by a velocity


def test_points_are_advected_and_the_field_is_read_along_their_paths(check: Check) -> None:
    checked = check(ON_PAPER / "velocity.toml")
    along = checked.wired("implicit", "along")
    assert along.source == "paths" and along.want == {"sdf", "sdf_gradient", "transport_residual"}
    assert checked.wired("implicit", "paths").want == {"points", "time"}
    velocity, implicit, _ = checked.recipe.stages
    assert velocity.train["velocity"].lr.clock == "own"
    assert implicit.passes["paths"].detach == ("velocity",)
    assert checked.recipe.renderers["advect"].config.integrator.config.steps == 10
    assert next(t.loss.config.strength for t in implicit.losses if t.name == "level_set_residual") == 1.0


def test_joint_training_is_one_stage_without_detach(check: Check) -> None:
    checked = check(
        ON_PAPER / "velocity.toml",
        "stages.velocity.steps=0",
        'stages.implicit.train=["sdf", "velocity"]',
        "stages.implicit.passes.paths.detach=[]",
    )
    assert list(checked.recipe.stages[1].train) == ["sdf", "velocity"]
