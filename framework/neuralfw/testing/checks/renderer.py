"""What renderers of posed images must hold: a sphere that is known exactly, its background, rays one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...components import Quantities
from ...config import Wiring
from ..kit import check, gives, observes
from ..spheres import Sphere, image_batch, pixel_batch
from ..subject import NAME, RADIUS, Subject, camera, made_up

IMAGES = frozenset({"rgb", "alpha", "depth", "normal"})
Draw = Callable[[frozenset[str]], Quantities]


def _of_rays(subject: Subject) -> bool:
    return observes("pixels")(subject)


def _draws_surfaces(subject: Subject) -> bool:
    return gives("rgb", "alpha", "depth")(subject) and observes("world_to_camera")(subject) and _takes_sdf(subject)


def _takes_sdf(subject: Subject) -> bool:
    wiring = subject.defaults.wiring()
    return "sdf" in {n.removesuffix("?") for n in (*wiring.needs, *(q for v in wiring.provides.values() for q in v))}


def _sight(subject: Subject) -> tuple[Any, Draw, Wiring]:
    """Return the scene of a sphere, and what draws the whole picture of `camera`, (h, w, …)."""
    scene = subject.sphere_scene(RADIUS)
    renderer, view, seen = scene.renderers[NAME].eval(), scene.view(), camera()

    def draw(want: frozenset[str]) -> Quantities:
        if not _of_rays(subject):
            batch = _single(image_batch(seen))
            return {q: v[0] if q in IMAGES else v for q, v in renderer(view, batch, want).items()}
        rows, columns = np.mgrid[: seen.height, : seen.width] + 0.5
        batch = _single(pixel_batch(seen, [*zip(columns.ravel(), rows.ravel(), strict=True)]))
        found = renderer(view, batch, want)
        return {q: v.reshape(seen.height, seen.width, *v.shape[1:]) for q, v in found.items() if q in IMAGES}

    return scene, draw, subject.spec.config.wiring()


def _single(batch: Quantities) -> Quantities:
    return {q: v.float() if v.is_floating_point() else v for q, v in batch.items()}


@check("renderer")
def what_is_wanted(subject: Subject) -> None:
    """Each quantity that it provides is given when it alone is wanted, and is finite."""
    wiring = subject.spec.config.wiring()
    scene = subject.scene(roles=("sdf", "color", "velocity"))
    if _draws_surfaces(subject):
        scene = subject.sphere_scene(RADIUS)
    seen = [q for q in wiring.observes if not q.endswith("?")]
    inputs = {*seen} | {n for v in wiring.provides.values() for n in v if n in scene.coordinates - {*wiring.supplies}}
    inputs |= {"pixels"} if _of_rays(subject) else set()
    layout = "rays" if "pixels" in inputs else "views"
    batch = _single(made_up(subject.registry, sorted(inputs), layout=layout))
    had = {*wiring.supplies, *batch}.union(*(s.config.wiring().provides for s in scene.recipe.fields.values()))
    for quantity, needs in wiring.provides.items():
        if all(n.endswith("?") or n in had for n in needs) and quantity not in scene.coordinates:
            found = scene.renderers[NAME](scene.view(), batch, frozenset({quantity}))
            assert quantity in found, f"asked for {quantity}, it gives {', '.join(sorted(found)) or 'nothing'}"
            assert found[quantity].isfinite().all(), f"{quantity} is not finite"


@check("renderer", when=_draws_surfaces)
def a_sphere_is_a_sphere(subject: Subject) -> None:
    """Depth, opacity and normals of a sphere are those that rays and sphere have in geometry."""
    _, draw, _ = _sight(subject)
    found, sight = draw(IMAGES & {*subject.spec.config.wiring().provides}), Sphere(RADIUS).seen_by(camera())
    inside, outside = (torch.from_numpy(sight.least < -0.1), torch.from_numpy(sight.least > 0.1))
    found = {q: v.detach() for q, v in found.items()}
    assert float(found["alpha"][inside].min()) > 0.9, "the sphere is not opaque"
    assert float(found["alpha"][outside].max()) < 0.1, "beside the sphere it is not empty"
    directions = camera().rays()[1]
    depth = torch.from_numpy(sight.distance * (directions @ camera().axis)).float()
    off = float((found["depth"] - depth)[inside].abs().max())
    assert off < 0.1 * RADIUS, f"the depth of a sphere of radius {RADIUS} is off by {off:.3g}"
    if "normal" in found:
        origin, _ = camera().rays()
        normal = torch.from_numpy((origin + sight.distance[..., None] * directions) / RADIUS).float()
        agreement = float((found["normal"] * normal).sum(-1)[inside].min())
        assert agreement > 0.8, f"normals of a sphere do not point outward: n·n is {agreement:.3g}"


@check("renderer", when=_draws_surfaces)
def background_shows(subject: Subject) -> None:
    """Where nothing is, the batch's background is."""
    _, draw, _ = _sight(subject)
    found, sight = draw(frozenset({"rgb"})), Sphere(RADIUS).seen_by(camera())
    beside = found["rgb"].detach()[torch.from_numpy(sight.least > 0.2)]
    background = image_batch(camera())["background"][0].float()
    assert float((beside - background).abs().max()) < 0.05, "the background does not show beside the sphere"


@check("renderer", when=lambda subject: _draws_surfaces(subject) and _of_rays(subject))
def rays_alone(subject: Subject) -> None:
    """A ray's values do not depend on the other rays, and of no rays there are none."""
    scene = subject.sphere_scene(RADIUS)
    renderer, view, seen = scene.renderers[NAME].eval(), scene.view(), camera()
    places = [(4.5 + x, 6.5 + x) for x in range(12)]
    want = IMAGES & {*subject.spec.config.wiring().provides}
    parts = [renderer(view, _single(pixel_batch(seen, p)), want) for p in (places, places[:5], places[5:])]
    for quantity, whole in parts[0].items():  # samples along rays may be drawn anew for each batch
        halves = torch.cat([part[quantity] for part in parts[1:]])
        same = torch.allclose(halves, whole, rtol=0.0, atol=0.1, equal_nan=True)
        assert same, f"{quantity} of two halves is not that of the whole"
    none = renderer(view, {q: v[:0] if q != "size" else v for q, v in _single(pixel_batch(seen, places)).items()}, want)
    assert all(len(v) == 0 for v in none.values()), "no rays give rows"


@check("renderer", when=_draws_surfaces)
def gradients_reach_the_surface(subject: Subject) -> None:
    """What it draws has a gradient at the surface: in the distance, or at the vertices that it gives."""
    scene, draw, wiring = _sight(subject)
    vertices = frozenset({"vertices"} & {*wiring.provides})
    if vertices:
        found = draw(frozenset({"alpha"}) | vertices)
        leaf, total = found["vertices"], found["alpha"].square().sum()
    else:
        leaf, total = scene.fields["sdf"].level, draw(frozenset({"depth"}))["depth"].square().sum()
    assert total.requires_grad, "what it draws carries no graph"
    (slope,) = torch.autograd.grad(total, leaf, allow_unused=True)
    assert isinstance(slope, Tensor) and bool(slope.any()), "no gradient reaches the surface"
    assert slope.isfinite().all(), "the gradient at the surface is not finite"
