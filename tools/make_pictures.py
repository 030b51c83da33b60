"""Makes the animations of the pages, and the screenshots of the viewer and of a run's page, from runs of shipped data.

    python tools/make_pictures.py [--runs DIR] [NAMES]

A run is trained into DIR (figures/pictures) where it is not there yet: minutes each, idr 45. Names are those of METHODS
or of SCREENSHOTS. Screenshots need a Chromium and `pip install 'neuralfw[viewer]'`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs/images"
SCENE = ROOT / "figures/scenes/pictures"
"""Photographs of the analytic scene, which are made."""

EDGE, FRAMES, COLORS = 256, 16, 192
"""Pixels, pictures and colours of an animation; see LIMIT."""

LIMIT = 600_000
"""Bytes that a picture of the pages may have."""


@dataclass(frozen=True)
class Method:
    """What is shown of a method.

    Attributes:
        recipe: shipped, on shipped data.
        film: draws a run as a film, with the verb that it names, to a .gif.
        settings: of the run, key=value.
        make: command that writes its scene, the last word its folder; nothing where the data are shipped.
    """

    recipe: str
    film: Callable[[Path, Path], None]
    settings: tuple[str, ...] = ()
    make: tuple[str, ...] = ()


def neuralfw(*arguments: str) -> None:
    """Run the command line."""
    subprocess.run([sys.executable, "-m", "neuralfw", *arguments], check=True, cwd=ROOT)


def rendered(*options: str) -> Callable[[Path, Path], None]:
    """Film by the verb `render`."""
    asked = ("--frames", str(FRAMES), "--size", str(EDGE), "--fps", "8", *options)
    return lambda run, path: neuralfw("render", str(run), *asked, "-o", str(path))


def deformed(run: Path, path: Path) -> None:
    """Film by the verb `deform`."""
    neuralfw("deform", str(run), "--times", "1", "--film", str(path))


def between(first: str, last: str) -> Callable[[Path, Path], None]:
    """Film of the meshes that `export --shape A:B:n` writes, there and back."""

    def film(run: Path, path: Path) -> None:
        from neuralfw.film.files import write_frames
        from neuralfw.geometry import read_mesh
        from neuralfw.picture import draw

        with tempfile.TemporaryDirectory() as folder:
            neuralfw("export", str(run), "--shape", f"{first}:{last}:{FRAMES // 2 + 1}", "-o", folder)
            share = {file: float(file.stem.rpartition("_")[2]) for file in Path(folder).glob("*.ply")}
            frames = [draw(read_mesh(file), EDGE) for file in sorted(share, key=share.__getitem__)]
        write_frames(path, frames + frames[-2:0:-1], fps=8)

    return film


METHODS = {
    "igr": Method("igr", rendered("--what", "rgb,normal"), ("stages.fit.steps=500",)),
    "deepsdf_class": Method("deepsdf_class", between("ball", "disc")),
    "lipmlp": Method("lipmlp", between("torus", "double_torus"), ("stages.fit.steps=1000",)),
    "gs_pull": Method("gs_pull", rendered("--what", "rgb,normal")),
    "idr": Method(
        "idr",
        rendered("--what", "rgb,normal", "--size", "160"),
        ("data.images.type=idr", f"data.images.path={SCENE}"),
        ("tools/analytic_scene.py", str(SCENE)),
    ),
    "n4de_color": Method("n4de_color", rendered("--times", "0,1", "--up", "y")),
    "velocity": Method("velocity", deformed),
}


def trained(name: str, method: Method, runs: Path) -> Path:
    """Return the run of a method, trained where it is not there."""
    run = runs / name
    if not (run / "checkpoints/latest").is_file():
        if method.make and not Path(method.make[-1]).exists():
            subprocess.run([sys.executable, *method.make], check=True, cwd=ROOT)
        neuralfw("run", method.recipe, "--out", str(run), *(f"--set={text}" for text in method.settings))
    return run


def animate(name: str, runs: Path) -> Path:
    """Write the animation of a method, in few colours; return its file."""
    method, path = METHODS[name], IMAGES / f"{name}.gif"
    run = trained(name, method, runs)
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.gif"
        method.film(run, film)
        with Image.open(film) as opened:
            pause = opened.info["duration"]
            frames = [_small(opened, number) for number in range(opened.n_frames)][
                :: -(-opened.n_frames // (2 * FRAMES))
            ]
    palette = Image.fromarray(np.concatenate([np.asarray(frame) for frame in frames[::3]])).quantize(COLORS)
    few = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    few[0].save(path, save_all=True, append_images=few[1:], duration=max(pause, 80), loop=0, optimize=True)
    return _checked(path)


def _small(opened: Image.Image, number: int) -> Image.Image:
    opened.seek(number)
    frame = opened.convert("RGB")
    scale = EDGE / frame.height
    return frame if scale >= 1.0 else frame.resize((round(scale * frame.width), EDGE), Image.Resampling.LANCZOS)


def viewer(runs: Path) -> Path:
    """A screenshot of the viewer on the run of `igr`."""
    from neuralfw.run import Run
    from neuralfw.viewer.contents import Contents
    from neuralfw.viewer.viewer import Viewer

    run = trained("igr", METHODS["igr"], runs)
    os.chdir(run.parent)  # the panel names the folder as it was given
    with Viewer(Contents(Run(run.name), reference=ROOT / "recipes/data/spot_mesh.ply")) as started:
        return photographed("view", started.url, 1000, 640)


def report(runs: Path) -> Path:
    """A screenshot of the page of the run of `gs_pull`."""
    run = trained("gs_pull", METHODS["gs_pull"], runs)
    neuralfw("report", str(run))
    return photographed("report", (run / "report.html").resolve().as_uri(), 1000, 1400)


SCREENSHOTS = {"view": viewer, "report": report}


def photographed(name: str, url: str, width: int, height: int) -> Path:
    """Write what a headless browser shows of a page; return the file."""
    browsers = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    browser = next((found for found in browsers if found), None)
    if browser is None:
        raise SystemExit("no chromium or google-chrome here: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        options = ["--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        options += [
            f"--window-size={width},{height}",
            "--virtual-time-budget=20000",
            f"--user-data-dir={folder}/profile",
        ]
        subprocess.run([browser, *options, f"--screenshot={shot}", url], check=True, capture_output=True, timeout=300)
        with Image.open(shot) as opened:
            pixels = np.asarray(opened.convert("RGB"))
    path = IMAGES / f"{name}.png"
    Image.fromarray(pixels).quantize(128).save(path, "PNG", optimize=True)
    return _checked(path)


def _checked(path: Path) -> Path:
    if path.stat().st_size > LIMIT:
        raise SystemExit(f"{path} has {path.stat().st_size:,} bytes, more than {LIMIT:,}")
    return path


def main() -> None:
    """Make all pictures, or those named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *METHODS, *SCREENSHOTS])
    parser.add_argument("--runs", type=Path, default=ROOT / "figures/pictures")
    arguments = parser.parse_args()
    for name in arguments.names or [*METHODS, *SCREENSHOTS]:
        runs = arguments.runs.resolve()
        path = animate(name, runs) if name in METHODS else SCREENSHOTS[name](runs)
        sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
