"""A grown model computes what the small one computes, in every architecture of the family, and then learns more."""

import copy

import pytest
import torch
from tolerances import PARITY

from rot5.model.growth import grow
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration

T5 = {"position_encoding": "relative_bias", "parametrization": "t5", "relative_attention_num_buckets": 4,
      "relative_attention_max_distance": 6}  # fmt: skip
VARIANTS = {
    "rope": {},
    "relative bias": {"position_encoding": "relative_bias"},
    "multi-head relu": {"num_key_value_heads": 4, "feed_forward_proj": "relu"},
    "multi-query": {"num_key_value_heads": 1, "num_heads": 3},
    "QK-norm": {"qk_norm": True},
    "untied": {"tie_word_embeddings": False},
    "scaled outputs": {"scale_decoder_outputs": True},
    "T5": {**T5, "num_key_value_heads": 4, "feed_forward_proj": "relu"},
    "T5 untied": {**T5, "tie_word_embeddings": False},
    "T5 unscaled outputs": {**T5, "scale_decoder_outputs": False},
    "experts": {"num_experts": 4, "num_experts_per_tok": 2, "num_shared_experts": 1},
}
WIDER = {"d_ff": 64, "num_heads": 12, "num_key_value_heads": 12, "d_model": 56}
DEEPER = {"num_layers": 5, "num_decoder_layers": 4}
CHANGES = {
    "d_ff": {"d_ff": 72},
    "heads": {"num_heads": 12},
    "key-value heads": {"num_heads": 12, "num_key_value_heads": 4},
    "one key-value head per head": {"num_heads": 12, "num_key_value_heads": None},
    "d_model": {"d_model": 56},
    "layers": DEEPER,
    "all sizes": WIDER | DEEPER,
}
UPCYCLING = {
    "top-1": {"num_experts": 4},
    "top-2": {"num_experts": 4, "num_experts_per_tok": 2},
    "top-3 of 3": {"num_experts": 3, "num_experts_per_tok": 3},
    "every second layer": {"num_experts": 4, "encoder_sparse_step": 2, "decoder_sparse_step": 2},
    "decoder alone": {"num_experts": 8, "encoder_sparse_step": 0},
    "all sizes too": {"num_experts": 4, "num_experts_per_tok": 2, "decoder_sparse_step": 2} | WIDER | DEEPER,
}
MORE_EXPERTS = [
    (1, {"num_experts": 8}),
    (1, {"num_experts": 12}),
    (1, {"num_experts": 12, "num_experts_per_tok": 2}),
    (1, {"num_experts": 8, "num_experts_per_tok": 2}),
    (2, {"num_experts": 8, "num_experts_per_tok": 4}),
    (2, {"num_experts": 12, "num_experts_per_tok": 6}),
    (2, {"num_experts": 8, "num_experts_per_tok": 4} | WIDER | DEEPER),
]


def crossed(variants: dict, changes: dict, every: tuple[str, ...], whole: str) -> list:
    """Each change of each variant; slow are all but the `whole` of each and all of `every`."""
    return [
        pytest.param(
            settings, change, id=f"{name}-{what}".replace(" ", "-"),
            marks=() if name in every or what == whole else pytest.mark.slow,
        )
        for name, settings in variants.items()
        for what, change in changes.items()
    ]  # fmt: skip


def named(cases: dict) -> dict:
    """Arguments of a parametrization by the cases' names."""
    return {"argvalues": cases.values(), "ids": [name.replace(" ", "-") for name in cases]}


@pytest.fixture
def trained(tiny_model):
    """Makes a small model whose norms, biases and routers are far from where they begin and whose epsilon matters."""

    def make(**settings) -> Rot5ForConditionalGeneration:
        model = tiny_model(**{"layer_norm_epsilon": 0.05, **settings})
        with torch.no_grad():
            for name, weight in model.state_dict().items():
                if "norm" in name or "relative_bias" in name:
                    weight.add_(0.3 * torch.randn_like(weight))
                if "router.weight" in name:
                    weight.add_(2.0 * torch.randn_like(weight))
                if "selection_bias" in name:
                    weight.add_(0.5 * torch.randn_like(weight))
        return model

    return make


def ragged() -> dict[str, torch.Tensor]:
    """Three inputs and targets of different lengths, padded behind."""
    generator = torch.Generator().manual_seed(3)

    def padded(lengths: list[int], width: int) -> tuple[torch.Tensor, torch.Tensor]:
        mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
        return torch.randint(3, 96, mask.shape, generator=generator) * mask, mask

    source, source_mask = padded([9, 3, 6], 9)
    target, target_mask = padded([4, 7, 1], 7)
    return {
        "input_ids": source,
        "attention_mask": source_mask,
        "decoder_input_ids": target,
        "decoder_attention_mask": target_mask,
    }


def packed() -> dict[str, torch.Tensor]:
    """The same documents in one row, with padding."""

    def row(ids: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        lengths, padding = mask.sum(dim=1), torch.zeros(2, dtype=torch.long)
        segments = torch.arange(1, len(ids) + 1).repeat_interleave(lengths)
        positions = torch.cat([torch.arange(int(length)) for length in lengths])
        return [torch.cat((part, padding))[None] for part in (ids[mask.bool()], segments, positions)]

    batch = ragged()
    ids, segments, positions = row(batch["input_ids"], batch["attention_mask"])
    targets, target_segments, target_positions = row(batch["decoder_input_ids"], batch["decoder_attention_mask"])
    return {
        "input_ids": ids,
        "encoder_segment_ids": segments,
        "encoder_positions": positions,
        "decoder_input_ids": targets,
        "decoder_segment_ids": target_segments,
        "decoder_positions": target_positions,
    }


@torch.inference_mode()
def assert_same_function(grown: Rot5ForConditionalGeneration, model: Rot5ForConditionalGeneration):
    """Logits of padded and of packed documents, and what is generated greedily behind a cache."""
    for batch, real in (
        (ragged(), ragged()["decoder_attention_mask"].bool()),
        (packed(), packed()["decoder_segment_ids"] != 0),
    ):
        expected = model(**batch).logits[real]
        assert expected.std() > 0.1, "logits too small to tell models apart"
        tolerance = PARITY * max(1.0, expected.std().item())
        torch.testing.assert_close(grown(**batch).logits[real], expected, rtol=0, atol=tolerance)
    inputs = {key: ragged()[key] for key in ("input_ids", "attention_mask")}
    found, expected = (each.generate(**inputs, max_new_tokens=8, do_sample=False) for each in (grown, model))
    assert torch.equal(found, expected)


def losses(model: Rot5ForConditionalGeneration, steps: int, learning_rate: float = 3e-3) -> list[float]:
    """Train on one batch; the language-model loss at each step."""
    batch = ragged()
    labels = batch["decoder_input_ids"].roll(-1, dims=1).masked_fill(batch["decoder_attention_mask"] == 0, -100)
    optimizer, found = torch.optim.Adam(model.parameters(), learning_rate), []
    for _ in range(steps):
        optimizer.zero_grad()
        output = model(**batch, labels=labels)
        output.loss.backward()
        optimizer.step()
        found.append(output.lm_loss.item())
    return found


@pytest.mark.parametrize(("settings", "changes"), crossed(VARIANTS, CHANGES, ("rope", "T5"), "all sizes"))
def test_the_function_stays(trained, settings, changes):
    model = trained(**settings)
    grown = grow(model, **changes)
    for name, value in changes.items():
        assert getattr(grown.config, name) == (12 if value is None else value)
    assert_same_function(grown, model)


DENSE = {name: VARIANTS[name] for name in ("rope", "T5", "T5 untied", "QK-norm")}


@pytest.mark.parametrize(("settings", "changes"), crossed(DENSE, UPCYCLING, ("rope",), "all sizes too"))
def test_a_dense_model_gains_experts(trained, settings, changes):
    model = trained(**settings)
    grown = grow(model, **changes)
    assert grown.config.router_scaling_factor == changes["num_experts"] / changes.get("num_experts_per_tok", 1)
    assert list(grown.routers())
    assert_same_function(grown, model)


@pytest.mark.parametrize(("choices", "changes"), MORE_EXPERTS, ids=str)
def test_a_sparse_model_gains_experts(trained, choices, changes):
    """Each router's choice rests on probabilities and on biases that matter; gates are scaled already."""
    model = trained(num_experts=4, num_experts_per_tok=choices, num_shared_experts=1, router_scaling_factor=2.5)
    assert_same_function(grow(model, **changes), model)


@pytest.mark.parametrize(
    ("before", "after"),
    [((4, 2), (4, 4)), ((6, 2), (6, 6)), ((6, 2), (8, 4)), ((4, 4), (8, 4)), ((4, 2), (6, 3)), ((4, 1), (9, 3)),
     ((6, 3), (9, 9)), ((5, 1), (6, 3))],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("position_encoding", ["rope", "relative_bias"])
def test_every_head_keeps_its_key_value_head(trained, position_encoding, before, after):
    heads = ("num_heads", "num_key_value_heads")
    model = trained(position_encoding=position_encoding, **dict(zip(heads, before, strict=True)))
    assert_same_function(grow(model, **dict(zip(heads, after, strict=True))), model)


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"num_layers": 4, "encoder_sparse_step": 0, "decoder_sparse_step": 1}, True),
        ({"num_layers": 4, "encoder_sparse_step": 3, "decoder_sparse_step": 1}, False),
        ({"num_layers": 1, "encoder_sparse_step": 2, "decoder_sparse_step": 1}, False),
    ],
)
def test_layers_are_added_where_the_pattern_of_experts_stays(trained, settings, kept):
    model = trained(num_experts=4, **settings)
    if kept:
        return assert_same_function(grow(model, num_layers=6), model)
    with pytest.raises(ValueError, match=f"encoder_sparse_step {settings['encoder_sparse_step']}"):
        grow(model, num_layers=6)
    assert_same_function(grow(model, num_decoder_layers=6), model)


def test_new_layers_stand_behind_what_they_copy(trained):
    model = trained()
    grown = grow(model, num_decoder_layers=5)
    for layer, source in zip(grown.decoder.layers, (0, 0, 1, 1, 2), strict=True):
        assert torch.equal(layer.self_attn.q_proj.weight, model.decoder.layers[source].self_attn.q_proj.weight)
    silent = [not layer.mlp.down_proj.weight.any() for layer in grown.decoder.layers]
    assert silent == [False, True, False, True, False]


NEW_UNITS = {
    "d_ff": ({"d_ff": 72}, {"down_proj": (-1, 48, 0), "up_proj": (-2, 48, 1), "gate_proj": (-2, 48, 1)}),
    "heads": (
        {"num_heads": 6, "num_key_value_heads": 3},
        {
            "o_proj": (-1, 32, 0), "q_proj": (-2, 32, 1), "k_proj": (-2, 16, 1), "v_proj": (-2, 16, 1),
            "relative_bias": (-1, 4, 1),
        },
    ),
    "d_model": (
        {"d_model": 56},
        {
            "shared": (-1, 32, 0), "o_proj": (-2, 32, 0), "down_proj": (-2, 32, 0),
            "q_proj": (-1, 32, 1), "k_proj": (-1, 32, 1), "v_proj": (-1, 32, 1), "up_proj": (-1, 32, 1),
            "gate_proj": (-1, 32, 1), "router": (-1, 32, 1), "lm_head": (-1, 32, 1), "norm": (-1, 32, 1),
            "self_attn_norm": (-1, 32, 1), "cross_attn_norm": (-1, 32, 1), "mlp_norm": (-1, 32, 1),
        },
    ),
}  # fmt: skip
"""Where each kind of weight has new units (axis, first index), and how many updates come before their gradient."""


@pytest.mark.parametrize(
    "settings",
    [{}, {"tie_word_embeddings": False}, {"num_experts": 4, "num_experts_per_tok": 4}],
    ids=["tied", "untied", "experts"],
)
@pytest.mark.parametrize(("changes", "places"), **named(NEW_UNITS))
def test_gradients_reach_all_that_is_wider(trained, changes, places, settings):
    """What writes zeros is reached at once, what reads or is read by zeros after one update.

    One exception: what the decoder's last feed-forward writes to new features is read by the head alone, which is zero
    there as long as it is the embedding.
    """
    relative = {"position_encoding": "relative_bias", "relative_attention_num_buckets": 4}
    grown = grow(trained(relative_attention_max_distance=6, **relative, **settings), **changes).train()
    last, seen = "decoder.layers.2.mlp.", set()
    for updates in (0, 1):
        losses(grown, 1)
        for name, parameter in grown.named_parameters():
            kind = name.removesuffix(".weight").rpartition(".")[2]
            if kind not in places:
                continue
            seen.add(kind)
            axis, first, needed = places[kind]
            if "d_model" in changes and grown.config.tie_word_embeddings and name.startswith(last):
                needed = 1
            gradient = parameter.grad.movedim(axis, 0)[first:]
            reached = gradient.reshape(len(gradient), -1).any(dim=1)
            assert len(reached) and (reached.all() if updates >= needed else not reached.any()), (name, updates)
    assert set(places) - seen <= {"lm_head", "router"}


def test_gradients_reach_new_layers(trained):
    """The projections that are zero at once, all else after one update."""
    grown = grow(trained(), num_layers=3, num_decoder_layers=4).train()
    for updates in (0, 1):
        losses(grown, 1)
        for layer in (grown.encoder.layers[1], grown.decoder.layers[1]):
            for name, parameter in layer.named_parameters():
                at_once = "o_proj" in name or "down_proj" in name
                assert bool(parameter.grad.any()) == (at_once or updates == 1), (name, updates)


@pytest.mark.parametrize("choices", [1, 2])
def test_experts_grow_apart(trained, choices):
    """The router learns from the language-model loss at once; experts come to differ and none takes all the load."""
    grown = grow(trained(), num_experts=4, num_experts_per_tok=choices).train()
    generator = torch.Generator().manual_seed(0)
    inputs, labels = (torch.randint(3, 96, (16, length), generator=generator) for length in (24, 20))
    grown(input_ids=inputs, labels=labels).lm_loss.backward()
    assert all((router.weight.grad != 0).all() for _, router in grown.routers())
    optimizer = torch.optim.Adam(grown.parameters(), 3e-3)
    found = []
    for _ in range(10):
        optimizer.zero_grad()
        grown.end_step()
        output = grown(input_ids=inputs, labels=labels)
        output.loss.backward()
        optimizer.step()
        found.append(output.lm_loss.item())
        metrics = grown.routing_metrics()
        assert all(value < 0.95 * 4 / choices for name, value in metrics.items() if "max_load" in name), metrics
    assert not any(value for name, value in metrics.items() if "dead_experts" in name), metrics
    assert found[-1] < found[0]
    for layer in (*grown.encoder.layers, *grown.decoder.layers):
        up = layer.mlp.experts.up_proj
        assert all((up[i] - up[j]).abs().max() > 1e-3 for i in range(4) for j in range(i))


@pytest.mark.parametrize("changes", [WIDER | DEEPER, {"num_experts": 4} | WIDER | DEEPER], ids=["dense", "experts"])
def test_a_grown_model_learns(trained, changes):
    model = trained()
    grown = grow(model, **changes, dropout_rate=0.1)
    assert grown.config.dropout_rate == 0.1
    found = losses(grown.train(), 10)
    assert found[-1] < 0.8 * found[0]
    with torch.inference_mode():
        assert (grown.eval()(**ragged()).logits - model(**ragged()).logits).abs().max() > 0.1


@pytest.mark.parametrize("changes", [{}, WIDER | DEEPER, DEEPER, {"num_experts": 4}], ids=str)
def test_the_old_model_is_untouched(trained, changes):
    model = trained()
    config, before = model.config.to_dict(), copy.deepcopy(model.state_dict())
    grown = grow(model, **changes)
    with torch.no_grad():
        for weight in grown.state_dict().values():
            weight.add_(1)
    assert model.config.to_dict() == config and not model.training
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    places = [parameter.data_ptr() for parameter in grown.parameters()]
    assert len(set(places)) == len(places), "weights of the grown model share memory"


@pytest.mark.parametrize("settings", [{}, {"tie_word_embeddings": False}, {"num_experts": 4}], ids=str)
def test_mode_precision_ties_and_generation_settings_stay(trained, settings):
    model = trained(**settings).train()
    model.generation_config.num_beams = 3
    grown = grow(model, **WIDER)
    assert grown.training and not grow(model.eval()).training
    assert grown.generation_config.num_beams == 3
    assert grown.generation_config is not model.generation_config
    assert (grown.lm_head.weight is grown.shared.weight) == model.config.tie_word_embeddings
    assert grown.encoder.embed_tokens.weight is grown.decoder.embed_tokens.weight is grown.shared.weight
    half = grow(model.to(torch.bfloat16), **WIDER, **({} if settings else {"num_experts": 4}))
    for name, weight in half.state_dict().items():
        is_bias = "selection_bias" in name
        new_router = not settings and "router" in name
        assert weight.dtype == (torch.float32 if is_bias or new_router else torch.bfloat16), name


def test_the_generator_decides(trained):
    model = trained()

    def grown(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return grow(model, **WIDER, num_experts=4).encoder.layers[0].self_attn.q_proj.weight

    assert torch.equal(grown(1), grown(1)) and not torch.equal(grown(1), grown(2))


@pytest.mark.parametrize("settings", [{}, {**T5, "tie_word_embeddings": False}], ids=["rope", "T5 untied"])
@pytest.mark.parametrize("changes", [WIDER | DEEPER, {"num_experts": 4} | WIDER | DEEPER], ids=["dense", "experts"])
def test_saved_and_loaded(trained, settings, changes, tmp_path):
    model = trained(**settings)
    grown = grow(model, **changes)
    grown.save_pretrained(tmp_path)
    again = Rot5ForConditionalGeneration.from_pretrained(tmp_path)
    assert again.config.to_diff_dict() == grown.config.to_diff_dict()
    for name, weight in grown.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), name
    assert_same_function(again, model)
    assert_same_function(grow(again, d_model=64, d_ff=80), model)


def test_growing_twice(trained):
    model = trained(qk_norm=True)
    step = grow(model, num_heads=8, d_model=48, num_experts=4)
    assert_same_function(grow(step, d_model=64, d_ff=64, num_layers=4, num_experts=8), model)


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        ({}, {"d_ff": 40}, "grow cannot shrink d_ff from 48 to 40"),
        ({}, {"d_model": 24}, "grow cannot shrink d_model from 32 to 24"),
        ({}, {"num_layers": 1}, "grow cannot shrink num_layers from 2 to 1"),
        ({}, {"num_decoder_layers": None}, "grow cannot shrink num_decoder_layers from 3 to 2"),
        ({}, {"num_heads": 2}, "grow cannot shrink num_heads from 4 to 2"),
        ({"num_experts": 4}, {"num_experts": 0}, "grow cannot shrink num_experts from 4 to 0"),
        ({}, {"d_modle": 64}, "d_modle to 64: Rot5Config has no such field"),
        ({}, {"hidden_size": 64}, "hidden_size to 64: Rot5Config has no such field"),
        ({}, {"d_kv": 16}, "grow cannot change d_kv from 8 to 16"),
        ({}, {"vocab_size": 128}, "grow cannot change vocab_size from 96 to 128: use resize_token_embeddings"),
        ({}, {"position_encoding": "relative_bias"}, "position_encoding from 'rope' to 'relative_bias'"),
        ({}, {"qk_norm": True}, "grow cannot change qk_norm from False to True"),
        ({}, {"parametrization": "t5"}, "grow cannot change parametrization from 'rot5' to 't5'"),
        ({}, {"tie_word_embeddings": False}, "grow cannot change tie_word_embeddings from True to False"),
        ({}, {"feed_forward_proj": "relu"}, "feed_forward_proj from 'gated-gelu' to 'relu'"),
        ({}, {"layer_norm_epsilon": 1e-5}, "layer_norm_epsilon from 0.05 to 1e-05: it follows from the others"),
        ({}, {"num_experts": 4, "router_scaling_factor": 2.0}, "router_scaling_factor from 1.0 to 2.0"),
        ({}, {"num_heads": 7}, "num_heads (7) must be a multiple of num_key_value_heads (2)"),
        ({}, {"d_ff": "wide"}, "'d_ff' expected int, got str"),
        ({"num_heads": 6}, {"num_key_value_heads": 3}, "num_heads 6 with num_key_value_heads 3 leaves 2 heads"),
        ({"num_heads": 8}, {"num_heads": 9, "num_key_value_heads": 3}, "8 heads, 4 to each of 2, would need 4"),
        ({}, {"num_experts": 4, "num_shared_experts": 1}, "with num_shared_experts 1"),
        ({"num_experts": 4}, {"num_shared_experts": 1}, "grow cannot change num_shared_experts from 0 to 1"),
        ({"num_experts": 4}, {"encoder_sparse_step": 2}, "grow cannot change encoder_sparse_step from 1 to 2"),
        ({"num_experts": 4}, {"num_experts": 6}, "num_experts can grow from 4 to a multiple of it, not to 6"),
        ({"num_experts": 4}, {"num_experts_per_tok": 2}, "num_experts_per_tok from 1 to 2"),
        ({"num_experts": 4}, {"num_experts": 8, "num_experts_per_tok": 3}, "num_experts_per_tok from 1 to 3"),
        (
            {"num_experts": 4, "num_experts_per_tok": 2},
            {"num_experts": 8},
            "num_experts cannot grow from 4 to 8 with num_experts_per_tok from 2 to 2",
        ),
        ({"num_experts": 4, "num_experts_per_tok": 2}, {"num_experts_per_tok": 1}, "num_experts_per_tok from 2 to 1"),
    ],
)
def test_refusals(trained, settings, changes, message):
    with pytest.raises(ValueError) as refusal:
        grow(trained(**settings), **changes)
    assert message in str(refusal.value)
