"""Memory of training: what autograd keeps is counted in the model itself, optimizer state in the optimizers."""

import pytest
import torch

from rot5.data.denoise import DenoiseConfig
from rot5.errors import UserError
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.costs import parameter_counts
from rot5.model.cross_entropy import CHUNK
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.sizing.compute import (
    Load,
    layer_products,
    masked_load,
    packed_load,
    products,
    training,
    training_flops,
)
from rot5.sizing.memory import activations, loss_peak, optimizer_state, training_memory
from rot5.train.optimizers import build_optimizer
from rot5.train.settings import OPTIMIZER_NAMES, OptimizerConfig

ROWS, DOCUMENTS, ENCODER, DECODER, VOCABULARY = 2, 2, 64, 32, 512
"""Lengths of a document are multiples of what `per_document` pads to, so that nothing is padded."""

LOAD = Load(
    ROWS * DOCUMENTS * ENCODER,
    ROWS * DOCUMENTS * DECODER,
    ROWS * DOCUMENTS * ENCODER**2,
    ROWS * DOCUMENTS * ENCODER * DECODER,
    ROWS * DOCUMENTS * DECODER**2,
    ROWS * DOCUMENTS,
)


def shape_of(**changes) -> Rot5Config:
    shape = {
        "vocab_size": VOCABULARY,
        "d_model": 64,
        "d_kv": 16,
        "d_ff": 160,
        "num_layers": 2,
        "num_heads": 4,
        "num_key_value_heads": 2,
        "feed_forward_proj": "gated-gelu",
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 2,
    }
    return Rot5Config(**(shape | changes))


def fields() -> dict[str, torch.Tensor]:
    """Rows packed full with documents of one length."""
    found = {}
    for side, length in (("encoder", ENCODER), ("decoder", DECODER)):
        found[f"{side}_segment_ids"] = torch.arange(1, DOCUMENTS + 1).repeat_interleave(length).repeat(ROWS, 1)
        found[f"{side}_positions"] = torch.arange(length).repeat(ROWS, DOCUMENTS)
    ids = torch.arange(ROWS * DOCUMENTS * ENCODER).view(ROWS, -1) % (VOCABULARY - 3) + 3
    short = ids[:, : DOCUMENTS * DECODER]
    return found | {"input_ids": ids, "decoder_input_ids": short, "labels": short}


def kept_bytes(model: Rot5ForConditionalGeneration) -> int:
    """Bytes of all different tensors that autograd keeps of a forward pass, weights left out."""
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (tensor, storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        output = model(**fields(), use_cache=False)
    assert output.loss.requires_grad
    return sum(size for _, size in kept.values())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"feed_forward_proj": "relu"},
        {"feed_forward_proj": "gelu", "num_decoder_layers": 4},
        {"qk_norm": True},
        {"dropout_rate": 0.1},
        {"num_experts": 4, "d_ff": 64},
        {"num_experts": 4, "d_ff": 64, "num_experts_per_tok": 2, "num_shared_experts": 1, "encoder_sparse_step": 2},
        {"position_encoding": "relative_bias"},
        {"cross_position_encoding": "none", "num_key_value_heads": 4},
        {"d_model": 256, "tie_word_embeddings": False},
    ],
    ids=str,
)
def test_what_autograd_keeps(changes):
    shape = shape_of(**changes)
    gradient_of_the_head = 4 * VOCABULARY * shape.d_model
    counted = kept_bytes(Rot5ForConditionalGeneration(shape).train())
    assert activations(shape, LOAD) + gradient_of_the_head == pytest.approx(counted, rel=0.05)


@pytest.mark.parametrize("name", OPTIMIZER_NAMES)
@pytest.mark.parametrize("changes", [{}, {"num_experts": 4, "d_ff": 64, "tie_word_embeddings": False}], ids=str)
def test_what_optimizers_keep(name, changes):
    shape = shape_of(**changes)
    model = Rot5ForConditionalGeneration(shape).train()
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer = build_optimizer(model, OptimizerConfig(name=name))
    optimizer.step()
    tensors = [each for state in optimizer.state.values() for each in state.values() if torch.is_tensor(each)]
    counted = sum(each.numel() * each.element_size() for each in tensors)
    assert optimizer_state(shape, name)[0] == pytest.approx(counted, rel=0.03)


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(UserError, match="did you mean adamw"):
        optimizer_state(shape_of(), "adamv")


def test_products_hold_every_matrix():
    for changes in ({}, {"num_experts": 4, "num_shared_experts": 2, "d_ff": 64}, {"feed_forward_proj": "relu"}):
        shape = shape_of(**changes)
        found = [each for layer in products(shape, LOAD) for each in layer]
        weights = [w for w in Rot5ForConditionalGeneration(shape).parameters() if w.ndim > 1]
        assert sum(each.inputs * each.outputs * each.stored for each in found) == sum(w.numel() for w in weights)
    assert {each.tokens for each in layer_products(shape, LOAD, True, 0)} == {LOAD.encoder_tokens, LOAD.decoder_tokens}


def test_products_and_pairs_are_the_operations_of_the_closed_form():
    shape = shape_of()
    made = sum(2 * each.tokens * each.inputs * each.outputs for layer in products(shape, LOAD) for each in layer)
    causal = LOAD.decoder_pairs * (DECODER + 1) / (2 * DECODER)
    pairs = shape.num_layers * (LOAD.encoder_pairs + LOAD.cross_pairs + causal)
    made += 4 * shape.num_heads * shape.d_kv * pairs
    assert 3 * made == pytest.approx(
        training_flops(shape, LOAD.encoder_tokens, LOAD.decoder_tokens, ENCODER, DECODER), rel=1e-6
    )


def test_work_grows_with_the_text_and_6nd_is_of_its_order():
    shape = shape_of(d_model=256, d_ff=1024, num_layers=6)
    once, twice = training(shape, 1e6), training(shape, 2e6)
    assert twice.flops == pytest.approx(2 * once.flops) and once.parameters == parameter_counts(shape).total
    assert 0.3 < once.flops / once.six_n_d < 1.5
    assert once.encoder_tokens + once.decoder_tokens == pytest.approx(1.07e6, rel=0.05)


def test_operations_per_parameter_and_token_hardly_depend_on_the_size():
    """Laws take C for k N D: from 0.5 to 5 million parameters, mostly tables, k must be one number."""
    widths = {48: 2, 64: 2, 96: 3, 128: 4, 192: 4}
    shapes = [shape_of(d_model=d, d_ff=2 * d, num_layers=n, vocab_size=9344) for d, n in widths.items()]
    found = [training(shape, 1e6) for shape in shapes]
    k = [each.flops / (each.parameters * 1e6) for each in found]
    assert max(k) / min(k) < 1.15


def test_rows_are_filled_by_their_scarcer_side():
    load = packed_load(4, 512, 312, DenoiseConfig())
    assert load.documents == pytest.approx(4 * 3.35, rel=0.1)
    assert load.encoder_pairs > load.cross_pairs > load.decoder_pairs > 0
    assert masked_load(load, 4).encoder_pairs == 4 * 512**2
    assert packed_load(4, 512, 10_000).documents == pytest.approx(packed_load(4, 512, 5_000).documents)


def test_memory_of_devices_and_of_layers_made_again():
    shape = shape_of(d_model=512, num_layers=8, d_ff=2048)
    one = training_memory(shape, ROWS, LOAD, optimizer="adamw")
    many = training_memory(shape, ROWS, LOAD, optimizer="adamw", devices=8)
    assert many.weights * 8 == one.weights and many.optimizer * 8 == one.optimizer and many.gathered > one.gathered == 0
    assert many.total < one.total and many.activations == one.activations
    again = training_memory(shape, ROWS, LOAD, optimizer="adamw", checkpointing=True)
    assert again.activations < one.activations and again.weights == one.weights
    assert training_memory(shape, ROWS, LOAD, optimizer="adamw", accumulates=True).total >= one.total
    assert one.total < one.weights + one.gradients + one.optimizer + one.activations + one.loss + one.overhead


def test_logits_exist_by_the_chunk():
    shape = shape_of()
    assert loss_peak(shape, 10_000) == loss_peak(shape, 2_000) > loss_peak(shape, CHUNK) > loss_peak(shape, 100)
