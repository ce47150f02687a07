"""Settings of a dataclass read from YAML recipes and flags, checked, and written back as a command."""

import copy
import json
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import MISSING, asdict, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

import yaml
from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from rot5.errors import UserError, nearest

T = TypeVar("T")


def keys(config_class: type, prefix: str = "") -> Iterator[str]:
    """Every dotted key that a settings class knows."""
    hints = get_type_hints(config_class)
    for entry in fields(config_class):
        yield prefix + entry.name
        if is_dataclass(hints[entry.name]):
            yield from keys(hints[entry.name], f"{prefix}{entry.name}.")


def defaults(config_class: type) -> dict[str, Any]:
    """Every setting of a class that may be left out, and what it is then; groups of settings as dicts."""
    found: dict[str, Any] = {}
    for entry in fields(config_class):
        if entry.default is not MISSING:
            found[entry.name] = entry.default
        elif entry.default_factory is not MISSING:
            value = entry.default_factory()
            found[entry.name] = json.loads(json.dumps(asdict(value) if is_dataclass(value) else value))  # type: ignore[arg-type]
    return found


def _switches(config_class: type) -> set[str]:
    """Settings of a verb that are true or false."""
    return {name for name, kind in get_type_hints(config_class).items() if kind is bool}


def _split(argv: Sequence[str], switches: set[str]) -> tuple[list[str], list[str]]:
    """Recipe files, and the other arguments; a switch without a value gets `true`.

    >>> _split(["--steps", "3", "--config", "a.yaml", "--prune", "--out=x"], {"prune"})
    (['a.yaml'], ['--steps', '3', '--prune=true', '--out=x'])
    """
    recipes, others = [], []
    for argument, following in zip(argv, [*argv, "--"][1:], strict=True):
        name, _, value = argument.partition("=")
        if others and others[-1] == "--config":
            others.pop()
            recipes.append(argument)
        elif name == "--config" and (value or following.startswith("--")):
            recipes.append(value)
        elif argument.startswith("--") and argument[2:] in switches and following.startswith("--"):
            others.append(f"{argument}=true")
        else:
            others.append(argument)
    return recipes, others


MOST_VALUES = 100_000
"""Values that a recipe may stand for, with those that aliases repeat."""


def recipe(path: Path) -> dict:
    """The settings that a recipe file holds."""
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        tree = loader.get_single_node()
        small = _is_small(tree)
        content = loader.construct_document(tree) if tree and small else None
    except OSError as error:
        raise UserError(f"cannot read the recipe {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the recipe {path} is not UTF-8 text") from error
    except RecursionError:
        raise UserError(f"{path} is nested too deeply: settings are a few levels deep") from None
    except Exception as error:  # besides YAMLError all that a date or a number that is none can raise
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not small:
        raise UserError(f"{path} stands for more than {MOST_VALUES:,} values: let its aliases repeat less")
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold settings as `key: value`")
    return content


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with what `over` sets, at any depth.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}})
    {'a': {'b': 3, 'c': 2}}
    """
    result = copy.deepcopy(dict(base))
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else copy.deepcopy(value)
    return result


def _is_small(tree: yaml.Node | None) -> bool:
    """Whether a recipe stands for few values: aliases of aliases can stand for more than any memory holds."""
    waiting, seen = [tree], 0
    while waiting and seen <= MOST_VALUES:
        node = waiting.pop()
        seen += 1
        if isinstance(node, yaml.MappingNode):
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return seen <= MOST_VALUES


def _recipe_keys(value: dict, known: set[str], prefix: str = "") -> Iterator[str]:
    """Dotted keys that a recipe sets. Raises UserError where a group of settings is given as one value."""
    for key, inner in value.items():
        dotted = f"{prefix}{key}"
        yield dotted
        if any(each.startswith(f"{dotted}.") for each in known):
            if not isinstance(inner, dict):
                raise UserError(f"{dotted} holds {inner!r} in the recipe: give its settings as `key: value` below it")
            yield from _recipe_keys(inner, known, f"{dotted}.")


class _Parser(ArgumentParser):
    """A parser whose help ends with lines that are not wrapped, and whose `--print_config` prints a recipe."""

    closing = ""
    needed: Set[str] = frozenset()
    """Settings without a default; the library makes parsers of this class for groups in lists, which need none."""

    def format_help(self) -> str:
        return super().format_help() + self.closing

    def dump(self, namespace: Namespace, *, skip_default: bool = False, **how: Any) -> str:
        """Settings as a recipe that the verb reads: without those that are still to be given, and with those in lists
        written out, which the library does not."""
        told = namespace.clone()
        for key, value in namespace.items():
            if key in self.needed and value is None:
                del told[key]
            elif isinstance(value, tuple) and not (skip_default and value == self.get_default(key)):
                told[key] = [asdict(each) if is_dataclass(each) else each for each in value]  # type: ignore[arg-type]
        return super().dump(told, skip_default=skip_default, **how)


@lru_cache(maxsize=32)
def parser(config_class: type, verb: str, closing: str = "") -> ArgumentParser:
    """A parser of flags and recipe files (`--config`) for one verb's settings; a study needs one many times."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    built = _Parser(prog=f"rot5 {verb}", exit_on_error=False, description=config_class.__doc__)
    built.closing = closing
    built.needed = {entry.name for entry in fields(config_class)} - defaults(config_class).keys()
    built.add_argument("--config", action="config", help="A recipe: a YAML file of the settings below.")
    built.add_class_arguments(config_class)
    return built


def read(config_class: type[T], verb: str, argv: Sequence[str], *, closing: str = "", example: str = "") -> T:
    """Settings of a verb: defaults, then recipes, then flags, in whatever order they come.

    `closing` stands at the end of the verb's help. Raises UserError that names every unknown key, or every setting that
    is missing, with an example of the whole command.
    """
    known = set(keys(config_class))
    recipes, flags = _split(argv, _switches(config_class))
    if "" in recipes:
        raise UserError("--config names no recipe: give a YAML file of settings")
    given = [key for path in recipes for key in _recipe_keys(recipe(Path(path)), known)]
    given += [flag[2:].partition("=")[0] for flag in flags if flag.startswith("--")]
    unknown = [key for key in given if key not in known | {"help", "print_config"}]
    if unknown:
        raise UserError("; ".join(f"unknown setting {key!r}: {nearest(key, known)}" for key in unknown))
    reader = parser(config_class, verb, closing)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = reader.instantiate(reader.parse_args([*(f"--config={path}" for path in recipes), *flags]))
    except Exception as error:  # besides ArgumentError all that a date or a number that is none can raise
        complaint = _plain(str(error))
        shown = f"; for example: {example}" if example and "required" in complaint else ""
        raise UserError(f"rot5 {verb}: {complaint}{shown}") from error
    return _settings(config_class, values, f"rot5 {verb}")


def from_dict(config_class: type[T], given: Any, where: str) -> T:
    """Settings that stand in a group of a file. Raises UserError that names every unknown key."""
    if not isinstance(given, dict):
        raise UserError(f"{where} must hold settings as `key: value`")
    known = set(keys(config_class))
    unknown = [key for key in _recipe_keys(given, known) if key not in known]
    if unknown:
        raise UserError(f"{where}: " + "; ".join(f"unknown key {key!r}: {nearest(str(key), known)}" for key in unknown))
    reader = parser(config_class, where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = reader.instantiate(reader.parse_object(given))
    except Exception as error:  # as in `read`
        raise UserError(f"{where}: {_plain(str(error))}") from error
    return _settings(config_class, values, where)


def _settings(config_class: type[T], values: Any, where: str) -> T:
    settings = config_class(**{entry.name: values[entry.name] for entry in fields(config_class)})  # type: ignore[arg-type]
    if empty := list(_empty(settings)):
        raise UserError(f"{where}: {', '.join(empty)} must not be null: give a value, or leave it out")
    return settings


def _empty(settings: Any, prefix: str = "") -> Iterator[str]:
    """Dotted keys that hold nothing, though nothing is none of their values."""
    hints = get_type_hints(type(settings))
    for entry in fields(settings):
        value, key = getattr(settings, entry.name), f"{prefix}{entry.name}"
        if value is None and NoneType not in get_args(hints[entry.name]):
            yield key
        for each in value if isinstance(value, tuple) else (value,):
            if is_dataclass(each):
                yield from _empty(each, f"{key}.")


_PLAIN = (
    (r"the following arguments are required: (.*)$", r"required settings are missing: \1"),
    (r'Parser key "([^"]*)":', r"\1:"),
    (r"Problem with given class_path '[^']*': ", ""),
    (r"<class '(\w+)'>|typing\.", r"\1"),
    (r"Expected an? (.+)\. Got value: (.*)$", r"expected \1, got '\2'"),
    (r"Does not validate against any of the Union subtypes .*?\[(\w+).* Given value: (.*)$", r"expected \1, got '\2'"),
)
"""The parser's phrases and how we say them."""


def _plain(complaint: str) -> str:
    """The parser's complaint in a user's words, on one line.

    >>> _plain("Parser key \\"train.steps\\":\\n  Expected a <class 'int'>. Got value: abc")
    "train.steps: expected int, got 'abc'"
    """
    text = " ".join(complaint.split())
    for pattern, ours in _PLAIN:
        text = re.sub(pattern, ours, text)
    return text


def command_line(verb: str, settings: object) -> list[str]:
    """The command, as words, that gives these settings: everything that is not at its default."""
    return ["rot5", verb, *_flags(settings)]


def _flags(settings: Any, prefix: str = "") -> Iterator[str]:
    for entry in fields(settings):
        value, key = getattr(settings, entry.name), f"{prefix}{entry.name}"
        default = entry.default if entry.default_factory is MISSING else entry.default_factory()
        if value == default:
            continue
        if is_dataclass(value):
            yield from _flags(value, f"{key}.")
        elif isinstance(value, tuple):
            yield from (f"--{key}", json.dumps([asdict(each) for each in value]))  # type: ignore[arg-type]
        elif isinstance(value, dict):
            yield from (f"--{key}", _flow(value))
        else:
            yield from (f"--{key}", str(value).lower() if isinstance(value, bool) else str(value))


def _flow(value: dict) -> str:
    """A group of settings as one line of YAML."""
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf).strip()
