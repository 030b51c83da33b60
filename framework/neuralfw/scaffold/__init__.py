"""Writes the package of a new plugin from templates: a working component, its tests, a recipe, a CI file."""

from __future__ import annotations

import keyword
import math
import tomllib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..errors import UserError
from ..manifest import API
from ..suggest import nearest

TEMPLATES = Path(__file__).parent
COMMON = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "ci.yml": ".github/workflows/tests.yml",
    "neuralfw.toml": "src/{package}/neuralfw.toml",
    "test_contract.py": "tests/test_contract.py",
}


def kinds() -> list[str]:
    """Return the kinds of components that a new plugin may have."""
    return sorted(folder.name for folder in (TEMPLATES / "kinds").iterdir() if folder.is_dir())


def write_package(name: str, kind: str, folder: Path) -> list[Path]:
    """Write a package with one component, which passes `plugin check` as it is; return its files.

    Args:
        name: of component and owner, a plain identifier such as "soft_query".
        kind: of the component.
        folder: absent or empty.

    Raises:
        UserError: the name cannot be one, no such kind, or the folder holds something.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower():
        raise UserError(f"{name!r} cannot be a plugin's name: it must be a lower-case identifier, such as soft_query")
    if kind not in kinds():
        close = nearest(kind, kinds())
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(f"there is no kind {kind!r}{hint} A plugin may have: {', '.join(kinds())}")
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty")
    said = tomllib.loads((TEMPLATES / "kinds/recipes.toml").read_text(encoding="utf-8"))[kind]
    package = f"nfw_{name}"
    values = {
        "name": name,
        "kind": kind,
        "package": package,
        "module": kind,
        "distribution": package.replace("_", "-"),
        "class_name": "".join(part.capitalize() for part in name.split("_")),
        "summary": said["summary"],
        "api": API,
        "example": '{ path = "example.csv" }' if kind == "dataset" else "",
    }
    jinja = Environment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True)
    texts = {
        target.format(package=package): jinja.get_template(f"common/{source}.jinja").render(values)
        for source, target in COMMON.items()
    }
    for source, target in (("config", "config"), ("component", kind)):
        text = jinja.get_template(f"kinds/{kind}/{source}.py.jinja").render(values)
        texts[f"src/{package}/{target}.py"] = text
    texts[f"src/{package}/__init__.py"] = f'"""{said["summary"].capitalize()}, for neuralfw."""\n'
    texts["recipe.toml"] = jinja.from_string(said["recipe"]).render(values).lstrip()
    if kind == "dataset":
        texts[f"src/{package}/example.csv"] = _sphere()
    for target, text in texts.items():
        file = folder / target
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    _bring_up(folder / "src" / package)
    return [folder / target for target in texts]


def _bring_up(package: Path) -> None:
    """Write the wiring of the component into its manifest, as `plugin manifest` does."""
    from ..manifest_writer import open_package, write

    write(*open_package(package))


def _sphere(count: int = 400) -> str:
    """Return points and normals of a sphere of radius 0.5, a line each."""
    lines = []
    for i in range(count):
        z = 1.0 - (2 * i + 1) / count
        angle, r = i * math.pi * (3.0 - 5.0**0.5), (1.0 - z * z) ** 0.5
        normal = (r * math.cos(angle), r * math.sin(angle), z)
        lines.append(",".join(f"{v:.5f}" for v in (*(0.5 * v for v in normal), *normal)))
    return "\n".join(lines) + "\n"
