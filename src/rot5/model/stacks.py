"""The encoder and the decoder: token ids to one vector per token.

Shape suffixes: B batch, T tokens of the stream at hand, S encoder tokens, D d_model, H heads.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.cache_utils import EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from rot5.model.attention import Scope
from rot5.model.backends import choose_backend, plan_sight
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.initialisation import initialise
from rot5.model.layers import DecoderLayer, EncoderLayer
from rot5.model.moe import Routing
from rot5.model.positions import RelativeBias, RotationTable, rotation_table
from rot5.model.precision import product_dtype
from rot5.model.scene import Layout, document_lengths, layout, scene_between


class Rot5PreTrainedModel(PreTrainedModel):
    """What all ROT5 modules share: configuration class, initialisation, features of transformers."""

    config: Rot5Config  # type: ignore[assignment]
    config_class = Rot5Config
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules = ["EncoderLayer", "DecoderLayer"]  # noqa: RUF012 (transformers reads a plain class attribute)
    _supports_sdpa = True
    _keep_in_fp32_modules_strict = ["router"]  # noqa: RUF012 (transformers reads a plain class attribute)

    @classmethod
    def is_custom_code(cls) -> bool:
        """False: transformers passes over modules without weights of their own in foreign code, and ours set those of
        their children (with its own functions, which leave loaded weights alone)."""
        return False

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict | None = None, **others) -> None:
        """As in transformers. Raises ValueError for the reentrant form, which loses what layers return by name."""
        if (gradient_checkpointing_kwargs or {}).get("use_reentrant"):
            raise ValueError("use_reentrant=True is not supported: leave it at False")
        super().gradient_checkpointing_enable(gradient_checkpointing_kwargs, **others)

    def _init_weights(self, module: nn.Module) -> None:
        initialise(module, self.config)


class TokenEmbedding(nn.Embedding):
    """Vectors of unit size: rows are scaled up as they are looked up, but in T5's parametrization."""

    def __init__(self, config: Rot5Config):
        super().__init__(config.vocab_size, config.d_model)
        self.scale = 1.0 if config.parametrization == "t5" else config.d_model**0.5

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Vectors [..., D] of token ids [...]."""
        return super().forward(input) * self.scale


class _Stack(Rot5PreTrainedModel):
    """What both stacks share: embedding, relative bias, layers' surroundings, final norm."""

    def __init__(self, config: Rot5Config, decoder: bool):
        super().__init__(config)
        self.embed_tokens: nn.Embedding = TokenEmbedding(config)
        self.relative_bias = None
        if config.position_encoding == "relative_bias":
            self.relative_bias = RelativeBias(config, bidirectional=not decoder)
        self.norm = nn.RMSNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)
        self.gradient_checkpointing = False

    def _embed(self, input_ids: torch.Tensor | None, embeds_BTD: torch.Tensor | None) -> torch.Tensor:
        """Vectors that enter the stack: looked up, or as given."""
        if (input_ids is None) == (embeds_BTD is None):
            raise ValueError("give either token ids or embeddings to each stack, not both and not neither")
        return self.embed_tokens(input_ids) if embeds_BTD is None else embeds_BTD

    def _mask_type(self, x_BTD: torch.Tensor, biased: bool) -> torch.dtype:
        """Precision of masks: what attention computes in, so that no layer converts them; a bias keeps its own."""
        return x_BTD.dtype if biased else product_dtype(x_BTD)

    def _table(self, positions_BT: torch.Tensor, own: Layout, inputs: Layout, dtype: torch.dtype) -> RotationTable:
        """Rotation of a stream's tokens at given positions; `inputs` is the encoder's stream."""
        dynamic = (self.config.rope_parameters or {}).get("rope_type") == "dynamic"
        cos, sin = rotation_table(positions_BT, self.config, document_lengths(own, inputs) if dynamic else None)
        return cos.to(dtype), sin.to(dtype)

    def _self_scope(self, own: Layout, inputs: Layout, causal: bool, backend: str, x_BTD: torch.Tensor) -> Scope:
        """How the stream's new tokens attend to all its tokens."""
        scene = scene_between(
            own, own, causal, self._mask_type(x_BTD, self.relative_bias is not None), self.relative_bias
        )
        sight = plan_sight(backend, scene)
        if self.relative_bias is not None:
            return Scope(sight, None, None)
        table = self._table(own.positions_BT, own, inputs, product_dtype(x_BTD))
        return Scope(sight, table, table)


@dataclass
class EncoderOutput(BaseModelOutput):
    """What the encoder gives; `routing` holds one entry per sparse layer."""

    routing: tuple[Routing, ...] | None = None


class Encoder(_Stack):
    """The encoder stack."""

    main_input_name = "input_ids"

    def __init__(self, config: Rot5Config):
        super().__init__(config, decoder=False)
        self.layers = nn.ModuleList(EncoderLayer(config, i) for i in range(config.num_layers))
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        encoder_segment_ids: torch.Tensor | None = None,
        encoder_positions: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> EncoderOutput:
        """`last_hidden_state` [B, S, D] behind the final norm; attentions [B, H, S, S] per layer on request."""
        x_BTD = self._embed(input_ids, inputs_embeds)
        own = layout(x_BTD, attention_mask, encoder_segment_ids, encoder_positions)
        backend = choose_backend(
            self.config, x_BTD.device.type, encoder_segment_ids is not None, bool(output_attentions)
        )
        scope = self._self_scope(own, own, False, backend, x_BTD)
        x_BTD, real_BT = self.dropout(x_BTD), own.real_BT
        states, attentions, routing = [], [], []
        for layer in self.layers:
            states.append(x_BTD)
            output = layer(x_BTD, scope, real_BT)
            x_BTD = output.hidden_BTD
            attentions.append(output.attentions)
            routing.append(output.routing)
        x_BTD = self.dropout(self.norm(x_BTD))
        return EncoderOutput(
            last_hidden_state=x_BTD,
            hidden_states=(*states, x_BTD) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
            routing=tuple(each for each in routing if each is not None),
        )


class DecoderOutput(NamedTuple):
    """What the decoder gives; tuples are per layer (None where not asked for), `routing` per sparse layer."""

    hidden_BTD: torch.Tensor
    hidden_states: tuple | None
    attentions: tuple | None
    cross_attentions: tuple | None
    routing: tuple[Routing, ...]


class Decoder(_Stack):
    """The decoder stack."""

    def __init__(self, config: Rot5Config):
        super().__init__(config, decoder=True)
        self.layers = nn.ModuleList(DecoderLayer(config, i) for i in range(config.num_decoder_layers or 0))
        self.post_init()

    def _cross_scope(self, own: Layout, memory: Layout, backend: str, x_BTD: torch.Tensor, keys_cached: bool) -> Scope:
        """How new tokens attend to the encoder's."""
        sight = plan_sight(backend, scene_between(own, memory, False, self._mask_type(x_BTD, biased=False)))
        if self.config.cross_position_encoding == "none":
            return Scope(sight, None, None)
        positions_BT = own.positions_BT
        if self.config.cross_position_encoding == "continuous":
            positions_BT = positions_BT + document_lengths(own, memory)
        dtype = product_dtype(x_BTD)
        key_table = None if keys_cached else self._table(memory.positions_BT, memory, memory, dtype)
        return Scope(sight, self._table(positions_BT, own, memory, dtype), key_table)

    def forward(
        self,
        memory_BSD: torch.Tensor,
        memory: Layout,
        input_ids: torch.Tensor | None,
        inputs_embeds: torch.Tensor | None,
        attention_mask: torch.Tensor | None,
        segments_BT: torch.Tensor | None,
        positions_BT: torch.Tensor | None,
        cache: EncoderDecoderCache | None,
        output_attentions: bool,
        output_hidden_states: bool,
    ) -> DecoderOutput:
        """Vectors [B, T, D] behind the final norm, for tokens that follow those in the cache."""
        x_BTD = self._embed(input_ids, inputs_embeds)
        past = 0 if cache is None else cache.get_seq_length()
        if past and positions_BT is not None and self.relative_bias is not None:
            raise ValueError("decoder_positions behind a cache need rotary positions: those of cached keys are unknown")
        own = layout(x_BTD, attention_mask, segments_BT, positions_BT, past)
        packed = segments_BT is not None and memory.segments_BS is not None and cache is None
        backend = choose_backend(self.config, x_BTD.device.type, packed, output_attentions)
        scope = self._self_scope(own, memory, True, backend, x_BTD)
        keys_cached = cache is not None and bool(cache.is_updated.get(0))
        cross_scope = self._cross_scope(own, memory, backend, x_BTD, keys_cached)
        x_BTD, real_BT = self.dropout(x_BTD), own.real_BT
        states, attentions, cross_attentions, routing = [], [], [], []
        for layer in self.layers:
            states.append(x_BTD)
            output = layer(x_BTD, memory_BSD, scope, cross_scope, real_BT, cache)
            x_BTD = output.hidden_BTD
            attentions.append(output.attentions)
            cross_attentions.append(output.cross_attentions)
            routing.append(output.routing)
        x_BTD = self.dropout(self.norm(x_BTD))
        return DecoderOutput(
            x_BTD,
            (*states, x_BTD) if output_hidden_states else None,
            tuple(attentions) if output_attentions else None,
            tuple(cross_attentions) if output_attentions else None,
            tuple(each for each in routing if each is not None),
        )
