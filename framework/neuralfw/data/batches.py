"""Draws batches so that an epoch visits every item once, as a pure function of the draw's index."""

from __future__ import annotations

import math

import torch
from jaxtyping import Int
from torch import Tensor

from ..components import Draw


class Epochs:
    """Shuffles `count` items anew each epoch and deals them out in batches; keeps only the last shuffle."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._epoch: tuple[int, int] | None = None
        self._order: Int[Tensor, " count"] | None = None

    def batches(self, size: int) -> int:
        """Return how many batches make an epoch."""
        return max(1, math.ceil(self.count / size))

    def draw(self, request: Draw, size: int) -> Int[Tensor, " batch"]:
        """Return the items of a request's batch; all of them, in order, where they fit into one."""
        if size >= self.count:
            return torch.arange(self.count)
        epoch, place = divmod(request.index, self.batches(size))
        generator = request.stream(-1 - epoch)
        key = (epoch, generator.initial_seed())
        if self._epoch != key or self._order is None:
            self._epoch, self._order = key, torch.randperm(self.count, generator=generator)
        return self._order[place * size : (place + 1) * size]
