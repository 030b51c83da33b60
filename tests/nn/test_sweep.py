"""The hand-derived sweeps against autograd, finite differences and float64."""

import copy

import pytest
import torch

from neuralfw.nn import Mlp

ACTIVATIONS = ["softplus", "relu", "sine", "tanh", "silu"]


def network(activation, *, out_dim=3, width=32, layers=6, skip=(2, 4), weight_norm=False, seed=0, **options):
    return Mlp(
        5, out_dim, width=width, layers=layers, skip=skip, activation=activation, beta=20.0, omega=3.0,
        weight_norm=weight_norm, generator=torch.Generator().manual_seed(seed), **options,
    )  # fmt: skip


def points(count=200, seed=1, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 5, generator=generator, dtype=dtype, requires_grad=True)


def eikonal(out, gradient):
    """Reaches every output channel, the gradient's norm, and products of both."""
    mixed = (gradient * out[:, -1:].sin()).sum(dim=1)
    return (gradient.norm(dim=1) - 1).square().mean() + out.abs().mean() + mixed.mean()


def by_autograd(net, x):
    out = net(x)
    (gradient,) = torch.autograd.grad(out[:, 0].sum(), x, create_graph=True)
    return out, gradient


def relative_error(got, expected):
    """Of the worst gradient."""
    return max(((a - b).norm() / b.norm().clamp(min=1e-12)).item() for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("weight_norm", [False, True])
@pytest.mark.parametrize("skip", [(), (2, 4)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_equals_double_backward(activation, skip, weight_norm):
    net, x = network(activation, skip=skip, weight_norm=weight_norm), points()
    wanted = [x, *net.parameters()]
    out, gradient = net.value_and_pullback(x)
    expected_out, expected_gradient = by_autograd(net, x)
    torch.testing.assert_close(out, expected_out, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-5, atol=1e-6)
    got = torch.autograd.grad(eikonal(out, gradient), wanted)
    expected = torch.autograd.grad(eikonal(expected_out, expected_gradient), wanted)
    assert relative_error(got, expected) < 1e-5


@pytest.mark.parametrize("activation", ["softplus", "sine", "tanh", "silu"])
def test_gradcheck_in_float64(activation):
    net, x = network(activation, width=8, layers=3, skip=(2,)).double(), points(3, dtype=torch.float64)
    assert torch.autograd.gradcheck(net.value_and_pullback, (x,))
    weight = net.layers[2].weight
    assert torch.autograd.gradcheck(lambda _: net.value_and_pullback(x), (weight,), atol=1e-4)


def test_gradient_is_that_of_channel_0_by_finite_differences():
    net, x = network("softplus").double(), points(20, dtype=torch.float64).detach()
    _, gradient = net.value_and_pullback(x)
    step = 1e-5 * torch.eye(5, dtype=torch.float64)
    differences = torch.stack([(net(x + e)[:, 0] - net(x - e)[:, 0]) / 2e-5 for e in step], dim=1)
    torch.testing.assert_close(gradient, differences, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("used", ["value", "gradient"])
def test_a_loss_of_one_output_alone(used):
    net, x = network("softplus"), points()
    wanted = [x, *net.parameters()]

    def loss(out, gradient):
        return out.square().mean() if used == "value" else (gradient.norm(dim=1) - 1).square().mean()

    got = torch.autograd.grad(loss(*net.value_and_pullback(x)), wanted)
    expected = torch.autograd.grad(loss(*by_autograd(net, x)), wanted, materialize_grads=True)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-7) for a, b in zip(got, expected, strict=True))


def test_two_backward_passes_through_one_graph():
    net, x = network("softplus"), points()
    loss = eikonal(*net.value_and_pullback(x))
    first = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
    second = torch.autograd.grad(loss, list(net.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("activation", ["softplus", "sine"])
def test_third_derivatives(activation):
    net, x = network(activation).double(), points(20, dtype=torch.float64)

    def curvature_of_loss(value_and_gradient):
        loss = eikonal(*value_and_gradient)
        first = torch.autograd.grad(loss, [x, *net.parameters()], create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), [x, *net.parameters()])

    got, expected = curvature_of_loss(net.value_and_pullback(x)), curvature_of_loss(by_autograd(net, x))
    assert relative_error(got[:-1], expected[:-1]) < 1e-8


def test_gradients_reach_what_produced_the_points():
    net, codes = network("softplus"), torch.nn.Parameter(0.1 * torch.ones(1, 2))
    position = points().detach()[:, :3]
    out, gradient = net.value_and_pullback(torch.cat([codes.expand(len(position), 2), position], dim=1))
    eikonal(out, gradient).backward()
    assert codes.grad is not None and codes.grad.abs().min() > 0


def test_frozen_parameters_still_pass_gradients_on():
    net, x = network("softplus").requires_grad_(False), points()
    (got,) = torch.autograd.grad(eikonal(*net.value_and_pullback(x)), x)
    (expected,) = torch.autograd.grad(eikonal(*by_autograd(net, x)), x)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-7)


def test_without_a_graph_the_chunks_join():
    net, x = network("softplus"), points(20_000).detach()
    with torch.no_grad():
        out, gradient = net.value_and_pullback(x)
        value = net(x)
    expected_out, expected_gradient = net.value_and_pullback(x)
    assert not out.requires_grad and not gradient.requires_grad
    torch.testing.assert_close(out, expected_out, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(value, expected_out, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_values_alone_train_as_by_autograd(activation):
    """A recorded `forward` is a fused sweep when x needs no gradient, and plain autograd when it does."""
    net, x = network(activation, weight_norm=True), points()
    got = torch.autograd.grad(net(x.detach()).abs().mean(), list(net.parameters()))
    expected = torch.autograd.grad(net(x).abs().mean(), list(net.parameters()))
    assert relative_error(got, expected) < 1e-5


def test_second_derivatives_of_values_alone():
    net, x = network("softplus").double(), points(20, dtype=torch.float64)
    weight = net.layers[3].weight

    def curvature(out):
        (first,) = torch.autograd.grad(out.square().mean(), weight, create_graph=True)
        return torch.autograd.grad(first.square().sum(), weight)

    assert relative_error(curvature(net(x.detach())), curvature(net(x))) < 1e-8


@pytest.mark.parametrize("kernel", ["torch", "auto"])
@pytest.mark.parametrize("activation", ["softplus", "relu", "sine"])
def test_bf16_gradients_point_the_same_way(activation, kernel):
    """Cosine ≥ 0.9999 with float64; points are not rounded: an SDF's value moves by less than its own bf16 step."""
    net = Mlp(3, 2, width=128, layers=6, skip=(3,), activation=activation, kernel=kernel, precision="bf16",
              generator=torch.Generator().manual_seed(0))  # fmt: skip
    if activation != "sine":
        net.geometric_init(0.5)
    exact = copy.deepcopy(net).double()
    x = 2 * torch.rand(1500, 3, generator=torch.Generator().manual_seed(1)) - 1

    def gradients(net, x):
        out, gradient = net.value_and_pullback(x)
        loss = out.abs().mean() + 0.1 * (gradient.norm(dim=1) - 1).square().mean()
        return out, torch.cat([g.flatten().double() for g in torch.autograd.grad(loss, list(net.parameters()))])

    (out, got), (expected_out, expected) = gradients(net, x), gradients(exact, x.double())
    assert out.dtype == torch.float32 and {p.dtype for p in net.parameters()} == {torch.float32}
    assert 1 - (got @ expected) / (got.norm() * expected.norm()) < 1e-4
    assert (out - expected_out).abs().max() < 0.01
    with torch.no_grad():
        torch.testing.assert_close(net(x).double(), expected_out.detach(), rtol=1e-4, atol=1e-5)


def test_bf16_passes_gradients_on_to_the_points():
    net = network("softplus", precision="bf16")
    exact, x = copy.deepcopy(net).double(), points()
    (got,) = torch.autograd.grad(eikonal(*net.value_and_pullback(x)), x)
    x64 = x.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(eikonal(*exact.value_and_pullback(x64)), x64)
    assert torch.nn.functional.cosine_similarity(got.double().flatten(), expected.flatten(), dim=0) > 0.999


def test_bf16_autocast_is_bf16_precision():
    net, x = network("softplus"), points().detach()
    wide = net.value_and_pullback(x)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out, gradient = net.value_and_pullback(x)
        value = net(x)
        of_narrow_points, _ = net.value_and_pullback(x.bfloat16())
    assert out.dtype == gradient.dtype == value.dtype == of_narrow_points.dtype == torch.float32
    assert torch.equal(out, value) and not torch.equal(out, wide)
    eikonal(out, gradient).backward()
    assert net.layers[0].weight.grad.dtype == torch.float32
    net.precision = "bf16"
    assert torch.equal(net.value_and_pullback(x)[0], out)


def test_no_points():
    net = network("softplus")
    out, gradient = net.value_and_pullback(torch.empty(0, 5))
    assert out.shape == (0, 3) and gradient.shape == (0, 5)
    (out.sum() + gradient.sum()).backward()
    with torch.no_grad():
        assert net(torch.empty(0, 5)).shape == (0, 3)


def test_dropout_acts_in_training_and_rests_in_evaluation():
    net, x = network("softplus", dropout=0.5), points()
    out, gradient = net.value_and_pullback(x)
    eikonal(out, gradient).backward()
    assert not torch.equal(out, net.value_and_pullback(x)[0])
    net.eval()
    assert torch.equal(net(x), net(x))
    torch.testing.assert_close(net.value_and_pullback(x)[0], net(x), rtol=1e-5, atol=1e-6)
