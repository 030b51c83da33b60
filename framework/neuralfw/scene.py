"""The scene: what is being learnt, built from a resolved recipe; and a pass's view of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .components import Build, Data, Field, Quantities, Renderer
from .config import FieldConfig, Ref, Spec, options
from .errors import UserError
from .geometry.frame import Frame
from .recipe.model import Recipe
from .recipe.tables import marker
from .registry import Registry
from .schedules import Clock
from .streams import stream

T = TypeVar("T")


class Scene(nn.Module):
    """Fields, renderers and data of a run, on one device, in one frame.

    Attributes:
        fields: fields by name.
        renderers: renderers by name.
        data: datasets and samplers by name.
        frame: similarity from the world to the training space.
        bounds: box (2, 3) of what is observed, in the training space.
        clock: the run's clock, which schedules read.
        shared: constants that passes share within a step, such as an extracted surface.
        graph: the same for tensors through which gradients flow; see `SceneView.once`.
    """

    fields: nn.ModuleDict
    renderers: nn.ModuleDict

    def __init__(self, recipe: Recipe, registry: Registry, device: torch.device) -> None:
        super().__init__()
        self.recipe, self.registry, self.device = recipe, registry, device
        self.clock = Clock()
        self.data: dict[str, Data] = {}
        self.fields = nn.ModuleDict()
        self.renderers = nn.ModuleDict()
        self.shared: dict[Any, Any] = {}
        self.graph: dict[Any, Any] = {}
        self.coordinates = frozenset(q.name for q in registry.quantities().values() if q.coordinate)
        self.frame: Frame = Frame.identity()
        self.bounds: Float[Tensor, "2 3"] = torch.tensor([[-1.0] * 3, [1.0] * 3])

    def build(self, *, with_data: bool = True, frame: Frame | None = None) -> Scene:
        """Build every component, data first; without data the frame must be given.

        Raises:
            UserError: a source cannot be read, or two sources lie in different frames.
        """
        self.frame = frame or self.frame
        framed, bounded = "", False
        for name in _in_order(self.recipe.data) if with_data else ():
            data = self.open_data(name)
            if data.frame is not None:
                if framed and data.frame != self.frame:
                    raise UserError(
                        f"data {framed!r} and {name!r} lie in different frames; a run has one: "
                        'say [frame] fit = "none", or fit = "file" with a path'
                    )
                self.frame, framed = data.frame, name
            if data.bounds is not None:
                self.bounds = _union(self.bounds, data.bounds) if bounded else data.bounds
                bounded = True
        for name in _in_order(self.recipe.fields):
            self.fields[name] = self.make(self.recipe.fields[name])
        for name, spec in self.recipe.renderers.items():
            self.renderers[name] = self.make(spec)
        return self.to(self.device)

    def open_data(self, name: str) -> Data:
        """Return a data table by name, opened on first use with those that it reads.

        Raises:
            UserError: a source cannot be read.
        """
        if name not in self.data:
            for other in _references(self.recipe.data[name]) & self.recipe.data.keys() - {name}:
                self.open_data(other)
            self.data[name] = self.make(self.recipe.data[name])
        return self.data[name]

    def make(self, spec: Spec) -> Any:
        """Build a component."""
        component = self.registry.load(self.registry.find(spec.kind, spec.name))
        build = Build(
            scene=self,
            clock=self.clock,
            device=self.device,
            place=spec.place,
            frame_fit=self.recipe.frame,
            make=self.make,
            generator=stream(self.recipe.seed, f"init/{spec.place}"),
        )
        return component(spec.config, build)

    def roles(self) -> dict[str, str]:
        """Return which field fills each role where nothing else is said."""
        names: dict[str, list[str]] = {}
        for name, spec in self.recipe.fields.items():
            assert isinstance(spec.config, FieldConfig)
            names.setdefault(spec.config.role, []).append(name)
        return {r: n[0] if len(n) == 1 else r for r, n in names.items() if len(n) == 1 or r in n}

    def view(self, roles: Mapping[str, str] | None = None, detached: Iterable[str] = ()) -> SceneView:
        """Return the scene as a pass sees it: a field for each role, and the parameters it only reads."""
        return SceneView(self, self.roles() if roles is None else roles, frozenset(detached))

    def parts_of(self, field: str) -> frozenset[str]:
        """Return the fields of which a field is made, directly or through others."""
        named = _references(self.recipe.fields[field]) & self.recipe.fields.keys()
        return frozenset(named).union(*(self.parts_of(name) for name in named - {field}))

    def parameters_of(self, target: str) -> dict[str, nn.Parameter]:
        """Return the parameters that `field`, `field.prefix` or `renderers.name` means, by full name.

        Raises:
            UserError: the field has no parameter of that name.
        """
        head, _, rest = target.partition(".")
        if head == "renderers":
            name, _, rest = rest.partition(".")
            module, prefix = self.renderers[name], f"renderers.{name}"
        else:
            module, prefix = self.fields[head], f"fields.{head}"
        found = {
            f"{prefix}.{n}": p
            for n, p in module.named_parameters()
            if not rest or n == rest or n.startswith(rest + ".")
        }
        if rest and not found:
            known = ", ".join(sorted({n.partition(".")[0] for n, _ in module.named_parameters()}))
            raise UserError(f"{target}: {head} has no parameter {rest!r}; it has {known or 'none'}")
        return found


class SceneView:
    """A pass's view of the scene: evaluates quantities through the fields that play the roles."""

    def __init__(self, scene: Scene, roles: Mapping[str, str], detached: frozenset[str] = frozenset()) -> None:
        self.scene, self._roles = scene, roles
        self._sees = (frozenset(roles.items()), detached)
        self._plans: dict[tuple[frozenset[str], frozenset[str]], list[tuple[str, frozenset[str]]]] = {}
        self._provides = {r: scene.recipe.fields[n].config.wiring().provides for r, n in roles.items()}

    @property
    def clock(self) -> Clock:
        """The run's clock."""
        return self.scene.clock

    @property
    def device(self) -> torch.device:
        """Where tensors live."""
        return self.scene.device

    @property
    def box(self) -> Float[Tensor, "2 3"]:
        """Where the surface may be, in the training space: the SDF's own box where it has one, else the data's."""
        own = getattr(self.field("sdf"), "box", None) if self.has("sdf") else None
        return self.scene.bounds if own is None else own

    def field(self, role: str) -> Field:
        """Return the field that plays a role."""
        return self.scene.fields[self._roles[role]]  # type: ignore[return-value]

    def has(self, role: str) -> bool:
        """Say whether a field plays a role."""
        return role in self._roles

    def renderer(self, name: str) -> Renderer:
        """Return a renderer by name."""
        return self.scene.renderers[name]  # type: ignore[return-value]

    def once(self, key: str, make: Callable[[], T]) -> T:
        """Return what `make` makes, made once for all passes that see the same fields and read the same parameters.

        It may carry a graph: the next backward frees that, and then it is made anew.
        """
        full = (key, self._sees)
        if full not in self.scene.graph:
            self.scene.graph[full] = make()
        return self.scene.graph[full]  # type: ignore[no-any-return]

    def coordinates(self, batch: Quantities) -> Quantities:
        """Return those quantities of a batch at which fields are evaluated, leaving out what was observed there."""
        return {q: v for q, v in batch.items() if q in self.scene.coordinates}

    def evaluate(self, inputs: Quantities, want: frozenset[str]) -> Quantities:
        """Return the wanted field quantities at the inputs; each field is evaluated once, at what it says it needs."""
        key = (frozenset(inputs), want)
        if key not in self._plans:
            self._plans[key] = self._plan(frozenset(inputs), want)
        have = dict(inputs)
        for role, quantities in self._plans[key]:
            needs = {n.removesuffix("?") for q in quantities for n in self._provides[role][q]}
            have.update(self.field(role).evaluate({q: v for q, v in have.items() if q in needs}, quantities))
        return {q: have[q] for q in want}

    def taken_from(self, role: str, quantity: str) -> frozenset[str]:
        """Return what the field of a role gives of that which another field takes for a quantity."""
        takes = {n.removesuffix("?") for provides in self._provides.values() for n in provides.get(quantity, ())}
        return frozenset(takes & self._provides[role].keys())

    def sdf(self, x: Float[Tensor, "n 3"], t: float | None = None, **more: Tensor) -> Float[Tensor, " n"]:
        """Return the SDF alone at points (and a time)."""
        inputs = {"points": x, **more}
        if t is not None:
            inputs["time"] = torch.full_like(x[:, 0], t)
        return self.evaluate(inputs, frozenset({"sdf"}))["sdf"]

    def _plan(self, given: frozenset[str], want: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
        """Return the fields to evaluate, each with its quantities, those that others need first."""
        asked: dict[str, set[str]] = {}
        after: dict[str, set[str]] = {}

        def ask(quantity: str, path: tuple[str, ...]) -> str:
            for role, provides in self._provides.items():
                if quantity not in provides or role in path:
                    continue
                asked.setdefault(role, set()).add(quantity)
                for need in provides[quantity]:
                    name = need.removesuffix("?")
                    if name not in given and not (need.endswith("?") and not self._known(name)):
                        after.setdefault(role, set()).add(ask(name, (*path, role)))
                return role
            raise KeyError(f"no field of this pass provides {quantity} from {sorted(given)}")

        for quantity in sorted(want):
            ask(quantity, ())
        order: list[str] = []
        while len(order) < len(asked):
            order += [r for r in asked if r not in order and after.get(r, set()) <= {*order}]
        return [(role, frozenset(asked[role])) for role in order]

    def _known(self, quantity: str) -> bool:
        return any(quantity in provides for provides in self._provides.values())


@contextmanager
def frozen(parameters: Mapping[str, nn.Parameter]) -> Iterator[None]:
    """Keep parameters out of the graph that is built inside, while gradients still pass through what they act on."""
    changed = [p for p in parameters.values() if p.requires_grad]
    for p in changed:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in changed:
            p.requires_grad_(True)


def _union(a: Float[Tensor, "2 3"], b: Float[Tensor, "2 3"]) -> Float[Tensor, "2 3"]:
    """Return the smallest box that holds both."""
    return torch.stack([torch.minimum(a[0], b[0]), torch.maximum(a[1], b[1])])


def _references(spec: Spec) -> set[str]:
    found: set[str] = set()
    for key, info in options(type(spec.config)).items():
        value = getattr(spec.config, key)
        if marker(info, Ref) is not None and value is not None:
            found.add(str(value).partition(".")[0])
        if isinstance(value, Spec):
            found |= _references(value)
    return found


def _in_order(specs: Mapping[str, Spec]) -> list[str]:
    """Return the names so that each comes after those it refers to."""
    order: list[str] = []
    pending = dict(specs)
    while pending:
        ready = [n for n, s in pending.items() if not (_references(s) & pending.keys()) - {n}]
        if not ready:
            raise UserError(f"{' and '.join(pending)} refer to each other in a circle")
        order += ready
        pending = {n: s for n, s in pending.items() if n not in ready}
    return order
