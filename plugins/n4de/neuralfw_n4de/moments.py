"""What the surface was last asked for at each moment, so that moving it at one does not move it at the others."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Quantities


class Moments:
    """Points with their last targets, for each moment met so far.

    Args:
        count: points of each, drawn from those of its last step; 0 keeps none.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._kept: dict[float, tuple[Quantities, Tensor]] = {}

    def keep(self, inputs: Quantities, targets: Float[Tensor, " n"], generator: torch.Generator) -> None:
        """Take these targets for those of their moment, which all inputs share."""
        if self._count and "time" in inputs:
            self._kept[float(inputs["time"][0])] = drawn(inputs, targets, self._count, generator)

    def others(self, inputs: Quantities) -> list[tuple[Quantities, Tensor]]:
        """Return inputs and targets of all moments but that of the inputs."""
        now = float(inputs["time"][0]) if "time" in inputs else None
        return [kept for time, kept in self._kept.items() if time != now]

    def state(self) -> dict[str, Tensor]:
        """Return all that is kept, as tensors."""
        found: dict[str, Tensor] = {}
        for place, (inputs, targets) in enumerate(self._kept.values()):
            found |= {f"{place}/{name}": value for name, value in ({"target": targets} | inputs).items()}
        return found

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned."""
        self._kept = {}
        for place in sorted({int(name.partition("/")[0]) for name in state}):
            prefix = f"{place}/"
            own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            targets = own.pop("target")
            self._kept[float(own["time"][0])] = own, targets


def drawn(
    inputs: Quantities, targets: Float[Tensor, " n"], count: int, generator: torch.Generator
) -> tuple[Quantities, Float[Tensor, " m"]]:
    """Return so many of the points with their targets, with repetition, or all where there are fewer."""
    if len(targets) <= count:
        return inputs, targets
    chosen = torch.randint(len(targets), (count,), generator=generator).to(targets.device)
    return {q: v[chosen] for q, v in inputs.items()}, targets[chosen]
