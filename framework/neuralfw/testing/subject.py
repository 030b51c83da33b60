"""A component under test: built as a recipe would, with what it refers to; and quantities made up for it."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..components import Quantities
from ..config import ComponentConfig, Ref, Slot, Spec, options
from ..defaults import default_config
from ..errors import UserError
from ..geometry.camera import Camera
from ..manifest import Component
from ..recipe.source import Source
from ..recipe.tables import Tables, marker
from ..registry import Registry, recipes_folder
from ..scene import Scene
from .building import scene_of
from .spheres import ExactSphere, Sphere

TABLES = {"field": "fields", "renderer": "renderers", "dataset": "data", "sampler": "data"}
NAME = "subject"
RADIUS = 0.4871
"""Of the sphere that is drawn and meshed."""
STAND_INS: dict[str, dict[str, Any]] = {
    "sdf": {"type": "core/mlp_sdf", "width": 16, "layers": 2, "features": 4},
    "color": {"type": "core/mlp_color", "width": 16, "layers": 1},
    "velocity": {"type": "core/mlp_velocity", "width": 16, "layers": 2, "time": "raw"},
}
"""Fields that stand where a component refers to one, or needs one, by role."""


@cache
def _data_stand_ins() -> dict[str, dict[str, Any]]:
    """Return the data that stand where a component refers to some, by the name that it has in every recipe."""
    folder = Path(tempfile.mkdtemp(prefix="neuralfw-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return {
        "points": {"type": "core/points", "path": str(recipes_folder() / "data/spot.ply")},
        "images": {"type": "core/blender", "path": str(Sphere(RADIUS).write(folder, views=6, size=24))},
    }


SIZES = {"n": 24, "rays": 24, "views": 2, "height": 24, "width": 20, "dim": 4, "features": 4, "f": 8}


class NotBuilt(Exception):
    """The component cannot be built with its default options; the text says why."""


@dataclass(frozen=True)
class Subject:
    """A component of a plugin.

    Attributes:
        options: those that it is built with; what is left out has its default.
    """

    registry: Registry
    component: Component
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def defaults(self) -> ComponentConfig:
        """The options at their defaults; not validated where some have none."""
        return default_config(self.registry, self.component)

    @cached_property
    def spec(self) -> Spec:
        """The validated component.

        Raises:
            NotBuilt: options are missing or wrong.
        """
        return self._resolved()[1]

    def scene(self, seed: int = 0, *, roles: Iterable[str] = ()) -> Scene:
        """Return a scene that holds the component under the name `NAME`, and stand-ins for what it refers to.

        Args:
            seed: of all random streams.
            roles: more fields to have, by role.

        Raises:
            NotBuilt: something cannot be built.
        """
        tables, _ = self._resolved(roles)
        try:
            return scene_of(tables, seed).build()
        except UserError as error:
            raise NotBuilt(str(error)) from error

    def build(self, seed: int = 0) -> Any:
        """Return the component in a scene of its own.

        Raises:
            NotBuilt: it cannot be built.
        """
        scene, kind = self.scene(seed), self.component.kind
        return getattr(scene, TABLES[kind])[NAME] if kind in TABLES else self.made(scene)

    def made(self, scene: Scene) -> Any:
        """Return the component, of a kind that no table of a recipe holds, built in a scene.

        Raises:
            NotBuilt: it cannot be built.
        """
        try:
            return scene.make(self.spec)
        except UserError as error:
            raise NotBuilt(str(error)) from error

    def sphere_scene(self, radius: float) -> Scene:
        """Return a scene whose SDF is an exact sphere, single precision, with a colour field.

        Raises:
            NotBuilt: the component cannot be built.
        """
        scene = self.scene(roles=("sdf", "color"))
        scene.fields["sdf"] = ExactSphere(radius).float()
        return scene

    def _resolved(self, roles: Iterable[str] = ()) -> tuple[Tables, Spec]:
        table, kind = TABLES.get(self.component.kind), self.component.kind
        written = {"type": self.component.full_name, **self.options}
        referred = [*(("field", role, role) for role in roles), *_references(self.defaults, self.options)]
        fields = {n: STAND_INS[role] for where, n, role in referred if where == "field" and role in STAND_INS}
        known = _data_stand_ins()
        data = {n: known[n] for where, n, _ in referred if where == "data" and n in known}
        if absent := [n for where, n, _ in referred if n not in (fields if where == "field" else data)]:
            raise NotBuilt(f"it refers to {absent[0]}, for which nothing stands in")
        tree: dict[str, Any] = {"fields": fields, "renderers": {}, "data": data}
        if table is None:
            tree[kind] = written
        else:
            tree[table] = {**tree[table], NAME: written}
        tables = Tables(Source.of(tree, f"{kind} {self.component.name}"), self.registry)
        for key, kinds in (("fields", "field"), ("renderers", "renderer"), ("data", "dataset|sampler")):
            tables.components(tables.source.tree[key], kinds, key)
        spec = tables.component(kind, tables.source.tree[kind], (kind,)) if table is None else None
        spec = spec or tables.specs.get(table or "", {}).get(NAME)
        if tables.faults or spec is None:
            raise NotBuilt(tables.faults[0].message if tables.faults else "it cannot be resolved")
        return tables, spec


def _references(config: ComponentConfig, given: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    """Yield what options refer to: the table, the name, and the role of a field."""
    for key, info in options(type(config)).items():
        ref, value = marker(info, Ref), given.get(key, getattr(config, key, None))
        if ref is not None and isinstance(value, str):
            yield ref.table, value.partition(".")[0], ref.role or value
        if marker(info, Slot) is not None and isinstance(value, Spec):
            yield from _references(value.config, {})


def made_up(
    registry: Registry, names: Iterable[str], *, layout: str = "rays", count: int | None = None, seed: int = 0
) -> Quantities:
    """Return random quantities as the vocabulary describes them, double precision.

    Args:
        names: of the quantities; "?" at the end is ignored.
        layout: "rays" or "views", for those of pixels.
        count: how many points, rays, faces or views, instead of those of `SIZES`.
        seed: of the numbers.
    """
    random = torch.Generator().manual_seed(seed)
    sizes = SIZES if count is None else {**SIZES, "n": count, "rays": count, "views": count, "f": count}
    vocabulary = registry.quantities()
    wanted = [name.removesuffix("?") for name in names]
    imaged = layout == "views" and not {"rgb", "alpha"}.isdisjoint(wanted)
    shapes = {n: "(views, height, width, 3)" if imaged and n == "normal" else vocabulary[n].shape for n in wanted}
    return {n: _made(n, shapes[n], vocabulary[n].dtype, sizes, layout, random) for n in wanted}


def _made(
    name: str, layouts: str, dtype: str, sizes: Mapping[str, int], layout: str, random: torch.Generator
) -> Tensor:
    shapes = layouts.split(" or ")
    chosen = next((s for s in shapes if layout in s), shapes[0])
    shape = [_size(term, sizes) for term in chosen.strip("( )").split(",") if term.strip()]
    if name in ("world_to_camera", "intrinsics", "size", "pixels"):
        return _of_camera(name, shape, sizes)
    if dtype == "bool":
        return torch.rand(shape, generator=random) > 0.5
    if dtype.startswith("int"):
        return torch.randint(0, 2, shape, generator=random)
    drawn = torch.rand(shape, generator=random, dtype=torch.float64)
    if name in ("normal", "view_direction"):
        return normalize(drawn - 0.5, dim=-1)
    return 1.2 * drawn - 0.6 if name in ("points", "nearest", "target", "sdf") else drawn


def camera(distance: float = 3.0) -> Camera:
    """Return a camera that looks at the origin, of `SIZES` pixels."""
    height, width = SIZES["height"], SIZES["width"]
    center = (distance * 0.6, -distance * 0.48, distance * 0.64)
    return Camera.look_at(center, (0.0, 0.0, 0.0), (0.0, 0.0, 1.0), focal=1.3 * height, width=width, height=height)


def _size(term: str, sizes: Mapping[str, int]) -> int:
    """Return the size that a term of a layout says, such as "n", "3" or "steps + 1"."""
    return sum(int(word) if word.isdigit() else sizes.get(word, 3) for word in re.findall(r"\w+", term))


def _of_camera(name: str, shape: list[int], sizes: Mapping[str, int]) -> Tensor:
    seen = camera()
    if name == "size":
        return torch.tensor([seen.height, seen.width])
    if name == "pixels":
        across = torch.arange(shape[0])
        return torch.stack([across % seen.width + 0.5, (across * 7) % seen.height + 0.5], dim=1).double()
    value = torch.from_numpy(seen.world_to_camera if name == "world_to_camera" else seen.intrinsics)
    return value.expand(shape)
