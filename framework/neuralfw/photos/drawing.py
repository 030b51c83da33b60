"""Draws a capture into one picture: cameras, sparse points and bounds from above and aside; photographs and masks."""

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image, ImageDraw, ImageFont

from neuralfw.geometry.camera import Camera
from neuralfw.geometry.files import write_file
from neuralfw.photos.hull import Box
from neuralfw.photos.model import Capture, View
from neuralfw.photos.pictures import has_alpha, read_mask, read_picture

Place = Callable[[Float64[np.ndarray, "n 3"]], Float64[np.ndarray, "n 2"]]
"""Points of the world to pixels of a plan."""

PLAN = 440
"""Pixels along an edge of each of the two plans."""

SHOWN = 12
"""Photographs that are shown, evenly spread."""

_COLUMNS, _THUMB, _GAP, _LINE = 4, 220, 8, 18
_CAMERA, _FIRST, _BOX, _SPHERE, _OUTLINE = (30, 90, 200), (220, 120, 0), (200, 30, 60), (20, 140, 60), (255, 0, 200)
_DOT = (255, 60, 0)
_POINTS = 30_000


def draw_scene(capture: Capture, path: Path, bounds: Box, faults: Sequence[str] = ()) -> None:
    """Write a PNG.

    Left, from above and from the side: cameras (the first one orange) with what they see of their surroundings, points
    in their colours, the bounds (red) and the unit sphere of a normalisation (green). Right: photographs with what
    their masks leave out dimmed, the masks' outlines, and where the points were seen. Below: the faults.

    Args:
        capture: what a reader found.
        path: of the picture.
        bounds: corners of the box where the object or scene is taken to be.
        faults: a sentence each.
    """
    up, right, forward = _upright(capture.cameras)
    plans = [
        _plan(capture, bounds, np.stack([right, forward]), "from above"),
        _plan(capture, bounds, np.stack([right, up]), "from the side"),
    ]
    shown = np.unique(np.linspace(0, len(capture.views) - 1, SHOWN).round().astype(int)).tolist()
    thumbs = [_thumb(capture, index) for index in shown]
    rows = -(-len(thumbs) // _COLUMNS)
    tall = max(thumb.height for thumb in thumbs) + _LINE
    left = PLAN + 2 * _GAP
    height = max(2 * (PLAN + _GAP), rows * (tall + _GAP)) + _GAP
    texts = [_wrapped(f"FAULT: {fault}") for fault in faults] or [["no faults found"]]
    lines = [line for text in texts for line in text]
    sheet = Image.new("RGB", (left + _COLUMNS * (_THUMB + _GAP), height + (len(lines) + 1) * _LINE), "white")
    for index, plan in enumerate(plans):
        sheet.paste(plan, (_GAP, _GAP + index * (PLAN + _GAP)))
    draw = ImageDraw.Draw(sheet)
    for place, (index, thumb) in enumerate(zip(shown, thumbs, strict=True)):
        row, column = divmod(place, _COLUMNS)
        corner = (left + column * (_THUMB + _GAP), _GAP + row * (tall + _GAP))
        draw.text(corner, capture.views[index].name[-34:], fill="black", font=_font())
        sheet.paste(thumb, (corner[0], corner[1] + _LINE))
    for index, line in enumerate(lines):
        draw.text((_GAP, height + index * _LINE), line, fill="red" if faults else (20, 140, 60), font=_font())
    encoded = BytesIO()
    sheet.save(encoded, "PNG", optimize=True)
    write_file(path, encoded.getvalue())


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(12)


def _wrapped(text: str, letters: int = 200) -> list[str]:
    return [text[start : start + letters] for start in range(0, len(text), letters)]


def _upright(cameras: Sequence[Camera]) -> Float64[np.ndarray, "3 3"]:
    """Return unit directions up, to the right and forwards: those of the cameras in the mean, as far as they agree."""
    down = np.mean([camera.world_to_camera[1, :3] for camera in cameras], axis=0)
    up = -down / np.linalg.norm(down) if np.linalg.norm(down) > 0.1 else np.array([0.0, 0.0, 1.0])
    for guess in (np.mean([camera.axis for camera in cameras], axis=0), *np.eye(3)):
        forward = guess - (guess @ up) * up
        if np.linalg.norm(forward) > 0.2:
            break
    forward = forward / np.linalg.norm(forward)
    return np.stack([up, np.cross(forward, up), forward])


def _plan(capture: Capture, bounds: Box, axes: Float64[np.ndarray, "2 3"], title: str) -> Image.Image:
    """Draw the scene as seen along the direction that two axes leave out."""
    centers = np.stack([camera.center for camera in capture.cameras])
    corners = np.stack(np.meshgrid(*bounds.T), axis=-1).reshape(-1, 3)
    flat = np.concatenate([centers, corners]) @ axes.T
    low, high = flat.min(axis=0), flat.max(axis=0)
    middle, reach = 0.5 * (low + high), max(0.58 * float((high - low).max()), 1e-12)

    def place(points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 2"]:
        found: Float64[np.ndarray, "n 2"] = ((points @ axes.T - middle) / reach * (1.0, -1.0) + 1.0) * 0.5 * PLAN
        return found

    plan = Image.new("RGB", (PLAN, PLAN), (246, 246, 246))
    _scatter(plan, capture, place)
    draw = ImageDraw.Draw(plan)
    outline = place(corners)
    for a in range(8):
        for b in (a ^ 1, a ^ 2, a ^ 4):
            if a < b:
                draw.line([*map(float, (*outline[a], *outline[b]))], fill=_BOX)
    if capture.frame is not None:
        x, y = place(capture.frame.center[None])[0]
        radius = 0.5 * PLAN / capture.frame.scale / reach
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=_SPHERE)
    long = 0.12 * reach
    for camera in reversed(capture.cameras):
        frustum = place(_frustum(camera, long))
        color = _FIRST if camera is capture.cameras[0] else _CAMERA
        tip, *rim = [(float(x), float(y)) for x, y in frustum]
        for corner in rim:
            draw.line([tip, corner], fill=color)
        draw.line([*rim, rim[0]], fill=color)
    draw.text((6, 4), f"{title}, {2.0 * reach:.4g} units across", fill="black", font=_font())
    return plan


def _scatter(plan: Image.Image, capture: Capture, place: Place) -> None:
    if capture.points is None:
        return
    step = max(1, len(capture.points) // _POINTS)
    pixels = place(capture.points.points[::step]).round()
    colors = capture.points.colors
    shades = np.full((len(pixels), 3), 0.4) if colors is None else colors[::step]
    inside = ((pixels >= 0) & (pixels < PLAN)).all(axis=1)
    canvas = np.array(plan)
    column, row = pixels[inside].astype(int).T
    canvas[row, column] = (255.0 * np.clip(shades[inside], 0.0, 0.9)).astype(np.uint8)
    plan.paste(Image.fromarray(canvas))


def _frustum(camera: Camera, depth: float) -> Float64[np.ndarray, "5 3"]:
    """Return a camera's centre and the corners of its picture at a depth."""
    x = (np.array([0.0, camera.width, camera.width, 0.0]) - camera.cx) / camera.fx
    y = (np.array([0.0, 0.0, camera.height, camera.height]) - camera.cy) / camera.fy
    local = depth * np.stack([x, y, np.ones(4)], axis=1)
    rim = local @ camera.world_to_camera[:3, :3] + camera.center
    return np.concatenate([camera.center[None], rim])


def _thumb(capture: Capture, index: int) -> Image.Image:
    """Return a photograph, small, with its mask and with the points that were seen there."""
    view = capture.views[index]
    factor = min(1.0, _THUMB / view.camera.width)
    size = (max(1, round(view.camera.width * factor)), max(1, round(view.camera.height * factor)))
    pixels, mask = _seen(view, size)
    if mask is not None:
        inside = mask > 127
        pixels = np.where(inside[..., None], pixels, pixels // 3)
        border = inside & ~(
            np.roll(inside, 1, 0) & np.roll(inside, -1, 0) & np.roll(inside, 1, 1) & np.roll(inside, -1, 1)
        )
        pixels[border] = _OUTLINE
    if capture.tracks is not None and view.distortion is None:
        seen = (
            (capture.tracks.pixels[capture.tracks.view == index][:: max(1, len(capture.tracks.point) // 20_000)])
            * factor
        )
        inside_picture = ((seen >= 0.0) & (seen < size)).all(axis=1)
        column, row = seen[inside_picture].astype(int).T
        pixels[row, column] = _DOT
    return Image.fromarray(pixels)


def _seen(view: View, size: tuple[int, int]) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"] | None]:
    pixels = read_picture(view.image, size)
    if view.mask is not None:
        return pixels[..., :3].copy(), read_mask(view.mask, size)
    return pixels[..., :3].copy(), pixels[..., 3].copy() if has_alpha(view.image) else None
