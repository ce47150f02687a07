"""Inputs to what cross-attention reads of them: the encoder in large pieces, and keys and values made once.

Shape suffixes: N inputs, S places of the longest, T tokens (N * S), D d_model, H heads, K key-value heads, d head
width, c = d / 2 complex numbers, L decoder layers.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch.nn import functional as F

from rot5.generate.weights import LayerWeights, norm
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.positions import rotation_table
from rot5.model.stacks import Encoder

TOKENS = 2048
"""Tokens encoded together, unless a single input has more: enough for fast products, few enough for a cache."""


class Memory(NamedTuple):
    """Encoded inputs: keys, rotated, and values of every decoder layer [L, 2, N, K, S, d], and how long each input is.

    Places behind an input's end hold numbers without meaning.
    """

    keys_values: torch.Tensor
    lengths: list[int]


def turns(positions_NT: torch.Tensor, config: Rot5Config, lengths_N: torch.Tensor) -> torch.Tensor:
    """Rotations as unit complex numbers [N, T, c], for documents whose inputs have the given lengths."""
    cosines, sines = rotation_table(positions_NT, config, lengths_N[:, None].expand_as(positions_NT))
    half = config.d_kv // 2
    return torch.complex(cosines[:, 0, :, :half].contiguous(), sines[:, 0, :, :half].contiguous())


def pieces(inputs: Sequence[Sequence[int]]) -> Iterator[Sequence[Sequence[int]]]:
    """Inputs, longest first, in pieces that have about `TOKENS` tokens when padded."""
    first = 0
    while first < len(inputs):
        count = max(1, TOKENS // max(1, len(inputs[first])))
        yield inputs[first : first + count]
        first += count


class InputEncoder:
    """The encoder and the cross-attention's keys and values, with weights made ready."""

    def __init__(
        self,
        encoder: Encoder,
        layers: Sequence[LayerWeights],
        decoder_layers: Sequence[LayerWeights],
        config: Rot5Config,
        dtype: torch.dtype,
    ):
        self.embed, self.norm, self.relative_bias = encoder.embed_tokens, norm(encoder.norm), encoder.relative_bias
        self.device = encoder.device
        self.layers, self.decoder_layers, self.config, self.dtype = layers, decoder_layers, config, dtype

    def __call__(self, inputs: Sequence[Sequence[int]]) -> Memory:
        """Encode inputs of like length together."""
        lengths = [len(each) for each in inputs]
        N, S, K = len(inputs), max(lengths), self.config.num_key_value_heads or self.config.num_heads
        device = self.device
        ids = torch.tensor([[*each, *[0] * (S - len(each))] for each in inputs], device=device)
        lengths_N = torch.tensor(lengths, device=device)
        places_NS = torch.arange(S, device=device).expand(N, S)
        mask = self._mask(places_NS, None if min(lengths) == S else lengths_N)
        own = cross = None
        if self.config.position_encoding == "rope":
            own = turns(places_NS, self.config, lengths_N).flatten(0, 1)[:, None]
            cross = None if self.config.cross_position_encoding == "none" else own
        x_TD = self.embed(ids.flatten()).float()
        for layer in self.layers:
            x_TD = self._layer(layer, x_TD, own, mask, N, K)
        x_TD = self.norm(x_TD)
        kept = x_TD.new_empty(len(self.decoder_layers), 2, N, K, S, self.config.d_kv, dtype=self.dtype)
        for index, layer in enumerate(self.decoder_layers):
            assert layer.cross_keys_values is not None
            heads = layer.cross_keys_values(x_TD, cross)
            kept[index] = heads.view(N, S, 2, K, self.config.d_kv).permute(2, 0, 3, 1, 4)
        return Memory(kept, lengths)

    def _mask(self, places_NS: torch.Tensor, lengths_N: torch.Tensor | None) -> torch.Tensor | None:
        """What is added to scores: [N or 1, H or 1, S or 1, S], or None."""
        mask = None
        if self.relative_bias is not None:
            mask = self.relative_bias(places_NS[:1], places_NS[:1]).to(self.dtype)
        if lengths_N is not None:
            visible = (places_NS < lengths_N[:, None])[:, None, None]
            base = torch.zeros((), dtype=self.dtype, device=places_NS.device) if mask is None else mask
            mask = torch.where(visible, base, torch.finfo(self.dtype).min)
        return mask

    def _layer(
        self,
        layer: LayerWeights,
        x_TD: torch.Tensor,
        own: torch.Tensor | None,
        mask: torch.Tensor | None,
        N: int,
        K: int,
    ) -> torch.Tensor:
        """A layer's vectors, added to the stream in place."""
        H = self.config.num_heads
        heads = layer.self_heads(layer.self_norm(x_TD), own).to(self.dtype).unflatten(0, (N, -1)).transpose(1, 2)
        q, k, v = heads.split((H, K, K), dim=1)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0, enable_gqa=K != H)
        x_TD = x_TD.add_(layer.self_output(mixed.transpose(1, 2).flatten(2).flatten(0, 1)))
        return x_TD.add_(layer.mlp(layer.mlp_norm(x_TD)))
