"""The loop: stages, steps, events, checkpoints. What a step does is its update's business."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pluggy
import torch

from ..components import Callback, Stateful, Update
from ..errors import UserError
from ..recipe.model import Event, Recipe, Stage
from ..recipe.wiring import Plan
from ..scene import Scene
from ..schedules import in_steps
from .active import active_passes, active_terms, epoch_steps
from .cache import StageCache
from .checkpoint import Checkpoint, Store
from .log import RunLog
from .optimisers import Diverged, Optimisers
from .signals import Interrupted, Signals
from .state import capture, hand_over, not_finite, restore
from .step import StepContext
from .surgery import Surgery
from .validation import Validation, held_out_passes


class Trainer:
    """Trains a scene by the stages of its recipe.

    Attributes:
        scene: what is being learnt; its clock is the run's.
        stage: index of the running stage.
        seconds: training time of earlier sittings.
        parts: states of components as a checkpoint held them, until their stage starts.
    """

    def __init__(
        self, scene: Scene, recipe: Recipe, plan: Plan, store: Store, log: RunLog, hooks: pluggy.PluginManager,
        fabric: Any, say: Callable[[str], None] = lambda text: None,
    ) -> None:  # fmt: skip
        self.scene, self.recipe, self.plan = scene, recipe, plan
        self.store, self.log, self.hooks, self.fabric, self.say = store, log, hooks, fabric, say
        self.clock = scene.clock
        self.optimisers = Optimisers(scene, self.clock)
        self.surgery = Surgery(scene, self.optimisers, lambda: self.keepers().values())
        self.validation = Validation()
        self.stage = 0
        self.seconds = 0.0
        self.parts: dict[str, torch.Tensor] = {}
        self._callbacks: dict[str, tuple[Event, Callback]] = {}
        self._update: Update | None = None
        self._cache = StageCache()
        self._sitting = time.perf_counter()
        self._saved: tuple[int, int] | None = None

    # -- the loop ------------------------------------------------------------------------------------------------

    def fit(self) -> None:
        """Train from where the state stands to the end of the last stage.

        Raises:
            Interrupted: Ctrl-C or SIGTERM; the state was saved first.
            Diverged: something is no longer finite; the last good state stays saved.
            UserError: out of memory, full disk.
        """
        self._sitting = time.perf_counter()
        with self._explaining(), Signals(self.say) as signals:
            if self.fabric.is_global_zero:
                self.log.open(after=self.clock.run)
            self._tell("neuralfw_run_start")
            while not self.finished:
                stage = self.recipe.stages[self.stage]
                if in_steps(stage.steps, 1):
                    self._run_stage(stage, signals)
                self._leave()
                self._pause(signals)
            self.save()

    @property
    def finished(self) -> bool:
        """Whether every stage is done."""
        return self.stage == len(self.recipe.stages)

    def _run_stage(self, stage: Stage, signals: Signals) -> None:
        ctx, update = self._enter(stage)
        self._tell("neuralfw_stage_start", stage=stage.name, steps=self.clock.stage_steps)
        if self.clock.stage == 0:
            if stage.cache and self._cache.load(self):
                return
            self._fire(ctx, at="start")
            update.check(ctx)
        every = self.clock.steps(self.recipe.checkpoint.every)
        while self.clock.stage < self.clock.stage_steps and not self.validation.exhausted(self.recipe.validation):
            ctx.begin()
            update.step(ctx)
            self.clock.tick()
            self._fire(ctx)
            self._write(ctx, self.validation.judge(ctx, self.recipe.validation))
            if self.validation.best_step == self.clock.run or (every and self.clock.run % every == 0):
                self.save()
            self._tell("neuralfw_step_end", ctx=ctx)
            self._pause(signals)
        self._fire(ctx, at="end")
        if stage.cache:
            self._cache.save(self)

    def _leave(self) -> None:
        """Go on to the next stage; at the end of the last the clock stays where it is, for the schedules."""
        stage = self.recipe.stages[self.stage]
        self.stage += 1
        self.validation, self._callbacks, self._update = Validation(), {}, None
        if not self.finished:
            self.clock.next_stage()
        if in_steps(stage.steps, 1):
            self.save()

    def _pause(self, signals: Signals) -> None:
        if signals.received:
            self.save()
            raise Interrupted(signals.received, self.clock.run, self.store.folder.parent)

    # -- a stage -------------------------------------------------------------------------------------------------

    def _enter(self, stage: Stage) -> tuple[StepContext, Update]:
        passes = active_passes(self.scene, stage, self.plan.stages[self.stage])
        self.clock.epoch_steps = epoch_steps(stage, passes)
        self.clock.stage_steps = self.clock.steps(stage.steps)
        if stage.fresh and self.clock.stage == 0:
            self.optimisers.forget()
        self.optimisers.start(stage)
        update: Update = self.scene.make(stage.update)
        self._update = update
        self._callbacks = {e.name: (e, self.scene.make(e.callback)) for e in stage.callbacks}
        ctx = StepContext(
            scene=self.scene,
            stage=stage,
            clock=self.clock,
            optimisers=self.optimisers,
            surgery=self.surgery,
            fabric=self.fabric,
            passes=passes,
            losses=active_terms(self.scene, stage, passes),
        )
        self._check(ctx)
        for name, keeper in self.keepers().items():
            if not name.startswith("data."):
                hand_over(keeper, name, self.parts)
        self.parts = {}
        self.scene.train()
        return ctx, update

    def _check(self, ctx: StepContext) -> None:
        stage, validation = ctx.stage, self.recipe.validation
        if stage.time == "cycle" and not any(p.data is not None and p.data.times for p in ctx.passes.values()):
            raise UserError(f'stage {stage.name!r}: time = "cycle" needs time stamps, which none of its data has')
        if validation is not None and not held_out_passes(ctx, validation.set):
            self.say(f"stage {stage.name!r} is not validated: none of its data holds a set {validation.set!r}")

    def keepers(self) -> dict[str, Stateful]:
        """Return the components that may keep a state, each by its place."""
        keepers: dict[str, Stateful] = {f"data.{name}": data for name, data in self.scene.data.items()}
        keepers |= {f"callbacks.{name}": callback for name, (_, callback) in self._callbacks.items()}
        return keepers if self._update is None else {**keepers, "update": self._update}

    # -- events --------------------------------------------------------------------------------------------------

    def _fire(self, ctx: StepContext, at: str | None = None) -> None:
        for event, callback in self._callbacks.values():
            if event.at == at and (at is not None or self._turn(event)):
                callback(ctx)

    def _turn(self, event: Event) -> bool:
        since = self.clock.stage - self.clock.steps(event.start)
        every = 1 if event.every is None else max(1, self.clock.steps(event.every))
        ended = event.until is not None and self.clock.stage >= self.clock.steps(event.until)
        return since >= 0 and since % every == 0 and not ended

    def _write(self, ctx: StepContext, verdict: float | None) -> None:
        last = self.clock.stage == self.clock.stage_steps
        if verdict is None and not last and self.clock.run % self.recipe.log.every:
            return
        values: dict[str, Any] = {name: float(torch.as_tensor(value).detach()) for name, value in ctx.logged.items()}
        values |= {f"lr/{name}": rate for name, rate in self.optimisers.learning_rates().items()}
        values |= {} if verdict is None else {"validation": verdict}
        values |= {"stage": ctx.stage.name, "seconds": round(self.elapsed(), 3)}
        if self.fabric.is_global_zero:
            self.log.scalars(self.clock.run, values)
        self._tell("neuralfw_scalars", step=self.clock.run, values=values)

    def _tell(self, hook: str, **what: Any) -> None:
        """Call a hook of the plugins. The state is whole whenever one is called, and saved should one fail."""
        try:
            getattr(self.hooks.hook, hook)(trainer=self, **what)
        except Exception:
            self.save()
            raise

    # -- state ---------------------------------------------------------------------------------------------------

    def elapsed(self) -> float:
        """Return the seconds of training so far, over all sittings."""
        return self.seconds + time.perf_counter() - self._sitting

    def save(self) -> None:
        """Write a checkpoint, unless the one that was written last is of this very state.

        Raises:
            Diverged: a parameter is not finite.
            UserError: the disk is full or the folder read-only.
        """
        position = (self.stage, self.clock.run)
        if position != self._saved and self.fabric.is_global_zero:
            best = self.validation.best_step == self.clock.run
            self.store.save(capture(self), self.clock.run, self.recipe.checkpoint.keep, best=best)
            self._saved = position

    def load(self, checkpoint: Checkpoint) -> None:
        """Take up a saved state.

        Raises:
            UserError: the checkpoint does not fit the recipe.
        """
        restore(self, checkpoint)
        self._saved = (self.stage, self.clock.run)

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Make whatever ends the training early also say what is kept, and close what is open."""
        try:
            yield
        except Interrupted:
            raise
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped at once; {self._kept()}") from None
        except Diverged as error:
            bad = not_finite(self.scene)
            text = f"{error}; parameter {bad} is not finite" if bad and bad not in str(error) else str(error)
            raise Diverged(f"{text}\na smaller lr, or clip, may help; {self._kept()}") from error
        except UserError as error:
            raise UserError(f"{error}\n{self._kept()}") from error
        except Exception as error:
            if _out_of_memory(error):
                text = f"out of memory at step {self.clock.run}: {error}\nsmaller batches may help; {self._kept()}"
                raise UserError(text) from error
            error.add_note(self._kept())
            raise
        finally:
            with suppress(OSError):
                self.log.close()
            self.hooks.hook.neuralfw_run_end(trainer=self)

    def _kept(self) -> str:
        saved = self.store.saved()
        if not saved:
            return "no state had been saved yet"
        run = self.store.folder.parent
        return f"the last good state is kept: {saved[-1]}; to go on from there: neuralfw resume {run}"


def _out_of_memory(error: Exception) -> bool:
    """Say whether a device or the host ran out of memory; torch reports the latter as a RuntimeError."""
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    told = ("can't allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(text in str(error) for text in told)
