"""What a splatting backend takes and gives: the same for the CPU kernels, their readable twin and the CUDA packages.

Conventions: OpenCV cameras, the centre of pixel (i, j) at (i + ½, j + ½), unit quaternions (w, x, y, z), lengths in
units of the training space, sizes on the image in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

NEAR = 0.01


@dataclass(frozen=True)
class Splats:
    """Gaussians, activated.

    Attributes:
        means: centres.
        scales: standard deviations along their axes, positive.
        rotations: unit quaternions of their axes.
        opacities: in (0, 1).
        sh: coefficients of spherical harmonics, k = 1, 4, 9 or 16 of them; a colour is ½ + Σ Y_l k_l, at least 0.
    """

    means: Float[Tensor, "g 3"]
    scales: Float[Tensor, "g 3"]
    rotations: Float[Tensor, "g 4"]
    opacities: Float[Tensor, " g"]
    sh: Float[Tensor, "g k 3"]


@dataclass(frozen=True)
class View:
    """A pinhole camera: extrinsics, which may require a gradient, fx, fy, cx, cy and the image's size in pixels."""

    world_to_camera: Float[Tensor, "4 4"]
    intrinsics: Float[Tensor, "4"]
    width: int
    height: int


@dataclass(frozen=True)
class Settings:
    """What else is wanted of an image.

    Attributes:
        antialiased: keep the energy of small Gaussians (the 2D filter of Mip-Splatting, arXiv 2311.16493).
        depth: also composite depth along the optical axis.
        features: also composite these values of each Gaussian.
        absolute: also sum the absolute screen gradients of the pixels (AbsGS, arXiv 2404.10484).
    """

    antialiased: bool = False
    depth: bool = False
    features: Float[Tensor, "g c"] | None = None
    absolute: bool = False


@dataclass(frozen=True)
class Image:
    """What is seen of the Gaussians, in front of nothing.

    Attributes:
        rgb, alpha: composited colours, and 1 minus the transmittance that is left.
        depth, features: the same sums of depths and features, Σ w z and Σ w f, or None where not wanted.
        radii: half the longer edge of what each Gaussian may cover, pixels; 0 if nothing.
    """

    rgb: Float[Tensor, "h w 3"]
    alpha: Float[Tensor, "h w"]
    depth: Float[Tensor, "h w"] | None
    features: Float[Tensor, "h w c"] | None
    radii: Float[Tensor, " g"]


@runtime_checkable
class Backend(Protocol):
    """Renders Gaussians as a camera sees them, differentiably in all that `Splats`, pose and features hold."""

    def __call__(self, splats: Splats, view: View, settings: Settings, screen: Float[Tensor, "g 2"]) -> Image:
        """Return the image. The backward adds to `screen`, for each Gaussian, the length of the gradient in its
        projected mean, in units of half an image, and the same of the sums of absolute gradients of the pixels.
        """
