"""Runs the code of a notebook, cell by cell, and keeps what it shows: `python tools/run_notebook.py NOTEBOOK.ipynb`.

Cells share one namespace. What a cell prints is kept, and the value of its last line: a picture if it is one of
Pillow's, else its text. An exception ends it all, and the file stays as it was.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

from PIL.Image import Image


def execute(notebook: dict[str, Any]) -> dict[str, Any]:
    """Run the code cells of a notebook (nbformat 4); return it with what they show."""
    space: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    cells = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            count += 1
            shown = _run("".join(cell["source"]), f"cell {count}", space)
            outputs = [output | ({"execution_count": count} if "data" in output else {}) for output in shown]
            cell = cell | {"execution_count": count, "outputs": outputs}
        cells.append(cell)
    return notebook | {"cells": cells}


def _run(source: str, name: str, space: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a cell; return what it printed and the value of its last line, as outputs of a notebook."""
    body = ast.parse(source, name).body
    end = body[-1] if body else None
    last = ast.Expression(end.value) if isinstance(end, ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(ast.Module(body[:-1] if last else body, []), name, "exec"), space)
        value = eval(compile(last, name, "eval"), space) if last else None
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout", "text": printed.getvalue().splitlines(True)})
    if value is not None:
        outputs.append({"output_type": "execute_result", "data": _shown(value), "metadata": {}})
    return outputs


def _shown(value: Any) -> dict[str, Any]:
    if not isinstance(value, Image):
        return {"text/plain": repr(value).splitlines(True)}
    encoded = io.BytesIO()
    value.save(encoded, "PNG", optimize=True)
    size = f"<picture of {value.width} x {value.height} pixels>"
    return {"image/png": base64.b64encode(encoded.getvalue()).decode(), "text/plain": [size]}


def main() -> None:
    """Run a notebook and write it back with what it shows."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    path = Path(sys.argv[1])
    executed = execute(json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(executed, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
