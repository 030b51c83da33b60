"""Where the real data lie, and small helpers that write point files by hand."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shapes() -> Path:
    """The folder of real scans and meshes; tests that need it skip where it is absent."""
    root = os.environ.get("NEURALFW_SHARED_DATA", Path(__file__).resolve().parents[2] / "../shared/data")
    folder = Path(root) / "pointcloud_mesh"
    if not folder.is_dir():
        pytest.skip(f"real data are not at {folder}; set NEURALFW_SHARED_DATA")
    return folder
