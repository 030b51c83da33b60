"""The elementwise passes of the sweeps."""

from torch import Tensor

from .activations import Activated, Activation


class TorchKernel:
    """The passes over `(n, width)` arrays in torch operations: any device, any floating dtype.

    Arguments may be overwritten where said.
    """

    name = "torch"

    def value(self, activation: Activation, z: Tensor, bias: Tensor) -> Tensor:
        """φ(z + bias); may overwrite z."""
        return activation(z.add_(bias))

    def evaluate(self, activation: Activation, z: Tensor, bias: Tensor) -> Activated:
        """φ(z + bias) with what its derivatives need; may overwrite z."""
        return activation.evaluate(z.add_(bias))

    def scale(self, activation: Activation, at: Activated, a: Tensor) -> Tensor:
        """g = φ' a."""
        return activation.slope(at) * a

    def tangent(self, activation: Activation, at: Activated, z_dot: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """ḣ = φ' ż and c = (φ''/φ') ż g; may overwrite z_dot."""
        c = activation.bend(at).mul_(z_dot).mul_(g)
        return z_dot.mul_(activation.slope(at)), c

    def adjoint(self, activation: Activation, at: Activated, h_bar: Tensor | None, c: Tensor | None) -> Tensor:
        """z̄ = φ' h̄ + c, an absent term being 0; may overwrite both."""
        if h_bar is None:
            return at.value.new_zeros(at.value.shape) if c is None else c
        z_bar = h_bar.mul_(activation.slope(at))
        return z_bar if c is None else z_bar.add_(c)
