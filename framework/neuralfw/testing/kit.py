"""The contract kit: checks that every component of a plugin must pass, chosen by kind and capability."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import PathMark
from ..config import options as config_options
from ..manifest import Component, Manifest
from ..recipe.tables import marker
from ..registry import Registry
from .subject import NotBuilt, Subject

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(frozen=True)
class Check:
    """One thing that a component must hold.

    Attributes:
        name: of the check, as it is reported.
        text: what must hold, in a sentence.
        kinds: of the components that it concerns; none for all.
        concerns: whether it concerns a component of these kinds.
        run: raises AssertionError where it does not hold, NotBuilt where that cannot be tried.
    """

    name: str
    text: str
    kinds: tuple[str, ...]
    concerns: Callable[[Subject], bool]
    run: Callable[[Subject], None]

    def applies(self, subject: Subject) -> bool:
        """Say whether the check concerns a component."""
        return (not self.kinds or subject.component.kind in self.kinds) and self.concerns(subject)


@dataclass(frozen=True)
class Outcome:
    """What came of a check: "passed", "failed" or "skipped", and why."""

    component: str
    check: Check
    result: str
    reason: str = ""


_CHECKS: list[Check] = []


def check(*kinds: str, when: Callable[[Subject], bool] = lambda subject: True) -> Callable[[Any], Any]:
    """Add a function to the kit: its name is the check's, its docstring's first line says what must hold."""

    def added(run: Callable[[Subject], None]) -> Callable[[Subject], None]:
        text = (run.__doc__ or "").strip().partition("\n")[0]
        _CHECKS.append(Check(run.__name__, text, kinds, when, run))
        return run

    return added


def checks() -> Sequence[Check]:
    """Return every check of the kit."""
    from . import checks as _modules  # noqa: F401 (their import adds the checks)

    return _CHECKS


def gives(*quantities: str) -> Callable[[Subject], bool]:
    """Return what says whether a component provides all of these."""
    return lambda subject: {*quantities} <= {*subject.defaults.wiring().provides}


def observes(*quantities: str) -> Callable[[Subject], bool]:
    """Return what says whether a component reads all of these from a batch."""
    return lambda subject: {*quantities} <= {q.removesuffix("?") for q in subject.defaults.wiring().observes}


def subjects(registry: Registry, manifest: Manifest) -> Iterator[Subject]:
    """Yield the components of a plugin, each with the options that its manifest has for checks."""
    for component in manifest.components:
        yield Subject(registry, component, _placed(registry, component, manifest.path.parent))


def _placed(registry: Registry, component: Component, folder: Path) -> dict[str, Any]:
    """Return a manifest's example; its paths are relative to the manifest."""
    known = config_options(registry.config(component)) if component.example else {}
    paths = {key for key, info in known.items() if marker(info, PathMark)}
    return {key: str(folder / value) if key in paths else value for key, value in component.example.items()}


def cases(found: Iterator[Subject]) -> Iterator[tuple[Subject, Check]]:
    """Yield each component with each check that concerns it."""
    for subject in found:
        yield from ((subject, check) for check in checks() if check.applies(subject))


def outcome(subject: Subject, check: Check) -> Outcome:
    """Run a check. Whatever a component raises is a failure, except that it needs more than there is (NotBuilt)."""
    name = subject.component.name
    try:
        check.run(subject)
    except NotBuilt as error:
        return Outcome(name, check, SKIPPED, str(error))
    except AssertionError as error:
        return Outcome(name, check, FAILED, str(error) or check.text)
    except Exception as error:
        return Outcome(name, check, FAILED, f"{type(error).__name__}: {error}")
    return Outcome(name, check, PASSED)
