"""transformers' own trainer and loader drive the model: one update is one update, however it is cut."""

import pytest
import torch
from tolerances import OTHER_CUT, PARITY
from transformers import AutoModelForSeq2SeqLM, Seq2SeqTrainer, Seq2SeqTrainingArguments, TrainerCallback

TARGETS = (1, 9, 3, 14)
"""Target tokens of the four examples: a mean of the parts' means is far from the mean over all of them."""


def examples() -> list[dict[str, list[int]]]:
    generator = torch.Generator().manual_seed(1)

    def tokens(count: int) -> list[int]:
        return torch.randint(3, 96, (count,), generator=generator).tolist()

    return [{"input_ids": tokens(5 + count), "labels": tokens(count)} for count in TARGETS]


def collate(batch: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """Inputs and labels padded to the longest of the batch."""

    def padded(key: str, filler: int) -> torch.Tensor:
        rows = [torch.tensor(example[key]) for example in batch]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=filler)

    ids = padded("input_ids", 0)
    return {"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": padded("labels", -100)}


class EndStep(TrainerCallback):
    """What experts that are balanced without a loss need under this trainer."""

    def on_step_end(self, args, state, control, model=None, **kwargs):
        model.end_step()


def updated(model, folder, *, parts: int) -> Seq2SeqTrainer:
    """A trainer that has made one update from all examples, cut into parts."""
    trainer = Seq2SeqTrainer(
        model=model.train(),
        args=Seq2SeqTrainingArguments(
            output_dir=str(folder),
            per_device_train_batch_size=len(TARGETS) // parts,
            gradient_accumulation_steps=parts,
            max_steps=1,
            optim="sgd",
            learning_rate=0.5,
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=examples(),  # type: ignore[arg-type]
        eval_dataset=examples(),  # type: ignore[arg-type]
        data_collator=collate,
        callbacks=[EndStep()],
    )
    trainer.train()
    return trainer


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_gradient_accumulation_does_not_change_the_update(tiny_model, tmp_path):
    begin = weights(tiny_model())
    whole = weights(updated(tiny_model(), tmp_path, parts=1).model) - begin
    assert whole.norm() > 0.1
    mean_of_means = torch.zeros_like(begin)
    for example in examples():
        model = tiny_model()
        model(**collate([example])).loss.backward()
        gradient = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
        mean_of_means -= 0.5 * gradient / len(TARGETS)
    assert (mean_of_means - whole).norm() / whole.norm() > 0.05, "the examples would not tell the two apart"
    for parts in (2, 4):
        cut = weights(updated(tiny_model(), tmp_path, parts=parts).model) - begin
        assert (cut - whole).norm() / whole.norm() < OTHER_CUT
        torch.testing.assert_close(cut, whole, rtol=0, atol=PARITY)


BIASED_EXPERTS = {
    "num_experts": 4,
    "router_aux_loss_coef": 0.0,
    "router_z_loss_coef": 0.0,
    "router_bias_update_rate": 0.125,
}


def test_gradient_accumulation_does_not_change_experts_balanced_by_biases(tiny_model, tmp_path):
    """Padding is routed nowhere and loads are counted over the whole step, so that the cut into parts shows nowhere."""
    begin = weights(tiny_model(**BIASED_EXPERTS))
    whole = updated(tiny_model(**BIASED_EXPERTS), tmp_path, parts=1).model
    cut = updated(tiny_model(**BIASED_EXPERTS), tmp_path, parts=4).model
    update = weights(whole) - begin
    assert ((weights(cut) - begin) - update).norm() / update.norm() < OTHER_CUT
    biases = {name: bias for name, bias in whole.named_buffers() if "selection_bias" in name}
    assert len(biases) == 5 and any(bias.any() for bias in biases.values())
    for name, bias in cut.named_buffers():
        if name in biases:
            assert torch.equal(bias, biases[name]), name


def test_padding_of_transformers_collator_is_routed_nowhere(tiny_model):
    """It makes the decoder's inputs itself and no mask for them."""
    model = tiny_model(**BIASED_EXPERTS).train()
    labels = collate(examples())["labels"]
    batch = collate(examples()) | {"decoder_input_ids": model.prepare_decoder_input_ids_from_labels(labels)}
    model(**batch)
    loads = {place: int(router.load_E.sum()) for place, router in model.routers()}
    assert {load for place, load in loads.items() if "decoder" in place} == {sum(TARGETS)}
    assert {load for place, load in loads.items() if "encoder" in place} == {sum(TARGETS) + 5 * len(TARGETS)}


def test_the_trainer_evaluates_by_the_same_loss(tiny_model, tmp_path):
    trainer = updated(tiny_model(), tmp_path, parts=1)
    with torch.inference_mode():
        expected = trainer.model.eval()(**collate(examples())).loss
    assert trainer.evaluate()["eval_loss"] == pytest.approx(float(expected), rel=PARITY)


def test_a_saved_model_is_loaded_by_name(tiny_model, tmp_path):
    trainer = updated(tiny_model(), tmp_path, parts=1)
    trainer.save_model(str(tmp_path / "model"))
    model, loading = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(loading.values()), loading
    with torch.inference_mode():
        expected, found = (each.eval()(**collate(examples())).logits for each in (trainer.model, model))
    torch.testing.assert_close(found, expected, rtol=0, atol=PARITY)
