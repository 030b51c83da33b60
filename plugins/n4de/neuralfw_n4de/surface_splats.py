"""Gaussians on the surface of a distance that moves, as N4DE shows colours (Razlighi et al. 2024, arXiv 2411.15018)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from neuralfw.components import Build, Field, Quantities, SdfField
from neuralfw.errors import UserError
from neuralfw.geometry import Frame, Mesh, sample_surface
from neuralfw.geometry.splats import write_gaussians
from neuralfw.meshing import extract
from neuralfw_gaussians.on_surface import turning_z_to
from neuralfw_gaussians.render_config import GAUSSIANS
from neuralfw_gaussians.world import to_world

from .color import SurfaceColor
from .color_config import SurfaceSplatsConfig


class SurfaceSplats(Field):
    """One Gaussian of constant size at each vertex of the zero level set, or at each of some samples of it.

    It has no parameters: colour, opacity and rotation are those of a `surface_color` there, the set of them is that of
    the moment, extracted once a step. Disks (`thickness` below 1) turn with the surface instead.
    """

    role = "gaussians"
    exports = "gaussians"

    def __init__(self, config: SurfaceSplatsConfig, build: Build) -> None:
        super().__init__(config, build)
        sdf, color = build.scene.fields[config.sdf], build.scene.fields[config.color]
        if not isinstance(color, SurfaceColor):
            raise UserError(f'{build.place}: splats need a surface_color, which the field "{config.color}" is not')
        self._config, self._place, self._shared = config, build.place, build.scene.shared
        self._parts: tuple[SdfField, SurfaceColor] = (sdf, color)  # type: ignore[assignment]

    def evaluate(self, inputs: Mapping[str, Tensor], want: frozenset[str]) -> Quantities:
        """Return the wanted quantities at `time`, which all Gaussians share, where the batch has one."""
        time = inputs.get("time")
        key = (self._place, None if time is None else float(time[0]))
        if key not in self._shared:
            self._shared[key] = self._points(time)
        at: Tensor = self._shared[key]
        times = None if time is None else time[:1].expand(len(at))
        sdf, color = self._parts
        flat = self._config.thickness < 1.0
        gradient = None
        if flat or color.takes_normals:
            with torch.no_grad():
                gradient = sdf(at, times, want=frozenset({"sdf_gradient"}))["sdf_gradient"]
        outputs: Quantities = {"gaussians/means": self._attached(at, times) if self._config.attached else at}
        if want & {"gaussians/rotations", "gaussians/opacities", "gaussians/sh"}:
            look = color.look(at, times, gradient)
            outputs |= {"gaussians/rotations": look.rotations, "gaussians/opacities": look.opacities}
            outputs["gaussians/sh"] = look.sh
        if flat and gradient is not None:
            outputs["gaussians/rotations"] = turning_z_to(normalize(gradient, dim=1))
        cell = 2.0 * self._config.size / self._config.resolution
        sides = at.new_tensor([1.0, 1.0, self._config.thickness])
        outputs["gaussians/scales"] = (self._config.scale * cell * sides).expand(len(at), 3)
        return {q: outputs[q] for q in want}

    @torch.no_grad()
    def export(self, stem: Path, frame: Frame, time: float | None = None) -> list[Path]:
        device = next(self._parts[1].parameters()).device
        inputs = {} if time is None else {"time": torch.tensor([time], device=device)}
        found = self.evaluate(inputs, frozenset(GAUSSIANS))
        means, scales, rotations, opacities, sh = (found[q] for q in GAUSSIANS)
        path = stem.with_name(f"{stem.name}.ply")
        write_gaussians(path, to_world(frame, means, scales, rotations, opacities.logit(), sh))
        return [path]

    @torch.no_grad()
    def _points(self, time: Float[Tensor, " n"] | None) -> Float[Tensor, "g 3"]:
        """Return where they lie at a time.

        Raises:
            EmptySurfaceError: the distance has no zero level set in the cube.
        """
        device = next(self._parts[1].parameters()).device
        if device.type == "meta":
            raise NotImplementedError("how many splats a surface has is known when it is extracted")
        surface = extract(self._distance(time), self._cube(), self._config.resolution, device=device)
        points = surface.vertices
        if self._config.samples is not None:
            mesh = Mesh(surface.vertices.astype(np.float64), surface.faces)
            points = sample_surface(mesh, self._config.samples, np.random.default_rng(0))[0]
        return torch.from_numpy(points).to(device, torch.get_default_dtype())

    def _distance(self, time: Float[Tensor, " n"] | None) -> Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]]:
        sdf = self._parts[0]
        return lambda x: sdf(x, None if time is None else time[:1].expand(len(x)))["sdf"]

    def _cube(self) -> tuple[list[float], list[float]]:
        return [-self._config.size] * 3, [self._config.size] * 3

    def _attached(self, at: Float[Tensor, "g 3"], times: Float[Tensor, " g"] | None) -> Float[Tensor, "g 3"]:
        """Return the same points, whose derivative by the distance there is -n/|∇φ| (Remelli et al. 2020)."""
        there = self._parts[0](at, times, want=frozenset({"sdf", "sdf_gradient"}))
        gradient = there["sdf_gradient"].detach()
        along = gradient / gradient.square().sum(dim=1, keepdim=True).clamp_min(1e-12)
        moved: Tensor = at - (there["sdf"] - there["sdf"].detach())[:, None] * along
        return moved
