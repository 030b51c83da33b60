"""Frames into files: .png (numbered where there are several), .gif, .mp4."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from neuralfw.errors import UserError, saying
from neuralfw.geometry.files import did_you_mean, write_file

ENDINGS = (".png", ".gif", ".mp4")
Frames = Sequence[UInt8[np.ndarray, "h w 3"]]


def check_ending(path: Path) -> None:
    """Refuse a file that cannot be written here, before anything is rendered.

    Raises:
        UserError: another ending than .png, .gif or .mp4; or .mp4 without the package that encodes it.
    """
    if path.suffix.lower() not in ENDINGS:
        near = did_you_mean(path.suffix.lower(), ENDINGS)
        raise UserError(f"{path}: {path.suffix or 'no ending'} cannot be written.{near} Known: {' '.join(ENDINGS)}.")
    if path.suffix.lower() == ".mp4" and find_spec("imageio_ffmpeg") is None:
        raise UserError(
            f"{path}: .mp4 needs the package imageio-ffmpeg: pip install 'neuralfw[video]'. Or write a .gif."
        )


def write_frames(path: Path, frames: Frames, *, fps: int) -> list[Path]:
    """Write frames of one size and return the files; several as .png become stem_000.png and so on.

    Raises:
        UserError: the file cannot be written.
    """
    check_ending(path)
    ending = path.suffix.lower()
    if ending == ".mp4":
        _write_mp4(path, frames, fps)
        return [path]
    images = [Image.fromarray(frame) for frame in frames]
    if ending == ".gif":
        encoded = BytesIO()
        images[0].save(encoded, "GIF", save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0)
        write_file(path, encoded.getvalue())
        return [path]
    files = [path] if len(images) == 1 else [path.with_name(f"{path.stem}_{k:03d}.png") for k in range(len(images))]
    for file, image in zip(files, images, strict=True):
        encoded = BytesIO()
        image.save(encoded, "PNG", optimize=True)
        write_file(file, encoded.getvalue())
    return files


def _write_mp4(path: Path, frames: Frames, fps: int) -> None:
    """Encode H.264, whose sizes are even: a last row or column that is left over is repeated."""
    height, width = frames[0].shape[:2]
    even = (width + width % 2, height + height % 2)
    with saying("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = importlib.import_module("imageio_ffmpeg").write_frames(
            str(path), even, fps=fps, quality=8, macro_block_size=1
        )
        writer.send(None)
        for frame in frames:
            padded = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            writer.send(np.ascontiguousarray(padded))
        writer.close()
