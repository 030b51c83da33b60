"""The site of the documentation: the catalogue says what is installed, and everything builds strictly."""

import importlib.util
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from neuralfw.registry import discover

ROOT = Path(__file__).resolve().parents[1]


def test_the_catalogue_is_that_of_the_manifests() -> None:
    """Where not: python tools/make_catalogue.py."""
    page = runpy.run_path(str(ROOT / "tools/make_catalogue.py"))["page"]
    assert (ROOT / "docs/components.md").read_text(encoding="utf-8") == page(discover())


@pytest.mark.skipif(not importlib.util.find_spec("material"), reason="mkdocs-material is not installed: make docs")
def test_the_site_builds_strictly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site/components/index.html").is_file()


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if f"- {page}\n" not in navigation] == []
