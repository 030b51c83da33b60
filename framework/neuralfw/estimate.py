"""How many parameters a recipe has and what memory a training step takes: by doing one step on torch's meta device,
where tensors have shapes but no storage."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .components import Data, Draw, Quantities
from .config import DataConfig, Ref, options
from .errors import UserError
from .manifest import Quantity
from .recipe.model import Recipe, Stage
from .recipe.tables import marker
from .recipe.wiring import StagePlan
from .registry import Registry
from .scene import Scene
from .session import Checked
from .training.active import active_passes, active_terms

_MOMENTS = 2
"""Running means that Adam keeps of each parameter."""


@dataclass
class Estimate:
    """What a recipe takes beside torch itself and the data.

    Attributes:
        parameters: number of each field and renderer that has some.
        per_item: fields whose number is for one item of a data table that has not been read, by the table's name.
        state: bytes of parameters, gradients and optimisers of the largest stage.
        step: bytes that a step of each stage takes on top at its peak, None where that could not be told.
        notes: what could not be told, and why.
    """

    parameters: dict[str, int] = field(default_factory=dict)
    per_item: dict[str, str] = field(default_factory=dict)
    state: int = 0
    step: dict[str, int | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def peak(self) -> int:
        """Bytes in all, at the peak of the hungriest stage."""
        return self.state + max((s for s in self.step.values() if s is not None), default=0)


def estimate(checked: Checked) -> Estimate:
    """Estimate a recipe's size without reading data.

    Raises:
        UserError: a field cannot be built with its options.
    """
    found = Estimate()
    scene = _build(checked.recipe, checked.registry, found)
    if scene is None:
        return found
    for table, modules in (("fields", scene.fields), ("renderers", scene.renderers)):
        counts = {f"{table}.{n}": sum(p.numel() for p in module.parameters()) for n, module in modules.items()}
        found.parameters |= {name: count for name, count in counts.items() if count}
    scene.to("meta").device = torch.device("meta")
    for stage, plan in zip(checked.recipe.stages, checked.plan.stages, strict=True):
        found.state = max(found.state, _train_only(scene, stage))
        try:
            found.step[stage.name] = _peak_of_step(scene, stage, plan)
        except Exception as error:
            found.step[stage.name] = None
            reason = str(error).partition("\n")[0]
            found.notes.append(f"the memory of a step of stage {stage.name} depends on the data ({reason})")
    return found


class _Unread(Data):
    """Stands for data that is not read: one shape, and batches of the size that the options ask for."""

    shapes = ("",)

    def __init__(self, config: DataConfig, vocabulary: Mapping[str, Quantity]) -> None:
        self._config, self._vocabulary = config, vocabulary

    def sample(self, request: Draw) -> Quantities:
        sets = self._config.sets()
        names = sets[request.set] if request.set else next(iter(sets.values()))
        count = self._config.batch_size(request.options)
        return {name: _empty(self._vocabulary[name], count) for name in names}


def _empty(quantity: Quantity, count: int) -> Tensor:
    """Return a tensor as the vocabulary describes it; "(n, 3)" has `count` rows, other letters count as 1."""
    first, *rest = [size.strip() for size in quantity.shape.strip("()").split(",") if size.strip()]
    dtype = torch.get_default_dtype() if quantity.dtype == "float" else getattr(torch, quantity.dtype)
    sizes = [int(size) if size.isdigit() else 1 for size in rest]
    return torch.empty(int(first) if first.isdigit() else count, *sizes, dtype=dtype, device="meta")


def _build(recipe: Recipe, registry: Registry, found: Estimate) -> Scene | None:
    scene = Scene(recipe, registry, torch.device("cpu"))
    for name, spec in recipe.data.items():
        assert isinstance(spec.config, DataConfig)
        scene.data[name] = _Unread(spec.config, registry.quantities())
    for name, spec in recipe.fields.items():
        infos = options(type(spec.config)).items()
        found.per_item |= {f"fields.{name}": getattr(spec.config, k) for k, i in infos if _names_data(i)}
    try:
        return scene.build(with_data=False)
    except UserError:
        if not found.per_item:
            raise
    except (AttributeError, NotImplementedError):
        pass
    found.notes.append(f"the size of {', '.join(found.per_item)} is known only when the data is read")
    return None


def _names_data(info: Any) -> bool:
    ref = marker(info, Ref)
    return ref is not None and ref.table == "data"


def _train_only(scene: Scene, stage: Stage) -> int:
    """Let what a stage trains require gradients; return the bytes of parameters, gradients and running means."""
    scene.requires_grad_(False)
    for target in stage.train:
        for parameter in scene.parameters_of(target).values():
            parameter.requires_grad_(True)
    held = [(p, 1 + (1 + _MOMENTS) * p.requires_grad) for p in scene.parameters()]
    return sum(p.numel() * p.element_size() * copies for p, copies in held)


def _peak_of_step(scene: Scene, stage: Stage, plan: StagePlan) -> int:
    """Return the bytes that a step's batches, graph and backward pass take at their peak."""
    from lightning_fabric import Fabric

    from .training.optimisers import Optimisers
    from .training.step import StepContext
    from .training.surgery import Surgery

    optimisers = Optimisers(scene, scene.clock)
    passes = active_passes(scene, stage, plan)
    ctx = StepContext(
        scene=scene,
        stage=stage,
        clock=scene.clock,
        optimisers=optimisers,
        surgery=Surgery(scene, optimisers, tuple),
        fabric=Fabric(accelerator="cpu", devices=1, precision=scene.recipe.precision),
        passes=passes,
        losses=active_terms(scene, stage, passes),
    )
    scene.train()
    scene.shared.clear()
    ledger = _Ledger()
    with ledger:
        ctx.run(ctx.passes)
        total = torch.stack([ctx.value(term, [*passes]) for term in ctx.losses.values()]).sum()
        gradients = torch.autograd.grad(total, [p for p in scene.parameters() if p.requires_grad], allow_unused=True)
    kept: int = sum(g.numel() * g.element_size() for g in gradients if g is not None)
    return ledger.peak - kept


class _Ledger(TorchDispatchMode):
    """Keeps count of the bytes that operations allocate and release."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live: int = 0
        self.peak: int = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in self._known | given:
                self._note(tensor.untyped_storage())
        return out

    def _note(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._known.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size
