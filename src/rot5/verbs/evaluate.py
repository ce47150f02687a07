"""`rot5 evaluate`: likelihood and summaries of a model on prepared data."""

import json
from pathlib import Path

from rich.console import Console

from rot5.build import EVALUATION_SEED, denoising_rows, score
from rot5.config import EvaluateConfig
from rot5.data.batches import PackedRows
from rot5.data.corpus import MANIFEST, Corpus, PairCorpus
from rot5.data.denoise import DenoiseConfig, DenoiserConfig
from rot5.data.packing import PackConfig
from rot5.data.pairs import Pairs
from rot5.data.tokenizer import special_ids
from rot5.errors import UserError
from rot5.evaluate.answers import evaluate_summaries
from rot5.evaluate.likelihood import as_table, measure_texts
from rot5.folders import write_json
from rot5.generate import GenerateConfig, problems
from rot5.load import Loaded, load
from rot5.report.tables import (
    LIKELIHOOD_COLUMNS,
    SUMMARY_COLUMNS,
    TEXT_COLUMNS,
    likelihood_rows,
    summary_rows,
    text_rows,
    text_table,
)
from rot5.train.run_folder import RunFolder
from rot5.train.samples import write_samples

EVALUATION_EXAMPLES = 16
"""Pairs scored together by models that know no packed rows."""

MODES = {f"[{mode}]": mode for mode in ("R", "S", "X")}


def run(config: EvaluateConfig) -> None:
    """Score the model on the data and print the tables; the same command gives the same numbers."""
    settings = GenerateConfig(max_new_tokens=config.max_new_tokens, num_beams=config.num_beams)
    found = problems(settings) + ([f"summaries {config.summaries} must be at least 1"] if config.summaries < 1 else [])
    if found:
        raise UserError("; ".join(found))
    folder = RunFolder(Path(config.model))
    data = config.data or (folder.config()["validation"] if folder.exists() else "")
    if not data:
        raise UserError("--data is needed: a folder of prepared text or pairs")
    loaded = load(config.model)
    out = Path(config.out) if config.out else folder.path
    if not out.is_dir():
        raise UserError(f"{out} is no folder: give --out for eval.json and samples.jsonl")
    if _kind(Path(data)) == "pairs":
        evaluation = _of_pairs(loaded, PairCorpus.open(Path(data)), config.summaries, settings, out)
    else:
        evaluation = {"likelihood": _of_text(loaded, Corpus.open(Path(data)), folder)}
    target = RunFolder(out)
    write_json(target.evaluation_file, target.evaluation() | evaluation)
    show(evaluation)


def show(evaluation: dict) -> None:
    """Print the tables of an evaluation."""
    console = Console(width=None if Console().is_terminal else 140)
    if "likelihood" in evaluation:
        console.print(text_table(likelihood_rows(evaluation["likelihood"]), LIKELIHOOD_COLUMNS, "Likelihood"))
    if "summaries" in evaluation:
        console.print(text_table(summary_rows(evaluation["summaries"]), SUMMARY_COLUMNS, "Summaries"))
        if rows := text_rows(evaluation["summaries"]):
            console.print(text_table(rows, TEXT_COLUMNS, "Text"))


def _kind(folder: Path) -> str:
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise UserError(f"{folder} holds no prepared data: make it with `rot5 prepare`")
    return json.loads(manifest.read_text(encoding="utf-8"))["kind"]


def _of_text(loaded: Loaded, corpus: Corpus, folder: RunFolder) -> dict:
    corpus.check_tokenizer(loaded.tokenizer)
    settings = folder.config() if folder.exists() else {}
    objective = _denoise_config(settings.get("denoise"))
    pack = PackConfig(**settings["pack"]) if "pack" in settings else PackConfig()
    rows = denoising_rows(corpus, special_ids(loaded.tokenizer), objective, pack, EVALUATION_SEED, shuffle=False)
    everything = PackedRows(rows.examples, pack, special_ids(loaded.tokenizer), len(rows.examples))
    return as_table(score(loaded.model, everything, loaded.tokenizer, "bf16"), rows.examples.kind_names)


def _of_pairs(loaded: Loaded, pairs: PairCorpus, count: int, settings: GenerateConfig, out: Path) -> dict:
    ours = loaded.model.config.model_type == "rot5"
    if ours:
        pairs.check_tokenizer(loaded.tokenizer)
    table, samples = evaluate_summaries(loaded, pairs, count, settings)
    write_samples(RunFolder(out).samples_file, samples)
    evaluation = {"summaries": table}
    if ours:
        examples = Pairs(pairs, special_ids(loaded.tokenizer), MODES.get(loaded.prefix), EVALUATION_SEED, shuffle=False)
        longest_input, longest_target = examples.longest()
        pack = PackConfig(encoder_length=max(512, longest_input), decoder_length=max(256, longest_target))
        rows = PackedRows(examples, pack, special_ids(loaded.tokenizer), len(examples))
        evaluation["likelihood"] = as_table(score(loaded.model, rows, loaded.tokenizer, "bf16"), examples.kind_names)
    else:
        texts = list(pairs.references())
        scores = measure_texts(
            loaded, [pair.input for pair in texts], [pair.target for pair in texts], "bf16", EVALUATION_EXAMPLES
        )
        evaluation["likelihood"] = as_table(scores, ("pairs",))
    return evaluation


def _denoise_config(settings: dict | None) -> DenoiseConfig:
    """The objective as a run folder holds it; the default for a model that comes without one."""
    if settings is None:
        return DenoiseConfig()
    return DenoiseConfig(**{**settings, "denoisers": tuple(DenoiserConfig(**each) for each in settings["denoisers"])})
