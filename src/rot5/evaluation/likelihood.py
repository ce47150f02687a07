"""Likelihood of fixed targets, per document and per denoiser, in nats and in bits per byte of the text they spell."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel

from rot5 import ranks
from rot5.data.batches import Batch, PackedRows
from rot5.evaluation.intervals import Interval, ratio_interval
from rot5.loading import Loaded
from rot5.model.cross_entropy import token_cross_entropy
from rot5.runtime import autocast


class Likelihood(NamedTuple):
    """One entry per example: its kind, nats, targets, and UTF-8 bytes of text that its targets spell."""

    kinds: np.ndarray
    nats: np.ndarray
    targets: np.ndarray
    bytes: np.ndarray


def measure(
    model: PreTrainedModel, rows: PackedRows, byte_lengths: np.ndarray, precision: str, batch_rows: int
) -> Likelihood:
    """Score every example of a finite source once. The targets are a function of the data's seed alone.

    Ranks take turns with the batches, which are the same on any number of them, and all get all scores. A sharded model
    is called by all ranks at once: one that is left without a batch at the end scores the first again, for nothing.
    """
    firsts = range(0, rows.num_rows, batch_rows)
    turns = [firsts[start : start + ranks.world_size()] for start in range(0, len(firsts), ranks.world_size())]
    own = []
    for turn in turns:
        first = turn[ranks.rank()] if ranks.rank() < len(turn) else firsts[0]
        own.append(_score(model, rows.rows(first, min(batch_rows, rows.num_rows - first)), byte_lengths, precision))
    all_parts = ranks.from_all(own)
    parts = [of_rank[n] for n, turn in enumerate(turns) for of_rank in all_parts[: len(turn)]]
    return Likelihood(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def measure_texts(
    loaded: Loaded, inputs: Sequence[str], targets: Sequence[str], precision: str, batch_examples: int
) -> Likelihood:
    """Score target texts behind input texts, by any sequence-to-sequence model and its own tokenizer.

    Bytes are those of the target texts and one more, for the space put in front: as `byte_lengths` counts them, so that
    models of any tokenizer stand in one table.
    """
    spelled = np.array([len(text.encode()) for text in targets])
    return measure_read(
        loaded, loaded.read_inputs(inputs), loaded.read_targets(targets), spelled, precision, batch_examples
    )


def measure_read(
    loaded: Loaded,
    sources: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    target_bytes: np.ndarray,
    precision: str,
    batch_examples: int,
) -> Likelihood:
    """As `measure_texts`, for texts that were read before; `target_bytes` are those of the target texts alone."""
    return Likelihood(
        np.zeros(len(sources), dtype=np.int64),
        measure_ids(loaded, sources, answers, precision, batch_examples),
        np.array([len(answer) for answer in answers]),
        target_bytes + 1,
    )


def measure_ids(
    loaded: Loaded,
    sources: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    precision: str,
    batch_examples: int,
) -> np.ndarray:
    """Nats float64[N] of target ids behind input ids; examples of like length are scored together, padded."""
    return np.array([each.sum() for each in token_nats(loaded, sources, answers, precision, batch_examples)])


def token_nats(
    loaded: Loaded,
    sources: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    precision: str,
    batch_examples: int,
) -> list[np.ndarray]:
    """As `measure_ids`, token by token: float64[T] for the T tokens of each answer."""
    nats = [np.zeros(0)] * len(sources)
    by_length = sorted(range(len(sources)), key=lambda n: len(sources[n]) + len(answers[n]))
    for first in range(0, len(by_length), batch_examples):
        chosen = by_length[first : first + batch_examples]
        logits, labels = loaded.logits([sources[n] for n in chosen], [answers[n] for n in chosen], precision)
        rows = token_cross_entropy(logits, labels).double().cpu().numpy()
        for n, row in zip(chosen, rows, strict=True):
            nats[n] = row[: len(answers[n])]
    return nats


def _score(model: PreTrainedModel, batch: Batch, byte_lengths: np.ndarray, precision: str) -> Likelihood:
    fields = {name: torch.from_numpy(array).to(model.device) for name, array in batch.fields.items()}
    labels = fields.pop("labels")
    with torch.inference_mode(), autocast(model.device, precision):
        logits = model(**fields, use_cache=False).logits
    nats = token_cross_entropy(logits, labels).double().cpu().numpy()
    valid = batch.fields["labels"] != -100
    rows, places = np.nonzero(valid)
    segments = batch.fields["decoder_segment_ids"][rows, places] - 1
    width = batch.segment_examples.shape[1]
    slots = rows * width + segments
    size = batch.segment_examples.size
    used = batch.segment_examples.ravel() >= 0
    return Likelihood(
        batch.segment_kinds.ravel()[used],
        np.bincount(slots, nats[valid], minlength=size)[used],
        np.bincount(slots, minlength=size)[used],
        np.bincount(slots, byte_lengths[batch.fields["labels"][valid]], minlength=size)[used],
    )


def _bits_per_byte(nats: np.ndarray, spelled: np.ndarray) -> float:
    return float(nats.sum() / max(spelled.sum(), 1) / math.log(2))


def as_metrics(scores: Likelihood, kind_names: tuple[str, ...]) -> dict[str, float]:
    """Flat metrics for the training log: loss in nats per target and bits per byte, overall and per kind."""
    found = {
        "eval/loss": float(scores.nats.sum() / scores.targets.sum()),
        "eval/bits_per_byte": _bits_per_byte(scores.nats, scores.bytes),
    }
    if len(kind_names) > 1:
        for kind, name in enumerate(kind_names):
            chosen = scores.kinds == kind
            if chosen.any():
                found[f"eval/{name}/loss"] = float(scores.nats[chosen].sum() / scores.targets[chosen].sum())
                found[f"eval/{name}/bits_per_byte"] = _bits_per_byte(scores.nats[chosen], scores.bytes[chosen])
    return found


def as_table(scores: Likelihood, kind_names: tuple[str, ...]) -> dict[str, dict]:
    """Per kind and overall, with 95 % bootstrap intervals over documents, for `eval.json`.

    Nats per target (`loss`), its exponential (`perplexity`), and bits per byte of what the targets spell.
    """
    groups = {"overall": np.ones(len(scores.kinds), dtype=bool)}
    if len(kind_names) > 1:
        groups |= {name: scores.kinds == kind for kind, name in enumerate(kind_names)}
    table = {}
    for name, chosen in groups.items():
        if not chosen.any():
            continue
        nats, targets, spelled = scores.nats[chosen], scores.targets[chosen], scores.bytes[chosen]
        loss = ratio_interval(nats, targets)
        table[name] = {
            "loss": loss._asdict(),
            "perplexity": Interval(*map(math.exp, loss))._asdict(),
            "bits_per_byte": ratio_interval(nats / math.log(2), spelled)._asdict(),
            "examples": int(chosen.sum()),
            "targets": int(targets.sum()),
            "bytes": int(spelled.sum()),
            "share_of_targets": float(targets.sum() / scores.targets.sum()),
        }
    return table
