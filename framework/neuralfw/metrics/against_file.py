"""A mesh against the truth in a file, by any named protocol that compares surfaces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, read_mesh, read_point_cloud

from .dtu import DtuScan, evaluate_dtu
from .protocols import PROTOCOLS, evaluate_surface
from .reference_points import evaluate_reference_points
from .tanks_and_temples import evaluate_tanks_and_temples, read_scene

BY_FILE: dict[str, Callable[[Mesh, Path], dict[str, Any]]] = {
    "reference_points": lambda mesh, path: evaluate_reference_points(mesh, read_point_cloud(path)),
    "dtu": lambda mesh, path: evaluate_dtu(mesh, DtuScan.read(path)),
    "tanks_and_temples": lambda mesh, path: evaluate_tanks_and_temples(mesh, **read_scene(path)),
}
"""Protocols that read their truth themselves."""


def evaluate_against_file(mesh: Mesh, path: Path, protocol: str) -> dict[str, Any]:
    """Compare a mesh with the truth in a file.

    Args:
        mesh: in the world of the file.
        path: a mesh or cloud; of `dtu`, Points/stl/stl037_total.ply in the folder of the official files; of
            `tanks_and_temples`, Ignatius.ply with its Ignatius.json and Ignatius_trans.txt beside it.
        protocol: a key of `PROTOCOLS` or of `BY_FILE`.

    Raises:
        UserError: no protocol of that name, or a file that it does not read.
    """
    if protocol in BY_FILE:
        return BY_FILE[protocol](mesh, path)
    if protocol not in PROTOCOLS:
        known = ", ".join([*PROTOCOLS, *BY_FILE, "views"])
        raise UserError(f"There is no metric protocol {protocol!r}; known are {known}.")
    return evaluate_surface(mesh, read_mesh(path), protocol=protocol)
