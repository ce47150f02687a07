"""Tokens drawn from a distribution, each row by settings of its own and by a random number of its key and place.

Shape suffixes: R rows, V vocabulary.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch

from rot5.data.randomness import Stream, example_keys, keyed_uniform
from rot5.generate.settings import GenerateConfig


def row_key(seed: int, number: int) -> np.uint64:
    """What decides, with the place of a token, what is drawn for the input of a number."""
    return example_keys(seed, Stream.ANSWER, number)[0]


def distribution(logits_RV: torch.Tensor, settings: Sequence[GenerateConfig]) -> torch.Tensor:
    """Probabilities [R, V] at each row's temperature, what is outside its `top_k` and then `top_p` left out.

    A share of probability is held by the likeliest tokens as far as the one that reaches it
    (nucleus sampling, arXiv:1904.09751).
    """
    V, device = logits_RV.shape[1], logits_RV.device
    temperatures_R1 = torch.tensor([each.temperature for each in settings], device=device)[:, None]
    logits_RV = logits_RV / temperatures_R1
    counts = [each.top_k if each.top_k < V else 0 for each in settings]
    if any(counts):
        counts_R1 = torch.tensor(counts, device=device)[:, None]
        highest_RK = logits_RV.topk(max(counts), dim=1).values
        lowest_R1 = highest_RK.gather(1, (counts_R1 - 1).clamp_(min=0)).masked_fill_(counts_R1 == 0, -torch.inf)
        logits_RV = logits_RV.masked_fill(logits_RV < lowest_R1, -torch.inf)
    probs_RV = logits_RV.softmax(dim=1)
    shares = [each.top_p if each.top_p < 1 else math.inf for each in settings]
    if min(shares) < 1:
        shares_R1 = torch.tensor(shares, device=device)[:, None]
        sorted_RV, order_RV = probs_RV.sort(dim=1, descending=True, stable=True)
        before_RV = sorted_RV.cumsum(dim=1) - sorted_RV
        probs_RV = probs_RV.scatter(1, order_RV, sorted_RV.masked_fill(before_RV >= shares_R1, 0))
    return probs_RV


def draw(
    logits_RV: torch.Tensor, settings: Sequence[GenerateConfig], keys: Sequence[np.uint64], places: Sequence[int]
) -> torch.Tensor:
    """A token for each row, int64 [R]: what is drawn depends on its logits, settings and key and the token's place."""
    sums_RV = distribution(logits_RV, settings).cumsum(dim=1, dtype=torch.float64)
    shares = torch.from_numpy(keyed_uniform(np.array(keys, np.uint64), places)).to(logits_RV.device)
    tokens_R1 = torch.searchsorted(sums_RV, shares[:, None] * sums_RV[:, -1:], right=True)
    return tokens_R1.clamp_(max=logits_RV.shape[1] - 1)[:, 0]
