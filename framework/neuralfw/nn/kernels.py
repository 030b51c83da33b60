"""The elementwise passes of the sweeps: in torch operations, and fused in C++ where a compiler is found.

`kernels.cpp` has no dependency and compiles in seconds, on first use, into the user's cache folder.
"""

import ctypes
import functools
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.errors import UserError

from .activations import NAMES, Activated, Activation
from .build import BuildError, build_library

CHOICES = ("auto", "cpp", "torch")


class TorchKernel:
    """The passes over `(n, width)` arrays in torch operations: any device, any floating dtype.

    Arguments may be overwritten where said.
    """

    def value(
        self, activation: Activation, z: Float[Tensor, "n width"], bias: Float[Tensor, " width"]
    ) -> Float[Tensor, "n width"]:
        """φ(z + bias); may overwrite z."""
        return activation(z.add_(bias))

    def evaluate(self, activation: Activation, z: Float[Tensor, "n width"], bias: Float[Tensor, " width"]) -> Activated:
        """φ(z + bias) with what its derivatives need; may overwrite z."""
        return activation.evaluate(z.add_(bias))

    def scale(self, activation: Activation, at: Activated, a: Float[Tensor, "n width"]) -> Float[Tensor, "n width"]:
        """g = φ' a."""
        return activation.slope(at) * a

    def tangent(
        self, activation: Activation, at: Activated, z_dot: Float[Tensor, "n width"], g: Float[Tensor, "n width"]
    ) -> tuple[Float[Tensor, "n width"], Float[Tensor, "n width"]]:
        """ḣ = φ' ż and c = (φ''/φ') ż g; may overwrite z_dot."""
        c = activation.bend(at).mul_(z_dot).mul_(g)
        return z_dot.mul_(activation.slope(at)), c

    def adjoint(
        self, activation: Activation, at: Activated, h_bar: Float[Tensor, "n width"], c: Float[Tensor, "n width"] | None
    ) -> tuple[Float[Tensor, "n width"], Float[Tensor, " width"]]:
        """z̄ = φ' h̄ + c (no c counts as 0) and its sum over the points; may overwrite h_bar."""
        z_bar = h_bar.mul_(activation.slope(at))
        if c is not None:
            z_bar.add_(c)
        return z_bar, z_bar.sum(dim=0)


class CppKernel(TorchKernel):
    """The passes as fused loops over float32 or bfloat16 arrays on a CPU; anything else is left to torch."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def value(self, activation: Activation, z: Tensor, bias: Tensor) -> Tensor:
        if not _supports(z):
            return super().value(activation, z, bias)
        self._call("evaluate", activation, z, bias, z, None)
        return z

    def evaluate(self, activation: Activation, z: Tensor, bias: Tensor) -> Activated:
        if not _supports(z):
            return super().evaluate(activation, z, bias)
        if activation.name in ("relu", "tanh"):
            return Activated(self.value(activation, z, bias), z)
        auxiliary = torch.empty_like(z)
        self._call("evaluate", activation, z, bias, z, auxiliary)
        return Activated(z, auxiliary)

    def scale(self, activation: Activation, at: Activated, a: Tensor) -> Tensor:
        if not _supports(at.value):
            return super().scale(activation, at, a)
        g = torch.empty_like(at.value)
        self._call("scale", activation, at.value, *at, a, ctypes.c_int64(a.stride(0)), g)
        return g

    def tangent(self, activation: Activation, at: Activated, z_dot: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        if not _supports(at.value):
            return super().tangent(activation, at, z_dot, g)
        c = torch.empty_like(g)
        self._call("tangent", activation, at.value, *at, z_dot, g, c)
        return z_dot, c

    def adjoint(self, activation: Activation, at: Activated, h_bar: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        if not _supports(at.value):
            return super().adjoint(activation, at, h_bar, c)
        sums = torch.empty(h_bar.shape[1])
        self._call("adjoint", activation, at.value, *at, h_bar, c, sums)
        return h_bar, sums

    def _call(
        self, name: str, activation: Activation, like: Tensor, *arguments: Tensor | ctypes.c_int64 | None
    ) -> None:
        """Run a pass over arrays of the shape and dtype of `like`."""
        run = getattr(self._library, f"{name}_{'f32' if like.dtype == torch.float32 else 'bf16'}")
        parameter = {"softplus": activation.beta, "sine": activation.omega}.get(activation.name, 0.0)
        run(
            ctypes.c_int(NAMES.index(activation.name)),
            ctypes.c_float(parameter),
            ctypes.c_int64(like.shape[0]),
            ctypes.c_int64(like.shape[1]),
            ctypes.c_int(torch.get_num_threads()),
            *(ctypes.c_void_p(a.data_ptr()) if isinstance(a, Tensor) else a for a in arguments),
        )


def choose(kernel: str) -> TorchKernel:
    """The kernel that `auto`, `cpp` or `torch` means on this machine; builds the C++ passes on first use.

    Raises `UserError` for another name, or for `cpp` where it cannot be built.
    """
    if kernel not in CHOICES:
        raise UserError(f"kernel {kernel!r} is unknown: choose one of {', '.join(CHOICES)}")
    if kernel == "torch":
        return TorchKernel()
    built, reason = _built()
    if built is None and kernel == "cpp":
        raise UserError(f"kernel 'cpp' is not available: {reason}. Install g++ or use kernel = 'auto'")
    return built or TorchKernel()


def chosen() -> str:
    """What `auto` means on this machine and why, in one line: `cpp (…)` or `torch (…)`."""
    built, reason = _built()
    return f"{'torch' if built is None else 'cpp'} ({reason})"


@functools.cache
def _built() -> tuple[CppKernel | None, str]:
    try:
        library, how = build_library(Path(__file__).with_name("kernels.cpp"))
    except BuildError as error:
        return None, str(error)
    return CppKernel(library), how


def _supports(array: Tensor) -> bool:
    return array.device.type == "cpu" and array.dtype in (torch.float32, torch.bfloat16)
