"""The work of training an encoder-decoder on denoising: tokens of both sides, matrix products, operations."""

from typing import NamedTuple

import numpy as np

from rot5.data.denoise import DenoiseConfig, expected_lengths
from rot5.data.spans import span_counts
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.costs import forward_flops, parameter_counts

DOCUMENT = 230
"""Tokens of a document where nobody says: a story of TinyStories."""

PASSES = 3
"""Forward, and backward to inputs and to weights: each as much work as the first."""


class Load(NamedTuple):
    """What one forward pass meets: positions of the rows (padding too), and pairs of query and key that are scored."""

    encoder_tokens: float
    decoder_tokens: float
    encoder_pairs: float
    cross_pairs: float
    decoder_pairs: float
    documents: float


class Product(NamedTuple):
    """A weight matrix and how many tokens go through it; `stored` matrices of which each token meets some."""

    tokens: float
    inputs: int
    outputs: int
    stored: int = 1


class Training(NamedTuple):
    """What so many story tokens of training come to."""

    parameters: int
    """Parameters at work on a token: the size that laws speak of."""
    encoder_tokens: float
    decoder_tokens: float
    flops: float
    """By our own count: three times the forward pass, each side by its tokens, attention inside documents."""
    six_n_d: float
    """6 N D, the common short cut for decoders, with story tokens for D: for comparison."""


def working_parameters(shape: Rot5Config) -> int:
    """Active parameters, of the token tables the head alone: those that operations are spent on.

    Laws take C for k N D with one k. In small models the head is most of the work, so that without it k would fall
    threefold from the smallest to the largest shape of our study; with it k stays within a tenth.
    """
    return parameter_counts(shape).active_non_embedding + shape.vocab_size * shape.d_model


def training(
    shape: Rot5Config, story_tokens: float, mixture: DenoiseConfig | None = None, document: int = DOCUMENT
) -> Training:
    """The work of training on so many story tokens of documents of one length under a mixture of denoisers."""
    inputs, targets = expected_lengths(mixture or DenoiseConfig(), document)
    encoder_tokens, decoder_tokens = story_tokens * inputs / document, story_tokens * targets / document
    size = working_parameters(shape)
    flops = training_flops(shape, encoder_tokens, decoder_tokens, inputs, targets)
    return Training(size, encoder_tokens, decoder_tokens, flops, 6.0 * size * story_tokens)


def training_flops(
    shape: Rot5Config, encoder_tokens: float, decoder_tokens: float, encoder_length: float, decoder_length: float
) -> float:
    """Operations of training on so many tokens of each side, in documents of these mean lengths (at least 1)."""
    each = forward_flops(shape, max(1, round(encoder_length)), max(1, round(decoder_length)))
    return PASSES * (encoder_tokens * each.encoder_token + decoder_tokens * each.decoder_token)


def story_share(mixture: DenoiseConfig, encoder_length: int, decoder_length: int, document: int = DOCUMENT) -> float:
    """Story tokens in one full row of these lengths: what the side that fills first leaves room for."""
    inputs, targets = expected_lengths(mixture, document)
    return document * min(encoder_length / inputs, decoder_length / targets)


def packed_load(
    rows: int, encoder_length: int, decoder_length: int, mixture: DenoiseConfig | None = None, document: int = DOCUMENT
) -> Load:
    """Full rows of documents of one length; pairs as squares of the lengths that each denoiser makes of it."""
    mixture = mixture or DenoiseConfig()
    documents = rows * story_share(mixture, encoder_length, decoder_length, document) / document
    squares = np.zeros(3)
    for denoiser in mixture.denoisers:
        if denoiser.kind == "S":
            shares = np.linspace(denoiser.shortest_prefix, denoiser.longest_prefix, 21)
            shown, asked = shares * document, (1 - shares) * document
        else:
            noise, spans = (
                np.asarray(each, np.float64) for each in span_counts(document, denoiser.density, denoiser.mean_span)
            )
            shown, asked = document - noise + spans, noise + spans
        squares += denoiser.probability * np.array(
            [np.mean(shown * shown), np.mean(shown * asked), np.mean(asked * asked)]
        )
    encoder, cross, decoder = (float(each) for each in documents * squares)
    return Load(rows * encoder_length, rows * decoder_length, encoder, cross, decoder, documents)


def masked_load(load: Load, rows: int) -> Load:
    """The same rows attended under a mask: every position of a row meets every other."""
    encoder, decoder = load.encoder_tokens, load.decoder_tokens
    return load._replace(
        encoder_pairs=encoder**2 / rows, cross_pairs=encoder * decoder / rows, decoder_pairs=decoder**2 / rows
    )


def layer_products(shape: Rot5Config, load: Load, decoder: bool, index: int) -> list[Product]:
    """Every matrix product by a weight of one layer; experts as one product of the tokens sent to them."""
    width, tokens = shape.d_model, load.decoder_tokens if decoder else load.encoder_tokens
    queries, keys = shape.num_heads * shape.d_kv, (shape.num_key_value_heads or shape.num_heads) * shape.d_kv
    found = []
    for key_tokens in (tokens, load.encoder_tokens)[: 2 if decoder else 1]:
        found += [Product(tokens, width, queries), Product(tokens, queries, width)]
        found += [Product(key_tokens, width, keys)] * 2

    def feed_forward(sent: float, inner: int, stored: int) -> list[Product]:
        into = [Product(sent, width, inner, stored)] * (2 if shape.is_gated else 1)
        return [*into, Product(sent, inner, width, stored)]

    if not shape.is_sparse(decoder, index):
        return found + feed_forward(tokens, shape.d_ff, 1)
    found.append(Product(tokens, width, shape.num_experts))
    found += feed_forward(tokens * shape.num_experts_per_tok, shape.d_ff, shape.num_experts)
    if shape.num_shared_experts:
        found += feed_forward(tokens, shape.num_shared_experts * shape.d_ff, 1)
    return found


def products(shape: Rot5Config, load: Load) -> list[list[Product]]:
    """Those of each layer, the encoder's first, and last the head's."""
    decoder_layers = shape.num_decoder_layers or shape.num_layers
    found = [layer_products(shape, load, False, index) for index in range(shape.num_layers)]
    found += [layer_products(shape, load, True, index) for index in range(decoder_layers)]
    return [*found, [Product(load.decoder_tokens, shape.d_model, shape.vocab_size)]]
