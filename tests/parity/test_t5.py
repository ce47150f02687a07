"""The whole model against transformers' T5: at position 0 RoPE turns nothing, and T5's zeroed bias adds nothing."""

import pytest
import torch
from tolerances import PARITY
from transformers import T5Config, T5ForConditionalGeneration

from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration

SHAPE = {
    "vocab_size": 64,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 4,
}
SPECIAL = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}


def t5_weights(theirs: T5ForConditionalGeneration) -> dict[str, torch.Tensor]:
    """T5's weights by our names. We scale the embedding where it is read, T5 where it is predicted from; we divide
    scores by sqrt(d_kv), T5 does not."""
    own, d_model, d_kv = theirs.state_dict(), theirs.config.d_model, theirs.config.d_kv
    ours = {"shared.weight": own["shared.weight"] * d_model**-0.5}
    for stack, count, sublayers in (
        ("encoder", theirs.config.num_layers, ["SelfAttention"]),
        ("decoder", theirs.config.num_decoder_layers, ["SelfAttention", "EncDecAttention"]),
    ):
        ours[f"{stack}.norm.weight"] = own[f"{stack}.final_layer_norm.weight"]
        for i in range(count):
            for place, (kind, name) in enumerate(zip(sublayers, ["self_attn", "cross_attn"], strict=False)):
                source, target = f"{stack}.block.{i}.layer.{place}", f"{stack}.layers.{i}.{name}"
                ours[f"{target}_norm.weight"] = own[f"{source}.layer_norm.weight"]
                for letter in "qkvo":
                    scale = d_kv**0.5 if letter == "q" else 1.0
                    ours[f"{target}.{letter}_proj.weight"] = own[f"{source}.{kind}.{letter}.weight"] * scale
            source, target = f"{stack}.block.{i}.layer.{len(sublayers)}", f"{stack}.layers.{i}.mlp"
            ours[f"{target}_norm.weight"] = own[f"{source}.layer_norm.weight"]
            names = {"wi": "up_proj", "wi_0": "gate_proj", "wi_1": "up_proj", "wo": "down_proj"}
            for theirs_name, ours_name in names.items():
                key = f"{source}.DenseReluDense.{theirs_name}.weight"
                if key in own:
                    ours[f"{target}.{ours_name}.weight"] = own[key]
    return ours


def without_positions(theirs: T5ForConditionalGeneration) -> None:
    """Zero the relative bias of both stacks."""
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "relative_attention_bias" in name:
                parameter.zero_()


@pytest.mark.parametrize("feed_forward_proj", ["relu", "gated-gelu"])
@pytest.mark.parametrize("attention_backend", ["sdpa", "per_document"])
def test_logits_equal_those_of_t5(feed_forward_proj, attention_backend):
    torch.manual_seed(0)
    theirs = T5ForConditionalGeneration(
        T5Config(**SHAPE, **SPECIAL, feed_forward_proj=feed_forward_proj, dropout_rate=0.0)
    ).eval()
    without_positions(theirs)
    ours = Rot5ForConditionalGeneration(
        Rot5Config(**SHAPE, **SPECIAL, feed_forward_proj=feed_forward_proj, attention_backend=attention_backend)
    ).eval()
    missing, unexpected = ours.load_state_dict(t5_weights(theirs), strict=False)
    assert not unexpected
    assert set(missing) <= {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"}

    source = torch.randint(3, 64, (4, 11))
    target = torch.randint(3, 64, (4, 7))
    source_mask = (torch.arange(11) < torch.tensor([11, 4, 7, 1])[:, None]).long()
    target_mask = (torch.arange(7) < torch.tensor([2, 7, 5, 1])[:, None]).long()
    expected = theirs(
        input_ids=source, attention_mask=source_mask, decoder_input_ids=target, decoder_attention_mask=target_mask
    ).logits
    found = ours(
        input_ids=source,
        decoder_input_ids=target,
        encoder_segment_ids=source_mask,
        decoder_segment_ids=target_mask,
        encoder_positions=torch.zeros_like(source),
        decoder_positions=torch.zeros_like(target),
    ).logits
    real = target_mask.bool()
    torch.testing.assert_close(found[real], expected[real], rtol=0, atol=PARITY)
