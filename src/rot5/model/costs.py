"""What a shape costs, in closed form: parameters, and the operations of a forward pass. No module is built."""

from typing import NamedTuple

from rot5.model.configuration_rot5 import Rot5Config


class ParameterCounts(NamedTuple):
    """Numbers of weights, each weight counted once: a table that is tied to the head counts as one."""

    total: int
    active: int
    """What the forward pass of one token touches: of the experts those it is sent to and the shared ones; all else is
    whole, routers and token tables too."""
    embedding: int
    """Of the total, the token table, and the head where it has its own; tables of relative biases are not of these."""
    non_embedding: int
    active_non_embedding: int


class ForwardFlops(NamedTuple):
    """Floating-point operations per token, on average over one document."""

    encoder_token: int
    decoder_token: int


class _FeedForward(NamedTuple):
    """Weights of one feed-forward, or of the experts and the router in its place."""

    total: int
    active: int


def _decoder_layers(config: Rot5Config) -> int:
    return config.num_decoder_layers or config.num_layers


def _query_side(config: Rot5Config) -> int:
    """Weights of the query and output projections of one attention, used once per query."""
    return 2 * config.d_model * config.num_heads * config.d_kv


def _key_side(config: Rot5Config) -> int:
    """Weights of the key and value projections of one attention, used once per key."""
    return 2 * config.d_model * (config.num_key_value_heads or config.num_heads) * config.d_kv


def _feed_forward(config: Rot5Config, decoder: bool, layer_index: int) -> _FeedForward:
    one = (3 if config.is_gated else 2) * config.d_model * config.d_ff
    if not config.is_sparse(decoder, layer_index):
        return _FeedForward(one, one)
    always = config.num_experts * config.d_model + config.num_shared_experts * one
    return _FeedForward(always + config.num_experts * one, always + config.num_experts_per_tok * one)


def _feed_forwards(config: Rot5Config, decoder: bool) -> _FeedForward:
    """The feed-forwards of all layers of a stack."""
    layers = _decoder_layers(config) if decoder else config.num_layers
    each = [_feed_forward(config, decoder, index) for index in range(layers)]
    return _FeedForward(sum(found.total for found in each), sum(found.active for found in each))


def parameter_counts(config: Rot5Config) -> ParameterCounts:
    """Weights of a `Rot5ForConditionalGeneration` of this configuration, vocabulary included."""
    encoder_layers, decoder_layers = config.num_layers, _decoder_layers(config)
    attention = _query_side(config) + _key_side(config) + (2 * config.d_kv if config.qk_norm else 0)
    attentions = (encoder_layers + 2 * decoder_layers) * attention
    norms = (2 * encoder_layers + 3 * decoder_layers + 2) * config.d_model
    relative = config.position_encoding == "relative_bias"
    biases = 2 * config.relative_attention_num_buckets * config.num_heads if relative else 0
    encoder, decoder = _feed_forwards(config, False), _feed_forwards(config, True)
    embedding = (1 if config.tie_word_embeddings else 2) * config.vocab_size * config.d_model
    dense = attentions + norms + biases
    non_embedding = dense + encoder.total + decoder.total
    active_non_embedding = dense + encoder.active + decoder.active
    return ParameterCounts(
        total=embedding + non_embedding,
        active=embedding + active_non_embedding,
        embedding=embedding,
        non_embedding=non_embedding,
        active_non_embedding=active_non_embedding,
    )


def forward_flops(
    config: Rot5Config, encoder_length: int, decoder_length: int, *, masked_too: bool = False
) -> ForwardFlops:
    """Operations of a forward pass per token of a document of these lengths: 2 per multiply-add of all matrix products.

    An encoder token pays for its way through the encoder and for its keys and values in every cross-attention; a
    decoder token for its way through the decoder, cross-attention over `encoder_length` keys and the head. Causal
    attention counts as it is needed, (`decoder_length` + 1) / 2 keys per query on average; with `masked_too` as a
    kernel under a mask computes it, `decoder_length` keys. Every token reaches the experts it is sent to: a capacity
    drops none. Look-ups of embeddings, norms, softmax, rotations, biases and activations are not counted.

    Raises ValueError for lengths below 1.
    """
    if encoder_length < 1 or decoder_length < 1:
        raise ValueError(f"lengths ({encoder_length}, {decoder_length}) must be at least 1")
    encoder_layers, decoder_layers = config.num_layers, _decoder_layers(config)
    queries, keys = _query_side(config), _key_side(config)
    encoder_weights = encoder_layers * (queries + keys) + _feed_forwards(config, False).active + decoder_layers * keys
    decoder_weights = (
        decoder_layers * (2 * queries + keys) + _feed_forwards(config, True).active + config.vocab_size * config.d_model
    )
    twice_the_keys_seen = 2 * decoder_length if masked_too else decoder_length + 1
    per_key = 4 * config.num_heads * config.d_kv
    return ForwardFlops(
        encoder_token=2 * encoder_weights + encoder_layers * per_key * encoder_length,
        decoder_token=2 * decoder_weights
        + decoder_layers * (per_key * encoder_length + per_key // 2 * twice_the_keys_seen),
    )
