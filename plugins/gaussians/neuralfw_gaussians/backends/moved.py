"""A backend of one device for scenes on another."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..contract import Backend, Image, Settings, Splats, View


def moved(render: Backend, device: torch.device) -> Backend:
    """Return a backend that copies everything to a device, renders there and copies the image back."""

    def render_there(splats: Splats, view: View, settings: Settings, screen: Float[Tensor, "g 2"]) -> Image:
        features, filled = settings.features, torch.zeros_like(screen, device=device)

        def add(_: Tensor) -> None:
            screen.add_(filled.to(screen.device))

        means = splats.means.to(device, copy=True)
        if means.requires_grad:
            means.register_hook(add)
        others = {name: tensor.to(device) for name, tensor in vars(splats).items() if name != "means"}
        image = render(
            Splats(means=means, **others),
            replace(view, world_to_camera=view.world_to_camera.to(device), intrinsics=view.intrinsics.to(device)),
            replace(settings, features=None if features is None else features.to(device)),
            filled,
        )
        back = {name: tensor.to(screen.device) for name, tensor in vars(image).items() if tensor is not None}
        return replace(image, **back)

    return render_there
