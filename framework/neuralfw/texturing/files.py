"""A textured mesh as .obj with its .mtl and .png, and how a run's meshes come to be such."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64
from PIL import Image

from ..errors import UserError
from ..exporting import surfaces
from ..geometry.files import write_file
from .atlas import Atlas, seconds_of, unwrap, xatlas
from .paint import Say, colors_at, source_of

if TYPE_CHECKING:
    from ..geometry.cleanup import Cleanup
    from ..run import Run


def export_textured(
    run: Run, size: int, *, resolution: int | None = None, times: Sequence[float] = (), shape: str | None = None,
    output: Path | None = None, cleanup: Cleanup | None = None, say: Say = lambda text: None,
) -> list[Path]:  # fmt: skip
    """Write meshes of a run with a texture of `size` x `size` texels, in world units; return the .obj files.

    The other arguments are those of `Run.export`. Beside each .obj lie a .mtl and a .png of the same name, and a .json
    where there was a clean-up. What takes long is told beforehand.

    Raises:
        UserError: nothing says the colours; xatlas is not installed; the name of the file does not end in .obj.
    """
    source_of(run)
    xatlas()
    written = []
    for found in surfaces(run, resolution=resolution, times=times, shape=shape, cleanup=cleanup, say=say):
        path = found.path(output, run.folder.meshes, "obj")
        if path.suffix.lower() != ".obj":
            raise UserError(f"{path}: a mesh with a texture is written as .obj, with .mtl and .png beside it.")
        if seconds := seconds_of(found.mesh, size):
            say(f"unwrapping {len(found.mesh.faces):,} faces: about {seconds:.0f} s; --faces N takes fewer")
        atlas = unwrap(found.mesh, size)
        colors = colors_at(run, found.mesh, atlas.points, atlas.normals, found.time, found.shape, say)
        write_textured(path, atlas, atlas.picture(colors))
        written.append(path)
        if found.record is not None:
            run.folder.write_json(path.with_name(f"{path.name}.json"), found.record)
    return written


def write_textured(path: Path, atlas: Atlas, texture: Float64[np.ndarray, "s s 3"]) -> None:
    """Write a mesh as .obj, its material as .mtl and its texture, RGB in [0, 1], as .png beside it.

    The mesh has the vertices and faces that it had before it was cut, in full precision.

    Raises:
        UserError: a file cannot be written.
    """
    encoded = BytesIO()
    Image.fromarray(np.round(texture.clip(0.0, 1.0) * 255.0).astype(np.uint8)).save(encoded, "PNG", optimize=True)
    picture, material = path.with_suffix(".png"), path.with_suffix(".mtl")
    write_file(picture, encoded.getvalue())
    write_file(material, f"newmtl surface\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {picture.name}\n".encode())
    lines = [f"mtllib {material.name}"]
    lines += ["v " + " ".join(map(repr, row)) for row in atlas.mesh.vertices.tolist()]
    lines += [f"vt {u:.7g} {v:.7g}" for u, v in atlas.uv.tolist()]
    lines.append("usemtl surface")
    corners = np.stack([atlas.mesh.faces, atlas.corners], axis=-1).reshape(-1, 6) + 1
    lines += [f"f {a}/{at} {b}/{bt} {c}/{ct}" for a, at, b, bt, c, ct in corners.tolist()]
    write_file(path, ("\n".join(lines) + "\n").encode())
