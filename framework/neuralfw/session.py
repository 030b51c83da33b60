"""Starts and resumes runs: from a recipe and the installed plugins to a trained scene in its run directory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UserError, saying
from .hooks import hook_manager
from .pace import Pace
from .recipe.model import FrameTable, Recipe, dump
from .recipe.resolve import resolve
from .recipe.source import Source, load
from .recipe.toml_writer import dumps
from .recipe.wiring import Plan, wire
from .registry import Registry, discover
from .shipped import find_recipe, shipped_recipes

if TYPE_CHECKING:
    import pluggy

    from .components import Data
    from .run import Run
    from .rundir import RunFolder
    from .scene import Scene
    from .training.trainer import Trainer

Say = Callable[[str], None]


@dataclass
class Checked:
    """A recipe that was read, resolved and wired without fault. Nothing is built, torch is not loaded."""

    source: Source
    registry: Registry
    recipe: Recipe
    plan: Plan
    notes: list[str]


def check(path: str | Path, overrides: Sequence[str] = (), exclude: Sequence[str] = ()) -> Checked:
    """Read, resolve and wire a recipe.

    Raises:
        RecipeError: with every fault found.
    """
    registry = discover(exclude)
    source = load(path, overrides, find=find_recipe, names=shipped_recipes())
    recipe, notes = resolve(source, registry)
    plan = wire(recipe, source, registry)
    return Checked(source, registry, recipe, plan, [*notes, *plan.warnings])


def train(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    out: Path | None = None,
    device: str = "auto",
    start_from: str | None = None,
    exclude: Sequence[str] = (),
    say: Say = lambda text: None,
    watchers: Sequence[object] = (),
) -> Path:
    """Check a recipe, train it, export and evaluate as it says; return the run directory.

    Args:
        path: a recipe file, or the name of a shipped one.
        overrides: "key=value" texts, as after `--set`.
        out: the run directory, absent or empty; default: a new one under runs/.
        device: "auto", "cpu" or "cuda".
        start_from: a run, or "run:field", whose fields and frame are taken over; or a file that a field reads.
        exclude: plugins to leave out.
        say: receives notes, a line each.
        watchers: objects with hook implementations, such as a progress bar.

    Raises:
        UserError: anything that the user can mend.
    """
    checked = check(path, overrides, exclude)  # before what loads torch: a fault is told at once

    from .rundir import RunFolder
    from .transfer import Origin, origin_of, take_over

    chosen = choose_device(device)
    origin = None if start_from is None else origin_of(start_from)
    folder = RunFolder.new(checked.recipe.name, out)
    if isinstance(origin, Origin) and origin.frame is not None:
        origin.frame.save(folder.frame)
        table = FrameTable(fit="file", path=folder.frame.resolve())
        checked.recipe = checked.recipe.model_copy(update={"frame": table})
        say(f"the frame is that of {origin.folder.root}, in place of the recipe's [frame]")
    session = Session(checked, folder, chosen, say, watchers)
    try:
        scene = session.scene()
        known = take_over(scene, origin, say) if origin is not None else set()
    except BaseException:
        folder.discard()
        raise
    session.describe(scene)
    for name in sorted(session.untrained(scene) - known):
        if name.startswith("renderers."):
            say(f"no stage trains {name}, so its parameters stay as they begin")
            continue
        say(f"no stage trains {name}, so it stays as it begins: --from RUN:{name} would give it another start")
    trainer = session.trainer(scene)
    trainer.surgery.edited |= {name for field in known for name in scene.parameters_of(field)}
    trainer.fit()
    return session.finish()


def resume(
    root: Path, *, device: str = "auto", exclude: Sequence[str] = (), say: Say = lambda text: None,
    watchers: Sequence[object] = (),
) -> Path:  # fmt: skip
    """Go on with a run exactly where its newest whole checkpoint stands.

    Raises:
        UserError: the run or its checkpoint cannot be used.
    """
    from .rundir import RunFolder, environment

    folder = RunFolder.existing(root)
    checked = check(folder.recipe, (), exclude)
    before = folder.read_json(folder.environment)
    chosen = choose_device(device)
    now = environment(checked.registry, chosen)
    for key in ("versions", "backends", "device", "threads", "device_name"):
        if before.get(key) != now[key]:
            change = _differences(before.get(key), now[key])
            say(f"{key} changed since this run began, so it need not be bit-equal: {change}")
    session = Session(checked, folder, chosen, say, watchers)
    trainer = session.trainer(session.scene(), resumed=True)
    if trainer.finished:
        say(f"this run is finished, at step {trainer.clock.run}: nothing is left to train")
    trainer.fit()
    return session.finish()


def _differences(before: Any, now: Any) -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        changed = [k for k in sorted({*before, *now}) if before.get(k) != now.get(k)]
        return ", ".join(f"{k} {before.get(k)} → {now.get(k)}" for k in changed)
    return f"{before} → {now}"


def choose_device(device: str) -> str:
    """Return "cpu" or "cuda" for "auto", "cpu" or "cuda".

    Raises:
        UserError: CUDA is asked for and absent.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no CUDA device works here; `neuralfw doctor` says why; --device cpu does")
    if device not in ("cpu", "cuda"):
        raise UserError(f"--device {device}: expected auto, cpu or cuda")
    return device


class Session:
    """One sitting at a run: builds the trainer, and turns its result into files."""

    def __init__(self, checked: Checked, folder: RunFolder, device: str, say: Say, watchers: Sequence[object]) -> None:
        self.checked, self.folder, self.device = checked, folder, device
        self._told = say
        self._unwritten: list[str] | None = None if folder.log.exists() else []
        self._data: dict[str, Data] = {}
        self.hooks: pluggy.PluginManager = hook_manager(checked.registry)
        for watcher in (*watchers, *([Pace(self.say)] if device == "cpu" else []), *self._previews()):
            self.hooks.register(watcher)

    def say(self, text: str) -> None:
        """Tell a note, and write it to log.txt as soon as the run has one."""
        self._told(text)
        if self._unwritten is not None:
            self._unwritten.append(text)
            return
        with saying("write", self.folder.log), self.folder.log.open("a", encoding="utf-8") as file:
            file.write(text.rstrip() + "\n")

    def _previews(self) -> list[object]:
        log = self.checked.recipe.log
        if not log.tensorboard or log.pictures is None:
            return []
        from .training.previews import Previews

        return [Previews(log.pictures)]

    def scene(self) -> Scene:
        """Return the scene, built on the data, as before the first step."""
        import torch

        from .scene import Scene

        for note in (*self.checked.notes, *(f"{b.plugin}: {b.reason}" for b in self.checked.registry.broken)):
            self.say(note)
        scene = Scene(self.checked.recipe, self.checked.registry, torch.device(self.device)).build()
        self._data = scene.data
        return scene

    def trainer(self, scene: Scene, *, resumed: bool = False) -> Trainer:
        """Return the trainer of a scene, brought to the newest whole checkpoint if the run is resumed."""
        from lightning_fabric import Fabric

        from .training.checkpoint import Store
        from .training.log import RunLog
        from .training.trainer import Trainer

        recipe, store, checkpoint = self.checked.recipe, Store(self.folder.checkpoints), None
        if resumed:
            checkpoint, notes = store.load()
            for note in notes:
                self.say(f"{note}; going on from step {checkpoint.state['clock']['run']}")
        log = RunLog(self.folder.root, tensorboard=recipe.log.tensorboard)
        accelerator = "cuda" if self.device.startswith("cuda") else "cpu"
        fabric = Fabric(accelerator=accelerator, devices=1, precision=recipe.precision)
        trainer = Trainer(scene, recipe, self.checked.plan, store, log, self.hooks, fabric, self.say)
        if checkpoint is not None:
            trainer.load(checkpoint)
        return trainer

    def untrained(self, scene: Scene) -> set[str]:
        """Return the fields, and the renderers as `renderers.name`, with parameters that no stage trains."""
        trained = [target for stage in self.checked.recipe.stages for target in stage.train]
        modules = {**scene.fields, **{f"renderers.{name}": renderer for name, renderer in scene.renderers.items()}}
        learnt = [name for name, module in modules.items() if any(True for _ in module.parameters())]
        return {name for name in learnt if not any(f"{target}.".startswith(f"{name}.") for target in trained)}

    def describe(self, scene: Scene) -> None:
        """Write down recipe, machine, frame, box, shapes and backends; say what the data held and what was chosen."""
        from .components import Field
        from .rundir import environment

        folder, checked = self.folder, self.checked
        folder.write(folder.recipe, dumps(dump(checked.recipe)))
        folder.write(folder.source, checked.source.text)
        folder.write_json(folder.environment, environment(checked.registry, self.device))
        scene.frame.save(self.folder.frame)
        backends = {n: m.backend for n, m in scene.named_modules() if isinstance(getattr(m, "backend", None), str)}
        facts: dict[str, Any] = {"bounds": scene.bounds.tolist(), "backends": backends}
        facts |= {"shapes": {}, "shape_frames": {}, "worlds": {}}
        for name, data in scene.data.items():
            if data.shapes:
                facts["shapes"][name] = list(data.shapes)
            if data.shape_frames:
                facts["shape_frames"][name] = [frame.to_dict() for frame in data.shape_frames]
            for world, frames in data.worlds.items():
                facts["worlds"][world] = [frame.to_dict() for frame in frames]
        self.folder.write_json(self.folder.scene, facts)
        notes = [f"{name}: {note}" for name, data in scene.data.items() for note in data.notes]
        notes += [f"fields.{n}: {note}" for n, f in scene.fields.items() if isinstance(f, Field) for note in f.notes]
        notes += [f"{name}: backend {backend}" for name, backend in backends.items()]
        self.folder.write(self.folder.log, "".join(f"{note}\n" for note in self._unwritten or ()))
        self._unwritten = None
        for note in notes:
            self.say(note)

    def finish(self) -> Path:
        """Export and evaluate as the recipe says."""
        from .cost import Cost
        from .run import Run

        run = Run(self.folder.root, self.checked)
        run.scene.data.update(self._data)
        recipe, cost = self.checked.recipe, Cost(self.folder)
        if recipe.export is not None:
            with cost.of("export mesh"):
                for path in run.export(say=self.say):
                    self.say(f"mesh: {path}")
        for what in run.writable:
            with cost.of(f"export {what}"):
                for path in run.export_field(what, say=self.say):
                    self.say(f"{what}: {path}")
        for protocol in self._judged_by(run):
            with cost.of(f"evaluate {protocol}"):
                run.eval(protocol)
        cost.save()
        if recipe.log.report:
            self.say(f"report: {run.report()}")
        return self.folder.root

    def _judged_by(self, run: Run) -> list[str]:
        """Return the protocols that the recipe asks for."""
        table = self.checked.recipe.evaluate
        asked = {
            run.surface_protocol(): table.reference is not None,
            "views": table.views and run.held_out is not None,
            "cameras": "cameras" in run.protocols,
        }
        return [name for name, wanted in asked.items() if wanted]
