"""The model card: what it tells of runs, their chains and their data, and that no text of a user's can break it."""

import ast
import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from rot5.model.configuration_rot5 import Rot5Config
from rot5.report.card import escaped, model_card
from rot5.report.front_matter import Exported
from rot5.report.origin import stages_of
from rot5.train.run_folder import RunFolder

SHAPE = {"vocab_size": 96, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
TRAIN = {"batch_rows": 16, "optimizer": {"name": "muon", "lr": 0.01}, "schedule": {"name": "linear"}}


def interval(mean: float) -> dict:
    return {"mean": mean, "low": mean - 1, "high": mean + 1}


def likelihood(data: str) -> dict:
    kinds = {"loss": interval(2), "bits_per_byte": interval(1.5), "examples": 8, "targets": 90, "bytes": 300}
    return {"overall": kinds, "R": kinds, "settings": {"data": f"data/{data}"}}


@pytest.fixture
def make_run(corpora, tmp_path):
    """Writes a run folder as training leaves it, and returns its path."""

    def make(name: str, evaluation: dict, **config) -> str:
        run = RunFolder(tmp_path / name)
        run.path.mkdir(parents=True)
        derived = {"steps": 220, "precision": "float32"}
        pack = {"encoder_length": 512, "decoder_length": 144}
        config = {"init": "", "pack": pack, "train": TRAIN, "seed": 7, "derived": derived, **config}
        run.settings_file.write_text(yaml.safe_dump(config))
        (run.path / "environment.json").write_text(json.dumps({"device": "Some CPU", "threads": 2, "torch": "2.13"}))
        run.metrics_file.write_text(json.dumps({"step": 220, "seconds": 90.0, "story_tokens": 4321}) + "\n")
        run.evaluation_file.write_text(json.dumps(evaluation))
        return str(run.path)

    return make


@pytest.fixture
def tuned(make_run, corpora) -> str:
    """A tuned run and the pretrained one that it began with."""
    denoisers = [{"name": "R", "probability": 0.25}, {"name": "S", "probability": 0.75}]
    first = make_run(
        "first", {"likelihood": likelihood("test")}, corpus=str(corpora / "stories"), denoise={"denoisers": denoisers}
    )
    systems = {"model": {"content_true": interval(91), "rougeL": interval(63), "words": 33.0}}
    summaries = {"examples": 300, "systems": systems, "settings": {"data": "data/held-out"}}
    evaluation = {"likelihood": likelihood("held-out"), "summaries": summaries}
    return make_run("second", evaluation, pairs=str(corpora / "pairs"), init=first)


def card(model: str = "", name: str = "user/summarizer", licence: str = "", **about) -> str:
    exported = {"config": Rot5Config(**SHAPE), "parameters": 12345, "prefix": "[S]"} | about
    return model_card(Exported(name=name, **exported), stages_of(model) if model else [], licence)


def headings(text: str) -> list[str]:
    return re.findall(r"^## (.*)$", text, re.MULTILINE)


def test_a_chain_of_runs_is_told_from_its_beginning(tuned, corpora):
    text = card(tuned, licence="apache-2.0", portable=True)
    assert headings(text) == ["Use", "Training data", "Training", "Results", "Limits", "Licence", "Methods"]
    assert "pretrained on denoising, then tuned on pairs" in text and "12,345 parameters" in text
    assert re.search(
        r"\| first \| stories \| storyworld \| Apache-2.0 \| 300 \| [\d,]+ \| [\d,]+ \| [0-9a-f]{16} \|", text
    )
    assert re.search(r"\| second \| pairs \| storyworld \| Apache-2.0 \| 60 \|", text)
    assert "| first | pretrain | 220 | 16 | 512 and 144 | muon, 0.01 | linear | float32 | 7 | R 0.25, S 0.75 |" in text
    assert "| first | Some CPU | 2 | 1.5 | 4,321 | 2.13 |" in text
    assert "### first: likelihood of test" in text and "1.500 (0.500 to 2.500)" in text
    assert "| model | 91 (90 to 92) | 63 (62 to 64) | 33.0 |" in text
    assert "at most 512 and answers of at most 144" in text
    assert "arXiv:2205.05131" in text and "Muon" in text and "2101.03961" not in text


def test_the_hub_reads_the_front_matter(tuned):
    data = ModelCard(card(tuned, licence="Apache-2.0")).data
    assert (data.license, data.language, data.library_name) == ("apache-2.0", "en", "transformers")
    assert (data.pipeline_tag, data.model_name) == ("summarization", "user/summarizer")
    assert data.eval_results is not None
    figures = {each.metric_name: (each.metric_value, each.metric_args) for each in data.eval_results}
    assert figures["ROUGE-L"] == (63, {"interval": "95 % bootstrap", "low": 62, "high": 64})
    assert figures["Bits per byte"][0] == 1.5 and figures["Content words true, %"][0] == 91
    assert {each.dataset_name for each in data.eval_results} == {"held-out"}


def test_a_licence_is_what_was_said_or_what_all_data_have(make_run, corpora, tmp_path):
    def of(*licences: str, licence: str = "") -> tuple:
        folders = []
        for number, each in enumerate(licences):
            folder = tmp_path / f"data-{len(list(tmp_path.iterdir()))}-{number}"
            folder.mkdir()
            manifest = json.loads((corpora / "stories" / "manifest.json").read_text())
            source = "tinystories" if number else "mine"
            (folder / "manifest.json").write_text(json.dumps(manifest | {"licence": each, "source": source}))
            folders.append(str(folder))
        run = make_run(f"run-{len(list(tmp_path.iterdir()))}", {}, corpus=",".join(folders))
        data = ModelCard(card(run, licence=licence)).data
        return data.license, data.get("license_name"), data.datasets

    tinystories = ["roneneldan/TinyStories"]
    assert of("MIT", "MIT") == ("mit", None, tinystories)
    assert of("mit", "cc0-1.0") == (None, None, tinystories)
    assert of("unknown") == (None, None, None)
    assert of("mit", licence="House rules: 1") == ("other", "House rules: 1", None)


def test_of_a_model_without_a_run_only_what_is_known_is_told():
    text = card()
    assert headings(text) == ["Use", "Limits", "Licence", "Methods"]
    assert "Nothing is known of how it was trained" in text and "nobody has said" in text
    assert ModelCard(text).data.pipeline_tag is None


def test_a_run_whose_beginning_and_data_are_gone_is_told_of_without(make_run):
    run = make_run("alone", {}, pairs="gone/pa|irs", init="some/model", teacher="gone/teacher", method="forward_kl")
    text = card(run)
    assert "distilled from a teacher" in text and "It began with some/model, of which no more is known." in text
    assert "| alone | pa\\|irs |" in text and "Teacher: gone/teacher." in text and "Results" not in headings(text)


def test_runs_that_name_each_other_end(make_run, tmp_path):
    one = make_run("one", {}, corpus="x", init=str(tmp_path / "two"))
    make_run("two", {}, corpus="x", init=one)
    assert [stage.run.name for stage in stages_of(one)] == ["two", "one"]


def test_an_export_inside_a_run_is_the_runs(tuned):
    (Path(tuned) / "export").mkdir()
    assert [stage.run.name for stage in stages_of(f"{tuned}/export")] == ["first", "second"]


@pytest.mark.parametrize("onnx", [False, True])
def test_what_lies_in_the_folder_is_told(onnx):
    assert ("encoder.onnx" in card(onnx=onnx)) == onnx == ("onnx" in ModelCard(card(onnx=onnx)).data.tags)
    assert ("trust_remote_code=True" in card(portable=onnx)) == onnx
    assert ("import rot5" in card(portable=onnx)) != onnx


HOSTILE = "a|b`c``` \"q\" 's'\n---\n# H: [x](y) <b> é😀 \\ {{x}}"


def test_no_name_breaks_markdown_or_yaml(make_run):
    run = make_run("run", {"likelihood": likelihood(HOSTILE.replace("/", ""))}, corpus=HOSTILE, init=HOSTILE)
    text = card(run, name=HOSTILE, licence=HOSTILE, prefix="`|\n")
    read = ModelCard(text)
    assert read.data.model_name == HOSTILE == read.data.license_name
    blocks = re.findall(r"^(`{4,})(\w+)\n(.*?)^\1$", read.text, re.MULTILINE | re.DOTALL)
    assert [language for _, language, _ in blocks] == ["python", "bash"]
    (named,) = re.findall("^name = (.*)$", blocks[0][2], re.MULTILINE)
    assert ast.literal_eval(named) == HOSTILE
    assert shlex.split(blocks[1][2])[-1] == HOSTILE
    words = re.sub(r"^(`{4,}).*?^\1$", "", read.text, flags=re.MULTILINE | re.DOTALL)
    assert len(re.findall("^# ", words, re.MULTILINE)) == 1 and not re.search("^---$", words, re.MULTILINE)
    (row,) = re.findall(r"^\| run \| a.*$", words, re.MULTILINE)
    assert len(re.findall(r"(?<!\\)\|", row)) == 3, "of these data nothing is known but the name"


def test_words_are_shown_as_they_are():
    assert escaped("x_y\n&amp; ~z~!") == "x\\_y \\&amp; \\~z\\~\\!"
