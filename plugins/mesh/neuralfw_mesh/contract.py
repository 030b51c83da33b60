"""What draws a mesh: the contract of the backends of `mesh`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from jaxtyping import Bool, Float, Int64
from torch import Tensor

Silhouettes = Literal["all", "shown"]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Triangles:
    """The faces of a mesh, three vertex indices each, and what a backend makes of them once for all views."""

    faces: Int64[Tensor, "f 3"]
    _made: dict[str, Any] = field(default_factory=dict)

    def once(self, key: str, make: Callable[[], T]) -> T:
        """Return what `make` makes, made when first asked for."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class View:
    """A pinhole image: fx, fy, cx, cy in pixels, the centre of pixel (i, j) being (i + 0.5, j + 0.5).

    `near` is the depth from which on something is seen. `silhouettes` says which edges `antialias` takes: those of
    faces in the centre of a pixel, as nvdiffrast does, or all; a backend's module lists what it can in `SILHOUETTES`.
    """

    intrinsics: tuple[float, float, float, float]
    width: int
    height: int
    near: float = 1e-3
    silhouettes: Silhouettes = "shown"


@runtime_checkable
class Drawn(Protocol):
    """A mesh as one view sees it. Gradients reach the positions that were drawn.

    Attributes:
        hit: the pixels whose centre the mesh covers.
    """

    hit: Bool[Tensor, "h w"]

    def interpolate(self, values: Float[Tensor, "n c"]) -> Float[Tensor, "h w c"]:
        """Return values of vertices at the pixels, corrected for perspective; 0 where nothing is hit."""

    def antialias(self, image: Float[Tensor, "h w c"]) -> Float[Tensor, "h w c"]:
        """Return an image of this mesh, background included, blended across the silhouettes (Laine et al. 2020)."""


Backend = Callable[[Float[Tensor, "n 3"], Triangles, View], Drawn]
"""Draws vertices, given in camera axes (x right, y down, z forward)."""
