"""`rot5 sort`: a corpus cut into parts from easy to hard, for training that begins with what is easy."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rot5.config import SortConfig
from rot5.data.corpus import Corpus, documents
from rot5.data.difficulty import parts_by, rarity
from rot5.data.preparing import prepare
from rot5.data.tokenizer import special_ids
from rot5.errors import UserError, nearest
from rot5.evaluation.likelihood import measure_ids
from rot5.folders import complete_or_absent, write_json
from rot5.loading import load
from rot5.progress import shown

MEASURES = ("length", "vocabulary", "loss")
EXAMPLES_AT_ONCE = 16
LONGEST = 512
"""Tokens of a document that a model is asked about."""


def run(config: SortConfig) -> None:
    """Write the parts and a table of what they are like."""
    found = [f"unknown measure {config.by!r}: {nearest(config.by, MEASURES)}"] if config.by not in MEASURES else []
    found += [f"parts {config.parts} must be at least 2"] if config.parts < 2 else []
    found += ["by loss needs a model: name it with --model"] if config.by == "loss" and not config.model else []
    found += [f"{config.out} already exists: choose another --out"] if Path(config.out).exists() else []
    if found:
        raise UserError("; ".join(found))
    corpus = Corpus.open(config.corpus)
    tokenizer = corpus.tokenizer()
    measures = {"length": corpus.lengths.astype(np.float64), "vocabulary": rarity(corpus)}
    if config.model:
        measures["loss"] = _losses(corpus, config.model)
    table = []
    with complete_or_absent(Path(config.out)) as folder:
        for part, numbers in enumerate(parts_by(measures[config.by], corpus.lengths, config.parts), start=1):
            if not len(numbers):
                raise UserError(f"{config.corpus} has too few documents for {config.parts} parts")
            texts = documents(corpus, numbers)
            said = {"source": f"{config.corpus}, by {config.by}", "licence": corpus.manifest["licence"]}
            prepare(texts, tokenizer, folder / str(part), **said)
            means = {name: float(values[numbers].mean()) for name, values in measures.items()}
            table.append({"part": part, "documents": len(numbers), **means})
        write_json(folder / "difficulty.json", {"corpus": config.corpus, "by": config.by, "parts": table})
    for row in table:
        means = ", ".join(f"{name} {row[name]:.2f}" for name in measures)
        print(f"{config.out}/{row['part']}: {row['documents']:,} documents, on the mean {means}")


def _losses(corpus: Corpus, model: str) -> NDArray[np.float64]:
    """Nats per token of the second half of each document behind the first, under a model of the same tokenizer."""
    loaded = load(model)
    corpus.check_tokenizer(loaded.tokenizer)
    ids = special_ids(loaded.tokenizer)
    inputs, targets = [], []
    for number in range(corpus.num_documents):
        chosen, stop = np.array([number]), np.minimum(corpus.lengths[[number]], LONGEST)
        tokens = corpus.read(chosen, np.zeros_like(chosen), stop).values.tolist()
        half = (len(tokens) + 1) // 2
        inputs.append([ids.modes["S"], *tokens[:half]])
        end = [ids.eos] if corpus.lengths[number] <= LONGEST else []
        targets.append([*tokens[half:], *end])
    with shown("measuring the loss of documents"):
        nats = measure_ids(loaded, inputs, targets, "auto", EXAMPLES_AT_ONCE)
    return nats / np.array([len(target) for target in targets])
