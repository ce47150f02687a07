"""The changes that docs/how-to shows apply to this tree, and their tests pass."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typed import ROOT

PAGES = [page for page in sorted((ROOT / "docs/how-to").glob("*.md")) if page.stem != "index"]


def diff(page: Path) -> str:
    """The change that a page shows."""
    (found,) = re.findall(r"^```diff\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return found


@pytest.fixture
def changed(tmp_path) -> tuple[Path, list[str]]:
    """A copy of this tree with all changes together, and the tests that they add."""
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("src", "tests", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    for name in ("pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / name, tmp_path)
    tests: list[str] = []
    for page in PAGES:
        done = subprocess.run(["git", "apply", "-"], input=diff(page), cwd=tmp_path, text=True, capture_output=True)
        assert done.returncode == 0, f"{page.name}: {done.stderr}"
        added = re.findall(r"^--- /dev/null\n\+\+\+ b/(tests/\S+)$", diff(page), re.MULTILINE)
        assert added, page.name
        tests += added
    return tmp_path, tests


def test_all_changes_together_apply(changed):
    folder, tests = changed
    assert len(tests) == len(PAGES) == 4 and all((folder / test).is_file() for test in tests)


@pytest.mark.slow
def test_their_tests_pass(changed):
    folder, tests = changed
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), *tests]
    environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
    done = subprocess.run(words, cwd=folder, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
