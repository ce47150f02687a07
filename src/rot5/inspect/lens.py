"""The decoder lens: what the decoder makes of each layer of the encoder, read in place of the last one.

Langedijk et al., "DecoderLens: Layerwise Interpretation of Encoder-Decoder Transformers" (arXiv:2310.03686). Shape
suffixes: K layers and the embeddings before them, S tokens that are read, T tokens that are written, D d_model.
"""

from typing import NamedTuple

import torch
from transformers.modeling_outputs import BaseModelOutput

from rot5.generate.answers import end_tokens
from rot5.inspect.passage import Passage
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration


class Lens(NamedTuple):
    """What is written from each layer: entry k is of the vectors that leave layer k, 0 of the embeddings."""

    answers: list[list[int]]
    """Greedily decoded ids, closed by the end token where it was reached. The last entry is the model's own answer."""
    log_probs_KT: torch.Tensor
    """Of the passage's target tokens (nats)."""


@torch.inference_mode()
def memories(model: Rot5ForConditionalGeneration, passage: Passage) -> torch.Tensor:
    """The encoder's vectors [K, S, D] behind each layer, all under the encoder's final norm."""
    ids = passage.ids(model)["input_ids"]
    hidden = model.encoder(ids, output_hidden_states=True).hidden_states
    assert hidden is not None
    return torch.cat([*(model.encoder.norm(hidden_1SD) for hidden_1SD in hidden[:-1]), hidden[-1]])


@torch.inference_mode()
def decoder_lens(model: Rot5ForConditionalGeneration, passage: Passage, max_new_tokens: int) -> Lens:
    """Decode from every layer, in one batch."""
    memory_KSD = memories(model, passage)
    encoded = BaseModelOutput(last_hidden_state=memory_KSD)  # type: ignore[arg-type]
    rows = model.generate(  # type: ignore[operator]
        encoder_outputs=encoded,
        attention_mask=torch.ones(memory_KSD.shape[:2], dtype=torch.long, device=memory_KSD.device),
        max_new_tokens=max_new_tokens,
        num_beams=1,
        do_sample=False,
    ).tolist()
    before_KT = passage.ids(model)["decoder_input_ids"].expand(len(memory_KSD), -1)
    logits_KTV = model(encoder_outputs=encoded, decoder_input_ids=before_KT, use_cache=False).logits.float()
    target_T = torch.tensor(passage.target.ids, device=model.device)
    log_probs_KT = logits_KTV.log_softmax(-1).gather(2, target_T.expand(len(rows), -1)[..., None])[..., 0]
    ends = end_tokens(model)
    return Lens([_until_end(row[1:], ends) for row in rows], log_probs_KT.cpu())


def _until_end(ids: list[int], ends: list[int]) -> list[int]:
    """The ids up to the first that ends an answer.

    >>> _until_end([5, 1, 0], [1])
    [5, 1]
    """
    return next((ids[: place + 1] for place, token in enumerate(ids) if token in ends), ids)
