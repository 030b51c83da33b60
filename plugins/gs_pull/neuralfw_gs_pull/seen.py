"""Samples near the Gaussians that photographs see, with the side of the surface on which they lie."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from neuralfw.components import Build, Draw, Quantities, Renderer
from neuralfw.data.images import Images
from neuralfw.errors import UserError
from neuralfw.scene import SceneView

from .config import SeenGaussiansConfig
from .disks import normals
from .free_space import FreeSpace
from .near import NearGaussians


class SeenGaussians(NearGaussians):
    """`near_gaussians` of those that some photograph sees, turned towards the cameras, samples with their side.

    With each snapshot the depth of every photograph is rendered anew. What cameras look through, on their way to that
    depth or past the object's mask, is outside; what lies close behind it and is looked through by none is inside.

    Attributes:
        space: what the photographs look through.
        rows: besides, the `normal` of each centre's disk, on the side of the cameras that see it.
    """

    def __init__(self, config: SeenGaussiansConfig, build: Build) -> None:
        super().__init__(config, build)
        self._seen = config
        images = build.scene.data[config.images]
        if not isinstance(images, Images):
            raise UserError(f"{build.place}: data {config.images!r} holds no photographs")
        self._images = images
        self._renderer: Renderer = build.component(config.renderer)
        self.space: FreeSpace | None = None

    def sample(self, request: Draw) -> Quantities:
        batch = super().sample(request)
        if request.set == "centers":
            return batch
        assert self.space is not None
        tolerance, reach = self._lengths()
        return batch | {"gs_pull/side": self.space.sides(batch["points"], tolerance, reach, self._seen.votes)}

    def _centers(self, chosen: Int[Tensor, " n"]) -> Quantities:
        return super()._centers(chosen) | {"normal": self.rows["normal"][chosen]}

    def _lengths(self) -> tuple[float, float]:
        """Return tolerance and reach in scene units."""
        edge = float((self.box[1] - self.box[0]).max())
        return self._seen.tolerance * edge, self._seen.reach * edge

    # -- the snapshot --------------------------------------------------------------------------------------------

    def take(self, scene: SceneView) -> None:
        super().take(scene)
        cameras, limits = zip(*(self._look(scene, view) for view in self._images.members("train")), strict=True)
        self.space = FreeSpace.of(cameras, limits)
        given = self.gaussians(scene, "scales", "rotations")
        disks = normals(given["scales"], given["rotations"])[self.rows["index"]]
        tolerance, _ = self._lengths()
        facing = self.space.facing(self.rows["centers"], tolerance, self._seen.votes)
        side = (facing * disks).sum(dim=1, keepdim=True)
        self.rows["normal"] = torch.where(side < 0, -disks, disks)
        self.keep(facing.any(dim=1), of=len(given["scales"]))

    def _look(self, scene: SceneView, view: int) -> tuple[Quantities, Float[Tensor, "h w"]]:
        """Render a photograph's depth, at most `max_size` pixels wide; return its camera and each pixel's limit."""
        batch = self._images.view_batch(view)
        height, width = batch["size"].tolist()
        factor = min(1.0, self._seen.max_size / max(height, width))
        size = (max(1, round(height * factor)), max(1, round(width * factor)))
        ratio = torch.tensor([size[1] / width, size[0] / height]).repeat(2)
        camera = {"world_to_camera": batch["world_to_camera"], "intrinsics": batch["intrinsics"] * ratio}
        asked = {q: v.to(scene.device) for q, v in (camera | {"size": torch.tensor(size)}).items()}
        shown = scene.scene.view({"gaussians": self._seen.field})
        seen = self._renderer(shown, asked, frozenset({"depth", "alpha"}))
        limit = torch.where(seen["alpha"] > 0.5, seen["depth"], 0.0)[0].cpu()
        if "mask" in batch:
            mask = functional.interpolate(batch["mask"][None], size=size, mode="area")[0, 0]
            limit = torch.where(mask < self._seen.empty, torch.inf, limit)
        return camera, limit

    def state(self) -> dict[str, Tensor]:
        space = {} if self.space is None else {f"space/{name}": value for name, value in self.space.state().items()}
        return super().state() | space

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        super().load_state({name: value for name, value in state.items() if not name.startswith("space/")})
        self.space = FreeSpace.load({k.removeprefix("space/"): v for k, v in state.items() if k.startswith("space/")})
