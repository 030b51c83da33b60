"""The page of a run: what stands in it, for runs of different kinds, and that it opens without a network."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import neuralfw
from neuralfw.cli import app
from neuralfw.errors import UserError
from neuralfw.geometry import write_mesh
from neuralfw.pages.charts import Line, line_chart
from neuralfw.pages.pictures import RAMP, ramp
from neuralfw.pages.records import Record, flat
from neuralfw.pages.surface_error import surface_error, truth_at
from neuralfw.pages.turntable import around, turn

Write = Callable[..., Path]


class Parsed(HTMLParser):
    """What a page holds: elements with their attributes, and its text."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "input", "br", "line", "polygon", "polyline", "i"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"i"}:
            assert self.open.pop() == tag if tag not in {"line", "polygon", "polyline"} else True

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def finished(tiny_run: Path, tmp_path: Path) -> neuralfw.run.Run:
    return neuralfw.open(shutil.copytree(tiny_run, tmp_path / "run"))


def test_a_run_leaves_a_page_that_stands_alone(finished: neuralfw.run.Run) -> None:
    page = Parsed(finished.folder.report)
    assert page.open == []
    for _, attributes in page.elements:
        for key in ("src", "href"):
            assert str(attributes.get(key, "data:")).startswith("data:")
    text = finished.folder.report.read_text()
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    for part in (
        "tiny",
        "Surface",
        "Curves",
        "Time and memory",
        "Recipe and wiring",
        "Environment",
        "stage fit: 4 steps",
    ):
        assert part in page.text
    assert "train fit" in page.text and "export mesh" in page.text and "peak memory" in page.text
    assert "points: 400 points" in page.text  # a note of the data
    assert f"torch {finished.folder.read_json(finished.folder.environment)['versions']['torch']}" in page.text


def test_the_turntable_shows_the_mesh_from_all_around(finished: neuralfw.run.Run) -> None:
    images = [i for i in Parsed(finished.folder.report).all("img") if i.get("data-layer") == "shape"]
    assert len(images) == 12
    for image in images:
        encoded = str(image["src"]).removeprefix("data:image/jpeg;base64,")
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("L"))
        assert 0.05 < (pixels < 200).mean() < 0.9  # an object before a white ground


def test_curves_hold_what_was_logged(finished: neuralfw.run.Run) -> None:
    charts = Parsed(finished.folder.report).all("svg")
    data = [json.loads(str(chart["data-chart"])) for chart in charts]
    losses = {name: (steps, values) for name, steps, values in data[0]["series"]}
    logged = [json.loads(line) for line in finished.folder.metrics.read_text().splitlines()]
    assert {*losses} == {"sdf_zero", "eikonal"}
    assert losses["eikonal"][0] == [line["step"] for line in logged]
    assert losses["eikonal"][1] == pytest.approx([line["loss/eikonal"] for line in logged], rel=1e-4)


def test_a_reference_colours_the_mesh(finished: neuralfw.run.Run, sphere_cloud: Path, tmp_path: Path) -> None:
    assert not [i for i in Parsed(finished.folder.report).all("img") if i.get("data-layer") == "error"]
    page = Parsed(finished.report(tmp_path / "page.html", reference=sphere_cloud))
    assert len([i for i in page.all("img") if i.get("data-layer") == "error"]) == 12
    assert "the nearest of 400 points of sphere.ply" in page.text


def test_the_page_can_be_left_out_and_made_later(tiny_recipe: Write, tmp_path: Path) -> None:
    path = tiny_recipe()
    root = neuralfw.train(path, ["log.report=false"], out=tmp_path / "run", device="cpu").folder
    assert not root.report.exists() and root.cost.is_file()
    result = CliRunner().invoke(app, ["report", str(root.root)])
    assert result.exit_code == 0 and result.stdout.strip() == str(root.report) and root.report.is_file()


def test_a_run_without_meshes_and_one_not_finished_say_so(finished: neuralfw.run.Run) -> None:
    shutil.rmtree(finished.folder.meshes)
    state = finished.folder.checkpoints / (finished.folder.checkpoints / "latest").read_text().strip() / "state.json"
    assert Record(finished.folder.root).finished
    state.write_text(state.read_text().replace('"stage": 1', '"stage": 0'))
    text = Parsed(finished.report()).text
    assert "training is not finished: the last step logged is 4" in text
    assert "none has been exported" in text


def test_text_of_a_recipe_is_no_markup(tiny_recipe: Write, tmp_path: Path) -> None:
    path = tiny_recipe()
    path.write_text('summary = "<script>alert(1)</script> & more"\n' + path.read_text())
    run = neuralfw.train(path, ["log.report=true"], out=tmp_path / "run", device="cpu")
    page = Parsed(run.folder.report)
    assert "<script>alert(1)</script> & more" in page.text and len(page.all("script")) == 1


def test_a_line_cut_short_is_passed_over(finished: neuralfw.run.Run) -> None:
    with finished.folder.metrics.open("a") as file:
        file.write('{"step": 5, "loss/sdf')
    record = Record(finished.folder.root)
    assert record.step == 4 and [(span.name, span.first, span.last) for span in record.spans] == [("fit", 0, 4)]


def test_recipes_as_flat_tables() -> None:
    tree = {
        "a": 1,
        "b": {"c": [1, 2]},
        "stages": [{"name": "fit", "steps": 3, "losses": [{"name": "l1", "weight": 2}]}],
    }
    assert flat(tree)["stages.fit.losses.l1.weight"] == 2
    assert flat(tree) == {
        "a": 1, "b.c": [1, 2], "stages.fit.name": "fit", "stages.fit.steps": 3,
        "stages.fit.losses.l1.name": "l1", "stages.fit.losses.l1.weight": 2,
    }  # fmt: skip


# -- its parts ---------------------------------------------------------------------------------------------------


def test_a_chart_bins_steps_into_means_with_their_spread() -> None:
    steps = np.arange(1, 2401)
    values = np.where(steps % 2, 1.0, 3.0)
    svg = line_chart([Line("saw", steps, values)])
    series = json.loads(re.search('data-chart="(.*?)"', svg)[1].replace("&quot;", '"'))["series"]  # type: ignore[index]
    assert len(series[0][1]) == 240 and set(series[0][2]) == {2.0}
    band = [float(pair.split(",")[1]) for pair in re.search('<polygon[^>]*points="(.*?)"', svg)[1].split()]  # type: ignore[index]
    assert len({*band}) == 2


def test_values_over_decades_have_a_logarithmic_axis() -> None:
    def ticks(values: list[float]) -> list[str]:
        svg = line_chart([Line("x", np.arange(len(values)), np.array(values))])
        return re.findall('text-anchor="end">(.*?)<', svg)

    assert ticks([1e-4, 1e-2, 1.0]) == ["0.0001", "0.001", "0.01", "0.1", "1"]
    assert ticks([0.0, 1e-2, 1.0]) == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert line_chart([Line("none", np.zeros(0, np.int64), np.zeros(0))]) == ""
    assert "polyline" in line_chart([Line("one", np.array([0]), np.array([2.0]))])


def test_colours_of_errors_run_from_none_to_the_largest() -> None:
    np.testing.assert_allclose(ramp(np.array([0.0, 1.0, 7.0, np.nan])), RAMP[[0, 3, 3, 3]])
    np.testing.assert_allclose(ramp(np.array([0.5])), [(RAMP[1] + RAMP[2]) / 2])


def test_the_error_of_a_cube_against_a_smaller_one(tmp_path: Path) -> None:
    from neuralfw.geometry import Mesh

    def cube(edge: float) -> Mesh:
        corners = np.stack(np.meshgrid([0.0, 1.0], [0.0, 1.0], [0.0, 1.0], indexing="ij"), -1).reshape(-1, 3) - 0.5
        faces = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
                          [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]])  # fmt: skip
        return Mesh(edge * corners, faces)

    write_mesh(tmp_path / "0000.ply", cube(1.0).vertices, cube(1.0).faces)
    error = surface_error(cube(1.2), tmp_path / "0000.ply")
    np.testing.assert_allclose(error.distance, 0.1 * 3**0.5, rtol=1e-6)
    assert error.scale == pytest.approx(0.01 * 3**0.5)
    assert "mean 0.1732" in error.told and "the triangles of 0000.ply" in error.told
    write_mesh(tmp_path / "0001.ply", cube(2.0).vertices, cube(2.0).faces)
    assert truth_at(tmp_path, 1.0) == tmp_path / "0001.ply"
    assert truth_at(tmp_path, 0.5) is None and truth_at(tmp_path / "0000.ply", 0.5) is None
    with pytest.raises(UserError, match="2 meshes, but this scene does not move"):
        truth_at(tmp_path, None)

    up = np.array([0.0, 0.0, 1.0])
    seen = turn(cube(1.0), around(cube(1.0), up, 4), painted={"error": np.tile([1.0, 0.0, 0.0], (8, 1))})
    assert [*seen.layers] == ["shape", "normals", "error"]
    for picture in seen.layers["error"]:
        middle = picture[picture.shape[0] // 2, picture.shape[1] // 2]
        assert middle[0] > 100 and middle[1] == middle[2] == 0  # only shaded, and whole in the picture
        assert (picture[[0, -1]] == 255).all() and (picture[:, [0, -1]] == 255).all()
    outlines = [(picture < 255).any(axis=-1) for picture in seen.layers["shape"]]
    for other in outlines[1:]:
        assert (other != outlines[0]).mean() < 0.002  # a cube has the same outline from four sides


def browser() -> str:
    found = next((b for b in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if b), None)
    if found is None:
        pytest.skip("no chromium or google-chrome here: apt-get install chromium")
    return found


def test_a_browser_opens_the_page_without_a_network(finished: neuralfw.run.Run, tmp_path: Path) -> None:
    shot = tmp_path / "page.png"
    subprocess.run(
        [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1000,700",
         "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={shot}",
         finished.folder.report.as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    bluish = pixels[..., 2] - pixels[..., 0]
    assert ((bluish > 15) & (bluish < 90)).mean() > 0.01  # the grey-blue mesh, which the script shows
