"""Small scenes of Gaussians, and their images and gradients by any backend."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from neuralfw_gaussians.contract import Image, Settings, Splats, View

POSE = torch.tensor(  # a camera that is turned, at distance 3
    [[0.8, -0.6, 0.0, 0.1], [0.48, 0.64, -0.6, -0.1], [0.36, 0.48, 0.8, 3.0], [0.0, 0.0, 0.0, 1.0]]
)


def view(width: int = 50, height: int = 37, pose: Tensor = POSE, focal: float = 60.0) -> View:
    """Return a view whose principal point is off the centre."""
    intrinsics = torch.tensor([focal, 0.9 * focal, 0.4 * width, 0.6 * height], dtype=torch.float64)
    return View(pose, intrinsics, width, height)


def random(count: int, size: float = 0.3, sh: int = 16, opaque: float = 1.0, seed: int = 0) -> Splats:
    """Return Gaussians in a cube of edge 2, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    uniform = lambda *shape: torch.rand(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    normal = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return Splats(
        means=2.0 * uniform(count, 3) - 1.0,
        scales=size * uniform(count, 3) + 1e-3,
        rotations=torch.nn.functional.normalize(normal(count, 4), dim=1),
        opacities=(0.02 + 0.98 * uniform(count)) * opaque,
        sh=0.4 * normal(count, sh, 3),
    )


def one(**given: Any) -> Splats:
    """Return one ball in front of a camera at the origin, opacity 0.8, of colour (0.9, 0.5, 0.2)."""
    color = torch.tensor([[0.9, 0.5, 0.2]], dtype=torch.float64)
    ball = {
        "means": torch.tensor([[0.0, 0.0, 2.0]], dtype=torch.float64),
        "scales": torch.full((1, 3), 0.1, dtype=torch.float64),
        "rotations": torch.tensor([[1.0, 0.0, 0.0, 0.0]], dtype=torch.float64),
        "opacities": torch.tensor([0.8], dtype=torch.float64),
        "sh": ((color - 0.5) / 0.28209479177387814)[:, None],
    }
    return Splats(**(ball | given))


def straight(width: int = 33, height: int = 33, focal: float = 40.0) -> View:
    """Return a view from the origin along z."""
    intrinsics = torch.tensor([focal, focal, 0.5 * width, 0.5 * height], dtype=torch.float64)
    return View(torch.eye(4, dtype=torch.float64), intrinsics, width, height)


def render(backend: ModuleType, splats: Splats, camera: View, dtype: torch.dtype, **settings: Any) -> Image:
    """Return the image that a backend makes in a precision, without gradients."""
    made = Splats(**{name: value.to(dtype) for name, value in vars(splats).items()})
    seen = View(camera.world_to_camera.to(dtype), camera.intrinsics.to(dtype), camera.width, camera.height)
    with torch.no_grad():
        image: Image = backend.render(made, seen, Settings(**settings), torch.zeros(len(splats.means), 2))
    return image


@dataclass
class Differentiated:
    """An image and the gradients of a random weighing of all that it holds."""

    image: Image
    gradients: dict[str, Tensor]


def differentiate(
    backend: ModuleType,
    splats: Splats,
    camera: View,
    dtype: torch.dtype,
    features: Tensor | None = None,
    **settings: Any,
) -> Differentiated:
    """Render and go back, in a precision."""
    pose = camera.world_to_camera
    given = vars(splats) | {"pose": pose} | ({} if features is None else {"features": features})
    leaves = {name: value.detach().to(dtype).clone().requires_grad_() for name, value in given.items()}
    made = Splats(**{name: leaves[name] for name in vars(splats)})
    seen = View(leaves["pose"], camera.intrinsics.to(dtype), camera.width, camera.height)
    screen = torch.zeros(len(splats.means), 2)
    options = Settings(features=leaves.get("features"), **settings)
    image: Image = backend.render(made, seen, options, screen)
    generator = torch.Generator().manual_seed(7)
    loss = torch.zeros((), dtype=torch.float64)
    for part in (image.rgb, image.alpha, image.depth, image.features):
        if part is not None:
            weights = torch.rand(part.shape, generator=generator, dtype=torch.float64) - 0.3
            loss = loss + (part.double() * weights).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    return Differentiated(image, gradients | {"screen": screen})
