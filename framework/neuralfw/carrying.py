"""A mesh carried along the velocity that a run learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float64

from .config import Spec
from .integrators.config import FixedStepsConfig
from .renderers.flow import carry

if TYPE_CHECKING:
    from .components import Integrator
    from .geometry import Mesh
    from .run import Run

STEPS = 32
"""Steps of fourth order in which meshes are carried: their error is far below that of the learnt velocity."""


def carried(run: Run, mesh: Mesh, times: Sequence[float], shape: str | None = None) -> list[Mesh]:
    """Return a mesh of the world that is in its place at time 0 as it is at some times, its faces the same.

    Args:
        run: it has a field of role velocity.
        mesh: at time 0.
        times: in [0, 1].
        shape: one of several, whose codes the velocity takes.
    """
    integrator: Integrator = run.scene.make(Spec("integrator", "core/rk4", FixedStepsConfig(steps=STEPS)))
    places: dict[float, Float64[np.ndarray, "n 3"]] = {}
    x, now = torch.from_numpy(run.frame.to_training(mesh.vertices)).float().to(run.scene.device), 0.0
    coded = {q: v.expand(len(x), -1) for q, v in run.inputs(0.0, shape).items() if q != "time"}
    with torch.no_grad():
        for t in sorted({*times}):
            x = carry(run.view, integrator, x, now, t, coded).end if t > now else x
            places[t], now = run.frame.to_world(x.double().cpu().numpy()), t
    return [replace(mesh, vertices=places[t], notes=()) for t in times]
