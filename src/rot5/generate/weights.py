"""A model's weights made ready for decoding: one precision, projections of one input in one matrix.

Shape suffixes: N tokens, D d_model, H heads, K key-value heads, d head width.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from rot5.generate.matrices import Product, product
from rot5.model.attention import Attention
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.feed_forward import ACTIVATION_FUNCTIONS, FeedForward
from rot5.model.layers import DecoderLayer, EncoderLayer
from rot5.model.moe import MixtureOfExperts

Norm = Callable[[torch.Tensor], torch.Tensor]


def norm(module: nn.RMSNorm, scale: float = 1.0) -> Norm:
    """The norm in float32, its output times `scale`, in few passes over memory."""
    assert module.eps is not None
    weight_D, epsilon = module.weight.detach().float() * scale, module.eps
    D = len(weight_D)

    def normed(x_ND: torch.Tensor) -> torch.Tensor:
        lengths_N1 = torch.linalg.vector_norm(x_ND, dim=1, keepdim=True)
        return (x_ND * lengths_N1.square_().div_(D).add_(epsilon).rsqrt_()).mul_(weight_D)

    return normed


@dataclass(frozen=True)
class Projection:
    """Several projections of one input as one product whose heads lie side by side: queries, keys, values.

    The features of heads that turn lie in pairs, so that a rotation is a multiplication of complex numbers, and queries
    come scaled as scores want them.
    """

    product: Product
    d_kv: int
    turning: int
    """How many of the first heads turn with their positions."""
    norms: tuple[tuple[slice, torch.Tensor, float], ...]
    """Heads that are normalised, the weights and the epsilon."""

    def __call__(self, x_ND: torch.Tensor, turns_N1c: torch.Tensor | None) -> torch.Tensor:
        """Heads [N, heads, d]; `turns_N1c` are the unit complex numbers [N, 1, d / 2] of the tokens' angles."""
        heads_NHd = self.product(x_ND).unflatten(1, (-1, self.d_kv))
        for where, weight_d, epsilon in self.norms:
            part = heads_NHd[:, where]
            part.copy_(F.rms_norm(part.float(), (self.d_kv,), weight_d, epsilon))
        if turns_N1c is not None and self.turning:
            part = heads_NHd[:, : self.turning]
            pairs = torch.view_as_complex(part.float().unflatten(-1, (-1, 2)))
            pairs.mul_(turns_N1c)
            if part.dtype != torch.float32:
                part.copy_(torch.view_as_real(pairs).flatten(-2))
        return heads_NHd


@dataclass(frozen=True)
class LayerWeights:
    """A layer of either stack; the encoder's has no cross-attention."""

    self_norm: Norm
    self_heads: Projection
    self_output: Product
    cross_norm: Norm | None
    cross_queries: Projection | None
    cross_keys_values: Projection | None
    cross_output: Product | None
    mlp_norm: Norm
    mlp: Callable[[torch.Tensor], torch.Tensor]


def layer_weights(layer: EncoderLayer | DecoderLayer, config: Rot5Config, precision: str) -> LayerWeights:
    """The weights of a layer in a precision; norms stay float32."""
    turns = config.position_encoding == "rope"
    attention = layer.self_attn
    cross = layer.cross_attn if isinstance(layer, DecoderLayer) else None
    cross_turns = config.cross_position_encoding != "none"
    return LayerWeights(
        norm(layer.self_attn_norm),
        _projection(attention, "qkv", turns, precision),
        product(attention.o_proj.weight, precision),
        norm(layer.cross_attn_norm) if isinstance(layer, DecoderLayer) else None,
        _projection(cross, "q", cross_turns, precision) if cross else None,
        _projection(cross, "kv", cross_turns, precision) if cross else None,
        product(cross.o_proj.weight, precision) if cross else None,
        norm(layer.mlp_norm),
        _mlp(layer.mlp, config, precision),
    )


def _projection(attention: Attention, letters: str, turns: bool, precision: str) -> Projection:
    """The projections that the letters name, as one."""
    d = attention.d_kv
    pairs = torch.arange(d).view(2, -1).T.flatten() if turns else torch.arange(d)
    parts, norms, turning, begin = [], [], 0, 0
    for letter in letters:
        weight = getattr(attention, f"{letter}_proj").weight.detach().float().unflatten(0, (-1, d))
        head_norm = {"q": attention.q_norm, "k": attention.k_norm}.get(letter)
        scale = attention.scale if letter == "q" else 1.0
        if letter != "v":
            weight = weight[:, pairs.to(weight.device)]
            turning += len(weight) if turns else 0
        if head_norm is None:
            weight = weight * scale
        else:
            assert head_norm.eps is not None
            own = head_norm.weight.detach().float()[pairs.to(weight.device)] * scale
            norms.append((slice(begin, begin + len(weight)), own, head_norm.eps))
        begin += len(weight)
        parts.append(weight)
    return Projection(product(torch.cat(parts).flatten(0, 1), precision), d, turning, tuple(norms))


def _mlp(mlp: FeedForward | MixtureOfExperts, config: Rot5Config, precision: str) -> Callable:
    """The feed-forward network; experts are in bfloat16 where the precision is lower than float32."""
    if isinstance(mlp, MixtureOfExperts):
        return _experts(mlp, config, precision)
    down, act = product(mlp.down_proj.weight, precision), ACTIVATION_FUNCTIONS[config.activation]
    if mlp.gate_proj is None:
        up = product(mlp.up_proj.weight, precision)
        return lambda x_ND: down(act(up(x_ND)))
    both = product(torch.cat((mlp.gate_proj.weight, mlp.up_proj.weight)), precision)

    def gated(x_ND: torch.Tensor) -> torch.Tensor:
        gate, up = both(x_ND).chunk(2, dim=1)
        return down(act(gate).mul_(up))

    return gated


def _experts(mixture: MixtureOfExperts, config: Rot5Config, precision: str) -> Callable:
    router, experts = mixture.router, mixture.experts
    dtype = torch.float32 if precision == "float32" else torch.bfloat16
    if experts.up_proj.dtype != dtype:
        experts = copy.deepcopy(experts).to(dtype)
    shared = None if mixture.shared_expert is None else _mlp(mixture.shared_expert, config, precision)

    def mixed(x_ND: torch.Tensor) -> torch.Tensor:
        routing = router(x_ND, torch.ones_like(x_ND[:, 0], dtype=torch.bool))
        y_ND = experts(x_ND.to(dtype), routing)
        return y_ND if shared is None else y_ND + shared(x_ND)

    return mixed
