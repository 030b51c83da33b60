"""How well a run predicts photographs, and how well its mesh fits their silhouettes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from neuralfw.geometry import Camera, Mesh
from neuralfw.raster import ray_distance

from .figure import figure
from .images import Unavailable, lpips, psnr, ssim


@dataclass(frozen=True, eq=False)
class JudgedView:
    """A photograph, and what was predicted of it.

    Attributes:
        camera: in the world of the mesh.
        photograph: colours in [0, 1].
        render: the prediction, or None where nothing renders.
        mask: 1 on the object; or None.
        valid: the pixels that count; or None where all do.
        depth: along the optical axis, world units, 0 where it is unknown; or None.
        name: of the photograph.
        time: of the photograph, in a scene that moves.
        mesh: of that time, where the scene has another at each.
    """

    camera: Camera
    photograph: Float[Tensor, "h w 3"]
    render: Float[Tensor, "h w 3"] | None
    mask: Float[Tensor, "h w"] | None = None
    valid: Bool[Tensor, "h w"] | None = None
    depth: Float[Tensor, "h w"] | None = None
    name: str = ""
    time: float | None = None
    mesh: Mesh | None = None

    @property
    def counted(self) -> Bool[Tensor, "h w"]:
        """The pixels that count."""
        return torch.ones(self.photograph.shape[:2], dtype=torch.bool) if self.valid is None else self.valid

    @property
    def object(self) -> Bool[Tensor, "h w"] | None:
        """The pixels that count and show the object: mask above 0.5."""
        return None if self.mask is None else (self.mask > 0.5) & self.counted


@dataclass
class _Tally:
    """What is kept of the views: figures of each rendering, and sums over all of them."""

    views: list[dict[str, Any]] = field(default_factory=list)
    figures: dict[str, list[float]] = field(default_factory=dict)
    omitted: dict[str, str] = field(default_factory=dict)
    intersection: int = 0
    union: int = 0
    errors: list[Float[np.ndarray, " n"]] = field(default_factory=list)

    def begin(self, view: JudgedView) -> None:
        self.views.append({"view": view.name} | ({} if view.time is None else {"time": view.time}))

    def add(self, name: str, value: float) -> None:
        if not np.isnan(value):
            self.views[-1][name] = value
            self.figures.setdefault(name, []).append(value)


_Fact = tuple[str, Literal["lower", "higher"], str]
_RENDERED: dict[str, _Fact] = {
    "psnr": ("dB", "higher", "PSNR over all pixels of a view, mean over views; colours clamped to [0, 1]."),
    "psnr_mask": ("dB", "higher", "PSNR over the pixels of a view whose mask exceeds 0.5, mean over views."),
    "ssim": ("1", "higher", "SSIM, Gaussian window of 11 pixels (sigma 1.5) inside the image, mean over views."),
    "lpips": ("1", "lower", "LPIPS 0.1 with VGG-16, mean over views."),
}


def evaluate_views(
    views: Iterable[JudgedView], mesh: Mesh | None, *, diagonal: float, diagonal_of: str = "the data's box"
) -> dict[str, Any]:
    """Judge renderings and a mesh by photographs.

    Args:
        views: taken one after another, none is kept.
        mesh: in the world of the cameras; None where a run has none, or a view brings its own.
        diagonal: the length by which errors of distance are divided, world units.
        diagonal_of: what has this diagonal, for the definition.

    Returns:
        What JSON can hold: the number of views; `each`, the figures of every view; `metrics` with value, unit, which
        way is better and definition; `omitted` with the reason for each figure that there is not.
    """
    tally, meshes = _Tally(), 0
    for view in views:
        tally.begin(view)
        _judge_rendering(view, tally)
        if (seen := view.mesh or mesh) is not None:
            meshes += 1
            _judge_mesh(view, seen, tally)
    found = {
        name: figure(float(np.mean(tally.figures[name])), *facts)
        for name, facts in _RENDERED.items()
        if name in tally.figures
    }
    omitted = {name: tally.omitted.get(name, "there is no photograph") for name in _RENDERED if name not in found}
    found |= _of_mesh(tally, diagonal, diagonal_of)
    for name in ("silhouette_iou", "ray_distance_median", "ray_distance_p80"):
        if name not in found:
            truth = "masks" if name == "silhouette_iou" else "depth maps"
            omitted[name] = "there is no mesh" if meshes == 0 else f"the photographs have no {truth}"
    return {
        "views": len(tally.views),
        "each": tally.views,
        "metrics": found,
        "omitted": omitted,
    }


def _judge_rendering(view: JudgedView, tally: _Tally) -> None:
    image, photograph, valid = view.render, view.photograph, view.valid
    if image is None:
        tally.omitted.update(dict.fromkeys(_RENDERED, "no pass of the recipe renders colours"))
        return
    shown = image if valid is None else torch.where(valid[..., None], image, photograph)
    computed: dict[str, Callable[[], float]] = {
        "psnr": lambda: psnr(image, photograph, valid),
        "ssim": lambda: ssim(image, photograph, valid),
        "lpips": lambda: lpips(shown, photograph),
    }
    if view.object is None:
        tally.omitted["psnr_mask"] = "the photographs have no masks"
    else:
        tally.add("psnr_mask", psnr(image, photograph, view.object))
    for name, compute in computed.items():
        try:
            tally.add(name, compute())
        except Unavailable as reason:
            tally.omitted[name] = str(reason)


def _judge_mesh(view: JudgedView, mesh: Mesh, tally: _Tally) -> None:
    if view.object is None and view.depth is None:
        return
    distance = ray_distance(mesh, view.camera)
    counted = view.counted.numpy()
    if view.object is not None:
        hit, shown = np.isfinite(distance) & counted, view.object.numpy()
        tally.intersection += int((hit & shown).sum())
        tally.union += int((hit | shown).sum())
    if view.depth is not None:
        known = counted & (view.depth.numpy() > 0.0)
        if view.object is not None:
            known &= view.object.numpy()
        cosine = view.camera.rays()[1] @ view.camera.axis
        tally.errors.append(np.abs(distance - view.depth.numpy() / cosine)[known])


def _of_mesh(tally: _Tally, diagonal: float, diagonal_of: str) -> dict[str, Any]:
    found = {}
    if tally.union:
        text = "Pixels in both the mesh and a mask (above 0.5) over those in either, each summed over all views."
        found["silhouette_iou"] = figure(tally.intersection / tally.union, "1", "higher", text)
    if sum(map(len, tally.errors)):
        errors = np.concatenate(tally.errors) / diagonal
        for name, share in (("median", 50), ("p80", 80)):
            text = (
                f"{share} % of the object's pixels with known depth have at most this difference between mesh and depth"
                f" map in distance along the ray, a miss being infinite; divided by the diagonal of {diagonal_of},"
                f" {diagonal:.6g}."
            )
            value = float(np.percentile(errors, share, method="higher"))
            found[f"ray_distance_{name}"] = figure(value, "1", "lower", text)
    return found
