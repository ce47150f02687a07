"""The loop: gradients do not depend on the cut of the batch, and stopping does not change the result."""

import json
import shutil
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import yaml
from stopping import train_until
from tolerances import OTHER_CUT

from rot5.build.pretraining import pretraining
from rot5.config import PretrainConfig
from rot5.data.packing import PackConfig
from rot5.errors import UserError
from rot5.model.costs import forward_flops
from rot5.model.settings import ModelConfig
from rot5.sizing.batch import batch_flops
from rot5.train.checkpoint import checkpoints
from rot5.train.losses import backward_step, language_model_loss, to_tensors
from rot5.train.run_folder import RunFolder
from rot5.train.settings import TrainConfig
from rot5.verbs import pretrain


@pytest.fixture
def settings(corpora, tmp_path) -> PretrainConfig:
    return PretrainConfig(
        corpus=str(corpora / "stories"),
        validation=str(corpora / "validation"),
        out=str(tmp_path / "run"),
        model=ModelConfig(preset="smoke", dropout_rate=0.1),
        pack=PackConfig(encoder_length=256, decoder_length=160),
        train=TrainConfig(
            steps=6,
            batch_rows=4,
            micro_batch_rows=2,
            evaluate_every=3,
            evaluation_examples=10,
            checkpoint_every=2,
            keep_checkpoints=9,
            log_every=4,
        ),
    )


def test_the_cut_into_micro_batches_does_not_change_the_gradient(settings):
    job = pretraining(replace(settings, model=ModelConfig(preset="smoke")), resume=False, overwrite=False)
    batch = job.trainer.rows.rows(0, 4)
    counts = [(row != -100).sum() for row in batch.fields["labels"]]
    assert len(set(counts)) > 1, "parts of equal size would hide a mean of means"
    loss = language_model_loss(job.model, job.model.device, "float32")
    found = []
    for rows in (4, 2, 1):
        job.model.zero_grad()
        value = backward_step(loss, to_tensors(batch.fields, job.model.device), rows, batch.num_targets)
        found.append((value, torch.cat([parameter.grad.flatten() for parameter in job.model.parameters()])))
    for value, gradient in found[1:]:
        torch.testing.assert_close(value, found[0][0], rtol=OTHER_CUT, atol=0)
        assert (gradient - found[0][1]).norm() / found[0][1].norm() < OTHER_CUT


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(run.export / "model.safetensors")


EXPERTS = ModelConfig(
    preset="smoke", dropout_rate=0.1, num_experts=4, router_bias_update_rate=0.1, router_jitter_noise=0.1
)


@pytest.mark.parametrize("model", [ModelConfig(preset="smoke", dropout_rate=0.1), EXPERTS], ids=["dense", "experts"])
def test_stopping_and_resuming_gives_the_same_bits(settings, tmp_path, model):
    """Dropout is on, so that the random state counts too; the stop falls between two lines of metrics."""
    settings = replace(settings, model=model)
    pretrain.run(settings)
    whole = RunFolder(tmp_path / "run")

    stopped = replace(settings, out=str(tmp_path / "stopped"))
    job = pretraining(stopped, resume=False, overwrite=False)
    train_until(job, 3)
    pretrain.run(stopped, resume=True)
    again = RunFolder(tmp_path / "stopped")

    expected, found = weights(whole), weights(again)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    timed = (
        "seconds", "speed/story_tokens_per_second", "speed/model_flops_per_second", "data/wait_share"
    )  # fmt: skip
    timeless = [
        [{key: value for key, value in record.items() if key not in timed} for record in run.metrics()]
        for run in (whole, again)
    ]
    assert timeless[0] == timeless[1]
    assert whole.evaluation()["likelihood"] == again.evaluation()["likelihood"]
    assert {"R", "S", "X32", "X64", "overall", "settings"} == set(whole.evaluation()["likelihood"])
    assert [sample["kind"] for sample in whole.samples()] == [sample["kind"] for sample in again.samples()]


def test_a_run_with_experts_tells_how_they_are_used(settings, tmp_path):
    pretrain.run(replace(settings, model=EXPERTS))
    run = RunFolder(tmp_path / "run")
    line = next(record for record in run.metrics() if "train/loss" in record)
    places = [f"{stack}.{i}" for stack in ("encoder", "decoder") for i in range(2)]
    names = ("max_load", "min_load", "entropy", "dropped", "dead_experts")
    assert {key for key in line if key.startswith("router/")} == {f"router/{p}/{n}" for p in places for n in names}
    for place in places:
        assert 1 <= line[f"router/{place}/max_load"] <= 4 and 0 < line[f"router/{place}/entropy"] <= 1
    biases = [weight for name, weight in weights(run).items() if "selection_bias" in name]
    assert len(biases) == 4 and any(bias.any() for bias in biases)


def test_the_reported_loss_is_that_of_the_language_model(settings):
    """Router losses are minimised and not reported, so that runs with and without experts can be compared."""
    job = pretraining(
        replace(settings, model=ModelConfig(preset="smoke", num_experts=4, router_aux_loss_coef=10.0)),
        resume=False,
        overwrite=False,
    )
    batch = job.trainer.rows.rows(0, 2)
    fields = to_tensors(batch.fields, job.model.device)
    reported = backward_step(language_model_loss(job.model, job.model.device, "float32"), fields, 2, batch.num_targets)
    router_gradient = job.model.get_parameter("encoder.layers.0.mlp.router.weight").grad.norm()
    output = job.model(**fields)
    assert output.loss - output.lm_loss > 9, "a balance loss is at least 1"
    torch.testing.assert_close(reported, output.lm_loss.detach(), rtol=OTHER_CUT, atol=0)
    job.model.zero_grad()
    output.lm_loss.backward()
    assert (job.model.get_parameter("encoder.layers.0.mlp.router.weight").grad.norm() - router_gradient).abs() > 0.01


def test_two_evaluations_give_the_same_number(settings):
    job = pretraining(settings, resume=False, overwrite=False)
    job.model.eval()
    first, second = job.likelihood(), job.likelihood()
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert len(first.kinds) == 40


def test_a_run_is_neither_overwritten_nor_changed_in_passing(settings):
    pretraining(settings, resume=False, overwrite=False)
    with pytest.raises(UserError, match=r"--resume .* --overwrite"):
        pretraining(settings, resume=False, overwrite=False)
    other = replace(settings, seed=1)
    with pytest.raises(UserError, match="seed: 0 -> 1"):
        pretraining(other, resume=True, overwrite=False)
    pretraining(other, resume=False, overwrite=True)
    assert RunFolder(pretraining(other, resume=True, overwrite=False).run.path).config()["seed"] == 1


def test_a_run_begun_before_a_setting_was_known_goes_on(settings):
    """Where older software knew no such setting, the run has its default, and nothing else."""
    run = pretraining(settings, resume=False, overwrite=False).run
    config = run.config()
    del config["derived"]["shape"]["position_encoding"], config["train"]["optimizer"]["beta2"], config["seed"]
    del config["derived"]["data"]
    (run.path / "config.yaml").write_text(yaml.safe_dump(config))
    pretraining(settings, resume=True, overwrite=False)
    optimizer = replace(settings.train.optimizer, beta2=0.5)
    changed = replace(settings, train=replace(settings.train, optimizer=optimizer))
    with pytest.raises(UserError, match=r"train.optimizer.beta2: 0.95 -> 0.5"):
        pretraining(changed, resume=True, overwrite=False)
    config["derived"]["shape"]["d_model"] = 32
    (run.path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match=r"derived.shape.d_model: 32 -> 64"):
        pretraining(settings, resume=True, overwrite=False)


def test_a_run_goes_on_with_no_other_data(settings, corpora, tmp_path):
    """Of a mixture one corpus is prepared anew where it lay."""
    text = tmp_path / "text"
    shutil.copytree(corpora / "stories", text)
    settings = replace(settings, corpus=f"{corpora / 'stories'}=2,{text}=1")
    run = pretraining(settings, resume=False, overwrite=False).run
    folders = [str(corpora / "stories"), str(text), settings.validation]
    assert list(run.config()["derived"]["data"]) == folders
    pretraining(settings, resume=True, overwrite=False)
    with pytest.raises(UserError, match="settings ") as other:
        pretraining(replace(settings, corpus=folders[0]), resume=True, overwrite=False)
    assert "derived.data" not in str(other.value)
    shutil.rmtree(text)
    shutil.copytree(corpora / "validation", text)
    with pytest.raises(UserError, match=f"on other data than {text} now holds: restore"):
        pretraining(settings, resume=True, overwrite=False)
    pretraining(settings, resume=False, overwrite=True)


def test_a_damaged_checkpoint_is_told(settings):
    job = pretraining(settings, resume=False, overwrite=False)
    job.trainer.train()
    newest = checkpoints(job.run.checkpoints)[-1]
    file = next(newest.glob("*.safetensors"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(
        UserError, match=r"damaged: delete .*step-00000006 to resume from step-00000004, which is whole"
    ):
        job.trainer.resume()


def test_unfinished_checkpoints_are_not_offered_and_old_ones_go(settings):
    job = pretraining(
        replace(settings, train=replace(settings.train, keep_checkpoints=2)), resume=False, overwrite=False
    )
    job.trainer.train()
    assert [path.name for path in checkpoints(job.run.checkpoints)] == ["step-00000004", "step-00000006"]
    (job.run.checkpoints / "step-00000006" / "manifest.json").unlink()
    assert [path.name for path in checkpoints(job.run.checkpoints)] == ["step-00000004"]


def test_a_torn_line_of_metrics_is_left_out(settings):
    job = pretraining(settings, resume=False, overwrite=False)
    job.run.metrics_file.write_text(json.dumps({"step": 1}) + '\n{"step": 2, "tra')
    assert job.run.metrics() == [{"step": 1}]


def test_checkpointing_changes_no_bit_of_the_gradient(settings):
    """Dropout is on: what is made again must drop the same. A layer's inner tensors are no longer kept."""
    found: list[torch.Tensor] = []
    kept = []
    for checkpointing in (False, True):
        train = replace(settings.train, checkpointing=checkpointing)
        job = pretraining(replace(settings, train=train), resume=False, overwrite=True)
        job.model.train()
        torch.manual_seed(5)
        fields = to_tensors(job.trainer.rows.rows(0, 4).fields, job.model.device)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, to=sizes: to.append(t.numel()) or t, lambda t: t):
            language_model_loss(job.model, job.model.device, "float32")(fields, torch.tensor(9.0)).objective.backward()
        found.append(torch.cat([parameter.grad.flatten() for parameter in job.model.parameters()]))
        kept.append(sum(sizes))
    assert found[0].any() and torch.equal(*found)
    assert kept[1] < kept[0] / 2


def test_the_device_is_waited_for_once_an_update(settings, monkeypatch):
    """For the loss and the norm together, without which nobody knows whether to make it."""
    waits, behind = [], []
    wait = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: waits.append(1) or wait(tensor))
    monkeypatch.setattr(torch.Tensor, "__float__", lambda tensor: waits.append(1) or wait(tensor))
    monkeypatch.setattr(torch.Tensor, "item", lambda tensor: waits.append(1) or wait(tensor))
    train = replace(settings.train, log_every=4, checkpoint_every=100, evaluate_every=0)
    trainer = pretraining(replace(settings, train=train), resume=False, overwrite=False).trainer
    trainer.after_update = lambda moved: behind.append(len(waits))
    trainer.train()
    assert behind[:5] == [1, 2, 3, 4, 5]


def test_the_wait_for_batches_is_told(settings, monkeypatch):
    """By a clock that goes on by 3 seconds for each batch and by 1 for each update."""
    train = replace(settings.train, log_every=3, evaluate_every=0)
    job = pretraining(replace(settings, train=train), resume=False, overwrite=False)
    clock, update = [0.0], job.trainer.update

    def batches(source, first, step_rows, stop, **place):
        for start in range(first, stop, step_rows):
            clock[0] += 3
            yield source.rows(start, step_rows)

    def timed(fields, num_targets, lr):
        clock[0] += 1
        return update(fields, num_targets, lr)

    monkeypatch.setattr("rot5.train.trainer.time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr("rot5.train.trainer.prefetch", batches)
    job.trainer.update = timed
    job.trainer.train()
    lines = [line for line in job.run.metrics() if "train/loss" in line]
    assert [(line["seconds"], line["data/wait_share"]) for line in lines] == [(12, 0.75), (24, 0.75)]


def test_operations_are_those_of_the_documents(settings):
    job = pretraining(settings, resume=False, overwrite=False)
    shape, batch = job.model.config, job.trainer.rows.rows(0, 4)
    expected = 0
    for row in range(4):
        for segment in range(1, 1 + (batch.segment_examples[row] >= 0).sum()):
            sides = ("encoder_segment_ids", "decoder_segment_ids")
            inputs, targets = (int((batch.fields[side][row] == segment).sum()) for side in sides)
            each = forward_flops(shape, inputs, targets)
            expected += 3 * (inputs * each.encoder_token + targets * each.decoder_token)
    assert batch_flops(shape, batch) == pytest.approx(expected, rel=1e-3)
    job.trainer.train()
    lines = [line for line in job.run.metrics() if "train/loss" in line]
    assert all(line["speed/model_flops_per_second"] > 0 and "compile/recompiles" not in line for line in lines)


@pytest.mark.slow
def test_a_compiled_step_is_compiled_once(settings, monkeypatch):
    """Traced into graphs, of which no code is made: what is counted is the same and comes sooner."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    train = replace(settings.train, compile="on", log_every=1, evaluate_every=2)
    job = pretraining(replace(settings, train=train), resume=False, overwrite=False)
    update = job.trainer.update

    def another_shape_at_last(fields, num_targets, lr):
        rows = 3 if job.trainer.state.step == 5 else 4
        return update({name: field[:rows] for name, field in fields.items()}, num_targets, lr)

    job.trainer.update = another_shape_at_last
    job.trainer.train()
    counts = [line["compile/recompiles"] for line in job.run.metrics() if "train/loss" in line]
    assert counts[:5] == [0] * 5 and counts[5] > 0


def test_pretraining_learns(settings, tmp_path):
    longer = replace(
        settings,
        model=ModelConfig(preset="smoke"),
        train=replace(settings.train, steps=30, batch_rows=4, micro_batch_rows=4, log_every=10, evaluate_every=0),
    )
    pretrain.run(longer)
    losses = [record["train/loss"] for record in RunFolder(tmp_path / "run").metrics() if "train/loss" in record]
    assert losses[-1] < losses[0] - 0.5
