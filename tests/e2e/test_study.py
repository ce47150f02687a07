"""`rot5 study` as its users call it: runs what is missing, survives a stop, refuses what was changed, compares."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from rot5 import cli
from rot5.study import runs

TRAIN = {"batch_rows": 2, "micro_batch_rows": 2, "evaluate_every": 1, "evaluation_examples": 8, "checkpoint_every": 1}
STUDY = {
    "about": "Two optimizers and a tuned one.",
    "seeds": [0, 1],
    "budget": {"story_tokens": 4000},
    "pretrain": {
        "corpus": "stories",
        "validation": "validation",
        "model": {"preset": "smoke"},
        "pack": {"encoder_length": 512, "decoder_length": 312},
        "train": TRAIN,
    },
    "variants": {
        "plain": {"pretrain": {"train": {"optimizer": {"name": "adamw", "lr": 0.001}}}},
        "muon": {
            "pretrain": {"train": {"optimizer": {"name": "muon"}}},
            "tune": {"share": 0.5, "grid": {"pretrain.train.optimizer.lr": [0.001, 0.004]}},
        },
    },
}
COMMAND = ["study", "some.yaml", "--out", "compared", "--runs", "runs"]


class InThisProcess:
    """A run that has ended when it is started: the same command line, without the seconds that a process takes."""

    started: list[str] = []  # noqa: RUF012
    stop_at: int | None = None

    def __init__(self, words, stdout, stderr, env, pass_fds):
        assert words[1:3] == ["-m", "rot5.cli"] and pass_fds
        if len(self.started) == InThisProcess.stop_at:
            raise KeyboardInterrupt
        self.started.append(Path(words[5]).stem)
        if "d_ff: 96" in Path(words[5]).read_text():
            stdout.write(b"reading\nrot5: error: the disk is full\n")
        else:
            cli.run(words[3:])

    def poll(self) -> int:
        return 0

    terminate = wait = poll


@pytest.fixture
def place(tmp_path, corpora, monkeypatch) -> Path:
    """A working folder with corpora and a study, whose runs are made in this process."""
    for source in corpora.iterdir():
        (tmp_path / source.name).symlink_to(source)
    write(tmp_path, STUDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "subprocess", SimpleNamespace(Popen=InThisProcess))
    monkeypatch.setattr(InThisProcess, "started", [])
    monkeypatch.setattr(InThisProcess, "stop_at", None)
    monkeypatch.setattr("rot5.study.pace.ROUNDS", 1)
    monkeypatch.setattr("rot5.study.pace.WARM_UP", 0)
    return tmp_path


def write(folder: Path, study: dict) -> None:
    (folder / "some.yaml").write_text(yaml.safe_dump(study, sort_keys=False))


def changed(**variant) -> dict:
    return {**STUDY, "variants": {**STUDY["variants"], **variant}}


def results() -> dict:
    return json.loads(Path("compared/results.json").read_text())


def test_a_study_from_nothing_stopped_changed_and_shared(place, rot5):
    """One story, because each chapter needs the runs of the one before."""
    InThisProcess.stop_at = 3
    assert rot5(*COMMAND).code == 130
    assert not Path("compared/results.json").exists()
    before = list(InThisProcess.started)
    assert len(before) == 3

    InThisProcess.stop_at = None
    done = rot5(*COMMAND, "--markdown", "found.md")
    assert done.code == 0, done.err
    assert len(InThisProcess.started) == 2 + 2 * 2, "two trials, then two variants with two seeds each"
    assert len(set(InThisProcess.started)) == len(InThisProcess.started), "a finished run was made again"
    found = results()
    assert set(found["variants"]) == {"plain", "muon"} and found["seeds"] == [0, 1]
    bits = found["variants"]["plain"]["pretrain/bits_per_byte"]["values"]
    of_run = [json.loads(path.read_text()) for path in Path("runs").glob("*/eval.json")]
    assert set(bits) <= {each["likelihood"]["overall"]["bits_per_byte"]["mean"] for each in of_run}
    difference = found["differences"]["muon"]["pretrain/bits_per_byte"]
    assert difference["low"] < difference["mean"] < difference["high"]
    trials = found["tuned"]["muon"]["trials"]
    assert len(trials) == 2 and found["tuned"]["muon"]["at_edge"] == ["pretrain.train.optimizer.lr"]
    assert found["tuned"]["muon"]["chosen"] == min(trials, key=lambda trial: trial["score"])["changes"]
    page = Path("compared/report.html").read_text()
    for words in ("Two optimizers and a tuned one.", "by story tokens", "by seconds", "within noise", "Samples"):
        assert words in page
    assert "| muon |" in Path("found.md").read_text() and "--markdown found.md" in Path("found.md").read_text()

    InThisProcess.started.clear()
    again = rot5(*COMMAND)
    assert again.code == 0 and InThisProcess.started == [] and results() == found

    write(place, changed(plain={"pretrain": {"train": {"optimizer": {"name": "adamw", "lr": 0.005}}}}))
    refused = rot5(*COMMAND)
    assert refused.code == 2 and "plain: pretrain.train.optimizer.lr: 0.001 -> 0.005" in refused.err
    assert results() == found and InThisProcess.started == []

    write(place, changed(plain={"pretrain": {"train": {"optimizer": {"name": "muon", "lr": 0.004}}}}))
    accepted = rot5(*COMMAND, "--accept_changes")
    assert accepted.code == 0, accepted.err
    chosen = found["tuned"]["muon"]["chosen"]["pretrain.train.optimizer.lr"]
    assert len(InThisProcess.started) == (0 if chosen == 0.004 else 2), "equal runs are shared between variants"


def test_a_run_that_fails_is_named_and_the_others_are_compared(place, rot5):
    variants = {"plain": {}, "odd": {"pretrain": {"model": {"d_ff": 96}}}}
    write(place, {**STUDY, "seeds": [0], "variants": variants, "law": True})
    failed = rot5(*COMMAND)
    assert failed.code == 2 and "not all could be done (odd, seed 0: the disk is full; law: " in failed.err
    assert set(results()["variants"]) == {"plain"}


def test_tuning_and_data_of_a_study(place, rot5):
    """A second stage on the first, and data that the study makes for itself, once."""
    study = {
        **STUDY,
        "seeds": [0],
        "data": [{"out": "made", "tokenizer": "stories", "pairs": True, "source": {"limit": 30, "seed": 5}}],
        "finetune": {
            "pairs": "made",
            "validation": "held-out",
            "pack": {"encoder_length": 512, "decoder_length": 144},
            "train": {**TRAIN, "steps": 2},
            "summaries": 4,
            "max_new_tokens": 4,
        },
        "variants": {"plain": {}},
    }
    write(place, study)
    assert rot5(*COMMAND).code == 0
    assert [name.split("-")[0] for name in InThisProcess.started] == ["pretrain", "finetune"]
    assert {"pretrain/bits_per_byte", "finetune/bits_per_byte", "finetune/rougeL"} <= set(
        results()["variants"]["plain"]
    )
    made = Path("made/manifest.json").stat().st_mtime_ns
    assert rot5(*COMMAND).code == 0 and Path("made/manifest.json").stat().st_mtime_ns == made

    write(place, {**study, "data": [{**study["data"][0], "source": {"limit": 20, "seed": 5}}]})
    refused = rot5(*COMMAND)
    assert refused.code == 2 and "data made: source.limit: 30 -> 20" in refused.err
    InThisProcess.started.clear()
    assert rot5(*COMMAND, "--accept_changes").code == 0
    assert json.loads(Path("made/manifest.json").read_text())["pairs"] == 20
    assert [name.split("-")[0] for name in InThisProcess.started] == ["finetune"], (
        "only what depends on it is made anew"
    )


def test_stages_models_that_were_there_and_tasks(place, rot5):
    """A model that grows beside one that does not, tuned on a mixture that the study makes, judged on other tasks."""
    Path("mixture.yaml").write_text(
        yaml.safe_dump({"sources": {"world": {"format": "storyworld", "limit": 12}}, "held_out": ["world/who"]})
    )
    made = {"mixture": "mixture.yaml", "tokenizer": "stories", "per_task": 2, "split": "test", "format": "plain"}
    pack = {"encoder_length": 512, "decoder_length": 312}
    study = {
        **STUDY,
        "seeds": [0],
        "budget": {"story_tokens": 8000},
        "data": [{**made, "out": "seen"}, {**made, "out": "unseen", "held_out": True}],
        "evaluate": {"unseen": {"data": "unseen", "max_new_tokens": 3}},
        "variants": {
            "flat": {},
            "grown": {
                "stages": {
                    "small": {"pretrain": {}},
                    "experts": {"pretrain": {"model": {"num_experts": 2}}},
                    "tuned": {
                        "finetune": {"pairs": "seen", "validation": "seen", "mode": "none", "pack": pack}
                        | {"train": {**TRAIN, "steps": 1}, "summaries": 4, "max_new_tokens": 3}
                    },
                }
            },
        },
    }
    write(place, study)
    done = rot5(*COMMAND, "--markdown", "found.md")
    assert done.code == 0, done.err
    kinds = [name.split("-")[0] for name in InThisProcess.started]
    assert kinds == ["pretrain", "pretrain", "evaluate", "pretrain", "finetune", "evaluate"]
    found = results()
    assert len(found["paces"]["grown"]) == 2 and len(found["paces"]["flat"]) == 1
    assert {"pretrain/bits_per_byte", "finetune/tasks", "unseen/tasks"} <= set(found["variants"]["grown"])
    assert "unseen/tasks" in found["differences"]["grown"]
    assert "unseen: world/who" in found["tasks"]["flat"] and "| unseen: world/who |" in Path("found.md").read_text()
    small, experts = (
        yaml.safe_load(path.read_text())
        for path in sorted(Path("runs/recipes").glob("pretrain-*.yaml"), key=lambda each: each.stat().st_mtime_ns)[1:]
    )
    assert experts["init"] == small["out"] and small["train"]["epochs"] == experts["train"]["epochs"]

    InThisProcess.started.clear()
    again = rot5(*COMMAND)
    assert again.code == 0 and InThisProcess.started == [] and results() == found, again.err
    run = Path(experts["out"])
    shutil.copytree(run, "elsewhere")
    tuned = {"init": "elsewhere", **study["variants"]["grown"]["stages"]["tuned"]["finetune"]}
    write(place, {**study, "variants": {"tuned": {"pretrain": None, "finetune": tuned}}})
    done = rot5("study", "some.yaml", "--out", "other", "--runs", "runs")
    assert done.code == 0, done.err
    assert [name.split("-")[0] for name in InThisProcess.started] == ["finetune", "evaluate"]
    alone = json.loads(Path("other/results.json").read_text())
    assert alone["paces"] == {"tuned": []}
    assert alone["variants"]["tuned"]["unseen/tasks"] == found["variants"]["grown"]["unseen/tasks"]

    write(place, {**study, "data": [{**made, "out": "seen", "per_task": 3}]})
    refused = rot5("study", "some.yaml", "--out", "third", "--runs", "runs")
    assert refused.code == 2 and "seen was made with other settings (per_task)" in refused.err
    write(place, study)
    Path("mixture.yaml").write_text(Path("mixture.yaml").read_text().replace("12", "13"))
    refused = rot5(*COMMAND)
    assert refused.code == 2 and "data seen: mixture.sources.world.limit: 12 -> 13" in refused.err


def test_two_studies_do_not_share_a_folder_of_runs_at_once(place, rot5):
    Path("runs").mkdir()
    with Path("runs/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = rot5(*COMMAND)
    assert refused.code == 2 and "runs/lock is held by " in refused.err
    assert not Path("compared").exists()


@pytest.mark.parametrize(
    "study, words",
    [
        ({"pretrain": {**STUDY["pretrain"], "modle": {}}}, "unknown setting 'modle'"),
        ({"pretrain": {**STUDY["pretrain"], "corpus": "nowhere"}}, "nowhere"),
        ({"jobs": 2}, "unknown key 'jobs'"),
        (changed(odd={"pretrain": {"model": {"d_kv": 15}}}), "variant odd: model: d_kv (15) must be even"),
    ],
)
def test_mistakes_are_found_before_any_run(place, rot5, study, words):
    write(place, {**STUDY, **study})
    refused = rot5(*COMMAND)
    assert refused.code == 2 and words in refused.err and refused.err.count("\n") == 1
    assert InThisProcess.started == [] and not Path("compared").exists()


@pytest.mark.slow
def test_a_study_killed_in_the_middle_of_a_run_ends_like_one_that_was_not(tmp_path, corpora):
    """True processes: the study and its run are killed; the next call takes the run up where its checkpoint was."""
    for source in corpora.iterdir():
        (tmp_path / source.name).symlink_to(source)
    write(tmp_path, {**STUDY, "seeds": [0], "budget": {"story_tokens": 60000}, "variants": {"plain": {}}})

    def start(out: str) -> subprocess.Popen:
        words = [sys.executable, "-m", "rot5.cli", "study", "some.yaml", "--out", out, "--runs", f"{out}-runs"]
        return subprocess.Popen(words, cwd=tmp_path, start_new_session=True)

    assert start("whole").wait() == 0
    process = start("killed")
    while not list((tmp_path / "killed-runs").glob("*/checkpoints/step-*")):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (run,) = (tmp_path / "killed-runs").glob("pretrain-*")
    assert not (run / "report.html").exists()
    assert start("killed").wait() == 0
    whole, killed = ((tmp_path / name / "results.json").read_text() for name in ("whole", "killed"))
    assert json.loads(whole)["variants"] == json.loads(killed)["variants"]
    shutil.rmtree(tmp_path / "killed-runs")
