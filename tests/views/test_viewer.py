"""A run in a browser: a server is started, asked, worked at the panel, looked at, and stopped."""

from __future__ import annotations

import importlib
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import neuralfw
from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, read_mesh, write_mesh
from neuralfw.geometry.splats import Stored
from neuralfw.run import Run
from neuralfw.viewer.contents import Contents, covariances, distance_colors
from neuralfw.viewer.viewer import Viewer, _pose

from .conftest import CENTER, COLOR, RADIUS, camera

Write = Callable[..., Path]
SETTINGS = ["evaluate.views=false", "log.tensorboard=true", "log.pictures=2", "stages.fit.steps=5"]


@pytest.fixture
def run(recipe: Write, tmp_path: Path) -> Run:
    return neuralfw.train(recipe(), SETTINGS, out=tmp_path / "run", device="cpu")


@pytest.fixture
def viewer(run: Run) -> Iterator[Viewer]:
    pytest.importorskip("viser", reason="viser is not installed: pip install 'neuralfw[viewer]'")
    with Viewer(Contents(run)) as started:
        yield started


# -- what there is to see, without a server ----------------------------------------------------------------------------


def test_the_parts_of_a_run_lie_in_its_world(run: Run) -> None:
    contents = Contents(run)
    mesh = contents.mesh()
    assert mesh is not None
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices - CENTER, axis=1), RADIUS, rtol=0.02)
    assert [*contents.files] == ["mesh"] and contents.looks == ["shape", "colors", "normals"]
    assert len(contents.cameras) == 6 and contents.points is None and contents.gaussians is None
    for k, (seen, picture) in enumerate(contents.cameras):
        np.testing.assert_allclose(seen.center, camera(k).center, atol=1e-6)
        np.testing.assert_allclose(picture[20, 20], COLOR, atol=2)
    assert (contents.box[0] < CENTER - 0.9 * RADIUS).all() and (contents.box[1] > CENTER + 0.9 * RADIUS).all()


def test_meshes_of_the_training_are_kept_in_the_world(run: Run) -> None:
    steps = Contents(run).steps
    assert sorted(steps) == [2, 4, 5]
    radii = np.linalg.norm(read_mesh(steps[2]).vertices - CENTER, axis=1)
    np.testing.assert_allclose(radii, RADIUS, rtol=0.02)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_shows_where_the_sdf_is_negative(run: Run, axis: int) -> None:
    contents = Contents(run)
    plane = contents.sliced(axis, 0.6)
    assert plane.center[axis] == pytest.approx(contents.box[0, axis] + 0.6 * np.ptp(contents.box[:, axis]))
    height, width = plane.image.shape[:2]
    blue = (plane.image[..., 2].astype(int) - plane.image[..., 0]) > 5
    share = (np.indices((height, width)) + 0.5) / np.array([height, width])[:, None, None] - 0.5
    points = plane.center + share[1][..., None] * plane.across + share[0][..., None] * plane.down
    inside = np.linalg.norm(points - CENTER, axis=-1) < RADIUS
    assert inside.any() and (blue != inside).mean() < 0.04  # they differ at the black line alone
    assert abs(plane.across @ plane.down) < 1e-12 and plane.across[axis] == plane.down[axis] == 0.0


def test_lines_of_a_slice() -> None:
    values = np.tile(np.linspace(-1.0, 1.0, 41), (5, 1)) + 0.01
    picture = distance_colors(values, 2.0).astype(int)
    assert [*np.flatnonzero((picture[2] == 0).all(axis=-1))] == [19]  # the last cell before 0
    assert (picture[2, :19, 2] > picture[2, :19, 0]).all() and (picture[2, 20:, 0] > picture[2, 20:, 2]).all()


def test_the_look_of_a_mesh(run: Run, tmp_path: Path) -> None:
    contents = Contents(run)
    mesh = contents.mesh()
    assert mesh is not None
    normals = contents.painted(mesh, "normals").colors
    np.testing.assert_allclose(2.0 * normals - 1.0, (mesh.vertices - CENTER) / RADIUS, atol=0.1)  # type: ignore[operator]
    write_mesh(tmp_path / "truth.ply", mesh.vertices + np.array([0.0, 0.0, 1.0]), mesh.faces)
    told = Contents(run, reference=tmp_path / "truth.ply")
    assert told.looks[-1] == "error"
    wrong = told.painted(mesh, "error").colors
    top = np.argmax(mesh.vertices[:, 2])
    np.testing.assert_allclose(wrong[top], [0.50, 0.05, 0.16])  # type: ignore[index]


def test_covariances_of_gaussians() -> None:
    half = np.sqrt(0.5)
    turned = Stored(
        means=np.zeros((1, 3), np.float32), log_scales=np.log([[1.0, 2.0, 3.0]]).astype(np.float32),
        quaternions=np.array([[half, 0.0, 0.0, half]], np.float32), opacity_logits=np.zeros(1, np.float32),
        sh=np.zeros((1, 1, 3), np.float32),
    )  # fmt: skip
    np.testing.assert_allclose(covariances(turned)[0], np.diag([4.0, 1.0, 9.0]), atol=1e-6)


def test_cameras_have_opencvs_axes() -> None:
    wxyz, place = _pose(camera(0))
    w, *v = wxyz
    forward = np.array([0.0, 0.0, 1.0])
    turned = forward + 2 * w * np.cross(v, forward) + 2 * np.cross(v, np.cross(v, forward))
    np.testing.assert_allclose(turned, (CENTER - place) / np.linalg.norm(CENTER - place), atol=1e-6)


# -- the server --------------------------------------------------------------------------------------------------------


def test_a_server_answers_on_loopback_alone_and_ends(viewer: Viewer) -> None:
    port = viewer.server.get_port()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=20) as page:
        assert page.status == 200 and b"<html" in page.read().lower()
    elsewhere = next((a[4][0] for a in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)), "127.0.0.1")
    if not elsewhere.startswith("127."):
        with pytest.raises(OSError):
            socket.create_connection((elsewhere, port), timeout=2).close()
    viewer.stop()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=2).close()


def test_the_panel_changes_what_is_shown(viewer: Viewer) -> None:
    scene, parts = viewer.server.scene, viewer.parts
    assert scene.get_handle_by_name("/surface").visible and scene.get_handle_by_name("/edges") is None
    viewer.parts["wireframe"].value = True
    viewer._draw()
    assert scene.get_handle_by_name("/edges") is not None
    parts["slice"].value = True
    viewer._cut()
    assert scene.get_handle_by_name("/slice").render_width == pytest.approx(np.ptp(viewer._contents.box[:, 0]))
    parts["surface"].value = False
    viewer._draw()
    assert scene.get_handle_by_name("/surface") is None
    assert not scene.get_handle_by_name("/cameras/5").visible
    viewer._step(2)
    assert isinstance(viewer._shown, Mesh) and parts["step"].max == 3


def test_a_browser_shows_the_object(viewer: Viewer, tmp_path: Path) -> None:
    browser = next((b for b in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if b), None)
    if browser is None:
        pytest.skip("no chromium or google-chrome here: apt-get install chromium")
    shot = tmp_path / "view.png"
    subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
         "--window-size=1000,700", "--virtual-time-budget=15000", f"--user-data-dir={tmp_path / 'profile'}",
         f"--screenshot={shot}", viewer.url],
        check=True, capture_output=True, timeout=180,
    )  # fmt: skip
    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)[200:, :650]  # beside the panel, below notices
    assert ((pixels[..., 2] - pixels[..., 0]) > 6).mean() > 0.05  # the grey-blue ball


def test_without_viser_it_says_how_to_get_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(UserError, match=r"pip install 'neuralfw\[viewer\]'"):
        Viewer(Contents(run))
