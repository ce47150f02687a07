"""Which words of the text each written word hangs on, by gradients and by leaving words out.

Shape suffixes: N points or texts at once, S tokens that are read, T tokens that are written, D d_model, V words of the
text, W words that are written.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import nn

from rot5.inspect.passage import Passage
from rot5.inspect.settings import AttributionConfig
from rot5.inspect.tokens import Tokens
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration

POINTS_AT_ONCE, TEXTS_AT_ONCE = 8, 16


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
    to `difference_W`, up to how finely the way is cut."""
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
        others = self.gradient_WV if self.integrated_WV is None else self.integrated_WV
        left_VW, other_VW = self.left_out_WV.T, others.T
        kept_V = ~np.isnan(left_VW).any(1)
        found = [
            spearmanr(left_V, other_V).statistic
            for left_V, other_V in zip(left_VW[kept_V].T, other_VW[kept_V].T, strict=True)
            if np.ptp(left_V) and np.ptp(other_V)
        ] if kept_V.sum() > 2 else []  # fmt: skip
        return float(np.mean(found)) if found else None


def attribute(model: Rot5ForConditionalGeneration, passage: Passage, config: AttributionConfig) -> Attribution:
    """Trace every written word back to the text."""
    tracing = _Tracing(model, passage)
    text_1SD, padding_1SD = tracing.embeddings()
    gradient = tracing.gradients(text_1SD, text_1SD, np.ones(1))
    integrated = None
    if config.steps:
        points, weights = np.polynomial.legendre.leggauss(config.steps)  # of [-1, 1]
        way_N11 = torch.tensor((points + 1) / 2, dtype=torch.float32, device=model.device)[:, None, None]
        delta_1SD = text_1SD - padding_1SD
        integrated = tracing.gradients(padding_1SD + way_N11 * delta_1SD, delta_1SD, weights / 2)
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
        W, S = len(self.passage.target.words), points_NSD.shape[1]
        total_WS = np.zeros((W, S))
        for first in range(0, len(points_NSD), POINTS_AT_ONCE):
            some_NSD = points_NSD[first : first + POINTS_AT_ONCE].detach().requires_grad_()
            scores_W = self.scores(some_NSD).sum(0)
            weights = weights_N[first : first + POINTS_AT_ONCE]
            for word in range(W):
                (slope_NSD,) = torch.autograd.grad(scores_W[word], some_NSD, retain_graph=word < W - 1)
                total_WS[word] += weights @ (slope_NSD * along_1SD).sum(-1).double().cpu().numpy()
        return total_WS

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
