"""Renders posed images of the surface of an SDF, as a triangle mesh."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralfw.components import Build, Quantities
from neuralfw.renderers.points import unit
from neuralfw.renderers.rays import poses_of
from neuralfw.scene import SceneView

from . import backends
from .config import MeshConfig
from .contract import View
from .shading import AMBIENT, harmonics, head_light, vertex_normals
from .surface import Extracted, Surface, geometry


class Mesh(Surface):
    """Rasterisation of the zero level set, by the backend that the options name (Laine et al. 2020, arXiv 2011.03277).

    Marching cubes passes no gradient to the distance: `vertices` are leaves of the graph, whose gradient an update
    reads. They are the same for all passes of a step that see the same fields. Normals are those of the mesh, sums over
    the faces at a vertex. Colours, opacity and normals are blended across silhouettes; `depth` is that of the points
    in the pixels' centres, 0 where nothing is.

    Attributes:
        light: coefficients of the environment's spherical harmonics, for each channel.
    """

    def __init__(self, config: MeshConfig, build: Build) -> None:
        super().__init__(config, build)
        self._options = config
        self.backend = backends.chosen(config.backend, str(build.device))
        self._draw = backends.drawer(self.backend)
        self.silhouettes = backends.silhouettes(config.silhouettes, self.backend)
        self.light: nn.Parameter | None = None
        if config.shading == "environment":
            self.light = nn.Parameter(torch.zeros(9, 3))
            self.light.data[0] = AMBIENT

    def forward(self, scene: SceneView, batch: Quantities, want: frozenset[str]) -> Quantities:
        surface = self.extracted(scene, batch)
        outputs = geometry(surface)
        poses = poses_of(scene, batch) if want - outputs.keys() else ()
        normals = vertex_normals(surface.vertices, surface.triangles.faces) if want & {"rgb", "normal"} else None
        images: list[Quantities] = []
        for i, pose in enumerate(poses):
            intrinsics = tuple(batch["intrinsics"][i].tolist())
            height, width = batch["size"].tolist()
            behind = batch["background"][i] if "background" in batch else torch.zeros(3)
            values = {} if normals is None else {"normal": normals}
            if "rgb" in want:
                assert normals is not None
                values["rgb"] = self._colors(scene, surface, normals, pose)
            view = View(intrinsics, width, height, self._options.near, self.silhouettes)
            images.append(self._image(surface, pose, view, values, behind, want))
        outputs |= {q: torch.stack([image[q] for image in images]) for q in (images[0] if images else ())}
        return {q: v for q, v in outputs.items() if q in want}

    def _colors(
        self,
        scene: SceneView,
        surface: Extracted,
        normals: Float[Tensor, "n 3"],
        pose: Float[Tensor, "4 4"],
    ) -> Float[Tensor, "n 3"]:
        """Return the shaded colours of the vertices: those of the colour field, else of the options."""
        points = surface.vertices
        if scene.has("color") and self._options.colors == "field":
            center = -pose[:3, :3].T @ pose[:3, 3]
            given = surface.coordinates() | {"view_direction": unit(center - points), "sdf_gradient": normals}
            with torch.no_grad():
                given |= scene.evaluate(given, scene.taken_from("sdf", "color").difference(given))
            colors = scene.evaluate(given, frozenset({"color"}))["color"]
        else:
            colors = points.new_tensor(self._options.albedo).expand(len(points), 3)
        if self._options.shading == "head_light":
            return colors * (self.now(self._options.strength) * head_light(normals, pose))
        return colors if self.light is None else colors * (harmonics(normals) @ self.light)

    def _image(
        self,
        surface: Extracted,
        pose: Float[Tensor, "4 4"],
        view: View,
        values: Quantities,
        behind: Float[Tensor, "3"],
        want: frozenset[str],
    ) -> Quantities:
        """Return the wanted images of one view; `values` holds what the vertices have."""
        positions = surface.vertices @ pose[:3, :3].T + pose[:3, 3]
        drawn = self._draw(positions, surface.triangles, view)
        values = {q: v for q, v in values.items() if q in want}
        values |= {"depth": positions[:, 2:]} if "depth" in want else {}
        images: Quantities = {}
        if values:
            joined = drawn.interpolate(torch.cat([*values.values()], dim=1))
            parts = joined.split([v.shape[1] for v in values.values()], dim=2)
            images = dict(zip(values, parts, strict=True))
        if "rgb" in images:
            images["rgb"] = torch.where(drawn.hit[..., None], images["rgb"], behind.to(images["rgb"]))
        if "alpha" in want:
            images["alpha"] = drawn.hit[..., None].to(positions)
        blended = [q for q in ("rgb", "alpha", "normal") if q in images]
        if blended:
            smooth = drawn.antialias(torch.cat([images[q] for q in blended], dim=2))
            images |= zip(blended, smooth.split([images[q].shape[2] for q in blended], dim=2), strict=True)
        return {q: v[..., 0] if q in ("alpha", "depth") else v for q, v in images.items()}
