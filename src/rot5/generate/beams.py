"""Beam search, step by step what transformers does by default: length penalty 1, no early stopping.

An answer's score is its log-probability divided by its length. An input is done when the best that still grows, at its
score so far, is no better than the worst of as many ended answers as there are beams. Shape suffixes: N inputs, W
beams, R rows (N * W), M candidates, V vocabulary, T places of an answer.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from rot5.generate.decoder import Caches, Decoder, Reach
from rot5.generate.encoder import pieces
from rot5.generate.settings import GenerateConfig

IMPOSSIBLE = -1e9
"""Added to the score of what must not be chosen."""


class Beams(NamedTuple):
    """Answers of some inputs, the best first: tokens [N, W, T], scores [N, W], and how long the ended ones are."""

    tokens: torch.Tensor
    scores: torch.Tensor
    lengths: torch.Tensor
    """0 for what has not ended, int64 [N, W]."""

    def choose(self, which_NW: torch.Tensor) -> "Beams":
        """For each input the beams of these numbers."""
        tokens = self.tokens.take_along_dim(which_NW[:, :, None], dim=1)
        return Beams(tokens, self.scores.gather(1, which_NW), self.lengths.gather(1, which_NW))

    def of(self, inputs: torch.Tensor) -> "Beams":
        """Those of some of the inputs."""
        return Beams(*(each[inputs] for each in self))


def beam_search(
    decoder: Decoder,
    inputs: Sequence[Sequence[int]],
    start: int,
    ends: Sequence[int],
    config: GenerateConfig,
    progress: Callable[[int], None] | None,
) -> list[list[int]]:
    """The best answer to each input."""
    answers: list[list[int]] = [[] for _ in inputs]
    order = sorted(range(len(inputs)), key=lambda index: -len(inputs[index]))
    for first in range(0, len(order), config.batch_size):
        chosen = order[first : first + config.batch_size]
        found = _search(decoder, [inputs[index] for index in chosen], start, ends, config)
        for index, answer in zip(chosen, found, strict=True):
            answers[index] = answer
        if progress is not None:
            progress(min(first + config.batch_size, len(order)))
    return answers


def _search(
    decoder: Decoder, inputs: Sequence[Sequence[int]], start: int, ends: Sequence[int], config: GenerateConfig
) -> list[list[int]]:
    N, W, T, device = len(inputs), config.num_beams, config.max_new_tokens, decoder.device
    caches, first = Caches(decoder, N, W, T, len(inputs[0])), 0
    for piece in pieces(inputs):
        caches.fill(range(first, first + len(piece)), decoder.encode(piece), decoder)
        first += len(piece)
    running = _nothing(N, W, T, device)
    running.scores[:, 0] = 0.0  # the others are the same until a token tells them apart
    ended = _nothing(N, W, T, device)
    newest_R = torch.full((N * W,), start, device=device)
    answers: list[list[int]] = [[] for _ in inputs]
    owners = list(range(N))
    for place in range(T):
        lengths = [len(inputs[index]) for index in owners]
        reach = Reach(place + 1, True, max(lengths), min(lengths) == max(lengths))
        hidden_RD = decoder.step(newest_R, torch.full_like(newest_R, place), caches, reach)
        scores_RV = decoder.head.logits(hidden_RD).log_softmax(dim=1)
        if place < config.min_new_tokens:
            scores_RV[:, list(ends)] = -torch.inf
        running, ended, rows_R = _advance(running, ended, scores_RV, place, ends)
        growing_N = _can_improve(running, ended, place + 1)
        if place + 1 == T:
            growing_N = torch.zeros_like(growing_N)
        if not bool(growing_N.all()):
            for row in (~growing_N).nonzero()[:, 0].tolist():
                answers[owners[row]] = ended.tokens[row, 0, : int(ended.lengths[row, 0])].tolist()
            if not bool(growing_N.any()):
                break
        caches.reorder(rows_R, place + 1)
        if not bool(growing_N.all()):
            kept = growing_N.nonzero()[:, 0]
            caches.keep(kept)
            running, ended, owners = running.of(kept), ended.of(kept), [owners[row] for row in kept.tolist()]
            caches.narrow(max(len(inputs[index]) for index in owners))
        newest_R = running.tokens[:, :, place].flatten()
    return answers


def _nothing(N: int, W: int, T: int, device: torch.device) -> Beams:
    counts = torch.zeros(N, W, dtype=torch.int64, device=device)
    return Beams(counts[:, :, None].repeat(1, 1, T), torch.full((N, W), IMPOSSIBLE, device=device), counts)


def _advance(
    running: Beams, ended: Beams, scores_RV: torch.Tensor, place: int, ends: Sequence[int]
) -> tuple[Beams, Beams, torch.Tensor]:
    """Running and ended answers with one more token, and the row that each running one goes on from, int64 [R].

    Enough candidates are taken that, should all ends be among them, as many beams go on as before.
    """
    (N, W, T), V = running.tokens.shape, scores_RV.shape[1]
    totals_N = (scores_RV.view(N, W, V) + running.scores[:, :, None]).view(N, W * V)
    scores_NM, places_NM = totals_N.topk(max(2, 1 + len(ends)) * W, dim=1)
    beams_NM, tokens_NM = places_NM // V, places_NM % V
    candidates = running.choose(beams_NM)
    candidates.tokens[:, :, place] = tokens_NM
    ends_NM = torch.isin(tokens_NM, tokens_NM.new_tensor(list(ends))) | (place + 1 == T)

    going = candidates._replace(scores=scores_NM + ends_NM * IMPOSSIBLE)
    next_NW = going.scores.topk(W, dim=1).indices
    rows_NW = beams_NM.gather(1, next_NW) + torch.arange(N, device=next_NW.device)[:, None] * W

    ends_NM = ends_NM & (torch.arange(ends_NM.shape[1], device=ends_NM.device) < W)
    done = Beams(candidates.tokens, scores_NM / (place + 1) + ~ends_NM * IMPOSSIBLE, torch.where(ends_NM, place + 1, 0))
    merged = Beams(*(torch.cat(pair, dim=1) for pair in zip(ended, done, strict=True)))
    return going.choose(next_NW), merged.choose(merged.scores.topk(W, dim=1).indices), rows_NW.flatten()


def _can_improve(running: Beams, ended: Beams, length: int) -> torch.Tensor:
    """Whether what still grows may yet be better than something that ended, bool [N]."""
    best_N1 = running.scores[:, :1] / length
    worst_NW = torch.where(ended.lengths > 0, ended.scores.amin(dim=1, keepdim=True), IMPOSSIBLE)
    return (best_N1 > worst_NW).any(dim=1)
