"""Make the small scene that ships with the recipes: `python tools/make_mic.py PATH/nerf_synthetic_mic`."""

import argparse
import json
from pathlib import Path

from PIL import Image

SIZE = 200
DATA = Path(__file__).resolve().parents[1] / "recipes" / "data" / "mic"


def make(source: Path, folder: Path) -> None:
    """Write the photographs, reduced by a box filter that weights colours by alpha, and the poses that they have."""
    for name in ("train", "test"):
        document = json.loads((source / f"transforms_{name}.json").read_text(encoding="utf-8"))
        frames = [{key: frame[key] for key in ("file_path", "transform_matrix")} for frame in document["frames"]]
        (folder / name).mkdir(parents=True, exist_ok=True)
        for frame in frames:
            file = f"{frame['file_path']}.png"
            with Image.open(source / file) as image:
                image.resize((SIZE, SIZE), Image.Resampling.BOX).save(folder / file, optimize=True)
        poses = {"camera_angle_x": document["camera_angle_x"], "frames": frames}
        (folder / f"transforms_{name}.json").write_text(json.dumps(poses, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="the scene at 400 or 800 pixels, in the layout of NeRF-synthetic")
    make(parser.parse_args().source, DATA)
