"""`rot5 mix`: tasks over stories and questions into pairs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from rot5.config import MixConfig
from rot5.data.corpus import PairCorpus
from rot5.data.preparing import check_settings, free, prepare_pairs, tidy
from rot5.data.sources import SPLITS, Pair
from rot5.data.tasks.examples import FORMATS, TaskExample, examples, first_examples
from rot5.data.tasks.mixture import FormatsConfig, MixtureConfig, licence_of, read_mixture, tasks_of
from rot5.data.tokenizer import saved_tokenizer, text_encoder
from rot5.errors import UserError, nearest
from rot5.progress import shown
from rot5.recipes import recipe


def run(config: MixConfig, *, resume: bool = False, overwrite: bool = False) -> None:
    """Write the pairs and print how many there are of each task; nothing is mixed twice with `resume`."""
    out = Path(config.out)
    free(out)
    if resume:
        tidy(out)
    if out.exists() and not (resume or overwrite):
        raise UserError(f"{out} already exists: replace it with --overwrite or choose another --out")
    if found := _problems(config):
        raise UserError("; ".join(found))
    mixture = read_mixture(Path(config.mixture))
    settings = _settings(config, mixture.templates)
    if out.exists() and resume:
        manifest = PairCorpus.open(out).manifest
        check_settings(out, manifest, settings)
        print(f"{out}: {manifest['pairs']:,} pairs")
        return
    mixture = _changed(mixture, config)
    with shown("reading sources"):
        tasks = tasks_of(mixture, config.mixture, config.seed, mixture.tasks if config.tasks else ())
    tokenizer = saved_tokenizer(config.tokenizer)
    encoder = text_encoder(tokenizer)

    def fits(text: str, target: str) -> bool:
        lengths = [len(encoder.encode(each, add_special_tokens=False)) for each in (text, target)]
        return lengths[0] <= config.longest_input and lengths[1] <= config.longest_target

    if config.per_task:
        made = first_examples(tasks, mixture.formats, config.per_task, config.seed, fits)
    else:
        made = examples(tasks, mixture, config.examples, config.seed, fits)
    counts: Counter[str] = Counter()
    told: dict[str, Any] = {"source": config.mixture, "licence": licence_of(tasks), "settings": settings}
    manifest = prepare_pairs(_pairs(made, counts), tokenizer, out, **told)
    for name in sorted(counts):
        print(f"{counts[name]:7,}  {name}")
    print(f"{out}: {manifest['pairs']:,} pairs of {len(tasks)} tasks")


def _problems(config: MixConfig) -> list[str]:
    found = [
        f"{key} {getattr(config, key)} must be at least {least}"
        for key, least in (("examples", 1), ("per_task", 0), ("longest_input", 1), ("longest_target", 1))
        if getattr(config, key) < least
    ]
    if config.tasks and config.held_out:
        found.append(f"tasks {config.tasks} and held_out both say which tasks: give one")
    for key, known in (("format", FORMATS), ("split", SPLITS)):
        value = getattr(config, key)
        if value and value not in known:
            found.append(f"unknown {key} {value!r}: {nearest(value, known)}")
    return found


def _settings(config: MixConfig, templates: str) -> dict[str, Any]:
    """What pairs are made with: the settings, and what the files of the mixture and of its templates say."""
    said = {key: recipe(Path(name)) for key, name in (("mixture", config.mixture), ("templates", templates)) if name}
    return {**asdict(config), "out": "", **{key: yaml.safe_dump(content) for key, content in said.items()}}


def _changed(mixture: MixtureConfig, config: MixConfig) -> MixtureConfig:
    """The mixture with what the command says instead."""
    if config.tasks:
        mixture = replace(mixture, tasks=tuple(each.strip() for each in config.tasks.split(",")))
    if config.split:
        sources = {name: {**given, "split": config.split} for name, given in mixture.sources.items()}
        mixture = replace(mixture, sources=sources)
    if config.format:
        shares = {name: float(name == config.format) for name in FORMATS}
        mixture = replace(mixture, formats=FormatsConfig(**shares, most_shots=mixture.formats.most_shots))
    if config.held_out:
        if not mixture.held_out:
            raise UserError(f"{config.mixture} holds no tasks out: name some under held_out")
        mixture = replace(mixture, tasks=mixture.held_out, held_out=())
    return mixture


def _pairs(made: Iterator[TaskExample], counts: Counter[str]) -> Iterator[Pair]:
    for number, each in enumerate(made):
        counts[f"{each.task} ({each.format})"] += 1
        yield Pair(each.input, each.target, each.answers, number, each.task, each.metric)
