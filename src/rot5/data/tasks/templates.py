"""Templates of tasks: ways to ask and to answer, with fields in braces, read from YAML and checked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

from rot5.data.tasks.categories import Item
from rot5.errors import UserError, nearest
from rot5.recipes import recipe

METRICS = ("rouge", "exact", "f1")
SHIPPED = Path(__file__).with_name("categories.yaml")
ANSWER = re.compile(r".*\banswer is:?", re.IGNORECASE | re.DOTALL)
"""What stands before the answer, where a rationale does."""

_KEYS = ("inputs", "targets", "rationales", "metric")


@dataclass(frozen=True)
class Templates:
    """Of one category."""

    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    rationales: tuple[str, ...]
    """Targets that first say what leads to the answer; none where there is nothing to say."""
    metric: str
    """How answers are judged: rouge, exact (match) or f1 (of words)."""


def final_answer(text: str) -> str:
    """What an answer comes to: without a rationale, a full stop and white space.

    >>> final_answer("Tim ran. So the answer is: Tim."), final_answer(" the pond")
    ('Tim', 'the pond')
    """
    return ANSWER.sub("", text, count=1).strip().rstrip(".").strip()


@cache
def shipped() -> Mapping[str, Templates]:
    """The templates that come with the package, by category."""
    return read_templates(SHIPPED)


def read_templates(path: Path) -> dict[str, Templates]:
    """Templates of a YAML file, by category. Raises UserError for one that is none."""
    return {name: _templates(path, name, given) for name, given in recipe(path).items()}


def _templates(path: Path, name: str, given: Any) -> Templates:
    where = f"{path}: templates of {name}"
    if not isinstance(given, dict):
        raise UserError(f"{where} must be a group of {', '.join(_KEYS)}")
    for key in given:
        if key not in _KEYS:
            raise UserError(f"{where}: unknown key {key!r}: {nearest(str(key), _KEYS)}")
    metric = given.get("metric", "rouge")
    if metric not in METRICS:
        raise UserError(f"{where}: unknown metric {metric!r}: {nearest(str(metric), METRICS)}")
    lists = []
    for key in _KEYS[:-1]:
        texts = given.get(key, [])
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise UserError(f"{where}: {key} must be a list of texts")
        if not texts and key != "rationales":
            raise UserError(f"{where}: {key} are missing: give at least one")
        lists.append(tuple(texts))
    for text in (text for texts in lists for text in texts):
        _fields(text, where)
    return Templates(*lists, metric=metric)


def _fields(text: str, where: str) -> set[str]:
    try:
        found = {name for _, name, _, _ in Formatter().parse(text) if name is not None}
    except ValueError as error:
        raise UserError(f"{where}: {text!r}: {error}: write {{{{ and }}}} for braces that are text") from None
    if "" in found or any(not name.isidentifier() for name in found):
        raise UserError(f"{where}: {text!r} has a field that is no name: write {{{{ and }}}} for braces that are text")
    return found


def check(templates: Templates, item: Item, task: str) -> None:
    """Raise UserError if templates name a field that items of the task lack."""
    for text in (*templates.inputs, *templates.targets, *templates.rationales):
        for name in sorted(_fields(text, task)):
            if not isinstance(item.get(name), str):
                known = [key for key, value in item.items() if isinstance(value, str)]
                raise UserError(f"{task}: template {text!r} names {name!r}, which is no field: {nearest(name, known)}")


def fill(template: str, item: Item) -> str:
    """The template with its fields."""
    return template.format(**item)
