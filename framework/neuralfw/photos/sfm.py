"""Structure from motion: cameras and sparse points of plain photographs, by COLMAP on the CPU (package pycolmap)."""

import importlib.util
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from scipy.ndimage import map_coordinates

from neuralfw.errors import UserError, saying
from neuralfw.geometry.camera import Camera
from neuralfw.geometry.files import new_folder, write_file
from neuralfw.photos.colmap import read_colmap
from neuralfw.photos.colmap_files import CameraEntry, read_cameras, read_images
from neuralfw.photos.distortion import split_parameters
from neuralfw.photos.pictures import read_mask
from neuralfw.photos.staging import Staged, stage

FEW = 60
"""Photographs of which all pairs are matched: 1,770."""

NEIGHBORS, SIMILAR = 5, 15
"""Of more, each is matched with so many after it by name, and with so many that look most like it."""

MATCHED = 15
"""Matches that agree with one motion of the camera, below which a pair of photographs says nothing (COLMAP's)."""

Progress = Callable[[str, int, int], None]
"""Is told a step's name, how much of it is done, and how much there is."""

_LOOK_SECONDS = 0.3
_LAST_LINES = 3


def structure_from_motion(photographs: Path, target: Path, masks: str | None, progress: Progress) -> list[str]:
    """Find cameras and points of photographs; write them in COLMAP's layout; return notes, a sentence each.

    `target` gets images/ (without the lens's distortion), sparse/0/ (pinhole cameras, poses, points) and, where masks
    are wanted, masks/. The world has y up, as the photographs were held; its origin and unit are arbitrary.

    Args:
        photographs: folder of the photographs.
        target: folder to write, absent or empty.
        masks: None for none; as `mask_source` takes it. Features are found in the whole of each photograph; by alpha
            channels or by a colour behind the object inside of the mask only, as there is nothing else. Of the points
            those remain that masks show.
        progress: is told how far it is.

    Raises:
        UserError: pycolmap is not installed, there are too few photographs or too little that they have in common,
            masks are not as they should be, or `target` holds something.
    """
    if importlib.util.find_spec("pycolmap") is None:
        raise UserError("--sfm needs the package pycolmap: pip install 'neuralfw[sfm]'")
    new_folder(target)
    with TemporaryDirectory(prefix="neuralfw-sfm-") as name:
        work = Path(name)
        staged = stage(photographs, work, masks)
        runner = _Runner(work, staged, progress)
        count = len(staged.names)
        runner.run("features", lambda: (_count(work, "keypoints"), count))
        runner.run("matches", lambda: (_count(work, "two_view_geometries"), _lines(work / "pairs.txt")))
        runner.run("mapping", lambda: (_lines(work / "placed.txt"), count))
        models = _models(work, count)
        runner.run("undistortion", lambda: (0, 1), model=models[0].folder.name)
        _collect(work, target, models[0], staged)
    return _notes(target, models, staged)


@dataclass(frozen=True)
class _Model:
    """A connected part that COLMAP reconstructed."""

    folder: Path
    names: tuple[str, ...]


class _Runner:
    """Runs the steps of `colmap_worker` one after the other, and tells how far each is."""

    def __init__(self, work: Path, staged: Staged, progress: Progress) -> None:
        self._work, self._progress = work, progress
        self._plan = {"lenses": staged.lenses, "masked": staged.masked, "few": FEW}
        self._plan |= {"neighbors": NEIGHBORS, "similar": SIMILAR}

    def run(self, step: str, look: Callable[[], tuple[int, int]], **plan: str) -> None:
        """Run a step; `look` returns how much of it is done, and how much there is.

        Raises:
            UserError: it failed; with what COLMAP said last.
        """
        (self._work / "plan.json").write_text(json.dumps(self._plan | plan), encoding="utf-8")
        command = [sys.executable, "-m", "neuralfw.photos.colmap_worker", step, str(self._work)]
        log = self._work / f"{step}.log"
        self._progress(step, 0, look()[1])
        with log.open("wb") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
            try:
                while process.poll() is None:
                    time.sleep(_LOOK_SECONDS)
                    self._progress(step, *look())
            finally:
                process.kill()
        if process.returncode != 0:
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_LAST_LINES:]
            raise UserError(f"COLMAP failed at its {step} (status {process.returncode}): {' '.join(lines)}")
        self._progress(step, look()[1], look()[1])


def _rows(work: Path, query: str) -> list[tuple[int, ...]]:
    """Return the rows of a query of COLMAP's database; none while there is no such table, or while it is locked."""
    try:
        with closing(sqlite3.connect(f"file:{work / 'database.db'}?mode=ro", uri=True)) as database:
            return database.execute(query).fetchall()
    except sqlite3.Error:
        return []


def _count(work: Path, table: str) -> int:
    rows = _rows(work, f"SELECT COUNT(*) FROM {table}")
    return rows[0][0] if rows else 0


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def _models(work: Path, count: int) -> list[_Model]:
    """Return what was reconstructed, the largest first.

    Raises:
        UserError: nothing was.
    """
    found = []
    for folder in sorted((work / "models").iterdir()):
        if (folder / "images.bin").is_file():
            found.append(_Model(folder, tuple(entry.name for entry in read_images(folder / "images.bin"))))
    if not found:
        raise UserError(_too_little(work, count))
    return sorted(found, key=lambda model: -len(model.names))


def _too_little(work: Path, count: int) -> str:
    features = [rows for (rows,) in _rows(work, "SELECT rows FROM keypoints")]
    matches = [rows for (rows,) in _rows(work, "SELECT rows FROM two_view_geometries")]
    fit = sum(rows >= MATCHED for rows in matches)
    return (
        f"the {count} photographs have too little in common to find cameras: {np.mean(features or [0]):,.0f} features "
        f"in each, too few matches: {fit} of {len(matches)} pairs agree at {MATCHED} points or more, the best pair at "
        f"{max(matches, default=0)}. "
        "Take more of them, each a step aside of the last, so that three quarters of the picture stay the same; sharp, "
        "of a scene with texture that does not move; zoom and focus fixed."
    )


def _collect(work: Path, target: Path, model: _Model, staged: Staged) -> None:
    """Put together the scene from what was made."""
    made = work / "undistorted"
    with saying("write", target):
        shutil.copytree(made / "images", target / "images")
        (target / "sparse" / "0").mkdir(parents=True)
        for name in ("cameras.bin", "images.bin", "points3D.bin"):
            shutil.copyfile(made / "sparse" / name, target / "sparse" / "0" / name)
    if staged.masks:
        lenses = read_cameras(model.folder / "cameras.bin")
        lens_of = {entry.name: lenses[entry.camera] for entry in read_images(model.folder / "images.bin")}
        for view in read_colmap(target, points=False).views:
            lens = lens_of[view.name]
            mask = read_mask(work / "masks" / f"{view.name}.png", (lens.width, lens.height))
            encoded = BytesIO()
            Image.fromarray(straightened(mask, lens, view.camera)).save(encoded, "PNG")
            write_file(target / "masks" / f"{view.name}.png", encoded.getvalue())


def straightened(mask: UInt8[np.ndarray, "_ _"], lens: CameraEntry, camera: Camera) -> UInt8[np.ndarray, "_ _"]:
    """Return what a pinhole camera sees of a mask that lies in the image of a lens; 0 beyond it."""
    (fx, fy, cx, cy), distortion = split_parameters(lens.model, lens.parameters, "the lens")
    y, x = np.divmod(np.arange(camera.width * camera.height), camera.width)
    ideal = np.stack([(x + 0.5 - camera.cx) / camera.fx, (y + 0.5 - camera.cy) / camera.fy], axis=1)
    bent = ideal if distortion is None else distortion.distort(ideal)
    place = np.stack([bent[:, 1] * fy + cy - 0.5, bent[:, 0] * fx + cx - 0.5])
    seen = map_coordinates(mask.astype(np.float32), place, order=1, mode="constant")
    straight: UInt8[np.ndarray, "_ _"] = np.clip(seen + 0.5, 0.0, 255.0).astype(np.uint8)
    return straight.reshape(camera.height, camera.width)


def _notes(target: Path, models: list[_Model], staged: Staged) -> list[str]:
    capture = read_colmap(target)
    views, points, tracks = len(capture.views), capture.points, capture.tracks
    lenses = "one lens" if len(staged.lenses) == 1 else f"{len(staged.lenses)} lenses"
    notes = [f"{views} of {len(staged.names)} photographs have cameras, of {lenses}"]
    if points is not None and tracks is not None:
        notes.append(
            f"{len(points):,} points, each seen in {tracks.length.mean():.1f} photographs, "
            f"{tracks.error.mean():.2f} pixels of error"
        )
    left = sorted({*staged.names} - {*models[0].names})
    if left:
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        notes.append(f"{len(left)} photographs are left out: {', '.join(left[:3])}{more}")
    if len(models) > 1:
        others = ", ".join(str(len(model.names)) for model in models[1:])
        notes.append(
            f"the photographs fall into {len(models)} parts that nothing joins; the largest is taken, of {views}, not "
            f"those of {others}: take photographs in between"
        )
    return notes
