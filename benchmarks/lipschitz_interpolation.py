"""How smooth the way from one shape to another is, of networks learnt with and without a Lipschitz bound.

    python benchmarks/lipschitz_interpolation.py A B RUN [RUN ...] [--picture OUT.png]

A and B are shapes that every run learnt (`lipmlp`, `deepsdf_class`). On the way t = 0 … 1 from the code of A to that of
B, over points uniform in the box [-1, 1]³ of the training space:

    detour   mean of ∫|∂f/∂t| dt over mean of |f(B) - f(A)|: 1 where no distance goes there and back
    peak     the largest |∂f/∂t|
    bend     root mean square of ∂²f/∂t²
    ends     mean |f| at the vertices of the two given meshes, where it should be 0
    sampled  the largest |f(u) - f(v)| / |u - v| of 40,000 pairs, lengths by the largest component
    bound    the network's Lipschitz bound, where it has one: no pair exceeds it

Distances are in units of the training space. The picture has a row for each run, a column for each quarter of the way.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from neuralfw.geometry import Mesh, read_mesh
from neuralfw.picture import draw
from neuralfw.run import Run

POINTS, STEPS, PAIRS = 4000, 40, 40_000
COLUMNS = (0.0, 0.25, 0.5, 0.75, 1.0)


def distances(run: Run, x: Tensor, codes: Tensor) -> Tensor:
    with torch.no_grad():
        return run.view.evaluate({"points": x, "latent": codes}, frozenset({"sdf"}))["sdf"]


def way(run: Run, a: str, b: str) -> dict[str, float]:
    """Measures of smoothness along the way."""
    start, end = (run.inputs(shape=name)["latent"] for name in (a, b))
    x = 2.0 * torch.rand(POINTS, 3, generator=torch.Generator().manual_seed(0)) - 1.0
    times = torch.linspace(0.0, 1.0, STEPS + 1)
    f = torch.stack([distances(run, x, ((1 - t) * start + t * end).expand(POINTS, -1)) for t in times])
    first, second = f.diff(dim=0) * STEPS, f.diff(n=2, dim=0) * STEPS**2
    return {
        "detour": float(first.abs().mean() / (f[-1] - f[0]).abs().mean()),
        "peak": float(first.abs().max()),
        "bend": float(second.square().mean().sqrt()),
    }


def ends(run: Run, names: tuple[str, str]) -> float:
    """How far the given meshes are from the zero sets, in the training space."""
    folder = run.recipe.data["shapes"].config.path
    found = {name: read_mesh(folder / f"{name}.ply").vertices for name in names}
    return float(np.mean([np.abs(run.sdf(x, shape=n)).mean() * run.frame_of(n).scale for n, x in found.items()]))


def sampled(run: Run, a: str, b: str) -> float:
    """The steepest pair found: points and codes at all distances, from the box and a quarter beyond both ends."""
    start, end = (run.inputs(shape=name)["latent"] for name in (a, b))
    random = torch.Generator().manual_seed(1)

    def draw_inputs() -> tuple[Tensor, Tensor]:
        x = 2.0 * torch.rand(PAIRS, 3, generator=random) - 1.0
        t = 1.5 * torch.rand(PAIRS, 1, generator=random) - 0.25
        return x, (1.0 - t) * start + t * end

    (x, z), (to_x, to_z) = draw_inputs(), draw_inputs()
    reach = 10.0 ** (-3.0 * torch.rand(PAIRS, 1, generator=random))
    x2, z2 = x + reach * (to_x - x), z + reach * (to_z - z)
    length = torch.cat([x2 - x, z2 - z], dim=1).abs().amax(dim=1)
    return float(((distances(run, x2, z2) - distances(run, x, z)).abs() / length).max())


def bound(run: Run) -> float:
    sdf, quantity = run.scene.fields["sdf"], "lipschitz/log_bound"
    if quantity not in run.recipe.fields["sdf"].config.wiring().provides:
        return math.inf
    return math.exp(float(sdf.evaluate({}, frozenset({quantity}))[quantity]))


def drawn(mesh: Mesh) -> np.ndarray:
    """A picture from above and aside; z is up."""
    turned = Mesh(mesh.vertices[:, [1, 2, 0]], mesh.faces)
    return draw(turned, 160, azimuth=60.0, elevation=50.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("shapes", nargs=2, metavar=("A", "B"))
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    a, b = given.shapes
    print("run               detour    peak    bend    ends   sampled    bound")
    rows = []
    for folder in given.runs:
        run = Run(folder)
        m = way(run, a, b)
        print(
            f"{folder.name:16} {m['detour']:7.3f} {m['peak']:7.2f} {m['bend']:7.3f} {ends(run, (a, b)):7.4f} "
            f"{sampled(run, a, b):9.2f} {bound(run):8.2f}"
        )
        if given.picture:
            rows.append(np.concatenate([drawn(run.mesh(shape=f"{a}:{b}:{t}")) for t in COLUMNS], axis=1))
    if rows:
        Image.fromarray(np.concatenate(rows)).quantize(64).save(given.picture, optimize=True)


if __name__ == "__main__":
    main()
