"""A class of shapes with latent codes: learning two, finding the code of a third, completing it, going from one to
the other; each mesh in its own world."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, read_mesh, write_mesh
from neuralfw.run import Run
from neuralfw.session import train

QUICK = ["log.tensorboard=false", "log.report=false", "export.mesher.resolution=24"]


def ellipsoid(height: float, size: float = 1.0, shift: float = 0.0) -> Mesh:
    """A ball of that size, drawn out along z, on a latitude-longitude grid."""
    import trimesh

    ball = trimesh.creation.icosphere(3)
    return Mesh(np.asarray(ball.vertices) * [size, size, size * height] + shift, np.asarray(ball.faces))


def write(path: Path, mesh: Mesh) -> None:
    write_mesh(path, mesh.vertices, mesh.faces)


def height(mesh: Mesh) -> float:
    """Its extent along z in terms of that along x."""
    extent = np.ptp(mesh.vertices, axis=0)
    return float(extent[2] / extent[0])


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Two ellipsoids, flat and round, of different size and place, learnt as a class."""
    folder = tmp_path_factory.mktemp("class")
    write(folder / "shapes" / "flat.ply", ellipsoid(0.5, size=20.0, shift=100.0))
    write(folder / "shapes" / "round.ply", ellipsoid(1.0))
    options = [
        *QUICK, f"data.shapes.path={folder / 'shapes'}", "data.shapes.samples=10000", "fields.codes.dim=2",
        "fields.sdf.width=32", "fields.sdf.layers=3", "fields.sdf.skip=[2]", "stages.decoder.steps=250",
        "stages.decoder.passes.samples.points=512", "stages.decoder.train.sdf.lr.start=5e-3",
        "stages.decoder.train.codes.lr.start=1e-2",
    ]  # fmt: skip
    yield Run(train("deepsdf_class", options, out=folder / "run"))


NET = ["fields.codes.dim=2", "fields.sdf.width=32", "fields.sdf.layers=3", "fields.sdf.skip=[2]"]


def test_each_shape_comes_back_to_its_own_world(learnt: Run) -> None:
    assert learnt.shapes == ["flat", "round"]
    flat = read_mesh(learnt.folder.meshes / "mesh_flat.ply")
    assert np.abs(flat.vertices.mean(axis=0) - 100.0).max() < 1.0
    assert np.ptp(flat.vertices, axis=0) == pytest.approx([40.0, 40.0, 20.0], rel=0.1)
    assert np.ptp(learnt.mesh(shape="round").vertices, axis=0) == pytest.approx([2.0, 2.0, 2.0], rel=0.1)


def test_distances_are_in_the_world_of_the_shape(learnt: Run) -> None:
    x = np.array([[100.0, 100.0, 100.0], [100.0, 100.0, 112.0], [122.0, 100.0, 100.0]])
    assert learnt.sdf(x, shape="flat")[1:] == pytest.approx([2.0, 2.0], abs=1.0)
    assert learnt.sdf(x, shape="flat")[0] < -1.0


def test_a_shape_must_be_named_and_known(learnt: Run) -> None:
    with pytest.raises(UserError, match="learnt 2 shapes: name one"):
        learnt.mesh()
    with pytest.raises(UserError, match="no shape 'rounds' in this run; closest: round"):
        learnt.mesh(shape="rounds")


def test_codes_between_two_shapes_give_shapes_between(learnt: Run, tmp_path: Path) -> None:
    files = learnt.export(shape="flat:round:4", output=tmp_path)
    assert len(files) == 4
    heights = [height(read_mesh(file)) for file in files]
    assert heights == sorted(heights)
    assert heights[0] == pytest.approx(0.5, abs=0.06) and heights[-1] == pytest.approx(1.0, abs=0.06)
    assert 0.55 < heights[1] < heights[2] < 0.95


def test_an_unseen_shape_is_found_by_its_code_alone(learnt: Run, tmp_path: Path) -> None:
    write(tmp_path / "third.ply", ellipsoid(0.75, size=3.0, shift=-7.0))
    options = [*QUICK, *NET, f"data.shapes.path={tmp_path / 'third.ply'}", "data.shapes.samples=5000"]
    options += ["stages.code.steps=150", "stages.code.train.codes.lr.at=[100]", "stages.code.train.codes.lr.start=2e-2"]
    options += ["stages.code.passes.samples.points=512"]
    run = Run(train("deepsdf_infer", options, out=tmp_path / "run", start_from=f"{learnt.folder.root}:sdf"))
    mesh = run.mesh()
    assert height(mesh) == pytest.approx(0.75, abs=0.08)
    assert np.ptp(mesh.vertices[:, 0]) == pytest.approx(6.0, rel=0.05)
    assert mesh.vertices.mean(axis=0) == pytest.approx([-7.0] * 3, abs=0.2)
    for name, weight in run.scene.fields["sdf"].named_parameters():
        assert weight.equal(dict(learnt.scene.fields["sdf"].named_parameters())[name]), name


def test_a_shape_seen_from_one_side_is_completed(learnt: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(3000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    stretch = np.array([1.0, 1.0, 0.75]) / 1.03
    points, normals = directions * stretch, directions / stretch
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    sensor = np.array([3.0, 0.0, 0.0])
    seen = ((sensor - points) * normals).sum(axis=1) > 0
    np.savetxt(tmp_path / "side.pts", np.hstack([points, normals])[seen])
    options = [*QUICK, *NET, f"data.points.path={tmp_path / 'side.pts'}", "data.empty.sensor=[3.0, 0.0, 0.0]"]
    options += ["stages.code.steps=150", "stages.code.train.codes.lr.at=[100]", "stages.code.train.codes.lr.start=2e-2"]
    options += ["data.near.batch=512", "data.empty.batch=512"]
    run = Run(train("deepsdf_complete", options, out=tmp_path / "run", start_from=f"{learnt.folder.root}:sdf"))
    low, high = run.mesh().vertices.min(axis=0), run.mesh().vertices.max(axis=0)
    assert points[seen][:, 0].min() > 0.2  # the other side was not seen
    assert low == pytest.approx(-stretch, abs=0.12) and high == pytest.approx(stretch, abs=0.12)
