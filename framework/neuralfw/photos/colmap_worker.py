"""A step of COLMAP's structure from motion, in a process: `python -m neuralfw.photos.colmap_worker STEP FOLDER`.

In one of its own, since pycolmap brings a zlib that Pillow, loaded after it, writes PNGs with and crashes; and since a
process can be stopped. FOLDER holds what `structure_from_motion` put there, and gets what each step makes.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
from jaxtyping import Float32, UInt8

SEED = 0

COMPARED = 256
"""Features of a photograph by which likeness is judged: the largest, which show in most other photographs too."""

COVERED = 127
"""A pixel of a mask, of 255, above which it is the object."""

DIRECTED = 0.1
"""Length of the mean of unit vectors below which they have no direction in common."""

RATIO = 0.8
"""A feature fits its nearest in another photograph if that is nearer by this factor than the next (Lowe 2004)."""


def features(folder: Path, plan: dict[str, Any]) -> None:
    """Find SIFT features of all photographs, those of one lens sharing one camera."""
    options = pycolmap.ImageReaderOptions()
    if plan["masked"]:
        options.mask_path = folder / "masks"
    for names in plan["lenses"]:
        pycolmap.extract_features(
            folder / "database.db",
            folder / "photographs",
            image_names=names,
            camera_mode=pycolmap.CameraMode.SINGLE,
            reader_options=options,
            device=pycolmap.Device.cpu,
        )


def matches(folder: Path, plan: dict[str, Any]) -> None:
    """Match features between photographs: of all pairs, or of those that are likely to show the same."""
    names = sorted(name for lens in plan["lenses"] for name in lens)
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    if len(names) > plan["few"]:
        largest = descriptors(folder / "database.db", names)
        pairs = likely_pairs(largest, neighbors=plan["neighbors"], similar=plan["similar"])
    listed = folder / "pairs.txt"
    listed.write_text("".join(f"{names[i]} {names[j]}\n" for i, j in pairs), encoding="utf-8")
    options = pycolmap.ImportedPairingOptions()
    options.match_list_path = listed
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = SEED
    pycolmap.match_image_pairs(
        folder / "database.db",
        pairing_options=options,
        verification_options=verification,
        device=pycolmap.Device.cpu,
    )


def descriptors(database: Path, names: list[str]) -> list[Float32[np.ndarray, "_ 128"]]:
    """Return the descriptors, unit, of the `COMPARED` largest features of each photograph."""
    found = []
    with pycolmap.Database.open(database) as opened:
        for name in names:
            image = opened.read_image_with_name(name)
            if image is None or not opened.exists_keypoints(image.image_id):
                found.append(np.zeros((0, 128), np.float32))
                continue
            shape = opened.read_keypoints(image.image_id)[:, 2:6].astype(np.float64)
            area = np.abs(shape[:, 0] * shape[:, 3] - shape[:, 1] * shape[:, 2])
            given: UInt8[np.ndarray, "n 128"] = opened.read_descriptors(image.image_id).data.view(np.uint8)
            largest = given[np.argsort(-area, kind="stable")[:COMPARED]].astype(np.float32)
            found.append(largest / np.maximum(np.linalg.norm(largest, axis=1, keepdims=True), 1e-9))
    return found


def likely_pairs(largest: list[Float32[np.ndarray, "_ 128"]], *, neighbors: int, similar: int) -> list[tuple[int, int]]:
    """Return the pairs of photographs to match: neighbours by name, and those whose largest features fit best.

    Preemptive matching (Wu, Towards linear-time incremental structure from motion, 3DV 2013), without a vocabulary.
    """
    count = len(largest)
    fits = np.zeros((count, count), np.int32)
    for i in range(count):
        for j in range(i + 1, count):
            if min(len(largest[i]), len(largest[j])) > 1:
                second, best = np.partition(largest[i] @ largest[j].T, -2, axis=1)[:, -2:].T
                fits[i, j] = fits[j, i] = int((angle(best) < RATIO * angle(second)).sum())
    pairs = {(i, j) for i in range(count) for j in range(i + 1, min(count, i + 1 + neighbors))}
    for i in range(count):
        for j in np.argsort(-fits[i], kind="stable")[:similar].tolist():
            if fits[i, j] > 0:
                pairs.add((min(i, j), max(i, j)))
    return sorted(pairs)


def angle(cosine: Float32[np.ndarray, "n"]) -> Float32[np.ndarray, "n"]:
    """Return angles between unit descriptors, which rounding may have made a little longer."""
    between: Float32[np.ndarray, "n"] = np.arccos(np.clip(cosine, -1.0, 1.0))
    return between


def mapping(folder: Path, plan: dict[str, Any]) -> None:
    """Find cameras and points, by COLMAP's incremental mapper; one line of `placed.txt` for each camera."""
    del plan
    options = pycolmap.IncrementalPipelineOptions()
    options.random_seed, options.min_model_size = SEED, 3
    models = folder / "models"
    models.mkdir()
    with (folder / "placed.txt").open("w", encoding="utf-8") as placed:

        def another() -> None:
            placed.write("\n")
            placed.flush()

        pycolmap.incremental_mapping(
            folder / "database.db",
            folder / "photographs",
            models,
            options,
            initial_image_pair_callback=another,
            next_image_callback=another,
        )


def undistortion(folder: Path, plan: dict[str, Any]) -> None:
    """Write the photographs as pinhole cameras see them, with the model of these; of its points those of the object."""
    if (folder / "masks").is_dir():
        leave_object(folder / "models" / plan["model"], folder / "masks")
    stand_up(folder / "models" / plan["model"])
    pycolmap.undistort_images(
        folder / "undistorted", folder / "models" / plan["model"], folder / "photographs", jpeg_quality=95
    )


def leave_object(model: Path, masks: Path) -> None:
    """Drop the points of a model that lie outside of the masks in most of the photographs which they were seen in."""
    reconstruction = pycolmap.Reconstruction(model)
    inside: dict[int, list[bool]] = {}
    for image in reconstruction.images.values():
        bitmap = pycolmap.Bitmap.read(masks / f"{image.name}.png", as_rgb=False)
        mask = bitmap.to_array() if bitmap is not None else np.zeros((1, 1))
        for observed in image.points2D:
            if observed.has_point3D():
                column, row = np.minimum(observed.xy.astype(int), np.array(mask.shape[1::-1]) - 1)
                inside.setdefault(observed.point3D_id, []).append(bool(mask[row, column] > COVERED))
    for point, votes in inside.items():
        if sum(votes) <= 0.5 * len(votes):
            reconstruction.delete_point3D(point)
    reconstruction.write(model)


def stand_up(model: Path) -> None:
    """Turn a model so that y points up, as the photographs were held, and the cameras look along -z at the mean."""
    reconstruction = pycolmap.Reconstruction(model)
    axes = np.mean([i.cam_from_world().rotation.matrix() for i in reconstruction.images.values()], axis=0)
    up, back = -axes[1], -axes[2]
    right = np.cross(up, back)
    if min(np.linalg.norm(up), np.linalg.norm(right)) < DIRECTED:
        return
    rows = np.stack([right / np.linalg.norm(right), up / np.linalg.norm(up)])
    turn = np.concatenate([rows, np.cross(rows[0], rows[1])[None]])
    reconstruction.transform(pycolmap.Sim3d(1.0, pycolmap.Rotation3d(turn), np.zeros(3)))
    reconstruction.write(model)


STEPS = {step.__name__: step for step in (features, matches, mapping, undistortion)}


def main(step: str, folder: str) -> None:
    """Do a step."""
    pycolmap.logging.minloglevel = pycolmap.logging.Level.ERROR.value
    STEPS[step](Path(folder), json.loads((Path(folder) / "plan.json").read_text(encoding="utf-8")))


if __name__ == "__main__":
    main(*sys.argv[1:])
