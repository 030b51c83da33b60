"""A mesh against the truth in a file, by any named protocol that compares surfaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, PointCloud, read_mesh, read_point_cloud

from .culling import MaskedView
from .dtu import DtuScan, evaluate_dtu
from .protocols import PROTOCOLS, evaluate_surface
from .reference_points import evaluate_reference_points
from .tanks_and_temples import align_cameras, evaluate_tanks_and_temples, read_scene, read_trajectory


@dataclass(frozen=True)
class Photographed:
    """What protocols ask about the photographs that a mesh was made from; called only by those that do.

    Attributes:
        centers: gives the centres of all cameras, in the mesh's world, by the name of the photograph.
        masked: gives camera and mask of each photograph that was learnt from.
    """

    centers: Callable[[], Mapping[str, Float64[np.ndarray, "3"]]]
    masked: Callable[[], Iterable[MaskedView]]


def _dtu_culled(mesh: Mesh, path: Path, photographs: Photographed | None) -> dict[str, Any]:
    if photographs is None:
        raise UserError("protocol dtu_culled needs the masks of photographs, which this run has not; dtu needs none.")
    return evaluate_dtu(mesh, DtuScan.read(path), views=photographs.masked())


def _tanks_and_temples(mesh: Mesh, path: Path, photographs: Photographed | None) -> dict[str, Any]:
    scene, log = read_scene(path), path.with_name(f"{path.stem}_COLMAP_SfM.log")
    if photographs is not None and log.is_file():
        scene["alignment"] = align_cameras(photographs.centers(), read_trajectory(log), scene["alignment"])
    return evaluate_tanks_and_temples(mesh, **scene)


BY_FILE: dict[str, Callable[[Mesh, Path, Photographed | None], dict[str, Any]]] = {
    "reference_points": lambda mesh, path, _: evaluate_reference_points(mesh, read_point_cloud(path)),
    "dtu": lambda mesh, path, _: evaluate_dtu(mesh, DtuScan.read(path)),
    "dtu_culled": _dtu_culled,
    "tanks_and_temples": _tanks_and_temples,
}
"""Protocols that read their truth themselves."""


def evaluate_against_file(
    mesh: Mesh,
    path: Path,
    protocol: str,
    photographs: Photographed | None = None,
    scan: Callable[[], PointCloud | None] = lambda: None,
) -> dict[str, Any]:
    """Compare a mesh with the truth in a file.

    Args:
        mesh: in the world of the file.
        path: a mesh or cloud; of `dtu` and `dtu_culled`, Points/stl/stl037_total.ply in the folder of the official
            files; of `tanks_and_temples`, Ignatius.ply with its Ignatius.json and Ignatius_trans.txt beside it, and
            Ignatius_COLMAP_SfM.log where the cameras of the photographs are not the official ones.
        protocol: a key of `PROTOCOLS` or of `BY_FILE`.
        photographs: that the mesh was made from, if it was.
        scan: gives the raw points that it was made from, if it was; called where the protocol has a column for them.

    Raises:
        UserError: no protocol of that name, or a file that it does not read.
    """
    if protocol in BY_FILE:
        return BY_FILE[protocol](mesh, path, photographs)
    if protocol not in PROTOCOLS:
        known = ", ".join([*PROTOCOLS, *BY_FILE, "sequence", "4deform", "views", "training_views", "cameras"])
        raise UserError(f"There is no metric protocol {protocol!r}; known are {known}.")
    raw = scan() if protocol == "digs" else None
    return evaluate_surface(mesh, read_mesh(path), protocol=protocol, scan=raw)
