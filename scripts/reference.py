"""What the documentation says of commands and settings, made from the table of verbs and the settings' own docstrings.

A hook of mkdocs: the lines `<!-- commands -->`, `<!-- settings -->` and `<!-- recipes FOLDER -->` of a page become the
reference when the site is built.
"""

import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from docstring_parser import parse_from_object

from rot5 import config
from rot5.commands import CONTINUABLE, CONTINUING, GROUPS, SPREAD, SWITCHES, VERBS, Verb

ROOT = Path(__file__).parents[1]
GROUP_NAMES = {"data": "Data", "train": "Training", "judge": "Judging", "use": "Use", "study": "Studies"}


def commands() -> str:
    """Every verb: what it makes, how it is called, what it also takes."""
    parts = []
    for group in GROUPS:
        parts.append(f"## {GROUP_NAMES[group]}")
        for name, verb in VERBS.items():
            if verb.group == group:
                parts.append(_command(name, verb))
    return "\n\n".join(parts)


def _command(name: str, verb: Verb) -> str:
    settings = getattr(config, verb.settings)
    bare = f" {verb.bare.rpartition('.')[2].upper()}" if verb.bare else ""
    needed = [
        f"--{field.name} {field.name.upper()}"
        for field in fields(settings)
        if _needed(field) and field.name != (verb.bare or "").partition(".")[0]
    ]
    usage = f"rot5 {name}{bare}{''.join(f' {each}' for each in needed)} [--config RECIPE.yaml] [--setting value ...]"
    also = [f"`--{key}`: {SWITCHES[key]}." for key in SWITCHES if name in CONTINUABLE]
    if name in CONTINUING:
        also.append("Called again, it does what is missing, and nothing twice.")
    if name in SPREAD:
        also.append("Several processes, started by torchrun, do it together.")
    examples = "\n".join(verb.examples)
    lines = [
        f"### {name}",
        f"{verb.summary[0].upper()}{verb.summary[1:]}.",
        f"```text\n{usage}\n```",
        f"```bash\n{examples}\n```",
        " ".join([*also, f"Settings: [{name}](configuration.md#{name})."]),
    ]
    return "\n\n".join(lines)


def settings() -> str:
    """Every setting of every verb, and once each group of settings that verbs share."""
    groups: dict[type, list[str]] = {}
    parts = []
    for name, verb in VERBS.items():
        settings_class = getattr(config, verb.settings)
        parts += [f"## {name}", _said(settings_class), _table(settings_class, groups, [""])]
    parts += ["## Groups", "Settings that stand together, under a key of the verbs named."]
    waiting = list(groups)
    for group in waiting:  # grows while groups of groups are met
        known = set(groups)
        table = _table(group, groups, [f"{key}." for key in groups[group]])
        waiting += [each for each in groups if each not in known]
        parts += [
            f"### {group.__name__}",
            f"{_said(group)} Under {', '.join(f'`{key}`' for key in groups[group])}.",
            table,
        ]
    return "\n\n".join(parts)


def _table(settings_class: type, groups: dict[type, list[str]], prefixes: list[str]) -> str:
    """A line for each setting; groups that are met are noted with the keys that they stand under, behind `prefixes`."""
    lines = ["| setting | type | default | |", "| --- | --- | --- | --- |"]
    documented = [parse_from_object(each) for each in reversed(settings_class.__mro__) if is_dataclass(each)]
    said = {each.args[1]: each.description or "" for docstring in documented for each in docstring.params}
    for field, kind in _fields(settings_class):
        inner = _group(kind)
        if inner:
            keys = groups.setdefault(inner, [])
            keys += [key for prefix in prefixes if (key := f"{prefix}{field.name}") not in keys]
            told, default = f"[{inner.__name__}](#{inner.__name__.lower()})", ""
        else:
            told, default = f"`{_type(kind)}`", "needed" if _needed(field) else f"`{_default(field)}`"
        if inner and get_args(kind):
            told = f"list of {told}"
        lines.append(f"| `{field.name}` | {_cell(told)} | {_cell(default)} | {_cell(said[field.name])} |")
    return "\n".join(lines)


def _fields(settings_class: type) -> Iterator[tuple[Field, Any]]:
    hints = get_type_hints(settings_class)
    return ((field, hints[field.name]) for field in fields(settings_class))


def _group(kind: Any) -> type | None:
    """The settings class that a setting is, or that it is a list of."""
    for each in (kind, *get_args(kind)):
        if isinstance(each, type) and is_dataclass(each):
            return each
    return None


def _needed(field: Field) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _type(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind).replace("typing.", "")


def _default(field: Field) -> str:
    value = field.default if field.default_factory is MISSING else field.default_factory()
    told = {True: "true", False: "false", None: "null"}
    return told[value] if value is None or isinstance(value, bool) else str(value) or '""'


def _said(documented: type) -> str:
    return " ".join((documented.__doc__ or "").split())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def recipes(folder: str) -> str:
    """The recipes of a folder: what their first lines say, and the last command there, which is called on them."""
    lines = ["| recipe | what it asks or makes | |", "| --- | --- | --- |"]
    for path in sorted((ROOT / folder).glob("*.yaml")):
        heading = re.match(r"(#.*\n)+", path.read_text(encoding="utf-8"))
        said = " ".join(line.strip("# ") for line in (heading[0] if heading else "").splitlines())
        about, *commands = re.split(r"\s(?=rot5 )", said)
        lines.append(f"| `{folder}/{path.name}` | {_cell(about)} | {f'`{_cell(commands[-1])}`' if commands else ''} |")
    return "\n".join(lines)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """What mkdocs asks for each page: its text, with the marks replaced."""
    lines = []
    for line in markdown.split("\n"):
        mark, _, folder = line.removeprefix("<!-- ").removesuffix(" -->").partition(" ")
        made = {"commands": commands, "settings": settings, "recipes": lambda of=folder: recipes(of)}.get(mark)
        lines.append(made() if made and line.startswith("<!-- ") else line)
    return "\n".join(lines)
