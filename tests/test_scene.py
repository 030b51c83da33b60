"""The scene: built in the order of references, one frame, fields evaluated once each, parameters found by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neuralfw.components import Field
from neuralfw.config import FieldConfig, Spec, Wiring
from neuralfw.errors import UserError
from neuralfw.geometry import write_points
from neuralfw.recipe.model import Recipe
from neuralfw.registry import Registry
from neuralfw.scene import Scene, SceneView, frozen
from neuralfw.session import check

Write = Callable[..., Path]


def build(path: Path, *overrides: str) -> Scene:
    checked = check(path, overrides)
    return Scene(checked.recipe, checked.registry, torch.device("cpu")).build()


def test_frame_and_bounds_come_from_the_data(tiny_recipe: Write) -> None:
    scene = build(tiny_recipe(), "frame.fit=sphere", "frame.size=0.5")
    assert scene.frame.scale == pytest.approx(0.25, rel=0.02)
    np.testing.assert_allclose(scene.frame.center, [10.0, -20.0, 30.0], atol=0.1)
    assert scene.bounds[1] == pytest.approx(torch.full((3,), 0.5), abs=0.02)
    assert scene.bounds[0] == pytest.approx(torch.full((3,), -0.5), abs=0.02)


def second_cloud(tmp_path: Path, offset: float) -> str:
    points = np.random.default_rng(1).uniform(-1, 1, (50, 3)) + offset
    write_points(tmp_path / "second.ply", points, normals=points / np.linalg.norm(points, axis=1, keepdims=True))
    return f'\n[data.second]\ntype = "points"\npath = "{tmp_path}/second.ply"\n'


def test_bounds_hold_all_data_of_one_frame(tiny_recipe: Write, tmp_path: Path) -> None:
    scene = build(tiny_recipe(second_cloud(tmp_path, 100.0)), "frame.fit=none")
    assert scene.bounds[0].tolist() == pytest.approx([8.0, -22.0, 28.0], abs=0.1)
    assert scene.bounds[1].tolist() == pytest.approx([101.0] * 3, abs=0.1)


def test_data_in_different_frames_are_refused(tiny_recipe: Write, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data 'points' and 'second' lie in different frames.*fit = \"none\""):
        build(tiny_recipe(second_cloud(tmp_path, 100.0)))


def test_components_are_built_after_those_they_name(tiny_recipe: Write) -> None:
    near = '[data.near]\ntype = "near_points"\ndata = "points"\nbatch = 8\nneighbors = 3\n\n'
    path = tiny_recipe()
    path.write_text(path.read_text().replace("[data.points]", near + "[data.points]"))
    assert [*build(path).data] == ["points", "space", "near"]


def test_parameters_by_name(tiny_recipe: Write) -> None:
    scene = build(tiny_recipe())
    everything = scene.parameters_of("sdf")
    assert {*everything} == {n for n, _ in scene.named_parameters()}
    assert [*scene.parameters_of("sdf.mlp.layers.0.bias")] == ["fields.sdf.mlp.layers.0.bias"]
    assert {*scene.parameters_of("sdf.mlp.layers.1")} == {f"fields.sdf.mlp.layers.1.{n}" for n in ("weight", "bias")}
    assert scene.parameters_of("renderers.query") == {}
    with pytest.raises(UserError, match=r"sdf\.color: sdf has no parameter 'color'; it has mlp"):
        scene.parameters_of("sdf.color")
    with pytest.raises(UserError, match="no parameter 'ml'"):
        scene.parameters_of("sdf.ml")


def test_frozen_parameters_pass_gradients_to_what_they_act_on() -> None:
    weight, x = nn.Parameter(torch.tensor(2.0)), torch.tensor(3.0, requires_grad=True)
    with frozen({"weight": weight}):
        (weight * x).backward()
    assert weight.grad is None
    assert x.grad == 2.0
    with pytest.raises(ZeroDivisionError), frozen({"weight": weight}):
        raise ZeroDivisionError
    assert weight.requires_grad
    weight.requires_grad_(False)
    with frozen({"weight": weight}):
        pass
    assert not weight.requires_grad


# -- evaluation through roles --------------------------------------------------------------------------------------


class Made(Field):
    """A field that gives the sum of what it needs, plus one, and counts its evaluations."""

    def __init__(self, needs: Mapping[str, tuple[str, ...]]) -> None:
        nn.Module.__init__(self)
        self.needs, self.calls = needs, 0

    def evaluate(self, inputs: Mapping[str, Tensor], want: frozenset[str]) -> dict[str, Tensor]:
        self.calls += 1
        return {
            q: 1.0 + sum((inputs[n.removesuffix("?")] for n in self.needs[q] if n.removesuffix("?") in inputs), 0.0)
            for q in want
        }


def view(fields: Mapping[str, Mapping[str, tuple[str, ...]]]) -> tuple[SceneView, Mapping[str, Made]]:
    """A scene of fields given by what each provides and needs, each in a role of its own name."""
    made = {name: Made(provides) for name, provides in fields.items()}
    specs: dict[str, Spec] = {}
    for name, provides in fields.items():

        class Config(FieldConfig):
            role: ClassVar[str] = name
            given: ClassVar[Mapping[str, tuple[str, ...]]] = provides

            def wiring(self) -> Wiring:
                return Wiring(provides=self.given)

        specs[name] = Spec("field", f"test/{name}", Config())
    scene = Scene(Recipe.model_construct(fields=specs), Registry(), torch.device("cpu"))
    scene.fields.update(made)
    return SceneView(scene, {name: name for name in fields}), made


POINTS = {"points": torch.zeros(2)}


def test_only_what_is_wanted_is_evaluated_and_each_field_once() -> None:
    scene, made = view(
        {"sdf": {"sdf": ("points",), "feature": ("points",)}, "color": {"rgb": ("points", "feature", "sdf")}}
    )
    assert scene.evaluate(POINTS, frozenset({"sdf"}))["sdf"].tolist() == [1.0, 1.0]
    assert (made["sdf"].calls, made["color"].calls) == (1, 0)
    found = scene.evaluate(POINTS, frozenset({"rgb", "sdf"}))
    assert {*found} == {"rgb", "sdf"}
    assert found["rgb"].tolist() == [3.0, 3.0]
    assert (made["sdf"].calls, made["color"].calls) == (2, 1)


def test_a_coordinate_that_is_missing_comes_from_the_field_that_gives_it() -> None:
    scene, made = view({"sdf": {"sdf": ("points", "latent")}, "latents": {"latent": ("index",)}})
    index = torch.ones(2)
    assert scene.evaluate({**POINTS, "index": index}, frozenset({"sdf"}))["sdf"].tolist() == [3.0, 3.0]
    given = scene.evaluate({**POINTS, "latent": torch.full((2,), 5.0)}, frozenset({"sdf"}))
    assert given["sdf"].tolist() == [6.0, 6.0]
    assert made["latents"].calls == 1


def test_optional_needs_are_left_out_where_nothing_gives_them() -> None:
    scene, _ = view({"sdf": {"sdf": ("points", "mask?")}})
    assert scene.evaluate(POINTS, frozenset({"sdf"}))["sdf"].tolist() == [1.0, 1.0]
    scene, _ = view({"sdf": {"sdf": ("points", "mask?")}, "mask": {"mask": ()}})
    assert scene.evaluate(POINTS, frozenset({"sdf"}))["sdf"].tolist() == [2.0, 2.0]


def test_what_nothing_gives_is_named() -> None:
    scene, _ = view({"sdf": {"sdf": ("points",)}})
    with pytest.raises(KeyError, match="no field of this pass provides rgb"):
        scene.evaluate(POINTS, frozenset({"rgb"}))


def test_sdf_at_a_time() -> None:
    scene, _ = view({"sdf": {"sdf": ("time",)}})
    assert scene.sdf(torch.zeros(3, 3), t=0.25).tolist() == [1.25] * 3
