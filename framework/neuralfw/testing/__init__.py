"""For the tests of plugins: components without a run, contracts, spheres that are known exactly, derivatives."""

from .building import build_component, build_scene
from .contracts import check_encoder, check_resume
from .derivatives import Derivative, directional_derivatives
from .spheres import ExactSphere, Sight, Sphere, image_batch, pixel_batch

__all__ = [
    "Derivative",
    "ExactSphere",
    "Sight",
    "Sphere",
    "build_component",
    "build_scene",
    "check_encoder",
    "check_resume",
    "directional_derivatives",
    "image_batch",
    "pixel_batch",
]
