"""One attention, five ways to compute it, and Llama's and Qwen's beside them."""

import pytest
import torch
from tolerances import BF16, PARITY
from transformers import LlamaConfig, Qwen3Config
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding
from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention

from rot5.model import backends
from rot5.model.attention import Attention, Scope
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.positions import RelativeBias, rotation_table
from rot5.model.scene import Layout, scene_between

HEADS, D_KV, D_MODEL, TOKENS = 4, 8, 24, 9


def config(**settings) -> Rot5Config:
    return Rot5Config(**{"d_model": D_MODEL, "d_kv": D_KV, "num_heads": HEADS, **settings})


def whole_rows(tokens: int = TOKENS) -> Layout:
    """Two rows without padding."""
    positions = torch.arange(tokens).expand(2, tokens)
    return Layout(None, positions, positions)


@pytest.mark.parametrize("backend", ["sdpa", "eager"])
@pytest.mark.parametrize("key_value_heads", [4, 2, 1])
@pytest.mark.parametrize("qk_norm", [False, True])
def test_attention_equals_that_of_llama_and_qwen(backend, key_value_heads, qk_norm):
    """Grouped queries, rotation, causality and, in Qwen's, the norms of queries and keys, from copied weights."""
    shape = {"hidden_size": D_MODEL, "num_attention_heads": HEADS, "num_key_value_heads": key_value_heads,
             "head_dim": D_KV, "attention_bias": False, "attn_implementation": "eager"}  # fmt: skip
    theirs = Qwen3Attention(Qwen3Config(**shape), 0) if qk_norm else LlamaAttention(LlamaConfig(**shape), 0)
    ours = Attention(config(num_key_value_heads=key_value_heads, qk_norm=qk_norm), 0)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(torch.randn_like(parameter))
    ours.load_state_dict(theirs.state_dict())
    x_BTD = torch.randn(2, TOKENS, D_MODEL)
    own = whole_rows()
    mask = torch.full((TOKENS, TOKENS), torch.finfo(torch.float32).min).triu(1)[None, None]
    embeddings = LlamaRotaryEmbedding(LlamaConfig(**shape))(x_BTD, own.positions_BT)
    expected, weights = theirs(x_BTD, embeddings, mask)
    table = rotation_table(own.positions_BT, config())
    sight = backends.plan_sight(backend, scene_between(own, own, True, torch.float32))
    found, own_weights = ours(x_BTD, None, Scope(sight, table, table))
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=PARITY)
    if backend == "eager":
        torch.testing.assert_close(own_weights, weights, rtol=0, atol=PARITY)


@pytest.mark.parametrize("key_value_heads", [2, 1])
def test_grouped_heads_are_repeated_heads(tiny_model, key_value_heads):
    grouped = tiny_model(num_key_value_heads=key_value_heads)
    full = tiny_model(num_key_value_heads=4)
    repeated = {
        name: weight.unflatten(0, (key_value_heads, -1)).repeat_interleave(4 // key_value_heads, dim=0).flatten(0, 1)
        if "k_proj" in name or "v_proj" in name
        else weight
        for name, weight in grouped.state_dict().items()
    }
    full.load_state_dict(repeated)
    inputs = {"input_ids": torch.randint(3, 96, (2, 7)), "decoder_input_ids": torch.randint(3, 96, (2, 5))}
    with torch.inference_mode():
        torch.testing.assert_close(full(**inputs).logits, grouped(**inputs).logits, rtol=0, atol=PARITY)


ROWS = ([[5, 9, 4], [1, 17]], [[3, 2, 6], [4, 1]])
"""Lengths of the documents of two packed rows, as keys and as queries."""


def packed(rows: list[list[int]], width: int) -> Layout:
    """Segments and positions of packed rows."""
    segments, positions = (
        torch.zeros(len(rows), width, dtype=torch.long),
        torch.zeros(len(rows), width, dtype=torch.long),
    )
    for row, lengths in enumerate(rows):
        first = 0
        for number, length in enumerate(lengths, start=1):
            segments[row, first : first + length] = number
            positions[row, first : first + length] = torch.arange(length)
            first += length
    return Layout(segments, positions, positions)


def stream_oracle(q, k, v, query_bounds, key_bounds, longest_query, longest_key, *, scale, window_size, enable_gqa):
    """What the variable-length kernel computes, one document after the other."""
    assert window_size in ((-1, 0), (-1, -1))
    mixed = torch.zeros_like(q)
    sizes = []
    for begin, end, key_begin, key_end in zip(
        query_bounds[:-1], query_bounds[1:], key_bounds[:-1], key_bounds[1:], strict=True
    ):
        sizes.append((int(end - begin), int(key_end - key_begin)))
        if end > begin and key_end > key_begin:
            mixed[begin:end] = torch.nn.functional.scaled_dot_product_attention(
                *(x.transpose(0, 1)[None] for x in (q[begin:end], k[key_begin:key_end], v[key_begin:key_end])),
                is_causal=window_size == (-1, 0), scale=scale, enable_gqa=enable_gqa,
            )[0].transpose(0, 1)  # fmt: skip
    assert (longest_query, longest_key) == tuple(map(max, zip(*sizes, strict=True)))
    return mixed


BACKENDS = ("eager", "per_document", "flex_attention", "varlen")
BIASED = [(backend, kind, True) for backend in BACKENDS if backend != "varlen" for kind in ("encoder", "decoder")]
UNBIASED = [(backend, kind, False) for backend in BACKENDS for kind in ("encoder", "decoder", "cross")]


@pytest.mark.parametrize(("backend", "kind", "biased"), BIASED + UNBIASED)
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_backends_agree_on_packed_rows(backend, kind, biased, monkeypatch):
    monkeypatch.setattr("rot5.model.varlen.varlen_attn", stream_oracle)
    keys = packed(ROWS[0], 20)
    queries = packed(ROWS[1], 12) if kind == "cross" else keys
    bias = RelativeBias(config(position_encoding="relative_bias"), kind == "encoder") if biased else None
    if bias is not None:
        torch.nn.init.normal_(bias.weight)
    scene = scene_between(queries, keys, kind == "decoder", torch.float32, bias)
    q = torch.randn(2, HEADS, queries.positions_BT.shape[1], D_KV)
    k, v = torch.randn(2, 2, 20, D_KV), torch.randn(2, 2, 20, D_KV)
    with torch.no_grad():
        expected, _ = backends.attend(q, k, v, backends.plan_sight("sdpa", scene), 0.3, 0.0)
        found, _ = backends.attend(q, k, v, backends.plan_sight(backend, scene), 0.3, 0.0)
    real = queries.segments_BS != 0
    torch.testing.assert_close(found.transpose(1, 2)[real], expected.transpose(1, 2)[real], rtol=0, atol=PARITY)
    assert found.isfinite().all()


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_gradients_agree_on_packed_rows(kind):
    """Taking rows apart gives the gradients of the mask, those of the bias among them."""
    own = packed(ROWS[0], 20)
    bias = RelativeBias(config(position_encoding="relative_bias"), kind == "encoder")
    torch.nn.init.normal_(bias.weight)
    inputs = [torch.randn(2, heads, 20, D_KV, requires_grad=True) for heads in (HEADS, 2, 2)]
    probe = torch.randn(2, HEADS, 20, D_KV) * (own.segments_BS != 0)[:, None, :, None]
    gradients = {}
    for backend in ("sdpa", "eager", "per_document"):
        scene = scene_between(own, own, kind == "decoder", torch.float32, bias)
        mixed, _ = backends.attend(*inputs, backends.plan_sight(backend, scene), 0.3, 0.0)
        gradients[backend] = torch.autograd.grad((mixed * probe).sum(), [*inputs, bias.weight])
    for backend in ("eager", "per_document"):
        torch.testing.assert_close(gradients[backend], gradients["sdpa"], rtol=0, atol=3 * PARITY)


@pytest.mark.parametrize("backend", ["sdpa", "eager", "per_document", "flex_attention"])
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_a_model_gives_the_same_logits_through_every_backend(tiny_model, backend):
    own, targets = packed(ROWS[0], 20), packed(ROWS[1], 12)
    inputs = {
        "input_ids": torch.randint(3, 96, (2, 20)),
        "decoder_input_ids": torch.randint(3, 96, (2, 12)),
        "encoder_segment_ids": own.segments_BS,
        "encoder_positions": own.positions_BT,
        "decoder_segment_ids": targets.segments_BS,
        "decoder_positions": targets.positions_BT,
    }
    real = targets.segments_BS != 0
    for settings in (
        {},
        {"position_encoding": "relative_bias"},
        {"qk_norm": True},
        {"cross_position_encoding": "none"},
    ):
        with torch.inference_mode():
            expected = tiny_model(**settings, attention_backend="auto")(**inputs).logits[real]
            found = tiny_model(**settings, attention_backend=backend)(**inputs).logits[real]
        torch.testing.assert_close(found, expected, rtol=0, atol=PARITY)


@pytest.mark.parametrize("backend", ["varlen", "flex_attention"])
def test_what_a_cpu_cannot_run_gives_way(tiny_model, backend):
    own = packed(ROWS[0], 20)
    ids = {"input_ids": torch.randint(3, 96, (2, 20)), "labels": torch.randint(3, 96, (2, 20))}
    fields = {f"{side}_{name}": value for side in ("encoder", "decoder")
              for name, value in (("segment_ids", own.segments_BS), ("positions", own.positions_BT))}  # fmt: skip
    losses = [tiny_model(attention_backend=name).train()(**ids, **fields).loss for name in (backend, "per_document")]
    losses[0].backward()
    assert torch.equal(*losses)


def test_rows_whose_documents_do_not_match_are_refused(tiny_model):
    """As many documents on either side, but in other rows."""
    queries, keys = packed([[3, 2], [4]], 9), packed([[5], [2, 3]], 9)
    with pytest.raises(ValueError, match="every segment of a row"):
        backends.plan_sight("per_document", scene_between(queries, keys, False, torch.float32))


def test_rows_of_padding_give_zeros():
    own = packed([[], []], 6)
    sight = backends.plan_sight("per_document", scene_between(own, own, True, torch.float32))
    mixed, _ = backends.attend(*(torch.randn(2, heads, 6, D_KV) for heads in (HEADS, 2, 2)), sight, 1.0, 0.0)
    assert mixed.shape == (2, HEADS, 6, D_KV) and not mixed.any()


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["flex_attention", "varlen"])
@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_cuda_kernels_agree_on_packed_rows(backend, kind):
    keys, queries = packed(ROWS[0], 20), packed(ROWS[1] if kind == "cross" else ROWS[0], 20)
    keys, queries = (Layout(*(each.cuda() for each in layout)) for layout in (keys, queries))
    scene = scene_between(queries, keys, kind == "decoder", torch.bfloat16)
    inputs = [
        torch.randn(2, heads, 20, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True) for heads in (4, 2, 2)
    ]
    real = (queries.segments_BS != 0)[:, None, :, None]
    results = {}
    for name in ("sdpa", backend):
        mixed, _ = backends.attend(*inputs, backends.plan_sight(name, scene), 0.125, 0.0)
        results[name] = [mixed * real, *torch.autograd.grad((mixed * real).float().square().sum(), inputs)]
    for found, expected in zip(results[backend], results["sdpa"], strict=True):
        assert (found - expected).float().norm() / expected.float().norm() < 2e-2


@pytest.mark.filterwarnings("error")
def test_normed_heads_keep_to_the_fused_kernel_under_autocast(tiny_model):
    model = tiny_model(qk_norm=True)
    inputs = {"input_ids": torch.randint(3, 96, (2, 7)), "decoder_input_ids": torch.randint(3, 96, (2, 5))}
    with torch.inference_mode():
        exact = model(**inputs).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model(**inputs).logits.float()
    assert (rough - exact).norm() / exact.norm() < BF16
