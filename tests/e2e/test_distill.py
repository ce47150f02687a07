"""Students learn what teachers hold likely, from the command line to the report; what cannot be is told in one line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from stopping import train_until
from torch.nn import functional as F
from transformers import AutoModelForSeq2SeqLM, BertConfig, GPT2Config

from rot5.build import distilling as module
from rot5.build.distilling import distilling
from rot5.config import DistillConfig, FinetuneConfig
from rot5.data.corpus import Corpus
from rot5.loading import load
from rot5.recipes import read
from rot5.stages import read_stages
from rot5.train.checkpoint import checkpoints
from rot5.train.distilling import CHUNKS, IDS, LOG_PROBS, NO_CHUNK
from rot5.train.losses import to_tensors
from rot5.train.run_folder import RunFolder

FLAGS = """
    --pack.encoder_length 512 --pack.decoder_length 160 --train.steps 3 --train.batch_rows 2 --train.micro_batch_rows 1
    --train.evaluate_every 2 --train.log_every 1 --train.checkpoint_every 2 --train.evaluation_examples 3
    --train.precision float32 --teacher_precision float32 --model.preset smoke --model.dropout_rate 0.1 --summaries 0
"""


@pytest.fixture(scope="module")
def folder(corpora, tmp_path_factory) -> Path:
    """A folder with `teacher`, a model of ours with few and clear preferences."""
    from rot5.model.configuration_rot5 import Rot5Config
    from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("distilled")
    tokenizer = Corpus.open(corpora / "stories").tokenizer()
    special = {name: tokenizer.convert_tokens_to_ids(token) for name, token in (
        ("pad_token_id", "[PAD]"), ("eos_token_id", "</s>"), ("decoder_start_token_id", "[START]")
    )}  # fmt: skip
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 3, "num_heads": 4, "dropout_rate": 0.1}
    torch.manual_seed(0)
    config = Rot5Config(vocab_size=-(-len(tokenizer) // 128) * 128, **sizes, **special)
    config.task_specific_params = {"summarization": {"prefix": "[S]"}}
    teacher = Rot5ForConditionalGeneration(config)
    with torch.no_grad():
        teacher.decoder.norm.weight.mul_(3)
    teacher.save_pretrained(folder / "teacher")
    tokenizer.save_pretrained(folder / "teacher")
    return folder


def words(corpora: Path, out: Path, teacher: Path, *more: object) -> list[str]:
    data = ["--pairs", corpora / "pairs", "--validation", corpora / "held-out", "--out", out, "--teacher", teacher]
    return [str(word) for word in ("distill", *FLAGS.split(), *data, *more)]


def job(given: list[str]):
    return distilling(read(DistillConfig, "distill", given[1:]), resume=False, overwrite=False)


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(run.export / "model.safetensors")


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_student_is_trained_stopped_and_reported_as_any_run(rot5, corpora, folder, tmp_path, monkeypatch):
    """The teacher is killed while it is asked, the student behind the checkpoint of step 2; dropout is on."""
    monkeypatch.setattr(module, "PAIRS_AT_ONCE", 8)
    more = ("--limit", 28, "--summaries", 2, "--max_new_tokens", 4)
    given = words(corpora, tmp_path / "whole", folder / "teacher", *more)
    called = rot5(*given)
    assert called.code == 0, called.err
    assert "8 of 28 targets read by the teacher\n" in called.out and "28 of 28 targets" in called.out
    whole = RunFolder(tmp_path / "whole")
    lines = [record for record in whole.metrics() if "train/loss" in record]
    assert len(lines) == 3 and all(line["train/teacher_loss"] > 0 for line in lines)
    assert {"likelihood", "summaries"} <= whole.evaluation().keys()

    asks, real = [], module.likeliest_tokens

    def killed(*arguments, **settings):
        asks.append(len(arguments[1]))
        if len(asks) == 3:
            raise KeyboardInterrupt
        return real(*arguments, **settings)

    stopped = words(corpora, tmp_path / "stopped", folder / "teacher", *more)
    monkeypatch.setattr(module, "likeliest_tokens", killed)
    assert rot5(*stopped).code == 130
    train_until(job(stopped), 2)
    assert asks == [8, 8, 8, 8, 4], "what was told before the kill is not asked for again"
    assert bytes_of(tmp_path / "stopped.teacher") == bytes_of(tmp_path / "whole.teacher")
    assert [path.name for path in checkpoints(tmp_path / "stopped" / "checkpoints")] == ["step-00000002"]
    called = rot5(*stopped, "--resume")
    assert called.code == 0, called
    again = RunFolder(tmp_path / "stopped")
    expected, found = weights(whole), weights(again)
    assert expected.keys() == found.keys() and all(torch.equal(expected[key], found[key]) for key in expected)
    timeless = [
        [
            {key: value for key, value in record.items() if key.startswith(("train/", "eval/"))}
            for record in run.metrics()
        ]
        for run in (whole, again)
    ]
    assert timeless[0] == timeless[1] and whole.evaluation() == again.evaluation()
    assert rot5("doctor", again.path).code == 0
    assert rot5("report", tmp_path).code == 0
    twice = rot5(*stopped)
    assert twice.code == 2 and "already holds a run" in twice.err


def test_the_teachers_words_lie_beside_their_targets(corpora, folder, tmp_path):
    """Every cell of packed rows against the teacher asked anew of that pair alone."""
    given = words(corpora, tmp_path / "run", folder / "teacher", "--top_k", 5, "--temperature", 2.0)
    rows = job(given).trainer.rows
    teacher = load(str(folder / "teacher"))
    batch, seen = rows.rows(3, 2), 0
    for row in range(2):
        for segment, example in enumerate(batch.segment_examples[row].tolist(), start=1):
            if example < 0:
                continue
            side = [batch.fields[f"{name}_segment_ids"][row] == segment for name in ("encoder", "decoder")]
            source, target = batch.fields["input_ids"][row][side[0]], batch.fields["labels"][row][side[1]]
            logits, _ = teacher.logits([source.tolist()], [target.tolist()], "float32")
            expected = (logits[0] / 2).log_softmax(-1).topk(5)
            np.testing.assert_array_equal(batch.fields[IDS][row][side[1]], expected.indices)
            found = batch.fields[LOG_PROBS][row][side[1]]
            np.testing.assert_allclose(found[:, :-1], expected.values, atol=5e-3)
            np.testing.assert_allclose(np.exp(found).sum(1), 1, atol=5e-3)
            seen += len(target)
    assert seen == batch.num_targets > 100
    assert not batch.fields[LOG_PROBS][batch.fields["labels"] == -100].any()
    later = rows.rows(0, 5)
    assert all(np.array_equal(array, later.fields[name][3:]) for name, array in batch.fields.items())


def divergence(teacher, student, batch) -> float:
    """Mean over targets of the divergence of all tokens' probabilities."""
    fields = {name: array for name, array in batch.fields.items() if not name.startswith("teacher_")}
    labels = torch.from_numpy(fields.pop("labels"))
    with torch.inference_mode():
        p, q = (model.eval()(**to_tensors(fields, model.device)).logits.log_softmax(-1) for model in (teacher, student))
    each = F.kl_div(q, p, log_target=True, reduction="none").sum(-1)
    return each[labels != -100].mean().item()


def test_a_student_comes_nearer_to_its_teacher_than_the_targets_bring_it(corpora, folder, tmp_path):
    """The teacher knows nothing of stories: who learns of it alone comes near it, who learns stories goes away."""
    found = {}
    loop = ("--train.steps", 5, "--train.optimizer.lr", 5e-3, "--model.dropout_rate", 0, "--decoder_layers", 1,
            "--train.evaluate_every", 0, "--cache", tmp_path / "words", "--limit", 20)  # fmt: skip
    for gold in (0.0, 1.0):
        ready = job(words(corpora, tmp_path / f"gold-{gold}", folder / "teacher", *loop, "--gold", gold))
        teacher, batch = load(str(folder / "teacher")).model, ready.trainer.rows.rows(100, 2)
        before = divergence(teacher, ready.model, batch)
        ready.trainer.train()
        found[gold] = divergence(teacher, ready.model, batch)
    assert found[0.0] < before and found[0.0] < 0.8 * found[1.0]


def test_students_and_teachers_of_all_kinds(rot5, corpora, folder, foreigners, tmp_path):
    t5, bart, pieces = foreigners / "t5", foreigners / "bart", ("--method", "likelihood")
    cut = ("--encoder_layers", 1, "--decoder_layers", 1)
    for name, teacher, more, kind in (
        ("t5-of-t5", t5, cut, "t5"),
        ("t5-of-bart", bart, ("--init", t5, *pieces), "t5"),
        ("ours-of-bart", bart, pieces, "rot5"),
        ("ours-of-ours", folder / "teacher", ("--encoder_layers", 2, "--lora.rank", 2, *pieces), "rot5"),
    ):
        called = rot5(
            *words(corpora, tmp_path / name, teacher, "--train.steps", 1, "--train.batch_rows", 1, "--limit", 9, *more)
        )
        assert called.code == 0, (name, called.err)
        assert "9 of 9 targets read by the teacher" in called.out
        run = RunFolder(tmp_path / name)
        assert np.isfinite([record["train/teacher_loss"] for record in run.metrics() if "train/loss" in record]).all()
        model = AutoModelForSeq2SeqLM.from_pretrained(run.export)
        assert model.config.model_type == kind
        if more is cut:
            assert (model.config.num_layers, model.config.num_decoder_layers) == (1, 1)


def test_of_equal_tokenizers_every_token_is_a_piece(corpora, folder, tmp_path):
    given = words(corpora, tmp_path / "run", folder / "teacher", "--method", "likelihood", "--limit", 20)
    fields = job(given).trainer.rows.rows(0, 2).fields
    valid = fields["labels"] != -100
    teacher = load(str(folder / "teacher"))
    assert (fields[CHUNKS][valid] <= 0).mean() > 0.99, "only bytes of one character stand together"
    assert (fields[CHUNKS][valid] <= NO_CHUNK).all()
    segment = fields["decoder_segment_ids"][0] == 1
    source = fields["input_ids"][0][fields["encoder_segment_ids"][0] == 1]
    target = fields["labels"][0][segment]
    logits, labels = teacher.logits([source.tolist()], [target.tolist()], "float32")
    tokens = logits[0].log_softmax(-1).gather(1, labels[0][:, None])[:, 0]
    told = fields[CHUNKS][0][segment]
    np.testing.assert_allclose(told[told <= 0].sum(), tokens.sum(), rtol=1e-4)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--top_k", "0"], "top_k 0 must be at least 1"),
        (["--temperature", "0"], "temperature 0.0 must be a finite number above 0"),
        (["--gold", "1.5"], "gold 1.5 must be between 0 and 1"),
        (["--method", "forwardkl"], "method 'forwardkl' is unknown: did you mean forward_kl?"),
        (["--teacher_precision", "int8"], "teacher_precision 'int8' is unknown"),
        (["--init", "teacher", "--encoder_layers", "1"], "encoder_layers begins with layers of the teacher, and init"),
        (["--cache", "out/words"], "cache out/words lies in the run folder"),
        (["--teacher", "no-start"], "teacher: no-start does not say what targets begin with"),
        (["--decoder_layers", "-1"], "decoder_layers -1 is negative"),
        (["--decoder_layers", "9"], "decoder_layers 9 must be between 1 and the 3"),
        (["--summaries", "-1", "--gold", "2"], "gold 2.0 must be between 0 and 1; summaries -1 is negative"),
        (["--teacher", "bert"], "is a bert model, not an encoder-decoder"),
        (["--teacher", "gpt2"], "is a gpt2 model, not an encoder-decoder"),
        (["--teacher", "t5"], "forward_kl compares tokens, and t5 has other ones than the student: choose --method"),
        (["--teacher", "bart", "--decoder_layers", "1"], "for teachers of ours, T5 and mT5, and bart is a bart model"),
        (["--teacher", "bart", "--init", "bart"], "init: bart is a bart model, which learns no probabilities here"),
        (
            ["--cache", "words", "--temperature", "2"],
            "cache: words holds the words of another teacher, or on something",
        ),
    ],
)
def test_faults_are_told_in_one_line(rot5, corpora, folder, foreigners, tmp_path, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    for name in ("t5", "bart"):
        Path(name).symlink_to(foreigners / name)
    Path("teacher").symlink_to(folder / "teacher")
    if "no-start" in flags:
        shutil.copytree(foreigners / "t5", "no-start")
        settings = json.loads(Path("no-start/config.json").read_text())
        Path("no-start/config.json").write_text(json.dumps(settings | {"decoder_start_token_id": None}))
    for name, config in (("bert", BertConfig()), ("gpt2", GPT2Config())):
        config.save_pretrained(name)
    if "words" in flags:
        job(words(corpora, Path("first"), Path("teacher"), "--cache", "words", "--limit", 2))
    called = rot5(*words(corpora, Path("out"), Path("teacher"), "--limit", 2, *flags))
    assert called.code == 2 and message in called.err, called.err
    assert called.err.startswith("rot5: error: ") and called.err.count("\n") == 1
    assert not Path("out").exists() and not Path("out.teacher").exists()


def test_other_pairs_are_told_before_the_teacher_is_asked(rot5, corpora, folder, tmp_path):
    """Of the two that miss them, the run and what its teacher said, the run is the one to be told of."""
    shutil.copytree(corpora / "pairs", tmp_path / "pairs")
    given = words(corpora, tmp_path / "run", folder / "teacher", "--limit", 2, "--pairs", tmp_path / "pairs")
    job(given)
    shutil.rmtree(tmp_path / "pairs")
    shutil.copytree(corpora / "held-out", tmp_path / "pairs")
    called = rot5(*given, "--resume")
    assert called.code == 2 and f"begun on other data than {tmp_path / 'pairs'} now holds" in called.err, called.err


def test_several_processes_are_refused(rot5, corpora, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    called = rot5(*words(corpora, tmp_path / "out", folder / "teacher"))
    assert called.code == 2 and "distill runs in one process: call it without torchrun" in called.err


def test_a_stage_may_distill(corpora, tmp_path):
    data = {"pairs": "pairs", "validation": "held-out"}
    stages = {"tuned": {"finetune": {}}, "taught": {"distill": {"teacher": "teacher", "gold": 0.1}}}
    file = tmp_path / "stages.yaml"
    file.write_text(json.dumps({"finetune": data, "distill": data, "stages": stages}))
    tuned, taught = read_stages(file, tmp_path / "all")
    assert type(tuned.config) is FinetuneConfig and isinstance(taught.config, DistillConfig)
    assert taught.config.init == tuned.config.out and (taught.config.teacher, taught.config.gold) == ("teacher", 0.1)
