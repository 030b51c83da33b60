"""Changes the number of elements of a field while it trains: parameters and running means together."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Int
from torch import Tensor, nn

from ..components import Stateful
from ..scene import Scene
from .optimisers import Optimisers


class Surgery:
    """The one service through which elements are dropped and copied.

    `keepers` gives whoever may keep something per element (snapshots, statistics); each is told the new numbers.

    Attributes:
        edited: the parameters whose number of rows may differ from what the recipe builds.
    """

    def __init__(self, scene: Scene, optimisers: Optimisers, keepers: Callable[[], Iterable[Stateful]]) -> None:
        self._scene, self._optimisers, self._keepers = scene, optimisers, keepers
        self.edited: set[str] = set()

    def edit(self, field: str, keep: Int[Tensor, " kept"], copies: Int[Tensor, " copied"] | None = None) -> None:
        """Reduce a field to its elements `keep`, followed by copies of elements `copies` with fresh running means.

        Args:
            field: a field, or `field.prefix`, all of whose parameters have one row per element.
            keep: indices of the elements that stay, in their new order.
            copies: indices, among the elements before, of those that are copied.

        Raises:
            ValueError: the parameters differ in their number of rows, or an index is out of range.
        """
        parameters = self._scene.parameters_of(field)
        counts = {p.shape[0] if p.dim() else 0 for p in parameters.values()}
        if len(counts) != 1 or 0 in counts:
            raise ValueError(f"surgery on {field!r}: parameters with {sorted(counts)} rows, not one for each element")
        count = counts.pop()
        copies = keep.new_empty(0) if copies is None else copies
        rows = torch.cat([keep, copies])
        if rows.numel() and not 0 <= int(rows.min()) <= int(rows.max()) < count:
            raise ValueError(f"surgery on {field!r}: an index is not among its {count} elements")
        for name, parameter in parameters.items():
            _refill(parameter, parameter.data[rows])
            self._optimisers.edit(name, keep, copies)
        self.edited |= parameters.keys()
        index = torch.full((count,), -1, dtype=torch.long, device=keep.device)
        index[keep] = torch.arange(keep.numel(), device=keep.device)
        for keeper in self._keepers():
            keeper.renumber(field, index, rows.numel())


def _refill(parameter: nn.Parameter, rows: Tensor) -> None:
    """Give a parameter other rows.

    A graph of an earlier step that is still alive keeps a node which expects the gradient in its old shape; torch
    makes a new one only when the type changes.
    """
    other = torch.float64 if rows.dtype != torch.float64 else torch.float32
    parameter.data = rows.new_empty(0, dtype=other)
    parameter.data, parameter.grad = rows, None
