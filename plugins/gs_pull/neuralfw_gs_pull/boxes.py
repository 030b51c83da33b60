"""SDFs in a box of their own, one or several side by side, and the callback that fits the box."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from neuralfw.components import Build, Callback, Quantities, SdfField
from neuralfw.config import Spec
from neuralfw.errors import UserError
from neuralfw.training.step import StepContext

from .config import BoxedSdfConfig, FitBoxConfig, PartsConfig


class BoxedSdf(SdfField):
    """f(x) = S g((x - c)/S): an SDF g in a space where the box has its centre c at 0 and its longest edge S is 1.

    The box is a buffer, so a checkpoint holds it.

    Attributes:
        box: lower and upper corner (2, 3), scene units.
        features: number of channels besides the distance, for fields that take them.
    """

    box: Float[Tensor, "2 3"]

    def __init__(self, config: BoxedSdfConfig, build: Build) -> None:
        super().__init__(config, build)
        self._unsigned = config.unsigned
        self.of = build.component(config.of)
        self.features = int(getattr(self.of, "features", 0))
        self.register_buffer("box", _start(config, build))

    def fit(self, box: Float[Tensor, "2 3"]) -> None:
        """Take another box."""
        self.box.copy_(box)

    def forward(
        self,
        x: Float[Tensor, "n 3"],
        t: Float[Tensor, " n"] | None = None,
        z: Float[Tensor, "n latent"] | None = None,
        want: frozenset[str] = frozenset({"sdf"}),
    ) -> Quantities:
        outputs = within(self.box, self.of, x, t, z, want)
        return without_sign(outputs) if self._unsigned else outputs


class Parts(SdfField):
    """Several SDFs, each for one block of a box and in that block's own unit, for scenes too large for one network.

    Blocks overlap; there the parts are blended with weights that sum to 1, so the surface has no seam. Parts that begin
    as a sphere begin as one and the same, about the centre of the box, its radius in units of the box's longest edge.

    Attributes:
        box: lower and upper corner (2, 3) of all blocks together, scene units.
        features: number of channels besides the distance, for fields that take them.
    """

    box: Float[Tensor, "2 3"]
    _split: Int[Tensor, "3"]
    _places: Int[Tensor, "parts 3"]

    def __init__(self, config: PartsConfig, build: Build) -> None:
        super().__init__(config, build)
        self._unsigned, self._overlap = config.unsigned, config.overlap
        self.register_buffer("box", _start(config, build))
        self.register_buffer("_split", torch.tensor(config.split), persistent=False)
        places = torch.tensor([*product(*map(range, config.split))])
        self.register_buffer("_places", places, persistent=False)
        self.of = nn.ModuleList(build.component(_sharing(config.of, self.box, block)) for block in self.blocks())
        self.features = int(getattr(self.of[0], "features", 0))

    def fit(self, box: Float[Tensor, "2 3"]) -> None:
        """Take another box."""
        self.box.copy_(box)

    def blocks(self) -> Float[Tensor, "parts 2 3"]:
        """Return the block of each part, what it shares with its neighbours included."""
        edge = (self.box[1] - self.box[0]) / self._split
        lower = self.box[0] + self._places * edge
        return torch.stack([lower - self._overlap * edge, lower + (1 + self._overlap) * edge], dim=1)

    def forward(
        self,
        x: Float[Tensor, "n 3"],
        t: Float[Tensor, " n"] | None = None,
        z: Float[Tensor, "n latent"] | None = None,
        want: frozenset[str] = frozenset({"sdf"}),
    ) -> Quantities:
        weights, slopes = self._weights(x)
        asked = want | {"sdf"}
        total: Quantities = {}
        for part, block, weight, slope in zip(self.of, self.blocks(), weights, slopes, strict=True):
            rows = torch.nonzero(weight.detach())[:, 0]
            mine = within(block, part, x[rows], None if t is None else t[rows], None if z is None else z[rows], asked)
            for quantity, value in mine.items():
                shared = value * weight[rows].reshape(-1, *(1,) * (value.dim() - 1))
                if quantity == "sdf_gradient":
                    shared = shared + mine["sdf"][:, None] * slope[rows]
                empty = value.new_zeros(len(x), *value.shape[1:])
                total[quantity] = total.get(quantity, empty).index_add(0, rows, shared)
        return without_sign(total) if self._unsigned else total

    def _weights(self, x: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "parts n"], Float[Tensor, "parts n 3"]]:
        """Return how much of each part counts at points, and the gradient of that in space."""
        at = (x - self.box[0]) * self._split / (self.box[1] - self.box[0])
        into, over = at - self._places[:, None], self._places[:, None] + 1 - at
        first, last = (self._places == 0)[:, None], (self._places == self._split - 1)[:, None]
        rise = torch.where(first, 1.0, (into / self._overlap + 1) / 2)
        fall = torch.where(last, 1.0, (over / self._overlap + 1) / 2)
        along = torch.minimum(rise, fall).clamp(0, 1)
        steep = self._split / (self.box[1] - self.box[0]) / (2 * self._overlap)
        slope = torch.where(rise < fall, 1.0, -1.0) * steep * ((along > 0) & (along < 1))
        others = torch.stack([along[..., [1, 2]], along[..., [0, 2]], along[..., [0, 1]]], dim=-2).prod(dim=-1)
        return along.prod(dim=-1), slope * others


class FitBox(Callback):
    """Fits the box of an SDF to Gaussians, by quantiles of their centres, so that a few floaters do not enlarge it."""

    def __init__(self, config: FitBoxConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config, self._place = config, build.place
        if not hasattr(build.scene.fields[config.field], "fit"):
            raise UserError(f"{build.place}: field {config.field!r} has no box to fit: put it into a boxed_sdf")

    @torch.no_grad()
    def __call__(self, ctx: StepContext) -> None:
        asked = frozenset({"gaussians/means", "gaussians/opacities"})
        given = ctx.scene.fields[self._config.to].evaluate({}, asked)  # type: ignore[operator]
        means = given["gaussians/means"][given["gaussians/opacities"] >= self._config.min_opacity]
        if len(means) < 2:
            raise UserError(f"{self._place}: {len(means)} Gaussians of {self._config.to!r} are left to enclose")
        ends = self._config.quantile * (len(means) - 1)
        box = torch.stack([means.sort(dim=0).values[round(end)] for end in (ends, len(means) - 1 - ends)])
        edge = (box[1] - box[0]).max()
        room = torch.maximum(box.new_full((3,), self._config.margin) * edge, 0.01 * edge)
        ctx.scene.fields[self._config.field].fit(torch.stack([box[0] - room, box[1] + room]))  # type: ignore[operator]


def within(
    box: Float[Tensor, "2 3"],
    sdf: nn.Module,
    x: Float[Tensor, "n 3"],
    t: Float[Tensor, " n"] | None,
    z: Float[Tensor, "n latent"] | None,
    want: frozenset[str],
) -> Quantities:
    """Evaluate an SDF that lives in the unit of a box's longest edge; distances are in scene units again."""
    size = (box[1] - box[0]).max()
    outputs: Quantities = sdf((x - box.mean(dim=0)) / size, t, z, want=want)
    distances = {"sdf", "sdf_time_derivative"}
    return {q: v * size if q in distances else v for q, v in outputs.items()}


def without_sign(outputs: Quantities) -> Quantities:
    """Return |f| and its gradients."""
    sign = torch.where(outputs["sdf"] < 0, -1.0, 1.0)
    flipped = {"sdf": sign, "sdf_gradient": sign[:, None], "sdf_time_derivative": sign}
    return {q: v * flipped[q] if q in flipped else v for q, v in outputs.items()}


def _sharing(of: Spec, box: Float[Tensor, "2 3"], block: Float[Tensor, "2 3"]) -> Spec:
    """Return a part whose first sphere, where its options say one, is that of the whole box in the block's own unit."""
    sphere = of.config.model_dump(include={"center", "radius"})
    if len(sphere) < 2:
        return of
    whole, size = (box[1] - box[0]).max(), (block[1] - block[0]).max()
    center = (box.mean(dim=0) + whole * torch.tensor(sphere["center"]) - block.mean(dim=0)) / size
    own = {"center": tuple(center.tolist()), "radius": float(sphere["radius"] * whole / size)}
    return replace(of, config=of.config.model_copy(update=own))


def _start(config: BoxedSdfConfig, build: Build) -> Float[Tensor, "2 3"]:
    if config.box is None:
        return build.scene.bounds.clone()
    corners = np.array([*product(*np.transpose(config.box))])
    inside = torch.from_numpy(build.scene.frame.to_training(corners)).float()
    return torch.stack([inside.amin(dim=0), inside.amax(dim=0)])
