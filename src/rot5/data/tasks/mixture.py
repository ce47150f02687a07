"""A mixture of tasks as its author writes it: sources, tasks, shares and formats in a YAML file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random

from rot5.data.manifest import UNKNOWN_LICENCE
from rot5.data.tasks import records
from rot5.data.tasks.categories import CATEGORIES, Item
from rot5.data.tasks.records import GIVEN, RecordsConfig, story_records
from rot5.data.tasks.templates import Templates, check, read_templates, shipped
from rot5.errors import UserError, nearest
from rot5.recipes import from_dict, recipe


@dataclass(frozen=True, kw_only=True)
class FormatsConfig:
    """How examples are put: shares, which need not add up to 1."""

    plain: float = 1.0
    """The instruction alone, and its answer."""
    shots: float = 0.0
    """Other examples of the task before it."""
    rationale: float = 0.0
    """An answer that first says what leads to it, where the category has such; plain for others."""
    most_shots: int = 3
    """At most so many examples before it, as far as they fit."""


@dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """Tasks and their shares."""

    sources: dict[str, dict]
    """Where records come from, by name: name, format, split, limit, seed and licence of each."""
    tasks: tuple[str, ...] = ("*",)
    """Patterns of `source/category`; all by default."""
    held_out: tuple[str, ...] = ()
    """Patterns of tasks that are left out."""
    templates: str = ""
    """A YAML file whose templates stand in for those of the same category, or add to them."""
    cap: int = 0
    """A task counts for at most so many examples where shares go by size; 0 for no cap."""
    temperature: float = 1.0
    """Shares go by size to the power of 1 / temperature."""
    formats: FormatsConfig = field(default_factory=FormatsConfig)
    """Plain, with other examples before it, with rationales."""


@dataclass(frozen=True)
class Task:
    """A data set times a category."""

    name: str
    """`source/category`."""
    templates: Templates
    items: Sequence[Item]
    licence: str = UNKNOWN_LICENCE
    """Of the data set's texts."""


def licence_of(tasks: Sequence[Task]) -> str:
    """That of all texts, those of several joined as SPDX joins them; `unknown` where one is."""
    found = {task.licence for task in tasks}
    return UNKNOWN_LICENCE if UNKNOWN_LICENCE in found else " AND ".join(sorted(found))


def read_mixture(path: Path) -> MixtureConfig:
    """The mixture of a file. Raises UserError for one that is none."""
    config = from_dict(MixtureConfig, recipe(path), str(path))
    if not config.sources:
        raise UserError(f"{path}: sources are missing: name at least one")
    shares = (config.formats.plain, config.formats.shots, config.formats.rationale)
    if min(shares) < 0 or not sum(shares) > 0:
        raise UserError(
            f"{path}: formats: plain, shots and rationale {shares} must be 0 or more, and one of them above"
        )
    if not config.temperature > 0 or config.cap < 0 or config.formats.most_shots < 1:
        raise UserError(f"{path}: temperature must be above 0, cap 0 or more, and formats.most_shots 1 or more")
    return config


def tasks_of(config: MixtureConfig, where: str, seed: int, named: Sequence[str] = ()) -> list[Task]:
    """The tasks of a mixture with all their items, those that are held out and not `named` left out, in order of name.

    Raises UserError for a pattern that no task has, a template that names a field that its items lack, and if no items
    are there.
    """
    templates = dict(shipped()) | (read_templates(Path(config.templates)) if config.templates else {})
    found: list[Task] = []
    for name, given in config.sources.items():
        source = from_dict(RecordsConfig, {"name": "storyworld", **given}, f"{where}: sources.{name}")
        if wrong := records.problems(source):
            raise UserError(f"{where}: sources.{name}: {'; '.join(wrong)}")
        found += _of_source(name, source, templates, seed)
    names = [task.name for task in found]
    for pattern in (*config.tasks, *config.held_out):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError(f"{where}: no task {pattern!r}: {nearest(pattern, names)}")
    held_out = {name for name in names if _matches(name, config.held_out)} - {*named}
    chosen = [task for task in found if _matches(task.name, config.tasks) and task.name not in held_out]
    if not chosen:
        raise UserError(f"{where}: no tasks are left: held_out takes them all")
    for task in chosen:
        check(task.templates, task.items[0], task.name)
    return sorted(chosen, key=lambda task: task.name)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _of_source(name: str, source: RecordsConfig, templates: dict[str, Templates], seed: int) -> list[Task]:
    items: dict[str, list[Item]] = {}
    licence = records.licence_of(source)
    if source.format in GIVEN:
        for record in GIVEN[source.format](Path(source.name)):
            found = items.setdefault(record.task, [])
            if len(found) < source.limit:
                item: Item = {"definition": record.definition, "input": record.input, "answer": record.targets[0]}
                found.append({**item, "answers": record.targets})
    else:
        for number, record in enumerate(story_records(source)):
            for category, derive in CATEGORIES.items():
                draw = Random(f"{seed} {name} {category} {number}")
                items.setdefault(category, []).extend(derive(record, draw))
    if not any(items.values()):
        raise UserError(f"no records in {source.name}")
    return [
        Task(f"{name}/{task}", templates["given" if source.format in GIVEN else task], found, licence)
        for task, found in items.items()
        if found
    ]
