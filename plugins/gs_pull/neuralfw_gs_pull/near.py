"""Samples around Gaussians."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
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
    with the nearest centre and the number of its Gaussian; `centers` holds centres; `space` is uniform in the box.

    Attributes:
        rows: what the snapshot holds for each centre: `centers`, `sigma`, and `index`, its Gaussian.
        box: lower and upper corner of the SDF's box when it was taken, or of the centres.
    """

    def __init__(self, config: NearGaussiansConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config, self._place = config, build.place
        self.rows: dict[str, Tensor] = {}
        self.box = torch.tensor([[-1.0] * 3, [1.0] * 3])
        self._taken = -1
        self._tree: cKDTree | None = None

    def holds(self, set_name: str) -> bool:
        return set_name in self._config.sets()

    def batches(self, set_name: str, draw: Any) -> int:
        return 1

    def sample(self, request: Draw) -> Quantities:
        self._refresh(request.scene)
        count, generator = request.options.batch, request.generator
        if request.set == "space":
            return {"points": self._uniform(count, generator)}
        if request.set == "centers":
            return self._centers(torch.randint(self.count, (count,), generator=generator))
        points = self._around(count, generator)
        self._tree = self._tree or cKDTree(self.rows["centers"].numpy())
        near = torch.from_numpy(self._tree.query(points.numpy(), workers=-1)[1])
        return {"points": points, "nearest": self.rows["centers"][near], "gs_pull/index": self.rows["index"][near]}

    @property
    def count(self) -> int:
        """How many centres the snapshot holds."""
        return len(self.rows["index"]) if self.rows else 0

    def _centers(self, chosen: Int[Tensor, " n"]) -> Quantities:
        """Return the quantities of set `centers` for rows of the snapshot."""
        return {"points": self.rows["centers"][chosen], "gs_pull/index": self.rows["index"][chosen]}

    def _around(self, count: int, generator: torch.Generator) -> Float[Tensor, "n 3"]:
        uniform, far = round(count * self._config.uniform), round(count * self._config.far)
        chosen = torch.randint(self.count, (count - uniform,), generator=generator)
        spread = self.rows["sigma"][chosen]
        spread[:far] *= FAR
        near = self.rows["centers"][chosen] + torch.randn(len(chosen), 3, generator=generator) * spread[:, None]
        return torch.cat([near, self._uniform(uniform, generator)])

    def _uniform(self, count: int, generator: torch.Generator) -> Float[Tensor, "n 3"]:
        margin = self._config.padding * (self.box[1] - self.box[0]).max()
        lower, upper = self.box[0] - margin, self.box[1] + margin
        return lower + (upper - lower) * torch.rand(count, 3, generator=generator)

    # -- the snapshot --------------------------------------------------------------------------------------------

    def _refresh(self, scene: SceneView) -> None:
        if self.count == 0 or due(self._config.refresh, scene.clock, self._taken):
            self._taken = scene.clock.run
            with torch.no_grad():
                self.take(scene)

    def take(self, scene: SceneView) -> None:
        """Take the snapshot.

        Raises:
            UserError: fewer than two Gaussians are left.
        """
        given = self.gaussians(scene, "means", "opacities")
        means = given["means"]
        own = scene.has("sdf") and hasattr(scene.field("sdf"), "box")
        self.box = scene.box.cpu().clone() if own else torch.stack([means.amin(dim=0), means.amax(dim=0)])
        inside = ((means >= self.box[0]) & (means <= self.box[1])).all(dim=1)
        index = torch.nonzero(inside & (given["opacities"] >= self._config.min_opacity))[:, 0]
        self.rows = {"centers": means[index], "index": index}
        self.keep(torch.ones(len(index), dtype=torch.bool), of=len(means))
        spread = self._config.spread or 0.25 * max(1.0, (self.count / 20_000) ** 0.5)
        self.rows["sigma"] = spread * spacing(self.rows["centers"], self._config.neighbors)

    def gaussians(self, scene: SceneView, *names: str) -> Quantities:
        """Return quantities of the Gaussians, on the host, by their names without the owner."""
        field = scene.scene.fields[self._config.field]
        given: Quantities = field.evaluate({}, frozenset(f"gaussians/{name}" for name in names))  # type: ignore[operator]
        return {name: given[f"gaussians/{name}"].detach().cpu() for name in names}

    def keep(self, kept: Bool[Tensor, " n"], of: int) -> None:
        """Reduce the snapshot of `of` Gaussians to some of its rows.

        Raises:
            UserError: fewer than two.
        """
        self.rows, self._tree = {name: row[kept] for name, row in self.rows.items()}, None
        if self.count < 2:
            raise UserError(f"{self._place}: of {of} Gaussians {self.count} are left to sample around")

    def state(self) -> dict[str, Tensor]:
        return {**self.rows, "box": self.box, "taken": torch.tensor(self._taken)} if self.rows else {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.rows = {name: row for name, row in state.items() if name not in ("box", "taken")}
        self.box, self._taken, self._tree = state["box"], int(state["taken"]), None

    def renumber(self, field: str, index: Int[Tensor, " old"], count: int) -> None:
        if field.partition(".")[0] == self._config.field and self.rows:
            moved = index.cpu()[self.rows["index"]]
            self.rows = {name: row[moved >= 0] for name, row in self.rows.items()}
            self.rows["index"], self._tree = moved[moved >= 0], None


def due(refresh: tuple[int | str, ...], clock: Clock, taken: int) -> bool:
    """Say whether a step of `refresh`, counted in the stage, has come since step `taken` of the run."""
    began = clock.run - clock.stage
    return any(taken < began + clock.steps(step) <= clock.run for step in refresh)
