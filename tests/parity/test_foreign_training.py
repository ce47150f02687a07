"""Tuning models of others: losses and gradients are those that transformers gives the same texts."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tolerances import OTHER_CUT, PARITY
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    MT5Config,
    MT5ForConditionalGeneration,
    T5GemmaConfig,
    T5GemmaForConditionalGeneration,
)

from rot5.build.finetuning import finetuning
from rot5.build.jobs import Job
from rot5.config import FinetuneConfig
from rot5.data.corpus import PairCorpus
from rot5.data.packing import PackConfig
from rot5.loading import Loaded
from rot5.model.convert_t5 import weights_from_t5
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.train.losses import backward_step, to_tensors
from rot5.train.settings import TrainConfig

ROWS = 4


@pytest.fixture
def settings(corpora, foreigners, tmp_path) -> FinetuneConfig:
    return FinetuneConfig(
        pairs=str(corpora / "pairs"),
        validation=str(corpora / "held-out"),
        init=str(foreigners / "t5"),
        out=str(tmp_path / "run"),
        pack=PackConfig(encoder_length=1024, decoder_length=400),
        train=TrainConfig(steps=2, batch_rows=ROWS, micro_batch_rows=2, precision="float32"),
    )


def job_of(settings: FinetuneConfig) -> Job:
    return finetuning(settings, resume=False, overwrite=True)


def theirs(folder: str, texts: list, prefix: str = ""):
    """The model as transformers loads it, and the texts as its users give them."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(folder)
    padded = {"padding": True, "return_tensors": "pt"}
    inputs = tokenizer([prefix + pair.input for pair in texts], **padded)
    labels = tokenizer(text_target=[pair.target for pair in texts], **padded)
    return model.eval(), {
        "input_ids": inputs.input_ids,
        "attention_mask": inputs.attention_mask,
        "labels": labels.input_ids.masked_fill(labels.attention_mask == 0, -100),
    }


def first_texts(job: Job, batch) -> list:
    """The pairs of a batch as text, in the order of their segments."""
    texts = list(PairCorpus.open(Path(job.run.config()["pairs"])).references())
    numbers = batch.segment_examples[batch.segment_examples >= 0]
    return [texts[n] for n in job.trainer.rows.examples.plan(numbers).pair]


def gradients(job: Job, batch, micro_batch_rows: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss of a step, and the gradient of each weight, without dropout."""
    job.model.eval().zero_grad()
    fields = to_tensors(batch.fields, job.model.device)
    loss = backward_step(job.trainer.loss, fields, micro_batch_rows, batch.num_targets)
    return loss, {name: weight.grad.clone() for name, weight in job.model.named_parameters(remove_duplicate=False)}


@pytest.mark.parametrize("tied", [True, False])
def test_an_mt5_becomes_ours_and_again_an_mt5(tied):
    torch.manual_seed(0)
    shape = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "vocab_size": 40}
    config = MT5Config(**shape, decoder_start_token_id=0)
    mt5 = MT5ForConditionalGeneration(config).eval()
    if not tied:
        mt5.lm_head.weight = torch.nn.Parameter(torch.randn_like(mt5.lm_head.weight))
    ours = Rot5ForConditionalGeneration.from_t5(mt5)
    batch = {"input_ids": torch.arange(3, 21).view(2, 9), "decoder_input_ids": torch.arange(12).view(2, 6)}
    with torch.inference_mode():
        expected = mt5(**batch).logits
        torch.testing.assert_close(ours(**batch).logits, expected, rtol=0, atol=PARITY)
        again = ours.to_t5(MT5ForConditionalGeneration(config))
        torch.testing.assert_close(again(**batch).logits, expected, rtol=0, atol=0)
    assert isinstance(again, MT5ForConditionalGeneration)
    assert expected.std() > 0.1, "too small to tell models apart"


@pytest.mark.parametrize("mode", ["S", "none"])
def test_the_first_step_of_a_packed_t5_is_that_of_transformers(settings, mode):
    job = job_of(replace(settings, mode=mode))
    assert isinstance(job.model, Rot5ForConditionalGeneration)
    batch = job.trainer.rows.rows(0, ROWS)
    texts = first_texts(job, batch)
    assert len(texts) > ROWS, "several in a row"
    found, own = gradients(job, batch, 2)
    model, fields = theirs(settings.init, texts, "summarize: " if mode == "S" else "")
    model(**fields).loss.backward()
    torch.testing.assert_close(found, model(**fields).loss.detach(), rtol=0, atol=PARITY)
    expected = {name: weight.grad for name, weight in model.named_parameters(remove_duplicate=False)}
    for name, gradient in weights_from_t5(expected, job.model.config).items():
        torch.testing.assert_close(own[name], gradient, rtol=0, atol=PARITY, msg=name)
    assert own["shared.weight"].abs().max() > 1e-3, "too small to tell anything"


def test_the_loss_and_gradient_of_a_padded_bart_are_those_of_transformers(settings, foreigners):
    job = job_of(replace(settings, init=str(foreigners / "bart")))
    batch = job.trainer.rows.rows(0, ROWS)
    found, own = gradients(job, batch, ROWS)
    model, fields = theirs(str(foreigners / "bart"), first_texts(job, batch))
    for name, tensor in fields.items():
        assert tensor.tolist() == batch.fields[name].tolist(), name
    pairs = PairCorpus.open(settings.pairs)
    shown = job.trainer.rows.examples.plan(batch.segment_examples[:, 0]).pair
    assert batch.story_tokens == sum(side.lengths[shown].sum() for side in (pairs.inputs, pairs.targets)), "ours"
    loss = model(**fields).loss
    loss.backward()
    torch.testing.assert_close(found, loss.detach(), rtol=0, atol=PARITY)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(own[name], weight.grad, rtol=0, atol=PARITY, msg=name)


def test_the_cut_into_micro_batches_does_not_change_the_gradient_of_a_padded_model(settings, foreigners):
    job = job_of(replace(settings, init=str(foreigners / "bart")))
    batch = job.trainer.rows.rows(0, ROWS)
    assert len({(row != -100).sum() for row in batch.fields["labels"]}) > 1, "equal parts hide a mean of means"
    (loss, whole), *others = (gradients(job, batch, rows) for rows in (ROWS, 2, 1))
    for value, cut in others:
        torch.testing.assert_close(value, loss, rtol=OTHER_CUT, atol=0)
        for name, gradient in whole.items():
            assert (cut[name] - gradient).norm() <= OTHER_CUT * gradient.norm() + 1e-9, name


@pytest.mark.parametrize(("name", "prefix"), [("t5", "summarize: "), ("bart", "")])
def test_bits_per_byte_are_those_of_the_text_by_hand(settings, foreigners, corpora, name, prefix):
    scores = job_of(replace(settings, init=str(foreigners / name))).likelihood()
    texts = list(PairCorpus.open(corpora / "held-out").references())
    assert scores.bytes.tolist() == [len(pair.target.encode()) + 1 for pair in texts]
    for n in (0, len(texts) - 1):
        model, fields = theirs(str(foreigners / name), [texts[n]], prefix)
        with torch.inference_mode():
            expected = float(model(**fields).loss) * fields["labels"].numel()
        assert math.isclose(scores.nats[n], expected, rel_tol=PARITY)


def test_targets_begin_and_end_as_the_model_writes_them(foreigners):
    """T5Gemma's tokenizer opens every text with the token that its decoder is started with, and closes none."""
    tokenizer = AutoTokenizer.from_pretrained(foreigners / "bart")
    inner = {
        "vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
        "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    gemma = T5GemmaForConditionalGeneration(T5GemmaConfig(encoder=inner, decoder=inner))
    bare = tokenizer("A dog.", add_special_tokens=False).input_ids
    with_both = Loaded(gemma, tokenizer, "")
    assert with_both.read_targets(["A dog.", ""]) == [[*bare, 2], [2]]
    assert with_both.read_inputs(["A dog."]) == [[0, *bare, 2]]
    tokenizer.backend_tokenizer.post_processor = None
    assert with_both.read_targets(["A dog."]) == [[*bare, 2]]
    bart = AutoModelForSeq2SeqLM.from_pretrained(foreigners / "bart")
    whole = AutoTokenizer.from_pretrained(foreigners / "bart")
    assert Loaded(bart, whole, "").read_targets(["A dog."]) == [[0, *bare, 2]]
