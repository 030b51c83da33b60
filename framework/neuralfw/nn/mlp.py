"""The multilayer perceptron behind the neural fields."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from neuralfw.errors import UserError

from . import initialize, jet, plain, sweep
from .activations import Activation
from .jet import Jet
from .kernels import CHOICES, choose
from .network import Network
from .plain import Layer

PRECISIONS = ("fp32", "bf16")


def _autocasts(device: str) -> bool:
    """Say whether autocast is on for a kind of device; some, such as meta, have none."""
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def _without_autocast(device: str) -> AbstractContextManager[None]:
    return torch.autocast(device, enabled=False) if _autocasts(device) else nullcontext()


class Linear(nn.Module):
    """An affine map; with `weight_norm` its effective weight is `gain · weight/|weight|`, row by row."""

    gain: nn.Parameter | None

    def __init__(self, in_dim: int, out_dim: int, weight_norm: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_dim, in_dim))
        self.bias = nn.Parameter(torch.empty(out_dim))
        self.gain = nn.Parameter(torch.empty(out_dim, 1)) if weight_norm else None

    @torch.no_grad()
    def assign(self, weight: Float[Tensor, "out in"], bias: Float[Tensor, " out"]) -> None:
        """Make these the effective weight and the bias."""
        self.weight.copy_(weight)
        self.bias.copy_(bias)
        if self.gain is not None:
            self.gain.copy_(weight.norm(dim=1, keepdim=True))

    def effective_weight(self) -> Float[Tensor, "out in"]:
        if self.gain is None:
            return self.weight
        gain: Tensor = self.gain / self.weight.norm(dim=1, keepdim=True)
        return self.weight * gain


class Mlp(nn.Module):
    """Fully connected network.

    Args:
        in_dim, out_dim: channels in and out; the output layer is affine.
        width, layers: units of a hidden layer and number of hidden layers.
        skip: hidden layers whose input is `concat(h, x) / √2`, as in IGR (arXiv 2002.10099) and IDR (2003.09852); the
            layer before each is `in_dim` units narrower.
        activation: softplus (sharpness `beta`), relu, sine (`sin(omega z)`, initialised as SIREN, arXiv 2006.09661),
            tanh or silu.
        weight_norm: every layer's weight is `gain · weight/|weight|` per row (arXiv 1602.07868).
        dropout: probability of dropping a hidden unit while training.
        kernel: who does the elementwise passes on a CPU, `cpp` or `torch`; `auto` is cpp where it can be built, see
            `neuralfw.nn.kernels.chosen`.
        precision: fp32 or bf16, see `value_and_pullback`.
        generator: source of the initial weights; without one they are always the same.
        linear: makes the affine map of a layer from its channels in and out, and `weight_norm`.

    Parameters are named `layers.<k>.weight`, `.bias` and, with weight norm, `.gain`.
    Raises `UserError` for options that fit no network.
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        width: int,
        layers: int,
        skip: Sequence[int] = (),
        activation: str = "softplus",
        beta: float = 100.0,
        omega: float = 30.0,
        weight_norm: bool = False,
        dropout: float = 0.0,
        kernel: str = "auto",
        precision: str = "fp32",
        generator: torch.Generator | None = None,
        linear: Callable[[int, int, bool], Linear] = Linear,
    ) -> None:
        super().__init__()
        _check_shape(in_dim, out_dim, width, layers, skip, dropout)
        _check_choice("kernel", kernel, CHOICES)
        _check_choice("precision", precision, PRECISIONS)
        self.in_dim, self.out_dim, self.dropout = in_dim, out_dim, dropout
        self.skip = frozenset(skip)
        self.kernel, self.precision = kernel, precision
        self._held: list[Tensor] | None = None
        self.activation = Activation(activation, beta, omega)
        outs = [width - in_dim if k + 1 in self.skip else width for k in range(layers)] + [out_dim]
        ins = [in_dim] + [n + in_dim if k in self.skip else n for k, n in enumerate(outs[:-1], start=1)]
        self.layers = nn.ModuleList(linear(i, o, weight_norm) for i, o in zip(ins, outs, strict=True))

        generator = generator or torch.Generator().manual_seed(0)
        for k, layer in enumerate(self.linears()):
            shape = (outs[k], ins[k])
            if activation == "sine":
                layer.assign(*initialize.sine(shape, k == 0, omega, generator))
            else:
                layer.assign(*initialize.uniform(shape, generator))
        self._sphere_seed = int(torch.randint(2**62, (), generator=generator))

    def forward(self, x: Float[Tensor, "n in"]) -> Float[Tensor, "n out"]:
        """The outputs at x, by fused sweeps; by plain autograd if x requires a gradient or dropout is active.

        Plain autograd serves those who differentiate by x more than once; the gradient of channel 0 is faster by
        `value_and_pullback`.
        """
        if self._drops() or (torch.is_grad_enabled() and x.requires_grad):
            return plain.values(self.activation, self._layers(), x, self._drops())
        x = self._widened(x)
        network = self._network(x)
        with _without_autocast(x.device.type):
            return sweep.values(network, self._effective(), x)

    def value_and_pullback(self, x: Float[Tensor, "n in"]) -> tuple[Float[Tensor, "n out"], Float[Tensor, "n in"]]:
        """The outputs, and the gradient of channel 0 with respect to x.

        Both are differentiable in the parameters and in x, by two hand-derived sweeps instead of a double-backward
        graph (see `neuralfw.nn.sweep`). Derivatives of a still higher order (`create_graph=True`) are taken by plain
        autograd, and so is everything while dropout is active.

        With precision bf16, or under bf16 autocast, a recorded pass of a float32 network keeps hidden arrays in
        bfloat16 and multiplies them so; parameters, their gradients, points and outputs stay in float32. Passes
        without a graph, as for meshing, are always in full precision.
        """
        if self._drops():
            return plain.value_and_pullback(self.activation, self._layers(), x, self._drops())
        x = self._widened(x)
        network = self._network(x)
        with _without_autocast(x.device.type):
            return sweep.value_and_pullback(network, self._effective(), x)

    def swept(self, x: Float[Tensor, "n in"]) -> Float[Tensor, "n out"]:
        """The outputs at x by fused sweeps, also where x requires a gradient; not for `torch.func`."""
        with _without_autocast(x.device.type):
            x = self._widened(x)
            return sweep.values(self._network(x), self._effective(), x)

    def jet(self, u: Jet) -> Jet:
        """The outputs' value, Jacobian and Laplacian in coordinates x on which the inputs u depend, in one pass.

        Differentiable in the parameters and in u; see `neuralfw.nn.jet`.
        """
        return jet.through(self.activation, self._layers(), u)

    @torch.no_grad()
    def geometric_init(
        self,
        radius: float,
        *,
        center: tuple[float, float, float] = (0.0, 0.0, 0.0),
        inside_out: bool = False,
        coordinates: int = 3,
    ) -> None:
        """Make channel 0 about `|x - center| - radius`, its negative with `inside_out`: negative inside the sphere.

        SAL (arXiv 1911.10414), IGR and IDR; the output layer is then fitted so that radius
        and slope are met whatever the width. `coordinates` inputs are the raw x; the others (an encoder's features)
        start without influence. Raises `UserError` unless the activation is softplus or relu.
        """
        if self.activation.name not in ("softplus", "relu"):
            raise UserError(
                f"a network of {self.activation.name} units has no geometric initialisation: "
                "use activation softplus or relu, or the network's own initialisation"
            )
        if radius <= 0 or not 0 < coordinates <= self.in_dim:
            raise UserError(f"geometric initialisation needs radius > 0 and 1 to {self.in_dim} coordinates")
        generator = torch.Generator().manual_seed(self._sphere_seed)
        linears = self.linears()
        shapes = [(linear.weight.shape[0], linear.weight.shape[1]) for linear in linears]
        for k, drawn in enumerate(initialize.sphere(shapes, self.in_dim, self.skip, coordinates, generator)):
            linears[k].assign(*drawn)
        row, offset = initialize.fit_sphere(self.activation, self._layers(), radius, coordinates, generator)
        sign = -1 if inside_out else 1
        last = linears[-1]
        weight, bias = last.effective_weight().clone(), last.bias.clone()
        weight[0], bias[0] = sign * row, sign * offset
        last.assign(weight, bias)
        self._shift(center)

    def _shift(self, by: tuple[float, float, float]) -> None:
        """Let the network at x be what it was at x - by, wherever it reads x."""
        for k, linear in enumerate(self.linears()):
            if k == 0 or k in self.skip:
                raw = linear.effective_weight()[:, -self.in_dim :][:, :3] / (math.sqrt(2) if k else 1.0)
                linear.bias.sub_(raw @ raw.new_tensor(by))

    def linears(self) -> list[Linear]:
        """The affine layers, the output layer last."""
        return [linear for linear in self.layers if isinstance(linear, Linear)]

    def _drops(self) -> float:
        return self.dropout if self.training else 0.0

    def _widened(self, x: Tensor) -> Tensor:
        """Under autocast an encoder may hand over narrow features."""
        return x.to(self.linears()[0].weight.dtype) if _autocasts(x.device.type) else x

    def _network(self, x: Tensor) -> Network:
        device = x.device.type
        autocast = _autocasts(device) and torch.get_autocast_dtype(device) == torch.bfloat16
        narrow = (self.precision == "bf16" or autocast) and x.dtype == torch.float32 and torch.is_grad_enabled()
        kernel = choose(self.kernel if device == "cpu" else "torch")
        return Network(self.activation, kernel, self.skip, torch.bfloat16 if narrow else None)

    def _effective(self) -> list[Tensor]:
        """Weights, then biases, as the sweeps take them: with the 1/√2 of the skip layers, and idle units for speed.

        A layer before a skip layer is `in_dim` units narrower, and matrix products of odd sizes are slow: it is
        filled up to a multiple of 16 units, without weights in or out.
        """
        if self._held is not None and not torch.is_grad_enabled():
            return self._held
        weights, biases = [], []
        for k, linear in enumerate(self.linears()):
            weight, bias = linear.effective_weight(), linear.bias[:]
            if k + 1 in self.skip:
                idle = -len(bias) % 16
                weight, bias = functional.pad(weight, (0, 0, 0, idle)), functional.pad(bias, (0, idle))
            if k in self.skip:
                hidden, raw = (weight / math.sqrt(2)).tensor_split([-self.in_dim], dim=1)
                weight = torch.cat([functional.pad(hidden, (0, -hidden.shape[1] % 16)), raw], dim=1)
            weights.append(weight)
            biases.append(bias)
        return weights + biases

    def _layers(self) -> list[Layer]:
        return plain.split(self._effective(), self.in_dim, self.skip)


@contextmanager
def held(module: nn.Module) -> Iterator[None]:
    """Hold the parameters of a module's networks constant: evaluations without gradients share what is made of them."""
    networks = [m for m in module.modules() if isinstance(m, Mlp)]
    with torch.no_grad():
        for network in networks:
            network._held = network._effective()
    try:
        yield
    finally:
        for network in networks:
            network._held = None


def _check_choice(option: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise UserError(f"{option} {value!r} is unknown: choose one of {', '.join(choices)}")


def _check_shape(in_dim: int, out_dim: int, width: int, layers: int, skip: Sequence[int], dropout: float) -> None:
    if min(in_dim, out_dim, width, layers) < 1:
        raise UserError("a network needs at least one input, one output, one hidden layer and one unit")
    if any(not 1 <= k < layers for k in skip):
        raise UserError(f"skip = {sorted(skip)} must name hidden layers from 1 to {layers - 1}")
    if skip and width <= in_dim:
        raise UserError(f"a skip connection of {in_dim} inputs needs a width above {in_dim}, not {width}")
    if not 0 <= dropout < 1:
        raise UserError(f"dropout must be in [0, 1), not {dropout}")
