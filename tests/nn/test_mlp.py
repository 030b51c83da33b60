"""The network: names, shapes, initialisation, refused options."""

import math

import pytest
import torch

from neuralfw.errors import UserError
from neuralfw.nn import Mlp


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def directions(count, dim=3):
    return torch.nn.functional.normalize(torch.randn(count, dim, generator=seeded(7)), dim=1)


def test_parameter_names_and_shapes():
    net = Mlp(3, 4, width=16, layers=3, skip=(2,), weight_norm=True)
    shapes = {name: tuple(p.shape) for name, p in net.state_dict().items()}
    assert shapes == {
        "layers.0.weight": (16, 3), "layers.0.bias": (16,), "layers.0.gain": (16, 1),
        "layers.1.weight": (13, 16), "layers.1.bias": (13,), "layers.1.gain": (13, 1),
        "layers.2.weight": (16, 16), "layers.2.bias": (16,), "layers.2.gain": (16, 1),
        "layers.3.weight": (4, 16), "layers.3.bias": (4,), "layers.3.gain": (4, 1),
    }  # fmt: skip


def test_is_igr_written_out():
    """IGR's network: linear layers, softplus(100), concat(h, x)/√2 into the skip layer."""
    net = Mlp(3, 1, width=24, layers=4, skip=(2,), generator=seeded(0))
    x = torch.randn(50, 3, generator=seeded(1))
    h = x
    for k, layer in enumerate(net.layers):
        if k == 2:
            h = torch.cat([h, x], dim=1) / math.sqrt(2)
        h = torch.nn.functional.linear(h, layer.weight, layer.bias)
        if k < 4:
            h = torch.nn.functional.softplus(h, beta=100)
    torch.testing.assert_close(net(x), h)


def test_weight_norm_is_torchs():
    net = Mlp(3, 1, width=16, layers=1, weight_norm=True, generator=seeded(0))
    linear = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(3, 16))
    with torch.no_grad():
        net.layers[0].gain.mul_(1.7)
        linear.parametrizations.weight.original0.copy_(net.layers[0].gain)
        linear.parametrizations.weight.original1.copy_(net.layers[0].weight)
    torch.testing.assert_close(net.layers[0].effective_weight(), linear.weight)


def test_weights_come_from_the_generator_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second = (Mlp(3, 1, width=16, layers=2, generator=seeded(5)) for _ in range(2))
    other = Mlp(3, 1, width=16, layers=2, generator=seeded(6))
    for net in (first, second, other):
        net.geometric_init(0.5)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.layers[1].weight, second.layers[1].weight)
    assert not torch.equal(first.layers[1].weight, other.layers[1].weight)


def test_siren_keeps_its_distribution_through_the_layers():
    """arXiv 2006.09661, theorem 1.8: pre-activations ω z stay near a unit normal, whatever the depth."""
    net = Mlp(3, 1, width=256, layers=6, activation="sine", generator=seeded(0))
    x = torch.rand(2000, 3, generator=seeded(1)) * 2 - 1
    h = x
    for layer in net.layers[:-1]:
        h = torch.sin(30 * torch.nn.functional.linear(h, layer.weight, layer.bias))
    assert 0.6 < h.std() < 0.8  # an arcsine distribution has 1/√2


@pytest.mark.parametrize("activation", ["softplus", "relu"])
@pytest.mark.parametrize(
    ("width", "layers", "skip", "radius", "encoded", "weight_norm", "inside_out"),
    [
        (64, 3, (), 1.0, 0, False, False),
        (128, 4, (2,), 0.3, 36, False, False),
        (256, 8, (4,), 0.5, 36, True, True),
        (256, 8, (4,), 0.3, 0, False, True),
        (512, 8, (4,), 0.5, 0, False, False),
    ],
)
def test_geometric_init_is_a_sphere(activation, width, layers, skip, radius, encoded, weight_norm, inside_out):
    """Sign at the centre; zero at the radius on average, within a tenth of it as a rule; slope near 1."""
    net = Mlp(
        3 + encoded, 2, width=width, layers=layers, skip=skip, activation=activation, weight_norm=weight_norm,
        generator=seeded(1),
    )  # fmt: skip
    net.geometric_init(radius, inside_out=inside_out)
    features = torch.randn(1000, encoded, generator=seeded(8))
    x = torch.cat([radius * directions(1000), features], dim=1)
    sign = -1 if inside_out else 1
    out, gradient = net.value_and_pullback(x)
    value = sign * out[:, 0] / radius
    assert abs(value.mean()) < 0.03
    assert value.std() < 0.1
    assert 0.8 < gradient[:, :3].norm(dim=1).mean() < 1.25
    assert gradient[:, 3:].abs().max() == 0 if encoded else True
    assert sign * net(torch.zeros(1, 3 + encoded))[0, 0] < -0.2 * radius
    assert (sign * net(x * 2)[:, 0] > 0).all()


@pytest.mark.parametrize(("skip", "weight_norm"), [((), False), ((2,), True)])
def test_a_sphere_about_another_centre_is_the_same_sphere_moved(skip, weight_norm):
    shape = {"width": 64, "layers": 4, "skip": skip, "weight_norm": weight_norm}
    here, there = (Mlp(3 + 5, 1, **shape, generator=seeded(1)) for _ in range(2))
    center = (0.3, -0.2, 0.5)
    here.geometric_init(0.4)
    there.geometric_init(0.4, center=center)
    x = torch.randn(50, 8, generator=seeded(2))
    moved = x + torch.tensor([*center, 0, 0, 0, 0, 0])
    torch.testing.assert_close(there(moved), here(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("activation", ["sine", "tanh", "silu"])
def test_geometric_init_needs_rectified_units(activation):
    with pytest.raises(UserError, match="softplus or relu"):
        Mlp(3, 1, width=16, layers=2, activation=activation).geometric_init(0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "gelu"}, "softplus, relu, sine, tanh, silu"),
        ({"skip": (0,)}, "from 1 to 2"),
        ({"skip": (3,)}, "from 1 to 2"),
        ({"in_dim": 20, "skip": (1,)}, "width above 20"),
        ({"dropout": 1.0}, "dropout"),
        ({"beta": -1.0}, "positive"),
        ({"layers": 0}, "at least one"),
    ],
)
def test_impossible_networks_are_refused(options, message):
    settings = {"in_dim": 3, "out_dim": 1, "width": 16, "layers": 3} | options
    with pytest.raises(UserError, match=message):
        Mlp(settings.pop("in_dim"), settings.pop("out_dim"), **settings)
