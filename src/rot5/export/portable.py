"""Portable modelling code: the modules a model needs, as flat files that transformers loads without this package."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import rot5
from rot5 import __version__

PACKAGE = "rot5.model"
ENTRY = "modeling_rot5"
AUTO_MAP = {
    "AutoConfig": "configuration_rot5.Rot5Config",
    "AutoModelForSeq2SeqLM": f"{ENTRY}.Rot5ForConditionalGeneration",
}
"""Entry of config.json by which transformers finds the classes in the files of the folder."""

HEADING = (
    "# From rot5 {version}, {package}.{name}. Licence: Apache-2.0 (https://www.apache.org/licenses/LICENSE-2.0).\n"
)


def own_sources() -> dict[str, str]:
    """The text of each module of the model, by its name."""
    folder = Path(rot5.__file__).parent.joinpath(*PACKAGE.split(".")[1:])
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))}


def siblings(text: str) -> Iterator[tuple[int, str]]:
    """Line (from 0) of each import from the package, wherever it stands, and the module it names.

    A module of the closure may import from nothing else of ours, and only as `from rot5.model.NAME import …`: that is
    all that transformers finds beside a file.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            origins = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origins = ["." * node.level + (node.module or "")]
        else:
            continue
        for origin in origins:
            if origin.split(".")[0] not in (PACKAGE.split(".")[0], ""):
                continue
            found = re.fullmatch(rf"{re.escape(PACKAGE)}\.(\w+)", origin)
            assert found and isinstance(node, ast.ImportFrom), f"portable code cannot import {origin}: {text[:80]!r}"
            yield node.lineno - 1, found[1]


def closure(sources: Mapping[str, str], entry: str) -> list[str]:
    """Names of `entry` and of all modules that it needs, directly or through others, in alphabetical order."""
    found, waiting = set(), {entry}
    while waiting:
        name = waiting.pop()
        assert name in sources, f"{PACKAGE}.{name} is imported but is no module"
        found.add(name)
        waiting |= {needed for _, needed in siblings(sources[name])} - found
    return sorted(found)


def portable(text: str, name: str) -> str:
    """A module's text for a folder of its own: a heading, imports of siblings made relative, no registration.

    transformers registers what it loads itself; done by the file too, the code of one folder would be taken for all
    others of the process.
    """
    lines = text.splitlines(keepends=True)
    for number, sibling in siblings(text):
        before = f"from {PACKAGE}.{sibling} import"
        assert before in lines[number], f"{name}, line {number + 1} is not written `{before} …`"
        lines[number] = lines[number].replace(before, f"from .{sibling} import", 1)
    for node in ast.parse(text).body:
        if isinstance(node, ast.Expr) and re.match(r"Auto\w+\.register\(", ast.unparse(node)):
            lines[node.lineno - 1 : node.end_lineno] = [""] * len(lines[node.lineno - 1 : node.end_lineno])
    return HEADING.format(version=__version__, package=PACKAGE, name=name) + "".join(lines).rstrip() + "\n"


def portable_files(sources: Mapping[str, str], entry: str = ENTRY) -> dict[str, str]:
    """Name and text of each file that lets `entry` be imported without this package."""
    return {f"{name}.py": portable(sources[name], name) for name in closure(sources, entry)}
