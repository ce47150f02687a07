"""Tokens drawn from a distribution, each by a random number of its own row and place.

Shape suffixes: R rows, V vocabulary.
"""

from collections.abc import Sequence

import torch

from rot5.data.randomness import Stream, uniform
from rot5.generate.settings import GenerateConfig


def distribution(logits_RV: torch.Tensor, config: GenerateConfig) -> torch.Tensor:
    """Probabilities [R, V] at the temperature, what is outside `top_k` and then `top_p` left out.

    A share of probability is held by the likeliest tokens as far as the one that reaches it
    (nucleus sampling, arXiv:1904.09751).
    """
    logits_RV = logits_RV / config.temperature
    if 0 < config.top_k < logits_RV.shape[1]:
        lowest_R1 = logits_RV.topk(config.top_k, dim=1).values[:, -1:]
        logits_RV = logits_RV.masked_fill(logits_RV < lowest_R1, -torch.inf)
    probs_RV = logits_RV.softmax(dim=1)
    if config.top_p < 1:
        sorted_RV, order_RV = probs_RV.sort(dim=1, descending=True, stable=True)
        before_RV = sorted_RV.cumsum(dim=1) - sorted_RV
        probs_RV = probs_RV.scatter(1, order_RV, sorted_RV.masked_fill(before_RV >= config.top_p, 0))
    return probs_RV


def draw(
    logits_RV: torch.Tensor, config: GenerateConfig, examples: Sequence[int], places: Sequence[int]
) -> torch.Tensor:
    """A token for each row, int64 [R]: what is drawn depends on the seed, the row's number and the token's place."""
    sums_RV = distribution(logits_RV, config).cumsum(dim=1, dtype=torch.float64)
    shares = torch.from_numpy(uniform(config.seed, Stream.ANSWER, list(examples), list(places))).to(logits_RV.device)
    tokens_R1 = torch.searchsorted(sums_RV, shares[:, None] * sums_RV[:, -1:], right=True)
    return tokens_R1.clamp_(max=logits_RV.shape[1] - 1)[:, 0]
