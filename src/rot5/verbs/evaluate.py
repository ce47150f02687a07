"""`rot5 evaluate`: likelihood and summaries of a model on prepared data, or summaries that somebody else wrote."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from rot5 import ranks
from rot5.build.scoring import (
    DEFAULT,
    EVALUATION_SEED,
    OWN,
    Objective,
    denoising_rows,
    likelihood_settings,
    objective_of,
    score,
)
from rot5.config import EvaluateConfig
from rot5.data.batches import PackedRows
from rot5.data.corpus import Corpus, PairCorpus
from rot5.data.denoise import DenoiseConfig, Denoised
from rot5.data.manifest import MANIFEST, read_manifest
from rot5.data.packing import PackConfig
from rot5.data.pairs import Pairs
from rot5.data.sources import Pair
from rot5.data.tokenizer import special_ids
from rot5.errors import UserError
from rot5.evaluation.answers import first_pairs, score_predictions, timed_summaries
from rot5.evaluation.likelihood import as_table, measure_texts
from rot5.evaluation.predictions import read_predictions
from rot5.evaluation.spelled import measure_spelled
from rot5.folders import sole, write_json
from rot5.generate.answers import Progress
from rot5.generate.settings import GenerateConfig, problems
from rot5.loading import Loaded, load
from rot5.progress import shown
from rot5.report.tables import (
    CLAIM_COLUMNS,
    COMPARED_COLUMNS,
    LIKELIHOOD_COLUMNS,
    SUMMARY_COLUMNS,
    TASK_COLUMNS,
    TEXT_COLUMNS,
    claim_rows,
    compared_rows,
    likelihood_notes,
    likelihood_rows,
    summary_rows,
    task_rows,
    text_rows,
    text_table,
)
from rot5.train.run_folder import RunFolder
from rot5.train.samples import write_samples

EVALUATION_EXAMPLES = 16
"""Pairs or denoising examples scored together by models that know no packed rows."""

MODES = {f"[{mode}]": mode for mode in ("R", "S", "X")}


def run(config: EvaluateConfig) -> None:
    """Score the model or the predictions on the data and print the tables; the same command gives the same numbers."""
    with shown("evaluating") if ranks.is_main() else nullcontext() as tell:
        evaluation = write(config, progress=tell)
    if not ranks.is_main():
        return
    if evaluation.seconds is not None:
        print(f"{len(evaluation.samples or ()):,} summaries written in {evaluation.seconds:.1f} s")
    show(evaluation.tables)


class Evaluation(NamedTuple):
    """What an evaluation says."""

    tables: dict
    """`likelihood` and `summaries`, as eval.json holds them."""
    samples: list[dict] | None = None
    """Texts beside their references, of pairs."""
    seconds: float | None = None
    """Of writing them."""


def write(config: EvaluateConfig, loaded: Loaded | None = None, progress: Progress | None = None) -> Evaluation:
    """As `measure`, and write it down: into the run folder or `out`."""
    asked = _asked(config)
    target = RunFolder(_place(config))
    _refuse_mixing(target, config)
    if config.model and asked.kind == "pairs":  # predictions are as many as their file holds
        _refuse_fewer(target, config.summaries)
    with sole(target.path) if ranks.is_main() else nullcontext():
        evaluation = _evaluated(config, asked, loaded, progress)
        if not ranks.is_main():
            return evaluation
        if evaluation.samples is not None:
            write_samples(target.samples_file, evaluation.samples)
        write_json(target.evaluation_file, target.evaluation() | {"system": _system(config)} | evaluation.tables)
    return evaluation


def measure(config: EvaluateConfig, loaded: Loaded | None = None) -> Evaluation:
    """Score the model, which is `loaded` where it is there already, or the predictions, and write nothing."""
    return _evaluated(config, _asked(config), loaded)


class _Asked(NamedTuple):
    """What an evaluation is of, all in order."""

    data: str
    kind: str
    """text or pairs."""
    run: RunFolder
    """The model's, which need not exist."""
    writing: GenerateConfig


def _asked(config: EvaluateConfig) -> _Asked:
    settings = GenerateConfig(
        max_new_tokens=config.max_new_tokens, num_beams=config.num_beams, precision=config.precision
    )
    found = problems(settings) + ([f"summaries {config.summaries} must be at least 1"] if config.summaries < 1 else [])
    if bool(config.model) == bool(config.predictions):
        found.append("name a model or give --predictions, one of the two")
    defaults = EvaluateConfig()
    if config.predictions:
        found += [
            f"{key} {getattr(config, key)} is for a model, not for predictions"
            for key in ("max_new_tokens", "num_beams", "precision")
            if getattr(config, key) != getattr(defaults, key)
        ]
    if found:
        raise UserError("; ".join(found))
    folder = RunFolder(Path(config.model or config.out))
    data = config.data or (folder.config()["validation"] if config.model and folder.exists() else "")
    if not data:
        raise UserError("--data is needed: a folder of prepared text or pairs")
    kind = _kind(Path(data))
    if kind != "pairs" and (config.predictions or config.against):
        raise UserError(f"{data} holds text: predictions are scored on pairs, made with `rot5 prepare --pairs`")
    if config.objective and kind == "pairs":
        raise UserError(f"objective {config.objective} masks text, and {data} holds pairs: leave it out")
    return _Asked(data, kind, folder, settings)


def _evaluated(
    config: EvaluateConfig, asked: _Asked, loaded: Loaded | None, progress: Progress | None = None
) -> Evaluation:
    """The tables, and samples where summaries are judged; of data that is as it was written."""
    if asked.kind == "pairs":
        pairs = PairCorpus.open(Path(asked.data))
        pairs.verify()
        if config.predictions:
            return _of_predictions(config, pairs)
        return _of_pairs(config, loaded or load(config.model), pairs, asked.writing, progress)
    loaded, corpus = loaded or load(config.model), Corpus.open(Path(asked.data))
    corpus.verify()
    return Evaluation({"likelihood": _of_text(config, loaded, corpus, asked.run)})


def show(evaluation: dict) -> None:
    """Print the tables of an evaluation."""
    console = Console(width=None if Console().is_terminal else 140)
    if "likelihood" in evaluation:
        console.print(text_table(likelihood_rows(evaluation["likelihood"]), LIKELIHOOD_COLUMNS, "Likelihood"))
        for note in likelihood_notes(evaluation["likelihood"]):
            console.print(note, highlight=False)
    if "summaries" in evaluation:
        console.print(text_table(summary_rows(evaluation["summaries"]), SUMMARY_COLUMNS, "Summaries"))
        if rows := text_rows(evaluation["summaries"]):
            console.print(text_table(rows, TEXT_COLUMNS, "Text"))
        if rows := claim_rows(evaluation["summaries"]):
            console.print(text_table(rows, CLAIM_COLUMNS, "Claims"))
        if rows := task_rows(evaluation["summaries"]):
            console.print(text_table(rows, TASK_COLUMNS, "Tasks"))
        if rows := compared_rows(evaluation["summaries"]):
            console.print(text_table(rows, COMPARED_COLUMNS, "Compared"))


def _kind(folder: Path) -> str:
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{folder} holds no prepared data: make it with `rot5 prepare`")
    return read_manifest(folder)["kind"]


def _place(config: EvaluateConfig) -> Path:
    """The folder to write into, which need not exist. Raises UserError where none is named or none can be made."""
    out = Path(config.out or config.model)
    if not config.out and not (config.model and out.is_dir()):
        reason = f"{config.model} is no folder here" if config.model else "predictions have no folder of their own"
        raise UserError(f"--out is needed for eval.json and samples.jsonl: {reason}")
    there = next(path for path in (out, *out.parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"cannot write into --out {out}: {there} is a file, choose another folder")
    return out


def _system(config: EvaluateConfig) -> dict[str, str]:
    """What is evaluated, as eval.json names it."""
    return {"model": config.model} if config.model else {"predictions": config.predictions}


def _refuse_mixing(target: RunFolder, config: EvaluateConfig) -> None:
    """Raise UserError where the folder is of another system: its run, or an evaluation of it."""
    ((kind, name),) = _system(config).items()
    if target.exists():
        export, here = target.export.resolve(), target.path.resolve()
        theirs, same = "a run", kind == "model" and Path(name).resolve() in (here, export)
    elif before := target.evaluation():
        system = before.get("system", {})
        theirs = f"the evaluation of {next(iter(system.values()), 'something unnamed')}"
        same = list(system) == [kind] and (system[kind] == name or Path(system[kind]).resolve() == Path(name).resolve())
    else:
        return
    if not same:
        raise UserError(f"{target.path} holds {theirs}: choose another --out for that of {name}")


def _refuse_fewer(target: RunFolder, examples: int) -> None:
    """Raise UserError where a quick look would replace figures of more examples."""
    if (before := target.evaluation().get("summaries", {}).get("examples", 0)) > examples:
        raise UserError(
            f"{target.path} holds an evaluation of {before:,} examples: for one of {examples:,} choose another --out"
        )


def _of_text(config: EvaluateConfig, loaded: Loaded, corpus: Corpus, folder: RunFolder) -> dict:
    ours = loaded.model.config.model_type == "rot5"
    if ours:
        corpus.check_tokenizer(loaded.tokenizer)
    if config.objective:
        folder = RunFolder(Path(config.objective))
        if not folder.exists() or "denoise" not in folder.config():
            raise UserError(f"objective {config.objective} is no pretraining run: name the folder of one")
    own = objective_of(folder.config()) if folder.exists() else None
    objective = own or Objective(DenoiseConfig(), PackConfig())
    told = likelihood_settings(str(corpus.folder), objective, config.objective or (OWN if own else DEFAULT))
    tokenizer = corpus.tokenizer()
    specials = special_ids(tokenizer)
    examples = denoising_rows(corpus, specials, *objective, EVALUATION_SEED, shuffle=False).examples
    assert isinstance(examples, Denoised)
    if not ours:
        return measure_spelled(loaded, examples, tokenizer, "auto", EVALUATION_EXAMPLES) | {"settings": told}
    everything = PackedRows(examples, objective.pack, specials, len(examples))
    return as_table(score(loaded.model, everything, tokenizer, "auto"), examples.kind_names) | {"settings": told}


def _of_predictions(config: EvaluateConfig, pairs: PairCorpus) -> Evaluation:
    predictions = read_predictions(Path(config.predictions))
    complete = len(predictions.texts) == len(pairs)
    chosen = first_pairs(pairs, len(pairs) if complete else config.summaries)
    predictions.check(chosen, len(pairs))
    against = _against(config, chosen, pairs)
    table, samples = score_predictions(pairs, chosen, predictions.texts, against, config.original_rouge)
    return Evaluation({"summaries": table | _files(config)}, samples)


def _of_pairs(
    config: EvaluateConfig, loaded: Loaded, pairs: PairCorpus, settings: GenerateConfig, progress: Progress | None
) -> Evaluation:
    ours = loaded.model.config.model_type == "rot5"
    if ours:
        pairs.check_tokenizer(loaded.tokenizer)
    chosen = first_pairs(pairs, config.summaries)
    against = _against(config, chosen, pairs)
    predictions, seconds = timed_summaries(loaded, chosen, settings, progress)
    table, samples = score_predictions(pairs, chosen, predictions, against, config.original_rouge)
    evaluation: dict = {"summaries": table | _files(config)}
    if ours:
        examples = Pairs(pairs, special_ids(loaded.tokenizer), MODES.get(loaded.prefix), EVALUATION_SEED, shuffle=False)
        longest_input, longest_target = examples.longest()
        pack = PackConfig(encoder_length=max(512, longest_input), decoder_length=max(256, longest_target))
        rows = PackedRows(examples, pack, special_ids(loaded.tokenizer), len(examples))
        evaluation["likelihood"] = as_table(score(loaded.model, rows, loaded.tokenizer, "auto"), examples.kind_names)
    else:
        texts = list(pairs.references())
        scores = measure_texts(
            loaded, [pair.input for pair in texts], [pair.target for pair in texts], "auto", EVALUATION_EXAMPLES
        )
        evaluation["likelihood"] = as_table(scores, ("pairs",))
    evaluation["likelihood"]["settings"] = likelihood_settings(str(pairs.folder))
    return Evaluation(evaluation, samples, seconds)


def _against(config: EvaluateConfig, chosen: Sequence[Pair], pairs: PairCorpus) -> list[str]:
    """The texts to compare with, where some are given."""
    if not config.against:
        return []
    against = read_predictions(Path(config.against))
    against.check(chosen, len(pairs))
    return against.texts


def _files(config: EvaluateConfig) -> dict[str, str]:
    """Which files the figures are of."""
    return {f"{key}_file": file for key in ("predictions", "against") if (file := getattr(config, key))}
