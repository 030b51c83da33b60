"""The page of a run: what it was, how it went, what came out, and what that cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..geometry.files import write_file
from .html import render
from .records import Curve, Record

if TYPE_CHECKING:
    from ..run import Run


@dataclass
class Page:
    """What the template shows.

    Attributes:
        missing: sentences that say why a part is absent.
    """

    record: Record
    name: str
    summary: str
    wiring: str = ""
    charts: list[tuple[str, str, list[str]]] = field(default_factory=list)
    turns: list[Any] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    views: list[Any] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def attempt(self, what: str, make: Callable[[], None]) -> None:
        """Make a part of the page; where the user's files do not allow it, the page says so in its place."""
        try:
            make()
        except UserError as error:
            self.missing.append(f"{what}: {error}")


def write_report(run: Run, path: Path | None = None, *, reference: Path | None = None) -> Path:
    """Write the page of a run, finished or not, and return its file: report.html of the run by default.

    Args:
        run: of any method; what it has not got, the page says so.
        path: where to write.
        reference: mesh or cloud taken as the truth, or a folder of numbered meshes; default: what the run knows of.

    Raises:
        UserError: the file cannot be written, or the reference cannot be read.
    """
    target = path or run.folder.report
    write_file(target, render("report.html", **contents(run, reference)).encode())
    return target


def contents(run: Run, reference: Path | None = None) -> dict[str, Any]:
    """Return what the template of the report shows."""
    from .surfaces import turns
    from .views import views

    record = Record(run.folder.root)
    page = Page(record, str(record.recipe["name"]), str(record.recipe.get("summary", "")))
    if not record.finished:
        page.missing.append(f"training is not finished: the last step logged is {record.step:,}")
    page.wiring = _wiring(run)
    page.charts = [*charts(record)]

    def surfaces() -> None:
        shown = turns(run, reference)
        page.turns, page.errors = shown.turns, shown.errors
        page.missing += shown.missing

    def pictures() -> None:
        page.views = [*views(run)]

    page.attempt("meshes", surfaces)
    page.attempt("photographs", pictures)
    return {
        "page": page,
        "record": record,
        "seconds": parts(record),
        "warnings": warnings(record),
        "source": record.folder.source.read_text(encoding="utf-8"),
        "resolved": record.folder.recipe.read_text(encoding="utf-8"),
    }


def charts(record: Record) -> Iterator[tuple[str, str, list[str]]]:
    """Yield title, SVG and names in the legend of each chart of a run's curves."""
    from .charts import Line, line_chart

    marks = [(float(span.first), span.name) for span in record.spans] if len(record.spans) > 1 else []
    for title, curves in grouped(record.curves).items():
        lines = [Line(name, curve.steps, curve.values) for name, curve in curves.items()]
        if svg := line_chart(lines, marks=marks):
            yield title, svg, [line.name for line in lines if len(line.steps)]


def grouped(curves: Mapping[str, Curve]) -> dict[str, dict[str, Curve]]:
    """Return curves by chart: losses, validation, learning rates, and everything else by what its name begins with."""
    titles = {"loss": "losses", "lr": "learning rates", "validation": "validation"}
    groups: dict[str, dict[str, Curve]] = {}
    for name, curve in curves.items():
        first, _, rest = name.partition("/")
        groups.setdefault(titles.get(first, first), {})[rest or name] = curve
    return groups


def parts(record: Record) -> list[tuple[str, float]]:
    """Return the seconds of each part of a run: its stages, and what came after."""
    stages = [(f"train {span.name}", span.seconds) for span in record.spans]
    return [*stages, *((name, float(value)) for name, value in record.cost.get("seconds", {}).items())]


def warnings(record: Record) -> list[str]:
    """Return what a reader should know before trusting the figures."""
    found = [f"plugin {name}: {reason}" for name, reason in record.environment.get("unavailable", {}).items()]
    for evaluation in record.figures.values():
        found += [f"{evaluation['protocol']}: no {n}: {why}" for n, why in evaluation.get("omitted", {}).items()]
    return found


def _wiring(run: Run) -> str:
    from ..wiring_picture import picture

    return "\n".join(picture(run.checked)).rstrip()
