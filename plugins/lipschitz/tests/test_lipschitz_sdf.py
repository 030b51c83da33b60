"""The field in recipes: the start of `mlp_sdf`, training and evaluation alike, checkpoints, faults, other recipes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from neuralfw.errors import UserError
from neuralfw.geometry import write_mesh
from neuralfw.nn.mlp import held
from neuralfw.recipe.faults import RecipeError
from neuralfw.run import Run
from neuralfw.session import check, train
from neuralfw.testing import build_component, check_resume
from neuralfw_lipschitz.field import LipschitzSdf

BOUND = frozenset({"lipschitz/log_bound"})
SMALL = [
    "data.shapes.samples=4000", "stages.fit.passes.samples.points=256", "fields.sdf.width=32", "fields.sdf.layers=3",
    "export.mesher.resolution=20", "log.tensorboard=false", "checkpoint.every=0", "fields.sdf.start=sphere",
    "log.report=false",
]  # fmt: skip
Build = Callable[..., LipschitzSdf]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuralfw.run.save_picture", lambda *_: None)


@pytest.fixture(scope="session")
def balls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Balls of radius 0.35 and 0.65 about the origin, as meshes."""
    import trimesh

    folder = tmp_path_factory.mktemp("balls")
    ball = trimesh.creation.icosphere(3)
    for name, radius in (("large", 0.65), ("small", 0.35)):
        write_mesh(folder / f"{name}.ply", radius * np.asarray(ball.vertices), np.asarray(ball.faces))
    return folder


@pytest.fixture
def sphere_file(tmp_path: Path) -> Path:
    normals = np.random.default_rng(0).normal(size=(300, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    np.savetxt(tmp_path / "sphere.pts", np.hstack([normals, normals]))
    return tmp_path / "sphere.pts"


@pytest.fixture(scope="session")
def learnt(balls: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    options = [*SMALL, f"data.shapes.path={balls}", "data.shapes.normalize=none", "stages.fit.steps=500"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neuralfw.run.save_picture", lambda *_: None)
        yield Run(train("lipmlp", options, out=tmp_path_factory.mktemp("learnt") / "run", device="cpu"))


def field(**options: object) -> LipschitzSdf:
    made: LipschitzSdf = build_component("field", "lipschitz_sdf", {"width": 16, "layers": 2, **options})
    return made


def bound_of(sdf: LipschitzSdf) -> float:
    return math.exp(float(sdf.evaluate({}, BOUND)["lipschitz/log_bound"].detach()))


def points(count: int = 50) -> Tensor:
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0


# -- the field ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"skip": [1], "weight_norm": True, "features": 3}, {"activation": "sine"}])
def test_it_begins_as_mlp_sdf_does(options: dict[str, object]) -> None:
    ours, plain = field(**options), build_component("field", "mlp_sdf", {"width": 16, "layers": 2, **options})
    want = frozenset({"sdf", "sdf_gradient", "feature"})
    found, expected = ours(points(), want=want), plain(points(), want=want)
    for quantity in want:
        torch.testing.assert_close(found[quantity], expected[quantity])


def test_distances_and_the_bound_come_together_or_alone() -> None:
    sdf = field()
    both = sdf.evaluate({"points": points()}, BOUND | {"sdf"})
    assert both.keys() == {"sdf", "feature", "lipschitz/log_bound"}
    assert sdf.evaluate({}, BOUND)["lipschitz/log_bound"] == both["lipschitz/log_bound"]


def scaled_down(sdf: LipschitzSdf) -> LipschitzSdf:
    with torch.no_grad():
        for linear in sdf.mlp.linears():
            linear.raw_bound -= 0.05  # type: ignore[operator]
    return sdf


def test_training_and_evaluation_use_the_same_weights() -> None:
    sdf, x, want = scaled_down(field(width=32, skip=[1])), points(), frozenset({"sdf", "sdf_gradient"})
    trained = sdf.train()(x, want=want)
    with torch.no_grad(), held(sdf):
        evaluated = sdf.eval()(x, want=want)
    for quantity in want:
        torch.testing.assert_close(evaluated[quantity], trained[quantity], rtol=1e-6, atol=1e-6)
    by_autograd = sdf(x.clone().requires_grad_())["sdf"]
    torch.testing.assert_close(by_autograd, trained["sdf"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("activation", ["softplus", "relu"])
def test_narrow_numbers_do_not_change_what_is_evaluated(activation: str) -> None:
    """bf16 rounds while training; what leaves a run is in full precision, so the bound holds of it."""
    wide, narrow = (scaled_down(field(width=32, activation=activation, precision=p)) for p in ("fp32", "bf16"))
    with torch.no_grad():
        torch.testing.assert_close(wide(points())["sdf"], narrow(points())["sdf"], rtol=0.0, atol=0.0)


# -- the recipe --------------------------------------------------------------------------------------------------------


def test_two_balls_and_one_between(learnt: Run) -> None:
    """The straight way from ball to ball, f = |x| - r(t), is the slowest; all its level sets are balls."""
    assert learnt.shapes == ["large", "small"]
    assert learnt.scene.fields["codes"].codes.tolist() == [[0.0], [1.0]]
    radii = []
    for name in ("large", "large:small:0.5", "small"):
        lengths = np.linalg.norm(learnt.mesh(shape=name).vertices, axis=1)
        assert lengths.std() < 0.03
        radii.append(lengths.mean())
    assert radii == pytest.approx([0.65, 0.5, 0.35], abs=0.03)


def test_the_bound_is_true_of_the_learnt_network_and_was_pulled_down(learnt: Run, balls: Path, tmp_path: Path) -> None:
    sdf = learnt.scene.fields["sdf"]
    assert isinstance(sdf, LipschitzSdf)
    random = torch.Generator().manual_seed(0)
    u = torch.cat([points(4000), torch.rand(4000, 1, generator=random) * 1.5 - 0.25], dim=1)
    v = u + 10.0 ** (-3.0 * torch.rand(4000, 1, generator=random)) * torch.randn(4000, 4, generator=random)
    with torch.no_grad():
        change = (sdf(u[:, :3], None, u[:, 3:])["sdf"] - sdf(v[:, :3], None, v[:, 3:])["sdf"]).abs()
    ratio = float((change / (u - v).abs().amax(dim=1)).max())
    assert 1.0 < ratio <= bound_of(sdf) * 1.0001
    options = [*SMALL, f"data.shapes.path={balls}", "data.shapes.normalize=none", "stages.fit.steps=0"]
    start = Run(train("lipmlp", options, out=tmp_path / "start", device="cpu")).scene.fields["sdf"]
    assert isinstance(start, LipschitzSdf) and bound_of(sdf) < bound_of(start)


def test_a_checkpoint_brings_the_bounds_back(learnt: Run) -> None:
    again = Run(learnt.folder.root).scene.state_dict()
    bounds = [name for name in again if name.endswith("raw_bound")]
    assert len(bounds) == 4
    for name, tensor in learnt.scene.state_dict().items():
        assert torch.equal(again[name], tensor), name


def test_a_resumed_run_goes_on_bit_for_bit(balls: Path, tmp_path: Path) -> None:
    given = [*SMALL, f"data.shapes.path={balls}", "stages.fit.steps=8"]
    check_resume("lipmlp", given, tmp_path, after=5)


def test_corners_give_each_shape_a_direction_of_its_own(balls: Path, tmp_path: Path) -> None:
    given = [*SMALL, f"data.shapes.path={balls}", "fields.codes.start=corners", "fields.codes.dim=3"]
    run = Run(train("lipmlp", [*given, "stages.fit.steps=0"], out=tmp_path / "run", device="cpu"))
    assert run.scene.fields["codes"].codes.tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]  # type: ignore[union-attr]


def test_the_pull_ends_at_a_bound_of_one() -> None:
    loss = build_component("loss", "lipschitz")
    product = build_component("loss", "lipschitz", {"form": "product"})
    for value, expected in ((2.0, 2.0), (-3.0, 0.0)):
        outputs = {"lipschitz/log_bound": torch.tensor(value)}
        assert float(loss(outputs, {})) == expected
        assert float(product(outputs, {})) == pytest.approx(math.exp(value))


# -- other recipes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["igr", "siren", "sal", "neural_pull", "idr", "neus_hash", "deepsdf", "gs_pull"])
def test_one_line_takes_it_in_other_recipes_and_keeps_the_options(recipe: str) -> None:
    place = "fields.sdf.of" if recipe == "gs_pull" else "fields.sdf"
    before, after = (check(recipe, given).recipe.fields["sdf"] for given in ([], [f"{place}.type=lipschitz_sdf"]))
    if recipe == "gs_pull":
        before, after = before.config.of, after.config.of  # type: ignore[attr-defined]
    assert after.name == "lipschitz/lipschitz_sdf"
    if recipe != "deepsdf":
        assert dict(before.config) == {key: getattr(after.config, key) for key in dict(before.config)}


def test_it_learns_in_one_with_gradients_and_its_loss(sphere_file: Path, tmp_path: Path) -> None:
    small = [f"data.points.path={sphere_file}", "fields.sdf.width=16", "fields.sdf.layers=2"]
    small += ["log.tensorboard=false", "log.report=false"]
    small += ["export.mesher.resolution=12", "fields.sdf.type=lipschitz_sdf", "log.every=1", "stages.fit.steps=30"]
    recipe = tmp_path / "bounded.toml"
    recipe.write_text(
        'extends = "igr.toml"\nname = "bounded"\n[[stages]]\nname = "fit"\n'
        'losses = [{ type = "lipschitz", on = "sdf", weight = 0.1 }]\n'
    )
    root = train(recipe, small, out=tmp_path / "run", device="cpu")
    lines = [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]
    bounds = [line["loss/lipschitz"] for line in lines if "loss/lipschitz" in line]
    assert bounds[-1] < bounds[0]


# -- faults ------------------------------------------------------------------------------------------------------------


def fault(recipe: str, *overrides: str) -> str:
    with pytest.raises(RecipeError) as told:
        check(recipe, overrides)
    return str(told.value)


def test_the_loss_on_a_field_without_a_bound_is_refused() -> None:
    text = fault("lipmlp", "fields.sdf.type=mlp_sdf")
    assert 'loss "lipschitz" needs lipschitz/log_bound, which "sdf" (core/mlp_sdf) does not give by itself' in text


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("fields.sdf.norm=two", "allowed: inf, one"),
        ("fields.sdf.bound=square", "allowed: exp, softplus"),
        ("stages.fit.losses.lipschitz.form=sum", "allowed: log, product"),
        ("fields.codes.start=circle", "allowed: normal, line, corners"),
    ],
)
def test_an_unknown_choice_names_the_known_ones(override: str, message: str) -> None:
    assert message in fault("lipmlp", override)


def test_more_shapes_than_corners_are_refused(balls: Path, tmp_path: Path) -> None:
    given = [*SMALL, f"data.shapes.path={balls}", "fields.codes.start=corners", "stages.fit.steps=1"]
    with pytest.raises(UserError, match=r'start = "corners" of 2 shapes needs dim = 2, not 1'):
        train("lipmlp", given, out=tmp_path / "run", device="cpu")
