"""LoRA: adapters alone are trained and kept, and what is exported is the base with them in it."""

import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from stopping import train_until
from transformers import T5GemmaConfig, T5GemmaForConditionalGeneration

from rot5.build.finetuning import finetuning
from rot5.build.jobs import complete
from rot5.config import FinetuneConfig
from rot5.errors import UserError
from rot5.loading import load
from rot5.model.settings import ModelConfig
from rot5.train.adapters import Adapters
from rot5.train.checkpoint import checkpoints
from rot5.train.losses import to_tensors
from rot5.train.optimizers import OPTIMIZERS
from rot5.train.settings import LoraConfig, OptimizerConfig, TrainConfig

LORA = LoraConfig(rank=2, alpha=6.0)


@pytest.fixture(params=["ours", "t5", "bart"])
def settings(request, corpora, foreigners, tmp_path) -> FinetuneConfig:
    return FinetuneConfig(
        pairs=str(corpora / "pairs"),
        validation=str(corpora / "held-out"),
        init="" if request.param == "ours" else str(foreigners / request.param),
        model=ModelConfig(preset="smoke", dropout_rate=0.1),
        out=str(tmp_path / "run"),
        lora=LORA,
        train=TrainConfig(
            steps=4,
            batch_rows=2,
            micro_batch_rows=1,
            precision="float32",
            checkpoint_every=2,
            evaluation_examples=2,
            optimizer=OptimizerConfig(name="adamw", lr=1e-2),
        ),
    )


def test_adapters_alone_are_trained_and_the_export_is_the_base_with_their_product(settings):
    job = finetuning(settings, resume=False, overwrite=False)
    model = job.model
    weights = {name.replace(".base_layer", ""): weight.clone() for name, weight in model.state_dict().items()}
    base = {name: weight for name, weight in weights.items() if "lora_" not in name}
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained and all("lora_" in name for name in trained)
    assert not any("lm_head" in name or "shared" in name for name in trained)
    moved = {id(weight) for group in job.trainer.optimizer.param_groups for weight in group["params"]}
    assert moved == {id(model.get_parameter(name)) for name in trained}
    derived = job.run.config()["derived"]
    assert derived["trained_parameters"] == sum(model.get_parameter(name).numel() for name in trained)
    assert derived["parameters"] > 2 * derived["trained_parameters"]
    complete(job, resume=False)

    saved = load_file(checkpoints(job.run.checkpoints)[-1] / "model.safetensors")
    kept = {name.removeprefix("model.") for name in saved if name.startswith("model.")}
    assert trained <= kept and all("lora_" in name or name == "final_logits_bias" for name in kept)
    exported = model.state_dict()
    assert exported.keys() == base.keys()
    for name, weight in base.items():
        place = name.removesuffix(".weight")
        low, high = (saved.get(f"model.{place}.lora_{side}.default.weight") for side in "AB")
        if low is None or high is None:
            assert torch.equal(exported[name], weight), name
        else:
            assert high.any(), f"{name} was not trained"
            torch.testing.assert_close(exported[name], weight + LORA.alpha / LORA.rank * high @ low)
    again = load(str(job.run.path)).model
    assert not any("lora" in name for name in again.state_dict())
    fields = {"input_ids": torch.arange(5, 15)[None], "decoder_input_ids": torch.arange(5, 9)[None]}
    with torch.inference_mode():
        torch.testing.assert_close(again(**fields).logits, model(**fields).logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("settings", ["bart"], indirect=True)
def test_a_stopped_run_goes_on_with_its_adapters_and_with_no_other_base(settings, foreigners, tmp_path):
    whole = finetuning(settings, resume=False, overwrite=False)
    complete(whole, resume=False)
    stopped = replace(settings, out=str(tmp_path / "stopped"))
    train_until(finetuning(stopped, resume=False, overwrite=False), 3)
    again = finetuning(stopped, resume=True, overwrite=False)
    complete(again, resume=True)
    expected = whole.model.state_dict()
    assert all(torch.equal(expected[name], weight) for name, weight in again.model.state_dict().items())

    other = load(settings.init)
    with torch.no_grad():
        other.model.get_parameter("model.encoder.layers.0.fc1.weight")[0, 0] += 1
    moved = tmp_path / "moved" / "bart"
    for part in (other.model, other.tokenizer):
        part.save_pretrained(moved)
    with pytest.raises(UserError, match=r"derived\.frozen_weights"):
        finetuning(replace(stopped, init=str(moved)), resume=True, overwrite=False)


def test_merging_leaves_tables_tied_as_they_were(recwarn):
    """T5Gemma has two tables, and its head is tied to the one that is not called its input embedding."""
    inner = {
        "vocab_size": 40, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 8,
    }  # fmt: skip
    model = T5GemmaForConditionalGeneration(T5GemmaConfig(encoder=inner, decoder=inner))
    head = model.lm_head.out_proj
    Adapters(model, LORA).merge()
    assert model.config.tie_word_embeddings and model.lm_head.out_proj is head
    assert head.weight is model.model.decoder.embed_tokens.weight
    assert not any("tied" in str(each.message) for each in recwarn)


@pytest.mark.parametrize("settings", ["bart"], indirect=True)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_moves_adapters(settings, name):
    train = replace(settings.train, steps=1, optimizer=OptimizerConfig(name=name))
    job = finetuning(replace(settings, train=train), resume=False, overwrite=False)
    before = {key: value.clone() for key, value in job.model.named_parameters() if "lora_B" in key}
    job.trainer.update(to_tensors(job.trainer.rows.rows(0, 2).fields, job.model.device), 9, 1e-2)
    assert all((value != job.model.get_parameter(key)).any() for key, value in before.items())


@pytest.mark.parametrize("settings", ["ours"], indirect=True)
def test_a_missing_peft_is_told_before_anything_is_written(settings, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match=r"lora.rank 2 needs PEFT: pip install 'rot5\[peft\]'"):
        finetuning(settings, resume=False, overwrite=False)
    assert not (tmp_path / "run").exists()
    for lora, told in ((LoraConfig(rank=-1), "lora.rank -1"), (LoraConfig(rank=1, alpha=float("inf")), "lora.alpha")):
        with pytest.raises(UserError, match=told):
            finetuning(replace(settings, lora=lora), resume=False, overwrite=False)
