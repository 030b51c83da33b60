"""Spot in recipes/data is small, sound, and made by the command that its README names."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from neuralfw.geometry import clean, point_to_mesh_distance, read_mesh, read_point_cloud

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "recipes" / "data"


def test_the_points_lie_on_the_reference_and_look_outwards():
    mesh = read_mesh(DATA / "spot_mesh.ply")
    assert mesh.is_closed and mesh.volume > 0 and mesh.notes == ()
    cloud = clean(read_point_cloud(DATA / "spot.ply"))
    assert len(cloud) == 10_000 and cloud.notes == ()
    assert point_to_mesh_distance(cloud.points, mesh).max() < 1e-6
    np.testing.assert_allclose(np.linalg.norm(cloud.normals, axis=1), 1.0, atol=1e-12)
    flux = 4 * np.pi * ((cloud.points - cloud.points.mean(axis=0)) * cloud.normals).sum() / 3
    assert flux > 0


def test_the_files_are_small():
    assert (DATA / "spot.ply").stat().st_size < 400_000
    assert (DATA / "spot_mesh.ply").stat().st_size <= 150_000


@pytest.mark.parametrize("name", ["spot.ply", "spot_mesh.ply"])
def test_the_maker_makes_them_again(shapes, tmp_path, name):
    spec = importlib.util.spec_from_file_location("make_shipped_data", ROOT / "tools" / "make_shipped_data.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    tool.make(shapes / "spot" / "spot.obj", tmp_path)
    assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes()
