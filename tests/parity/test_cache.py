"""Decoding behind a cache gives what decoding without one gives, in every architecture of the family."""

import pytest
import torch
from tolerances import PARITY
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

VARIANTS = {
    "rope": {},
    "no cross positions": {"cross_position_encoding": "none"},
    "continuous": {"cross_position_encoding": "continuous"},
    "linear scaling": {"rope_parameters": {"rope_type": "linear", "factor": 3.0}},
    "dynamic scaling": {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}, "max_position_embeddings": 4},
    "dynamic and continuous": {
        "rope_parameters": {"rope_type": "dynamic", "factor": 2.0},
        "max_position_embeddings": 4,
        "cross_position_encoding": "continuous",
    },
    "relative bias": {"position_encoding": "relative_bias", "relative_attention_num_buckets": 4,
                      "relative_attention_max_distance": 6},
    "T5": {"position_encoding": "relative_bias", "parametrization": "t5", "num_key_value_heads": 4,
           "feed_forward_proj": "relu"},
    "multi-query": {"num_key_value_heads": 1},
    "multi-head": {"num_key_value_heads": 4},
    "QK-norm": {"qk_norm": True},
    "experts": {"num_experts": 4, "num_experts_per_tok": 2, "num_shared_experts": 1},
    "experts with a capacity": {"num_experts": 4, "expert_capacity_factor": 1.0},
    "untied": {"tie_word_embeddings": False},
}  # fmt: skip


@pytest.fixture(params=VARIANTS, ids=lambda name: name.replace(" ", "-"))
def model(request, tiny_model):
    """A model of each architecture, its norms and biases moved away from where they begin."""
    made = tiny_model(**VARIANTS[request.param])
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "norm" in name or "relative_bias" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return made


def sources() -> dict[str, torch.Tensor]:
    """Three inputs of different lengths, padded behind."""
    generator = torch.Generator().manual_seed(3)
    mask = (torch.arange(9) < torch.tensor([[9], [3], [6]])).long()
    return {"input_ids": torch.randint(3, 96, (3, 9), generator=generator) * mask, "attention_mask": mask}


def prompts() -> dict[str, torch.Tensor]:
    """Decoder prompts of different lengths, padded in front."""
    mask = (torch.arange(4) >= torch.tensor([[0], [2], [1]])).long()
    return {"decoder_input_ids": torch.arange(10, 22).view(3, 4) * mask, "decoder_attention_mask": mask}


@torch.inference_mode()
@pytest.mark.parametrize("chunks", [(1, 1, 2, 1, 3)], ids=str)
@pytest.mark.parametrize("prompted", [False, True])
def test_logits_step_by_step(model, chunks, prompted):
    """Tokens fed one or several at a time, against the prefix run as a whole."""
    targets = torch.randint(3, 96, (3, 8), generator=torch.Generator().manual_seed(4))
    mask = torch.ones_like(targets)
    if prompted:
        mask[:, :4] = prompts()["decoder_attention_mask"]
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    encoded = model.encoder(**sources())
    done = 0
    for size in chunks:
        first, done = done, done + size
        step = model(
            encoder_outputs=encoded,
            attention_mask=sources()["attention_mask"],
            decoder_input_ids=targets[:, first:done],
            decoder_attention_mask=mask[:, :done] if prompted else None,
            past_key_values=cache,
        )
        whole = model(
            **sources(),
            decoder_input_ids=targets[:, :done],
            decoder_attention_mask=mask[:, :done] if prompted else None,
            use_cache=False,
        )
        real = mask[:, first:done].bool()
        torch.testing.assert_close(step.logits[real], whole.logits[:, first:done][real], rtol=0, atol=PARITY)
    keys = cache.self_attention_cache.layers[0].keys
    assert keys.shape == (3, model.config.num_key_value_heads, 8, model.config.d_kv)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("prompted", [False, True])
def test_generated_tokens(model, beams, prompted):
    """Greedy and beam search with padded inputs, from the start token or from prompts."""
    settings = {
        "max_new_tokens": 8,
        "num_beams": beams,
        "num_return_sequences": beams,
        "return_dict_in_generate": True,
        "output_scores": True,
        "do_sample": False,
    }
    inputs = sources() | (prompts() if prompted else {})
    found, expected = (model.generate(**inputs, **settings, use_cache=use_cache) for use_cache in (True, False))
    assert torch.equal(found.sequences, expected.sequences)
    for one, other in zip(found.scores, expected.scores, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=10 * PARITY)


def test_an_assistant_changes_nothing(model, tiny_model):
    """Assisted decoding drafts several tokens, checks them at once and cuts the cache back."""
    inputs = {"input_ids": sources()["input_ids"][:1]}
    assistant = tiny_model(num_layers=1, num_decoder_layers=1)
    expected = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    found = model.generate(**inputs, max_new_tokens=12, do_sample=False, assistant_model=assistant)
    assert torch.equal(found, expected)


def test_packing_changes_nothing(model):
    """Each document alone gives what it gives in a packed row beside others."""
    inputs, targets = sources(), torch.randint(3, 96, (3, 5), generator=torch.Generator().manual_seed(5))
    lengths = inputs["attention_mask"].sum(dim=1).tolist()
    with torch.inference_mode():
        alone = torch.cat([
            model(input_ids=inputs["input_ids"][i : i + 1, :length], decoder_input_ids=targets[i : i + 1]).logits[0]
            for i, length in enumerate(lengths)
        ])  # fmt: skip
        together = model(
            input_ids=torch.cat([inputs["input_ids"][i, :length] for i, length in enumerate(lengths)])[None],
            encoder_segment_ids=torch.arange(1, 4).repeat_interleave(torch.tensor(lengths))[None],
            encoder_positions=torch.cat([torch.arange(length) for length in lengths])[None],
            decoder_input_ids=targets.flatten()[None],
            decoder_segment_ids=torch.arange(1, 4).repeat_interleave(5)[None],
            decoder_positions=torch.arange(5).repeat(3)[None],
        ).logits[0]
    torch.testing.assert_close(together, alone, rtol=0, atol=PARITY)
