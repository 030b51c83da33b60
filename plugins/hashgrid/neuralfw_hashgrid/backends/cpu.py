"""The hash grid on a CPU, by the loops of `kernels`; derivatives beyond the second are left to `plain`.

With F the features, J their Jacobian, S(u, g) the gradient of ⟨g, F⟩ in the table and P(u, table, g) = Jᵀg that in u:

    encode     F(u, table)       backward of c:  P(u, table, c),  S(u, c)
    scatter    S(u, g)           backward of c:  P(u, c, g),      F(u, c)
    pullback   P(u, table, g)    backward of v:  the gradients of ⟨v, P⟩: bend in u, tangent in the table and g
"""

from __future__ import annotations

import functools
import weakref
from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from neuralfw.threads import numba_threads

from ..grid import Grid
from . import plain
from .kernels import kernels


def encode(grid: Grid, u: Float[Tensor, "n 3"], table: Float[Tensor, "entries f"]) -> Float[Tensor, "n features"]:
    """Return the features of points of the unit cube, level by level; see `plain.encode`."""
    return _Encode.apply(u, table, grid)  # type: ignore[no-any-return, no-untyped-call]


def pullback(
    grid: Grid, u: Float[Tensor, "n 3"], table: Float[Tensor, "entries f"], g: Float[Tensor, "n features"]
) -> Float[Tensor, "n 3"]:
    """Return Jᵀg for the Jacobian J of the features at u, differentiable in u, the table and g."""
    return _Pullback.apply(u, table, g, grid)  # type: ignore[no-any-return, no-untyped-call]


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, table: Tensor, grid: Grid) -> Tensor:
        ctx.grid = grid
        ctx.save_for_backward(u, table)
        out = u.new_empty(len(u), len(grid.levels) * grid.features)
        _run("encode", grid, u, table, out)
        return out

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> Any:
        u, table = ctx.saved_tensors
        in_u, in_table, _ = ctx.needs_input_grad
        u_bar = _Pullback.apply(u, table, c, ctx.grid) if in_u else None  # type: ignore[no-untyped-call]
        table_bar = _Scatter.apply(u, c, len(table), ctx.grid) if in_table else None  # type: ignore[no-untyped-call]
        return u_bar, table_bar, None


class _Scatter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, g: Tensor, entries: int, grid: Grid) -> Tensor:
        ctx.grid = grid
        ctx.save_for_backward(u, g)
        out = _touched.lend(u, entries, grid)
        _run("scatter", grid, u, g, out)
        return out

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> Any:
        u, g = ctx.saved_tensors
        in_u, in_g = ctx.needs_input_grad[:2]
        u_bar = _Pullback.apply(u, c, g, ctx.grid) if in_u else None  # type: ignore[no-untyped-call]
        g_bar = _Encode.apply(u, c, ctx.grid) if in_g else None  # type: ignore[no-untyped-call]
        return u_bar, g_bar, None, None


class _Pullback(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, table: Tensor, g: Tensor, grid: Grid) -> Tensor:
        ctx.grid = grid
        ctx.save_for_backward(u, table, g)
        out = torch.empty_like(u, memory_format=torch.contiguous_format)
        _run("pullback", grid, u, table, g, out)
        return out

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> Any:
        u, table, g = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph=True: a third derivative is to follow
            return *_plain_backward(ctx.grid, u, table, g, v), None
        u_bar = table_bar = g_bar = None
        if ctx.needs_input_grad[0]:
            u_bar = torch.empty_like(u, memory_format=torch.contiguous_format)
            _run("bend", ctx.grid, u, table, g, v, u_bar)
        if any(ctx.needs_input_grad[1:]):
            g_bar, table_bar = torch.empty_like(g), _touched.lend(u, len(table), ctx.grid)
            _run("tangent", ctx.grid, u, table, g, v, g_bar, table_bar)
        return u_bar, table_bar, g_bar, None


def _plain_backward(grid: Grid, *inputs: Tensor) -> tuple[Tensor, ...]:
    """The gradients of ⟨v, P⟩ by autograd, themselves differentiable."""
    *inputs_, v = (p if p.requires_grad else p.detach().requires_grad_() for p in inputs)
    return torch.autograd.grad(plain.pullback(grid, *inputs_), inputs_, v, create_graph=True)


def _run(name: str, grid: Grid, u: Tensor, *arrays: Tensor) -> None:
    """Run a loop of `kernels`; the last arrays receive its results."""
    if u.is_meta:
        return
    scales, layout = _described(grid, u.dtype)
    loop = getattr(kernels(grid.features), name)
    with numba_threads() as threads, numba.parallel_chunksize(1):
        shares = () if name in ("scatter", "tangent") else (threads,)
        loop(_array(u), scales, layout, *shares, *(_array(a) for a in arrays))


def _array(tensor: Tensor) -> Shaped[np.ndarray, "..."]:
    return tensor.detach().contiguous().numpy()


@functools.cache
def _described(grid: Grid, dtype: torch.dtype) -> tuple[Shaped[np.ndarray, " levels"], Shaped[np.ndarray, "levels 5"]]:
    """The scales and the layout that the loops take."""
    rows = [(at.resolution, at.entries, at.offset, at.hashed, grid.smooth) for at in grid.levels]
    scales = torch.tensor([at.scale for at in grid.levels], dtype=dtype)
    return scales.numpy(), np.array(rows, dtype=np.uint64)


class _Touched:
    """Memory for the gradient of a table, kept from step to step.

    A page of memory is mapped when it is first written, and a scatter into fresh pages takes longer than all the rest.
    A tensor lent here is free again when nothing refers to it any more, as after `zero_grad`.
    """

    def __init__(self) -> None:
        self._held: list[tuple[Shaped[np.ndarray, "..."], weakref.ref[Any]]] = []

    def lend(self, like: Tensor, entries: int, grid: Grid) -> Tensor:
        """Return a gradient of so many rows, whose values are arbitrary in the rows of the grid and 0 beyond."""
        if like.is_meta:
            return like.new_empty(entries, grid.features)
        dtype = np.dtype(str(like.dtype).removeprefix("torch."))
        out = torch.from_numpy(self._free((entries, grid.features), dtype))
        out[grid.entries :] = 0
        return out

    def _free(self, shape: tuple[int, int], dtype: np.dtype[Any]) -> Shaped[np.ndarray, "entries f"]:
        def fits(array: Shaped[np.ndarray, "..."], user: Any) -> bool:
            return user() is None and array.shape == shape and array.dtype == dtype

        k = next((k for k, held in enumerate(self._held) if fits(*held)), len(self._held))
        if k == len(self._held):
            self._held = [(array, user) for array, user in self._held if user() is not None]
            k, array = len(self._held), np.empty(shape, dtype)
            array.fill(0)
        else:
            array = self._held[k][0]
        view = array.view()
        self._held[k : k + 1] = [(array, weakref.ref(view))]
        return view


_touched = _Touched()
