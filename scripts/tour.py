"""Runs the commands of docs/tour, page by page, and writes what they print below them.

A page's ```bash and ```python blocks are run in order, from the root of the repository; the ```text block behind each
is written anew. Blocks of Python share one namespace per page. What a command leaves lies in runs/tour.
"""

import argparse
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
TOUR = ROOT / "docs" / "tour"
PAGES = (
    "prepare",
    "order",
    "denoise",
    "pack",
    "train",
    "evaluate",
    "study",
    "inspect",
    "report",
    "summarize",
    "export",
)
"""In the order of the picture: each needs what those before it have left."""
RUNS = ROOT / "runs" / "tour"
COLUMNS, WIDEST = 110, 140
"""Of the terminal, and of the widest table."""
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```\n(?:\n```text\n.*?^```\n)?", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """What a page says to run."""

    language: str
    code: str


def blocks(page: str) -> list[Block]:
    """What a page's text says to run, in order."""
    return [Block(*found.groups()) for found in BLOCK.finditer(page)]


def written(page: str) -> str:
    """The page with what its blocks print now."""
    names: dict = {"__name__": "tour"}

    def run(found: re.Match) -> str:
        block = Block(*found.groups())
        print(block.code, end="", flush=True)
        printed = _python(block.code, names) if block.language == "python" else _bash(block.code)
        told = f"\n```text\n{shown(printed)}\n```\n" if printed.strip() else ""
        return f"```{block.language}\n{block.code}```\n{told}"

    return BLOCK.sub(run, page)


def shown(printed: str) -> str:
    """What was printed without spaces at the ends of lines; lines longer than any table, stories say, are wrapped."""
    lines = [line.rstrip() for line in printed.strip("\n").splitlines()]
    return "\n".join("\n".join(wrap(line, COLUMNS)) if len(line) > WIDEST else line for line in lines)


def _bash(code: str) -> str:
    """What commands print, on a terminal of 110 columns. Raises CalledProcessError where one of them fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "COLUMNS": str(COLUMNS), "NO_COLOR": "1"}
    command = ["bash", "-euo", "pipefail", "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"{code}{done.stdout}{done.stderr}")
    return done.stdout


def _python(code: str, names: dict) -> str:
    printed = io.StringIO()
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(printed):
        exec(compile(code, "<tour>", "exec"), names)
    return printed.getvalue()


def main(pages: list[str]) -> None:
    """Run all pages, on a folder that is empty at first; or only some, on what the others have left."""
    if not pages:
        shutil.rmtree(RUNS, ignore_errors=True)
    for name in pages or PAGES:
        path = TOUR / f"{name}.md"
        path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", choices=[*PAGES, []], help="names of pages; default: all, anew")
    main(parser.parse_args().pages)
