"""Optimisers of a stage, addressed by parameter name; their state belongs to the parameter and outlives the stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from ..config import Adam, FieldConfig, SparseAdam
from ..errors import UserError
from ..recipe.model import Stage
from ..scene import Scene
from ..schedules import Clock

State = dict[str, Tensor]


class Optimisers:
    """What moves in a stage, and how. Between stages it keeps each parameter's running means."""

    def __init__(self, scene: Scene, clock: Clock) -> None:
        self._scene, self._clock = scene, clock
        self.kept: dict[str, State] = {}
        self.names: dict[str, nn.Parameter] = {}
        self.entries: dict[str, list[str]] = {}
        self._optimisers: list[tuple[torch.optim.Optimizer, Adam | SparseAdam, dict[str, nn.Parameter]]] = []

    def start(self, stage: Stage) -> None:
        """Take up a stage: what it trains requires gradients, nothing else does.

        Raises:
            UserError: two entries of `train` name the same parameter.
        """
        self.keep()
        self._scene.requires_grad_(False)
        self._optimisers, self.names, self.entries = [], {}, {}
        if stage.fresh:
            self.kept = {}
        for target, chosen in sorted(stage.train.items(), key=lambda entry: -len(entry[0])):
            parameters = self._scene.parameters_of(target)
            own = {n: p for n, p in parameters.items() if n not in self.names}
            if not own:
                raise UserError(f"stage {stage.name!r}: {target} of train has no parameter of its own")
            self.names.update(own)
            self.entries[target] = list(own)
            for config, group in self._groups(target, chosen, own):
                self._optimisers.append((_make(config, group), config, group))
        for parameter in self.names.values():
            parameter.requires_grad_(True)
        self._restore()

    def _groups(
        self, target: str, chosen: Adam | SparseAdam | None, parameters: Mapping[str, nn.Parameter]
    ) -> Iterator[tuple[Adam | SparseAdam, dict[str, nn.Parameter]]]:
        if chosen is not None:
            yield chosen, dict(parameters)
            return
        head = target.partition(".")[0]
        config = self._scene.recipe.fields[head].config if head != "renderers" else None
        own = config.optimisers() if isinstance(config, FieldConfig) else {"": Adam()}
        left = dict(parameters)
        for prefix in sorted(own, key=len, reverse=True):
            full = f"fields.{head}.{prefix}" if prefix else ""
            group = {n: p for n, p in left.items() if n == full or n.startswith(f"{full}." if full else "")}
            left = {n: p for n, p in left.items() if n not in group}
            if group:
                yield own[prefix], group

    def _restore(self) -> None:
        for optimiser, _, group in self._optimisers:
            for name, parameter in group.items():
                if name in self.kept:
                    optimiser.state[parameter] = self.kept[name]

    def keep(self) -> None:
        """Put the running means of the present optimisers where the next stage and the checkpoint find them."""
        for optimiser, _, group in self._optimisers:
            for name, parameter in group.items():
                if parameter in optimiser.state:
                    self.kept[name] = optimiser.state[parameter]

    def zero(self) -> None:
        """Forget the gradients."""
        for parameter in self.names.values():
            parameter.grad = None

    def clip(self, norm: float) -> float:
        """Scale the dense gradients so that their joint norm is at most `norm`; returns the norm before."""
        dense = [p for p in self.names.values() if p.grad is not None and not p.grad.is_sparse]
        return float(torch.nn.utils.clip_grad_norm_(dense, norm))

    def step(self, only: str | None = None) -> None:
        """Move every parameter that received a gradient, or those of one entry of `train`."""
        allowed = None if only is None else {*self.entries[only]}
        for optimiser, config, group in self._optimisers:
            if allowed is not None and not allowed & group.keys():
                continue
            moving = next((p for p in group.values() if p.grad is not None), None)
            if moving is None:
                continue
            count = int(optimiser.state[moving]["step"]) if moving in optimiser.state else 0
            optimiser.param_groups[0]["lr"] = self._clock.now(config.lr, own=count)
            optimiser.step()

    def learning_rates(self) -> dict[str, float]:
        """Return the present learning rate of each entry of `train`."""
        rates = {}
        for optimiser, _, group in self._optimisers:
            first = next(iter(group))
            entry = next(t for t, names in self.entries.items() if first in names)
            rates[entry] = float(optimiser.param_groups[0]["lr"])
        return rates

    def edit(self, name: str, keep: Tensor, copies: Tensor) -> None:
        """Renumber the rows of a parameter's running means: kept rows, then zeros for each copy."""
        self.keep()
        state = self.kept.get(name)
        for key, value in (state or {}).items():
            if state is not None and value.dim() > 0:
                state[key] = torch.cat([value[keep], torch.zeros_like(value[copies])])


def _make(config: Adam | SparseAdam, group: Mapping[str, nn.Parameter]) -> torch.optim.Optimizer:
    parameters = [*group.values()]
    if isinstance(config, SparseAdam):
        return torch.optim.SparseAdam(parameters, lr=1.0, betas=config.betas, eps=config.eps)
    kind = torch.optim.AdamW if config.decoupled else torch.optim.Adam
    return kind(
        parameters, lr=1.0, betas=config.betas, eps=config.eps, weight_decay=config.weight_decay,
        fused=all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters),
    )  # fmt: skip
