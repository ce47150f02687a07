"""The changes that docs/how-to shows apply to this tree, and their tests pass."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from typed import ROOT

PAGES = [page for page in sorted((ROOT / "docs/how-to").glob("*.md")) if page.stem != "index"]


def diff(page: Path) -> str:
    """The change that a page shows."""
    (found,) = re.findall(r"^```diff\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return found


def test_all_changes_together_apply_and_their_tests_pass(tmp_path):
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
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), *tests]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    done = subprocess.run(words, cwd=tmp_path, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(tests) == len(PAGES) == 4
