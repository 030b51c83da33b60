"""Gaussians in a scene, without a recipe."""

from __future__ import annotations

from typing import Any

import torch

from neuralfw.components import Build
from neuralfw.geometry import Frame
from neuralfw.schedules import Clock
from neuralfw_gaussians.config import GaussiansConfig
from neuralfw_gaussians.field import Gaussians


class World:
    """What a field is built in; it has no data."""

    def __init__(self, frame: Frame | None = None) -> None:
        self.data: dict[str, Any] = {}
        self.frame = frame or Frame.identity()
        self.bounds = torch.tensor([[-1.0] * 3, [1.0] * 3])


def build(seed: int = 0) -> Build:
    """Return what a component is built with, in that scene."""
    world: Any = World()
    generator = torch.Generator().manual_seed(seed)
    return Build(world, Clock(), torch.device("cpu"), "fields.gaussians", None, lambda spec: None, generator)


def gaussians(count: int = 40, degree: int = 3, seed: int = 0, **options: Any) -> Gaussians:
    """Return random Gaussians in the unit cube, all of whose harmonics count."""
    given = build(seed)
    field, generator = Gaussians(GaussiansConfig(sh_degree=degree, sh_every=0, **options), given), given.generator
    field._fill(
        means=torch.rand(count, 3, generator=generator) - 0.5,
        log_scales=torch.randn(count, 3, generator=generator) * 0.3 - 2.5,
        quaternions=torch.randn(count, 4, generator=generator),
        opacity_logits=torch.randn(count, generator=generator),
        sh=0.3 * torch.randn(count, (degree + 1) ** 2, 3, generator=generator),
    )
    return field


def turned_frame() -> Frame:
    """Return a frame that moves, scales and turns."""
    import numpy as np
    from scipy.spatial.transform import Rotation

    rotation = Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix()
    return Frame(center=np.array([10.0, -20.0, 5.0]), scale=0.25, rotation=rotation)
