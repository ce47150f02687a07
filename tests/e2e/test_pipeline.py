"""Every verb in turn on texts of several kinds, and a summary by a model that is not ours."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rot5 import config, recipes
from rot5.cli import VERBS, run
from rot5.data.corpus import Corpus, PairCorpus
from rot5.data.storyworld import StoryWorld
from rot5.loading import load
from rot5.train.run_folder import RunFolder

STORIES = "Tom had a red ball.\nHe lost it and was sad.\n<|endoftext|>\nA small dog ran home. It was happy."

RECIPE = """
model: {preset: smoke}
pack: {encoder_length: 256, decoder_length: 160}
train:
  steps: 5
  batch_rows: 2
  micro_batch_rows: 1
  evaluation_examples: 4
  optimizer: {lr: 0.002}
"""


def instruct(number: int) -> str:
    """A record in the format of TinyStories-Instruct, its fields in another order each time."""
    record = StoryWorld(1)[number]
    fields = [
        f"Features: {', '.join(record.features)}" if record.features else "Features: Dialogue",
        f"Words: {', '.join(record.words)}",
        f"Summary: {record.summaries[0]}",
        f"Random sentence: {record.story.split('.')[0]}.",
    ]
    fields = fields[number % 4 :] + fields[: number % 4]
    return "\n".join([*fields, "Story: ", "", record.story])


@dataclass(frozen=True)
class House:
    """A folder in which everything has been run once."""

    folder: Path

    @property
    def pretrained(self) -> RunFolder:
        return RunFolder(self.folder / "runs" / "pretrain")

    @property
    def tuned(self) -> RunFolder:
        return RunFolder(self.folder / "runs" / "finetune")

    def pretrain(self) -> list[str]:
        """The words of the pretraining command: flags before and behind the recipe that they override."""
        return [
            *("pretrain", "--train.steps", "3", "--config", f"{self.folder}/recipe.yaml", "--seed=7"),
            *("--corpus", f"{self.folder}/text", "--validation", f"{self.folder}/more-text"),
            *("--out", str(self.pretrained.path)),
        ]


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> House:
    here = House(tmp_path_factory.mktemp("house"))
    folder, world = here.folder, StoryWorld(0)
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "stories.txt").write_text("\n<|endoftext|>\n".join(world[n].story for n in range(120)))
    (folder / "more").mkdir()
    for n in range(200, 212):
        (folder / "more" / f"{n}.txt").write_text(world[n].story)
    lines = [json.dumps({"article": world[n].story, "highlights": world[n].summaries[0]}) for n in range(30)]
    (folder / "pairs.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "instruct.txt").write_text("\n<|endoftext|>\n".join(instruct(n) for n in range(6)))

    columns = ["--source.input_column", "article", "--source.target_column", "highlights"]
    text, tokenizer = str(folder / "text"), ["--tokenizer", str(folder / "text")]
    run(["prepare", f"{folder}/stories.txt", "--prune", "--num_sentinels", "64", "--out", text])
    run(["prepare", f"{folder}/more", *tokenizer, "--out", f"{folder}/more-text"])
    run(["prepare", f"{folder}/pairs.jsonl", *columns, "--pairs", "true", *tokenizer, "--out", f"{folder}/pairs",
         "--source.licence", "CC0-1.0"])  # fmt: skip
    run(["prepare", f"{folder}/instruct.txt", "--pairs=true", *tokenizer, "--out", f"{folder}/instruct"])
    run(here.pretrain())
    run(
        [
            *("finetune", "--config", f"{folder}/recipe.yaml", "--init", str(here.pretrained.path)),
            *("--pairs", f"{folder}/pairs", "--validation", f"{folder}/instruct", "--pack.encoder_length=512"),
            *("--out", str(here.tuned.path), "--max_new_tokens", "12"),
        ]
    )
    return here


@pytest.fixture(scope="module")
def foreign(tmp_path_factory) -> str:
    """The folder of a small T5 with a tokenizer of its own, as transformers writes them."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    folder = str(tmp_path_factory.mktemp("foreign") / "t5")
    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=["<pad>", "</s>", "<unk>"], show_progress=False)
    backend.train_from_iterator([STORIES, "summarize: "], trainer)
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    shape = T5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    shape.task_specific_params = {"summarization": {"prefix": "summarize: "}}
    model = T5ForConditionalGeneration(shape)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "EncDecAttention" in name:
                parameter.normal_(std=3.0)  # so that what is read decides what is written
    model.save_pretrained(folder)
    return folder


def test_every_kind_of_text_is_prepared_whole(house):
    text, more = Corpus.open(house.folder / "text"), Corpus.open(house.folder / "more-text")
    assert (text.num_documents, more.num_documents) == (120, 12)
    assert text.num_bytes == sum(len(StoryWorld(0)[n].story.encode()) for n in range(120))
    pairs, instructed = PairCorpus.open(house.folder / "pairs"), PairCorpus.open(house.folder / "instruct")
    assert (len(pairs), len(instructed)) == (30, 6)
    for n, pair in enumerate(instructed.references()):
        assert (pair.input, pair.references) == (StoryWorld(1)[n].story, (StoryWorld(1)[n].summaries[0],))
    assert [each.manifest["licence"] for each in (text, pairs)] == ["unknown", "CC0-1.0"]
    assert len({corpus.tokenizer_fingerprint for corpus in (text, more, pairs.inputs, instructed.targets)}) == 1


def test_flags_override_a_recipe_wherever_they_stand(house):
    settings = house.pretrained.config()
    assert (settings["train"]["steps"], settings["seed"]) == (3, 7)
    assert (settings["train"]["batch_rows"], settings["model"]["preset"]) == (2, "smoke")
    assert house.pretrained.metrics()[-1]["step"] == 3


def test_a_run_folder_holds_what_the_design_says(house):
    named = {"config.yaml", "environment.json", "tokenizer", "metrics.jsonl", "checkpoints", "export"}
    named |= {"eval.json", "samples.jsonl", "report.html"}
    for folder in (house.pretrained, house.tuned):
        assert {path.name for path in folder.path.iterdir()} == named
    assert set(house.pretrained.evaluation()) == {"likelihood"}
    assert set(house.tuned.evaluation()) == {"likelihood", "summaries"}
    assert len(house.tuned.samples()) == 6


def timeless(out: str) -> list[str]:
    """What was printed, without how long it took."""
    return [line for line in out.splitlines() if not line.endswith(" s")]


@pytest.mark.parametrize(("which", "data"), [("finetune", "instruct"), ("pretrain", "more-text")])
def test_two_evaluations_write_the_same(rot5, house, which, data):
    folder, out = house.folder / "runs" / which, house.folder / f"scores-{which}"
    out.mkdir()
    words = ["evaluate", folder, "--data", house.folder / data, "--out", out, "--max_new_tokens", "12"]
    called = rot5(
        "evaluate", folder, "--out", house.folder / "runs" / ("pretrain" if which == "finetune" else "finetune")
    )
    assert called.code == 2 and "holds a run: choose another --out" in called.err
    found = []
    for _ in range(2):
        called = rot5(*words)
        assert (called.code, called.err) == (0, "")
        found.append((timeless(called.out), RunFolder(out).evaluation_file.read_text(), RunFolder(out).samples()))
    assert found[0] == found[1]
    assert any("Likelihood" in line for line in found[0][0])
    written = json.loads(found[0][1])
    trained = RunFolder(folder).evaluation()
    if which == "finetune":
        assert trained["summaries"] == written["summaries"]
        assert len(found[0][2]) == 6
    else:
        assert trained["likelihood"] == written["likelihood"]


def check_summaries(rot5, folder: Path, model: object) -> None:
    (folder / "mine.txt").write_text(STORIES)
    words = ("--model", model, "--max_new_tokens", 9)
    from_file = rot5("summarize", folder / "mine.txt", *words)
    assert (from_file.code, from_file.err) == (0, "")
    assert len(from_file.out.splitlines()) == 2
    assert rot5("summarize", "-", *words, stdin=STORIES.encode()) == from_file
    other = rot5("summarize", "-", *words, stdin=STORIES.partition("<")[0].encode())
    assert other.out.splitlines() == from_file.out.splitlines()[:1]


def test_a_file_and_standard_input_are_summarized(rot5, house, tmp_path):
    check_summaries(rot5, tmp_path, house.tuned.path)


def test_a_model_writes_behind_any_text(rot5, house, foreign, tmp_path):
    """What is printed is what summarize would print, without its prefix, its lines kept and answers set apart."""
    (tmp_path / "mine.txt").write_text(STORIES)
    for model in (house.tuned.path, foreign):
        words = (tmp_path / "mine.txt", "--model", model, "--max_new_tokens", 9)
        summarized = rot5("summarize", *words).out.splitlines()
        called = rot5("generate", *words)
        assert (called.code, called.err) == (0, "")
        answers = called.out.removesuffix("\n").split("\n<|endoftext|>\n")
        assert [" ".join(each.split()) for each in answers] == summarized
        bare, drawn = rot5("generate", *words, "--prefix", ""), ("--do_sample", "true", "--seed", 3)
        assert bare.code == 0 and bare.out != called.out
        first = rot5("generate", *words, *drawn)
        assert first.out == rot5("generate", *words, *drawn).out != rot5("generate", *words, *drawn[:-1], 4).out
    refused = rot5("generate", *words, "--do_sample", "true", "--num_beams", 2)
    assert refused.code == 2 and "exclude each other" in refused.err and refused.err.count("\n") == 1


def test_any_sequence_to_sequence_model_summarizes(rot5, house, foreign, tmp_path):
    check_summaries(rot5, tmp_path, foreign)
    out = tmp_path / "new" / "foreign"
    called = rot5("evaluate", foreign, "--data", house.folder / "instruct", "--out", out, "--max_new_tokens", 9)
    assert (called.code, called.err) == (0, "")
    assert len(RunFolder(out).samples()) == 6
    scores = RunFolder(out).evaluation()["likelihood"]["overall"]
    ours = house.tuned.evaluation()["likelihood"]["overall"]
    assert scores["bytes"] == ours["bytes"], "one table for all tokenizers"
    assert scores["perplexity"]["mean"] == pytest.approx(math.exp(scores["loss"]["mean"]))


def test_a_model_without_sentinels_is_scored_on_the_same_masks_as_ours(rot5, house, foreign, tmp_path):
    words = ("--data", house.folder / "more-text", "--out", tmp_path)
    called = rot5("evaluate", foreign, *words, "--objective", house.pretrained.path)
    assert (called.code, called.err) == (0, "")
    found = RunFolder(tmp_path).evaluation()["likelihood"]
    ours = house.pretrained.evaluation()["likelihood"]
    assert "overall" not in found and found["of_examples"] == ours["overall"]["examples"]
    assert (found["S"]["bytes"], found["S"]["examples"]) == (ours["S"]["bytes"], ours["S"]["examples"])
    assert "Skipped, R: " in called.out and "it has no sentinels" in called.out
    assert rot5("report", tmp_path).code == 0
    assert "it has no sentinels" in (tmp_path / "report.html").read_text()
    told, own = found["settings"], ours["settings"]
    assert told["data_fingerprint"] == own["data_fingerprint"] and len(own["data_fingerprint"]) == 16
    assert told | {"objective": "its own"} == own, "what can be compared says so"
    assert f"masked by the denoisers of {house.pretrained.path}" in " ".join(called.out.split())
    default = rot5("evaluate", foreign, *words)
    assert default.code == 0 and "the default denoisers (R, X32, X64, S)" in default.out
    assert "--objective RUN" in default.out and "--objective" not in called.out
    told = RunFolder(tmp_path).evaluation()["likelihood"]["settings"]
    assert told["objective"] == "default" and told["rows"] == {"encoder_length": 512, "decoder_length": 312}
    assert told["rows"] != own["rows"], "the default masks as the run does"
    called = rot5("evaluate", foreign, *words, "--objective", house.tuned.path)
    assert called.code == 2 and "is no pretraining run" in called.err


def test_the_prefix_of_a_model_goes_before_the_text(rot5, foreign, tmp_path):
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(foreign), AutoModelForSeq2SeqLM.from_pretrained(foreign)

    def answer(text: str) -> str:
        ids = model.generate(**tokenizer(text, return_tensors="pt"), max_new_tokens=9, do_sample=False)
        return " ".join(tokenizer.decode(ids[0], skip_special_tokens=True).split())

    text = "A small dog ran home."
    assert answer(f"summarize: {text}") != answer(text), "the model does not tell the two apart"
    called = rot5("summarize", "-", "--model", foreign, "--max_new_tokens", 9, stdin=text.encode())
    assert called == (0, answer(f"summarize: {text}") + "\n", "")


def test_tuning_without_a_mode_drops_the_prefix_of_the_model_it_starts_from(rot5, house, tmp_path):
    pairs = ["--pairs", house.folder / "pairs", "--validation", house.folder / "instruct"]
    words = ["finetune", "--config", house.folder / "recipe.yaml", "--init", house.tuned.path, *pairs, "--mode", "none"]
    called = rot5(*words, "--train.steps=1", "--pack.encoder_length=512", "--summaries=0", "--out", tmp_path / "out")
    assert called.code == 0, called
    assert load(str(house.tuned.path)).prefix == "[S]"
    assert load(str(tmp_path / "out")).prefix == ""


def test_resuming_a_finished_run_changes_nothing(rot5, house):
    def results() -> list:
        run = house.pretrained
        weights = (run.export / "model.safetensors").read_bytes()
        return [weights, run.metrics(), run.evaluation(), [path.name for path in run.checkpoints.iterdir()]]

    before = results()
    called = rot5(*house.pretrain(), "--resume")
    assert called.code == 0, called
    assert results() == before


def test_reports_of_a_run_and_of_a_folder_of_runs(rot5, house):
    for folder in (house.tuned.path, house.folder / "runs"):
        (folder / "report.html").unlink(missing_ok=True)
        called = rot5("report", folder)
        assert called == (0, f"{folder}/report.html\n", "")
        assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_the_demo_runs_through(rot5, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    called = rot5("demo", "--size", "smoke")
    assert called.code == 0, called
    for title in ("Likelihood", "Summaries", "Done in"):
        assert title in called.out
    assert re.search(r"lead-1|first sentence", called.out, re.IGNORECASE)
    assert (tmp_path / "runs" / "demo" / "report.html").is_file()
    assert rot5("demo", "--size", "smoke").code == 2
    shown = [line[2:] for line in called.out.splitlines() if line.startswith("$ rot5 ")]
    assert len(shown) >= 6, "the demo prints the commands it runs"


@pytest.mark.parametrize("verb", VERBS)
def test_help_names_every_setting(rot5, verb):
    called = rot5(verb, "--help")
    assert (called.code, called.err) == (0, "")
    settings: Callable = getattr(config, VERBS[verb].settings)
    for key in recipes.keys(settings):
        assert f"--{key}" in called.out
