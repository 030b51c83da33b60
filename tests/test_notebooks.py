"""Notebooks run from start to end and hold what they show; what runs them keeps print-outs, values and pictures."""

from __future__ import annotations

import base64
import io
import json
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from run_notebook import execute  # noqa: E402

NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))


def notebook(*sources: str) -> dict[str, Any]:
    """Return a notebook of code cells that were not run."""
    cells = [{"cell_type": "code", "source": s.splitlines(True), "outputs": []} for s in sources]
    return {"cells": cells, "nbformat": 4}


def test_cells_share_their_names_and_keep_what_they_show() -> None:
    show = "from PIL import Image\nImage.new('RGB', (3, 2), (255, 0, 0))"
    ran = execute(notebook("x = 3\nprint('at', x)", "x + 1", "if x:\n    x = 5", show))["cells"]
    assert ran[0]["outputs"] == [{"output_type": "stream", "name": "stdout", "text": ["at 3\n"]}]
    assert ran[1]["outputs"][0]["data"] == {"text/plain": ["4"]} and ran[1]["execution_count"] == 2
    assert ran[2]["outputs"] == []
    picture = Image.open(io.BytesIO(base64.b64decode(ran[3]["outputs"][0]["data"]["image/png"])))
    assert picture.size == (3, 2) and picture.getpixel((0, 0)) == (255, 0, 0)


def test_an_exception_ends_it_and_names_the_cell() -> None:
    with pytest.raises(ZeroDivisionError) as told:
        execute(notebook("x = 0", "1 / x"))
    assert traceback.extract_tb(told.tb)[-1].filename == "cell 2"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_what_it_shows(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == [*range(1, len(code) + 1)]
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"execute_result", "stream"}
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
    assert path.stat().st_size < 300_000


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path) -> None:
    """From start to end, and each cell shows as many things as it is kept with."""
    document = json.loads(path.read_text(encoding="utf-8"))
    ran = execute(document)
    kept, found = ([len(cell.get("outputs", ())) for cell in d["cells"]] for d in (document, ran))
    assert found == kept
