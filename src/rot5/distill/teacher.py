"""What a teacher says of targets: its likeliest tokens at every place, or how likely it holds pieces of the text."""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedTokenizerFast

from rot5.distill.alignment import NOWHERE, Spelled, align
from rot5.errors import UserError
from rot5.loading import Loaded, positions
from rot5.model.cross_entropy import token_cross_entropy

EXAMPLES_AT_ONCE = 16
LOWEST = -1e4
"""Of log-probabilities that are kept; 16 bits hold it."""

Ids = Sequence[Sequence[int]]


def weights_fingerprint(model: nn.Module) -> str:
    """What tells the weights of a model from others."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerFast) -> str:
    """What tells a tokenizer of any kind from others."""
    told = getattr(tokenizer, "backend_tokenizer", None)
    content = told.to_str() if told else f"{type(tokenizer).__name__} {sorted(tokenizer.get_vocab().items())}"
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def likeliest_tokens(
    loaded: Loaded, sources: Ids, answers: Ids, *, top_k: int, temperature: float, precision: str
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The ids [targets, K] that the teacher holds likeliest at each place of the answers, end to end, and their
    log-probabilities [targets, K + 1] at the temperature, with that of all other ids together behind them."""
    ids: list[NDArray] = [np.zeros(0)] * len(sources)
    log_probs: list[NDArray] = [np.zeros(0)] * len(sources)
    for chosen, logits, _ in _asked(loaded, sources, answers, precision):
        for n, logits_TV in zip(chosen, logits, strict=True):
            log_probs_TV = (logits_TV[: len(answers[n])].float() / temperature).log_softmax(1)
            best = log_probs_TV.topk(min(top_k, log_probs_TV.shape[1]), dim=1)
            rest = log_probs_TV.scatter(1, best.indices, -torch.inf).logsumexp(1, keepdim=True)
            ids[n] = best.indices.cpu().numpy()
            log_probs[n] = torch.cat((best.values, rest), 1).clamp(min=LOWEST).cpu().numpy()
    return np.concatenate(ids), np.concatenate(log_probs)


def chunk_likelihoods(
    loaded: Loaded, sources: Ids, answers: Sequence[Spelled], students: Sequence[Spelled], *, filler: float,
    precision: str,
) -> NDArray[np.float32]:  # fmt: skip
    """For every token of the students' targets, end to end, the teacher's log-probability of the chunk of text that
    begins with it; `filler` where none begins."""
    found: list[NDArray] = [np.zeros(0)] * len(sources)
    for chosen, logits, labels in _asked(loaded, sources, [answer.ids for answer in answers], precision):
        log_probs = -token_cross_entropy(logits, labels).double().cpu().numpy()
        for n, own in zip(chosen, log_probs, strict=True):
            answer, student = answers[n], students[n]
            chunks = align(student.ends, answer.ends)
            own = own[: len(answer.ids)]
            own[: answer.opening] = 0
            begins = np.diff(chunks.ours, prepend=NOWHERE) > 0
            found[n] = np.full(len(student.ids), filler, np.float32)
            found[n][begins] = np.minimum(0, np.bincount(chunks.theirs, own, minlength=np.count_nonzero(begins)))
    return np.concatenate(found)


def _asked(
    loaded: Loaded, sources: Ids, answers: Ids, precision: str
) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor]]:
    """Numbers, logits and labels of examples; those of like length together, padded."""
    _check_lengths(loaded, sources, answers)
    by_length = sorted(range(len(sources)), key=lambda n: len(sources[n]) + len(answers[n]))
    for first in range(0, len(by_length), EXAMPLES_AT_ONCE):
        chosen = by_length[first : first + EXAMPLES_AT_ONCE]
        logits, labels = loaded.logits([sources[n] for n in chosen], [answers[n] for n in chosen], precision)
        yield chosen, logits, labels


def _check_lengths(loaded: Loaded, sources: Ids, answers: Ids) -> None:
    config = loaded.model.config
    for what, side, room in zip(("an input", "a target"), (sources, answers), positions(config), strict=True):
        longest = max(map(len, side), default=0)
        if longest > room:
            raise UserError(
                f"teacher: {what} has {longest} tokens, and this {config.model_type} model {room} positions: shorten "
                "such texts, or choose a teacher with more"
            )
