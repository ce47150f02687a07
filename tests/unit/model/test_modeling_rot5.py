"""What must not change the model's output: padding, packing, caching, the backend, the place in a row."""

import pickle

import pytest
import torch
from tolerances import BF16, PARITY
from transformers import AutoModelForSeq2SeqLM
from transformers.modeling_outputs import BaseModelOutput

BACKENDS = ["sdpa", "per_document"]
DOCUMENTS = [(7, 3), (12, 5), (1, 1), (20, 9), (5, 6)]
"""Lengths of inputs and targets."""


def documents(seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        tuple(torch.randint(3, 96, (1, length), generator=generator) for length in lengths) for lengths in DOCUMENTS
    ]


def packed(rows: list[list[int]], encoder_length: int, decoder_length: int) -> dict[str, torch.Tensor]:
    """Documents laid into rows by hand, with padding behind."""
    pairs = documents()
    names = ("input_ids", "encoder_segment_ids", "encoder_positions")
    names += ("decoder_input_ids", "decoder_segment_ids", "decoder_positions")
    sizes = [encoder_length] * 3 + [decoder_length] * 3
    fields = {name: torch.zeros(len(rows), size, dtype=torch.long) for name, size in zip(names, sizes, strict=True)}
    for r, row in enumerate(rows):
        at = [0, 0]
        for segment, document in enumerate(row, start=1):
            for side, (ids, segments, positions) in enumerate((names[:3], names[3:])):
                text = pairs[document][side][0]
                place = slice(at[side], at[side] + len(text))
                fields[ids][r, place] = text
                fields[segments][r, place] = segment
                fields[positions][r, place] = torch.arange(len(text))
                at[side] += len(text)
    return fields


ROWS = [[0, 1, 2], [4], [3, 2, 0]]


@pytest.mark.parametrize("attention_backend", BACKENDS)
@pytest.mark.parametrize("cross_position_encoding", ["none", "aligned"])
def test_packed_logits_equal_unpacked(tiny_model, attention_backend, cross_position_encoding):
    model = tiny_model(attention_backend=attention_backend, cross_position_encoding=cross_position_encoding)
    logits = model(**packed(ROWS, 40, 16)).logits
    assert logits.isfinite().all()
    for r, row in enumerate(ROWS):
        start = 0
        for document in row:
            source, target = documents()[document]
            alone = model(input_ids=source, decoder_input_ids=target).logits[0]
            torch.testing.assert_close(logits[r, start : start + len(alone)], alone, rtol=0, atol=PARITY)
            start += len(alone)


@pytest.mark.parametrize("attention_backend", BACKENDS)
def test_full_rows_without_encoder_padding(tiny_model, attention_backend):
    """Decoder padding beside a full encoder row has nothing to look at, and must stay finite."""
    model = tiny_model(attention_backend=attention_backend).train()
    fields = packed([[0, 1, 2]], 20, 16)
    labels = fields["decoder_input_ids"].masked_fill(fields["decoder_segment_ids"] == 0, -100)
    model(**fields, labels=labels).loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_gradients_do_not_depend_on_the_backend(tiny_model):
    gradients = []
    for backend in BACKENDS:
        model = tiny_model(attention_backend=backend).train()
        fields = packed(ROWS, 40, 16)
        labels = fields["decoder_input_ids"].masked_fill(fields["decoder_segment_ids"] == 0, -100)
        model(**fields, labels=labels).loss.backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=PARITY)


def test_bfloat16_is_near(tiny_model):
    fields = packed(ROWS, 40, 16)
    real = fields["decoder_segment_ids"] > 0
    for backend in BACKENDS:
        model = tiny_model(attention_backend=backend)
        expected = model(**fields).logits[real]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = model(**fields).logits[real].float()
        assert (found - expected).norm() / expected.norm() < BF16


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(tiny_model, side):
    model = tiny_model()
    source, target = documents()[0]
    alone = model(input_ids=source, decoder_input_ids=target).logits
    padding = torch.full((1, 4), 5)
    mask = torch.ones_like(source)
    hidden = torch.zeros_like(padding)
    order = (lambda a, b: torch.cat([b, a], 1)) if side == "left" else (lambda a, b: torch.cat([a, b], 1))
    found = model(input_ids=order(source, padding), attention_mask=order(mask, hidden), decoder_input_ids=target).logits
    torch.testing.assert_close(found, alone, rtol=0, atol=PARITY)


def test_a_decoder_padded_on_the_left(tiny_model):
    model = tiny_model()
    source, target = documents()[0]
    alone = model(input_ids=source, decoder_input_ids=target).logits
    mask = torch.cat([torch.zeros(1, 2, dtype=torch.long), torch.ones_like(target)], 1)
    padded = torch.cat([torch.zeros(1, 2, dtype=torch.long), target], 1)
    found = model(input_ids=source, decoder_input_ids=padded, decoder_attention_mask=mask).logits[:, 2:]
    torch.testing.assert_close(found, alone, rtol=0, atol=PARITY)


def test_only_distances_count(tiny_model):
    """Shifting all positions of a document, encoder and decoder alike, changes nothing."""
    model = tiny_model()
    fields = packed(ROWS, 40, 16)
    shifted = dict(fields)
    for name in ("encoder_positions", "decoder_positions"):
        shifted[name] = fields[name] + 17
    real = fields["decoder_segment_ids"] > 0
    torch.testing.assert_close(model(**shifted).logits[real], model(**fields).logits[real], rtol=0, atol=PARITY)
    moved = dict(fields, encoder_positions=fields["encoder_positions"] + 17)
    assert (model(**moved).logits[real] - model(**fields).logits[real]).abs().max() > 100 * PARITY


def test_no_position_in_cross_attention_means_none(tiny_model):
    model = tiny_model(cross_position_encoding="none")
    fields = packed(ROWS, 40, 16)
    moved = dict(fields, encoder_positions=fields["encoder_positions"] + 17)
    real = fields["decoder_segment_ids"] > 0
    torch.testing.assert_close(model(**moved).logits[real], model(**fields).logits[real], rtol=0, atol=PARITY)


def test_later_targets_are_not_seen(tiny_model):
    model = tiny_model()
    source, target = documents()[3]
    changed = target.clone()
    changed[0, 5:] = 7
    before = model(input_ids=source, decoder_input_ids=target).logits[:, :5]
    after = model(input_ids=source, decoder_input_ids=changed).logits[:, :5]
    torch.testing.assert_close(after, before, rtol=0, atol=PARITY)


@pytest.mark.parametrize("cross_position_encoding", ["none", "aligned"])
def test_cached_logits_equal_uncached(tiny_model, cross_position_encoding):
    model = tiny_model(cross_position_encoding=cross_position_encoding)
    source = torch.randint(3, 96, (3, 9))
    mask = (torch.arange(9) < torch.tensor([9, 4, 6])[:, None]).long()
    target = torch.randint(3, 96, (3, 6))
    whole = model(input_ids=source, attention_mask=mask, decoder_input_ids=target).logits
    memory = model.encoder(input_ids=source, attention_mask=mask)
    cache, parts = None, []
    for piece in (target[:, :2], target[:, 2:3], target[:, 3:6]):
        output = model(
            encoder_outputs=memory,
            attention_mask=mask,
            decoder_input_ids=piece,
            past_key_values=cache,
            use_cache=True,
        )
        cache = output.past_key_values
        parts.append(output.logits)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=0, atol=PARITY)
    assert cache.self_attention_cache.layers[0].keys.shape[1] == model.config.num_key_value_heads


@pytest.mark.parametrize("settings", [{"num_beams": 1}, {"num_beams": 3}])
def test_generation_with_and_without_cache(tiny_model, settings):
    model = tiny_model(initializer_factor=3.0)
    source = torch.randint(3, 96, (3, 9))
    mask = (torch.arange(9) < torch.tensor([9, 4, 6])[:, None]).long()
    answers = [
        model.generate(source, attention_mask=mask, max_new_tokens=8, do_sample=False, use_cache=cached, **settings)
        for cached in (True, False)
    ]
    assert torch.equal(*answers)
    assert len(answers[0].unique()) > 3


def test_attention_maps(tiny_model):
    model = tiny_model()
    source, target = documents()[3]
    plain = model(input_ids=source, decoder_input_ids=target)
    output = model(
        input_ids=source, decoder_input_ids=target, output_attentions=True, output_hidden_states=True, use_cache=False
    )
    torch.testing.assert_close(output.logits, plain.logits, rtol=0, atol=PARITY)
    assert [tuple(weights.shape) for weights in output.encoder_attentions] == [(1, 4, 20, 20)] * 2
    assert [tuple(weights.shape) for weights in output.cross_attentions] == [(1, 4, 9, 20)] * 3
    assert len(output.decoder_hidden_states) == 4
    for weights in (*output.encoder_attentions, *output.decoder_attentions, *output.cross_attentions):
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]), rtol=0, atol=PARITY)
    assert output.decoder_attentions[0].triu(1).abs().max() == 0


def test_gradient_checkpointing_changes_nothing(tiny_model):
    gradients = []
    for checkpointing in (False, True):
        model = tiny_model().train()
        if checkpointing:
            model.gradient_checkpointing_enable()
        fields = packed(ROWS, 40, 16)
        labels = fields["decoder_input_ids"].masked_fill(fields["decoder_segment_ids"] == 0, -100)
        model(**fields, labels=labels).loss.backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=PARITY)


def test_saved_and_loaded_by_the_auto_class(tiny_model, tmp_path):
    model = tiny_model()
    model.save_pretrained(tmp_path)
    again = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    assert type(again) is type(model)
    assert again.lm_head.weight is again.shared.weight is again.decoder.embed_tokens.weight
    source, target = documents()[1]
    expected = model(input_ids=source, decoder_input_ids=target).logits
    assert torch.equal(again.eval()(input_ids=source, decoder_input_ids=target).logits, expected)


def test_labels_are_shifted_behind_the_start_token(tiny_model):
    model = tiny_model()
    labels = torch.tensor([[5, 6, 1], [7, 1, -100]])
    assert model.prepare_decoder_input_ids_from_labels(labels).tolist() == [[2, 5, 6], [2, 7, 1]]
    source = torch.randint(3, 96, (2, 4))
    output = model(input_ids=source, labels=labels)
    expected = torch.nn.functional.cross_entropy(output.logits.flatten(0, 1), labels.flatten())
    torch.testing.assert_close(output.loss, expected, rtol=0, atol=PARITY)
    halved = model(input_ids=source, labels=labels, num_items_in_batch=10).loss
    torch.testing.assert_close(halved, expected / 2, rtol=0, atol=PARITY)


def test_training_never_makes_the_logits(tiny_model):
    model = tiny_model().train()
    assert model(input_ids=torch.randint(3, 96, (2, 4)), labels=torch.randint(3, 96, (2, 4))).logits is None


def test_training_on_ready_encoder_outputs_counts_the_decoder_s_experts(tiny_model):
    model = tiny_model(num_experts=4).train()
    memory = BaseModelOutput(last_hidden_state=torch.randn(2, 5, 32))
    model(encoder_outputs=memory, labels=torch.tensor([[5, 6, 7], [8, -100, -100]])).loss.backward()
    loads = {place: int(router.load_E.sum()) for place, router in model.routers()}
    assert loads == {"encoder.0": 0, "encoder.1": 0, "decoder.0": 4, "decoder.1": 4, "decoder.2": 4}


@pytest.mark.parametrize("parametrization", ["rot5", "t5"])
def test_embeddings_looked_up_outside_are_those_looked_up_inside(tiny_model, parametrization):
    model = tiny_model(parametrization=parametrization)
    ids, targets = torch.randint(3, 96, (2, 7)), torch.randint(3, 96, (2, 5))
    with torch.inference_mode():
        inside = model(input_ids=ids, decoder_input_ids=targets).logits
        look_up = model.get_input_embeddings()
        outside = model(inputs_embeds=look_up(ids), decoder_inputs_embeds=look_up(targets)).logits
    assert torch.equal(outside, inside)


@pytest.mark.parametrize("tied", [True, False])
def test_more_ids_change_nothing_for_the_old_ones(tiny_model, tied):
    model = tiny_model(tie_word_embeddings=tied)
    inputs = {"input_ids": torch.randint(3, 96, (2, 7)), "decoder_input_ids": torch.randint(3, 96, (2, 5))}
    with torch.inference_mode():
        before = model(**inputs).logits
        model.resize_token_embeddings(128)
        after = model(**inputs).logits
    torch.testing.assert_close(after[..., :96], before, rtol=0, atol=PARITY)
    assert model.encoder.embed_tokens.weight is model.shared.weight and model.shared.scale == 32**0.5


def test_checkpointing_without_labels_needs_no_cache(tiny_model):
    model = tiny_model().train()
    inputs = {"input_ids": torch.randint(3, 96, (2, 7)), "decoder_input_ids": torch.randint(3, 96, (2, 5))}
    expected = model(**inputs).logits
    model.gradient_checkpointing_enable()
    found = model(**inputs)
    found.logits.sum().backward()
    assert found.past_key_values is None
    torch.testing.assert_close(found.logits, expected, rtol=0, atol=PARITY)
    with pytest.raises(ValueError, match="use_reentrant"):
        model.gradient_checkpointing_enable({"use_reentrant": True})


def test_what_a_cache_cannot_do_is_refused(tiny_model):
    ids = torch.randint(3, 96, (1, 5))
    with pytest.raises(ValueError, match="caches of fixed size"):
        tiny_model().generate(ids, cache_implementation="static", max_new_tokens=3)
    model = tiny_model(position_encoding="relative_bias")
    first = model(input_ids=ids, decoder_input_ids=ids[:, :2])
    with pytest.raises(ValueError, match="rotary"):
        model(
            input_ids=ids,
            decoder_input_ids=ids[:, 2:3],
            decoder_positions=torch.tensor([[2]]),
            past_key_values=first.past_key_values,
        )


@pytest.mark.parametrize("feed_forward_proj", ["relu", "gelu", "gated-gelu", "silu"])
def test_models_can_be_pickled(tiny_model, feed_forward_proj):
    model = tiny_model(feed_forward_proj=feed_forward_proj)
    again = pickle.loads(pickle.dumps(model))
    ids = torch.randint(3, 96, (1, 5))
    with torch.inference_mode():
        assert torch.equal(
            again(input_ids=ids, decoder_input_ids=ids).logits, model(input_ids=ids, decoder_input_ids=ids).logits
        )


def test_router_losses_weigh_in_by_the_share_of_the_targets(tiny_model):
    model = tiny_model(num_experts=4, router_aux_loss_coef=0.25, router_z_loss_coef=0.125).train()
    batch = {"input_ids": torch.randint(3, 96, (2, 7)), "labels": torch.randint(3, 96, (2, 5))}
    whole, part = model(**batch), model(**batch, num_items_in_batch=torch.tensor(40))
    router_loss = 0.25 * whole.balance_loss + 0.125 * whole.router_z_loss
    torch.testing.assert_close(whole.loss - whole.lm_loss, router_loss, rtol=0, atol=PARITY)
    torch.testing.assert_close(part.loss - part.lm_loss, router_loss / 4, rtol=0, atol=PARITY)
