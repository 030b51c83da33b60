"""A network laid out for the sweeps: dtypes, padding and chunks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from . import plain
from .activations import Activation
from .kernels import TorchKernel

CHUNK_BYTES = 1 << 20  # of one hidden array: a sweep's working set stays in the cache
BLOCK = 16  # matrix products with fewer columns are slow


class Layer(NamedTuple):
    """One affine map; `hidden` or the input columns are empty where it reads only the other."""

    hidden: Float[Tensor, "out hidden"]
    input: Float[Tensor, "out stored"]  # meets stored inputs
    pull: Float[Tensor, "out padded"]  # the same columns in full precision
    bias: Float[Tensor, " out"]

    @property
    def reads_hidden(self) -> bool:
        return self.hidden.shape[1] > 0

    @property
    def reads_input(self) -> bool:
        return self.input.shape[1] > 0

    def apply(self, h: Float[Tensor, "n hidden"], stored: Float[Tensor, "n stored"]) -> Float[Tensor, "n out"]:
        """W [h, x], without the bias."""
        if not self.reads_hidden:
            return stored @ self.input.t()
        z = h @ self.hidden.t()
        return z.add_(stored @ self.input.t()) if self.reads_input else z

    def pull_back(self, g: Float[Tensor, "n out"]) -> Float[Tensor, "n padded"]:
        """g W_x in full precision; columns beyond the input's are 0."""
        return g.to(self.pull.dtype) @ self.pull


@dataclass(frozen=True)
class Network:
    """What the sweeps need to know beside the weights.

    `storage` is the dtype of hidden arrays and of the matrix products between them, None that of x. With bfloat16 the
    inputs are stored as sums of two columns, so that points do not move, and what leaves the network (outputs, ∇f, x̄)
    is computed in full precision.
    """

    activation: Activation
    kernel: TorchKernel
    skip: frozenset[int]
    storage: torch.dtype | None = None

    def layers(self, parameters: Sequence[Tensor], in_dim: int) -> list[Layer]:
        """The layers, from all weights followed by all biases."""
        *hidden, last = plain.split(parameters, in_dim, self.skip)
        return [self._layer(layer) for layer in hidden] + [Layer(last.hidden, last.input, last.input, last.bias)]

    def stored(self, x: Float[Tensor, "n in"]) -> Float[Tensor, "n stored"]:
        """Inputs, or a direction in them, in the form that meets `Layer.input`."""
        if self.storage is None:
            return _padded(x)
        high = x.to(self.storage)
        return torch.cat([high, (x - high).to(self.storage)], dim=1)

    def chunks(self, x: Float[Tensor, "n in"], layers: Sequence[Layer]) -> tuple[Tensor, ...]:
        row = layers[0].input.shape[0] * layers[0].input.element_size()
        return torch.split(x, max(CHUNK_BYTES // row, 128))

    def _layer(self, layer: plain.Layer) -> Layer:
        pull = _padded(layer.input)
        dtype = self.storage or pull.dtype
        stored = torch.cat([layer.input, layer.input], dim=1) if self.storage else pull
        return Layer(layer.hidden.to(dtype), stored.to(dtype), pull, layer.bias)


def _padded(array: Tensor) -> Tensor:
    return functional.pad(array, (0, -array.shape[1] % BLOCK))
