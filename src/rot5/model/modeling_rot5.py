"""ROT5: an encoder-decoder with pre-norm blocks, rotary positions and grouped-query attention.

T5 (arXiv:1910.10683) with RoPE in all three attentions and GQA (arXiv:2305.13245). Shape suffixes: B batch, T tokens of
the stream at hand, S encoder tokens, D d_model, V vocabulary.
"""

from typing import NamedTuple

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSeq2SeqLM, GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

from rot5.model.attention import Attention, RotationTable, Sight
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.cross_entropy import IGNORED, linear_cross_entropy_sum
from rot5.model.feed_forward import FeedForward
from rot5.model.layout import Layout, attends_per_document, layout, sight_between
from rot5.model.positions import rotation_table


class EncoderLayer(GradientCheckpointingLayer):
    """Self-attention and feed-forward, each behind a norm and beside a residual."""

    def __init__(self, config: Rot5Config, layer_index: int):
        super().__init__()
        self.self_attn_norm = nn.RMSNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.self_attn = Attention(config, layer_index)
        self.mlp_norm = nn.RMSNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.mlp = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, x_BTD: torch.Tensor, sight: Sight, table: RotationTable, output_attentions: bool):
        attended, weights = self.self_attn(
            self.self_attn_norm(x_BTD), None, sight, table, table, output_attentions=output_attentions
        )
        x_BTD = x_BTD + self.dropout(attended)
        return x_BTD + self.dropout(self.mlp(self.mlp_norm(x_BTD))), weights


class DecoderLayer(GradientCheckpointingLayer):
    """Causal self-attention, cross-attention and feed-forward, each behind a norm and beside a residual."""

    def __init__(self, config: Rot5Config, layer_index: int):
        super().__init__()
        self.self_attn_norm = nn.RMSNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.self_attn = Attention(config, layer_index)
        self.cross_attn_norm = nn.RMSNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.cross_attn = Attention(config, layer_index)
        self.mlp_norm = nn.RMSNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.mlp = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(
        self,
        x_BTD: torch.Tensor,
        memory_BSD: torch.Tensor,
        self_sight: Sight,
        cross_sight: Sight,
        table: RotationTable,
        cross_tables: tuple[RotationTable | None, RotationTable | None],
        cache: EncoderDecoderCache | None,
        causal: bool,
        output_attentions: bool,
    ):
        attended, self_weights = self.self_attn(
            self.self_attn_norm(x_BTD), None, self_sight, table, table, causal, cache, output_attentions
        )
        x_BTD = x_BTD + self.dropout(attended)
        attended, cross_weights = self.cross_attn(
            self.cross_attn_norm(x_BTD), memory_BSD, cross_sight, *cross_tables, False, cache, output_attentions
        )
        x_BTD = x_BTD + self.dropout(attended)
        return x_BTD + self.dropout(self.mlp(self.mlp_norm(x_BTD))), self_weights, cross_weights


class Rot5PreTrainedModel(PreTrainedModel):
    """What all ROT5 modules share: configuration class, initialisation, features of transformers."""

    config: Rot5Config  # type: ignore[assignment]
    config_class = Rot5Config
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules = ["EncoderLayer", "DecoderLayer"]  # noqa: RUF012 (transformers reads a plain class attribute)
    _supports_sdpa = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Normal, scaled by fan-in; what writes to the residual stream is scaled down with depth (GPT-2).

        The embedding has standard deviation d_model**-0.5, so that tied logits start near unit scale; inputs are scaled
        up again where they are read.
        """
        factor = self.config.initializer_factor
        depth = 2 * self.config.num_layers + 3 * (self.config.num_decoder_layers or 0)
        if isinstance(module, nn.Linear):
            init.normal_(module.weight, std=factor * module.in_features**-0.5)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=factor * self.config.d_model**-0.5)
        elif isinstance(module, nn.RMSNorm):
            init.ones_(module.weight)
        for name in ("o_proj", "down_proj"):
            output = getattr(module, name, None)
            if output is not None:
                init.normal_(output.weight, std=factor * (output.in_features * depth) ** -0.5)


class Encoder(Rot5PreTrainedModel):
    """The encoder stack: token ids to one vector per token."""

    main_input_name = "input_ids"

    def __init__(self, config: Rot5Config):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.d_model)
        self.layers = nn.ModuleList(EncoderLayer(config, i) for i in range(config.num_layers))
        self.norm = nn.RMSNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)
        self.gradient_checkpointing = False
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
    ) -> BaseModelOutput:
        """`last_hidden_state` [B, S, D] behind the final norm; attentions [B, H, S, S] per layer on request."""
        x_BTD = embed(self, input_ids, inputs_embeds)
        own = layout(x_BTD, attention_mask, encoder_segment_ids, encoder_positions)
        apart = attends_per_document(self.config, x_BTD, encoder_segment_ids is not None, bool(output_attentions))
        sight = sight_between(own, own, False, x_BTD, x_BTD.shape[1], apart)
        table = rotation_table(own.positions_BT, self.config.d_kv, self.config.rope_parameters)
        x_BTD = self.dropout(x_BTD)
        states, attentions = [], []
        for layer in self.layers:
            states.append(x_BTD)
            x_BTD, weights = layer(x_BTD, sight, table, bool(output_attentions))
            attentions.append(weights)
        x_BTD = self.dropout(self.norm(x_BTD))
        return BaseModelOutput(
            last_hidden_state=x_BTD,
            hidden_states=(*states, x_BTD) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
        )


class Decoded(NamedTuple):
    """What the decoder stack gives; the tuples are per layer, or None where not asked for."""

    hidden_BTD: torch.Tensor
    hidden_states: tuple | None
    attentions: tuple | None
    cross_attentions: tuple | None


class Decoder(Rot5PreTrainedModel):
    """The decoder stack: token ids and the encoder's vectors to one vector per target."""

    def __init__(self, config: Rot5Config):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.d_model)
        self.layers = nn.ModuleList(DecoderLayer(config, i) for i in range(config.num_decoder_layers or 0))
        self.norm = nn.RMSNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)
        self.gradient_checkpointing = False
        self.post_init()

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
    ) -> Decoded:
        x_BTD = embed(self, input_ids, inputs_embeds)
        past = 0 if cache is None else cache.get_seq_length()
        own = layout(x_BTD, attention_mask, segments_BT, positions_BT, past)
        packed = segments_BT is not None and memory.segments_BT is not None and cache is None
        apart = attends_per_document(self.config, x_BTD, packed, output_attentions)
        self_sight = sight_between(own, own, True, x_BTD, past + x_BTD.shape[1], apart)
        cross_sight = sight_between(own, memory, False, x_BTD, memory_BSD.shape[1], apart)
        table = rotation_table(own.positions_BT, self.config.d_kv, self.config.rope_parameters)
        cross_tables = (None, None)
        if self.config.cross_position_encoding == "aligned":
            cross_tables = (table, rotation_table(memory.positions_BT, self.config.d_kv, self.config.rope_parameters))
        x_BTD = self.dropout(x_BTD)
        states, attentions, cross_attentions = [], [], []
        for layer in self.layers:
            states.append(x_BTD)
            x_BTD, weights, cross_weights = layer(
                x_BTD, memory_BSD, self_sight, cross_sight, table, cross_tables, cache,
                x_BTD.shape[1] > 1, output_attentions,
            )  # fmt: skip
            attentions.append(weights)
            cross_attentions.append(cross_weights)
        x_BTD = self.dropout(self.norm(x_BTD))
        return Decoded(
            x_BTD,
            (*states, x_BTD) if output_hidden_states else None,
            tuple(attentions) if output_attentions else None,
            tuple(cross_attentions) if output_attentions else None,
        )


def embed(stack: Encoder | Decoder, input_ids: torch.Tensor | None, embeds_BTD: torch.Tensor | None) -> torch.Tensor:
    """Vectors [B, T, D] of unit scale that enter a stack: looked up and scaled up, or as given."""
    if (input_ids is None) == (embeds_BTD is None):
        raise ValueError("give either token ids or embeddings to each stack, not both and not neither")
    if embeds_BTD is not None:
        return embeds_BTD
    return stack.embed_tokens(input_ids) * stack.config.d_model**0.5


class Rot5ForConditionalGeneration(Rot5PreTrainedModel, GenerationMixin):
    """The whole model: encoder, decoder and language-model head, under transformers' sequence-to-sequence contract.

    Packed rows are passed as `encoder_segment_ids`, `decoder_segment_ids` (int64, 0 is padding) and the matching
    `encoder_positions`, `decoder_positions`; ordinary batches as `attention_mask`, `decoder_attention_mask`.
    """

    _tied_weights_keys = {  # noqa: RUF012 (transformers reads a plain class attribute)
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
        "lm_head.weight": "shared.weight",
    }
    main_input_name = "input_ids"

    def __init__(self, config: Rot5Config):
        super().__init__(config)
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.shared

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.shared = self.encoder.embed_tokens = self.decoder.embed_tokens = value

    def get_encoder(self, *args, **kwargs) -> Encoder:
        return self.encoder

    def get_decoder(self) -> Decoder:
        return self.decoder

    def prepare_decoder_input_ids_from_labels(self, labels: torch.Tensor) -> torch.Tensor:
        """Labels [B, T] shifted right behind the decoder start token, -100 made padding."""
        start, pad = self.config.decoder_start_token_id, self.config.pad_token_id
        if start is None or pad is None:
            raise ValueError("labels need decoder_start_token_id and pad_token_id in the configuration")
        shifted = labels.roll(1, dims=1)
        shifted[:, 0] = start
        return shifted.masked_fill(shifted == IGNORED, pad)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        decoder_input_ids: torch.Tensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        encoder_segment_ids: torch.Tensor | None = None,
        decoder_segment_ids: torch.Tensor | None = None,
        encoder_positions: torch.Tensor | None = None,
        decoder_positions: torch.Tensor | None = None,
        encoder_outputs: BaseModelOutput | tuple | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        decoder_inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> Seq2SeqLMOutput | tuple:
        """Logits [B, T, V], and the loss where `labels` are given.

        The loss (nats) is the sum over labels that are not -100, divided by their count, or by `num_items_in_batch`
        when the batch is one part of a larger step. While training with labels, `logits` is None: they are never all
        made.
        """
        return_dict = self.config.return_dict if return_dict is None else return_dict
        output_attentions = bool(self.config.output_attentions if output_attentions is None else output_attentions)
        output_hidden_states = bool(
            self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        )
        if encoder_outputs is None:
            encoder_outputs = self.encoder(
                input_ids, attention_mask, encoder_segment_ids, encoder_positions, inputs_embeds,
                output_attentions, output_hidden_states,
            )  # fmt: skip
        elif not isinstance(encoder_outputs, BaseModelOutput):
            encoder_outputs = BaseModelOutput(*encoder_outputs)
        assert isinstance(encoder_outputs, BaseModelOutput)
        memory_BSD = encoder_outputs.last_hidden_state
        assert memory_BSD is not None
        memory = layout(memory_BSD, attention_mask, encoder_segment_ids, encoder_positions)
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        use_cache = self.config.use_cache if use_cache is None else use_cache
        if use_cache and past_key_values is None and labels is None:
            past_key_values = EncoderDecoderCache(DynamicCache(), DynamicCache())

        decoded = self.decoder(
            memory_BSD, memory, decoder_input_ids, decoder_inputs_embeds, decoder_attention_mask, decoder_segment_ids,
            decoder_positions, past_key_values, output_attentions, output_hidden_states,
        )  # fmt: skip
        logits_BTV = None if self.training and labels is not None else self.lm_head(decoded.hidden_BTD)
        loss = None
        if labels is not None:
            total = linear_cross_entropy_sum(decoded.hidden_BTD.flatten(0, 1), self.lm_head.weight, labels.flatten())
            count = (labels != IGNORED).sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch
            loss = total / count
        output = Seq2SeqLMOutput(
            loss=loss,
            logits=logits_BTV,
            past_key_values=past_key_values,
            decoder_hidden_states=decoded.hidden_states,
            decoder_attentions=decoded.attentions,
            cross_attentions=decoded.cross_attentions,
            encoder_last_hidden_state=memory_BSD,
            encoder_hidden_states=encoder_outputs.hidden_states,
            encoder_attentions=encoder_outputs.attentions,
        )
        return output if return_dict else output.to_tuple()


AutoConfig.register("rot5", Rot5Config, exist_ok=True)
AutoModelForSeq2SeqLM.register(Rot5Config, Rot5ForConditionalGeneration, exist_ok=True)
