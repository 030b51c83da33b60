"""Photographs of meshes: posed, masked, shaded, time-stamped images in the layout of the NeRF-synthetic scenes.

All times share one set of cameras and one world, that of the files: nothing is normalised mesh by mesh.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, read_mesh, write_mesh
from neuralfw.geometry.camera import Camera, evenly_spread
from neuralfw.geometry.files import new_folder, write_file
from neuralfw.geometry.mesh import flipped_edges
from neuralfw.geometry.mesh_sequence import TRUTH, stamps
from neuralfw.raster import rasterize

DISTANCE = 4.0
"""Of the cameras from the centre, as a multiple of the radius of the sphere around all meshes."""

FILL = 0.95
"""Share of half an image that the radius of that sphere covers."""

FINER = 4
"""Samples along each side of a pixel, whose mean is its colour and its coverage."""

HELD_OUT = 6
"""One view is held out for so many that are trained on."""


def photograph(files: Sequence[Path], target: Path, *, views: int = 60, size: int = 256, lit: bool = True) -> list[str]:
    """Write images of a mesh, or of a sequence of meshes, and their cameras; return notes.

    Each image is the mesh in the colours of its vertices, white where it has none, that a head light shades: times the
    cosine between a face and the image plane. Its alpha channel is the coverage, which is the mask. Each time of a
    sequence is seen by all cameras, its stamps run evenly from 0 to 1. The meshes are written beside the images, in
    `TRUTH`.

    Args:
        files: of the meshes, in the order of time.
        target: folder to write, absent or empty.
        views: cameras that are trained on; a sixth of that number more are held out.
        size: width and height of the images, pixels.
        lit: shade; else colours are as they are.

    Raises:
        UserError: a mesh cannot be read, is empty, or has no outside; or `target` holds something.
    """
    meshes = [_oriented(path) for path in files]
    new_folder(target)
    everything = np.concatenate([mesh.vertices for mesh in meshes])
    center = 0.5 * (everything.min(axis=0) + everything.max(axis=0))
    radius = float(np.linalg.norm(everything - center, axis=1).max())
    for name, count in (("train", views), ("test", max(1, views // HELD_OUT))):
        cameras = around(center, radius, count, size, turned=0.5 if name == "test" else 0.0)
        _write_set(target, name, meshes, cameras, lit=lit)
    for index, mesh in enumerate(meshes):
        write_mesh(target / TRUTH / f"{index:04d}.ply", mesh.vertices, mesh.faces, colors=mesh.colors)
    notes = [f"{files[i].name}: {note}" for i, mesh in enumerate(meshes) for note in mesh.notes]
    times = f", at {len(meshes)} times" if len(meshes) > 1 else ""
    return [f"{views} views of {size} x {size} pixels and {max(1, views // HELD_OUT)} held out{times}", *notes]


def _oriented(path: Path) -> Mesh:
    """Read a mesh whose faces look outwards; those of a closed one that look inwards are turned.

    Raises:
        UserError: neighbouring faces look to different sides.
    """
    mesh = read_mesh(path)
    if flipped := flipped_edges(mesh):
        raise UserError(
            f"{path}: some faces are flipped: neighbours disagree about the outside at {flipped:,} edges. Make them "
            "consistent first (in Blender: Mesh, Normals, Recalculate Outside)."
        )
    if mesh.is_closed and mesh.volume < 0.0:
        return replace(mesh, faces=mesh.faces[:, ::-1].copy(), notes=("its faces looked inwards and were turned",))
    return mesh


def around(
    center: Float64[np.ndarray, "3"], radius: float, count: int, size: int, *, turned: float = 0.0
) -> list[Camera]:
    """Return cameras spread evenly around a sphere, which each of them sees whole; `turned` takes others."""
    focal = FILL * 0.5 * size * math.sqrt(DISTANCE**2 - 1.0)
    return [
        Camera.look_at(
            center + DISTANCE * radius * place, center, [0.0, 0.0, 1.0], focal=focal, width=size, height=size
        )
        for place in evenly_spread(count, turned)
    ]


def shaded(mesh: Mesh, camera: Camera, *, lit: bool = True) -> UInt8[np.ndarray, "h w channels"]:
    """Return what a camera sees of a mesh: colours, not multiplied by coverage, and coverage.

    Four channels where the mesh has colours; else two, grey and coverage.
    """
    fine = rasterize(mesh.vertices, mesh.faces, camera.resized(FINER * camera.width, FINER * camera.height))
    colors = np.ones((len(mesh.vertices), 1)) if mesh.colors is None else mesh.colors
    samples = fine.interpolate(colors, mesh.faces)
    if lit:
        samples *= np.abs(mesh.face_normals @ camera.axis)[fine.face][..., None]
    blocks = (camera.height, FINER, camera.width, FINER)
    coverage = fine.hit.reshape(blocks).mean(axis=(1, 3))[..., None]
    color = samples.reshape(*blocks, -1).mean(axis=(1, 3)) / np.where(coverage > 0.0, coverage, 1.0)
    levels = np.round(255.0 * np.concatenate([color.clip(0.0, 1.0), coverage], axis=-1))
    image: UInt8[np.ndarray, "h w channels"] = levels.astype(np.uint8)
    return image


def _write_set(target: Path, name: str, meshes: Sequence[Mesh], cameras: Sequence[Camera], *, lit: bool) -> None:
    frames, times = [], stamps(len(meshes))
    for index, mesh in enumerate(meshes):
        for view, camera in enumerate(cameras):
            stem = f"{view:03d}" if len(meshes) == 1 else f"{index:04d}_{view:03d}"
            encoded = BytesIO()
            Image.fromarray(shaded(mesh, camera, lit=lit)).save(encoded, "PNG")
            write_file(target / name / f"{stem}.png", encoded.getvalue())
            pose = np.linalg.inv(camera.world_to_camera) @ np.diag([1.0, -1.0, -1.0, 1.0])
            frame = {"file_path": f"./{name}/{stem}", "transform_matrix": pose.tolist()}
            frames.append(frame | ({"time": times[index]} if len(meshes) > 1 else {}))
    angle = 2.0 * math.atan(0.5 * cameras[0].width / cameras[0].fx)
    text = json.dumps({"camera_angle_x": angle, "frames": frames}, indent=1)
    write_file(target / f"transforms_{name}.json", text.encode())
