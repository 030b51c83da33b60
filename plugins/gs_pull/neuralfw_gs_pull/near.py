"""Samples around Gaussians."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from neuralfw.components import Build, Data, Draw, Quantities
from neuralfw.errors import UserError
from neuralfw.scene import SceneView
from neuralfw.schedules import Clock

from .config import NearGaussiansConfig
from .neighbors import spacing

FAR = 3.0  # far samples are spread so many times as far as near ones


class NearGaussians(Data):
    """Samples p + a σ N(0, I) around the centres p of Gaussians, σ the distance to a neighbour of p (GS-Pull, §4).

    Centres and spreads are a snapshot, taken anew at given steps of a stage and kept in checkpoints; samples are drawn
    from the pass's stream. Centres outside of the SDF's box, where it has one, do not count. Set `near` holds samples,
    with the nearest centre and the number of its Gaussian; set `centers` holds centres.
    """

    def __init__(self, config: NearGaussiansConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config, self._place = config, build.place
        self._centers, self._sigma = torch.empty(0, 3), torch.empty(0)
        self._index: Int[Tensor, " n"] = torch.empty(0, dtype=torch.long)
        self._box = torch.tensor([[-1.0] * 3, [1.0] * 3])
        self._taken = -1
        self._tree: cKDTree | None = None

    def holds(self, set_name: str) -> bool:
        return set_name in self._config.sets()

    def batches(self, set_name: str, draw: Any) -> int:
        return max(1, round(len(self._centers) / int(draw.batch)))

    def sample(self, request: Draw) -> Quantities:
        self._refresh(request.scene)
        if request.set == "centers":
            chosen = torch.randint(len(self._centers), (request.options.batch,), generator=request.generator)
            return {"points": self._centers[chosen], "gs_pull/index": self._index[chosen]}
        points = self._around(request.options.batch, request.generator)
        self._tree = self._tree or cKDTree(self._centers.numpy())
        near = torch.from_numpy(self._tree.query(points.numpy(), workers=-1)[1])
        return {"points": points, "nearest": self._centers[near], "gs_pull/index": self._index[near]}

    def _around(self, count: int, generator: torch.Generator) -> Float[Tensor, "n 3"]:
        uniform = round(count * self._config.uniform)
        far = round(count * self._config.far)
        chosen = torch.randint(len(self._centers), (count - uniform,), generator=generator)
        spread = self._sigma[chosen]
        spread[:far] *= FAR
        near = self._centers[chosen] + torch.randn(len(chosen), 3, generator=generator) * spread[:, None]
        margin = self._config.padding * (self._box[1] - self._box[0]).max()
        lower, upper = self._box[0] - margin, self._box[1] + margin
        return torch.cat([near, lower + (upper - lower) * torch.rand(uniform, 3, generator=generator)])

    # -- the snapshot --------------------------------------------------------------------------------------------

    def _refresh(self, scene: SceneView) -> None:
        if len(self._centers) and not due(self._config.refresh, scene.clock, self._taken):
            return
        self._taken = scene.clock.run
        with torch.no_grad():
            asked = frozenset({"gaussians/means", "gaussians/opacities"})
            given = scene.scene.fields[self._config.field].evaluate({}, asked)  # type: ignore[operator]
        means = given["gaussians/means"].detach().cpu()
        own = scene.has("sdf") and hasattr(scene.field("sdf"), "box")
        self._box = scene.box.cpu().clone() if own else torch.stack([means.amin(dim=0), means.amax(dim=0)])
        inside = ((means >= self._box[0]) & (means <= self._box[1])).all(dim=1)
        inside &= given["gaussians/opacities"].cpu() >= self._config.min_opacity
        self._index = torch.nonzero(inside)[:, 0]
        if len(self._index) < 2:
            raise UserError(f"{self._place}: of {len(means)} Gaussians {len(self._index)} are left to sample around")
        self._centers, self._tree = means[self._index], None
        spread = self._config.spread or 0.25 * max(1.0, (len(self._index) / 20_000) ** 0.5)
        self._sigma = spread * spacing(self._centers, self._config.neighbors)

    def state(self) -> dict[str, Tensor]:
        taken = torch.tensor(self._taken)
        kept = {"centers": self._centers, "sigma": self._sigma, "index": self._index, "box": self._box, "taken": taken}
        return kept if len(self._centers) else {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self._centers, self._sigma, self._index = state["centers"], state["sigma"], state["index"]
        self._box, self._taken, self._tree = state["box"], int(state["taken"]), None

    def renumber(self, field: str, index: Int[Tensor, " old"], count: int) -> None:
        if field.partition(".")[0] == self._config.field and len(self._index):
            moved = index.cpu()[self._index]
            kept = moved >= 0
            self._centers, self._sigma, self._index = self._centers[kept], self._sigma[kept], moved[kept]
            self._tree = None


def due(refresh: tuple[int | str, ...], clock: Clock, taken: int) -> bool:
    """Say whether a step of `refresh`, counted in the stage, has come since step `taken` of the run."""
    began = clock.run - clock.stage
    return any(taken < began + clock.steps(step) <= clock.run for step in refresh)
