"""Templates of pages, filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..strict_json import dumps
from ..version import __version__
from .charts import COLORS, number
from .pictures import data_uri, ramp_css

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """Return a page. Text is escaped; what a template marks as safe is markup that neuralfw made."""
    jinja = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=True, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    jinja.filters |= {"number": number, "uri": data_uri, "span": _span, "bytes": _bytes, "plain": _plain}
    return jinja.get_template(template).render(values, colors=COLORS, ramp=ramp_css(), version=__version__)


def _span(seconds: float) -> str:
    """Return seconds in the unit that suits them."""
    if seconds < 60.0:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _bytes(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _plain(value: Any) -> str:
    """Return a value of a record as text."""
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return " ".join(value)
    return value if isinstance(value, str) else dumps(value)
