"""The real scans and meshes among the shared data."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shapes(shared_data: Path) -> Path:
    """The folder of point clouds and meshes."""
    return shared_data / "pointcloud_mesh"
