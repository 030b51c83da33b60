"""Options of the renderer and of the losses of images. Imports no torch."""

from __future__ import annotations

from typing import Literal

from neuralfw.config import ComponentConfig, Option, Wiring

GAUSSIANS = ("gaussians/means", "gaussians/scales", "gaussians/rotations", "gaussians/opacities", "gaussians/sh")
SCREEN = ("gaussians/screen_gradient", "gaussians/radii")


class SplatConfig(ComponentConfig):
    """Options of `splat`."""

    backend: Literal["auto", "cpu", "plain", "gsplat", "diff_gaussian_rasterization"] = Option(
        "auto", description="who renders: auto takes the first of CUDA's that works on a CUDA device, else cpu"
    )
    antialiased: bool = Option(False, description="keep the energy of small Gaussians (Mip-Splatting's 2D filter)")

    def wiring(self) -> Wiring:
        images = ("rgb", "alpha", "depth", "normal")
        return Wiring(
            needs=GAUSSIANS,
            observes=("world_to_camera", "intrinsics", "size", "background?"),
            provides=dict.fromkeys((*images, *SCREEN), GAUSSIANS),
        )


class L1DssimConfig(ComponentConfig):
    """Options of `l1_dssim`."""

    share: float = Option(0.2, gt=0, le=1, description="share of 1 - SSIM; the rest is the absolute difference")

    def wiring(self) -> Wiring:
        return Wiring(needs=("rgb",), observes=("rgb", "valid?"))


class DssimConfig(ComponentConfig):
    """Options of `dssim`: none."""

    def wiring(self) -> Wiring:
        return Wiring(needs=("rgb",), observes=("rgb", "valid?"))
