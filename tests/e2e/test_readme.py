"""What the README tells people to type is understood: verbs, settings, files and make targets."""

import re
import shlex
from pathlib import Path

import pytest
from typed import ROOT, fenced, inline, of_program, understood

from rot5.config import DemoConfig

README = (ROOT / "README.md").read_text(encoding="utf-8")

OUTPUTS = ("out", "markdown", "runs")
"""Settings that name what a command writes."""

ON_THE_HUB = {"google/flan-t5-base"}
"""Models that are named, not files."""

OWN_FILES = {"stories.txt", "valid.txt", "pairs.jsonl", "test.jsonl", "theirs.jsonl", "ours.jsonl", "story.txt"}
"""Stand-ins for the reader's own files."""


ROT5, MAKE = of_program("rot5", fenced(README) + inline(README)), of_program("make", fenced(README))


def test_the_readme_has_commands():
    assert of_program("rot5", fenced(README))
    assert ["demo"] in MAKE and ["test"] in MAKE


@pytest.mark.parametrize("arguments", ROT5, ids=" ".join)
def test_every_command_is_understood(arguments, monkeypatch):
    understood(arguments, monkeypatch)


def test_every_file_is_there_or_was_written_before(monkeypatch, capsys):
    written = {Path(DemoConfig().out)}
    for settings in [understood(arguments, monkeypatch) for arguments in ROT5]:
        for key, value in vars(settings).items() if settings else ():
            if (
                not isinstance(value, str)
                or "/" not in value
                or "://" in value
                or key in OUTPUTS
                or value in ON_THE_HUB
            ):
                continue
            made = any(path == Path(value) or path in Path(value).parents for path in written)
            holds_made = any(Path(value) in path.parents for path in written)
            assert made or holds_made or (ROOT / value).exists(), f"{value} is neither in the repository nor made"
        written |= {Path(value) for key in OUTPUTS if settings and (value := getattr(settings, key, ""))}


def test_files_of_the_reader_are_known_stand_ins(monkeypatch, capsys):
    """A bare file name in a command is the reader's own; a new one is added to the list on purpose."""
    named = {
        word for arguments in ROT5 for word in arguments if re.fullmatch(r"[\w.-]+\.(txt|jsonl|csv|parquet)", word)
    }
    assert named <= OWN_FILES


def test_every_make_target_exists():
    targets = re.findall(r"^([\w-]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for arguments in MAKE:
        assert next(word for word in arguments if "=" not in word and not word.startswith("-")) in targets


def test_its_table_is_that_of_the_demo():
    table = re.search(r"\[start:figures\] -->\n(.*?)\n\n", README, re.DOTALL)
    rows = [row.strip("| ").split(" | ") for row in table[1].splitlines()]
    demo = (ROOT / "docs/results/demo.md").read_text(encoding="utf-8")
    theirs = [row.strip("| ").split(" | ") for row in demo[demo.index("## finetune: summaries") :].splitlines()]
    columns = [theirs[2].index(column) for column in rows[0]]
    measured = {row[0]: [row[column] for column in columns] for row in theirs[4:11] if len(row) > max(columns)}
    assert len(rows) > 5 and all(measured[row[0]] == row for row in rows[2:])


def test_every_link_inside_the_repository_leads_somewhere():
    for target in re.findall(r"\]\(([^)#]+)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.name)
def test_every_recipe_is_understood_as_its_first_lines_say(recipe, monkeypatch):
    commands = re.findall(r"^#\s+(rot5 .+)$", recipe.read_text(encoding="utf-8"), re.MULTILINE)
    found = [understood(shlex.split(command)[1:], monkeypatch) for command in commands]
    assert any(f"--config recipes/{recipe.name}" in command for command in commands)
    assert all(found)
