"""Meshes carried along motions that are known, and the field that gives them, against their closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import trimesh

from neuralfw.geometry import Mesh
from neuralfw.testing import build_component
from neuralfw_velocity.measures import flipped, opposed

TWIST = math.pi / 0.6


def turned(x, angle):
    s, c = np.sin(angle), np.cos(angle)
    return np.stack([c * x[:, 0] - s * x[:, 1], s * x[:, 0] + c * x[:, 1], x[:, 2]], axis=1)


MOTIONS = {
    "translation": (0.4, lambda x: x + np.array([0.4, 0.0, 0.0])),
    "rotation": (0.5 * math.pi, lambda x: turned(x, 0.5 * math.pi)),
    "twist": (TWIST, lambda x: turned(x, TWIST * x[:, 2])),
}


def ellipsoid(level=4):
    ball = trimesh.creation.icosphere(level)
    return Mesh(np.asarray(ball.vertices) * [0.3, 0.12, 0.3], np.asarray(ball.faces))


def carried(mesh, flow, amount, until=1.0, integrator="rk4", steps=32):
    field = build_component("field", "known_flow", {"flow": flow, "amount": amount})
    carry = build_component("integrator", integrator, {"steps": steps})
    end = carry(field, torch.from_numpy(mesh.vertices).float(), 0.0, until).end
    return Mesh(end.double().numpy(), mesh.faces)


@pytest.mark.parametrize("flow", MOTIONS)
def test_a_mesh_ends_where_the_motion_takes_it_and_keeps_its_volume(flow):
    amount, truth = MOTIONS[flow]
    start = ellipsoid()
    end = carried(start, flow, amount)
    assert np.abs(end.vertices - truth(start.vertices)).max() < 1e-4
    assert end.volume == pytest.approx(start.volume, rel=0.01)
    assert not flipped(start, end).any()


def test_ten_euler_steps_inflate_a_quarter_turn_and_ten_midpoint_steps_do_not():
    start = ellipsoid()
    growth = [
        carried(start, "rotation", 0.5 * math.pi, integrator=name, steps=10).volume / start.volume - 1.0
        for name in ("euler", "midpoint")
    ]
    assert growth[0] == pytest.approx(0.276, abs=0.002)
    assert abs(growth[1]) < 0.005


def test_enright_s_sphere_comes_back_and_keeps_its_volume_on_the_way():
    ball = trimesh.creation.icosphere(5, radius=0.15)
    start = Mesh(np.asarray(ball.vertices) + 0.35, np.asarray(ball.faces))
    end = carried(start, "enright", 3.0, steps=64)
    assert np.abs(end.vertices - start.vertices).max() < 0.01 * 0.3 * math.sqrt(3.0)
    quarter = carried(start, "enright", 3.0, until=0.25, steps=64)
    assert quarter.volume == pytest.approx(start.volume, rel=0.01)
    assert quarter.area > 2.0 * start.area


@pytest.mark.parametrize("flow", [*MOTIONS, "enright"])
def test_its_derivatives_are_those_of_finite_differences_and_volumes_stay(flow):
    field = build_component("field", "known_flow", {"flow": flow, "amount": 1.3})
    generator = torch.Generator().manual_seed(0)
    x, t = (torch.rand(n, generator=generator, dtype=torch.float64) for n in ((7, 3), (7,)))
    found = field.evaluate({"points": x, "time": t}, frozenset({"velocity", "velocity_jacobian", "velocity_laplacian"}))
    step, laplacian = 1e-4, torch.zeros_like(x)
    for k in range(3):
        ahead, behind = (field(x + s * step * torch.eye(3, dtype=x.dtype)[k], t) for s in (1, -1))
        slope = (ahead - behind) / (2 * step)
        laplacian += (ahead - 2 * found["velocity"] + behind) / step**2
        torch.testing.assert_close(found["velocity_jacobian"][:, :, k], slope, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found["velocity_laplacian"], laplacian, atol=1e-4, rtol=1e-4)
    assert found["velocity_jacobian"].diagonal(dim1=1, dim2=2).sum(dim=1).abs().max() < 1e-9


def test_a_face_is_flipped_where_it_turns_against_its_surroundings():
    start = ellipsoid(3)
    spun = turned(start.vertices, math.pi)
    assert not flipped(start, Mesh(spun, start.faces)).any()
    folded = spun.copy()
    corner = start.faces[100][0]
    ring = np.unique(start.faces[(start.faces == corner).any(axis=1)])
    ring = ring[ring != corner]
    folded[corner] += 1.8 * (spun[ring[0]] - spun[corner])
    marked = flipped(start, Mesh(folded, start.faces))
    assert marked.any() and (start.faces[marked] == corner).any(axis=1).all()


def test_faces_that_look_against_the_same_face_of_the_target_are_opposed():
    start = ellipsoid(3)
    assert opposed(Mesh(turned(start.vertices, math.pi), start.faces), start).mean() > 0.4
    assert not opposed(start, start).any()
