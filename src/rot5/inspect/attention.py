"""Maps of attention: who looks at whom in every layer and head.

Shape suffixes: L layers, H heads, S tokens that are read, T tokens that are written.
"""

from typing import NamedTuple

import torch

from rot5.inspect.passage import Passage
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration


class Attentions(NamedTuple):
    """Weights after the softmax, float32, as attention by its definition (the eager backend) gives them.

    The last axis is looked at and sums to 1. Row t of the decoder's maps is the place at which the written token t is
    foretold: there the decoder has read its start token and the t tokens before.
    """

    encoder_LHSS: torch.Tensor
    decoder_LHTT: torch.Tensor
    cross_LHTS: torch.Tensor


@torch.inference_mode()
def attention_maps(model: Rot5ForConditionalGeneration, passage: Passage) -> Attentions:
    """All maps of a passage, on the CPU."""
    output = model(**passage.ids(model), output_attentions=True, use_cache=False)
    stacks = (output.encoder_attentions, output.decoder_attentions, output.cross_attentions)
    return Attentions(*(torch.cat(maps).float().cpu() for maps in stacks))
