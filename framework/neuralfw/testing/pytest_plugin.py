"""For pytest: `-p neuralfw.testing.pytest_plugin` runs the contract kit on the plugin that the ini file names.

A test that takes the fixture `contract` becomes one test for each check of each component of `neuralfw_plugin`:

    def test_contract(contract):
        contract()
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..registry import discover
from .kit import FAILED, SKIPPED, Check, cases, outcome, subjects
from .subject import Subject


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini key."""
    parser.addini("neuralfw_plugin", "distribution whose components the contract kit checks")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each check that concerns a component."""
    if "contract" not in metafunc.fixturenames:
        return
    registry, name = discover(), metafunc.config.getini("neuralfw_plugin")
    manifest = next((m for m in registry.manifests if m.plugin == name), None)
    if manifest is None:
        known = ", ".join(m.plugin for m in registry.manifests)
        raise pytest.UsageError(f"neuralfw_plugin = {name!r} is not installed; these are: {known}")
    found = [*cases(subjects(registry, manifest))]
    names = [f"{subject.component.name}-{check.name}" for subject, check in found]
    metafunc.parametrize("contract", found, ids=names, indirect=True)


@pytest.fixture
def contract(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Return what runs one check of one component, and fails or skips as it does."""
    subject: Subject
    check: Check
    subject, check = request.param

    def run() -> None:
        found = outcome(subject, check)
        if found.result == SKIPPED:
            pytest.skip(found.reason)
        if found.result == FAILED:
            pytest.fail(f"{check.text}\n{found.reason}", pytrace=False)

    return run
