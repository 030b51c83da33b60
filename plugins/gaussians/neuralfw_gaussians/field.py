"""The field of 3D Gaussians."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from neuralfw.components import Build, Field, Quantities
from neuralfw.data.images import Images
from neuralfw.errors import UserError
from neuralfw.geometry import Frame, read_point_cloud
from neuralfw.geometry.splats import read_gaussians, write_gaussians

from .config import GaussiansConfig
from .kernels.harmonics import Y0
from .neighbors import mean_squared_distance
from .world import to_training, to_world

FLAT = 1e-4
"""The third scale of a surfel, as a share of its smaller one."""


class Gaussians(Field):
    """Gaussians with colours as spherical harmonics (Kerbl et al. 2023, arXiv 2308.04079, §4).

    Every parameter has one row for each Gaussian. At the start they are round, as large as the root mean square
    distance to their three nearest neighbours, and show their points' colours from everywhere.
    """

    role = "gaussians"
    exports = "gaussians"
    reads = (".ply",)

    def __init__(self, config: GaussiansConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config
        points, colors = self._start(config, build)
        spread = mean_squared_distance(points).clamp_min(1e-7).sqrt() if len(points) else points[:, 0]
        self._fill(
            means=points,
            log_scales=spread.log()[:, None].repeat(1, 3),
            quaternions=torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(len(points), 1),
            opacity_logits=torch.full((len(points),), math.log(config.opacity / (1.0 - config.opacity))),
            sh=((colors - 0.5) / Y0)[:, None, :],
        )

    def _start(self, config: GaussiansConfig, build: Build) -> tuple[Float[Tensor, "g 3"], Float[Tensor, "g 3"]]:
        """Return where Gaussians start and their colours; none where the scene is built without its data."""
        images = build.scene.data.get(config.data)
        if images is None:
            return torch.zeros(0, 3), torch.zeros(0, 3)
        if config.init != "points":
            return self._elsewhere(config, build)
        if not isinstance(images, Images):
            raise UserError(f'{build.place} needs posed photographs, but data "{config.data}" holds none')
        points, colors = images.points, images.point_colors
        if not len(points):
            raise UserError(f'{build.place}: data "{config.data}" has no points to start from: say init = "random"')
        chosen = self._drawn(len(points), build.generator)
        return points[chosen].float(), colors[chosen].float()

    def _elsewhere(self, config: GaussiansConfig, build: Build) -> tuple[Float[Tensor, "g 3"], Float[Tensor, "g 3"]]:
        """Return points anywhere in the data's box, or those of a file; colours that are not known are random."""
        if config.file is None:
            lower, upper = build.scene.bounds
            anywhere: Tensor = lower + (upper - lower) * torch.rand(config.count, 3, generator=build.generator)
            return anywhere, torch.rand(config.count, 3, generator=build.generator)
        cloud = read_point_cloud(config.file, samples=config.count)
        chosen = self._drawn(len(cloud), build.generator).numpy()
        points = torch.from_numpy(build.scene.frame.to_training(cloud.points[chosen])).float()
        if cloud.colors is not None:
            return points, torch.from_numpy(cloud.colors[chosen]).float()
        return points, torch.rand(len(points), 3, generator=build.generator)

    def _drawn(self, found: int, generator: torch.Generator) -> Int64[Tensor, " g"]:
        """Return which of so many points to start at, in their order; that some are left out is noted."""
        if found > self._config.count:
            self.notes = (self._reduced(found),)
        return torch.randperm(found, generator=generator)[: self._config.count].sort().values

    def _reduced(self, found: int) -> str:
        count, numbers = self._config.count, 11 + 3 * (self._config.sh_degree + 1) ** 2
        mine, everyone = (16e-6 * numbers * n for n in (count, found))
        return (
            f"starts at {count:,} of {found:,} points, drawn at random, since count = {count}; parameters, gradients "
            f"and running means take {mine:,.1f} MB, with all points {everyone:,.1f}"
        )

    def _fill(
        self,
        means: Float[Tensor, "g 3"],
        log_scales: Float[Tensor, "g 3"],
        quaternions: Float[Tensor, "g 4"],
        opacity_logits: Float[Tensor, " g"],
        sh: Float[Tensor, "g k 3"],
    ) -> None:
        """Take over parameters; harmonics beyond those given are 0."""
        rest = torch.zeros(len(means), (self._config.sh_degree + 1) ** 2 - 1, 3)
        known = min(rest.shape[1], sh.shape[1] - 1)
        rest[:, :known] = sh[:, 1 : known + 1]
        self.means, self.log_scales = nn.Parameter(means), nn.Parameter(log_scales)
        self.quaternions, self.opacity_logits = nn.Parameter(quaternions), nn.Parameter(opacity_logits)
        self.sh_dc, self.sh_rest = nn.Parameter(sh[:, :1].contiguous()), nn.Parameter(rest)

    # -- what it gives ---------------------------------------------------------------------------------------------

    @property
    def degree(self) -> int:
        """The degree of the harmonics that count now: it grows with the run, from what there was at its start."""
        every, most = self._config.sh_every, self._config.sh_degree
        return most if every == 0 else min(most, max(self._degree_at_start, self._clock.run // every))

    @cached_property
    def _degree_at_start(self) -> int:
        present = (self.sh_rest.detach() != 0).flatten(2).any(dim=2).any(dim=0)
        return max((d for d in (1, 2, 3) if bool(present[d * d - 1 : (d + 1) ** 2 - 1].any())), default=0)

    @property
    def scales(self) -> Float[Tensor, "g 3"]:
        """Standard deviations along the axes."""
        scales = self.log_scales.exp()
        if not self._config.surfels:
            return scales
        return torch.cat([scales[:, :2], FLAT * scales[:, :2].detach().amin(dim=1, keepdim=True)], dim=1)

    def evaluate(self, inputs: Mapping[str, Tensor], want: frozenset[str]) -> Quantities:
        outputs: Quantities = {}
        if "gaussians/means" in want:
            outputs["gaussians/means"] = self.means
        if "gaussians/scales" in want:
            outputs["gaussians/scales"] = self.scales
        if "gaussians/rotations" in want:
            outputs["gaussians/rotations"] = nn.functional.normalize(self.quaternions, dim=1)
        if "gaussians/opacities" in want:
            outputs["gaussians/opacities"] = self.opacity_logits.sigmoid()
        if "gaussians/sh" in want:
            count = (self.degree + 1) ** 2 - 1
            outputs["gaussians/sh"] = torch.cat([self.sh_dc, self.sh_rest[:, :count]], dim=1)
        return outputs

    # -- files -----------------------------------------------------------------------------------------------------

    def export(self, stem: Path, frame: Frame, time: float | None = None) -> list[Path]:
        with torch.no_grad():
            sh = torch.cat([self.sh_dc, self.sh_rest], dim=1)
            stored = to_world(frame, self.means, self.scales, self.quaternions, self.opacity_logits, sh)
        path = stem.with_name(f"{stem.name}.ply")
        write_gaussians(path, stored)
        return [path]

    def read(self, path: Path, frame: Frame) -> None:
        device = self.means.device
        self._fill(**to_training(frame, read_gaussians(path)))
        self.to(device)
