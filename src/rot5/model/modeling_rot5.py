"""ROT5: an encoder-decoder with pre-norm blocks, whose settings span a family from T5 to a modern mixture of experts.

T5 (arXiv:1910.10683) with RoPE in all three attentions, GQA (arXiv:2305.13245) and Switch experts (arXiv:2101.03961),
as far as they are asked for. Shape suffixes: B batch, T tokens of the stream at hand, S encoder tokens, D d_model, V
vocabulary.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    GenerationMixin,
    MT5ForConditionalGeneration,
    T5ForConditionalGeneration,
)
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.convert_t5 import config_from_t5, config_to_t5, weights_from_t5, weights_to_t5
from rot5.model.cross_entropy import IGNORED, linear_cross_entropy_sum
from rot5.model.moe import MixtureOfExperts, Router, Routing, balance_loss, z_loss
from rot5.model.scene import layout
from rot5.model.stacks import Decoder, Encoder, EncoderOutput, Rot5PreTrainedModel, TokenEmbedding


@dataclass
class Rot5Output(Seq2SeqLMOutput):
    """The outputs of a sequence-to-sequence model, and what its experts add.

    `loss` is what training minimises: `lm_loss`, and while training the weighted `balance_loss` and `router_z_loss`
    (means over sparse layers). `routing` holds one entry per sparse layer, the encoder's first.
    `decoder_last_hidden_state` [B, T, D] is what the head reads; it takes the place of the logits while training.
    """

    lm_loss: torch.Tensor | None = None
    balance_loss: torch.Tensor | None = None
    router_z_loss: torch.Tensor | None = None
    routing: tuple[Routing, ...] | None = None
    decoder_last_hidden_state: torch.Tensor | None = None


SHARED_EMBEDDINGS = {
    "encoder.embed_tokens.weight": "shared.weight",
    "decoder.embed_tokens.weight": "shared.weight",
}
"""What is one table in every model; with `tie_word_embeddings` the head is it too."""


class Rot5ForConditionalGeneration(Rot5PreTrainedModel, GenerationMixin):
    """The whole model: encoder, decoder and language-model head, under transformers' sequence-to-sequence contract.

    Packed rows are passed as `encoder_segment_ids`, `decoder_segment_ids` (int64, 0 is padding) and the matching
    `encoder_positions`, `decoder_positions`; ordinary batches as `attention_mask`, `decoder_attention_mask`.
    """

    _tied_weights_keys = SHARED_EMBEDDINGS | {"lm_head.weight": "shared.weight"}
    main_input_name = "input_ids"

    def __init__(self, config: Rot5Config):
        super().__init__(config)
        self.shared: nn.Embedding = TokenEmbedding(config)
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    def get_expanded_tied_weights_keys(self, all_submodels: bool = False) -> dict:
        """Weights and what they are tied to. An untied head unties all in transformers, in T5 1.1 only itself."""
        if all_submodels or self.config.tie_word_embeddings:
            return super().get_expanded_tied_weights_keys(all_submodels)
        return dict(SHARED_EMBEDDINGS)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.shared

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.shared = self.encoder.embed_tokens = self.decoder.embed_tokens = value

    @classmethod
    def from_t5(
        cls, source: str | T5ForConditionalGeneration | MT5ForConditionalGeneration
    ) -> "Rot5ForConditionalGeneration":
        """The same function as a T5, Flan-T5 or mT5, tied or not: a model, or the folder or hub name of a T5.

        Raises ValueError if its configuration asks for what T5 itself has not (an activation of its own).
        """
        theirs = T5ForConditionalGeneration.from_pretrained(source) if isinstance(source, str) else source
        tied = torch.equal(theirs.lm_head.weight, theirs.shared.weight)
        config = config_from_t5(theirs.config, tied)
        model = cls(config)
        model.to(theirs.dtype)  # type: ignore[arg-type]
        model.load_state_dict(weights_from_t5(theirs.state_dict(), config))
        model.generation_config = copy.deepcopy(theirs.generation_config)
        return model.train(theirs.training)

    def to_t5(
        self, theirs: T5ForConditionalGeneration | MT5ForConditionalGeneration | None = None
    ) -> T5ForConditionalGeneration | MT5ForConditionalGeneration:
        """The same function as transformers' T5, for what reads only that: a new one, or `theirs` of the same shape
        with our weights. Raises ValueError if this is no T5."""
        theirs = theirs or T5ForConditionalGeneration(config_to_t5(self.config))
        theirs.to(self.dtype)  # type: ignore[arg-type]
        if not self.config.tie_word_embeddings:
            theirs.config.tie_word_embeddings = False
            theirs.lm_head.weight = nn.Parameter(torch.empty_like(theirs.lm_head.weight))
        theirs.load_state_dict(weights_to_t5(self.state_dict(), self.config))
        theirs.generation_config = copy.deepcopy(self.generation_config)
        return theirs.train(self.training)

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
        output_routing: bool | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> Rot5Output | tuple:
        """Logits [B, T, V], and the loss where `labels` are given.

        The loss (nats) is the sum over labels that are not -100, divided by their count, or by `num_items_in_batch`
        when the batch is one part of a larger step; router losses weigh in by the part's share of the targets. While
        training with labels, `logits` is None: they are never all made.
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
        unmasked = decoder_attention_mask is None and decoder_segment_ids is None
        if labels is not None and unmasked and self.config.num_experts:
            decoder_attention_mask = before_last_target(labels)
        use_cache = self.config.use_cache if use_cache is None else use_cache
        recomputes = self.training and self.decoder.gradient_checkpointing
        if use_cache and past_key_values is None and labels is None and not recomputes:
            past_key_values = EncoderDecoderCache(DynamicCache(), DynamicCache())

        if past_key_values is not None and past_key_values.is_compileable:
            raise ValueError("caches of fixed size are not supported: leave cache_implementation at its default")
        decoded = self.decoder(
            memory_BSD, memory, decoder_input_ids, decoder_inputs_embeds, decoder_attention_mask, decoder_segment_ids,
            decoder_positions, past_key_values, output_attentions, output_hidden_states,
        )  # fmt: skip
        # Outputs of an encoder that the caller made may come without routing.
        encoder_routing = encoder_outputs.routing if isinstance(encoder_outputs, EncoderOutput) else None
        routing = (encoder_routing or ()) + decoded.routing
        hidden_BTD = decoded.hidden_BTD
        if self.config.scale_decoder_outputs:
            hidden_BTD = hidden_BTD * self.config.d_model**-0.5
        losses = {} if labels is None else self._losses(hidden_BTD, labels, routing, num_items_in_batch)
        headless = self.training and labels is not None
        output = Rot5Output(
            **losses,
            logits=None if headless else self.lm_head(hidden_BTD),
            past_key_values=past_key_values,
            decoder_hidden_states=decoded.hidden_states,
            decoder_attentions=decoded.attentions,
            cross_attentions=decoded.cross_attentions,
            encoder_last_hidden_state=memory_BSD,
            encoder_hidden_states=encoder_outputs.hidden_states,
            encoder_attentions=encoder_outputs.attentions,
            routing=routing if output_routing else None,
            decoder_last_hidden_state=hidden_BTD if headless else None,
        )
        if self.training and torch.is_grad_enabled():
            routers = [router for _, router in self.routers()]
            for router, each in zip(routers[len(routers) - len(routing) :], routing, strict=True):
                router.record(each)
        return output if return_dict else output.to_tuple()

    def _losses(
        self,
        hidden_BTD: torch.Tensor,
        labels_BT: torch.Tensor,
        routing: tuple[Routing, ...],
        num_items_in_batch: torch.Tensor | int | None,
    ) -> dict[str, torch.Tensor]:
        """The losses of an output by name. They go into its making: what is set on it later comes last in its tuple."""
        own_count = (labels_BT != IGNORED).sum().clamp(min=1)
        count = own_count if num_items_in_batch is None else num_items_in_batch
        total = linear_cross_entropy_sum(hidden_BTD.flatten(0, 1), self.lm_head.weight, labels_BT.flatten())
        lm_loss = total / count
        if not routing:
            return {"loss": lm_loss, "lm_loss": lm_loss}
        balance = torch.stack([balance_loss(each) for each in routing]).mean()
        z = torch.stack([z_loss(each) for each in routing]).mean()
        loss = lm_loss
        if self.training:
            router_loss = self.config.router_aux_loss_coef * balance + self.config.router_z_loss_coef * z
            loss = lm_loss + router_loss * (own_count / count)
        return {"loss": loss, "lm_loss": lm_loss, "balance_loss": balance, "router_z_loss": z}

    def routers(self) -> Iterator[tuple[str, Router]]:
        """Routers of all sparse layers by their place (`encoder.0`), the encoder's first."""
        for stack, layers in (("encoder", self.encoder.layers), ("decoder", self.decoder.layers)):
            for i, layer in enumerate(layers):
                if isinstance(layer.mlp, MixtureOfExperts):
                    yield f"{stack}.{i}", layer.mlp.router

    def routing_metrics(self) -> dict[str, float]:
        """How experts were used since the last `end_step`, per sparse layer: `encoder.0/max_load` and so on."""
        return {
            f"{place}/{name}": value for place, router in self.routers() for name, value in router.metrics().items()
        }

    def end_step(
        self, add_up: Callable[[torch.Tensor], torch.Tensor] = lambda own: own, *, balance: bool = True
    ) -> None:
        """Call after each optimizer update: balances experts without a loss, if so configured, and counts anew.

        `add_up` sums what ranks have counted. A step that moved no weights does not `balance` either.
        """
        for _, router in self.routers():
            router.end_step(self.config.router_bias_update_rate if balance else 0.0, add_up)


def before_last_target(labels_BT: torch.Tensor) -> torch.Tensor:
    """1 for every place up to the last label of its row that is not -100, 0 for the padding behind, int64 [B, T].

    >>> before_last_target(torch.tensor([[5, -100, 7, -100]])).tolist()
    [[1, 1, 1, 0]]
    """
    return (labels_BT != IGNORED).long().flip(1).cummax(dim=1).values.flip(1)


AutoConfig.register("rot5", Rot5Config, exist_ok=True)
AutoModelForSeq2SeqLM.register(Rot5Config, Rot5ForConditionalGeneration, exist_ok=True)
