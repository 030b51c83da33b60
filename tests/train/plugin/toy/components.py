"""The toy components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from skimage.measure import marching_cubes
from torch import Tensor, nn

from neuralfw.components import Build, Callback, Data, Draw, Field, Loss, Quantities, Renderer, SdfField
from neuralfw.scene import SceneView
from neuralfw.streams import stream


class Ball(SdfField):
    def __init__(self, config: Any, build: Build) -> None:
        super().__init__(config, build)
        self.center = nn.Parameter(torch.randn(3, generator=build.generator) * 0.1)
        self.radius = nn.Parameter(torch.tensor(config.radius))
        self._squash = config.squash

    def forward(self, x: Any, t: Any = None, z: Any = None, want: frozenset[str] = frozenset({"sdf"})) -> Quantities:
        away = x - self.center
        length = away.norm(dim=-1)
        return {"sdf": (length - self.radius) * self.now(self._squash), "sdf_gradient": away / length[:, None]}


class Shade(Field):
    role = "shade"

    def __init__(self, config: Any, build: Build) -> None:
        super().__init__(config, build)
        self.weight = nn.Parameter(torch.zeros(3))

    def evaluate(self, inputs: Mapping[str, Tensor], want: frozenset[str]) -> Quantities:
        return {"toy/shade": inputs["points"] @ self.weight}


class Dots(Field):
    role = "dots"

    def __init__(self, config: Any, build: Build) -> None:
        super().__init__(config, build)
        self.place = nn.Parameter(torch.randn(config.count, 3, generator=build.generator))
        self.mass = nn.Parameter(torch.ones(config.count))

    def evaluate(self, inputs: Mapping[str, Tensor], want: frozenset[str]) -> Quantities:
        return {"toy/place": self.place * self.mass[:, None]}


class Items(Data):
    def __init__(self, config: Any, build: Build) -> None:
        super().__init__(config, build)
        self._config, self._seed = config, build.scene.recipe.seed
        self.times = (0.0, 0.5, 1.0) if config.timed else ()

    def batches(self, set_name: str, draw: Any) -> int:
        return -(-self._config.items // draw.batch)

    def holds(self, set_name: str) -> bool:
        return set_name in ("train", "val")

    def sample(self, request: Draw) -> Quantities:
        count = request.options.batch
        points = torch.rand(count, 3, generator=request.generator) * 2.0 - 1.0
        if self._config.twice:
            other = stream(self._seed, "fit/samples/draw", 1, request.index)
            points = torch.cat([points, torch.rand(count, 3, generator=other) * 2.0 - 1.0])
        batch = {"points": points, "sdf": points.norm(dim=1) - 0.5}
        return {**batch, "time": torch.full((len(points),), request.time)} if self._config.timed else batch


class NearDots(Data):
    def __init__(self, config: Any, build: Build) -> None:
        super().__init__(config, build)
        self._config = config
        self.snapshot: Tensor | None = None
        self.draws = 0

    def batches(self, set_name: str, draw: Any) -> int:
        return 1

    def sample(self, request: Draw) -> Quantities:
        if self.snapshot is None or self.draws % self._config.refresh == 0:
            self.snapshot = request.scene.scene.fields[self._config.dots].place.detach().clone()
        self.draws += 1
        return {"points": self.snapshot + 0.1 * torch.randn(self.snapshot.shape, generator=request.generator)}

    def state(self) -> dict[str, Tensor]:
        return {} if self.snapshot is None else {"snapshot": self.snapshot, "draws": torch.tensor(self.draws)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.snapshot, self.draws = state["snapshot"], int(state["draws"])

    def renumber(self, field: str, index: Tensor, count: int) -> None:
        if self.snapshot is not None and field == self._config.dots:
            moved = torch.zeros(count, 3)
            moved[index[index >= 0]] = self.snapshot[index >= 0]
            self.snapshot = moved


class Surface(Renderer):
    def __init__(self, config: Any, build: Build) -> None:
        super().__init__(config, build)
        self.resolution = config.resolution
        self.extractions = 0

    def forward(self, scene: SceneView, batch: Quantities, want: frozenset[str]) -> Quantities:
        if "vertices" not in scene.scene.shared:
            self.extractions += 1
            axis = torch.linspace(-1.0, 1.0, self.resolution + 1)
            grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
            with torch.no_grad():
                values = scene.sdf(grid.reshape(-1, 3)).reshape(grid.shape[:3])
            found = marching_cubes(values.numpy().astype(np.float32), 0.0)[0]
            vertices = torch.from_numpy(found.copy()).float() * (2.0 / self.resolution) - 1.0
            scene.scene.shared["vertices"] = vertices.requires_grad_()
        return {"vertices": scene.scene.shared["vertices"]}


class ShadeRenderer(Renderer):
    def __init__(self, config: Any, build: Build) -> None:
        super().__init__(config, build)

    def forward(self, scene: SceneView, batch: Quantities, want: frozenset[str]) -> Quantities:
        return {**scene.evaluate({"points": batch["points"]}, frozenset({"toy/shade"})), "points": batch["points"]}


class Offset(Renderer):
    def __init__(self, config: Any, build: Build) -> None:
        super().__init__(config, build)

    def forward(self, scene: SceneView, batch: Quantities, want: frozenset[str]) -> Quantities:
        sdf = scene.evaluate({"points": batch["points"]}, frozenset({"sdf"}))["sdf"]
        return {"points": batch["points"] + sdf[:, None], "sdf": sdf}


class Radius(Loss):
    def __init__(self, config: Any, build: Build) -> None:
        super().__init__(config, build)
        self._radius = config.radius

    def __call__(self, outputs: Quantities, batch: Quantities) -> Tensor:
        return 0.5 * (outputs["vertices"].norm(dim=1) - self._radius).square().mean()


class ShadeLoss(Loss):
    def __call__(self, outputs: Quantities, batch: Quantities) -> Tensor:
        return (outputs["toy/shade"] - batch["points"][:, 0]).square().mean()


class Gather(Loss):
    def __call__(self, outputs: Quantities, batch: Quantities) -> Tensor:
        return (outputs["toy/place"] - 1.0).square().mean()


class Poison(Loss):
    def __init__(self, config: Any, build: Build) -> None:
        super().__init__(config, build)
        self._config = config

    def __call__(self, outputs: Quantities, batch: Quantities) -> Tensor:
        off = (outputs["sdf"] - batch["sdf"]).square().mean()
        if self._clock.run < self._config.at:
            return off
        if self._config.where == "memory":
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 byte"
            )
        if self._config.where == "error":
            raise ValueError("a mistake of the plugin")
        return off * float("nan") if self._config.where == "loss" else off + (outputs["sdf"].sum() * 0.0).sqrt()


class Split(Callback):
    def __init__(self, config: Any, build: Build) -> None:
        super().__init__(config, build)
        self._field = config.field

    def __call__(self, ctx: Any) -> None:
        count = len(ctx.scene.fields[self._field].place)
        ctx.surgery.edit(self._field, torch.arange(1, count), torch.tensor([count - 1, count - 2]))


class Tally(Callback):
    calls = 0

    def __call__(self, ctx: Any) -> None:
        self.calls += 1
        with torch.no_grad():
            ctx.scene.fields["sdf"].radius += 1e-3 * self.calls

    def state(self) -> dict[str, Tensor]:
        return {"calls": torch.tensor(self.calls)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.calls = int(state["calls"])


class Spoil(Callback):
    def __call__(self, ctx: Any) -> None:
        ctx.scene.fields["sdf"].radius.data.fill_(float("nan"))


class Break(Callback):
    def __call__(self, ctx: Any) -> None:
        raise ValueError("a mistake of the plugin")
