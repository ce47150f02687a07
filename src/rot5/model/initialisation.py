"""How weights begin, in the two parametrizations of the family."""

import torch
from torch import nn
from transformers import initialization as init

from rot5.model.attention import Attention
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.feed_forward import FeedForward
from rot5.model.moe import Experts, Router
from rot5.model.positions import RelativeBias

ROUTER_STD = 0.02
"""Of router weights: with unit-variance input the first probabilities are close to uniform."""


@torch.no_grad()
def initialise(module: nn.Module, config: Rot5Config) -> None:
    """Fill the weights that a module holds itself; parents come after their children and may refine them.

    `rot5`: normal, scaled by fan-in; what writes to the residual stream is scaled down with depth (GPT-2); embeddings
    have standard deviation d_model**-0.5, so that tied logits start near unit scale. `t5` (arXiv:1910.10683,
    mesh-tensorflow's initialisers): queries are smaller by sqrt(d_kv), as attention is not scaled; outputs are not
    scaled with depth; embeddings have unit standard deviation.
    """
    factor, is_t5 = config.initializer_factor, config.parametrization == "t5"
    residual_writers = 1 if is_t5 else 2 * config.num_layers + 3 * (config.num_decoder_layers or 0)
    if isinstance(module, nn.Linear):
        init.normal_(module.weight, std=factor * module.in_features**-0.5)
    elif isinstance(module, nn.Embedding):
        init.normal_(module.weight, std=factor * (1.0 if is_t5 else config.d_model**-0.5))
    elif isinstance(module, nn.RMSNorm):
        init.ones_(module.weight)
    elif isinstance(module, Attention):
        query_scale = config.d_kv**-0.5 if is_t5 else 1.0
        init.normal_(module.q_proj.weight, std=factor * config.d_model**-0.5 * query_scale)
        init.normal_(module.o_proj.weight, std=factor * (module.o_proj.in_features * residual_writers) ** -0.5)
    elif isinstance(module, FeedForward):
        init.normal_(module.down_proj.weight, std=factor * (module.down_proj.in_features * residual_writers) ** -0.5)
    elif isinstance(module, Experts):
        init.normal_(module.up_proj, std=factor * config.d_model**-0.5)
        if module.gate_proj is not None:
            init.normal_(module.gate_proj, std=factor * config.d_model**-0.5)
        init.normal_(module.down_proj, std=factor * (config.d_ff * residual_writers) ** -0.5)
    elif isinstance(module, Router):
        init.normal_(module.weight, std=factor * ROUTER_STD)
        for buffer in module.buffers(recurse=False):
            init.zeros_(buffer)
    elif isinstance(module, RelativeBias):
        init.normal_(module.weight, std=factor * config.d_model**-0.5)
