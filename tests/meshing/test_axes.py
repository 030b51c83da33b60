"""Marching cubes on a grid along the principal axes of the surface."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from neuralfw.geometry import Mesh
from neuralfw.meshers.config import MarchingCubesConfig
from neuralfw.meshers.marching_cubes import along_its_axes
from neuralfw.meshing import extract

HALF = torch.tensor([0.8, 0.2, 0.1])
TURN = Rotation.from_rotvec([0.4, -0.7, 0.5]).as_matrix()
AT = torch.tensor([0.05, -0.1, 0.15])
BOUNDS = np.full(3, -1.0), np.full(3, 1.0)


def slab(x: Tensor) -> Tensor:
    """Distance to a box that is turned."""
    beyond = ((x - AT) @ torch.from_numpy(TURN).to(x)).abs() - HALF
    return beyond.clamp_min(0.0).norm(dim=1) + beyond.amax(dim=1).clamp_max(0.0)


@pytest.mark.parametrize("components", [None, 1])
def test_the_grid_lies_around_the_object(components: int | None) -> None:
    options = MarchingCubesConfig(resolution=96, axes="object", components=components)
    found = along_its_axes(slab, BOUNDS, options, torch.device("cpu"))
    plain = extract(slab, BOUNDS, 96)
    assert found.stats.spacing < 0.9 * plain.stats.spacing
    cells = np.array(found.stats.cells)
    np.testing.assert_allclose(cells / cells.max(), (HALF + 0.03).numpy() / 0.83, atol=0.08)
    assert not found.stats.leaves_bounds
    assert slab(torch.from_numpy(found.vertices).float()).abs().max() < found.stats.spacing
    volume = Mesh(found.vertices, found.faces).volume
    assert volume == pytest.approx(8 * float(HALF.prod()), rel=0.02)


def test_other_parts_do_not_turn_the_grid_of_the_largest() -> None:
    """A speck far away would turn and widen the box."""

    def with_speck(x: Tensor) -> Tensor:
        return torch.minimum(slab(x), (x - 0.9).norm(dim=1) - 0.04)

    options = MarchingCubesConfig(resolution=64, axes="object", components=1)
    alone = along_its_axes(slab, BOUNDS, options, torch.device("cpu"))
    beside = along_its_axes(with_speck, BOUNDS, options, torch.device("cpu"))
    assert beside.stats.spacing == pytest.approx(alone.stats.spacing, rel=1e-3)
