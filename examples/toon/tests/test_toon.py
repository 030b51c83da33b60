"""The renderer keeps the contract of renderers; tones and outlines are where geometry says."""

from collections.abc import Callable

import pytest
import torch

from neuralfw.registry import discover
from neuralfw.session import check
from neuralfw.testing import build_component


def test_it_is_found_by_its_name() -> None:
    assert discover().find("renderer", "toon").full_name == "toon/toon"


def test_contract(contract: Callable[[], None]) -> None:
    contract()


def test_there_are_as_many_tones_as_said() -> None:
    toon = build_component("renderer", "toon", {"tones": 4, "softness": 1e-6, "shadow": 0.1})
    tones = toon.tone(torch.linspace(-1, 1, 1000)).unique()
    torch.testing.assert_close(tones, torch.tensor([0.1, 0.4, 0.7, 1.0]))


def test_a_renderer_without_normals_does_not_fit() -> None:
    recipe = {"data.points.path": "x.ply", "renderers.main": "{ type = 'toon', of = 'query' }"}
    with pytest.raises(Exception, match="of must render alpha and normal, which query does not"):
        check("igr", [f"{key}={value}" for key, value in recipe.items()])
