"""Instruction tuning as users call it: tasks into pairs, a model tuned on them, and each task judged by its measure."""

import json
from pathlib import Path

import pytest

from rot5.data.corpus import PairCorpus
from rot5.data.manifest import MANIFEST, SEAL, SETTINGS, data_fingerprint, write_sealed

MIXTURE = """
sources: {world: {format: storyworld, limit: 25}}
tasks: [world/who, world/title, world/order, world/word]
held_out: [world/word]
formats: {plain: 1, shots: 1, rationale: 1, most_shots: 1}
"""

RUN = "finetune --pairs train --validation held --mode none --out run --summaries 0"
LOOP = (
    "--model.preset smoke --pack.encoder_length 512 --pack.decoder_length 256 --train.batch_rows 2 "
    "--train.micro_batch_rows 2 --train.steps 2 --train.optimizer.name adafactor --train.schedule.name constant"
)


@pytest.fixture
def place(tmp_path, monkeypatch, corpora, rot5):
    monkeypatch.chdir(tmp_path)
    Path("tasks.yaml").write_text(MIXTURE)
    given = ("mix", "tasks.yaml", "--tokenizer", corpora / "stories")
    assert rot5(*given, "--examples", 40, "--out", "train").code == 0
    assert rot5(*given, "--per_task", 3, "--held_out", "true", "--split", "test", "--out", "held").code == 0
    return given


def told(folder: str) -> list[dict]:
    return [json.loads(line) for line in Path(folder, "references.jsonl").read_text().splitlines()]


def test_tasks_are_tuned_on_and_judged(place, rot5):
    assert {each["task"] for each in told("train")} == {"world/who", "world/title", "world/order"}
    assert [each["task"] for each in told("held")] == ["world/word"] * 3
    assert PairCorpus.open("train").manifest["licence"] == "Apache-2.0"
    called = rot5(*RUN.split(), *LOOP.split())
    assert called.code == 0, called.err
    called = rot5("evaluate", "run", "--data", "held", "--max_new_tokens", 8)
    assert "Tasks" in called.out and "world/word" in called.out and "exact, %" in called.out
    tasks = json.loads(Path("run/eval.json").read_text())["summaries"]["tasks"]
    assert tasks["world/word"]["examples"] == 3
    fewer = rot5("evaluate", "run", "--data", "held", "--summaries", 2)
    assert fewer.code == 2 and "run holds an evaluation of 3 examples: for one of 2 choose another --out" in fewer.err
    assert rot5("report", "run", "--markdown", "run.md").code == 0
    assert "world/word" in Path("run.md").read_text() and "world/word" in Path("run/report.html").read_text()


def test_the_same_command_gives_the_same_pairs_and_resumes_to_nothing(place, rot5):
    assert rot5(*place, "--examples", 40, "--out", "again").code == 0
    assert told("again") == told("train")
    assert "again already exists" in rot5(*place, "--out", "again").err
    assert "40 pairs" in rot5(*place, "--examples", 40, "--out", "again", "--resume").out
    assert rot5(*place, "--examples", 5, "--format", "rationale", "--out", "again", "--overwrite").code == 0
    assert len(told("again")) == 5
    assert rot5(*place, "--examples", 20, "--tasks", "world/w*, world/title", "--out", "some").code == 0
    assert {each["task"] for each in told("some")} == {"world/who", "world/title"}, "what is held out stays out"
    assert rot5(*place, "--examples", 5, "--tasks", "world/word", "--out", "named").code == 0
    assert {each["task"] for each in told("named")} == {"world/word"}, "but for what is named"


def test_finished_pairs_of_other_settings_are_no_success(place, rot5):
    again = (*place, "--out", "train", "--resume", "--examples")
    called = rot5(*again, 41, "--format", "plain")
    assert called.code == 2 and called.err.count("\n") == 1
    assert "train was made with other settings (examples, format): restore them" in called.err
    Path("tasks.yaml").write_text(MIXTURE.replace("limit: 25", "limit: 26"))
    assert "other settings (mixture)" in rot5(*again, 40).err
    Path("tasks.yaml").write_text(f"# what is only said differently is the same\n{MIXTURE}")
    assert "40 pairs" in rot5(*again, 40).out
    Path("templates.yaml").write_text('title: {inputs: ["{story} Title?"], targets: ["{answer}"]}')
    Path("tasks.yaml").write_text(f"{MIXTURE}\ntemplates: templates.yaml")
    assert rot5(*place, "--examples", 5, "--out", "own").code == 0
    Path("templates.yaml").write_text('title: {inputs: ["{story} Its title?"], targets: ["{answer}"]}')
    assert "other settings (templates)" in rot5(*place, "--examples", 5, "--out", "own", "--resume").err


def test_pairs_from_before_settings_were_kept_are_taken_and_their_fingerprint_stays(place, rot5):
    before = data_fingerprint(Path("train"))
    manifest = json.loads(Path("train", MANIFEST).read_text())
    write_sealed(Path("train"), {key: manifest[key] for key in manifest if key not in (SETTINGS, SEAL)})
    assert "40 pairs" in rot5(*place, "--examples", 41, "--out", "train", "--resume").out
    assert data_fingerprint(Path("train")) == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--examples", "0"], "examples 0 must be at least 1"),
        (["--format", "shot"], "unknown format 'shot': did you mean shots"),
        (["--split", "dev"], "unknown split 'dev'"),
        (["--longest_target", "1"], "no example fits"),
        (["--tasks", "world/whom"], "no task 'world/whom': did you mean world/who"),
        (["--tasks", "world/who", "--held_out", "true"], "both say which tasks"),
        (["--tokenizer", "nowhere"], "no tokenizer at nowhere"),
    ],
)
def test_faults_are_told_in_one_line(place, rot5, flags, message):
    called = rot5(*place, "--out", "other", *flags)
    assert called.code == 2 and message in called.err and called.err.count("\n") == 1
    assert not Path("other").exists()


def test_a_mixture_without_held_out_tasks_has_none(place, rot5):
    Path("tasks.yaml").write_text("sources: {world: {limit: 3}}")
    assert "holds no tasks out" in rot5(*place, "--held_out", "true", "--out", "other").err
