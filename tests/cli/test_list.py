"""list: what is installed, what is unavailable, what may replace what."""

import json

import pytest

from neuralfw.fits import fits, places
from neuralfw.recipe.faults import RecipeError
from neuralfw.registry import discover
from neuralfw.session import check
from neuralfw.shipped import shipped_recipes


@pytest.fixture
def ball(trained):
    return trained[0].parent / "ball.toml"


def test_everything_installed_is_listed_with_its_summary(cli):
    text = cli("list").stdout
    for component in discover().components():
        assert any(component.full_name in line and component.summary in line for line in text.splitlines())
    assert {*shipped_recipes()} <= {line.split()[1] for line in text.splitlines() if line.startswith("recipe ")}


@pytest.mark.parametrize("kind", ["loss", "recipe"])
def test_one_kind_alone(cli, kind):
    lines = cli("list", kind).stdout.splitlines()
    assert lines and all(line.startswith(f"{kind} ") for line in lines)


def test_as_json(cli):
    listed = json.loads(cli("list", "encoder", "--json").stdout)
    assert {"kind", "name", "plugin", "summary"} == {*listed["installed"][0]}
    assert "core/identity" in [entry["name"] for entry in listed["installed"]] and listed["unavailable"] == []


def test_a_plugin_left_out_is_not_listed_and_a_broken_one_is_with_the_remedy(cli, tmp_path, monkeypatch):
    assert "core/" not in cli("list", "--no-plugin", "core").stdout
    info = tmp_path / "neuralfw_toy-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: neuralfw-toy\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[neuralfw]\ntoy = toy_that_is_gone\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    text = cli("list").stdout
    assert "neuralfw-toy: package toy_that_is_gone is not installed; to mend it: pip install" in text
    assert "core/mlp_sdf" in text


# -- --fits ------------------------------------------------------------------------------------------------------


def test_every_place_of_a_component_is_tried(ball):
    assert [place.path for place in places(check(ball))] == [
        "data.points.type",
        "data.around.type",
        "fields.sdf.type",
        "fields.sdf.encoder.type",
        "stages.fit.passes.surface.renderer",
        "stages.fit.passes.space.renderer",
        "stages.fit.losses.sdf_zero.type",
        "stages.fit.losses.normal.type",
        "stages.fit.losses.eikonal.type",
        "stages.fit.update.type",
        "export.mesher.type",
    ]


def test_what_fits_checks_and_what_does_not_is_refused(ball):
    """The claim of every line of the table, put to the proof by checking the recipe with that change."""
    tried = [fit for fit in fits(check(ball), str(ball)) if not fit.needs]
    assert {fit.reason == "" for fit in tried} == {True, False}
    for fit in tried:
        if fit.reason:
            with pytest.raises(RecipeError):
                check(ball, [fit.change])
        else:
            assert check(ball, [fit.change]).recipe.name == "ball"


def test_reasons_needs_and_what_is_dropped(ball):
    found = {(fit.place.path, fit.name): fit for fit in fits(check(ball), str(ball))}
    encoder = found["fields.sdf.encoder.type", "core/frequency"]
    assert (encoder.reason, encoder.needs) == ("", [])
    assert '"batch"' in found["data.points.type", "core/uniform"].reason
    assert "sdf" in found["stages.fit.losses.sdf_zero.type", "core/sdf_regression"].reason
    points = found["data.around.type", "core/points"]
    assert (points.reason, points.needs) == ("", ["path"])
    latents = found["fields.sdf.type", "core/latents"]
    assert latents.reason and latents.needs == ["per"]


def test_options_that_a_swap_drops_are_said(cli, ball, tmp_path):
    recipe = tmp_path / "ball.toml"
    recipe.write_text(ball.read_text().replace("layers = 2", "layers = 6\nbeta = 80.0"))
    text = cli("list", "field", "--fits", recipe).stdout
    assert "deepsdf/deepsdf_decoder" in text and "beta" in text and "dropped" in text


def test_the_table_and_its_json(cli, ball):
    text = cli("list", "encoder", "--fits", ball).stdout
    assert text.splitlines()[1].split() == ["fields.sdf.encoder", "core/identity", "core/frequency"]
    assert "a swap is one line: --set fields.sdf.encoder.type=core/frequency" in text
    fit, *_ = json.loads(cli("list", "encoder", "--fits", ball, "--json").stdout)
    assert fit["change"] == "fields.sdf.encoder.type=core/frequency" and fit["reason"] == ""
