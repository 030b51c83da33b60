"""Colours of a moving surface and the splats on it: harmonics, where they lie, what mesh and splats show alike."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.testing import assert_close

from neuralfw.components import Quantities
from neuralfw.errors import UserError
from neuralfw.geometry import Frame, Mesh
from neuralfw.geometry.camera import Camera
from neuralfw.geometry.splats import read_gaussians
from neuralfw.recipe.faults import RecipeError
from neuralfw.rendering import camera_batch
from neuralfw.scene import Scene
from neuralfw.testing import build_component, build_scene
from neuralfw_gaussians.sh import basis

SCENE = """
[fields.sdf]
type   = "keyframed_sdf"
moments = 2
of     = {{ type = "mlp_sdf", width = 32, layers = 2, radius = 0.6 }}

[fields.color]
type    = "surface_color"
degree  = {degree}
time    = "moments"
moments = 2
width   = 16
layers  = 2
encoder = {{ type = "frequency", bands = 2 }}
{color}

[fields.splats]
type       = "surface_splats"
resolution = 32
{splats}

[renderers.mesh]
type       = "mesh"
resolution = 32
size       = 1.0

[renderers.splat]
type = "splat"
"""
CAMERA = Camera.look_at([0.3, -2.6, 0.8], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0], focal=60.0, width=48, height=48)


def scene(splats: str = "", degree: int = 2, color: str = "") -> Scene:
    """Return a scene whose colours are drawn: as it is built, everything is grey."""
    made = build_scene(SCENE.format(splats=splats, degree=degree, color=color))
    with torch.no_grad():
        last = made.fields["color"].mlp.linears()[-1].weight  # type: ignore[union-attr, operator]
        last[:-5] = 0.1 * torch.randn(last[:-5].shape, generator=torch.Generator().manual_seed(0))
    return made


def splats_of(made: Scene, time: float = 0.0) -> Quantities:
    """Return what the splats are at a time."""
    field = made.fields["splats"]
    names = frozenset(f"gaussians/{q}" for q in ("means", "scales", "rotations", "opacities", "sh"))
    return field.evaluate({"time": torch.tensor([time])}, names)  # type: ignore[no-any-return, operator]


def test_harmonics_are_orthonormal() -> None:
    """Over the sphere, by an exact quadrature: Gauss-Legendre in z, equidistant around."""
    z, weights = np.polynomial.legendre.leggauss(8)
    angle = 2.0 * np.pi * np.arange(16) / 16
    r = np.sqrt(1.0 - z**2)
    points = np.stack([np.outer(r, np.cos(angle)), np.outer(r, np.sin(angle)), np.outer(z, np.ones(16))], axis=-1)
    found = basis(torch.from_numpy(points.reshape(-1, 3)), 16)
    weighed = torch.from_numpy(np.repeat(weights, 16) * 2.0 * np.pi / 16)
    assert_close(found.T @ (weighed[:, None] * found), torch.eye(16, dtype=torch.float64), atol=1e-6, rtol=0.0)


def test_a_colour_is_what_its_harmonics_show_towards_the_camera() -> None:
    field = scene().fields["color"]
    generator = torch.Generator().manual_seed(0)
    x, t = torch.randn(9, 3, generator=generator), torch.rand(9, generator=generator)
    towards = torch.nn.functional.normalize(torch.randn(9, 3, generator=generator), dim=1)
    inputs = {"points": x, "time": t, "view_direction": towards}
    color = field.evaluate(inputs, frozenset({"color"}))["color"]  # type: ignore[operator]
    sh = field.look(x, t).sh  # type: ignore[operator]
    assert sh.shape == (9, 9, 3)
    assert_close(color, (0.5 + torch.einsum("nk,nkc->nc", basis(-towards, 9), sh)).clamp_min(0.0))


def test_degree_0_looks_the_same_from_everywhere_and_asks_for_no_direction() -> None:
    options = {"degree": 0, "encoder": "frequency", "width": 8, "layers": 1}
    field = build_component("field", "surface_color", options)
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert_close(field(x), (0.5 + basis(x, 1)[:, :, None] * field.look(x).sh).clamp_min(0.0)[:, 0])


def test_an_image_does_not_pull_at_the_surface_through_its_texture() -> None:
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    field = scene().fields["color"]
    field(x, torch.zeros(5), torch.eye(3)[[0, 1, 2, 0, 1]]).sum().backward()
    assert x.grad is None
    assert all(p.grad is not None for p in field.mlp.parameters())  # type: ignore[union-attr, operator]


def test_a_moment_has_colours_of_its_own() -> None:
    """What the first layer learns of one moment has no weight in another."""
    field = scene().fields["color"]
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    field(x, torch.zeros(5), torch.eye(3)[[0, 1, 2, 0, 1]]).square().sum().backward()
    of_time = field.mlp.linears()[0].weight.grad[:, -2:]  # type: ignore[union-attr, operator]
    assert of_time[:, 0].abs().max() > 0.0 and of_time[:, 1].abs().max() == 0.0


def test_normals_may_be_taken_and_are_those_of_the_surface() -> None:
    """A colour field that is a function of the normal alone: splats have it as a mesh's vertices do."""
    made = scene(degree=1, color="normals = true")
    field = made.fields["color"]
    with torch.no_grad():
        field.mlp.linears()[0].weight[:, :-3] = 0.0  # type: ignore[union-attr, operator]
    found = splats_of(made)
    means = found["gaussians/means"]
    asked = frozenset({"sdf_gradient"})
    gradient = made.fields["sdf"](means, torch.zeros(len(means)), want=asked)["sdf_gradient"]
    assert_close(found["gaussians/sh"], field.look(means.flip(0), torch.ones(len(means)), 3.0 * gradient).sh)  # type: ignore[operator]
    assert found["gaussians/sh"].std(dim=0).max() > 1e-3


def test_there_is_a_splat_of_one_cell_at_each_vertex() -> None:
    made = scene("scale = 1.5")
    found = splats_of(made)
    surface = made.renderers["mesh"].extracted(  # type: ignore[operator]
        made.view({"sdf": "sdf"}), {"time": torch.zeros(1)}
    )
    assert_close(found["gaussians/means"], surface.vertices.detach())
    assert_close(found["gaussians/scales"], torch.full_like(found["gaussians/means"], 1.5 * 2.0 / 32))
    assert_close(found["gaussians/rotations"].norm(dim=1), torch.ones(len(surface.vertices)))
    assert found["gaussians/opacities"].min() > 0.9
    assert not found["gaussians/means"].requires_grad and found["gaussians/sh"].requires_grad


def test_a_file_of_splats_is_theirs_at_its_time_in_the_world(tmp_path: Path) -> None:
    """What is read back as Gaussians of the same frame are the splats of that time, harmonics turned there and back."""
    made = scene("samples = 200\nthickness = 0.2")
    turned = Frame(
        center=np.array([3.0, -2.0, 1.0]), scale=0.25, rotation=Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix()
    )
    (path,) = made.fields["splats"].export(tmp_path / "splats_t0.250", turned, 0.25)  # type: ignore[operator]
    assert path == tmp_path / "splats_t0.250.ply"
    stored = read_gaussians(path)
    expected = splats_of(made, 0.25)
    assert_close(torch.from_numpy(stored.log_scales).exp(), 4.0 * expected["gaussians/scales"])
    np.testing.assert_allclose(turned.to_training(stored.means), expected["gaussians/means"].numpy(), atol=1e-5)
    again = build_component("field", "gaussians", {"init": "random", "count": 1, "sh_degree": 2, "sh_every": 0})
    again.read(path, turned)
    found = again.evaluate({}, frozenset(expected))
    for q in expected:
        assert_close(found[q], expected[q], atol=1e-4, rtol=1e-4, msg=q)


def test_samples_lie_evenly_on_the_surface_and_disks_lie_flat() -> None:
    made = scene("samples = 4000\nthickness = 0.1")
    found = splats_of(made)
    means = found["gaussians/means"]
    assert len(means) == 4000
    normal = torch.nn.functional.normalize(made.fields["sdf"](means, torch.zeros(4000), want=frozenset(
        {"sdf_gradient"}))["sdf_gradient"], dim=1)  # fmt: skip
    w, x, y, z = found["gaussians/rotations"].unbind(dim=1)
    axis = torch.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], dim=1)
    assert (axis * normal).sum(dim=1).abs().min() > 0.999
    assert_close(found["gaussians/scales"][:, 2], 0.1 * found["gaussians/scales"][:, 0])
    surface = made.renderers["mesh"].extracted(  # type: ignore[operator]
        made.view({"sdf": "sdf"}), {"time": torch.zeros(1)}
    )
    mesh = Mesh(surface.vertices.double().numpy(force=True), surface.triangles.faces.numpy())
    # four standard deviations of a mean over the sphere's coordinates
    assert means.mean(dim=0).numpy() == pytest.approx(mesh.centroid, abs=4 * 0.6 / math.sqrt(3 * 4000))


def test_attached_splats_follow_the_distance() -> None:
    """Where the distance grows by a constant, they move at first order to where it is 0 again."""
    made = scene("attached = true")
    means, field = splats_of(made)["gaussians/means"][:6], made.fields["sdf"]
    bias = field.of[0].mlp.linears()[-1].bias  # type: ignore[union-attr, index, operator]
    rates = [torch.autograd.grad(c, bias, retain_graph=True)[0][0] for c in means.flatten()]
    grown = 1e-3
    with torch.no_grad():
        before = field(means, torch.zeros(6))["sdf"]
        bias[0] += grown
        after = field(means + grown * torch.stack(rates).reshape(6, 3), torch.zeros(6))["sdf"]
    assert (after - before).abs().max() < 0.05 * grown


def test_splats_of_another_moment_are_others() -> None:
    made = scene()
    with torch.no_grad():
        made.fields["sdf"].of[1].mlp.linears()[-1].bias[0] -= 0.2  # type: ignore[union-attr, index, operator]
    first, last = (splats_of(made, t)["gaussians/means"].norm(dim=1).mean() for t in (0.0, 1.0))
    assert float(last - first) == pytest.approx(0.2, abs=0.03)


def test_mesh_and_splats_show_the_same_surface() -> None:
    """Nearly: splats are soft and reach over the silhouette."""
    made = scene("thickness = 0.1\nscale = 0.5")
    batch = camera_batch(CAMERA) | {"time": torch.zeros(1)}
    with torch.no_grad():
        images = [
            made.renderers[name](made.view(), batch, frozenset({"rgb", "alpha", "normal", "depth"}))
            for name in ("mesh", "splat")
        ]
    a, b = images
    solid = (a["alpha"] > 0.99) & (b["alpha"] > 0.99)
    assert solid.sum() > 0.9 * (a["alpha"] > 0.99).sum() > 300
    assert (a["alpha"] - b["alpha"]).abs().mean() < 0.07
    assert (a["rgb"] - b["rgb"])[solid].abs().mean() < 0.01
    assert (a["depth"] - b["depth"])[solid].abs().mean() < 0.03
    assert ((a["normal"] * b["normal"])[solid].sum(dim=1)).mean() > 0.97


def test_splats_need_colours_that_are_harmonics() -> None:
    text = SCENE.format(splats="", degree=2, color="")
    begin, end = text.index("[fields.color]"), text.index("[fields.splats]")
    with pytest.raises(UserError, match='splats need a surface_color, which the field "color" is not'):
        build_scene(text[:begin] + '[fields.color]\ntype = "mlp_color"\n' + text[end:])
    with pytest.raises(RecipeError, match="samples and attached exclude each other"):
        scene("samples = 10\nattached = true")
