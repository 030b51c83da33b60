"""Starts a scene from what exists: fields of an earlier run, with its box and, where its shapes share one, its frame;
or a file that a field reads, such as the Gaussians of another tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from .components import Field
from .errors import UserError
from .geometry import Frame
from .recipe.model import Recipe
from .rundir import RunFolder
from .scene import Scene
from .suggest import nearest
from .training.checkpoint import Store

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Origin:
    """The run that another starts from; all of its fields that fit, or the one named."""

    folder: RunFolder
    field: str | None

    @cached_property
    def roles(self) -> dict[str, str]:
        """The role of each field of the run."""
        from .session import check

        return _roles(check(self.folder.recipe).recipe)

    @cached_property
    def weights(self) -> dict[str, Weights]:
        """The newest saved parameters of each field, by their names within it."""
        checkpoint, _ = Store(self.folder.checkpoints).load()
        found: dict[str, dict[str, Tensor]] = {name: {} for name in self.roles}
        for full, tensor in checkpoint.tensors["scene"].items():
            kind, _, rest = full.partition(".")
            field, _, name = rest.partition(".")
            if kind == "fields":
                found[field][name] = tensor
        return dict(found)

    @cached_property
    def frame(self) -> Frame | None:
        """The run's frame; None where each of its shapes has its own, so that a new shape gets one too."""
        frame = Frame.load(self.folder.frame)
        tables = self.folder.read_json(self.folder.scene)["shape_frames"].values()
        own = [Frame.from_dict(f) for frames in tables for f in frames]
        return frame if all(f == frame for f in own) else None


@dataclass(frozen=True)
class FileOrigin:
    """A file, in world units, that a field starts from; the field that it is for, where that is said."""

    path: Path
    field: str | None
    frame: None = None


def origin_of(text: str) -> Origin | FileOrigin:
    """Return the run that "RUN" or "RUN:field" means, or the file that "FILE" or "FILE:field" does.

    Raises:
        UserError: there is no run at that place, or it has no such field.
    """
    head, colon, field = text.rpartition(":")
    if Path(text).is_file():
        return FileOrigin(Path(text), None)
    if colon and Path(head).is_file():
        return FileOrigin(Path(head), field)
    if not colon or Path(text).is_dir():
        return Origin(RunFolder.existing(Path(text)), None)
    origin = Origin(RunFolder.existing(Path(head)), field)
    if field not in origin.roles:
        close = nearest(field, origin.roles) or origin.roles
        raise UserError(f"{head} has no field {field!r}; closest: {', '.join(close)}")
    return origin


def take_over(scene: Scene, origin: Origin | FileOrigin, say: Callable[[str], None] = lambda text: None) -> set[str]:
    """Load an earlier run's weights into a scene's fields, and widen its box to the run's; return those fields.

    A field takes the weights of the field of its name, where both play one role, or else of the only one of its role.
    A file goes to the one field that reads its kind.

    Raises:
        UserError: no field fits, or a field of the same place has parameters of other names or sizes.
    """
    if isinstance(origin, FileOrigin):
        return _take_over_file(scene, origin, say)
    pairs = _pairs(_roles(scene.recipe), origin)
    if not pairs:
        have = ", ".join(f"{name} ({role})" for name, role in origin.roles.items())
        raise UserError(f"nothing of {origin.folder.root} fits this recipe: it has the fields {have}")
    for target, source in pairs.items():
        _load(scene, target, origin.weights[source], f"{origin.folder.root}:{source}")
        say(f"{target} starts as {source} of {origin.folder.root}")
    box = torch.tensor(origin.folder.read_json(origin.folder.scene)["bounds"])
    scene.bounds = torch.stack([torch.minimum(scene.bounds[0], box[0]), torch.maximum(scene.bounds[1], box[1])])
    return {*pairs}


def _take_over_file(scene: Scene, origin: FileOrigin, say: Callable[[str], None]) -> set[str]:
    ending = origin.path.suffix.lower()
    fields: dict[str, Field] = dict(scene.fields.items())  # type: ignore[arg-type]
    able = [name for name, field in fields.items() if ending in field.reads]
    chosen = [name for name in able if origin.field in (None, name)]
    if len(chosen) != 1:
        readers = f"fields that read {ending}: {', '.join(able)}" if able else f"no field of this recipe reads {ending}"
        raise UserError(f"--from {origin.path}: {readers}" + ("; name one: --from FILE:field" if chosen else ""))
    fields[chosen[0]].read(origin.path, scene.frame)
    say(f"{chosen[0]} starts as {origin.path}")
    return {chosen[0]}


def _roles(recipe: Recipe) -> dict[str, str]:
    return {name: str(getattr(spec.config, "role", "")) for name, spec in recipe.fields.items()}


def _pairs(roles: Mapping[str, str], origin: Origin) -> dict[str, str]:
    """Return for each field of the scene that has one the field of the run that it starts as."""
    offered = {n: r for n, r in origin.roles.items() if origin.field in (None, n)}
    pairs = {name: name for name, role in roles.items() if offered.get(name) == role}
    for name, role in roles.items():
        others = [n for n, r in offered.items() if r == role and n not in pairs.values()]
        alone = [r for n, r in roles.items() if n not in pairs].count(role) == 1
        if name not in pairs and len(others) == 1 and alone:
            pairs[name] = others[0]
    return pairs


def _load(scene: Scene, target: str, weights: Weights, source: str) -> None:
    own = scene.fields[target].state_dict(keep_vars=True)
    if unlike := sorted(own.keys() ^ weights.keys()):
        raise UserError(f"{target} cannot start as {source}: {', '.join(unlike[:5])} on one side only")
    unlike = [n for n in own if own[n].shape != weights[n].shape]
    resizable = _roles(scene.recipe)[target] != "latents" and _counts_elements(own) and _counts_elements(weights)
    if unlike and not resizable:
        shapes = "; ".join(f"{n} is {tuple(own[n].shape)} here, {tuple(weights[n].shape)} there" for n in unlike[:3])
        raise UserError(f"{target} cannot start as {source}: {shapes}\nname the field that is wanted: --from RUN:field")
    for name, tensor in weights.items():
        own[name].data = tensor.to(own[name].device, own[name].dtype)


def _counts_elements(weights: Weights) -> bool:
    """Say whether every parameter has one row per element, so that the run's count may be taken over."""
    return len({tensor.shape[:1] for tensor in weights.values()}) == 1
