"""The loop: stages, steps, events, checkpoints. What a step does is its update's business."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pluggy
import torch
from torch import Tensor

from ..components import Callback, Update
from ..errors import UserError
from ..recipe.model import Event, Recipe, Stage
from ..recipe.wiring import Plan
from ..scene import Scene
from .checkpoint import Checkpoint, Store
from .log import RunLog
from .optimisers import Optimisers
from .signals import Interrupted, Signals
from .step import Diverged, StepContext, activate
from .surgery import Surgery
from .validation import Validation


class Trainer:
    """Trains a scene by the stages of its recipe.

    Attributes:
        scene: what is being learnt; its clock is the run's.
        stage: index of the running stage.
        seconds: training time so far, over all sittings.
    """

    def __init__(
        self, scene: Scene, recipe: Recipe, plan: Plan, store: Store, log: RunLog, hooks: pluggy.PluginManager, fabric: Any
    ) -> None:
        self.scene, self.recipe, self.plan = scene, recipe, plan
        self.store, self.log, self.hooks, self.fabric = store, log, hooks, fabric
        self.clock = scene.clock
        self.optimisers = Optimisers(scene, self.clock)
        self.surgery = Surgery(scene, self.optimisers)
        self.stage = 0
        self.seconds = 0.0
        self.validation = Validation()
        self._callbacks: dict[str, tuple[Event, Callback]] = {}
        self._sitting = time.perf_counter()
        self._saved_at = -1

    # -- the loop ------------------------------------------------------------------------------------------------

    def fit(self) -> None:
        """Train from where the state stands to the end of the last stage.

        Raises:
            Interrupted: Ctrl-C or SIGTERM; the state was saved first.
            Diverged: something is no longer finite; the last good state stays saved.
        """
        self._sitting = time.perf_counter()
        with Signals() as signals:
            self.hooks.hook.neuralfw_run_start(trainer=self)
            try:
                while self.stage < len(self.recipe.stages):
                    self._run_stage(self.recipe.stages[self.stage], signals)
                    self.stage, self.clock.stage, self.clock.draws = self.stage + 1, 0, {}
                    self.validation = Validation()
                    self.save()
            except (torch.OutOfMemoryError, MemoryError) as error:
                raise UserError(f"out of memory at step {self.clock.run}: {error}\n{self._kept()}") from error
            except Diverged as error:
                raise Diverged(f"{error}\n{self._kept()}") from error
            finally:
                self.hooks.hook.neuralfw_run_end(trainer=self)
                self.log.close()

    def _run_stage(self, stage: Stage, signals: Signals) -> None:
        ctx, update = self._start(stage)
        if self.clock.stage_steps == 0:
            return
        if self.clock.stage == 0:
            update.check(ctx)
            self._fire(ctx, at="start")
        self.hooks.hook.neuralfw_stage_start(trainer=self, stage=stage.name, steps=self.clock.stage_steps)
        while self.clock.stage < self.clock.stage_steps:
            self._step(ctx, update)
            if self._validate(ctx):
                break
            every = self.clock.steps(self.recipe.checkpoint.every)
            if signals.received:
                self.save()
                raise Interrupted(signals.received, self.clock.run, self.store.folder.parent)
            if every and self.clock.run % every == 0:
                self.save()
        self._fire(ctx, at="end")
        self.optimisers.keep()

    def _step(self, ctx: StepContext, update: Update) -> None:
        ctx.due = self._due(ctx)
        ctx.results, ctx.logged = {}, {}
        self.scene.shared.clear()
        update.step(ctx)
        self.clock.run += 1
        self.clock.stage += 1
        self._fire(ctx)
        if self.clock.run % self.recipe.log.every == 0 or self.clock.stage == self.clock.stage_steps:
            self._write(ctx)
        self.hooks.hook.neuralfw_step_end(trainer=self, ctx=ctx)

    def _due(self, ctx: StepContext) -> list[str]:
        due: list[str] = []
        for name, active in ctx.passes.items():
            every, offset = self.clock.steps(active.table.every), self.clock.steps(active.table.offset)
            turn = self.clock.stage >= offset and (self.clock.stage - offset) % max(1, every) == 0
            if turn and (active.plan.source is None or active.plan.source in due):
                due.append(name)
        return due

    # -- a stage -------------------------------------------------------------------------------------------------

    def _start(self, stage: Stage) -> tuple[StepContext, Update]:
        passes = activate(self.scene, stage, self.plan.stages[self.stage])
        self.clock.epoch_steps = _epoch_steps(passes)
        self.clock.stage_steps = self.clock.steps(stage.steps)
        self.optimisers.start(stage)
        self._callbacks = {e.name: (e, self.scene.make(e.callback)) for e in stage.callbacks}
        ctx = StepContext(
            scene=self.scene,
            stage=stage,
            clock=self.clock,
            optimisers=self.optimisers,
            surgery=self.surgery,
            fabric=self.fabric,
            passes=passes,
            losses={t.name: (t, self.scene.make(t.loss)) for t in stage.losses},
        )
        self._load_pending()
        self.scene.train()
        return ctx, self.scene.make(stage.update)

    def _fire(self, ctx: StepContext, at: str | None = None) -> None:
        for event, callback in self._callbacks.values():
            if event.at == at and (at is not None or self._turn(event)):
                callback(ctx)

    def _turn(self, event: Event) -> bool:
        since = self.clock.stage - self.clock.steps(event.start)
        until = None if event.until is None else self.clock.steps(event.until)
        every = 1 if event.every is None else max(1, self.clock.steps(event.every))
        return since >= 0 and since % every == 0 and (until is None or self.clock.stage <= until)

    def _write(self, ctx: StepContext) -> None:
        values: dict[str, Any] = {f"loss/{n}": float(v) for n, v in ctx.logged.items()}
        values |= {f"lr/{n}": rate for n, rate in self.optimisers.learning_rates().items()}
        values |= {"stage": ctx.stage.name, "seconds": round(self.elapsed(), 3)}
        self.log.scalars(self.clock.run, values)
        self.hooks.hook.neuralfw_scalars(trainer=self, step=self.clock.run, values=values)

    def _validate(self, ctx: StepContext) -> bool:
        """Judge the held-out set when it is due; says whether the stage should end early."""
        table = self.recipe.validation
        if table is None or self.clock.stage % max(1, self.clock.steps(table.every)) != 0:
            return False
        verdict = self.validation.judge(ctx, table)
        if verdict is None:
            return False
        self.log.scalars(self.clock.run, {"validation": verdict, "stage": ctx.stage.name})
        if self.validation.improved:
            self.save(best=True)
        return table.patience is not None and self.validation.waited >= table.patience

    # -- state ---------------------------------------------------------------------------------------------------

    def elapsed(self) -> float:
        """Return the seconds of training so far, over all sittings."""
        return self.seconds + time.perf_counter() - self._sitting

    def save(self, *, best: bool = False) -> None:
        """Write a checkpoint, unless a parameter is no longer finite.

        Raises:
            Diverged: naming the parameter.
        """
        if self._saved_at == self.clock.run and not best and self.clock.stage:
            return
        for name, parameter in self.scene.named_parameters():
            if not torch.isfinite(parameter).all():
                raise Diverged(f"parameter {name} is no longer finite at step {self.clock.run}")
        self.store.save(self.state(), self.clock.run, self.recipe.checkpoint.keep, best=best)
        self._saved_at = self.clock.run

    def state(self) -> Checkpoint:
        """Return everything needed to go on exactly."""
        self.optimisers.keep()
        running = {f"{n}/{k}": t for n, s in self.optimisers.kept.items() for k, t in s.items()}
        parts: dict[str, Tensor] = {}
        for name, data in self.scene.data.items():
            parts |= {f"data.{name}/{k}": t for k, t in data.state().items()}
        for name, (_, callback) in self._callbacks.items():
            parts |= {f"callbacks.{name}/{k}": t for k, t in callback.state().items()}
        state = {
            "step": self.clock.run,
            "stage": self.stage,
            "stage_step": self.clock.stage,
            "draws": self.clock.draws,
            "seconds": self.elapsed(),
            "validation": self.validation.state(),
        }
        return Checkpoint({"scene": self.scene.state_dict(), "optimisers": running, "parts": parts}, state)

    def load(self, checkpoint: Checkpoint) -> None:
        """Take up a saved state; callbacks take up theirs when their stage starts."""
        tensors, state = checkpoint.tensors, checkpoint.state
        load_weights(self.scene, tensors["scene"])
        self.optimisers.kept = {}
        for full, tensor in tensors["optimisers"].items():
            name, _, key = full.rpartition("/")
            self.optimisers.kept.setdefault(name, {})[key] = tensor if key == "step" else tensor.to(self.scene.device)
        self.clock.run, self.stage, self.clock.stage = state["step"], state["stage"], state["stage_step"]
        self.clock.draws = {str(k): int(v) for k, v in state["draws"].items()}
        self.seconds, self._saved_at = state["seconds"], state["step"]
        self.validation = Validation(**state["validation"])
        self._pending = tensors["parts"]
        for name, data in self.scene.data.items():
            data.load_state(_part(self._pending, f"data.{name}"))

    _pending: Mapping[str, Tensor] | None = None

    def _load_pending(self) -> None:
        for name, (_, callback) in self._callbacks.items():
            callback.load_state(_part(self._pending or {}, f"callbacks.{name}"))
        self._pending = None

    def _kept(self) -> str:
        if not self.store.saved():
            return "no checkpoint had been written yet"
        return f"the last good state is kept: {self.store.path('latest')}"


def load_weights(scene: Scene, weights: Mapping[str, Tensor]) -> None:
    """Load saved weights; a parameter whose number of elements changed while training takes the saved size.

    Raises:
        UserError: a name or shape does not fit the recipe's scene.
    """
    own = scene.state_dict(keep_vars=True)
    if unknown := sorted(own.keys() ^ weights.keys()):
        raise UserError(f"the checkpoint does not fit the recipe: {', '.join(unknown[:5])} on one side only")
    for name, tensor in weights.items():
        if own[name].shape[1:] != tensor.shape[1:] or own[name].dim() != tensor.dim():
            raise UserError(f"the checkpoint does not fit the recipe: {name} is {tuple(tensor.shape)}")
        own[name].data = tensor.to(own[name].device, own[name].dtype)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix + "/"): t for k, t in tensors.items() if k.startswith(prefix + "/")}


def _epoch_steps(passes: Mapping[str, Any]) -> int:
    first = next((p for p in passes.values() if p.data is not None), None)
    return 1 if first is None else max(1, first.data.batches(first.set, first.table.draw))
