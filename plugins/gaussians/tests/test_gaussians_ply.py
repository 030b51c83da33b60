"""Files of Gaussians: the layout that viewers read, byte by byte; damage; the frame."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from known_splats import gaussians, turned_frame

from neuralfw.errors import UserError
from neuralfw.exporting import as_splat
from neuralfw.geometry import Camera, Frame
from neuralfw.geometry.splats import SPLAT, read_gaussians, write_gaussians
from neuralfw_gaussians.backends import plain
from neuralfw_gaussians.contract import Settings, Splats, View
from neuralfw_gaussians.field import Gaussians
from neuralfw_gaussians.render_config import GAUSSIANS

COUNTS = {0: 17, 1: 26, 2: 41, 3: 62}


def saved(field: Gaussians, folder: Path, frame: Frame | None = None) -> Path:
    (path,) = field.export(folder / "gaussians", frame or Frame.identity())
    return path


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_the_layout(tmp_path: Path, degree: int) -> None:
    field = gaussians(5, degree)
    data = saved(field, tmp_path).read_bytes()
    header, _, body = data.partition(b"end_header\n")
    lines = header.decode().split("\n")
    assert lines[:3] == ["ply", "format binary_little_endian 1.0", "element vertex 5"]
    names = [line.split()[2] for line in lines if line.startswith("property float ")]
    assert names[:9] == ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    assert names[-8:] == ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    assert len(names) == COUNTS[degree]
    assert len(body) == 5 * 4 * COUNTS[degree]
    third = dict(zip(names, struct.unpack_from(f"<{len(names)}f", body, 2 * 4 * len(names)), strict=True))
    stored = {name: parameter[2].detach() for name, parameter in field.named_parameters()}
    assert third["y"] == float(stored["means"][1])
    assert third["f_dc_1"] == float(stored["sh_dc"][0, 1])
    assert third["opacity"] == float(stored["opacity_logits"])
    assert third["scale_2"] == pytest.approx(float(stored["log_scales"][2]), rel=1e-6)
    assert third["rot_0"] == float(stored["quaternions"][0])
    if degree:  # all of red, then all of green
        assert third["f_rest_1"] == float(stored["sh_rest"][1, 0])
        assert third[f"f_rest_{(degree + 1) ** 2 - 1}"] == float(stored["sh_rest"][0, 1])


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_what_is_read_is_written_byte_for_byte(tmp_path: Path, degree: int) -> None:
    path = saved(gaussians(7, degree), tmp_path)
    write_gaussians(tmp_path / "again.ply", read_gaussians(path))
    assert (tmp_path / "again.ply").read_bytes() == path.read_bytes()


def test_a_splat_file_takes_the_place_of_the_ply(tmp_path: Path) -> None:
    path = saved(gaussians(7, 2), tmp_path)
    stored = read_gaussians(path)
    splat = as_splat(path)
    assert splat.suffix == ".splat" and not path.exists()
    records = np.fromfile(splat, SPLAT)
    order = [int(np.flatnonzero((stored.means == mean).all(axis=1))[0]) for mean in records["mean"]]
    assert sorted(order) == [*range(7)]
    np.testing.assert_allclose(records["scale"], np.exp(stored.log_scales)[order], rtol=1e-6)


def test_files_without_normals_are_read(tmp_path: Path) -> None:
    path = saved(gaussians(4, 0), tmp_path)
    whole = read_gaussians(path)
    names = ["x", "y", "z", *(f"f_dc_{i}" for i in range(3)), "opacity", *(f"scale_{i}" for i in range(3))]
    names += [f"rot_{i}" for i in range(4)]
    parts = [whole.means, whole.sh[:, 0], whole.opacity_logits[:, None], whole.log_scales, whole.quaternions]
    columns = np.concatenate(parts, axis=1)
    text = "ply\nformat ascii 1.0\nelement vertex 4\n"
    text += "".join(f"property float {n}\n" for n in names) + "end_header\n"
    text += "\n".join(" ".join(repr(float(v)) for v in row) for row in columns) + "\n"
    (tmp_path / "short.ply").write_text(text)
    short = read_gaussians(tmp_path / "short.ply")
    np.testing.assert_array_equal(short.quaternions, whole.quaternions)
    np.testing.assert_array_equal(short.sh, whole.sh)


def test_two_scales_make_a_surfel(tmp_path: Path) -> None:
    data = saved(gaussians(3, 0), tmp_path).read_bytes()
    (tmp_path / "flat.ply").write_bytes(data.replace(b"property float scale_2\n", b"property float other_\n"))
    scales = read_gaussians(tmp_path / "flat.ply").log_scales
    np.testing.assert_allclose(scales[:, 2], scales[:, :2].min(axis=1) + math.log(1e-3), rtol=1e-6)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_is_a_clear_message_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    whole = saved(gaussians(3, 1), tmp_path).read_bytes()
    cut = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if cut:
            cut[data.draw(st.integers(0, len(cut) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "damaged.ply").write_bytes(bytes(cut))
    try:
        stored = read_gaussians(tmp_path / "damaged.ply")
    except UserError as error:
        assert "damaged.ply" in str(error)
    else:
        assert np.isfinite(stored.means).all()


def test_a_mesh_is_not_taken_for_gaussians(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[3] / "recipes/data/spot_mesh.ply"
    with pytest.raises(UserError, match="not of Gaussians: it lacks"):
        read_gaussians(shipped)


def image(field: Gaussians, camera: Camera) -> torch.Tensor:
    given = field.evaluate({}, frozenset(GAUSSIANS))
    splats = Splats(**{q.removeprefix("gaussians/"): v.double() for q, v in given.items()})
    view = View(
        torch.from_numpy(camera.world_to_camera), torch.from_numpy(camera.intrinsics), camera.width, camera.height
    )
    with torch.no_grad():
        return plain.render(splats, view, Settings(), torch.zeros(len(splats.means), 2)).rgb


def test_the_file_looks_the_same_in_the_world(tmp_path: Path) -> None:
    field, frame = gaussians(40, 3), turned_frame()
    center, up = np.array([0.9, -1.2, 1.4]), np.array([0.0, 0.0, 1.0])
    camera = Camera.look_at(center, np.zeros(3), up, focal=40.0, width=40, height=30)
    there = gaussians(1, 3)
    there.read(saved(field, tmp_path, frame), Frame.identity())
    seen = image(there, camera.to_world(frame))
    torch.testing.assert_close(seen, image(field, camera), atol=2e-4, rtol=0)
    assert float(seen.std()) > 0.05


def test_reading_undoes_writing_in_any_frame(tmp_path: Path) -> None:
    field, frame = gaussians(9, 3), turned_frame()
    again = gaussians(1, 3)
    again.read(saved(field, tmp_path, frame), frame)
    torch.testing.assert_close(again.means, field.means, atol=1e-5, rtol=0)
    torch.testing.assert_close(again.log_scales, field.log_scales, atol=1e-5, rtol=0)
    torch.testing.assert_close(again.sh_rest, field.sh_rest, atol=1e-5, rtol=0)


def test_fewer_harmonics_are_filled_with_nothing(tmp_path: Path) -> None:
    field = gaussians(1, 3)
    field.read(saved(gaussians(6, 1), tmp_path), Frame.identity())
    assert field.sh_rest.shape == (6, 15, 3)
    assert bool((field.sh_rest[:, 3:] == 0).all())
    assert bool((field.sh_rest[:, :3] != 0).any())
