"""The decoder: the networks of the seed and of the official code, to the last parameter; its gradient."""

from __future__ import annotations

import pytest
import torch
from known_shapes import Build
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from neuralfw.errors import UserError
from neuralfw.testing import build_component
from neuralfw_deepsdf.config import DeepSdfDecoderConfig
from neuralfw_deepsdf.decoder import DeepSdfDecoder

RECIPE = """
[data.points]
type = "points"
path = "{path}"

[data.samples]
type = "along_normals"

[fields.codes]
type = "latents"
per  = "points"
dim  = {dim}

[fields.sdf]
type = "deepsdf_decoder"
{options}

[[stages]]
steps  = 1
train  = ["sdf"]
passes = {{ samples = {{ data = "samples" }} }}
losses = [{{ type = "clamped_l1", on = "samples" }}]
"""


@pytest.fixture
def decoder(build: Build, write_recipe, sphere_file):
    def make(options: str, dim: int = 4) -> DeepSdfDecoder:
        scene = build(write_recipe(RECIPE.format(path=sphere_file, options=options, dim=dim or 1)))
        field = scene.fields["sdf"]
        assert isinstance(field, DeepSdfDecoder)
        return field

    return make


def count(field: DeepSdfDecoder) -> int:
    return sum(p.numel() for p in field.parameters())


def test_the_paper_recipe_has_the_parameters_of_the_seed(build: Build, sphere_file) -> None:
    scene = build("deepsdf_paper", f"data.points.path={sphere_file}")
    assert count(scene.fields["sdf"]) == 1_580_540


def test_the_class_recipe_has_the_parameters_of_the_official_code(decoder) -> None:
    field = decoder('latent = "codes"\nwidth = 512', dim=256)
    ins = [259, 512, 512, 512, 512, 512, 512, 512, 512]
    outs = [512, 512, 512, 253, 512, 512, 512, 512, 1]
    affine = sum(i * o + o for i, o in zip(ins, outs, strict=True))
    gains = sum(outs[:-1])
    assert count(field) == affine + gains


def reference(field: DeepSdfDecoder, z: Tensor, x: Tensor, skip: int) -> Tensor:
    """The official forward pass, written out again: plain weights, input appended once, tanh at the end."""
    h = given = torch.cat([z, x], dim=1)
    layers = list(field.linears())
    for k, layer in enumerate(layers):
        if k == skip:
            h = torch.cat([h, given], dim=1)
        weight = layer.weight
        if layer.gain is not None:
            weight = torch._weight_norm(layer.weight, layer.gain, 0)
        h = functional.linear(h, weight, layer.bias)
        if k < len(layers) - 1:
            h = functional.relu(h)
    return torch.tanh(h)[:, 0]


def test_it_computes_what_the_official_network_computes(decoder) -> None:
    field = decoder('latent = "codes"\nwidth = 24\nlayers = 5\nskip = [3]')
    with torch.no_grad():
        for layer in list(field.linears())[:-1]:
            layer.gain.mul_(1.3)
    z, x = torch.randn(7, 4), torch.randn(7, 3)
    assert torch.allclose(field(x, z=z)["sdf"], reference(field, z, x, skip=3), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "dim"),
    [
        ('activation = "prelu"', 0),
        ('norm = "layer"\nlatent = "codes"', 4),
        ('xyz_in_all = true\nlatent = "codes"\ntanh = false', 4),
        ('norm = "none"', 0),
    ],
)
def test_its_gradient_is_that_of_finite_differences(decoder, options: str, dim: int) -> None:
    field = decoder(f"width = 16\nlayers = 4\nskip = [2]\n{options}").double()
    x = torch.randn(6, 3, dtype=torch.float64)
    z = torch.randn(6, dim, dtype=torch.float64) if dim else None
    found = field(x, z=z, want=frozenset({"sdf", "sdf_gradient"}))
    step = 1e-6
    for axis in range(3):
        move = torch.zeros(3, dtype=torch.float64)
        move[axis] = step
        slope = (field(x + move, z=z)["sdf"] - field(x - move, z=z)["sdf"]) / (2 * step)
        assert torch.allclose(found["sdf_gradient"][:, axis], slope, atol=1e-5)
    assert torch.equal(found["sdf"], field(x, z=z)["sdf"])


def test_its_gradient_trains_and_is_given_without_a_graph_too(decoder) -> None:
    field = decoder("width = 16\nlayers = 3\nskip = []")
    x = torch.randn(5, 3)
    field(x, want=frozenset({"sdf_gradient"}))["sdf_gradient"].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for n, p in field.named_parameters() if "weight" in n)
    with torch.no_grad():
        quiet = field(x, want=frozenset({"sdf", "sdf_gradient"}))
    assert not any(q.requires_grad for q in quiet.values())


def test_xyz_in_all_appends_the_coordinates_to_every_layer(decoder) -> None:
    field = decoder('width = 16\nlayers = 3\nskip = [2]\nxyz_in_all = true\nlatent = "codes"')
    assert [(n.weight.shape[1], n.weight.shape[0]) for n in field.linears()] == [(7, 13), (16, 9), (16, 13), (16, 1)]


def test_one_slope_serves_all_layers(decoder) -> None:
    field = decoder('activation = "prelu"\nwidth = 16\nlayers = 3\nskip = []')
    assert [p.tolist() for n, p in field.named_parameters() if n == "slope"] == [[0.25]]
    field(torch.randn(9, 3))["sdf"].sum().backward()
    assert field.slope.grad.abs() > 0


@pytest.mark.parametrize("key", ["dropout", "latent_dropout"])
def test_dropout_acts_only_while_training(decoder, key: str) -> None:
    field = decoder(f'width = 32\nlayers = 2\nskip = []\nlatent = "codes"\n{key} = 0.5')
    x, z = torch.randn(20, 3), torch.randn(20, 4)
    field.train()
    assert not torch.equal(field(x, z=z)["sdf"], field(x, z=z)["sdf"])
    field.eval()
    assert torch.equal(field(x, z=z)["sdf"], field(x, z=z)["sdf"])


def test_the_skip_appends_the_whole_code_whatever_latent_dropout_drops(decoder) -> None:
    field = decoder('width = 32\nlayers = 2\nskip = [1]\nlatent = "codes"\nlatent_dropout = 0.99').train()
    with torch.no_grad():
        _, second, _ = field.linears()
        second.weight[:, :-7] = 0.0  # only the appended input counts
    x, z = torch.randn(8, 3), torch.randn(8, 4)
    assert torch.equal(field(x, z=z)["sdf"], field(x, z=z)["sdf"])
    assert not torch.equal(field(x, z=z)["sdf"], field(x, z=torch.zeros_like(z))["sdf"])


@pytest.mark.parametrize("skip", [(0,), (9,)])
def test_a_skip_into_no_layer_is_refused(skip: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="skip must name layers from 1 to 8"):
        DeepSdfDecoderConfig(skip=skip)


def test_a_width_without_room_for_the_code_is_refused(decoder) -> None:
    with pytest.raises(UserError, match="width 64 leaves no room for the 67 inputs"):
        decoder('latent = "codes"\nwidth = 64', dim=64)


def test_tanh_is_no_metric_distance() -> None:
    assert DeepSdfDecoderConfig().capabilities() == {"signed"}
    assert DeepSdfDecoderConfig(tanh=False, latent="codes").capabilities() == {"signed", "metric", "latent"}


def test_it_may_begin_on_top_of_a_sphere() -> None:
    options = {"start": "sphere", "radius": 0.7, "tanh": False, "width": 32, "layers": 2, "skip": []}
    plain, begun = (
        build_component("field", "deepsdf_decoder", {**options, **more}) for more in ({"start": "plain"}, {})
    )
    direction = functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    for radius, sign in ((0.1, -1.0), (1.4, 1.0)):
        found = begun(radius * direction, want=frozenset({"sdf", "sdf_gradient"}))
        assert (sign * found["sdf"] > 0.0).all()
    added = begun(direction)["sdf"] - plain(direction)["sdf"]
    torch.testing.assert_close(added, torch.full((50,), (1.0 + 0.14**2) ** 0.5 - 0.7))
    assert ((found["sdf_gradient"] * direction).sum(dim=1) > 0.5).all()
