"""Surfaces of particles: blocks apart are two bodies, blocks that meet are one, and spray is none."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from neuralfw.geometry import read_mesh
from neuralfw.geometry.topology import topology

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
import make_double_dam


def write_particles(path: Path, points: np.ndarray) -> None:
    """Write a legacy binary VTK file."""
    head = f"# vtk DataFile Version 4.1\nparticles\nBINARY\nDATASET UNSTRUCTURED_GRID\nPOINTS {len(points)} float\n"
    path.write_bytes(head.encode() + points.astype(">f4").tobytes() + b"\nCELLS 0 0\n")


def test_two_blocks_become_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = make_double_dam.SPACING * np.arange(6)
    block = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    spray = np.array([[1.0, 0.0, 0.0], [1.0, 0.04, 0.0]])
    (tmp_path / "particles").mkdir()
    for index, apart in enumerate((0.6, 0.3)):
        points = np.concatenate([block, block + np.array([apart, 0.0, 0.0]), spray])
        write_particles(tmp_path / f"particles/{index}.vtk", points)
    monkeypatch.setattr(make_double_dam, "RESOLUTION", 32)
    monkeypatch.setattr(sys, "argv", ["make_double_dam.py", str(tmp_path / "particles"), str(tmp_path / "out")])
    make_double_dam.main()
    meshes = [read_mesh(tmp_path / f"out/{index:04d}.ply") for index in (0, 1)]
    assert [topology(mesh).components for mesh in meshes] == [2, 1]
    for mesh in meshes:
        assert mesh.is_closed and 2 * 0.25**3 < mesh.volume < 2 * 0.4**3
        assert mesh.vertices[:, 0].max() < 0.95
