"""A model tuned on pairs beside a teacher, whose words on the targets are kept on the disk."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rot5.build.finetuning import problems as finetune_problems
from rot5.build.finetuning import tuning
from rot5.build.jobs import Job, new_job, refuse
from rot5.build.subjects import Subject
from rot5.config import DistillConfig
from rot5.data.batches import PackedRows
from rot5.data.corpus import PairCorpus, Verification
from rot5.data.manifest import data_fingerprint
from rot5.data.pairs import WholePairs
from rot5.data.sources import Pair
from rot5.distill.alignment import NOWHERE, Spelled, spell
from rot5.distill.cache import Block, Column, TeacherCache
from rot5.distill.rows import TaughtRows
from rot5.distill.teacher import chunk_likelihoods, likeliest_tokens, tokenizer_fingerprint, weights_fingerprint
from rot5.errors import UserError, nearest
from rot5.loading import Loaded, load
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.model.shrinking import SHRINKABLE, with_layers
from rot5.runtime import resolved_precision
from rot5.train.distilling import CHUNKS, IDS, LOG_PROBS, METHODS, NO_CHUNK, DistillingLoss, Lesson
from rot5.train.run_folder import RunFolder
from rot5.train.settings import PRECISION_NAMES

ACROSS_TOKENIZERS = "likelihood"
"""The method that compares pieces of text; all others compare tokens."""

PAIRS_AT_ONCE = 256
"""Pairs that the teacher is asked of together: whatever was killed, a pair is always asked of in the same company."""


def distilling(config: DistillConfig, *, resume: bool, overwrite: bool) -> Job:
    """A distillation run, new or taken up, with all that the teacher has to say.

    Raises UserError before the teacher is asked if something cannot work.
    """
    refuse(_problems(config) + finetune_problems(config))
    run = RunFolder(Path(config.out))
    run.refuse_begun(resume=resume, overwrite=overwrite)
    teacher = load(config.teacher)
    refuse(_teacher_problems(config, teacher))
    precision = resolved_precision(config.teacher_precision, teacher.model.device)
    if precision == "float32":
        teacher.model.float()
    subject, resolved, pairs, validation = tuning(config, _beginning(config, teacher))
    refuse(_student_problems(config, teacher, subject))
    if resume:
        run.refuse_other_data(resolved["derived"]["data"])
    about = {
        "teacher": weights_fingerprint(teacher.model),
        "tokenizers": [tokenizer_fingerprint(each) for each in (teacher.tokenizer, subject.tokenizer)],
        "prefix": teacher.prefix,
        "precision": precision,
        "pairs": data_fingerprint(Path(config.pairs)),
        "limit": config.limit,
    }
    examples = subject.rows.examples
    assert isinstance(subject.rows, PackedRows) and isinstance(examples, WholePairs)
    words = _pieces if config.method == ACROSS_TOKENIZERS else _tokens
    told, columns, ask = words(config, teacher, subject, examples, pairs)
    folder = Path(config.cache or f"{config.out.rstrip('/')}.teacher")
    cache = TeacherCache(folder, about | told, columns, examples.target_lengths)
    cache.fill(ask, lambda line: print(line, flush=True))
    resolved["derived"]["teacher"] = about["teacher"]
    return new_job(
        "distill",
        config,
        resolved=resolved,
        subject=_taught(config, subject, TaughtRows(subject.rows, examples, cache)),
        verification=Verification(pairs, validation, cache),
        resume=resume,
        overwrite=overwrite,
    )


def _problems(config: DistillConfig) -> list[str]:
    """What is wrong with the settings that tuning has not."""
    found = []
    for key, names in (("method", METHODS), ("teacher_precision", PRECISION_NAMES)):
        if (name := getattr(config, key)) not in names:
            found.append(f"{key} {name!r} is unknown: {nearest(name, names)}")
    if not 0 < config.temperature < float("inf"):
        found.append(f"temperature {config.temperature} must be a finite number above 0")
    if config.top_k < 1:
        found.append(f"top_k {config.top_k} must be at least 1")
    if not 0 <= config.gold <= 1:
        found.append(f"gold {config.gold} must be between 0 and 1")
    for key in ("encoder_layers", "decoder_layers"):
        if getattr(config, key) < 0:
            found.append(f"{key} {getattr(config, key)} is negative")
        if getattr(config, key) and config.init:
            found.append(f"{key} begins with layers of the teacher, and init with {config.init}: choose one")
    out, cache = (Path(each).resolve() for each in (config.out, config.cache or config.out))
    if config.cache and out in (cache, *cache.parents):
        found.append(f"cache {config.cache} lies in the run folder: choose another")
    return found


def _teacher_problems(config: DistillConfig, teacher: Loaded) -> list[str]:
    """What keeps a model from being asked."""
    found = [
        f"teacher: the tokenizer of {config.teacher} has no {what} token: set {what}_token in its tokenizer_config.json"
        for what in ("pad", "eos")
        if getattr(teacher.tokenizer, f"{what}_token_id") is None
    ]
    try:
        teacher.decoder_start()
    except (AttributeError, TypeError, ValueError) as error:  # as each architecture meets what is missing
        found.append(f"teacher: {config.teacher} does not say what targets begin with: {error}")
    return found


def _beginning(config: DistillConfig, teacher: Loaded) -> Callable[[], Loaded] | None:
    """What the student is before it learns; None for a new model."""
    if not (config.encoder_layers or config.decoder_layers):
        return (lambda: load(config.init)) if config.init else None
    model = teacher.model
    if not isinstance(model, SHRINKABLE):
        raise UserError(
            f"encoder_layers and decoder_layers are for teachers of ours, T5 and mT5, and {config.teacher} is a "
            f"{model.config.model_type} model: leave them out"
        )
    try:
        student = with_layers(model, config.encoder_layers, config.decoder_layers)
    except ValueError as error:
        raise UserError(str(error)) from error
    return lambda: replace(teacher, model=student)


def _student_problems(config: DistillConfig, teacher: Loaded, subject: Subject) -> list[str]:
    """What keeps a model from learning of this teacher."""
    kind = subject.model.config.model_type
    if not isinstance(subject.rows, PackedRows):
        return [
            f"init: {config.init} is a {kind} model, which learns no probabilities here: let the teacher write for it "
            "(rot5 teach)"
        ]
    sizes = [len(next(model.get_input_embeddings().parameters())) for model in (teacher.model, subject.model)]
    same = teacher.tokenizer.get_vocab() == subject.tokenizer.get_vocab() and sizes[0] == sizes[1]
    if config.method != ACROSS_TOKENIZERS and not same:
        return [
            f"{config.method} compares tokens, and {config.teacher} has other ones than the student: choose "
            f"--method {ACROSS_TOKENIZERS}"
        ]
    return []


Words = tuple[dict[str, Any], list[Column], Callable[[int], Iterator[Block]]]
"""What decides a teacher's words besides teacher and pairs; their columns; and the words on blocks of pairs from one
pair on."""


def _tokens(config: DistillConfig, teacher: Loaded, subject: Subject, examples: WholePairs, pairs: PairCorpus) -> Words:
    """The teacher's likeliest tokens."""
    ids = subject.model.config.vocab_size
    top_k = min(config.top_k, ids)
    settings = {"top_k": top_k, "temperature": config.temperature, "precision": config.teacher_precision}
    columns = [
        Column(IDS, "uint16" if ids <= 2**16 else "uint32", "int64", top_k),
        Column(LOG_PROBS, "float16", "float32", top_k + 1),
    ]

    def ask(first: int) -> Iterator[Block]:
        for block, numbers in _blocks(pairs, examples, first):
            targets = examples.targets(numbers)
            answers = [targets.row(n).tolist() for n in range(len(block))]
            inputs = teacher.read_inputs([pair.input for pair in block])
            yield Block(len(block), likeliest_tokens(teacher, inputs, answers, **settings))

    return {key: settings[key] for key in ("top_k", "temperature")}, columns, ask


def _pieces(config: DistillConfig, teacher: Loaded, subject: Subject, examples: WholePairs, pairs: PairCorpus) -> Words:
    """How likely the teacher holds the pieces of a target that end in both tokenizers."""
    student = Loaded(subject.model, subject.tokenizer, "")

    def ask(first: int) -> Iterator[Block]:
        for block, numbers in _blocks(pairs, examples, first):
            texts, targets = [pair.target for pair in block], examples.targets(numbers)
            own = [
                _placed(text, targets.row(n).tolist(), spelled)
                for n, (text, spelled) in enumerate(zip(texts, spell(student, texts), strict=True))
            ]
            inputs, answers = teacher.read_inputs([pair.input for pair in block]), spell(teacher, texts)
            precision = config.teacher_precision
            found = chunk_likelihoods(teacher, inputs, answers, own, filler=NO_CHUNK, precision=precision)
            yield Block(len(block), [found])

    return {}, [Column(CHUNKS, "float32", "float32", 0)], ask


def _placed(text: str, ids: list[int], spelled: Spelled) -> Spelled:
    """A target as it is trained on; one piece where it was read in another way, as of text that looks like a token."""
    if ids == spelled.ids:
        return spelled
    ends = np.full(len(ids), NOWHERE)
    ends[-2:] = [len(text), len(text) + 1][-len(ids) :]
    return Spelled(ids, ends, 0)


def _blocks(pairs: PairCorpus, examples: WholePairs, first: int) -> Iterator[tuple[list[Pair], NDArray[np.int64]]]:
    """The pairs from `first` on, as they are asked for together, and their numbers."""
    waiting = islice(pairs.references(), first, len(examples))
    while block := list(islice(waiting, PAIRS_AT_ONCE)):
        yield block, np.arange(first, first + len(block))
        first += len(block)


def _taught(config: DistillConfig, subject: Subject, rows: TaughtRows) -> Subject:
    """The subject on rows with the teacher's words, and what it makes of them."""
    model = subject.model
    assert isinstance(model, Rot5ForConditionalGeneration)
    lesson = Lesson(method=config.method, temperature=config.temperature, gold=config.gold)
    loss = DistillingLoss(lesson, model.lm_head)

    def after_update(moved: bool) -> None:
        subject.after_update(moved)
        loss.after_update()

    return replace(
        subject,
        rows=rows,
        loss=loss,
        observe=lambda: subject.observe() | loss.observe(),
        after_update=after_update,
    )
