"""How weights begin, in the two parametrizations of the family."""

import torch
from torch import nn
from transformers import initialization as init

from rot5.model.attention import Attention
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.moe import LOGIT_STD, Experts, Router
from rot5.model.positions import RelativeBias


@torch.no_grad()
def initialise(module: nn.Module, config: Rot5Config) -> None:
    """Fill the weights that a module holds itself; parents come after their children and may refine them.

    Normal, scaled by fan-in. `rot5`: embeddings have standard deviation d_model**-0.5, so that tied logits start near
    unit scale. `t5` (arXiv:1910.10683, mesh-tensorflow's initialisers): they have unit standard deviation, and queries
    are smaller by sqrt(d_kv), as attention is not scaled.
    """
    factor, is_t5 = config.initializer_factor, config.parametrization == "t5"
    if isinstance(module, nn.Linear):
        init.normal_(module.weight, std=factor * module.in_features**-0.5)
    elif isinstance(module, nn.Embedding):
        init.normal_(module.weight, std=factor * (1.0 if is_t5 else config.d_model**-0.5))
    elif isinstance(module, nn.RMSNorm):
        init.ones_(module.weight)
    elif isinstance(module, Attention) and is_t5:
        init.normal_(module.q_proj.weight, std=factor * (config.d_model * config.d_kv) ** -0.5)
    elif isinstance(module, Experts):
        for weight in module.parameters(recurse=False):
            init.normal_(weight, std=factor * weight.shape[-1] ** -0.5)
    elif isinstance(module, Router):
        init.normal_(module.weight, std=factor * LOGIT_STD)
        for buffer in module.buffers(recurse=False):
            init.zeros_(buffer)
    elif isinstance(module, RelativeBias):
        init.normal_(module.weight, std=factor * config.d_model**-0.5)
