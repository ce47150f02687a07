"""Tuning models that are not ours, from the command line to the report; and what cannot be tuned, in one line each."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from stopping import train_until
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, BertConfig, GPT2Config

from rot5.build.finetuning import finetuning
from rot5.config import FinetuneConfig
from rot5.data.corpus import PairCorpus
from rot5.recipes import read
from rot5.train.checkpoint import checkpoints
from rot5.train.run_folder import RunFolder

FLAGS = """
    --train.steps 4 --train.batch_rows 2 --train.micro_batch_rows 1 --train.evaluate_every 2 --train.log_every 1
    --train.checkpoint_every 2 --train.evaluation_examples 3 --train.precision float32 --train.optimizer.name adamw
    --train.optimizer.lr 1e-2 --summaries 3 --max_new_tokens 8
"""


def words(corpora: Path, out: Path, *more: object) -> list[str]:
    data = ["--pairs", corpora / "pairs", "--validation", corpora / "held-out", "--out", out]
    return [str(word) for word in ("finetune", *FLAGS.split(), *data, *more)]


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(run.export / "model.safetensors")


def timeless(run: RunFolder) -> list[dict]:
    return [
        {key: value for key, value in record.items() if not key.startswith("speed/") and "wait" not in key}
        | {"seconds": 0}
        for record in run.metrics()
    ]


@pytest.fixture(scope="module")
def runs(corpora, foreigners, tmp_path_factory) -> Path:
    """A folder with a run of each kind: `t5`, `bart`, and `ours`, of one step."""
    from rot5.cli import run

    folder = tmp_path_factory.mktemp("others")
    for name in ("t5", "bart"):
        run(words(corpora, folder / name, "--init", foreigners / name))
    run(words(corpora, folder / "ours", "--model.preset", "smoke", "--train.steps", 1))
    return folder


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_a_tuned_model_is_what_it_was_for_transformers(rot5, corpora, foreigners, runs, name):
    run = RunFolder(runs / name)
    source = AutoModelForSeq2SeqLM.from_pretrained(foreigners / name)
    tuned, tokenizer = (each.from_pretrained(run.export) for each in (AutoModelForSeq2SeqLM, AutoTokenizer))
    assert type(tuned) is type(source)
    assert tuned.config.to_dict() | {"_name_or_path": ""} == source.config.to_dict() | {"_name_or_path": ""}
    assert tuned.generation_config.to_dict() == source.generation_config.to_dict()
    assert tokenizer("A dog.").input_ids == AutoTokenizer.from_pretrained(foreigners / name)("A dog.").input_ids
    before, after = source.state_dict(), tuned.state_dict()
    assert before.keys() == after.keys()
    moved = [key for key, value in after.items() if not torch.equal(value, before[key])]
    assert len(moved) > 0.9 * len(after) - 1, "what was trained is not what was exported"

    texts = list(PairCorpus.open(corpora / "held-out").references())
    found = run.evaluation()
    assert found["likelihood"]["overall"]["bytes"] == sum(len(pair.target.encode()) + 1 for pair in texts)
    out = runs.parent / f"{runs.name}-scores-{name}"
    called = rot5("evaluate", run.export, "--data", corpora / "held-out", "--out", out, "--summaries", 3,
                  "--max_new_tokens", 8)  # fmt: skip
    assert (called.code, called.err) == (0, "")
    again = RunFolder(out).evaluation()
    assert again["summaries"]["systems"] == found["summaries"]["systems"]
    assert again["likelihood"]["overall"]["loss"]["mean"] == pytest.approx(
        found["likelihood"]["overall"]["loss"]["mean"], rel=2e-2
    ), "bf16 there, float32 here"
    lines = [record for record in run.metrics() if "train/loss" in record]
    assert all(0.3 < line["data/encoder_fill"] <= 1 and 0.1 < line["data/decoder_fill"] <= 1 for line in lines)
    assert all(line["speed/model_flops_per_second"] > 0 for line in lines)
    evaluated = [record["eval/bits_per_byte"] for record in run.metrics() if "eval/loss" in record]
    assert len(evaluated) == 2 and evaluated[1] < evaluated[0]


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_stopping_and_resuming_gives_the_same_bits(rot5, corpora, foreigners, runs, tmp_path, name):
    """Dropout is on; the stop falls behind the checkpoint of step 2."""
    given = words(corpora, tmp_path / name, "--init", foreigners / name)
    job = finetuning(read(FinetuneConfig, "finetune", given[1:]), resume=False, overwrite=False)
    train_until(job, 3)
    assert [path.name for path in checkpoints(job.run.checkpoints)] == ["step-00000002"]
    called = rot5(*given, "--resume")
    assert called.code == 0, called
    whole, again = RunFolder(runs / name), RunFolder(tmp_path / name)
    expected, found = weights(whole), weights(again)
    assert expected.keys() == found.keys() and all(torch.equal(expected[key], found[key]) for key in expected)
    assert timeless(whole) == timeless(again)
    assert whole.evaluation() == again.evaluation() and whole.samples() == again.samples()
    assert rot5("doctor", again.path).code == 0


def test_one_table_holds_runs_of_all_kinds(rot5, runs, tmp_path):
    called = rot5("report", runs, "--markdown", tmp_path / "all.md")
    assert called.code == 0, called
    page = (tmp_path / "all.md").read_text()
    table = [line for line in page.splitlines() if line.startswith(("| t5 ", "| bart ", "| ours "))][:3]
    assert len(table) == 3
    figures = {name: RunFolder(runs / name).evaluation() for name in ("t5", "bart", "ours")}
    for name, found in figures.items():
        row = next(line for line in table if line.startswith(f"| {name} "))
        assert f"{found['likelihood']['overall']['bits_per_byte']['mean']:.3f}" in row
        assert f"{found['summaries']['systems']['model']['rougeL']['mean']:.1f}" in row
    assert len({found["likelihood"]["overall"]["bytes"] for found in figures.values()}) == 1
    assert len({found["likelihood"]["settings"]["data_fingerprint"] for found in figures.values()}) == 1


def changed(folder: Path, file: str, **changes: object) -> None:
    """Set keys of a JSON file, or drop those that are None."""
    path = folder / file
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def test_what_cannot_be_tuned_is_told_in_one_line(rot5, corpora, foreigners, tmp_path):
    for name in ("no-pad", "no-end", "short"):
        shutil.copytree(foreigners / "bart", tmp_path / name)
    shutil.copytree(foreigners / "t5", tmp_path / "no-start")
    changed(tmp_path / "no-pad", "tokenizer_config.json", pad_token=None)
    changed(tmp_path / "no-end", "tokenizer_config.json", eos_token=None)
    changed(tmp_path / "no-start", "config.json", decoder_start_token_id=None)
    short = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "short")
    for side in (short.model.encoder, short.model.decoder):
        side.embed_positions = torch.nn.Embedding(102, 32)
    short.config.max_position_embeddings = 100
    short.save_pretrained(tmp_path / "short")
    for name, config in (("bert", BertConfig()), ("gpt2", GPT2Config())):
        config.save_pretrained(tmp_path / name)
    t5, bart = foreigners / "t5", foreigners / "bart"
    for more, told in (
        (("--init", tmp_path / "no-pad"), ["has no pad token"]),
        (("--init", tmp_path / "no-end"), ["has no eos token"]),
        (("--init", tmp_path / "no-start"), ["does not say what targets begin with", "decoder_start_token_id"]),
        (("--init", tmp_path / "short"), ["pairs: the longest input has", "this bart model 100 positions: shorten"]),
        (("--init", tmp_path / "bert"), ["is a bert model, not an encoder-decoder"]),
        (("--init", tmp_path / "gpt2"), ["is a gpt2 model, not an encoder-decoder"]),
        (("--init", t5, "--mode", "R"), ["mode R", "is a t5 model", "choose none"]),
        (("--init", bart, "--train.compile", "on"), ["train.compile on", "bart model: leave it at auto"]),
        (
            ("--init", t5, "--pack.encoder_length", 100, "--lora.rank", 0),
            ["pairs: encoder_length is 100, less than the longest input of"],
        ),
        (("--init", t5, "--lora.rank", -2, "--limit", -1), ["lora.rank -2", "limit -1"]),
    ):
        called = rot5(*words(corpora, tmp_path / "out", *more))
        assert called.code == 2, called
        assert called.err.startswith("rot5: error: ") and called.err.count("\n") == 1, called.err
        for phrase in told:
            assert phrase in called.err, called.err
        assert not (tmp_path / "out").exists()


def test_without_a_mode_the_prefix_goes_and_the_export_says_so(rot5, corpora, foreigners, tmp_path):
    called = rot5(*words(corpora, tmp_path / "out", "--init", foreigners / "t5", "--mode", "none", "--train.steps", 1,
                         "--summaries", 0, "--limit", 5))  # fmt: skip
    assert called.code == 0, called
    told = json.loads((tmp_path / "out" / "export" / "config.json").read_text())["task_specific_params"]
    assert told == {"summarization": {"prefix": "", "length_penalty": 2.0}}
    assert RunFolder(tmp_path / "out").config()["derived"]["examples_per_epoch"] == 5
