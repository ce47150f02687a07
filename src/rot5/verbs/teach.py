"""`rot5 teach`: pairs whose targets a teacher has written, for a student to be tuned on.

Sequence-level distillation (Kim and Rush, "Sequence-Level Knowledge Distillation", arXiv:1606.07947), which needs no
common tokenizer. The teacher's answers are kept beside the pairs, in `OUT.answers.jsonl`: a line for each input, behind
one that says what they are.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from rot5.config import TeachConfig
from rot5.data.corpus import PairCorpus
from rot5.data.manifest import data_fingerprint
from rot5.data.preparing import prepare_pairs
from rot5.data.sources import Pair
from rot5.distill.teacher import weights_fingerprint
from rot5.errors import UserError
from rot5.evaluation.likelihood import measure_texts
from rot5.folders import locked, write_text
from rot5.generate.answers import write_texts
from rot5.generate.settings import GenerateConfig
from rot5.generate.settings import problems as generate_problems
from rot5.loading import Loaded, load

INPUTS_AT_ONCE = 256
EXAMPLES_AT_ONCE = 16
FREE = ("out", "best", "gold")
"""Settings that no answer depends on."""


class Answer(NamedTuple):
    """A text of the teacher, and its mean log-likelihood per token (nats) under the teacher."""

    text: str
    score: float


def run(config: TeachConfig, *, resume: bool = False, overwrite: bool = False) -> None:
    """Let the teacher answer what it has not yet answered, and write the pairs."""
    out = Path(config.out)
    _check(config, resume or overwrite)
    pairs = PairCorpus.open(Path(config.pairs))
    kept = out.with_name(f"{out.name}.answers.jsonl")
    with locked(out.with_name(f"lock-{out.name}.answers")):
        answers = _answered(config, pairs, kept)
    taught = _taught(pairs, answers, config)
    of_inputs = {key: pairs.manifest[key] for key in ("source", "licence")}
    manifest = prepare_pairs(taught, pairs.tokenizer(), out, **of_inputs)
    print(f"{out}: {manifest['pairs']:,} pairs of {len(answers):,} inputs, answered by {config.teacher}")


def _check(config: TeachConfig, replaces: bool) -> None:
    found = [f"{key} must be at least 1" for key in ("candidates", "best") if getattr(config, key) < 1]
    if config.best > config.candidates:
        found.append(f"best {config.best} is more than the {config.candidates} candidates: draw more")
    found += generate_problems(_drawing(config, 0))
    if Path(config.out).exists() and not replaces:
        found.append(f"{config.out} already exists: replace it with --overwrite or choose another --out")
    if found:
        raise UserError("; ".join(found))


def _drawing(config: TeachConfig, turn: int) -> GenerateConfig:
    """How the teacher answers for the n-th time: the likeliest tokens if it answers once, else by drawing."""
    return GenerateConfig(
        max_new_tokens=config.max_new_tokens,
        do_sample=config.candidates > 1,
        temperature=config.temperature,
        seed=config.seed + turn,
        precision=config.precision,
    )


def _answered(config: TeachConfig, pairs: PairCorpus, path: Path) -> list[list[Answer]]:
    """The teacher's answers to all inputs, best first; those that are in the file are not asked for again.

    The file tells the teacher by its weights, as one that is trained anew may take its name; older ones do not.
    Inputs are asked in the same company whenever that is, so that a killed call that is taken up gives the same file.
    """
    settings = {key: value for key, value in asdict(config).items() if key not in FREE}
    settings |= {"pairs": data_fingerprint(Path(config.pairs))}
    loaded = load(config.teacher)
    known = settings | {"weights": weights_fingerprint(loaded.model)}
    head, older = (json.dumps({"answers": each}).encode() + b"\n" for each in (known, settings))
    lines = _read(path, (head, older), len(pairs)) if path.is_file() else []
    if len(lines) < len(pairs):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, b"".join([head, *lines]).decode())
        with path.open("ab") as file:
            waiting = islice(pairs.references(), len(lines), None)
            while batch := [pair.input for pair in islice(waiting, INPUTS_AT_ONCE)]:
                lines += [json.dumps(answers).encode() + b"\n" for answers in _ask(loaded, batch, config)]
                file.writelines(lines[-len(batch) :])
                file.flush()
                print(f"{len(lines):,} of {len(pairs):,} inputs answered", flush=True)
    return [[Answer(*each) for each in json.loads(line)] for line in lines]


def _read(path: Path, heads: Sequence[bytes], most: int) -> list[bytes]:
    """The lines of answers in a file behind one of the heads, as far as all that were asked together are there.

    Raises UserError if they are others'.
    """
    first, *lines = path.read_bytes().splitlines(keepends=True) or [b""]
    if first not in heads:
        raise UserError(f"{path} holds answers of another teacher, or settings: remove it, or choose another --out")
    whole = [line for line in lines if line.endswith(b"\n")]
    return whole if len(whole) == most else whole[: len(whole) // INPUTS_AT_ONCE * INPUTS_AT_ONCE]


def _ask(loaded: Loaded, inputs: Sequence[str], config: TeachConfig) -> Iterator[list[Answer]]:
    turns = []
    for turn in range(config.candidates):
        texts = write_texts(loaded, inputs, _drawing(config, turn))
        scores = measure_texts(loaded, inputs, texts, config.precision.replace("int8", "auto"), EXAMPLES_AT_ONCE)
        turns.append([Answer(*each) for each in zip(texts, (-scores.nats / scores.targets).tolist(), strict=True)])
    for candidates in zip(*turns, strict=True):
        by_text: dict[str, Any] = {answer.text: answer for answer in candidates}
        yield sorted(by_text.values(), key=lambda answer: -answer.score)


def _taught(pairs: PairCorpus, answers: Sequence[Sequence[Answer]], config: TeachConfig) -> Iterator[Pair]:
    """Of each pair one with every answer that is kept and says something, and itself if gold is kept."""
    for pair, given in zip(pairs.references(), answers, strict=True):
        for answer in given[: config.best]:
            if answer.text:
                yield pair._replace(target=answer.text)
        if config.gold:
            yield pair
