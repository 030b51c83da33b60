"""The scene of known shape and colours: its photographs, its mesh, and tracing against its exact depths."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from neuralfw.geometry import read_mesh
from neuralfw.photos.convert import Noise
from neuralfw.photos.idr import NOISY
from neuralfw.photos.pictures import read_mask, read_picture
from neuralfw.photos.sniff import read_capture
from neuralfw.renderers.guide import Guide, bounding, grid_of, guided_search
from neuralfw.renderers.rays import Rays, sphere_span
from neuralfw.renderers.trace_config import SphereTraceConfig
from neuralfw.renderers.tracing import AlongRays, dense_search

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import analytic_scene as scene

CUBE = torch.tensor([[-1.0] * 3, [1.0] * 3], dtype=torch.float64)


def sdf(x: Tensor) -> Tensor:
    return torch.from_numpy(scene.sdf(x.numpy()))


@pytest.mark.parametrize("how", ["guided", "dense"])
def test_depths_of_all_rays_are_exact_to_a_ten_thousandth(how: str) -> None:
    """Corners that a ray cuts through between two samples and kinks of the distance included.

    Only whether a ray is met that comes nearer than the threshold and passes is a matter of the threshold.
    """
    options = SphereTraceConfig() if how == "guided" else SphereTraceConfig(threshold=1e-6, iterations=60)
    values = grid_of(sdf, CUBE, 64, 1.0)
    guide = Guide(values, CUBE, bounding(values, CUBE))
    hits = 0
    for camera in scene.cameras(9, 40):
        origin, directions = camera.rays()
        along = torch.from_numpy(directions.reshape(-1, 3))
        exact, hit = scene.trace(origin, along.numpy())
        rays = Rays(torch.from_numpy(origin).expand_as(along), along, along.new_ones(1600), (1600,))
        span, f = sphere_span(rays.origins, rays.directions, 1.0), AlongRays(sdf, rays)
        if how == "guided":
            found = guided_search(f, span, guide, options, None)
        else:
            found = dense_search(f, span, options, None, torch.Generator().manual_seed(0))
        t, met = found.t.numpy(), found.hit.numpy()
        assert met[hit].all() and np.abs(t - exact)[hit].max() < 1e-4
        passes = met & ~hit
        assert (scene.sdf(origin + t[passes, None] * along.numpy()[passes]) <= options.threshold).all()
        hits += hit.sum()
    assert hits > 4000


def test_what_is_written(tmp_path: Path) -> None:
    scene.write(tmp_path, size=32, views=3, noise=Noise(degrees=2.0, distance=0.02), cells=40)
    capture = read_capture(tmp_path)
    assert read_capture(tmp_path, cameras=NOISY).true_cameras is not None
    for view, camera in zip(capture.views, scene.cameras(3, 32), strict=True):
        assert np.allclose(view.camera.world_to_camera, camera.world_to_camera, atol=1e-9)
        assert view.mask is not None
        shown, picture = read_mask(view.mask, (32, 32)) > 127, read_picture(view.image, (32, 32)) / 255.0
        origin, directions = camera.rays()
        t, hit = scene.trace(origin, directions.reshape(-1, 3))
        assert np.array_equal(shown.ravel(), hit)
        colors = scene.color(origin + t[hit, None] * directions.reshape(-1, 3)[hit])
        assert np.abs(picture.reshape(-1, 3)[hit] - colors).max() < 0.5 / 255.0 + 1e-9
    truth = read_mesh(tmp_path / "truth.ply")
    off = np.abs(scene.sdf(truth.vertices))
    assert off.mean() < 1e-3 and off.max() < 0.02 and not truth.notes
