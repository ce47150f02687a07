"""The documentation: its site builds without a warning, its commands are understood, its links lead somewhere."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from typed import ROOT, fenced, of_program, understood

import rot5
from rot5 import commands, config

DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
TYPED = [
    pytest.param(arguments, id=f"{page}: {' '.join(arguments)[:60]}")
    for page in PAGES
    for arguments in of_program("rot5", fenced((DOCS / page).read_text(encoding="utf-8")))
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it; any warning is an error."""
    out = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


class _Loaded(HTMLParser):
    """Addresses that a browser loads with a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "a":
            self.found += [value for key, value in attrs if key in ("src", "href") and value]


def test_no_page_loads_anything_from_outside(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    for path in pages:
        reader = _Loaded()
        reader.feed(path.read_text(encoding="utf-8"))
        assert reader.found and not [address for address in reader.found if "//" in address], path.name
    for style in site.rglob("*.css"):
        assert "url(http" not in style.read_text(encoding="utf-8"), style.name


def test_the_reference_has_every_verb_every_setting_and_every_public_name(site):
    told = (site / "reference/commands.html").read_text(encoding="utf-8")
    settings = (site / "reference/configuration.html").read_text(encoding="utf-8")
    for name, verb in commands.VERBS.items():
        assert f'id="{name}"' in told and f'id="{name}"' in settings
        for field in fields(getattr(config, verb.settings)):
            assert f"<code>{field.name}</code>" in settings, f"{name}: {field.name}"
    python = (site / "reference/python.html").read_text(encoding="utf-8")
    for name in rot5.__all__:
        assert re.search(rf'id="rot5\.\S+\.{name}"', python), name


def test_every_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert sorted(_pages(yaml.safe_load(text)["nav"])) == PAGES


def _pages(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict | list):
        for each in nav.values() if isinstance(nav, dict) else nav:
            yield from _pages(each)


@pytest.mark.parametrize("arguments", TYPED)
def test_every_command_is_understood(arguments, monkeypatch, capsys):
    understood(arguments, monkeypatch)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere_where_the_files_are_read_as_they_are(page):
    text = re.sub(r"^```.*?^```", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "//" not in target:
            assert ((DOCS / page).parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_lists_and_tables_stand_apart_from_the_text_before(page):
    """A forge takes a list that follows a sentence for one, the site takes it for more of the sentence."""
    text = re.sub(r"^```.*?^```", "```", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = text.splitlines()
    for before, line in pairwise(lines):
        opens = re.match(r"([-*] |\d+\. |\|)", line)
        goes_on = re.match(r"([-*] |\d+\. |\||\s|$|<!--)", before)
        assert not opens or goes_on, line


def _script(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_doctests_become_blocks_of_code():
    found = _script("doctest_blocks").fenced("One.\n\n>>> f(\n...     2\n... )\n4\n\nTwo.")
    assert found == "One.\n\n```pycon\n>>> f(\n...     2\n... )\n4\n```\n\nTwo."


class TestTour:
    def test_every_page_is_run_and_listed(self):
        pages = {path.stem for path in (DOCS / "tour").glob("*.md")} - {"index", "results"}
        assert pages == set(_script("tour").PAGES)
        index = (DOCS / "tour/index.md").read_text(encoding="utf-8")
        assert all(f"({page}.md)" in index for page in pages)

    def test_what_is_printed_stands_below_what_is_typed(self, tmp_path, monkeypatch):
        tour = _script("tour")
        monkeypatch.setattr(tour, "ROOT", tmp_path)
        page = "One.\n\n```bash\necho two   \n```\n\n```text\nold\n```\n\nThen:\n\n```python\nx = 3\nprint(x)\n```\n"
        once = tour.written(page)
        assert "```text\ntwo\n```" in once and "```text\n3\n```" in once and "old" not in once
        assert tour.written(once) == once

    def test_stories_are_wrapped_and_tables_are_not(self):
        story, row = "a word " * 40, "| 1 " * 34
        lines = _script("tour").shown(f"\n{story}\n{row}  \n").splitlines()
        assert max(map(len, lines[:-1])) <= 110 and lines[-1] == row.rstrip()
        assert " ".join(lines[:-1]) == story.strip()

    def test_a_command_that_fails_ends_it(self, tmp_path, monkeypatch):
        tour = _script("tour")
        monkeypatch.setattr(tour, "ROOT", tmp_path)
        with pytest.raises(SystemExit, match="false"):
            tour.written("```bash\nfalse\n```\n")

    @pytest.mark.parametrize("page", sorted((DOCS / "tour").glob("*.md")), ids=lambda path: path.stem)
    def test_blocks_of_python_are_python(self, page):
        for block in _script("tour").blocks(page.read_text(encoding="utf-8")):
            if block.language == "python":
                compile(block.code, page.name, "exec")
