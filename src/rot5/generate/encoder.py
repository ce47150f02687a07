"""Inputs to what cross-attention reads of them: the encoder in large pieces, and keys and values made once.

Shape suffixes: N inputs, S places of the longest, P places of keys, T tokens (N * S), D d_model, H heads, K key-value
heads, d head width, c = d / 2 complex numbers, L decoder layers.
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

KEYS = 32
"""What keys are padded to multiples of where attention is made of products: then softmax is at its fastest."""


class Memory(NamedTuple):
    """Encoded inputs: keys, rotated, and values of every decoder layer [L, 2, N, K, S, d], and how long each input is.

    Places behind an input's end hold numbers without meaning.
    """

    keys_values: torch.Tensor
    lengths: list[int]


def turns(positions_NT: torch.Tensor, config: Rot5Config, lengths_N: torch.Tensor) -> torch.Tensor:
    """Rotations as unit complex numbers [N, T, c], for documents whose inputs have the given lengths."""
    table = rotation_table(positions_NT, config, lengths_N[:, None].expand_as(positions_NT))
    cosines, sines = (each[:, 0, :, config.d_kv // 2 :].contiguous() for each in table)
    return torch.complex(cosines, sines)


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
        self.of_products = dtype == torch.bfloat16 and self.device.type == "cpu"
        """Whether attention is made of matrix products: by a third faster there than the fused kernel."""

    def __call__(self, inputs: Sequence[Sequence[int]]) -> Memory:
        """Encode inputs of like length together."""
        lengths = [len(each) for each in inputs]
        N, S, K = len(inputs), max(lengths), self.config.num_key_value_heads or self.config.num_heads
        device = self.device
        ids = torch.tensor([[*each, *[0] * (S - len(each))] for each in inputs], device=device)
        lengths_N = torch.tensor(lengths, device=device)
        places_NS = torch.arange(S, device=device).expand(N, S)
        mask = self._mask(lengths_N, S, -(-S // KEYS) * KEYS if self.of_products else S, min(lengths))
        own = cross = None
        if self.config.position_encoding == "rope":
            own = turns(places_NS, self.config, lengths_N).flatten(0, 1)[:, None]
            cross = None if self.config.cross_position_encoding == "none" else own
        x_TD = self.embed(ids.flatten()).float()
        for layer in self.layers:
            x_TD = self._layer(layer, x_TD, own, mask, N)
        x_TD = self.norm(x_TD)
        kept = x_TD.new_empty(len(self.decoder_layers), 2, N, K, S, self.config.d_kv, dtype=self.dtype)
        for index, layer in enumerate(self.decoder_layers):
            assert layer.cross_keys_values is not None
            heads = layer.cross_keys_values(x_TD, cross)
            kept[index] = heads.view(N, S, 2, K, self.config.d_kv).permute(2, 0, 3, 1, 4)
        return Memory(kept, lengths)

    def _mask(self, lengths_N: torch.Tensor, S: int, P: int, shortest: int) -> torch.Tensor | None:
        """What is added to scores: [N or 1, H or 1, S or 1, P], or None."""
        mask, places_P = None, torch.arange(P, device=self.device)
        if self.relative_bias is not None:
            mask = self.relative_bias(places_P[None, :S], places_P[None]).to(self.dtype)
        if shortest < P:
            visible = (places_P < lengths_N[:, None])[:, None, None]
            base = torch.zeros((), dtype=self.dtype, device=self.device) if mask is None else mask
            mask = torch.where(visible, base, torch.finfo(self.dtype).min)
        return mask

    def _layer(
        self, layer: LayerWeights, x_TD: torch.Tensor, own: torch.Tensor | None, mask: torch.Tensor | None, N: int
    ) -> torch.Tensor:
        """A layer's vectors, added to the stream in place."""
        heads_NSHd = layer.self_heads(layer.self_norm(x_TD), own).to(self.dtype).unflatten(0, (N, -1))
        mixed_NHSd = (self._by_products if self.of_products else self._fused)(heads_NSHd, mask)
        x_TD = x_TD.add_(layer.self_output(mixed_NHSd.transpose(1, 2).flatten(2).flatten(0, 1)))
        return x_TD.add_(layer.mlp(layer.mlp_norm(x_TD)))

    def _fused(self, heads_NSHd: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Attention [N, H, S, d] of queries, keys and values side by side."""
        H = self.config.num_heads
        K = (heads_NSHd.shape[2] - H) // 2
        q, k, v = heads_NSHd.transpose(1, 2).split((H, K, K), dim=1)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0, enable_gqa=K != H)

    def _by_products(self, heads_NSHd: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """As `_fused`, with keys padded as the mask says."""
        N, S, heads, d = heads_NSHd.shape
        H = self.config.num_heads
        K, P = (heads - H) // 2, S if mask is None else mask.shape[-1]
        queries = heads_NSHd[:, :, :H].unflatten(2, (K, -1)).permute(0, 2, 3, 1, 4).reshape(N * K, -1, d)
        keys_values = heads_NSHd.new_zeros(2, N, K, P, d)
        keys_values[..., :S, :] = heads_NSHd[:, :, H:].unflatten(2, (2, K)).permute(2, 0, 3, 1, 4)
        keys, values = keys_values.flatten(1, 2)
        scores = torch.bmm(queries, keys.transpose(1, 2))
        if mask is not None:
            scores.view(N, H, S, P).add_(mask)
        return torch.bmm(scores.softmax(dim=-1), values).view(N, H, S, d)
