"""Changes the number of elements of a field while it trains: parameters and running means together."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Int
from torch import Tensor

from ..scene import Scene
from .optimisers import Optimisers

Listener = Callable[[str, Int[Tensor, " old"]], None]


class Surgery:
    """The one service through which elements are dropped and copied.

    Whoever keeps state per element (snapshots, statistics) listens: `listener(field, new_index)` receives, for each
    old element, its new index, or -1 where it was dropped.
    """

    def __init__(self, scene: Scene, optimisers: Optimisers) -> None:
        self._scene, self._optimisers = scene, optimisers
        self.listeners: list[Listener] = []

    def edit(self, field: str, keep: Int[Tensor, " kept"], copies: Int[Tensor, " copied"] | None = None) -> None:
        """Reduce a field to its elements `keep`, followed by copies of elements `copies` with fresh running means.

        Raises:
            ValueError: an index is out of range, or no parameter has one row per element.
        """
        parameters = self._scene.parameters_of(field)
        count = max((p.shape[0] for p in parameters.values() if p.dim() > 0), default=0)
        copies = keep.new_empty(0) if copies is None else copies
        rows = torch.cat([keep, copies])
        if count == 0 or (rows.numel() and (int(rows.min()) < 0 or int(rows.max()) >= count)):
            raise ValueError(f"field {field!r} has {count} elements; surgery asks for others")
        for name, parameter in parameters.items():
            if parameter.dim() > 0 and parameter.shape[0] == count:
                parameter.data = parameter.data[rows]
                parameter.grad = None
                self._optimisers.edit(name, keep, copies)
        index = torch.full((count,), -1, dtype=torch.long, device=keep.device)
        index[keep] = torch.arange(keep.numel(), device=keep.device)
        for listener in self.listeners:
            listener(field, index)
