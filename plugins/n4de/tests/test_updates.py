"""Surfaces that move as closed forms say, change their topology, and stop with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from neuralfw.components import Quantities
from neuralfw.errors import UserError
from neuralfw.meshing import extract
from neuralfw.photos.rendered import photograph
from neuralfw.recipe.faults import RecipeError
from neuralfw.run import Run
from neuralfw.scene import SceneView
from neuralfw.session import check, train
from neuralfw.testing import check_resume
from neuralfw.training.optimisers import Diverged
from neuralfw_mesh.shape_losses import face_vectors
from neuralfw_n4de.mesh_sdf import attached
from neuralfw_n4de.moving import Front

FLOW = """
name = "flow"
checkpoint = {{ every = 0 }}
log = {{ every = 1, tensorboard = false, report = false }}

[data.space]
type  = "uniform"
size  = 1.0
batch = 512

[fields.sdf]
type   = "mlp_sdf"
width  = 32
layers = 2
radius = 0.6

[renderers.surface]
type       = "surface"
resolution = 20
size       = 1.0

[[stages]]
name   = "flow"
steps  = {steps}
update = {{ field = "sdf", {update} }}
train  = {{ sdf = {{ lr = {lr} }} }}
passes = {{ surface = {{ renderer = "surface" }}, space = {{ data = "space" }} }}
losses = [{{ type = "area", on = "surface", weight = {weight} }}, {{ type = "eikonal", on = "space", weight = 0.001 }}]
"""
ASKED = 4 * 0.25 * 0.077
"""Four steps of a quarter of the mean edge of cells of 0.1."""

SET = 'type = "level_set", smoothing = 1.0, inner_steps = 20, off_surface = 512'


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuralfw.run.save_picture", lambda *_: None)


def recipe(folder: Path, update: str, steps: int = 8, weight: float = 1.0, lr: float = 2e-3) -> Path:
    path = folder / "flow.toml"
    path.write_text(FLOW.format(update=update, steps=steps, weight=weight, lr=lr))
    return path


def radius_of(run: Path) -> float:
    vertices = Run(run).mesh(resolution=32).vertices
    return float(np.linalg.norm(vertices, axis=1).mean())


def test_a_sphere_shrinks_by_mean_curvature_as_it_must(tmp_path: Path) -> None:
    """r(t)² = r0² - 4 t for V = -2 H n."""
    start = radius_of(train(recipe(tmp_path, f"{SET}, dt = 0.004", steps=1, lr=0.0), out=tmp_path / "start"))
    end = radius_of(train(recipe(tmp_path, f"{SET}, dt = 0.004", steps=10), out=tmp_path / "end"))
    assert end**2 == pytest.approx(start**2 - 4.0 * 10 * 0.004, abs=0.02)


def test_an_automatic_step_moves_by_max_voxels_whatever_the_scale(tmp_path: Path) -> None:
    paths = []
    for weight in (1.0, 1e4):
        path = recipe(tmp_path, f"{SET}, max_voxels = 0.25", steps=4, weight=weight)
        paths.append(train(path, out=tmp_path / str(weight)))
    a, b = (radius_of(path) for path in paths)
    assert a == pytest.approx(b, abs=2e-3)
    assert 0.4 * ASKED < 0.6 - a < 1.6 * ASKED


def test_a_given_step_is_held_to_max_voxels(tmp_path: Path) -> None:
    path = train(recipe(tmp_path, f"{SET}, dt = 10.0, max_voxels = 0.25", steps=4), out=tmp_path / "run")
    assert 0.4 * ASKED < 0.6 - radius_of(path) < 1.6 * ASKED


def test_a_pass_that_detaches_the_field_shows_the_surface_and_moves_nothing(tmp_path: Path) -> None:
    """A loss there that would blow the sphere up changes nothing; nor is it enough to move anything."""
    plain = recipe(tmp_path, SET, steps=3)
    text = plain.read_text().replace("passes = {", 'passes = { shown = { renderer = "surface", detach = ["sdf"] },')
    both = tmp_path / "both.toml"
    both.write_text(
        text.replace("losses = [", 'losses = [{ type = "area", name = "blow", on = "shown", weight = -50.0 },')
    )
    runs = [train(path, out=tmp_path / path.stem) for path in (plain, both)]
    assert radius_of(runs[0]) == radius_of(runs[1])
    alone = tmp_path / "alone.toml"
    alone.write_text(text.replace('on = "surface"', 'on = "shown"'))
    with pytest.raises(UserError, match="no loss stands on the surface of sdf"):
        train(alone, out=tmp_path / "alone")


def test_resume_is_exact(tmp_path: Path) -> None:
    check_resume(recipe(tmp_path, SET, steps=4), [], tmp_path, after=2)


def test_a_surface_that_vanishes_is_explained(tmp_path: Path) -> None:
    path = recipe(tmp_path, f"{SET}, dt = 1.0, max_voxels = 3.0", steps=30, lr=1e-2)
    with pytest.raises(
        Diverged, match=r"the surface of sdf vanished at step \d+: There is no surface(?s:.)*max_voxels"
    ):
        train(path, out=tmp_path / "run")


def test_a_surface_that_explodes_is_explained(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"the surface of sdf exploded at step 0: it has .* faces, max_faces allows 100"):
        train(recipe(tmp_path, f"{SET}, max_faces = 100"), out=tmp_path / "run")


def test_what_does_not_move_is_refused(tmp_path: Path) -> None:
    text = recipe(tmp_path, SET).read_text()
    idle = tmp_path / "idle.toml"
    idle.write_text(text.replace('{ type = "area", on = "surface", weight = 1.0 }, ', ""))
    with pytest.raises(UserError, match="no loss stands on the surface of sdf"):
        train(idle, out=tmp_path / "idle")
    other = tmp_path / "other.toml"
    second = '[fields.other]\ntype = "mlp_sdf"\nwidth = 8\nlayers = 1\n[renderers'
    other.write_text(text.replace("[renderers", second, 1).replace("train  = { sdf", "train  = { other"))
    with pytest.raises(UserError, match="the surface of sdf is to move, but stage 'flow' does not train sdf"):
        train(other, out=tmp_path / "other")


def test_a_pass_that_gives_no_surface_is_a_fault(tmp_path: Path) -> None:
    text = recipe(tmp_path, SET).read_text()
    path = tmp_path / "none.toml"
    path.write_text(text.replace('{ renderer = "surface" }', '{ data = "space" }').replace("area", "eikonal"))
    with pytest.raises(UserError, match='level_set" needs vertices, which no pass of stage "flow" gives'):
        check(path)


def test_mesh_sdf_is_the_derivative_through_the_surface() -> None:
    """Of the area of a sphere of radius r, by r: 8 π r. Twice the distance has the same surface, and the same."""
    found = extract(lambda x: x.norm(dim=1) - 0.6, ([-1.0] * 3, [1.0] * 3), 40)
    vertices, faces = torch.from_numpy(found.vertices).requires_grad_(), torch.from_numpy(found.faces)
    (gradient,) = torch.autograd.grad(face_vectors(vertices, faces).norm(dim=1).sum(), vertices)
    at, slope = vertices.detach(), 2.0
    radius = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)

    class View(SceneView):
        def __init__(self) -> None:
            pass

        def evaluate(self, inputs: Quantities, want: frozenset[str]) -> Quantities:
            return {"sdf": slope * (inputs["points"].norm(dim=1) - radius)}

    length = torch.full((len(at),), slope, dtype=torch.float64)
    front = Front(View(), {"points": at}, torch.zeros_like(length), length, at / 0.6, faces, gradient)
    attached(front).backward()
    assert radius.grad == pytest.approx(8.0 * np.pi * 0.6, rel=0.01)


def test_a_sphere_shrinks_under_mesh_sdf_too(tmp_path: Path) -> None:
    start = radius_of(train(recipe(tmp_path, SET, steps=1, lr=0.0), out=tmp_path / "start"))
    end = radius_of(train(recipe(tmp_path, 'type = "mesh_sdf"', steps=8), out=tmp_path / "end"))
    assert end < start - 0.02


@pytest.mark.parametrize(
    ("shape", "parts", "genus"), [("torus", 1, 1), pytest.param("balls", 2, 0, marks=pytest.mark.slow)]
)
def test_topology_changes_from_images_alone(tmp_path: Path, shape: str, parts: int, genus: int) -> None:
    made = trimesh.creation.torus(0.7, 0.3, 24, 12)
    if shape == "balls":
        ball = trimesh.creation.icosphere(2, 0.5)
        made = trimesh.util.concatenate([ball.copy().apply_translation([x, 0.0, 0.0]) for x in (-0.7, 0.7)])
    made.export(tmp_path / "mesh.ply")
    photograph([tmp_path / "mesh.ply"], tmp_path / "images", views=14, size=64)
    small = [
        f"data.images.path={tmp_path / 'images'}", "data.space.batch=512", "renderers.main.resolution=24",
        "renderers.surface.resolution=24", "fields.sdf.encoder.log2_table_size=12", "fields.sdf.width=32",
        "stages.hull.steps=20", "stages.hull.update.off_surface=1024", "stages.hull.passes.views.views=4",
        "stages.hull.passes.hull.views=14", "stages.evolve.steps=5", "stages.evolve.update.off_surface=1024",
        "stages.evolve.passes.views.views=4", "export.mesher.resolution=32", "log.tensorboard=false",
        "log.report=false",
        "evaluate.views=false",
    ]  # fmt: skip
    run = train("nie", small, out=tmp_path / "run")
    mesh = Run(run).mesh(resolution=32)
    found = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert found.body_count == parts
    assert found.euler_number == parts * 2 - 2 * genus
    assert json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["loss/pyramid"] < 0.1


def test_a_flow_that_the_update_does_not_carry_on_is_refused():
    with pytest.raises(RecipeError) as refused:
        check("nie", ["stages.hull.update=gradient", "stages.evolve.update=mesh_sdf"])
    assert [(fault.message, fault.hint) for fault in refused.value.faults] == [
        (
            f'loss "{loss}" moves vertices of "{name}", which update "gradient" does not carry on to "sdf"',
            "updates that carry it on: level_set, mesh_sdf",
        )
        for loss, name in (("mask_l1", "views"), ("carve", "hull"))
    ]
    assert [note for note in check("nie").notes if "carry on to" in note] == []


def test_a_flow_that_also_moves_something_else_is_warned_of():
    lights = [
        "stages.hull.update=gradient",
        "renderers.main.shading=environment",
        "stages.hull.losses=[{name='carve',remove=true}]",
    ]
    told = [
        note
        for note in check("nie", [*lights, "stages.hull.train={sdf={},'renderers.main'={}}"]).notes
        if "carry on" in note
    ]
    assert told == [
        'stage "hull": loss "mask_l1" moves vertices of "views", which update "gradient" does not carry on to "sdf"'
    ]
