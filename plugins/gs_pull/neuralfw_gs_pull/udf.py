"""Meshes where an unsigned distance is zero: no sign changes there, but the gradient turns round."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from torch import Tensor

from neuralfw.components import Build, Mesher
from neuralfw.meshing import Surface, extract, largest_components
from neuralfw.scene import SceneView

from .band import Band, Distance, band_cells
from .config import UdfConfig


class UdfMesher(Mesher):
    """One sheet by marching cubes over signs that the gradients vote for, or two sheets that coincide.

    `single` follows MeshUDF (Guillard et al. 2022, arXiv 2111.14549): two corners of a cell lie on different sides
    where their gradients face each other. The votes are made consistent along a spanning forest of the strongest ones.
    `double` is what GS-Pull's code writes: the level set of a small value, moved back along the gradient.
    """

    def __init__(self, config: UdfConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config

    def __call__(
        self,
        scene: SceneView,
        *,
        resolution: int | None = None,
        inputs: dict[str, Tensor] | None = None,
        **changes: Any,
    ) -> Surface:
        """Return the surface in the training space; `inputs` fixes further coordinates, each a tensor of one row.

        Raises:
            EmptySurfaceError: the distance comes nowhere near 0 in the box.
        """
        options = self._config.model_copy(update={"resolution": resolution or self._config.resolution, **changes})
        fixed = inputs or {}

        @torch.no_grad()
        def distance(x: Float[Tensor, "n 3"], want: frozenset[str]) -> dict[str, Tensor]:
            rows = {q: v.expand(len(x), *v.shape[1:]) for q, v in fixed.items()}
            return scene.evaluate({"points": x, **rows}, want)

        form = _double if options.form == "double" else _single
        surface = form(Distance(distance, options.chunk, scene.device), scene.box.cpu().double().numpy(), options)
        return surface if options.components is None else largest_components(surface, options.components)


def _double(field: Distance, box: Float64[np.ndarray, "2 3"], options: UdfConfig) -> Surface:
    """Return the level set of `level`, each vertex moved back onto the zero set along the gradient."""
    edge = float((box[1] - box[0]).max())
    lower, upper = box[0] - options.padding * edge, box[1] + options.padding * edge
    shell = extract(
        field.value, (lower, upper), options.resolution, level=options.level * edge, chunk=options.chunk,
        device=field.device,
    )  # fmt: skip
    _, gradient = field.at(shell.vertices)
    length = np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-12)
    return Surface(shell.vertices - options.level * edge * gradient / length, shell.faces, shell.stats)


def _single(field: Distance, box: Float64[np.ndarray, "2 3"], options: UdfConfig) -> Surface:
    """Return one sheet, open where the distance is."""
    margin = options.padding * (box[1] - box[0]).max()
    band = band_cells(field, (box[0] - margin, box[1] + margin), options.resolution)
    return _without_far_faces(band.surface(_signs(band)), field)


def _signs(band: Band) -> Float64[np.ndarray, "n"]:
    """Return a sign for each node so that nodes whose gradients face each other lie on different sides.

    Of all pairs of neighbours, those of a maximum spanning forest decide: the clearest votes. Which side of a sheet is
    the positive one is left to chance.
    """
    a, b = band.edges.T
    count = len(band.values)
    cosine = (band.gradients[a] * band.gradients[b]).sum(axis=1)
    doubt = coo_array((2.0 - np.abs(cosine), (a, b)), shape=(count, count)).tocsr()
    forest = minimum_spanning_tree(doubt).tocoo()
    parent = _parents(forest.row, forest.col, count)
    signs = np.ones(count)
    for child, other in ((forest.row, forest.col), (forest.col, forest.row)):
        own = parent[child] == other
        opposed = (band.gradients[child[own]] * band.gradients[other[own]]).sum(axis=1) < 0
        signs[child[own]] = np.where(opposed, -1.0, 1.0)
    while (parent[parent] != parent).any():
        signs, parent = signs * signs[parent], parent[parent]
    return signs


def _parents(a: Int[np.ndarray, "e"], b: Int[np.ndarray, "e"], count: int) -> Int64[np.ndarray, "n"]:
    """Return the parent of each node of a forest; a root is its own."""
    linked = coo_array((np.ones(len(a)), (a, b)), shape=(count, count))
    _, tree = connected_components(linked, directed=False)
    roots = np.unique(tree, return_index=True)[1]
    above = np.full(len(roots), count)  # one node above all roots, so that one walk reaches every tree
    rows, columns = np.concatenate([a, above]), np.concatenate([b, roots])
    whole = coo_array((np.ones(len(rows)), (rows, columns)), shape=(count + 1, count + 1)).tocsr()
    _, parent = breadth_first_order(whole, count, directed=False)
    parent = parent[:count].astype(np.int64)
    parent[roots] = roots
    return parent


def _without_far_faces(surface: Surface, field: Distance) -> Surface:
    """Drop faces that the vote made where no sheet is: those with a vertex farther from it than half a cell."""
    near = field.sizes(surface.vertices) < 0.5 * surface.stats.spacing
    faces = surface.faces[near[surface.faces].all(axis=1)]
    used, faces = np.unique(faces, return_inverse=True)
    return Surface(surface.vertices[used], faces.reshape(-1, 3), surface.stats)
