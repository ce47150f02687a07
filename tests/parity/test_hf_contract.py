"""What transformers, PEFT and PyTorch's exporters promise of any model holds for this one."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import peft
import pytest
import torch
from tolerances import PARITY
from transformers import AutoModelForSeq2SeqLM

from rot5.errors import UserError
from rot5.loading import load

CHECKPOINTED = 1e-6
"""Float32, the same arithmetic made twice."""

SEEDED = {"do_sample": True, "top_k": 20, "temperature": 1.5}

WAYS = {
    "greedy": {"do_sample": False},
    "sampling": SEEDED,
    "beams": {"do_sample": False, "num_beams": 3, "num_return_sequences": 3},
    "sampled beams": {**SEEDED, "num_beams": 3, "num_return_sequences": 2},
}

LOAD = """
import sys
import torch
import rot5.model.modeling_rot5
from transformers import AutoConfig, AutoModelForSeq2SeqLM
own = {name for name in sys.modules if name.split(".")[0] == "rot5"}
assert all(name in ("rot5", "rot5.model") or name.startswith("rot5.model.") for name in own), own
batch = torch.load(sys.argv[1], weights_only=True)
for folder in sys.argv[2:]:
    config = AutoConfig.from_pretrained(folder)
    model, loading = AutoModelForSeq2SeqLM.from_pretrained(folder, output_loading_info=True)
    assert not any(loading.values()), loading
    assert type(model.config) is type(config) is rot5.model.modeling_rot5.Rot5Config
    assert (model.lm_head.weight is model.shared.weight) == config.tie_word_embeddings
    assert model.encoder.embed_tokens.weight is model.decoder.embed_tokens.weight is model.shared.weight
    with torch.inference_mode():
        torch.save(model.eval()(**batch).logits, f"{folder}/logits.pt")
"""

PORTABLE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "rot5":
            raise ModuleNotFoundError(f"{name} is not installed here")

sys.meta_path.insert(0, Absent())
import torch
from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer
batch = torch.load(sys.argv[1], weights_only=True)
for folder in sys.argv[2:]:
    trusted = {"pretrained_model_name_or_path": folder, "trust_remote_code": True}
    config = AutoConfig.from_pretrained(**trusted)
    model, loading = AutoModelForSeq2SeqLM.from_pretrained(**trusted, output_loading_info=True)
    assert not any(loading.values()), loading
    assert config.model_type == "rot5" and type(model).__module__.startswith("transformers_modules.")
    text = AutoTokenizer.from_pretrained(folder)("The dog lost a ball.", return_tensors="pt")
    with torch.inference_mode():
        logits = model.eval()(**batch).logits
        written = model.generate(**text, do_sample=False, max_new_tokens=6, min_new_tokens=6)
    torch.save((logits, text["input_ids"], written), f"{folder}/found.pt")
again = AutoModelForSeq2SeqLM.from_pretrained(sys.argv[2], trust_remote_code=True).eval()
again.save_pretrained(sys.argv[2] + "-again")
assert not [name for name in sys.modules if name.split(".")[0] == "rot5"]
"""


def batch(seed: int = 0) -> dict[str, torch.Tensor]:
    """Three inputs, two of them padded, and the beginnings of their targets."""
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.arange(9) < torch.tensor([9, 4, 6])[:, None]).long()
    ids = torch.randint(3, 96, (3, 9), generator=generator) * mask
    targets = torch.randint(3, 96, (3, 5), generator=generator)
    return {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": targets}


def packed_batch() -> dict[str, torch.Tensor]:
    """Two rows of two documents each, padding behind."""
    generator = torch.Generator().manual_seed(0)
    fields = {}
    for side, prefix, lengths in (("encoder", "", (7, 5, 4)), ("decoder", "decoder_", (4, 3, 1))):
        segments = torch.tensor([n for n, length in zip((1, 2, 0), lengths, strict=True) for _ in range(length)])
        positions = torch.cat([torch.arange(length) for length in lengths])
        fields[f"{prefix}input_ids"] = torch.randint(3, 96, (2, sum(lengths)), generator=generator)
        fields[f"{side}_segment_ids"], fields[f"{side}_positions"] = segments.expand(2, -1), positions.expand(2, -1)
    return fields


def alone(code: str, *words: object, **environment: str) -> None:
    """Run the code in a process of its own, which has to end well."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr


def logits(model: torch.nn.Module, **fields: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(**(fields or batch())).logits


def test_every_way_to_save_gives_the_model_back_elsewhere(tiny_model, tmp_path):
    models = {
        "tied": tiny_model(),
        "untied": tiny_model(tie_word_embeddings=False),
        "sharded": tiny_model(tie_word_embeddings=False, initializer_factor=2.0),
        "bfloat16": tiny_model().to(torch.bfloat16),
        "experts": tiny_model(num_experts=4, num_experts_per_tok=2, num_shared_experts=1, qk_norm=True),
        "t5": tiny_model(position_encoding="relative_bias", parametrization="t5"),
    }
    for name, model in models.items():
        model.save_pretrained(tmp_path / name, max_shard_size="20KB" if name == "sharded" else "1GB")
    assert len(list((tmp_path / "sharded").glob("model-*.safetensors"))) > 2
    assert [path.name for path in (tmp_path / "tied").glob("*.safetensors")] == ["model.safetensors"]
    torch.save(batch(), tmp_path / "batch.pt")
    alone(LOAD, tmp_path / "batch.pt", *(tmp_path / name for name in models))
    for name, model in models.items():
        found = torch.load(tmp_path / name / "logits.pt")
        assert found.dtype == model.dtype and torch.equal(found, logits(model)), name
    assert not torch.equal(logits(models["tied"]), logits(models["untied"]))


def test_tied_weights_are_one_after_loading_and_training(tiny_model, tmp_path):
    tiny_model().save_pretrained(tmp_path)
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path).train()
    model(**batch(), labels=batch()["decoder_input_ids"]).loss.backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    for tied in (model.encoder.embed_tokens, model.decoder.embed_tokens, model.lm_head):
        assert tied.weight is model.shared.weight
    assert not torch.equal(model.shared.weight, tiny_model().shared.weight)


def test_an_untied_head_leaves_both_stacks_one_embedding(tiny_model):
    model = tiny_model(tie_word_embeddings=False).train()
    model(**batch(), labels=batch()["decoder_input_ids"]).loss.backward()
    assert model.get_input_embeddings().weight.grad is not None
    assert model.encoder.embed_tokens.weight is model.decoder.embed_tokens.weight is model.shared.weight


def test_weights_of_another_shape_are_refused(tiny_model, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    tiny_model().save_pretrained(tmp_path)
    shape = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(shape | {"d_ff": 64}))
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    assert "mlp.down_proj.weight" in caplog.text
    caplog.clear()
    with pytest.raises(UserError, match=r"mlp\.down_proj\.weight is 32x48, not 32x64") as told:
        load(str(tmp_path))
    assert "\n" not in str(told.value) and not caplog.text


def writing(model, settings: dict, seed: int = 3, **fields: torch.Tensor):
    """What `generate` gives, with scores; `fields` replace those of the batch."""
    torch.manual_seed(seed)
    inputs = {**{key: batch()[key] for key in ("input_ids", "attention_mask")}, **fields}
    return model.generate(**inputs, max_new_tokens=8, return_dict_in_generate=True, output_scores=True, **settings)


@pytest.mark.parametrize("prompted", [False, True], ids=["", "prompted"])
@pytest.mark.parametrize("settings", WAYS.values(), ids=WAYS)
def test_generation_does_not_depend_on_the_cache(tiny_model, settings, prompted):
    model = tiny_model(initializer_factor=3.0)
    fields = {}
    if prompted:
        prompts = batch()["decoder_input_ids"].clone()
        prompts[:, 0] = model.config.decoder_start_token_id
        fields["decoder_input_ids"] = prompts
    cached, uncached = (writing(model, settings | {"use_cache": use}, **fields) for use in (True, False))
    assert torch.equal(cached.sequences, uncached.sequences)
    torch.testing.assert_close(torch.stack(cached.scores), torch.stack(uncached.scores), rtol=0, atol=30 * PARITY)
    if "num_beams" in settings:
        torch.testing.assert_close(cached.sequences_scores, uncached.sequences_scores, rtol=0, atol=PARITY)
    if prompted:
        count = settings.get("num_return_sequences", 1)
        assert torch.equal(cached.sequences[:, :5], fields["decoder_input_ids"].repeat_interleave(count, dim=0))
    if settings["do_sample"]:
        assert not torch.equal(cached.sequences, writing(model, settings, seed=4, **fields).sequences)
    assert len(cached.sequences.unique()) > 8


@pytest.mark.parametrize("settings", [WAYS["greedy"], WAYS["beams"]], ids=["greedy", "beams"])
def test_padding_changes_nothing_that_is_written(tiny_model, settings):
    model = tiny_model(initializer_factor=3.0)
    together = writing(model, settings).sequences.unflatten(0, (3, -1))
    for index, row in enumerate(batch()["input_ids"]):
        ids = row[row != 0][None]
        found = writing(model, settings, input_ids=ids, attention_mask=torch.ones_like(ids)).sequences
        assert torch.equal(together[index, :, : found.shape[1]], found)
        assert not together[index, :, found.shape[1] :].any()


@pytest.mark.parametrize("use_cache", [True, False], ids=["cached", "uncached"])
@pytest.mark.parametrize("settings", [WAYS["greedy"], WAYS["beams"]], ids=["greedy", "beams"])
def test_prompts_of_several_lengths_are_padded_on_the_left(tiny_model, settings, use_cache):
    """transformers puts the start token in front of the padding."""
    model = tiny_model(initializer_factor=3.0, eos_token_id=None)
    mask = (torch.arange(5) >= torch.tensor([0, 3, 2])[:, None]).long()
    prompts = batch()["decoder_input_ids"] * mask
    fields = {"decoder_input_ids": prompts, "decoder_attention_mask": mask}
    together = writing(model, settings | {"use_cache": use_cache}, **fields).sequences.unflatten(0, (3, -1))
    for index in range(3):
        one = slice(index, index + 1)
        fields = {key: batch()[key][one] for key in ("input_ids", "attention_mask")}
        prompt = prompts[one, 5 - int(mask[index].sum()) :]
        found = writing(model, settings | {"use_cache": False}, **fields, decoder_input_ids=prompt).sequences
        assert torch.equal(together[index, :, -8:], found[:, -8:])


def test_scores_of_beams_are_the_model_s_own(tiny_model):
    """The sum of the log-probabilities that one uncached pass gives the written tokens."""
    model = tiny_model(initializer_factor=3.0)
    output = writing(model, WAYS["beams"] | {"length_penalty": 0.0})
    inputs = {key: batch()[key].repeat_interleave(3, dim=0) for key in ("input_ids", "attention_mask")}
    written = output.sequences[:, 1:, None]
    logs = logits(model, **inputs, decoder_input_ids=output.sequences[:, :-1]).log_softmax(-1).gather(2, written)
    ended = (written == model.config.eos_token_id).cumsum(1) - (written == model.config.eos_token_id).long()
    expected = logs.masked_fill(ended > 0, 0.0).sum((1, 2))
    torch.testing.assert_close(output.sequences_scores, expected, rtol=0, atol=10 * PARITY)
    per_input = output.sequences_scores.view(3, 3)
    assert (per_input[:, :-1] > per_input[:, 1:]).all()
    assert (per_input[:, 0] > writing_scores_of_greedy(model, inputs)).any()


def writing_scores_of_greedy(model, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    greedy = writing(model, WAYS["greedy"])
    return model.compute_transition_scores(greedy.sequences, greedy.scores, normalize_logits=True).sum(1)


def test_an_assistant_changes_the_work_but_not_the_answer(tiny_model):
    """A twin drafts all at once: transformers feeds an encoder-decoder assistant its cached tokens again later."""
    model = tiny_model(initializer_factor=3.0, eos_token_id=None)
    ids = batch()["input_ids"][:1]
    passes = []
    model.register_forward_hook(lambda *_: passes.append(1))

    def write(**settings) -> torch.Tensor:
        passes.clear()
        return model.generate(ids, do_sample=False, max_new_tokens=24, **settings)

    greedy = write()
    assert len(passes) == 24 and len(greedy.unique()) > 5
    stranger = tiny_model(initializer_factor=3.0, eos_token_id=None, num_decoder_layers=1)
    assert torch.equal(write(assistant_model=stranger), greedy)
    twin = tiny_model(initializer_factor=3.0, eos_token_id=None)
    twin.generation_config.update(num_assistant_tokens=24, assistant_confidence_threshold=0.0)
    assert torch.equal(write(assistant_model=twin), greedy)
    assert len(passes) <= 2


def test_contrastive_search_is_left_to_the_hub(tiny_model):
    """transformers moved it out; it says where it is and that its code must be trusted."""
    with pytest.raises(ValueError, match=r"Contrastive Search requires `trust_remote_code=True`"):
        tiny_model().generate(batch()["input_ids"], penalty_alpha=0.6, top_k=4, max_new_tokens=4)


def test_gradient_checkpointing_computes_twice_and_the_same(tiny_model):
    results = []
    for checkpointing in (False, True):
        model = tiny_model(dropout_rate=0.2).train()
        if checkpointing:
            model.gradient_checkpointing_enable()
        passes = []
        for layer in (*model.encoder.layers, *model.decoder.layers):
            layer.mlp.register_forward_hook(lambda *_, passes=passes: passes.append(1))
        torch.manual_seed(5)
        loss = model(**batch(), labels=batch(1)["decoder_input_ids"]).loss
        loss.backward()
        assert len(passes) == 5 * (1 + checkpointing)
        results.append([loss.detach(), *(parameter.grad for parameter in model.parameters())])
    assert results[0][0] > 1
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=CHECKPOINTED)


@pytest.fixture
def adapted(tiny_model) -> peft.PeftModel:
    """A model with trained LoRA adapters, the losses of its training in `losses`."""
    torch.manual_seed(0)
    settings = peft.LoraConfig(
        task_type=peft.TaskType.SEQ_2_SEQ_LM, r=4, lora_alpha=16, target_modules=["q_proj", "v_proj"]
    )
    model = peft.get_peft_model(tiny_model(initializer_factor=3.0), settings).train()
    optimizer = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=0.02)
    losses = []
    for _ in range(12):
        loss = model(**batch(), labels=batch(1)["decoder_input_ids"]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    model.losses = losses
    return model.eval()


def test_lora_trains_the_adapters_alone(adapted, tiny_model):
    assert adapted.losses[-1] < 0.7 * adapted.losses[0]
    before = tiny_model(initializer_factor=3.0).state_dict()
    after = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): value
        for name, value in adapted.state_dict().items()
        if "lora_" not in name
    }
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)
    trained = {
        name.split(".lora_")[0].split(".")[-1] for name, value in adapted.named_parameters() if value.requires_grad
    }
    assert trained == {"q_proj", "v_proj"}
    second = [value for name, value in adapted.named_parameters() if "lora_B" in name]
    assert len(second) == 2 * (2 + 2 * 3) and all(value.any() for value in second), "these begin at zero"


def test_lora_adapters_are_saved_loaded_and_merged(adapted, tiny_model, tmp_path):
    expected = logits(adapted)
    assert (expected - logits(tiny_model(initializer_factor=3.0))).abs().max() > 0.1
    inputs = {key: batch()[key] for key in ("input_ids", "attention_mask")}
    written = adapted.generate(**inputs, do_sample=False, max_new_tokens=8)
    adapted.save_pretrained(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".safetensors", ".md"}
    loaded = peft.PeftModel.from_pretrained(tiny_model(initializer_factor=3.0), tmp_path).eval()
    assert torch.equal(logits(loaded), expected)
    merged = adapted.merge_and_unload()
    assert type(merged) is type(tiny_model())
    torch.testing.assert_close(logits(merged), expected, rtol=0, atol=10 * PARITY)
    assert torch.equal(merged.generate(**inputs, do_sample=False, max_new_tokens=8), written)


@pytest.mark.slow
@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
def test_torch_export_keeps_batch_and_lengths_open(tiny_model, masked):
    model = tiny_model()
    rows, inputs, targets = (torch.export.Dim(name) for name in ("rows", "inputs", "targets"))
    shapes = {
        "input_ids": {0: rows, 1: inputs},
        "attention_mask": {0: rows, 1: inputs},
        "decoder_input_ids": {0: rows, 1: targets},
    }
    kept = {key: value for key, value in batch().items() if masked or key != "attention_mask"}
    program = torch.export.export(
        model,
        (),
        {**kept, "use_cache": False},
        dynamic_shapes={**{key: shapes[key] for key in kept}, "use_cache": None},
    )
    for B, S, T in ((3, 9, 5), (2, 17, 3), (5, 4, 21)):
        generator = torch.Generator().manual_seed(B)
        fields = {
            "input_ids": torch.randint(3, 96, (B, S), generator=generator),
            "attention_mask": (torch.arange(S) < torch.arange(1, B + 1)[:, None]).long(),
            "decoder_input_ids": torch.randint(3, 96, (B, T), generator=generator),
        }
        fields = {key: fields[key] for key in kept}
        found = program.module()(**fields, use_cache=False).logits
        torch.testing.assert_close(found, logits(model, **fields), rtol=0, atol=PARITY)


@pytest.mark.parametrize(
    "training", [pytest.param(False, marks=pytest.mark.slow), True], ids=["evaluation", "training"]
)
def test_packed_rows_compile_without_a_break(tiny_model, training):
    torch._dynamo.reset()
    model = tiny_model().train(training)
    fields = packed_batch()
    if training:
        fields["labels"] = fields["decoder_input_ids"].masked_fill(fields["decoder_segment_ids"] == 0, -100)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    key = "loss" if training else "logits"
    real = ... if training else fields["decoder_segment_ids"] > 0
    found, expected = (each(**fields, use_cache=False)[key] for each in (compiled, model))
    torch.testing.assert_close(found[real], expected[real], rtol=0, atol=PARITY)


def test_a_portable_export_needs_nothing_of_ours(tiny_model, corpora, tmp_path):
    """Several in one process, of which one has its code changed: each runs its own."""
    from rot5.cli import run
    from rot5.data.corpus import Corpus

    tokenizer = Corpus.open(corpora / "stories").tokenizer()
    shapes = {
        "first": {},
        "experts": {"num_experts": 4, "num_experts_per_tok": 2, "num_shared_experts": 1, "qk_norm": True},
        "t5": {"position_encoding": "relative_bias", "parametrization": "t5"},
        "continuous": {"cross_position_encoding": "continuous"},
        "changed": {},
    }
    models = {name: tiny_model(vocab_size=len(tokenizer), **shape) for name, shape in shapes.items()}
    torch.save(batch(), tmp_path / "batch.pt")
    for name, model in models.items():
        model.save_pretrained(tmp_path / "models" / name)
        tokenizer.save_pretrained(tmp_path / "models" / name)
        run(["export", str(tmp_path / "models" / name), "--portable", "--out", str(tmp_path / name)])
    code = tmp_path / "changed" / "feed_forward.py"
    code.write_text(code.read_text().replace("return self.down_proj(", "return 2 * self.down_proj("))
    places = {name: str(tmp_path / "cache") for name in ("HF_HOME", "HF_MODULES_CACHE")}
    alone(PORTABLE, tmp_path / "batch.pt", *(tmp_path / name for name in models), HF_HUB_OFFLINE="1", **places)
    found = {name: torch.load(tmp_path / name / "found.pt") for name in models}
    assert (found.pop("changed")[0] - found["first"][0]).abs().max() > 0.1
    for name, (given, ids, written) in found.items():
        assert torch.equal(given, logits(models[name])), name
        assert torch.equal(ids, tokenizer("The dog lost a ball.", return_tensors="pt")["input_ids"])
        expected = models[name].generate(ids, do_sample=False, max_new_tokens=6, min_new_tokens=6)
        assert torch.equal(written, expected), name
    files = {path.name for path in Path(tmp_path / "first").glob("*.py")}
    assert {path.name for path in (tmp_path / "first-again").glob("*.py")} == files
