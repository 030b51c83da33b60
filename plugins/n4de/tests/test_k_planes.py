"""Planes of space and time: their contract, and what they can say."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from neuralfw.testing import build_component, check_encoder


@pytest.mark.parametrize("product", ["all", "opposite"])
def test_it_keeps_the_contract(product: str) -> None:
    encoder = build_component("encoder", "k_planes", {"product": product, "base": 5, "levels": 2, "features": 3})
    for plane in encoder.planes:
        plane.data = torch.randn(plane.shape, generator=torch.Generator().manual_seed(len(plane)))
    assert encoder.out_dim == 3 + 2 * 3 * (1 if product == "all" else 3)
    check_encoder(encoder, dimensions=4)


def test_nothing_moves_at_first_and_the_box_is_scaled() -> None:
    small, large = (build_component("encoder", "k_planes", {"size": s, "include_input": False}) for s in (1.0, 2.0))
    x = 2.0 * torch.rand(20, 4, generator=torch.Generator().manual_seed(0)) - 1.0
    now, later = (torch.cat([x[:, :3], torch.full((20, 1), t)], dim=1) for t in (0.2, 0.9))
    assert_close(small(now), small(later))
    assert_close(large(now * torch.tensor([2.0, 2.0, 2.0, 1.0])), small(now))


def test_a_plane_is_bilinear_in_its_vertices() -> None:
    """With planes of x y whose features are x + 2 y at the vertices, and 1 elsewhere, so are they in between."""
    encoder = build_component("encoder", "k_planes", {"features": 1, "levels": 1, "base": 4, "include_input": False})
    axis = torch.linspace(-1.0, 1.0, 4)
    for k, plane in enumerate(encoder.planes):
        plane.data = (axis[:, None] + 2.0 * axis).reshape(-1, 1) if k == 0 else torch.ones_like(plane)
    x = 1.8 * torch.rand(20, 4, generator=torch.Generator().manual_seed(0)) - 0.9
    assert_close(encoder(x)[:, 0], x[:, 0] + 2.0 * x[:, 1])
