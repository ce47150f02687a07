"""Which words of the text each written word hangs on, by gradients and by leaving words out.

Shape suffixes: N points or texts at once, S tokens that are read, T tokens that are written, D d_model, V words of the
text, W words that are written.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import nn

from rot5.inspect.passage import Passage
from rot5.inspect.settings import FEWEST_STEPS, AttributionConfig
from rot5.inspect.tokens import Tokens
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration

TEXTS_AT_ONCE = 16
POINTS = 4
"""Of Gauss-Legendre's rule on each stretch of the way."""
EXACT = 0.01
"""A stretch that misses what it explains by less (nats) is not cut again."""


class Attribution(NamedTuple):
    """Contributions (nats) of the text's words to the log-probability of each written word behind those before it.

    A word's figure is the sum over its tokens.
    """

    log_probs_W: NDArray[np.float64]
    gradient_WV: NDArray[np.float64]
    """Gradient times input: what the log-probability would gain per relative growth of a word's embedding, to first
    order."""
    integrated_WV: NDArray[np.float64] | None
    """Integrated gradients (Sundararajan et al., arXiv:1703.01365) along the straight way from a text whose words are
    all padding; special tokens stay as they are. By its axiom of completeness the words' figures of a written word sum
    to `difference_W`. Trained models turn sharply here and there on the way; because the axiom holds on every stretch
    of it, the stretch that misses it most is cut in two again and again, as far as there are points to spend."""
    difference_W: NDArray[np.float64]
    """Log-probability behind the text, less that behind padding."""
    left_out_WV: NDArray[np.float64] | None
    """Log-probability behind the text, less that behind the text without the word: exact, of one word at a time."""

    @property
    def gap(self) -> float | None:
        """The largest distance of a written word from completeness, in nats."""
        if self.integrated_WV is None:
            return None
        return float(np.abs(self.integrated_WV.sum(1) - self.difference_W).max())

    @property
    def agreement(self) -> float | None:
        """Spearman's correlation of integrated gradients (or, without, of gradient times input) with leaving words out,
        over the words of the text that are not special; its mean over written words, those without it left aside."""
        if self.left_out_WV is None:
            return None
        others_WV = self.gradient_WV if self.integrated_WV is None else self.integrated_WV
        kept_V = ~np.isnan(self.left_out_WV).any(0)
        pairs = zip(self.left_out_WV[:, kept_V], others_WV[:, kept_V], strict=True)
        found = [_rank_correlation(*pair) for pair in pairs if all(len(set(values_V)) > 1 for values_V in pair)]
        return float(np.mean(found)) if found else None


def _rank_correlation(one_V: NDArray[np.float64], other_V: NDArray[np.float64]) -> float:
    """Spearman's.

    >>> _rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0, 100.0]))
    1.0
    """
    return round(float(np.corrcoef(rankdata(one_V), rankdata(other_V))[0, 1]), 12)


def attribute(model: Rot5ForConditionalGeneration, passage: Passage, config: AttributionConfig) -> Attribution:
    """Trace every written word back to the text."""
    tracing = _Tracing(model, passage)
    text_1SD, padding_1SD = tracing.embeddings()
    gradient = tracing.gradients(text_1SD, text_1SD, np.ones(1))
    integrated = _integrate(tracing, padding_1SD, text_1SD, config.steps) if config.steps else None
    with torch.inference_mode():
        ends_NW = tracing.scores(torch.cat([text_1SD, padding_1SD])).double().cpu().numpy()
        short = sum(kind != "special" for kind in passage.source.kinds) <= config.leave_out
        left_out = ends_NW[0][:, None] - tracing.without_each() if short else None
    return Attribution(
        log_probs_W=ends_NW[0],
        gradient_WV=_by_word(gradient, passage.source),
        integrated_WV=None if integrated is None else _by_word(integrated, passage.source),
        difference_W=ends_NW[0] - ends_NW[1],
        left_out_WV=left_out,
    )


class _Stretch(NamedTuple):
    begin: float
    end: float
    found_WS: NDArray[np.float64]
    miss: float
    """How far the figures are from the difference between its ends, at most."""


def _integrate(
    tracing: "_Tracing", from_1SD: torch.Tensor, to_1SD: torch.Tensor, most_points: int
) -> NDArray[np.float64]:
    """Integrated gradients [W, S] of a straight way."""
    along_1SD = to_1SD - from_1SD
    nodes, weights = np.polynomial.legendre.leggauss(POINTS)  # of [-1, 1]

    def at(places: NDArray[np.float64]) -> torch.Tensor:
        return from_1SD + torch.from_numpy(places).to(from_1SD)[:, None, None] * along_1SD

    def stretch(begin: float, end: float) -> _Stretch:
        half = (end - begin) / 2
        found_WS = tracing.gradients(at(begin + half * (nodes + 1)), along_1SD, half * weights)
        with torch.no_grad():
            low_W, high_W = tracing.scores(at(np.array([begin, end]))).double().cpu().numpy()
        return _Stretch(begin, end, found_WS, float(np.abs(found_WS.sum(1) - (high_W - low_W)).max()))

    ends = np.linspace(0, 1, FEWEST_STEPS // POINTS + 1).tolist()
    way = [stretch(begin, end) for begin, end in pairwise(ends)]
    while (len(way) + 1) * POINTS <= most_points:
        way.sort(key=lambda each: each.miss)
        if way[-1].miss < EXACT:
            break
        begin, end, *_ = way.pop()
        way += [stretch(begin, (begin + end) / 2), stretch((begin + end) / 2, end)]
    return sum((each.found_WS for each in way), np.zeros_like(way[0].found_WS))


def _by_word(values_WS: NDArray[np.float64], tokens: Tokens) -> NDArray[np.float64]:
    """Sums over the tokens of each word."""
    summed_WV = np.zeros((len(values_WS), len(tokens.words)))
    np.add.at(summed_WV.T, tokens.word_of_token, values_WS.T)
    return summed_WV


class _Tracing:
    """A model and a passage, asked again and again how likely the written words are."""

    def __init__(self, model: Rot5ForConditionalGeneration, passage: Passage):
        self.model, self.passage = model, passage
        ids = passage.ids(model)
        self.source_1S, self.before_1T = ids["input_ids"], ids["decoder_input_ids"]
        self.target_T = torch.tensor(passage.target.ids, device=model.device)
        self.word_T = torch.tensor(passage.target.word_of_token, device=model.device)

    def embeddings(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors [1, S, D] that the encoder reads: of the text, and of padding in place of all but special tokens."""
        with torch.no_grad():
            special = [kind == "special" for kind in self.passage.source.kind_of_token]
            special_1S = torch.tensor([special], device=self.model.device)
            padding = torch.full_like(self.source_1S, self.model.config.pad_token_id or 0)
            text_1SD = self.model.shared(self.source_1S)
            return text_1SD, torch.where(special_1S[..., None], text_1SD, self.model.shared(padding))

    def scores(self, embeds_NSD: torch.Tensor, mask_NS: torch.Tensor | None = None) -> torch.Tensor:
        """Log-probabilities [N, W] of the written words behind embedded texts."""
        N = len(embeds_NSD)
        output = self.model(
            inputs_embeds=embeds_NSD,
            attention_mask=mask_NS,
            decoder_input_ids=self.before_1T.expand(N, -1),
            use_cache=False,
        )
        log_probs_NTV = output.logits.log_softmax(-1)
        own_NT = log_probs_NTV.gather(2, self.target_T.expand(N, -1)[..., None])[..., 0]
        return own_NT.new_zeros(N, len(self.passage.target.words)).index_add(1, self.word_T, own_NT)

    def gradients(
        self, points_NSD: torch.Tensor, along_1SD: torch.Tensor, weights_N: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """[W, S]: the gradient of each written word's score at the points, times `along`, summed by weight."""
        points_NSD = points_NSD.detach().requires_grad_()
        scores_W = self.scores(points_NSD).sum(0)
        found = []
        for word in range(len(scores_W)):
            (slope_NSD,) = torch.autograd.grad(scores_W[word], points_NSD, retain_graph=word < len(scores_W) - 1)
            found.append(weights_N @ (slope_NSD * along_1SD).sum(-1).double().cpu().numpy())
        return np.stack(found)

    def without_each(self) -> NDArray[np.float64]:
        """[W, V]: scores behind the text without each word; nan for special ones, which stay."""
        source = self.passage.source
        found_WV = np.full((len(self.passage.target.words), len(source.words)), np.nan)
        words = [word for word, kind in enumerate(source.kinds) if kind != "special"]
        for first in range(0, len(words), TEXTS_AT_ONCE):
            chosen = words[first : first + TEXTS_AT_ONCE]
            rows = [self.source_1S[0][torch.from_numpy(source.word_of_token != word)] for word in chosen]
            ids_NS = nn.utils.rnn.pad_sequence(rows, batch_first=True)
            lengths_N1 = torch.tensor([[len(row)] for row in rows], device=ids_NS.device)
            mask_NS = (torch.arange(ids_NS.shape[1], device=ids_NS.device) < lengths_N1).long()
            scores_NW = self.scores(self.model.shared(ids_NS), mask_NS)
            found_WV[:, chosen] = scores_NW.double().cpu().numpy().T
        return found_WV
