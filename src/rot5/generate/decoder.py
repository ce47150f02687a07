"""One token further for every row, over caches of fixed size.

Shape suffixes: N inputs, R rows (inputs times `fan`, the rows of an input), T places of an answer, S places of an
input, D d_model, H heads, K key-value heads, G query heads per key-value head, d head width, c = d / 2 complex numbers,
L decoder layers.

A step has no shape that depends on the data and waits for nothing, so that a CUDA graph can hold it as long as its
`Reach` stays the same and the caches stay where they are.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from rot5.errors import UserError
from rot5.generate.encoder import InputEncoder, Memory, turns
from rot5.generate.head import Head
from rot5.generate.weights import LayerWeights, layer_weights, norm
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration


class Reach(NamedTuple):
    """How much of the caches a step looks at."""

    answers: int
    """Places of the longest answer, the new token's included."""
    even: bool
    """Whether all rows are equally far."""
    inputs: int
    """Places of the longest input."""
    full: bool
    """Whether all inputs are that long."""


class Caches:
    """What is known of the rows: keys and values of their tokens and of their inputs, and how positions turn them.

    Inputs are put into slots; a slot holds `fan` rows side by side.
    """

    def __init__(self, decoder: "Decoder", slots: int, fan: int, places: int, width: int):
        config = decoder.model.config
        L, K, d = config.num_decoder_layers or 0, decoder.key_value_heads, config.d_kv
        rows, device, dtype = slots * fan, decoder.device, decoder.dtype
        self.fan, self.places, self.width = fan, places, width
        self.own = torch.zeros(L, 2, rows, K, places, d, device=device, dtype=dtype)
        self.cross = torch.zeros(L, 2, slots, K, width, d, device=device, dtype=dtype)
        self.hidden_places = torch.zeros(slots, 1, 1, width, device=device, dtype=dtype)
        half = d // 2 if config.position_encoding == "rope" else 0
        self.turns = torch.zeros(2, slots, places, half, device=device, dtype=torch.complex64)
        self.lengths = torch.zeros(slots, dtype=torch.int64, device=device)
        """Of the inputs that are in the slots."""
        self.index()

    def index(self) -> None:
        """Number the rows: where each of them begins in the flat caches."""
        _, _, R, K, T, _ = self.own.shape
        device = self.own.device
        rows = torch.arange(R, device=device)
        sides, heads = torch.arange(2, device=device)[:, None], torch.arange(K, device=device)
        self.cache_begins = ((sides * R + rows[:, None, None]) * K + heads) * T
        self.turn_begins = rows // self.fan * T

    def fill(self, slots: Sequence[int], memory: Memory, decoder: "Decoder") -> None:
        """Put inputs into slots; what their rows wrote before is never looked at."""
        where, longest = torch.tensor(slots, device=self.own.device), memory.keys_values.shape[4]
        self.cross[:, :, where, :, :longest] = memory.keys_values
        self.lengths[where] = torch.tensor(memory.lengths, device=self.own.device)
        self._place(where, decoder)

    def _place(self, where: torch.Tensor, decoder: "Decoder") -> None:
        """Lay down for some slots (int64) where their inputs end and how positions turn."""
        config, device, lengths = decoder.model.config, self.own.device, self.lengths[where]
        behind = torch.arange(self.width, device=device) >= lengths[:, None]
        self.hidden_places[where] = torch.zeros_like(behind, dtype=self.own.dtype).masked_fill_(
            behind, torch.finfo(self.own.dtype).min
        )[:, None, None]
        if config.position_encoding == "rope":
            positions = torch.arange(self.places, device=device).expand(len(where), self.places)
            self.turns[0, where] = turns(positions, config, lengths)
            if config.cross_position_encoding == "continuous":
                positions = positions + lengths[:, None]
            self.turns[1, where] = turns(positions, config, lengths)

    def grown(self, slots: int, places: int, width: int, decoder: "Decoder") -> "Caches":
        """Larger caches in which every slot holds what it holds here."""
        larger, (_, _, rows, _, before, _) = Caches(decoder, slots, self.fan, places, width), self.own.shape
        larger.own[:, :, :rows, :, :before] = self.own
        larger.cross[:, :, : len(self.lengths), :, : self.width] = self.cross
        larger.lengths[: len(self.lengths)] = self.lengths
        larger._place(torch.arange(len(self.lengths), device=self.own.device), decoder)
        return larger

    def narrow(self, width: int) -> None:
        """Give up places of inputs behind the first `width`: products copy what does not lie together, step by step."""
        self.width = width
        self.cross = self.cross[..., :width, :].contiguous()
        self.hidden_places = self.hidden_places[..., :width].contiguous()

    def keep(self, slots: torch.Tensor) -> None:
        """Give up all slots but these (int64), in this order."""
        rows = (slots[:, None] * self.fan + torch.arange(self.fan, device=slots.device)).flatten()
        self.own, self.cross = self.own.index_select(2, rows), self.cross.index_select(2, slots)
        self.hidden_places, self.turns = self.hidden_places[slots], self.turns.index_select(1, slots)
        self.lengths = self.lengths[slots]
        self.index()

    def reorder(self, rows: torch.Tensor, answers: int) -> None:
        """Let each row go on from another of its slot: as far as `answers` places, its tokens become that row's."""
        self.own[..., :answers, :] = self.own[..., :answers, :].index_select(2, rows)


class Decoder:
    """A model made ready to decode in one precision."""

    def __init__(self, model: Rot5ForConditionalGeneration, precision: str, never: Sequence[int] = ()):
        """`never` are the tokens that the head passes over where it is told to.

        Raises UserError for int8 on anything but a CPU.
        """
        if precision == "int8" and model.device.type != "cpu":
            raise UserError(f"precision int8 is for CPUs, and the model is on {model.device.type}: choose bf16")
        config = model.config
        self.model, self.device = model, model.device
        self.key_value_heads = config.num_key_value_heads or config.num_heads
        self.dtype = torch.float32 if precision == "float32" else torch.bfloat16
        self.cross_turns = config.cross_position_encoding != "none"
        self.layers: list[LayerWeights] = [layer_weights(each, config, precision) for each in model.decoder.layers]  # type: ignore[arg-type]
        encoder_layers = [layer_weights(each, config, precision) for each in model.encoder.layers]  # type: ignore[arg-type]
        self.encode = InputEncoder(model.encoder, encoder_layers, self.layers, config, self.dtype)
        self.embed = model.decoder.embed_tokens
        self.norm = norm(model.decoder.norm, config.d_model**-0.5 if config.scale_decoder_outputs else 1.0)
        self.head = Head(model.lm_head.weight.float(), precision, list(never))

    def step(self, tokens_R: torch.Tensor, positions_R: torch.Tensor, caches: Caches, reach: Reach) -> torch.Tensor:
        """What the head reads behind each row's newest token, float32 [R, D]; keys and values go into the caches.

        `positions_R` are the tokens' places in their answers, the start token's 0, each below `reach.answers`.
        """
        K, fan = self.key_value_heads, caches.fan
        own_turns = cross_turns = None
        if self.model.config.position_encoding == "rope":
            at = caches.turn_begins + positions_R
            own_turns, turned = (each.flatten(0, 1).index_select(0, at)[:, None] for each in caches.turns)
            cross_turns = turned if self.cross_turns else None
        written = (caches.cache_begins + positions_R[:, None, None]).flatten()
        mask = self._own_mask(positions_R, reach)
        cross_mask = None if reach.full else caches.hidden_places[..., : reach.inputs]
        x_RD = self.embed(tokens_R).float()
        for layer, own, cross in zip(self.layers, caches.own, caches.cross, strict=True):
            heads = layer.self_heads(layer.self_norm(x_RD), own_turns).to(self.dtype)
            q, keys_values = heads[:, : -2 * K], heads[:, -2 * K :]
            own.view(-1, own.shape[-1]).index_copy_(0, written, keys_values.flatten(0, 1))
            mixed = _attend(q, own, reach.answers, mask, 1)
            x_RD.add_(layer.self_output(mixed))
            assert layer.cross_norm and layer.cross_queries and layer.cross_output
            q = layer.cross_queries(layer.cross_norm(x_RD), cross_turns).to(self.dtype)
            mixed = _attend(q, cross, reach.inputs, cross_mask, fan)
            x_RD.add_(layer.cross_output(mixed))
            x_RD.add_(layer.mlp(layer.mlp_norm(x_RD)))
        return self.norm(x_RD)

    def _own_mask(self, positions_R: torch.Tensor, reach: Reach) -> torch.Tensor | None:
        """What is added to the scores of a row's own tokens: [R, H or 1, 1, answers], or None."""
        bias, places = self.model.decoder.relative_bias, torch.arange(reach.answers, device=positions_R.device)
        mask = None
        if bias is not None:
            mask = bias(positions_R[:, None], places.expand(len(positions_R), -1)).to(self.dtype)
        if not reach.even:
            base = torch.zeros((), dtype=self.dtype, device=places.device) if mask is None else mask
            seen = (places <= positions_R[:, None])[:, None, None]
            mask = torch.where(seen, base, torch.finfo(self.dtype).min)
        return mask


def _attend(
    q_RHd: torch.Tensor, keys_values: torch.Tensor, places: int, mask: torch.Tensor | None, fan: int
) -> torch.Tensor:
    """Attention [R, H * d] of rows to the first places of `keys_values` [2, N, K, S, d], `fan` rows to each N.

    The mask is [N, H or 1, 1, places]; one by heads is for a fan of 1.
    """
    R, H, d = q_RHd.shape
    _, N, K, _, _ = keys_values.shape
    G = H // K
    keys, values = keys_values[..., :places, :].flatten(1, 2)
    q = q_RHd.view(N, fan, K, G, d).transpose(1, 2).reshape(N * K, fan * G, d)
    scores = torch.bmm(q, keys.transpose(1, 2))
    if mask is not None:
        by_input = scores.view(N, K, fan * G, places)
        by_input.add_(mask if mask.shape[1] == 1 else mask.view(N, K, G, places))
    mixed = torch.bmm(scores.softmax(dim=-1), values)
    return mixed.view(N, K, fan, G, d).transpose(1, 2).reshape(R, H * d)
