"""Plain photographs of the corner of a room, with texture on its three sides, and their true cameras."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from neuralfw.geometry import Camera


def cameras(count=6, width=320, height=240, focal=300.0):
    """Cameras on an arc that look into the corner at the origin."""
    turns = np.radians(np.linspace(25.0, 65.0, count))
    centers = [(5.0 * np.cos(a), 5.0 * np.sin(a), 2.0 + 0.3 * (i % 2)) for i, a in enumerate(turns)]
    return [Camera.look_at(c, (0.5, 0.5, 0.7), (0, 0, 1), focal=focal, width=width, height=height) for c in centers]


def _textures(seed):
    rng = np.random.default_rng(seed)
    layers = [gaussian_filter(rng.normal(size=(3, 400, 400, 3)), (0, s, s, 0), mode="wrap") for s in (1.2, 4.0, 12.0)]
    sum_ = sum(layer / layer.std() for layer in layers)
    return np.clip(0.5 + 0.16 * sum_, 0.0, 1.0)


def hits(camera):
    """Which of the three planes each pixel shows, and where."""
    origin, rays = camera.rays()
    with np.errstate(divide="ignore"):
        distance = np.where(rays < 0.0, -origin / rays, np.inf)
    return distance.argmin(axis=2), origin + rays * distance.min(axis=2)[..., None]


def photographs(taken, seed=0):
    """What cameras see: the planes x = 0, y = 0 and z = 0, in uint8 RGB."""
    textures, found = _textures(seed), []
    for camera in taken:
        side, place = hits(camera)
        u, v = ((np.take_along_axis(place, ((side + k) % 3)[..., None], 2)[..., 0] * 70.0) % 399.0 for k in (1, 2))
        i, j = u.astype(int), v.astype(int)
        a, b = (u - i)[..., None], (v - j)[..., None]
        upper = textures[side, i, j] * (1 - b) + textures[side, i, j + 1] * b
        lower = textures[side, i + 1, j] * (1 - b) + textures[side, i + 1, j + 1] * b
        found.append((255.0 * (upper * (1 - a) + lower * a)).round().astype(np.uint8))
    return found


def save(folder: Path, images, form="{:03}.png", **options):
    """Write images."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / form.format(index), **options)
