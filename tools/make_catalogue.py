"""Writes the page of all components from manifests and options: python tools/make_catalogue.py."""

from collections.abc import Iterator
from pathlib import Path

from neuralfw.describe import Facts, of_component
from neuralfw.manifest import KINDS, Component
from neuralfw.registry import Registry, discover

PAGE = Path(__file__).resolve().parents[1] / "docs/components.md"
HEAD = """\
# Components

Every component that neuralfw and its plugins bring, by kind, from their manifests and options, written by
`tools/make_catalogue.py`. `neuralfw list` and `neuralfw describe NAME` say the same of whatever you have installed.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(discover()), encoding="utf-8")


def page(registry: Registry) -> str:
    """Return the catalogue of neuralfw's own plugins as Markdown."""
    lines = [HEAD]
    for kind in KINDS:
        components = [c for c in registry.components(kind) if c.plugin.partition("-")[0] == "neuralfw"]
        if components:
            lines.append(f"## {kind.capitalize()}s\n")
        for component in sorted(components, key=lambda c: c.name):
            lines += _entry(component, of_component(registry, component))
    return "\n".join(lines)


def _entry(component: Component, facts: Facts) -> Iterator[str]:
    yield f"### {component.name}\n"
    yield f"{component.summary[:1].upper()}{component.summary[1:]}. `{component.plugin}`\n"
    told = {"needs": component.needs, "compares with": component.observes, "gives": component.provides}
    told |= {"is": component.capabilities}
    yield from (f"- {word} {', '.join(f'`{name}`' for name in names)}" for word, names in told.items() if names)
    if any(told.values()):
        yield ""
    if facts["options"]:
        yield "| option | type | default | |\n|---|---|---|---|"
        yield from (_row(option) for option in facts["options"])
        yield ""


def _row(option: Facts) -> str:
    default = "required" if option["required"] else _written(option["default"])
    unit = f" ({option['unit']})" if option["unit"] else ""
    cells = (f"`{option['key']}`", option["type"], default, f"{option['text']}{unit}")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _written(value: object) -> str:
    return "" if value is None else f"`{value}`".replace("\n", " ")


if __name__ == "__main__":
    main()
