"""Optimisers of a stage, addressed by parameter name; their state belongs to the parameter and outlives the stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from ..config import Adam, FieldConfig, SparseAdam
from ..errors import UserError
from ..recipe.model import Stage
from ..scene import Scene
from ..schedules import Clock


class Diverged(UserError):
    """A loss, a gradient or a parameter is no longer finite."""


@dataclass(frozen=True)
class Group:
    """Parameters that move together: one optimiser, for one entry of `train`."""

    entry: str
    config: Adam | SparseAdam
    parameters: Mapping[str, nn.Parameter]
    optimiser: torch.optim.Optimizer

    @property
    def sparse(self) -> bool:
        """Whether only rows that received a gradient move."""
        return isinstance(self.config, SparseAdam)

    def gradients(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the gradients that were received, by the parameter's name."""
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                yield name, parameter.grad

    def make_sparse(self) -> None:
        """Keep only those rows of the gradients that are not zero."""
        for parameter in self.parameters.values():
            if parameter.grad is not None and not parameter.grad.is_sparse:
                parameter.grad = parameter.grad.to_sparse(1)

    def updates(self) -> int:
        """Return how many updates its first moving parameter has had."""
        moving = next((p for p in self.parameters.values() if p.grad is not None), None)
        return 0 if moving is None else int(self.optimiser.state.get(moving, {}).get("step", 0))


class Optimisers:
    """What moves in a stage, and how. Between stages it keeps each parameter's running means.

    Attributes:
        names: the parameters that move in this stage, by full name.
        entries: for each entry of the stage's `train`, the names it stands for.
    """

    def __init__(self, scene: Scene, clock: Clock) -> None:
        self._scene, self._clock = scene, clock
        self._groups: list[Group] = []
        self._kept: dict[str, dict[str, Tensor]] = {}
        self.names: dict[str, nn.Parameter] = {}
        self.entries: dict[str, list[str]] = {}

    def start(self, stage: Stage) -> None:
        """Take up a stage: what it trains requires gradients, nothing else does.

        A renderer may be named whether or not it has parameters, so that one with takes the place of one without.

        Raises:
            UserError: a field of `train` has no parameter, or none that a longer entry has not claimed.
        """
        self._keep()
        self._scene.requires_grad_(False)
        self._groups, self.names, self.entries = [], {}, {}
        for target, chosen in sorted(stage.train.items(), key=lambda entry: -len(entry[0])):
            own = {n: p for n, p in self._scene.parameters_of(target).items() if n not in self.names}
            if not own and target.startswith("renderers."):
                continue
            if not own:
                raise UserError(f"stage {stage.name!r}: {target} of train has no parameter of its own")
            self.names |= own
            self.entries[target] = [*own]
            for config, parameters in self._split(target, chosen, own):
                self._groups.append(Group(target, config, parameters, _make(config, parameters)))
        for parameter in self.names.values():
            parameter.requires_grad_(True)
        for group in self._groups:
            for name, parameter in group.parameters.items():
                if name in self._kept:
                    group.optimiser.state[parameter] = _taken_up(self._kept[name], group, parameter)

    def _split(
        self, target: str, chosen: Adam | SparseAdam | None, parameters: Mapping[str, nn.Parameter]
    ) -> Iterator[tuple[Adam | SparseAdam, dict[str, nn.Parameter]]]:
        """Yield each optimiser of an entry with what it moves: the chosen one, or the field's own by longest prefix."""
        if chosen is not None:
            yield chosen, dict(parameters)
            return
        head = target.partition(".")[0]
        config = None if head == "renderers" else self._scene.recipe.fields[head].config
        own = {"": Adam(), **(config.optimisers() if isinstance(config, FieldConfig) else {})}
        left = dict(parameters)
        for prefix in sorted(own, key=len, reverse=True):
            full = f"fields.{head}.{prefix}"
            group = {n: p for n, p in left.items() if not prefix or n == full or n.startswith(f"{full}.")}
            left = {n: p for n, p in left.items() if n not in group}
            if group:
                yield own[prefix], group

    # -- a step --------------------------------------------------------------------------------------------------

    def average(self, fabric: Any, only: str | None = None) -> None:
        """Replace each gradient by its mean over all processes, which must all have received one."""
        for group in self._chosen(only):
            for parameter in group.parameters.values():
                if parameter.grad is not None:
                    parameter.grad = fabric.all_reduce(parameter.grad.to_dense(), reduce_op="mean")

    def gradient_norm(self, only: str | None = None) -> float:
        """Return the joint norm of the gradients, those of sparse optimisers left out.

        Raises:
            Diverged: a gradient is not finite, or so large that its norm is not.
        """
        names, gradients, dense = [], [], []
        for group in self._chosen(only):
            for name, gradient in group.gradients():
                names.append(name)
                gradients.append(gradient.coalesce().values() if gradient.is_sparse else gradient)
                dense.append(not group.sparse)
        if not names:
            return 0.0
        norms = torch.stack(torch._foreach_norm(gradients))
        if not bool(norms.isfinite().all()):
            worst = int(norms.isfinite().int().argmin())
            text = f"the norm of the gradient of {names[worst]} became {float(norms[worst])}"
            raise Diverged(f"{text} at step {self._clock.run}")
        return float(norms[dense].norm())

    def step(self, only: str | None = None, *, scale: float = 1.0) -> None:
        """Move what received a gradient, of all or of one field, and forget those gradients.

        The gradients are multiplied by `scale` first, except those of sparse optimisers.
        """
        for group in self._chosen(only):
            gradients = [gradient for _, gradient in group.gradients()]
            if not gradients:
                continue
            if group.sparse:
                group.make_sparse()
            elif scale != 1.0:
                torch._foreach_mul_(gradients, scale)
            group.optimiser.param_groups[0]["lr"] = self._clock.now(group.config.lr, own=group.updates())
            group.optimiser.step()
            group.optimiser.zero_grad()

    def _chosen(self, only: str | None) -> list[Group]:
        return [g for g in self._groups if only is None or g.entry == only or g.entry.startswith(f"{only}.")]

    def learning_rates(self) -> dict[str, float]:
        """Return the last learning rate of each entry of `train`, of its first group where it has several."""
        rates: dict[str, float] = {}
        for group in self._groups:
            rates.setdefault(group.entry, float(group.optimiser.param_groups[0]["lr"]))
        return rates

    def learning_rate(self, name: str) -> float:
        """Return the last learning rate of a parameter, by its full name; 0 where it does not move."""
        return next((float(g.optimiser.param_groups[0]["lr"]) for g in self._groups if name in g.parameters), 0.0)

    # -- state ---------------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        """Put the running means of the present optimisers where surgery, checkpoints and the next stage find them."""
        for group in self._groups:
            for name, parameter in group.parameters.items():
                if parameter in group.optimiser.state:
                    self._kept[name] = group.optimiser.state[parameter]

    def state(self) -> dict[str, Tensor]:
        """Return the running means and counts of all parameters that ever moved, as "parameter/key"."""
        self._keep()
        return {f"{n}/{k}": torch.as_tensor(v) for n, state in self._kept.items() for k, v in state.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up what was kept; the next `start` hands it to the optimisers."""
        self._groups, self._kept = [], {}
        for full, tensor in state.items():
            name, _, key = full.rpartition("/")
            self._kept.setdefault(name, {})[key] = tensor

    def forget(self) -> None:
        """Drop the running means of all parameters."""
        self._groups, self._kept = [], {}

    def edit(self, name: str, keep: Int[Tensor, " kept"], copies: Int[Tensor, " copied"]) -> None:
        """Renumber the rows of a parameter's running means: kept rows, then zeros for each copy."""
        self._keep()
        state = self._kept.get(name, {})
        for key, value in state.items():
            if key != "step":
                state[key] = torch.cat([value[keep], torch.zeros_like(value[copies])])


def _make(config: Adam | SparseAdam, parameters: Mapping[str, nn.Parameter]) -> torch.optim.Optimizer:
    moving = [*parameters.values()]
    if isinstance(config, SparseAdam):
        return torch.optim.SparseAdam(moving, lr=1.0, betas=config.betas, eps=config.eps)
    kind = torch.optim.AdamW if config.decoupled else torch.optim.Adam
    return kind(
        moving, lr=1.0, betas=config.betas, eps=config.eps, weight_decay=config.weight_decay,
        fused=all(p.device.type in ("cpu", "cuda") for p in moving),
    )  # fmt: skip


def _taken_up(state: Mapping[str, Tensor], group: Group, parameter: nn.Parameter) -> dict[str, Tensor]:
    """Return kept running means as an optimiser of the group wants them: SparseAdam counts in an int."""
    taken: dict[str, Tensor] = {k: v.to(parameter.device) for k, v in state.items() if k != "step"}
    step = float(state["step"])
    taken["step"] = int(step) if group.sparse else torch.tensor(step, device=parameter.device)  # type: ignore[assignment]
    return taken
